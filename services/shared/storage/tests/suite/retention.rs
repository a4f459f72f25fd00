//! What is old goes, what is not stays.

use streamit_domain::room::{Access, Standing};
use streamit_domain::{SessionId, Timestamp, UserId};
use streamit_storage::chat::{self, Draft, Range};
use streamit_storage::sessions::{self, NewSession};
use streamit_storage::{Tx, retention, rooms};

use crate::harness::{Db, NOW, id, later};

both_engines!(
    of_each_room_the_old_messages_go,
    guests_are_stale_when_nothing_of_theirs_is_alive,
    sessions_go_that_are_over_and_that_nobody_names,
);

async fn say(tx: &mut Tx, room: &rooms::Room, count: u32, at: Timestamp) {
    let draft = |n| Draft {
        room: room.id,
        user: room.host,
        text: "x".into(),
        key: format!("{}-{n}", at.0),
        key_is_client_id: false,
    };
    let drafts: Vec<Draft> = (0..count).map(draft).collect();
    chat::append(tx, &drafts, at).await.unwrap();
}

async fn of_each_room_the_old_messages_go(db: Db) {
    let (one, two, three) =
        (db.room(Access::Public).await, db.room(Access::Public).await, db.room(Access::Public).await);
    let mut tx = db.store.begin().await.unwrap();
    say(&mut tx, &one, 3, NOW).await;
    say(&mut tx, &two, 2, NOW).await;
    say(&mut tx, &one, 1, later(10)).await;
    say(&mut tx, &three, 1, later(10)).await;
    tx.commit().await.unwrap();

    let mut counts = Vec::new();
    loop {
        let mut tx = db.store.begin().await.unwrap();
        let count = retention::forget_messages(&mut tx, later(5), 2).await.unwrap();
        tx.commit().await.unwrap();
        if count == 0 {
            break;
        }
        counts.push(count);
    }
    assert_eq!((counts.iter().sum::<u64>(), counts.iter().max()), (5, Some(&2)), "so much at a time");
    let mut tx = db.store.begin().await.unwrap();
    say(&mut tx, &two, 1, later(20)).await;
    tx.commit().await.unwrap();
    let mut read = db.store.read().await.unwrap();
    for (room, kept_from, left) in [(&one, 4, vec![4]), (&two, 3, vec![3]), (&three, 1, vec![1])] {
        let range = Range { after: 0, before: None, limit: 9, newest: false };
        let told = chat::history(&mut read, room.id, range).await.unwrap().unwrap();
        assert_eq!(told.kept_from, kept_from);
        assert_eq!(told.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), left);
    }
}

async fn open(tx: &mut Tx, user: UserId, expires_at: Timestamp) -> SessionId {
    let session = NewSession {
        id: SessionId(id()),
        user,
        cookie_hash: None,
        user_agent: Some("x"),
        address: None,
        created_at: NOW,
        expires_at,
    };
    sessions::insert(tx, &session).await.unwrap();
    session.id
}

async fn guests_are_stale_when_nothing_of_theirs_is_alive(db: Db) {
    let room = db.room(Access::Public).await;
    let (gone, here, host) = (
        db.member(room.id, "Gone").await,
        db.member(room.id, "Here").await,
        db.member(room.id, "Host").await,
    );
    let out = db.member(room.id, "Out").await;
    db.stand(room.id, out, Standing::Banned).await;
    let mut tx = db.store.begin().await.unwrap();
    rooms::set_host(&mut tx, room.id, host, NOW).await.unwrap();
    open(&mut tx, gone, later(10)).await;
    open(&mut tx, here, later(90)).await;
    let ended = open(&mut tx, out, later(90)).await;
    sessions::revoke(&mut tx, ended, later(10)).await.unwrap();
    let mut stale = retention::stale_guests(&mut tx, later(50), 9).await.unwrap();
    stale.sort_unstable();
    let mut expected = vec![gone, out];
    expected.sort_unstable();
    assert_eq!(stale, expected, "neither the host, nor the owner, nor who has a session");
    assert_eq!(retention::stale_guests(&mut tx, later(50), 1).await.unwrap().len(), 1);
    assert_eq!(retention::stale_guests(&mut tx, NOW, 9).await.unwrap(), []);
}

async fn sessions_go_that_are_over_and_that_nobody_names(db: Db) {
    let ana = db.guest("Ana").await;
    let mut tx = db.store.begin().await.unwrap();
    let (expired, revoked, live) = (
        open(&mut tx, ana, later(10)).await,
        open(&mut tx, ana, later(90)).await,
        open(&mut tx, ana, later(90)).await,
    );
    sessions::insert_refresh(&mut tx, expired, &[1; 32], NOW, later(10)).await.unwrap();
    sessions::revoke(&mut tx, revoked, later(1)).await.unwrap();
    let last = open(&mut tx, ana, later(90)).await;
    sessions::revoke(&mut tx, last, later(40)).await.unwrap();

    assert_eq!(
        retention::forget_sessions(&mut tx, later(50), 9).await.unwrap(),
        1,
        "the log names the others"
    );
    sessions::purge(&mut tx, later(30)).await.unwrap();
    assert_eq!(retention::forget_sessions(&mut tx, later(50), 9).await.unwrap(), 1);
    assert_eq!(retention::forget_sessions(&mut tx, later(50), 9).await.unwrap(), 0);
    assert!(sessions::live(&mut tx, live, later(50)).await.unwrap().is_some());
}
