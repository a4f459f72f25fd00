//! The store comes back without what it had: nobody hears of it.

use super::cluster::Cluster;
use super::*;
use crate::room::recovery::RECOVERY_MS;

/// Six people on three nodes, two on each; the host is on the first. The film runs.
fn party() -> (Cluster, Vec<u64>) {
    let mut cluster = Cluster::of(3);
    let connections = (1..=6).map(|who| cluster.join((who as usize - 1) / 2, who)).collect::<Vec<_>>();
    cluster.command(0, connections[0], play(10.0));
    cluster.told_to_all();
    (cluster, connections)
}

/// Each node notices at its own moment.
fn all_notice(cluster: &mut Cluster) {
    for n in 0..3 {
        cluster.notices(n);
        cluster.pass(300);
    }
}

#[test]
fn a_store_that_comes_back_empty_is_filled_again_and_nobody_hears_of_it() {
    let (mut cluster, connections) = party();
    let film = cluster.stored().unwrap();
    cluster.lose_store();
    cluster.pass(60_000);
    cluster.command(0, connections[0], Command::Pause(None));
    assert_eq!(cluster.told(0, connections[0])[0]["code"], "TRY_AGAIN");
    assert!(cluster.told_to_all().is_empty());

    cluster.empty_store();
    all_notice(&mut cluster);
    cluster.pass(2_100);
    assert!(cluster.told_to_all().is_empty());
    cluster.all_know(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(cluster.stored(), Some(film), "the film is where it was");
    assert!(cluster.nodes.iter().all(|node| node.room.recovery.is_none() && node.reports.is_empty()));
    // And the house is in order: commands work, who leaves is missed.
    cluster.command(0, connections[0], Command::Pause(None));
    assert_eq!(cluster.told_to_all(), vec!["PLAYBACK_STATE null"; 6]);
    cluster.leave(2, connections[5], Gone::Now);
    assert_eq!(cluster.told_to_all(), vec!["USER_LEFT u6"; 5]);
}

#[test]
fn a_roster_and_a_film_that_are_deleted_come_back_the_same_way() {
    for first in 0..3 {
        let (mut cluster, _) = party();
        let film = cluster.stored().unwrap();
        cluster.delete_all();
        // One node finds it when it compares; the others hear that the roster began anew.
        cluster.compare(first);
        assert_eq!(cluster.present().0.len(), 6);
        cluster.pass(RECOVERY_MS + 100);
        assert!(cluster.told_to_all().is_empty(), "node {first} was first");
        cluster.all_know(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(cluster.stored(), Some(film));
    }
}

#[test]
fn a_newcomer_may_be_the_one_who_finds_the_roster_gone() {
    let (mut cluster, _) = party();
    cluster.delete_all();
    let late = cluster.join(1, 7);
    let list = &cluster.told(1, late)[0];
    assert_eq!((list["type"].as_str(), &list["online"]), (Some("ROOM_PARTICIPANTS"), &7.into()));
    cluster.pass(RECOVERY_MS + 100);
    assert_eq!(cluster.told_to_all(), vec!["USER_JOINED u7"; 6]);
    cluster.all_know(&[1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn who_left_while_the_store_was_away_is_missed_once_when_it_is_back() {
    // Also when the first to notice is a node on which nobody is left: that the roster is empty means nothing then.
    for first in 0..3 {
        let (mut cluster, connections) = party();
        let film = cluster.stored();
        cluster.lose_store();
        cluster.leave(1, connections[3], Gone::Grace);
        cluster.leave(2, connections[4], Gone::Now);
        cluster.leave(2, connections[5], Gone::Now);
        cluster.pass(59_900); // shortly before they try again to have them removed
        assert!(cluster.told_to_all().is_empty());
        cluster.empty_store();
        for n in 0..3 {
            cluster.notices((first + n) % 3);
            cluster.pass(1_000 / 3);
        }
        assert_eq!(cluster.stored(), film);
        assert!(cluster.told_to_all().is_empty());
        cluster.pass(3_000);
        assert_eq!(cluster.told_to_all(), ["USER_LEFT u4", "USER_LEFT u5", "USER_LEFT u6"].repeat(3));
        cluster.all_know(&[1, 2, 3]);
        assert_eq!(cluster.stored(), film);
    }
}

#[test]
fn who_goes_while_the_roster_is_read_that_counts_is_missed_too() {
    let mut world = World::new();
    for n in 1..=3 {
        world.join(n, n.into());
    }
    let lost = world.roster.version;
    world.on(Input::Roster(lost, Ok(Roster::default())));
    world.roster = Roster { version: lost + 100, ..Roster::default() };
    let entries = world.take(
        |effect| matches!(effect, Effect::Reenter(..)),
        |effect| match effect {
            Effect::Reenter(entries, _) => entries,
            _ => unreachable!(),
        },
    );
    let answer = world.enter(&entries);
    world.on(Input::Reentered(Ok(answer)));
    world.frames(1);
    world.pass(RECOVERY_MS);
    assert!(world.wants(|effect| matches!(effect, Effect::ReadRoster(_))));
    let read = world.roster.clone();
    // Somebody who is on another node goes: heard, but not told before it is certain.
    let key = *world.roster.entries.keys().nth(2).unwrap();
    world.room.members.remove(key.connection);
    let change = world.leave(&[key]);
    world.on(Input::Notice(Notice::Roster(Arc::new(change))));
    world.waiting.clear();
    world.on(Input::Roster(read.version, Ok(read)));
    assert!(world.types(1).is_empty());
    assert!(
        world.wants(|effect| matches!(effect, Effect::ReadRoster(_))),
        "what was read is older than that"
    );
    let roster = world.roster.clone();
    world.on(Input::Roster(roster.version, Ok(roster)));
    assert_eq!(world.types(1), ["USER_LEFT"]);
}

#[test]
fn a_host_who_left_meanwhile_is_reported_when_it_is_certain() {
    let (mut cluster, connections) = party();
    cluster.lose_store();
    cluster.leave(0, connections[0], Gone::Now);
    cluster.pass(5_000);
    cluster.empty_store();
    all_notice(&mut cluster);
    assert!(cluster.nodes.iter().all(|node| node.reports.is_empty()));
    cluster.pass(3_000);
    assert_eq!(cluster.told_to_all(), ["USER_LEFT u1", "HOST_DISCONNECTED null"].repeat(5));
    assert!(cluster.nodes.iter().all(|node| node.reports.iter().all(|report| !report.is_back)));
}

#[test]
fn a_room_that_emptied_while_the_store_was_away_pauses_when_it_is_back() {
    let (mut cluster, connections) = party();
    cluster.lose_store();
    for (n, connection) in connections.iter().enumerate() {
        cluster.leave(n / 2, *connection, Gone::Now);
    }
    cluster.pass(5_000);
    cluster.empty_store();
    all_notice(&mut cluster);
    cluster.pass(4_000);
    assert!(!cluster.stored().unwrap().is_playing);
}

#[test]
fn who_came_while_the_store_was_away_is_seen_by_all_when_it_is_back() {
    let (mut cluster, _) = party();
    cluster.lose_store();
    cluster.join(2, 7);
    assert_eq!(cluster.told_to_all()[..2], ["USER_JOINED u7", "USER_JOINED u7"]);
    cluster.pass(5_000);
    cluster.empty_store();
    all_notice(&mut cluster);
    for n in 0..3 {
        cluster.compare(n);
    }
    cluster.pass(3_000);
    assert_eq!(cluster.told_to_all(), vec!["USER_JOINED u7"; 4]);
    cluster.all_know(&[1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_store_that_is_lost_again_and_again_is_got_over() {
    let (mut cluster, _) = party();
    let film = cluster.stored();
    for round in 0..6 {
        cluster.lose_store();
        cluster.pass(400);
        cluster.empty_store();
        cluster.notices(round % 3);
        cluster.pass(300 * (round as u64 + 1));
    }
    all_notice(&mut cluster);
    cluster.pass(5_000);
    assert!(cluster.told_to_all().is_empty());
    cluster.all_know(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(cluster.stored(), film);
}

#[test]
fn what_a_call_put_in_that_seemed_to_have_failed_is_taken_out_again() {
    let (mut cluster, connections) = party();
    let entry = cluster.roster().entries.keys().nth(3).copied().unwrap();
    let gone = connections.iter().position(|connection| entry.connection.0 == *connection).unwrap();
    cluster.leave(gone / 2, connections[gone], Gone::Now);
    cluster.told_to_all();
    // The call was on its way when the store hung, and is carried out after all.
    let ghost = Entry { key: entry, user: user(9), name: "u9".into() };
    let store = cluster.store.as_ref().unwrap();
    futures_util::FutureExt::now_or_never(streamit_bus::Rooms::enter(
        store,
        RoomId(Uuid::from_u128(99)),
        &[ghost],
        0,
    ))
    .unwrap()
    .unwrap();
    cluster.settle();
    assert_eq!(cluster.present().1, 6);
    cluster.notices(gone / 2);
    assert_eq!(cluster.present().1, 5);
}

#[test]
fn the_higher_film_wins_whoever_puts_his_back_first() {
    let (mut cluster, connections) = party();
    let old = cluster.stored().unwrap();
    // The third node did not hear of the pause, and the store is lost with it.
    cluster.stop(2);
    cluster.command(0, connections[0], Command::Pause(None));
    let film = cluster.stored().unwrap();
    cluster.lose_store();
    cluster.go_on(2, 0, vec![]);
    assert_eq!(cluster.nodes[2].room.playback, old);
    cluster.told_to_all();

    cluster.empty_store();
    cluster.notices(2);
    assert_eq!(cluster.stored(), Some(old));
    cluster.notices(0);
    cluster.notices(1);
    cluster.pass(3_000);
    assert_eq!(cluster.stored(), Some(film));
    assert!(cluster.nodes.iter().all(|node| node.room.playback == film));
    assert_eq!(cluster.told_to_all(), vec!["PLAYBACK_STATE null"; 2], "on the node that knew less");
}

#[test]
fn a_film_is_put_back_as_it_was_made_though_the_fence_has_risen() {
    let (mut cluster, _) = party();
    let film = cluster.stored().unwrap();
    cluster.lose_store();
    cluster.facts = Facts { host: user(3), fence: 2, ..facts(6) };
    cluster.empty_store();
    all_notice(&mut cluster);
    cluster.pass(3_000);
    let back = cluster.stored().unwrap();
    assert_eq!(back, film, "else it would beat what another node knows of that time");
    assert!(cluster.nodes.iter().all(|node| node.room.playback == back));
}

#[test]
fn a_film_that_nobody_has_started_is_not_put_back() {
    let mut world = World::new();
    world.join(1, 1);
    world.on(Input::Versions(
        Some(LiveVersions { roster: world.roster.version, ..LiveVersions::default() }),
        None,
    ));
    assert!(!world.wants(|effect| matches!(effect, Effect::SetPlayback(..))));
}
