//! Rooms that pass on while their host is lost, and go back.

use streamit_domain::room::{Access, FOREVER, OnHostLost, Role, Settings, Standing};
use streamit_domain::{RoomId, UserId};
use streamit_storage::rooms::{self, HostReport, Room};
use streamit_storage::{outbox, participants};

use crate::harness::{Db, NOW, id, later};

both_engines!(
    one_replica_decides_a_deadline,
    what_has_changed_since_it_was_looked_at_is_not_decided,
    a_room_that_passed_on_goes_back_once_and_with_new_fences,
    a_return_from_before_it_passed_on_is_not_believed,
    in_one_batch_the_next_may_go_as_the_first_comes_back,
    a_chain_goes_back_to_the_first,
    who_has_the_room_for_somebody_can_hand_over_no_more_than_that,
    who_leaves_or_is_thrown_out_gets_nothing_back,
    only_who_is_approved_can_be_host,
    rooms_that_sleep_are_found_once_somebody_was_there,
    rooms_that_go_back_are_found_in_the_order_of_their_ids,
);

/// The roster version at which rooms pass on here.
const PASSED: u64 = 100;

async fn report(db: &Db, reports: &[HostReport]) -> Vec<(RoomId, u64)> {
    let mut tx = db.store.begin().await.unwrap();
    let changed = rooms::report_hosts(&mut tx, reports, NOW).await.unwrap().changed;
    tx.commit().await.unwrap();
    changed
}

fn about(room: &Room, host: UserId, roster_version: u64, is_back: bool) -> HostReport {
    HostReport { room: room.id, host, fence: room.fence, roster_version, is_back }
}

/// A room that waits for its host, and somebody else in it.
async fn waiting(db: &Db) -> (Room, UserId) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    report(db, &[about(&room, room.host, 10, false)]).await;
    (db.reload(room.id).await, bo)
}

/// Decides as a replica does; whether it was the one.
async fn pass(db: &Db, seen: &Room, next: UserId) -> bool {
    let mut tx = db.store.begin().await.unwrap();
    let Some(room) = rooms::lock_as_seen(&mut tx, seen).await.unwrap() else { return false };
    let passed = rooms::pass_on(&mut tx, &room, next, PASSED, NOW).await.unwrap();
    tx.commit().await.unwrap();
    passed.is_some()
}

/// A room that passed on from Ana to Bo.
async fn passed(db: &Db) -> (Room, UserId, UserId) {
    let (room, bo) = waiting(db).await;
    assert!(pass(db, &room, bo).await);
    (db.reload(room.id).await, room.host, bo)
}

async fn fences(db: &Db, room: RoomId) -> Vec<u64> {
    let due = outbox::due(&mut db.store.read().await.unwrap(), NOW, 100).await.unwrap();
    due.iter().filter(|entry| entry.room == room).map(|entry| entry.fence).collect()
}

async fn one_replica_decides_a_deadline(db: Db) {
    let (room, bo) = waiting(&db).await;
    let mut read = db.store.read().await.unwrap();
    assert_eq!(rooms::due_deadlines(&mut read, later(29_999), 10).await.unwrap(), []);
    let due = rooms::due_deadlines(&mut read, later(30_000), 10).await.unwrap();
    assert_eq!(due, std::slice::from_ref(&room));
    drop(read);

    let replicas: Vec<_> = (0..4)
        .map(|_| {
            let (db, room) = (db.clone(), room.clone());
            tokio::spawn(async move { pass(&db, &room, bo).await })
        })
        .collect();
    let mut won = 0;
    for replica in replicas {
        won += usize::from(replica.await.unwrap());
    }

    assert_eq!(won, 1);
    let now = db.reload(room.id).await;
    assert_eq!((now.host, now.fence, now.facts_version), (bo, 2, 3));
    assert_eq!((now.host_deadline, now.lost_host), (None, Some(room.host)));
    assert_eq!(db.facts(room.id, 0).await.lost_host, Some(room.host), "nodes hear to whom it goes back");
    assert_eq!(fences(&db, room.id).await, [1, 2]);
    assert_eq!(rooms::due_deadlines(&mut db.store.read().await.unwrap(), FOREVER, 10).await.unwrap(), []);
}

