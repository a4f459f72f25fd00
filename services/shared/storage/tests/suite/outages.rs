//! PostgreSQL that goes away and comes back: nobody waits long for it, nothing happens twice, and nothing has to be
//! restarted.

use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::{Connection, PgConnection};
use streamit_domain::room::Access;
use streamit_storage::chat::{self, Draft, Outcome};
use streamit_storage::{Error, Options, Store, rooms};

use crate::harness::{Db, NOW};
use crate::proxy::Proxy;

/// Makes a test of `async fn name(db: Db, proxy: Proxy, store: Store)`, whose store reaches its database through the
/// proxy.
macro_rules! through_a_proxy {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::harness::on_postgres(|db| async move {
                    let proxy = crate::proxy::Proxy::to(&db.url).await;
                    let store = streamit_storage::Store::connect(&proxy.url(), super::options()).await.unwrap();
                    super::$name(db, proxy, store.clone()).await;
                    store.close().await;
                })
                .await;
            })+
        }
    };
}

through_a_proxy!(
    connections_that_were_cut_cost_no_later_call,
    a_connection_cut_in_a_transaction_takes_only_that_with_it,
    a_commit_whose_answer_was_lost_is_found_again_by_its_key,
    a_dead_link_is_known_within_a_second_and_then_at_once,
    a_server_that_refuses_is_known_at_once_and_found_again,
    connections_that_a_router_forgot_are_replaced_without_a_failure,
    an_answer_that_never_comes_holds_no_connection_and_no_lock,
    a_call_that_is_given_up_leaves_no_transaction_behind,
);

/// Connections of a store in these tests.
const CONNECTIONS: u32 = 6;
/// How soon a call is refused that meets a dead link; generous, for a machine that does other things too.
const SOON: Duration = Duration::from_millis(1_800);

fn options() -> Options {
    Options {
        max_connections: CONNECTIONS,
        statement_timeout: Duration::from_millis(1_500),
        ..Options::default()
    }
}

/// As many calls at once as there are connections, so that all of them are open, and one more.
async fn fill(store: &Store) {
    join_all((0..=CONNECTIONS).map(|_| store.ping())).await.into_iter().collect::<Result<(), _>>().unwrap();
}

