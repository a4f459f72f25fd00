//! Deadlines and what else the sweeper looks for.

use std::time::Duration;

use streamit_domain::playback::{Command, Playback};
use streamit_domain::room::{Access, Life, Role};
use streamit_domain::{RoomId, UserId};
use streamit_storage::participants;
use streamit_storage::rooms::{self, HostReport, Room};

use crate::harness::{Db, NOW, id, later};

both_engines!(
    a_lost_host_gets_a_deadline_and_loses_it_on_return,
    reports_that_are_late_or_about_others_are_ignored,
    of_two_words_of_one_version_the_loss_counts,
    a_host_who_was_appointed_while_away_is_waited_for,
    a_host_who_goes_as_a_cohost_is_made_is_waited_for,
    a_deadline_is_set_under_the_fence_that_is_known_and_only_while_the_room_lives,
    empty_rooms_are_found_by_when_somebody_was_last_there,
    rooms_whose_film_runs_are_found,
);

const DAY: i64 = 86_400_000;

async fn report(db: &Db, reports: &[HostReport]) -> Vec<(RoomId, u64)> {
    let mut tx = db.store.begin().await.unwrap();
    let changed = rooms::report_hosts(&mut tx, reports, NOW).await.unwrap().changed;
    tx.commit().await.unwrap();
    changed
}

fn lost(room: &Room, roster_version: u64) -> HostReport {
    HostReport { room: room.id, host: room.host, fence: room.fence, roster_version, is_back: false }
}

async fn a_lost_host_gets_a_deadline_and_loses_it_on_return(db: Db) {
    let (room, other) = (db.room(Access::Public).await, db.room(Access::Public).await);

    let reports = [lost(&room, 10), lost(&other, 5), HostReport { is_back: true, ..lost(&other, 6) }];
    let mut changed = report(&db, &reports).await;
    changed.sort_unstable();

    assert_eq!(changed, [(room.id, 2), (other.id, 2)]);
    assert_eq!(db.facts(room.id, 0).await.host_deadline, Some(later(30_000)), "the grace of the room");
    assert_eq!(db.facts(other.id, 0).await.host_deadline, None, "came back in the same batch");
    assert_eq!(report(&db, &[lost(&room, 11)]).await, [], "lost already");
    let back = HostReport { is_back: true, ..lost(&room, 12) };
    assert_eq!(report(&db, &[back]).await, [(room.id, 3)]);
    assert_eq!(db.facts(room.id, 0).await.host_deadline, None);
}

async fn reports_that_are_late_or_about_others_are_ignored(db: Db) {
    let room = db.room(Access::Public).await;
    // The return is seen first, by another node; the loss before it arrives later.
    assert_eq!(report(&db, &[HostReport { is_back: true, ..lost(&room, 20) }]).await, []);
    assert_eq!(report(&db, &[lost(&room, 19)]).await, []);
    assert_eq!(report(&db, &[HostReport { fence: 9, ..lost(&room, 21) }]).await, []);
    assert_eq!(report(&db, &[HostReport { host: UserId(id()), ..lost(&room, 21) }]).await, []);
    assert_eq!(report(&db, &[HostReport { room: RoomId(id()), ..lost(&room, 21) }]).await, []);
    assert_eq!(report(&db, &[]).await, []);
    let now = db.reload(room.id).await;
    assert_eq!((now.host_deadline, now.facts_version), (None, 1));
}

async fn of_two_words_of_one_version_the_loss_counts(db: Db) {
    let room = db.room(Access::Public).await;
    // She came while live state was away, and went before it knew her: the same version holds for both words.
    let back = HostReport { is_back: true, ..lost(&room, 20) };
    report(&db, &[back]).await;
    assert_eq!(report(&db, &[lost(&room, 20)]).await, [(room.id, 2)]);
    assert_eq!(report(&db, &[back]).await, [], "whoever is there will be seen at a later version");
    assert_eq!(db.reload(room.id).await.host_deadline, Some(later(30_000)));
}

