//! What was done is written down, is found again, and does not change.

use sqlx::{AssertSqlSafe, Executor};
use streamit_domain::audit::{Action, ActorKind};
use streamit_domain::report::{Reason, State};
use streamit_domain::room::{Access, NETWORK_BAN};
use streamit_domain::{RoomId, SessionId, Timestamp, UserId};
use streamit_storage::audit::{self, Filter, Record};
use streamit_storage::reports::{self, NewReport};
use streamit_storage::sessions::{self, NewSession};
use streamit_storage::{bans, chat};
use uuid::Uuid;

use crate::harness::{Db, NOW, id, later};

both_engines!(
    rows_are_found_by_whom_where_and_what,
    a_row_never_changes,
    what_nobody_knows_of_is_left_out_and_told_twice_is_kept_once,
    old_rows_are_forgotten,
    guests_are_banned_by_where_they_came_from,
    a_report_keeps_what_was_said,
);

fn record(n: u64, action: Action, room: Option<RoomId>, actor: UserId, target: Option<UserId>) -> Record {
    Record {
        id: uuid::Builder::from_unix_timestamp_millis(n, &[7; 10]).into_uuid(),
        at: Timestamp(n as i64),
        action,
        actor_kind: ActorKind::User,
        actor: Some(actor),
        room,
        target,
        address: Some("203.0.113.0/24".into()),
        before: None,
        after: Some(r#"{"a":"é 'x'"}"#.into()),
        reason: Some("because".into()),
        request_id: Some("r-1".into()),
    }
}

async fn insert(db: &Db, records: &[Record]) -> u64 {
    let mut tx = db.store.begin().await.unwrap();
    let count = audit::insert(&mut tx, records).await.unwrap();
    tx.commit().await.unwrap();
    count
}

async fn found(db: &Db, filter: Filter, before: Option<Uuid>, limit: u32) -> Vec<Record> {
    let mut read = db.store.read().await.unwrap();
    let entries = audit::list(&mut read, &filter, before, limit).await.unwrap();
    entries.into_iter().map(|entry| entry.record).collect()
}

async fn rows_are_found_by_whom_where_and_what(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    let rows = [
        record(1, Action::LoggedIn, None, room.host, None),
        record(2, Action::Muted, Some(room.id), room.host, Some(bo)),
        record(3, Action::Left, Some(room.id), bo, None),
    ];
    assert_eq!(insert(&db, &rows).await, 3);
    let [login, mute, left] = rows.clone();

    let all = found(&db, Filter::default(), None, 10).await;
    assert_eq!(all, [left.clone(), mute.clone(), login.clone()], "the newest first, and as they were");
    assert_eq!(found(&db, Filter::default(), Some(left.id), 1).await, std::slice::from_ref(&mute));
    for (filter, expected) in [
        (Filter { room: Some(room.id), ..Filter::default() }, vec![&left, &mute]),
        (Filter { actor: Some(bo), ..Filter::default() }, vec![&left]),
        (Filter { target: Some(bo), ..Filter::default() }, vec![&mute]),
        (Filter { actions: vec![Action::LoggedIn, Action::Left], ..Filter::default() }, vec![&left, &login]),
        (Filter { since: Some(Timestamp(2)), until: Some(Timestamp(3)), ..Filter::default() }, vec![&mute]),
        (Filter { room: Some(room.id), actor: Some(room.host), ..Filter::default() }, vec![&mute]),
        (Filter { room: Some(room.id), target: Some(room.host), ..Filter::default() }, vec![]),
    ] {
        assert_eq!(
            found(&db, filter.clone(), None, 10).await.iter().collect::<Vec<_>>(),
            expected,
            "{filter:?}"
        );
    }
    let mut read = db.store.read().await.unwrap();
    let entry =
        audit::list(&mut read, &Filter { target: Some(bo), ..Filter::default() }, None, 1).await.unwrap();
    assert_eq!(entry[0].target_name.as_ref().unwrap().as_str(), "Bo");
    assert_eq!(entry[0].room_code.as_deref(), Some(room.code.as_str()));
}

async fn a_row_never_changes(db: Db) {
    let room = db.room(Access::Public).await;
    insert(&db, &[record(1, Action::LoggedIn, None, room.host, None)]).await;
    const SQL: &str = "UPDATE audit_log SET reason = 'forged'";
    let changed = if db.url.starts_with("sqlite") {
        let pool = sqlx::SqlitePool::connect(&db.url).await.unwrap();
        pool.execute(AssertSqlSafe(SQL)).await.map(drop)
    } else {
        let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
        pool.execute(AssertSqlSafe(SQL)).await.map(drop)
    };
    assert!(changed.unwrap_err().to_string().contains("append-only"));
}

async fn what_nobody_knows_of_is_left_out_and_told_twice_is_kept_once(db: Db) {
    let room = db.room(Access::Public).await;
    let rows = [
        record(1, Action::Playback, Some(room.id), room.host, None),
        record(2, Action::Playback, Some(RoomId(id())), room.host, None),
        record(3, Action::Playback, Some(room.id), UserId(id()), None),
    ];
    assert_eq!(insert(&db, &rows).await, 1);
    assert_eq!(insert(&db, &rows).await, 0);
    assert_eq!(insert(&db, &[]).await, 0);
}

async fn old_rows_are_forgotten(db: Db) {
    let room = db.room(Access::Public).await;
    let rows: Vec<Record> = (1..=5).map(|n| record(n, Action::LoggedIn, None, room.host, None)).collect();
    insert(&db, &rows).await;
    let mut tx = db.store.begin().await.unwrap();
    assert_eq!(audit::purge(&mut tx, Timestamp(4), 2).await.unwrap(), 2);
    assert_eq!(audit::purge(&mut tx, Timestamp(4), 2).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(found(&db, Filter::default(), None, 10).await.len(), 2);
}

async fn guests_are_banned_by_where_they_came_from(db: Db) {
    let (room, other) = (db.room(Access::Public).await, db.room(Access::Public).await);
    let bo = db.member(room.id, "Bo").await;
    let mut tx = db.store.begin().await.unwrap();
    for (n, network) in [(1, "home"), (2, "home"), (3, "work")] {
        let session = NewSession {
            id: SessionId(id()),
            user: bo,
            cookie_hash: Some(&[n; 32]),
            user_agent: None,
            address: Some(network),
            created_at: NOW,
            expires_at: later(1_000),
        };
        sessions::insert(&mut tx, &session).await.unwrap();
    }
    let until = NOW.plus(NETWORK_BAN);
    bans::insert(&mut tx, room.id, bo, until, NOW).await.unwrap();
    bans::insert(&mut tx, room.id, bo, until, NOW).await.unwrap();
    for (room, network, at, expected) in [
        (room.id, "home", NOW, true),
        (room.id, "work", NOW, true),
        (room.id, "elsewhere", NOW, false),
        (other.id, "home", NOW, false),
        (room.id, "home", until, false),
    ] {
        assert_eq!(bans::covers(&mut tx, room, network, at).await.unwrap(), expected, "{network}");
    }
    assert_eq!(bans::purge(&mut tx, NOW).await.unwrap(), 0);
    bans::lift(&mut tx, room.id, bo).await.unwrap();
    assert!(!bans::covers(&mut tx, room.id, "home", NOW).await.unwrap());
}

async fn a_report_keeps_what_was_said(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    let said = chat::Draft {
        room: room.id,
        user: bo,
        text: "ugly".into(),
        key: "k".into(),
        key_is_client_id: false,
    };
    let mut tx = db.store.begin().await.unwrap();
    chat::append(&mut tx, &[said], NOW).await.unwrap();
    let report = |seq, user| NewReport {
        id: id(),
        room: room.id,
        reporter: room.host,
        user,
        seq,
        reason: Reason::Abuse,
        note: Some("look".into()),
        created_at: NOW,
    };
    let first = report(Some(1), Some(bo));
    assert_eq!(reports::insert(&mut tx, &first).await.unwrap(), first.id);
    assert_eq!(
        reports::insert(&mut tx, &report(Some(1), Some(bo))).await.unwrap(),
        first.id,
        "while it is open"
    );
    let about_room = report(None, None);
    assert_eq!(reports::insert(&mut tx, &about_room).await.unwrap(), about_room.id);
    chat::erase(&mut tx, room.id, chat::Which::One(1), NOW).await.unwrap();

    let kept = reports::get(&mut tx, first.id).await.unwrap().unwrap();
    assert_eq!((kept.quote.as_deref(), kept.user_name.unwrap().as_str()), (Some("ugly"), "Bo"));
    assert_eq!(reports::count_open(&mut tx).await.unwrap(), 2);
    assert!(reports::handle(&mut tx, first.id, State::Acted, room.host, "erased", NOW).await.unwrap());
    assert!(!reports::handle(&mut tx, first.id, State::Dismissed, room.host, "no", NOW).await.unwrap());
    let of = |state| reports::Filter { state: Some(state), ..reports::Filter::default() };
    assert_eq!(reports::list(&mut tx, of(State::Open), None, 9).await.unwrap()[0].id, about_room.id);
    assert_eq!(reports::list(&mut tx, of(State::Acted), None, 9).await.unwrap()[0].id, first.id);
    let about_bo = reports::Filter { user: Some(bo), room: Some(room.id), ..reports::Filter::default() };
    assert_eq!(reports::list(&mut tx, about_bo, None, 9).await.unwrap().len(), 1);
    assert_eq!(reports::purge(&mut tx, later(1), 10).await.unwrap(), 1);
    assert_eq!(reports::count_open(&mut tx).await.unwrap(), 1, "what waits is kept");
}