/// Asks until there is an answer, and tells how long that took.
async fn back_after(store: &Store) -> Duration {
    let start = Instant::now();
    while store.ping().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

/// Waits, for less time than the server itself would take to end it, until no transaction is open in this database.
async fn nobody_holds_a_transaction(admin: &mut PgConnection) {
    let start = Instant::now();
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    while sqlx::query_as::<_, (i64,)>(open).fetch_one(&mut *admin).await.unwrap().0 > 0 {
        assert!(start.elapsed() < Duration::from_secs(1), "a transaction was left open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Polls so often, then lets go.
async fn after_polls(mut polls: u64, work: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        work.as_mut().poll(context)
    })
    .await;
}

fn is_away<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    result.as_ref().is_err_and(Error::is_away)
}

async fn connections_that_were_cut_cost_no_later_call(_: Db, proxy: Proxy, store: Store) {
    for _ in 0..3 {
        fill(&store).await;
        proxy.cut_open();
        fill(&store).await;
    }
}

async fn a_connection_cut_in_a_transaction_takes_only_that_with_it(db: Db, proxy: Proxy, store: Store) {
    let room = db.room(Access::Public).await;
    let mut tx = store.begin().await.unwrap();
    rooms::set_source(&mut tx, room.id, None).await.unwrap();
    proxy.cut_open();
    assert!(is_away(&tx.commit().await));
    let mut tx = store.begin().await.unwrap();
    assert_eq!(rooms::set_source(&mut tx, room.id, None).await.unwrap(), Some(room.facts_version + 1));
    tx.commit().await.unwrap();
}

async fn a_commit_whose_answer_was_lost_is_found_again_by_its_key(db: Db, proxy: Proxy, store: Store) {
    let room = db.room(Access::Public).await;
    let draft =
        Draft { room: room.id, user: room.host, text: "hi".into(), key: "k".into(), key_is_client_id: true };
    let say = || async {
        let mut tx = store.begin().await?;
        let said = chat::append(&mut tx, std::slice::from_ref(&draft), NOW).await?.remove(0);
        tx.commit().await.map(|()| said.outcome)
    };
    proxy.lose_next_commit();
    let lost = say().await;
    assert!(is_away(&lost), "{lost:?}");
    let again = say().await.unwrap();
    assert!(matches!(&again, Outcome::Repeated(message) if message.seq == 1), "{again:?}");
}

async fn a_dead_link_is_known_within_a_second_and_then_at_once(_: Db, proxy: Proxy, store: Store) {
    fill(&store).await;
    let mut tx = store.begin().await.unwrap();
    proxy.hold();
    let start = Instant::now();
    // Some wait for an answer, some for a sign of life, some for a connection, some for one of these to be returned.
    let crowd = join_all((0..CONNECTIONS * 5).map(|_| store.ping()));
    let (answer, crowd) =
        tokio::join!(rooms::by_id(&mut tx, streamit_domain::RoomId(crate::harness::id())), crowd);
    assert!(is_away(&answer) && crowd.iter().all(is_away), "{answer:?} {crowd:?}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    drop(tx);

    let start = Instant::now();
    for _ in 0..100 {
        assert!(is_away(&store.ping().await));
    }
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());

    proxy.heal();
    let back = back_after(&store).await;
    assert!(back < Duration::from_secs(2), "{back:?}");
    fill(&store).await;
}

async fn a_server_that_refuses_is_known_at_once_and_found_again(_: Db, proxy: Proxy, store: Store) {
    fill(&store).await;
    proxy.refuse();
    let start = Instant::now();
    let refused = store.ping().await;
    assert!(is_away(&refused), "{refused:?}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    proxy.heal();
    let back = back_after(&store).await;
    assert!(back < Duration::from_secs(2), "{back:?}");
    fill(&store).await;
}

async fn connections_that_a_router_forgot_are_replaced_without_a_failure(_: Db, proxy: Proxy, store: Store) {
    fill(&store).await;
    proxy.forget_open();
    let start = Instant::now();
    fill(&store).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

async fn an_answer_that_never_comes_holds_no_connection_and_no_lock(db: Db, proxy: Proxy, store: Store) {
    let room = db.room(Access::Public).await;
    let stuck = join_all((0..CONNECTIONS).map(|i| {
        let (store, room) = (&store, &room);
        async move {
            let mut tx = store.begin().await.unwrap();
            if i == 0 {
                rooms::lock(&mut tx, room.id).await.unwrap();
            }
            tx
        }
    }))
    .await;
    proxy.forget_open();
    // Every place in the pool is taken by somebody who waits for what will never come.
    let given_up = join_all(stuck.into_iter().map(|mut tx| async move {
        let answer = rooms::by_id(&mut tx, streamit_domain::RoomId(crate::harness::id())).await;
        drop(tx);
        answer
    }));
    let start = Instant::now();
    assert!(given_up.await.iter().all(is_away));
    fill(&store).await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    // The server heard nothing of it; it ends what holds the room by itself.
    let mut tx = db.store.begin().await.unwrap();
    rooms::lock(&mut tx, room.id).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

async fn a_call_that_is_given_up_leaves_no_transaction_behind(db: Db, proxy: Proxy, _: Store) {
    let one = Options { max_connections: 1, ..options() };
    let store = Store::connect(&proxy.url(), one).await.unwrap();
    let room = db.room(Access::Public).await;
    let mut admin = PgConnection::connect(&db.url).await.unwrap();
    for given_up in 0..24 {
        // Given up at each point between asking for a connection and the last answer.
        let change = async {
            let mut tx = store.begin().await.unwrap();
            rooms::lock(&mut tx, room.id).await.unwrap();
            rooms::set_source(&mut tx, room.id, None).await.unwrap();
        };
        after_polls(given_up, Box::pin(change)).await;
        store.ping().await.unwrap();
        nobody_holds_a_transaction(&mut admin).await;
        let mut tx = store.begin().await.unwrap();
        let version = rooms::set_source(&mut tx, room.id, None).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(version, Some(room.facts_version + given_up + 1));
        assert_eq!(Some(db.reload(room.id).await.facts_version), version);
    }
    store.close().await;
    admin.close().await.unwrap();
}
