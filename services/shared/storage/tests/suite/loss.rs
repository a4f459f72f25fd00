//! A database that knows less than was seen of it.

use streamit_domain::room::{Access, Standing};
use streamit_domain::{RoomId, Timestamp, UserId};
use streamit_storage::chat::{self, Append, Draft, Outcome};
use streamit_storage::outbox;
use streamit_storage::rooms::{self, Room, Seen};

use crate::harness::{Db, NOW, later};

both_engines!(
    a_room_of_which_all_is_there_keeps_its_epoch,
    whatever_is_missing_raises_the_epoch_above_all_that_was_seen,
    the_same_loss_is_reported_by_many_and_raised_once,
    a_number_that_another_message_has_now_is_a_loss,
    chat_goes_on_in_the_new_epoch,
    a_message_that_is_being_stored_ends_in_one_of_the_epochs,
    rooms_that_are_unknown_are_left_out,
);

async fn report(db: &Db, seen: &[Seen]) -> Vec<(RoomId, u64)> {
    let mut tx = db.store.begin().await.unwrap();
    let raised = rooms::raise_epochs(&mut tx, seen, NOW).await.unwrap();
    tx.commit().await.unwrap();
    raised
}

fn draft(room: RoomId, user: UserId, key: &str) -> Draft {
    Draft { room, user, text: "hello".into(), key: key.into(), key_is_client_id: true }
}

async fn say(db: &Db, room: &Room, key: &str, now: Timestamp) -> Append {
    let mut tx = db.store.begin().await.unwrap();
    let said = chat::append(&mut tx, &[draft(room.id, room.host, key)], now).await.unwrap().remove(0);
    tx.commit().await.unwrap();
    said
}

fn stored(append: &Append) -> (u64, u64) {
    match &append.outcome {
        Outcome::Stored(message) => (append.epoch, message.seq),
        other => panic!("{other:?}"),
    }
}

/// All that is stored of the room.
async fn all(db: &Db, room: RoomId) -> Seen {
    let mut read = db.store.read().await.unwrap();
    let versions = rooms::versions(&mut read, &[room]).await.unwrap().remove(0);
    Seen {
        room,
        epoch: versions.epoch,
        facts_version: versions.facts_version,
        chat_head: versions.chat_head,
        chat_at: None,
        fence: versions.fence,
    }
}

async fn a_room_of_which_all_is_there_keeps_its_epoch(db: Db) {
    let room = db.room(Access::Public).await;
    say(&db, &room, "a", NOW).await;
    let seen = all(&db, room.id).await;
    let older = Seen { facts_version: 0, chat_head: 0, fence: 0, ..seen };
    let at = Seen { chat_at: Some(NOW), ..seen };
    // Reported when something was on its way, which has come since.
    assert_eq!(report(&db, &[seen, older, at]).await, []);
    assert_eq!(db.reload(room.id).await, room);
}

async fn whatever_is_missing_raises_the_epoch_above_all_that_was_seen(db: Db) {
    for missing in 0..4 {
        let room = db.room(Access::Public).await;
        let mut seen = all(&db, room.id).await;
        match missing {
            0 => seen.facts_version += 7,
            1 => seen.fence += 3,
            2 => seen.chat_head += 20,
            // The epoch had been raised before, and that was lost too.
            _ => (seen.epoch, seen.facts_version) = (4, 0),
        }
        let raised = report(&db, &[seen]).await;
        let now = db.reload(room.id).await;
        let version = seen.facts_version.max(room.facts_version) + 1;
        assert_eq!(raised, [(room.id, version)]);
        assert_eq!((now.epoch, now.facts_version), (seen.epoch + 1, version));
        assert_eq!(now.fence, seen.fence + 1);
        let due = outbox::due(&mut db.store.read().await.unwrap(), NOW, 100).await.unwrap();
        let told: Vec<u64> = due.iter().filter(|due| due.room == room.id).map(|due| due.fence).collect();
        assert_eq!(told, [1, now.fence], "live state has to learn the fence, or it refuses every command");
    }
}

async fn the_same_loss_is_reported_by_many_and_raised_once(db: Db) {
    let room = db.room(Access::Public).await;
    let seen = all(&db, room.id).await;
    let (one, other) = (Seen { facts_version: 9, ..seen }, Seen { fence: 5, chat_head: 3, ..seen });
    assert_eq!(report(&db, &[one, other, one]).await, [(room.id, 10)]);
    let after = db.reload(room.id).await;
    assert_eq!((after.epoch, after.fence), (2, 6));
    // Again, at once and from others who have not heard of it.
    let (one, other) = ([one], [other]);
    let (first, second) = tokio::join!(report(&db, &one), report(&db, &other));
    assert_eq!((first, second), (vec![], vec![]));
    assert_eq!(db.reload(room.id).await, after);
}

async fn a_number_that_another_message_has_now_is_a_loss(db: Db) {
    let room = db.room(Access::Public).await;
    say(&db, &room, "a", NOW).await;
    say(&db, &room, "b", later(1)).await;
    let seen = Seen { chat_head: 1, ..all(&db, room.id).await };
    assert_eq!(report(&db, &[Seen { chat_at: Some(NOW), ..seen }]).await, []);
    // Above what is kept, at the head, and below it: only the moment tells.
    assert_eq!(report(&db, &[Seen { chat_at: Some(later(5)), ..seen }]).await.len(), 1);
}

async fn chat_goes_on_in_the_new_epoch(db: Db) {
    let room = db.room(Access::Public).await;
    assert_eq!(stored(&say(&db, &room, "a", NOW).await), (1, 1));
    report(&db, &[Seen { chat_head: 30, ..all(&db, room.id).await }]).await;
    assert_eq!(stored(&say(&db, &room, "b", NOW).await), (2, 2));
    // A removal after the loss is newer than any admission from before it.
    let bo = db.member(room.id, "Bo").await;
    let admitted = db.reload(room.id).await.facts_version;
    db.stand(room.id, bo, Standing::Kicked).await;
    assert!(db.facts(room.id, 0).await.people[&bo].removed_version > admitted);
}

async fn a_message_that_is_being_stored_ends_in_one_of_the_epochs(db: Db) {
    let room = db.room(Access::Public).await;
    say(&db, &room, "a", NOW).await;
    let lost = [Seen { chat_head: 9, ..all(&db, room.id).await }];
    let told = async {
        let mut told = Vec::new();
        for i in 0..20 {
            told.push(stored(&say(&db, &room, &format!("k{i}"), later(i)).await));
        }
        told
    };
    let (told, _) = tokio::join!(told, report(&db, &lost));
    let numbers: Vec<u64> = told.iter().map(|(_, seq)| *seq).collect();
    assert_eq!(numbers, (2..=21).collect::<Vec<_>>());
    assert!(told.is_sorted(), "an epoch that is over never comes back: {told:?}");
}

async fn rooms_that_are_unknown_are_left_out(db: Db) {
    let room = db.room(Access::Public).await;
    let seen = Seen { facts_version: 5, ..all(&db, room.id).await };
    let unknown = Seen { room: RoomId(crate::harness::id()), ..seen };
    assert_eq!(report(&db, &[unknown]).await, []);
    assert_eq!(report(&db, &[unknown, seen]).await, [(room.id, 6)]);
    assert_eq!(report(&db, &[]).await, []);
}
