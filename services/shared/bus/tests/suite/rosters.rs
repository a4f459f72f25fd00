//! Who is in a room.

use std::time::Duration;

use streamit_bus::EntryKey;
use streamit_domain::Timestamp;

use super::support::*;

both_buses! {
    async fn a_users_first_entry_is_announced_and_later_ones_are_not(bus: Bus) {
        let (room, ana, life) = (room(), user(), life());
        let mut heard = bus.other.subscribe(room).await.unwrap();
        let before = bus.rooms.now();

        let (change, roster) = bus.rooms.enter(room, &[entry(life, 1, ana, "Ana | 1:2")], 0).await.unwrap();
        assert_eq!((change.previous, change.online), (0, 1));
        assert!(change.version > u64::try_from(before.0 - 1_000).unwrap(), "the version stands above the clock");
        assert_eq!(change.joined[0].0, ana);
        assert_eq!(change.joined[0].1.name, "Ana | 1:2");
        assert!(change.left.is_empty());
        assert_eq!(roster.version, change.version);
        assert_eq!(roster.users[&ana], change.joined[0].1);
        assert_eq!(hear_change(&mut heard).await, change);

        // A second tab, and the first one told again.
        let (second, _) = bus.rooms.enter(room, &[entry(life, 2, ana, "Ana")], change.version).await.unwrap();
        let (again, roster) = bus.rooms.enter(room, &[entry(life, 1, ana, "Ana")], change.version).await.unwrap();
        for unchanged in [second, again] {
            assert_eq!((unchanged.previous, unchanged.version), (change.version, change.version));
            assert!(unchanged.joined.is_empty());
            assert_eq!(unchanged.online, 1);
        }
        assert_eq!((roster.users.len(), roster.entries.len()), (1, 2));
        assert_eq!(roster, bus.other.roster(room).await.unwrap());
        nothing_heard(&bus.rooms, room, &mut heard).await;
    }

    async fn only_the_departure_of_the_last_entry_is_announced(bus: Bus) {
        let (room, ana, here, there) = (room(), user(), life(), life());
        let (a, b) = (entry(here, 1, ana, "Ana"), entry(there, 1, ana, "Ana"));
        let (first, _) = bus.rooms.enter(room, std::slice::from_ref(&a), 0).await.unwrap();
        bus.other.enter(room, std::slice::from_ref(&b), 0).await.unwrap();
        let mut heard = bus.rooms.subscribe(room).await.unwrap();

        let one = bus.rooms.leave(room, &[a.key], 0).await.unwrap();
        assert_eq!((one.version, one.online), (first.version, 1));
        assert!(one.left.is_empty());
        nothing_heard(&bus.rooms, room, &mut heard).await;

        let last = bus.other.leave(room, &[b.key], 0).await.unwrap();
        assert_eq!((last.previous, last.version, last.online), (first.version, first.version + 1, 0));
        assert_eq!(last.left, [(ana, "Ana".to_owned())]);
        assert_eq!(hear_change(&mut heard).await, last);

        let again = bus.other.leave(room, &[b.key, a.key], 0).await.unwrap();
        assert_eq!((again.previous, again.version), (last.version, last.version));
        assert!(again.left.is_empty());
        nothing_heard(&bus.rooms, room, &mut heard).await;
    }

    async fn leaving_a_room_that_nobody_entered_changes_nothing(bus: Bus) {
        let room = room();
        let key = entry(life(), 1, user(), "Ana").key;
        let change = bus.rooms.leave(room, &[key], 5).await.unwrap();
        assert_eq!((change.previous, change.version, change.online), (0, 0, 0));
        assert_eq!(bus.rooms.prune(room, &[key.incarnation], 5).await.unwrap(), change);
        bus.rooms.mark_gone(room, &[(key, Timestamp(1))]).await.unwrap();
        assert_eq!(bus.rooms.roster(room).await.unwrap(), streamit_bus::Roster::default());
    }

    async fn people_who_come_together_are_one_change(bus: Bus) {
        let (room, life) = (room(), life());
        let mut heard = bus.other.subscribe(room).await.unwrap();
        let ana = user();
        let entries = [
            entry(life, 1, ana, "Ana"),
            entry(life, 2, user(), "Bo"),
            entry(life, 3, ana, "Ana"),
            entry(life, 4, user(), "Çem 🎬"),
        ];
        let (came, roster) = bus.rooms.enter(room, &entries, 0).await.unwrap();
        assert_eq!(names(came.joined.iter().map(|(_, who)| &who.name)), ["Ana", "Bo", "Çem 🎬"]);
        assert_eq!((came.online, roster.users.len(), roster.entries.len()), (3, 3, 4));
        assert_eq!(hear_change(&mut heard).await, came);

        let keys: Vec<EntryKey> = entries.iter().map(|entry| entry.key).collect();
        let went = bus.rooms.leave(room, &keys, 0).await.unwrap();
        assert_eq!((went.previous, went.version, went.online), (came.version, came.version + 1, 0));
        assert_eq!(names(went.left.iter().map(|(_, name)| name)), ["Ana", "Bo", "Çem 🎬"]);
        assert_eq!(hear_change(&mut heard).await, went);
        nothing_heard(&bus.rooms, room, &mut heard).await;
    }

    async fn each_change_names_the_version_before_it(bus: Bus) {
        let (room, life) = (room(), life());
        let mut heard = bus.other.subscribe(room).await.unwrap();
        let mut version = 0;
        for connection in 0..20 {
            let node = if connection % 2 == 0 { &bus.rooms } else { &bus.other };
            node.enter(room, &[entry(life, connection, user(), "Somebody")], 0).await.unwrap();
            let change = hear_change(&mut heard).await;
            assert_eq!(change.previous, version);
            assert!(change.version > change.previous);
            version = change.version;
        }
        assert_eq!(bus.rooms.roster(room).await.unwrap().version, version);
    }

    async fn a_node_that_has_seen_a_higher_version_lifts_the_roster_above_it(bus: Bus) {
        let (room, life) = (room(), life());
        let ahead = u64::try_from(bus.rooms.now().0).unwrap() + 1_000_000_000;
        let (first, _) = bus.rooms.enter(room, &[entry(life, 1, user(), "Ana")], ahead).await.unwrap();
        assert_eq!(first.version, ahead + 1);
        let (second, _) = bus.rooms.enter(room, &[entry(life, 2, user(), "Bo")], ahead + 500).await.unwrap();
        assert_eq!((second.previous, second.version), (ahead + 1, ahead + 501));
    }

    async fn who_is_marked_gone_counts_until_the_moment_and_no_longer(bus: Bus) {
        let (room, life) = (room(), life());
        let (ana, bo) = (entry(life, 1, user(), "Ana"), entry(life, 2, user(), "Bo"));
        bus.rooms.enter(room, &[ana.clone(), bo.clone()], 0).await.unwrap();
        let now = bus.rooms.now();
        let over = Timestamp(now.0 - 1_000);
        let later = now.plus(Duration::from_secs(60));
        bus.rooms.mark_gone(room, &[(ana.key, over), (bo.key, later)]).await.unwrap();
        let roster = bus.other.roster(room).await.unwrap();
        assert_eq!(roster.entries[&ana.key].gone_at, Some(over));
        assert_eq!(roster.users.len(), 2, "marking alone removes nobody");

        let change = bus.other.prune(room, &[], 0).await.unwrap();
        assert_eq!(change.left, [(ana.user, "Ana".to_owned())]);
        assert_eq!(change.online, 1);
        let roster = bus.rooms.roster(room).await.unwrap();
        assert!(roster.users.contains_key(&bo.user) && !roster.entries.contains_key(&ana.key));
    }

    async fn who_comes_back_in_time_stays(bus: Bus) {
        let (room, ana) = (room(), entry(life(), 1, user(), "Ana"));
        bus.rooms.enter(room, std::slice::from_ref(&ana), 0).await.unwrap();
        bus.rooms.mark_gone(room, &[(ana.key, Timestamp(1))]).await.unwrap();
        let (change, roster) = bus.rooms.enter(room, std::slice::from_ref(&ana), 0).await.unwrap();
        assert!(change.joined.is_empty());
        assert_eq!(roster.entries[&ana.key].gone_at, None);
        assert!(bus.rooms.prune(room, &[], 0).await.unwrap().left.is_empty());
    }

    async fn entries_of_a_dead_node_are_pruned_and_others_stay(bus: Bus) {
        let (room, dead, alive) = (room(), life(), life());
        let (ana, bo) = (user(), user());
        let entries = [
            entry(dead, 1, ana, "Ana"),
            entry(dead, 2, ana, "Ana"),
            entry(dead, 3, bo, "Bo"),
            entry(alive, 1, bo, "Bo"),
        ];
        let (came, _) = bus.rooms.enter(room, &entries, 0).await.unwrap();
        let mut heard = bus.rooms.subscribe(room).await.unwrap();
        let change = bus.other.prune(room, &[life(), dead], 0).await.unwrap();
        assert_eq!(change.left, [(ana, "Ana".to_owned())]);
        assert_eq!((change.previous, change.online), (came.version, 1));
        assert_eq!(hear_change(&mut heard).await, change);
        let roster = bus.rooms.roster(room).await.unwrap();
        assert_eq!(roster.entries.keys().copied().collect::<Vec<_>>(), [entries[3].key]);
        // The other node that also found it dead announces nothing.
        bus.rooms.prune(room, &[dead], 0).await.unwrap();
        nothing_heard(&bus.rooms, room, &mut heard).await;
    }

    async fn what_is_marked_gone_counts_until_its_moment_even_if_its_node_is_dead(bus: Bus) {
        let (room, dead) = (room(), life());
        let (ana, bo) = (entry(dead, 1, user(), "Ana"), entry(dead, 2, user(), "Bo"));
        bus.rooms.enter(room, &[ana.clone(), bo.clone()], 0).await.unwrap();
        let later = bus.rooms.now().plus(Duration::from_secs(3600));
        bus.rooms.mark_gone(room, &[(ana.key, later)]).await.unwrap();
        let change = bus.other.prune(room, &[dead], 0).await.unwrap();
        assert_eq!(change.left, [(bo.user, "Bo".to_owned())]);
        bus.rooms.mark_gone(room, &[(ana.key, Timestamp(1))]).await.unwrap();
        let change = bus.other.prune(room, &[dead], 0).await.unwrap();
        assert_eq!(change.left, [(ana.user, "Ana".to_owned())]);
    }

    async fn many_who_come_at_once_on_two_nodes_are_each_announced_once(bus: Bus) {
        let (room, here, there) = (room(), life(), life());
        let mut heard = bus.rooms.subscribe(room).await.unwrap();
        let users: Vec<_> = (0..40).map(|_| user()).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for (n, user) in (0u64..).zip(&users) {
            for (rooms, life) in [(bus.rooms.clone(), here), (bus.other.clone(), there)] {
                let entry = entry(life, n, *user, "Somebody");
                tasks.spawn(async move { rooms.enter(room, &[entry], 0).await.unwrap() });
            }
        }
        tasks.join_all().await;
        let mut joined = Vec::new();
        let mut version = 0;
        while joined.len() < users.len() {
            let change = hear_change(&mut heard).await;
            assert_eq!(change.previous, version);
            version = change.version;
            joined.extend(change.joined.into_iter().map(|(user, _)| user));
        }
        joined.sort_unstable();
        let mut users = users;
        users.sort_unstable();
        assert_eq!(joined, users);
        nothing_heard(&bus.rooms, room, &mut heard).await;
        assert_eq!(bus.rooms.roster(room).await.unwrap().entries.len(), 80);
    }

    async fn a_roster_that_nobody_refreshes_expires_and_a_new_one_starts_above_it(bus: Bus) {
        let (room, ana) = (room(), entry(life(), 1, user(), "Ana"));
        let (first, _) = bus.rooms.enter(room, std::slice::from_ref(&ana), 0).await.unwrap();
        let asked = [(room, Some(ana.user))];
        let online = bus.rooms.online(&asked).await.unwrap()[0];
        assert_eq!((online.users, online.has_user), (1, true));
        let refreshed_at = online.refreshed_at.expect("entering counts as a refresh");

        until("the roster expires", async || bus.rooms.roster(room).await.unwrap().version == 0).await;
        assert_eq!(refresh(&*bus.rooms, room).await.roster, 0);
        let online = bus.other.online(&asked).await.unwrap()[0];
        assert_eq!((online.users, online.has_user), (0, false));
        assert_eq!(online.refreshed_at, Some(refreshed_at), "when it was last refreshed outlives it");

        let (again, roster) = bus.rooms.enter(room, std::slice::from_ref(&ana), first.version).await.unwrap();
        assert_eq!((again.previous, again.online, roster.entries.len()), (0, 1, 1));
        assert!(again.version > first.version);
    }

    async fn refreshing_keeps_rosters_and_tells_the_versions_of_many_rooms(bus: Bus) {
        let life = life();
        let rooms: Vec<_> = (0..600).map(|_| room()).collect();
        let (change, _) = bus.rooms.enter(rooms[3], &[entry(life, 1, user(), "Ana")], 0).await.unwrap();
        bus.rooms.raise_fence(rooms[599], 4).await.unwrap();
        let expect = streamit_bus::Expect { version: None, confirmed: false, only_if_empty: false, fence: None };
        bus.rooms.set_playback(rooms[599], expect, &state(4, 77)).await.unwrap();

        let asked: Vec<_> = rooms.iter().map(|room| (*room, None)).collect();
        let start = bus.rooms.now();
        while bus.rooms.now().since(start) < LIFETIMES.roster * 2 {
            let all = bus.other.refresh(life, &asked).await.unwrap();
            assert_eq!(all.len(), 600);
            assert_eq!((all[3].roster, all[3].playback), (change.version, None));
            assert_eq!((all[599].roster, all[599].playback), (0, Some(state(4, 77).version)));
            assert_eq!(all[5], streamit_bus::LiveVersions::default());
            tokio::time::sleep(LIFETIMES.roster / 8).await;
        }
        let asked: Vec<_> = rooms.iter().map(|room| (*room, Some(user()))).collect();
        let online = bus.other.online(&asked).await.unwrap();
        assert_eq!((online.len(), online[3].users, online[3].has_user), (600, 1, false));
        assert!(online[3].refreshed_at.unwrap() > start, "refreshing is stamped");
        assert_eq!(online[599].refreshed_at, None, "nobody was ever there");
        assert!(bus.rooms.refresh(life, &[]).await.unwrap().is_empty());
        assert!(bus.rooms.online(&[]).await.unwrap().is_empty());
    }
}