async fn a_host_who_was_appointed_while_away_is_waited_for(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    report(&db, &[lost(&room, 10)]).await;
    let mut tx = db.store.begin().await.unwrap();
    rooms::set_host(&mut tx, room.id, bo, NOW).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.reload(room.id).await.host_deadline, None, "nobody waits for the host before any more");
    assert_eq!(report(&db, &[lost(&room, 11)]).await, [], "nor takes a word about him");

    // The roster has not changed since the last report about the host before.
    let room = db.reload(room.id).await;
    let changed = report(&db, &[lost(&room, 10)]).await;

    assert_eq!(changed, [(room.id, room.facts_version + 1)]);
    assert_eq!(db.reload(room.id).await.host_deadline, Some(later(30_000)));
    let due = rooms::due_deadlines(&mut db.store.read().await.unwrap(), later(30_000), 10).await.unwrap();
    assert_eq!(due.iter().map(|room| (room.host, room.fence)).collect::<Vec<_>>(), [(bo, 2)]);
}

async fn a_host_who_goes_as_a_cohost_is_made_is_waited_for(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    let mut tx = db.store.begin().await.unwrap();
    participants::set_role(&mut tx, room.id, bo, Role::Cohost, NOW).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.reload(room.id).await.fence, 2);

    report(&db, &[lost(&room, 10)]).await; // by a node that has not heard of it

    assert_eq!(db.reload(room.id).await.host_deadline, Some(later(30_000)));
}

async fn a_deadline_is_set_under_the_fence_that_is_known_and_only_while_the_room_lives(db: Db) {
    let room = db.room(Access::Public).await;
    let mut tx = db.store.begin().await.unwrap();
    assert_eq!(rooms::set_host_deadline(&mut tx, room.id, 1, Some(later(9))).await.unwrap(), Some(2));
    assert_eq!(rooms::set_host_deadline(&mut tx, room.id, 2, None).await.unwrap(), None, "another fence");
    assert_eq!(rooms::due_deadlines(&mut tx, later(DAY), 10).await.unwrap().len(), 1);
    rooms::end(&mut tx, room.id, Life::Closed, NOW).await.unwrap();
    assert_eq!(rooms::due_deadlines(&mut tx, later(DAY), 10).await.unwrap(), []);
    assert_eq!(rooms::set_host_deadline(&mut tx, room.id, 1, Some(later(9))).await.unwrap(), None);
}

async fn empty_rooms_are_found_by_when_somebody_was_last_there(db: Db) {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(db.room(Access::Public).await.id);
    }
    let mut tx = db.store.begin().await.unwrap();
    rooms::touch(&mut tx, &[ids[1], RoomId(id())], later(DAY)).await.unwrap();
    rooms::touch(&mut tx, &[ids[1]], NOW).await.unwrap(); // late, so ignored
    rooms::touch(&mut tx, &[], NOW).await.unwrap();
    rooms::end(&mut tx, ids[2], Life::Closed, NOW).await.unwrap();

    let found = |rooms: Vec<Room>| rooms.iter().map(|room| room.id).collect::<Vec<_>>();
    assert_eq!(found(rooms::stale_active(&mut tx, later(1), 10).await.unwrap()), [ids[0]]);
    assert_eq!(found(rooms::stale_active(&mut tx, later(DAY + 1), 10).await.unwrap()), [ids[0], ids[1]]);
    assert_eq!(found(rooms::stale_active(&mut tx, later(DAY + 1), 1).await.unwrap()), [ids[0]]);
    // Seven days unless set otherwise.
    assert_eq!(found(rooms::expired(&mut tx, later(7 * DAY - 1), 10).await.unwrap()), []);
    assert_eq!(found(rooms::expired(&mut tx, later(7 * DAY), 10).await.unwrap()), [ids[0]]);
    assert_eq!(found(rooms::expired(&mut tx, later(8 * DAY), 10).await.unwrap()), [ids[0], ids[1]]);
}

async fn rooms_whose_film_runs_are_found(db: Db) {
    let mut expected = Vec::new();
    for n in 0..5 {
        let room = db.room(Access::Public).await;
        let command = if n == 2 { Command::Pause(None) } else { Command::Play(None) };
        let state = Playback::start(1, NOW).after(command, 1, 0, NOW, Duration::ZERO);
        let mut tx = db.store.begin().await.unwrap();
        rooms::save_playback(&mut tx, &[(room.id, state)]).await.unwrap();
        if n == 3 {
            rooms::end(&mut tx, room.id, Life::Expired, NOW).await.unwrap();
        }
        tx.commit().await.unwrap();
        if n != 2 && n != 3 {
            expected.push((room.id, NOW, state));
        }
    }

    let mut read = db.store.read().await.unwrap();
    let first = rooms::playing(&mut read, None, 2).await.unwrap();
    let rest = rooms::playing(&mut read, first.last().map(|(room, _, _)| *room), 2).await.unwrap();

    assert_eq!([first, rest].concat(), expected);
}