async fn what_has_changed_since_it_was_looked_at_is_not_decided(db: Db) {
    let (room, bo) = waiting(&db).await;
    report(&db, &[about(&room, room.host, 11, true)]).await;
    assert!(!pass(&db, &room, bo).await, "the host is back");
    report(&db, &[about(&room, room.host, 12, false)]).await;
    let mut tx = db.store.begin().await.unwrap();
    let settings = Settings { on_host_lost: OnHostLost::Wait, ..room.settings };
    rooms::update_settings(&mut tx, room.id, &settings).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!pass(&db, &room, bo).await, "the host wants it otherwise");
    let room = db.reload(room.id).await;
    let mut tx = db.store.begin().await.unwrap();
    participants::set_role(&mut tx, room.id, bo, Role::Cohost, NOW).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!pass(&db, &room, bo).await, "somebody is co-host by now");
    let room = db.reload(room.id).await;
    assert_eq!(room.host_deadline, Some(later(30_000)));
    assert!(pass(&db, &room, bo).await);
}

async fn a_room_that_passed_on_goes_back_once_and_with_new_fences(db: Db) {
    let (room, ana, bo) = passed(&db).await;
    let back = about(&room, ana, PASSED + 1, true);
    assert_eq!(report(&db, &[about(&room, ana, PASSED + 1, false)]).await, [], "that he is away is known");

    assert_eq!(report(&db, &[back, back]).await, [(room.id, room.facts_version + 1)]);

    let now = db.reload(room.id).await;
    assert_eq!((now.host, now.lost_host, now.host_deadline, now.fence), (ana, None, None, 3));
    assert_eq!(fences(&db, room.id).await, [1, 2, 3]);
    assert_eq!(report(&db, &[back]).await, [], "told again by another node");
    let of_bo = about(&now, bo, PASSED + 9, false);
    assert_eq!(report(&db, &[of_bo]).await, [], "who is not host any more");
    assert_eq!(report(&db, &[about(&now, ana, PASSED + 2, false)]).await, [(room.id, now.facts_version + 1)]);
}

async fn a_return_from_before_it_passed_on_is_not_believed(db: Db) {
    let (room, ana, bo) = passed(&db).await;
    for seen in [9, 10, PASSED] {
        assert_eq!(report(&db, &[about(&room, ana, seen, true)]).await, [], "seen at {seen}");
    }
    let ahead = HostReport { fence: 9, ..about(&room, ana, PASSED + 1, true) };
    assert_eq!(report(&db, &[ahead]).await, [], "of a fence that the room never had");
    assert_eq!(report(&db, &[about(&room, UserId(id()), PASSED + 1, true)]).await, []);
    assert_eq!(
        report(&db, &[about(&room, bo, PASSED - 1, false)]).await,
        [],
        "he was there when it passed on"
    );
    assert_eq!(db.reload(room.id).await, room);
}

async fn in_one_batch_the_next_may_go_as_the_first_comes_back(db: Db) {
    for is_first in [true, false] {
        let (room, ana, bo) = passed(&db).await;
        let mut reports = [about(&room, ana, PASSED + 1, true), about(&room, bo, PASSED + 1, false)];
        if !is_first {
            reports.reverse();
        }
        assert_eq!(report(&db, &reports).await, [(room.id, room.facts_version + 1)]);
        let now = db.reload(room.id).await;
        assert_eq!((now.host, now.host_deadline, now.lost_host), (ana, None, None));
    }
}

async fn a_chain_goes_back_to_the_first(db: Db) {
    let (room, ana, bo) = passed(&db).await;
    let cy = db.member(room.id, "Cy").await;
    report(&db, &[about(&room, bo, PASSED + 1, false)]).await;
    assert!(pass(&db, &db.reload(room.id).await, cy).await);
    let room = db.reload(room.id).await;
    assert_eq!((room.host, room.lost_host), (cy, Some(ana)));
    assert_eq!(report(&db, &[about(&room, bo, PASSED + 2, true)]).await, [], "he had it from her");
    assert_eq!(report(&db, &[about(&room, ana, PASSED + 3, true)]).await.len(), 1);
    assert_eq!(db.reload(room.id).await.host, ana);
}

async fn who_has_the_room_for_somebody_can_hand_over_no_more_than_that(db: Db) {
    let hand_over = async |room: &Room, to: UserId| {
        let mut tx = db.store.begin().await.unwrap();
        assert_eq!(rooms::set_host(&mut tx, room.id, to, NOW).await.unwrap(), Some(room.fence + 1));
        tx.commit().await.unwrap();
        db.reload(room.id).await
    };
    let (room, ana, _) = passed(&db).await;
    let cy = db.member(room.id, "Cy").await;
    let handed = hand_over(&room, cy).await;
    assert_eq!((handed.host, handed.lost_host), (cy, Some(ana)));
    assert_ne!(report(&db, &[about(&room, ana, PASSED + 1, true)]).await, []);
    assert_eq!(db.reload(room.id).await.host, ana);

    let (room, ana, _) = passed(&db).await;
    let handed = hand_over(&room, ana).await;
    assert_eq!((handed.host, handed.lost_host), (ana, None), "or give it back before it goes back by itself");
}

