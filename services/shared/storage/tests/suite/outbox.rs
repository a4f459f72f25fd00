//! What has to be told after a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use streamit_domain::room::{Access, Role};
use streamit_storage::outbox::{self, Fence};
use streamit_storage::{participants, rooms};

use crate::harness::{Db, NOW, later};

both_engines!(
    a_new_room_tells_its_fence,
    a_fence_and_its_entry_happen_together_or_not_at_all,
    what_is_told_is_gone_and_what_is_not_comes_again,
    what_waits_is_counted_also_when_it_is_not_due,
    who_waits_for_a_connection_and_gets_none_is_counted,
);

async fn due(db: &Db, now: i64) -> Vec<Fence> {
    outbox::due(&mut db.store.read().await.unwrap(), later(now), 100).await.unwrap()
}

async fn a_new_room_tells_its_fence(db: Db) {
    let room = db.room(Access::Public).await;

    let entries = due(&db, 0).await;

    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].room, entries[0].fence, entries[0].attempts), (room.id, 1, 0));
    assert_eq!(entries[0].created_at, NOW);
}

async fn a_fence_and_its_entry_happen_together_or_not_at_all(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    for is_kept in [false, true] {
        let mut tx = db.store.begin().await.unwrap();
        assert_eq!(rooms::set_host(&mut tx, room.id, bo, NOW).await.unwrap(), Some(2));
        participants::set_role(&mut tx, room.id, room.host, Role::Cohost, NOW).await.unwrap().unwrap();
        if is_kept {
            tx.commit().await.unwrap();
        } else {
            drop(tx);
        }
        // Reads through the writer's connection: a dropped transaction is undone before it is used again.
        let mut tx = db.store.begin().await.unwrap();
        let now = rooms::by_id(&mut tx, room.id).await.unwrap().unwrap();
        let fences: Vec<u64> =
            outbox::due(&mut tx, NOW, 100).await.unwrap().iter().map(|entry| entry.fence).collect();
        if is_kept {
            assert_eq!((now.host, now.fence, fences), (bo, 3, vec![1, 2, 3]));
        } else {
            assert_eq!((now.host, now.fence, fences), (room.host, 1, vec![1]));
        }
    }
}

async fn what_is_told_is_gone_and_what_is_not_comes_again(db: Db) {
    for _ in 0..3 {
        db.room(Access::Public).await;
    }
    let ids: Vec<u64> = due(&db, 0).await.iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), 3);
    let mut tx = db.store.begin().await.unwrap();
    outbox::done(&mut tx, &ids[..1]).await.unwrap();
    outbox::postpone(&mut tx, &ids[1..2], later(500)).await.unwrap();
    tx.commit().await.unwrap();

    let now: Vec<u64> = due(&db, 499).await.iter().map(|entry| entry.id).collect();
    let then: Vec<(u64, u32)> = due(&db, 500).await.iter().map(|entry| (entry.id, entry.attempts)).collect();

    assert_eq!(now, ids[2..]);
    assert_eq!(then, [(ids[2], 0), (ids[1], 1)]);
    assert_eq!(outbox::due(&mut db.store.read().await.unwrap(), later(500), 1).await.unwrap().len(), 1);
}

async fn what_waits_is_counted_also_when_it_is_not_due(db: Db) {
    let waiting = async || outbox::waiting(&mut db.store.read().await.unwrap()).await.unwrap();
    assert_eq!(waiting().await, (0, None));
    for _ in 0..2 {
        db.room(Access::Public).await;
    }
    let ids: Vec<u64> = due(&db, 0).await.iter().map(|entry| entry.id).collect();
    let mut tx = db.store.begin().await.unwrap();
    outbox::postpone(&mut tx, &ids, later(500)).await.unwrap();
    tx.commit().await.unwrap();

    assert_eq!(waiting().await, (2, Some(NOW)));
}

async fn who_waits_for_a_connection_and_gets_none_is_counted(db: Db) {
    let waits = Arc::new(AtomicU64::new(0));
    db.store.tell_waits({
        let waits = waits.clone();
        move |_| {
            waits.fetch_add(1, Ordering::Relaxed);
        }
    });
    let before = db.store.load();
    let read = db.store.read().await.unwrap();
    let now = db.store.load();
    assert_eq!((waits.load(Ordering::Relaxed), now.used, now.most), (1, before.used + 1, before.most));
    assert_eq!(db.store.given_up(), 0);
    drop(read);

    db.store.close().await;

    assert!(db.store.read().await.is_err());
    assert_eq!((waits.load(Ordering::Relaxed), db.store.given_up()), (1, 1));
}
