//! Opening a database and bringing it up to date.

use streamit_storage::keys::{Secret, secret};
use streamit_storage::{Error, Options, Store};

use crate::harness::{Db, NOW, name};

both_engines!(
    migrating_again_changes_nothing,
    replicas_may_migrate_at_once,
    a_newer_releases_migration_is_no_reason_to_stop,
    a_closed_store_is_away,
    a_reader_sees_what_was_committed_and_nothing_else,
    a_dropped_transaction_never_happened,
    callers_that_go_away_half_way_leave_nothing_behind,
);

async fn migrating_again_changes_nothing(db: Db) {
    let before = secret(&mut db.store.read().await.unwrap(), Secret::Csrf).await.unwrap();
    assert_eq!(before, vec![1; 32]);

    db.as_owner().await.migrate(|bytes| bytes.fill(2)).await.unwrap();

    assert!(db.store.schema_is_current().await.unwrap());
    let mut read = db.store.read().await.unwrap();
    for which in [Secret::RoomPasswords, Secret::Csrf, Secret::Addresses] {
        assert_eq!(secret(&mut read, which).await.unwrap(), before, "a secret must never change");
    }
    db.store.ping().await.unwrap();
}

async fn replicas_may_migrate_at_once(db: Db) {
    let owner = db.as_owner().await;
    let replicas: Vec<_> = (0..4)
        .map(|n| {
            let store = owner.clone();
            tokio::spawn(async move { store.migrate(move |bytes| bytes.fill(n)).await })
        })
        .collect();
    for replica in replicas {
        replica.await.unwrap().unwrap();
    }
}

async fn a_newer_releases_migration_is_no_reason_to_stop(db: Db) {
    const NEWER: &str = "
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    if db.url.starts_with("sqlite") {
        sqlx::query(NEWER).execute(&sqlx::SqlitePool::connect(&db.url).await.unwrap()).await.unwrap();
    } else {
        sqlx::query(NEWER).execute(&sqlx::PgPool::connect(&db.url).await.unwrap()).await.unwrap();
    }

    assert!(db.store.schema_is_current().await.unwrap());
    db.as_owner().await.migrate(|bytes| bytes.fill(2)).await.unwrap();
}

async fn a_closed_store_is_away(db: Db) {
    db.store.close().await;

    let error = db.store.ping().await.unwrap_err();

    assert!(error.is_away() && !error.is_transient(), "{error:?}");
}

async fn a_reader_sees_what_was_committed_and_nothing_else(db: Db) {
    let mut read = db.store.read().await.unwrap();
    let mut tx = db.store.begin().await.unwrap();
    let user = streamit_storage::users::NewUser::guest(crate::harness::id().into(), name("Ana"), NOW);
    streamit_storage::users::insert(&mut tx, &user).await.unwrap();
    assert!(streamit_storage::users::by_id(&mut tx, user.id).await.unwrap().is_some(), "its own writes");
    assert_eq!(streamit_storage::users::by_id(&mut read, user.id).await.unwrap(), None);

    tx.commit().await.unwrap();

    assert!(streamit_storage::users::by_id(&mut read, user.id).await.unwrap().is_some());
}

async fn a_dropped_transaction_never_happened(db: Db) {
    let user = streamit_storage::users::NewUser::guest(crate::harness::id().into(), name("Ana"), NOW);
    for is_explicit in [false, true] {
        let mut tx = db.store.begin().await.unwrap();
        streamit_storage::users::insert(&mut tx, &user).await.unwrap();
        if is_explicit {
            tx.rollback().await.unwrap();
        } else {
            drop(tx);
        }
        let mut tx = db.store.begin().await.unwrap();
        assert_eq!(streamit_storage::users::by_id(&mut tx, user.id).await.unwrap(), None);
    }
}

async fn callers_that_go_away_half_way_leave_nothing_behind(db: Db) {
    use std::future::{Future, poll_fn};
    use std::task::Poll;

    let room = db.room(streamit_domain::room::Access::Public).await;
    // A client that hangs up drops the future of its request, wherever that stands: here after 0, 1, 2.. polls.
    for polls in 0..120 {
        let user = db.guest("Bo").await;
        let work = {
            let db = db.clone();
            async move { db.join(room.id, user, "Bo", streamit_domain::room::Standing::Pending).await }
        };
        let mut work = Box::pin(work);
        let mut left = polls;
        poll_fn(|context| {
            if left == 0 || work.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            left -= 1;
            Poll::Pending
        })
        .await;
        drop(work);
    }

    let versions = db.reload(room.id).await.facts_version;
    assert_eq!(versions, db.facts(room.id, 0).await.people.len() as u64 + 1, "each version with its entry");
    assert_eq!(db.store.begin().await.unwrap().commit().await.map_err(|error| error.to_string()), Ok(()));
}

#[test]
fn both_engines_have_the_same_migrations() {
    let versions = |migrator: sqlx::migrate::Migrator| -> Vec<(i64, String)> {
        migrator.iter().map(|migration| (migration.version, migration.description.to_string())).collect()
    };

    let postgres = versions(sqlx::migrate!("../../../migrations/postgres"));
    let sqlite = versions(sqlx::migrate!("../../../migrations/sqlite"));

    assert!(!postgres.is_empty());
    assert_eq!(postgres, sqlite);
}

#[tokio::test]
async fn an_empty_database_is_not_current() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("new.db").display());
    let store = Store::connect(&url, Options::default()).await.unwrap();

    assert!(!store.schema_is_current().await.unwrap());
    store.migrate(|bytes| bytes.fill(1)).await.unwrap();
    assert!(store.schema_is_current().await.unwrap());

    store.close().await;
}

#[tokio::test]
async fn a_url_that_cannot_work_is_refused_without_repeating_it() {
    for url in
        ["mysql://ana:hunter2@db/x", "sqlite::memory:", "postgres://ana:hunter2@db:port/x", "hunter2", ""]
    {
        let error = Store::connect(url, Options::default()).await.unwrap_err();
        assert!(matches!(error, Error::Unusable(_)), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_away() {
    // Nothing listens on port 1 of this machine.
    let options = Options { acquire_timeout: std::time::Duration::from_millis(50), ..Options::default() };
    let error = Store::connect("postgres://nobody@127.0.0.1:1/none", options).await.unwrap_err();
    assert!(error.is_away(), "{error:?}");
}