async fn who_leaves_or_is_thrown_out_gets_nothing_back(db: Db) {
    for standing in [Standing::Left, Standing::Kicked, Standing::Banned] {
        let (room, ana, bo) = passed(&db).await;
        db.stand(room.id, bo, Standing::Approved).await; // so already: changes nothing
        assert_eq!(db.reload(room.id).await.lost_host, Some(ana));
        db.stand(room.id, ana, standing).await;
        assert_eq!(db.facts(room.id, 0).await.lost_host, None);
        assert_eq!(report(&db, &[about(&room, ana, PASSED + 1, true)]).await, []);
        assert_eq!(db.reload(room.id).await.host, bo);
    }
}

async fn only_who_is_approved_can_be_host(db: Db) {
    let (room, bo) = waiting(&db).await;
    let asks = db.guest("Di").await;
    db.join(room.id, asks, "Di", Standing::Pending).await;
    let [out, gone, banned] =
        [db.member(room.id, "Cy").await, db.guest("Ed").await, db.member(room.id, "Fi").await];
    db.stand(room.id, out, Standing::Kicked).await;
    db.stand(room.id, banned, Standing::Banned).await;
    let mut tx = db.store.begin().await.unwrap();
    participants::set_role(&mut tx, room.id, bo, Role::Cohost, NOW).await.unwrap();
    let all = [asks, out, gone, banned, bo, room.host];
    let mut found = rooms::candidates(&mut tx, room.id, all).await.unwrap();
    found.sort_unstable();
    let mut expected = [(bo, Role::Cohost), (room.host, Role::Viewer)];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(rooms::candidates(&mut tx, room.id, []).await.unwrap(), []);
    for user in [asks, out, gone, banned] {
        assert_eq!(rooms::pass_on(&mut tx, &room, user, PASSED, NOW).await.unwrap(), None);
    }
    assert!(rooms::pass_on(&mut tx, &room, bo, PASSED, NOW).await.unwrap().is_some());
    let entry = participants::get(&mut tx, room.id, bo).await.unwrap().unwrap();
    assert_eq!(entry.role, Role::Cohost, "which he is again when the host is back");
}

async fn rooms_that_sleep_are_found_once_somebody_was_there(db: Db) {
    let mut all = Vec::new();
    for n in 0..4 {
        let (room, _) = waiting(&db).await;
        let mut tx = db.store.begin().await.unwrap();
        if n != 3 {
            rooms::set_host_deadline(&mut tx, room.id, room.fence, Some(FOREVER)).await.unwrap().unwrap();
        }
        if n == 2 {
            let settings = Settings { on_host_lost: OnHostLost::Wait, ..room.settings };
            rooms::update_settings(&mut tx, room.id, &settings).await.unwrap();
        }
        rooms::touch(&mut tx, &[room.id], later(1_000 * n)).await.unwrap();
        tx.commit().await.unwrap();
        all.push(room.id);
    }
    let mut read = db.store.read().await.unwrap();
    let ids = |rooms: Vec<Room>| rooms.iter().map(|room| room.id).collect::<Vec<_>>();
    assert_eq!(ids(rooms::asleep(&mut read, later(-1), 10).await.unwrap()), [all[1], all[0]]);
    assert_eq!(ids(rooms::asleep(&mut read, later(-1), 1).await.unwrap()), [all[1]]);
    assert_eq!(ids(rooms::asleep(&mut read, later(0), 10).await.unwrap()), [all[1]]);
}

async fn rooms_that_go_back_are_found_in_the_order_of_their_ids(db: Db) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(passed(&db).await.0.id);
        waiting(&db).await;
    }
    expected.sort_unstable();
    let mut read = db.store.read().await.unwrap();
    let ids = |rooms: &[Room]| rooms.iter().map(|room| room.id).collect::<Vec<_>>();
    let first = rooms::passed_on(&mut read, None, 2).await.unwrap();
    assert_eq!(ids(&first), expected[..2]);
    let rest = rooms::passed_on(&mut read, first.last().map(|room| room.id), 2).await.unwrap();
    assert_eq!(ids(&rest), expected[2..]);
}
