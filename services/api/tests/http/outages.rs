//! A PostgreSQL that goes away and comes back while nodes and people ask.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use streamit_api::config::Public;
use streamit_wire::v1;
use tonic::Code;
use url::Url;

use crate::grpc::{append, connect, draft};
use crate::proxy::Proxy;
use crate::support::{World, eventually, next};

/// How soon a call is refused while it is found out that the database is away; generous, for a busy machine.
const SOON: Duration = Duration::from_millis(1_500);

/// Runs a story with an api whose way to its PostgreSQL can go bad.
async fn with_postgres<F: Future<Output = ()>>(story: impl FnOnce(World, Proxy) -> F) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server =
        std::env::var("STREAMIT_TEST_POSTGRES").expect("`make test` starts a PostgreSQL and names it");
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let database = format!("streamit_api_{}_{count}", std::process::id());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {database}"))).await.unwrap();
    let mut url = Url::parse(&server).unwrap();
    url.set_path(&database);
    let proxy = Proxy::to(url.as_str()).await;
    let world = World::on(Public::default(), &proxy.url(), tempfile::tempdir().unwrap()).await;
    let store = world.store.clone();
    story(world, proxy).await;
    store.close().await;
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {database} WITH (FORCE)"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_everybody_is_told_so_in_time() {
    with_postgres(|world, proxy| async move {
        let client = connect(&world).await;
        let ana = world.guest("Ana").await;
        let room = world.public_room(&ana).await;
        let said = || v1::AppendRequest { drafts: vec![draft(&room, &ana, "hi", "k")] };
        let facts = || {
            let rooms = vec![v1::FactsSince { room: room.id.as_bytes().to_vec(), version: 0 }];
            v1::FactsRequest { rooms }
        };

        proxy.hold();
        let start = Instant::now();
        let calls = (0..50).map(|_| {
            let (mut one, mut other) = (client.clone(), client.clone());
            let (said, facts) = (said(), facts());
            async move {
                let (said, facts) = tokio::join!(one.append(said), other.facts(facts));
                [said.unwrap_err().code(), facts.unwrap_err().code()]
            }
        });
        let guest = world.post("/api/auth/guest/").json(json!({"display_name": "Bo"})).send();
        let (codes, guest) = tokio::join!(join_all(calls), guest);
        assert!(codes.iter().flatten().all(|code| *code == Code::Unavailable), "{codes:?}");
        guest.refused(503, "TRY_AGAIN");
        assert_eq!(guest.header("retry-after"), Some("1"));
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());

        // Known by now: nobody waits any more.
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(client.clone().append(said()).await.unwrap_err().code(), Code::Unavailable);
            world.get("/api/auth/me/").by(&ana).send().await.refused(503, "TRY_AGAIN");
        }
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());

        proxy.heal();
        let start = Instant::now();
        eventually("a message is stored", || async { client.clone().append(said()).await.ok() }).await;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(world.get("/api/auth/me/").by(&ana).send().await.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_commit_nobody_heard_of_is_stored_once_and_told() {
    with_postgres(|world, proxy| async move {
        let mut client = connect(&world).await;
        let ana = world.guest("Ana").await;
        let room = world.public_room(&ana).await;
        let mut news = world.rooms.subscribe(room.id).await.unwrap();
        for (round, text) in (1..).zip(["one", "two", "three"]) {
            let said = || vec![draft(&room, &ana, text, text)];
            proxy.lose_next_commit();
            let status = client.append(v1::AppendRequest { drafts: said() }).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            let again = append(&mut client, said()).await.remove(0);
            assert!(again.repeated_key, "{again:?}");
            assert_eq!(again.message.unwrap().seq, round);
            let Some(v1::event::Kind::Chat(chat)) = next(&mut news).await.kind else { panic!("no message") };
            assert_eq!((chat.messages[0].seq, chat.messages[0].text.as_str()), (round, text));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_or_are_forgotten_cost_at_most_what_was_under_way() {
    with_postgres(|world, proxy| async move {
        let mut client = connect(&world).await;
        let ana = world.guest("Ana").await;
        let room = world.public_room(&ana).await;
        for round in 0..6 {
            if round % 2 == 0 {
                proxy.cut_open();
            } else {
                proxy.forget_open();
            }
            let key = format!("k{round}");
            let said = append(&mut client, vec![draft(&room, &ana, "hi", &key)]).await.remove(0);
            assert_eq!(said.message.unwrap().seq, round + 1);
            assert_eq!(world.get("/api/auth/me/").by(&ana).send().await.status, 200);
        }

        proxy.refuse(); // as a server that is being started anew does
        let last = || vec![draft(&room, &ana, "hi", "last")];
        let status = client.append(v1::AppendRequest { drafts: last() }).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        proxy.heal();
        let said = eventually("a message is stored", || async {
            client.clone().append(v1::AppendRequest { drafts: last() }).await.ok()
        })
        .await;
        assert_eq!(said.into_inner().results.remove(0).message.unwrap().seq, 7);
    })
    .await;
}
