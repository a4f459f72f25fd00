//! What Redis and the network do to a node, and how it gets over it.

use std::sync::Arc;
use std::time::Duration;

use streamit_bus::redis::{RedisOptions, RedisRooms};
use streamit_bus::{Cas, Error, Expect, Quota, Rooms};
use streamit_domain::Timestamp;
use streamit_domain::rate::Rate;
use tokio_util::sync::CancellationToken;

use super::proxy::Proxy;
use super::support::*;

const FROM_NOTHING: Expect = Expect { version: None, confirmed: true, only_if_empty: false, fence: None };

/// Does one call of each script.
async fn one_of_each(rooms: &RedisRooms) {
    let (room, ana) = (room(), entry(life(), 1, user(), "Ana"));
    rooms.raise_fence(room, 1).await.unwrap();
    assert_eq!(rooms.set_playback(room, FROM_NOTHING, &state(1, 1)).await.unwrap(), Cas::Stored);
    rooms.enter(room, std::slice::from_ref(&ana), 0).await.unwrap();
    rooms.mark_gone(room, &[(ana.key, Timestamp(1))]).await.unwrap();
    assert!(refresh(rooms, room).await.roster > 0);
    assert_eq!(rooms.prune(room, &[], 0).await.unwrap().left.len(), 1);
    rooms.leave(room, &[ana.key], 0).await.unwrap();
    rooms.quota().take(&ana.user.to_string(), Rate::per_minute(1)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_forgets_the_scripts_is_taught_them_again() {
    let server = Server::start().await;
    let rooms = alert_node(&server.url()).await;
    let mut operator = server.operator().await;
    for _ in 0..3 {
        one_of_each(&rooms).await;
        let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut operator).await.unwrap();
    }
    one_of_each(&rooms).await;
}

#[tokio::test]
async fn scripts_forgotten_at_any_moment_cost_no_call() {
    let server = Server::start().await;
    let rooms = alert_node(&server.url()).await;
    let mut operator = server.operator().await;
    let stop = CancellationToken::new();
    let flushing = tokio::spawn({
        let stop = stop.clone();
        async move {
            while !stop.is_cancelled() {
                let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut operator).await.unwrap();
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
        }
    });
    for _ in 0..30 {
        one_of_each(&rooms).await;
    }
    stop.cancel();
    flushing.await.unwrap();
}

#[tokio::test]
async fn calls_go_on_after_their_connections_were_cut() {
    let server = Server::start().await;
    let rooms = alert_node(&server.url()).await;
    one_of_each(&rooms).await;
    let mut operator = server.operator().await;
    let mut kill = redis::cmd("CLIENT");
    let _: u64 = kill.arg("KILL").arg("TYPE").arg("normal").query_async(&mut operator).await.unwrap();
    // What was cut is noticed at the latest by the first call that fails.
    let _ = rooms.roster(room()).await;
    one_of_each(&rooms).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_noticed_and_versions_go_on_growing() {
    let server = Server::start().await;
    let port = server.port;
    let rooms = alert_node(&server.url()).await;
    let (room, ana, life) = (room(), entry(life(), 1, user(), "Ana"), life());
    let mut heard = rooms.subscribe(room).await.unwrap();
    let (before, _) = rooms.enter(room, std::slice::from_ref(&ana), 0).await.unwrap();
    rooms.set_playback(room, FROM_NOTHING, &state(1, 1)).await.unwrap();
    rooms.beat(life, &says("a")).await.unwrap();
    let (doubts, now) = (rooms.doubts(), rooms.now());

    drop(server);
    until("the node notices", async || !rooms.is_healthy()).await;
    assert!(matches!(rooms.roster(room).await, Err(Error::Away(_))));
    assert!(matches!(rooms.beat(life, &says("a")).await, Err(Error::Away(_))));
    until("nobody waits for a subscription", async || {
        let asked = tokio::time::timeout(Duration::from_millis(50), rooms.subscribe(room)).await;
        matches!(asked, Ok(Err(Error::Away(_))))
    })
    .await;
    assert!(rooms.now() >= now, "room time goes on");

    let _server = Server::start_on(port).await;
    hear_renewed(&mut heard).await;
    healthy(&rooms).await;
    assert!(rooms.doubts() > doubts);
    assert_eq!(refresh(&rooms, room).await, streamit_bus::LiveVersions::default());
    assert_eq!(rooms.beats(&[life]).await.unwrap(), [None]);
    let unconfirmed = Expect { confirmed: false, ..FROM_NOTHING };
    assert_eq!(rooms.set_playback(room, unconfirmed, &state(1, 2)).await.unwrap(), Cas::Unknown);
    let (after, _) = rooms.enter(room, std::slice::from_ref(&ana), before.version).await.unwrap();
    assert_eq!(after.previous, 0);
    assert!(after.version > before.version);
    assert_eq!(hear_change(&mut heard).await, after, "and this is heard again");
}

#[tokio::test]
async fn a_roster_that_was_deleted_starts_again_above_the_old_one() {
    let server = Server::start().await;
    let rooms = alert_node(&server.url()).await;
    let (room, life) = (room(), life());
    let mut heard = rooms.subscribe(room).await.unwrap();
    let mut operator = server.operator().await;
    let mut seen = 0;
    for connection in 0..10 {
        let (change, roster) =
            rooms.enter(room, &[entry(life, connection, user(), "Somebody")], seen).await.unwrap();
        assert_eq!((change.previous, roster.users.len()), (0, 1), "nothing is left of the old one");
        assert!(change.version > seen);
        assert_eq!(hear_change(&mut heard).await, change);
        seen = change.version;
        let key = format!("s1:{{{room}}}:roster");
        let _: () = redis::cmd("DEL").arg(key).query_async(&mut operator).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_starts_without_redis_and_finds_it_later() {
    let port = free_port();
    let rooms = alert_node(&format!("redis://127.0.0.1:{port}")).await;
    assert!(!rooms.is_healthy());
    assert!(rooms.now() > Timestamp(1_700_000_000_000), "the process clock stands in");
    assert!(matches!(rooms.subscribe(room()).await, Err(Error::Away(_))));
    assert!(matches!(rooms.enter(room(), &[], 0).await, Err(Error::Away(_))));

    let _server = Server::start_on(port).await;
    healthy(&rooms).await;
    let room = room();
    let mut heard = rooms.subscribe(room).await.unwrap();
    news_comes_through(&rooms, &mut heard, room).await;
    assert!(rooms.doubts() > 0, "what happened before is not known");
}

#[tokio::test]
async fn while_redis_is_away_limits_are_counted_alone() {
    let server = Server::start().await;
    let rooms = alert_node(&server.url()).await;
    let (quota, rate) = (rooms.quota(), Rate { per_minute: 1, burst: 2 });
    quota.take("a", rate).await.unwrap();
    quota.take("a", rate).await.unwrap();
    assert!(quota.take("a", rate).await.is_err());
    drop(server);
    // Nothing of it is known here, and that is generous for once; but a limit there is.
    quota.take("a", rate).await.unwrap();
    quota.take("a", rate).await.unwrap();
    assert!(quota.peek("a", rate).await.is_err());
    assert!(quota.take("a", rate).await.is_err());
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_got_over() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port).await;
    let rooms = Arc::new(alert_node(&proxy.url()).await);
    let room = room();
    let mut heard = rooms.subscribe(room).await.unwrap();
    // Several connections for calls lie idle.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let rooms = rooms.clone();
        tasks.spawn(async move { one_of_each(&rooms).await });
    }
    tasks.join_all().await;
    let doubts = rooms.doubts();

    proxy.freeze_all();
    assert!(matches!(rooms.roster(room).await, Err(Error::Away(_))), "a call ends at its deadline");
    one_of_each(&rooms).await;
    hear_renewed(&mut heard).await;
    assert!(rooms.doubts() > doubts);
    news_comes_through(&rooms, &mut heard, room).await;
    healthy(&*rooms).await;
}

#[tokio::test]
async fn a_node_beats_while_every_connection_for_calls_hangs() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port).await;
    let options = RedisOptions {
        pool_size: 1,
        deadline: Duration::from_secs(3),
        lifetimes: LIFETIMES,
        ..RedisOptions::default()
    };
    let rooms = Arc::new(node_with(&proxy.url(), options).await);
    let (room, life) = (room(), life());
    one_of_each(&rooms).await;
    proxy.freeze_scripts();
    let hanging = tokio::spawn({
        let rooms = rooms.clone();
        async move { rooms.roster(room).await }
    });
    let mut last = None;
    for _ in 0..20 {
        rooms.beat(life, &says("a")).await.unwrap();
        let beat = rooms.beats(&[life]).await.unwrap()[0];
        assert!(beat > last, "each beat is seen");
        last = beat;
    }
    assert!(!hanging.is_finished(), "the call still hangs");
    assert!(matches!(hanging.await.unwrap(), Err(Error::Away(_))));
    one_of_each(&rooms).await;
}

#[tokio::test]
async fn shutting_down_ends_every_subscription() {
    let server = Server::start().await;
    let shutdown = CancellationToken::new();
    let rooms = connect(&server.url(), RedisOptions::default(), shutdown.clone()).await.unwrap();
    let mut heard = rooms.subscribe(room()).await.unwrap();
    shutdown.cancel();
    until("the subscription ends", async || heard.next().await.is_none()).await;
    assert!(matches!(rooms.subscribe(room()).await, Err(Error::Away(_))));

    let rooms = connect(&server.url(), RedisOptions::default(), CancellationToken::new()).await.unwrap();
    let mut heard = rooms.subscribe(room()).await.unwrap();
    drop(rooms);
    until("the subscription ends with its bus", async || heard.next().await.is_none()).await;
}

#[tokio::test]
async fn a_wrong_address_is_refused_without_being_repeated() {
    for wrong in
        ["", "localhost", "http://:hush@localhost", "redis://:hush@localhost:port", "redis://:hush@host/x"]
    {
        let refused = connect(wrong, RedisOptions::default(), CancellationToken::new()).await;
        let text = refused.map(|_| ()).expect_err(wrong).to_string();
        assert!(!text.contains("hush"), "{text}");
    }
}
