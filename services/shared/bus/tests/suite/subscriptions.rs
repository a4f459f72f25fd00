//! What happens to the one connection that carries all subscriptions.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use streamit_bus::Rooms;
use streamit_bus::redis::RedisOptions;

use super::proxy::Proxy;
use super::support::*;

/// Cuts all connections that subscribe; returns how many there were.
async fn cut(operator: &mut MultiplexedConnection) -> u64 {
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("pubsub").query_async(operator).await.unwrap()
}

/// How many channels somebody listens to, and over how many connections.
async fn channels(operator: &mut MultiplexedConnection) -> (usize, usize) {
    let channels: Vec<String> = redis::cmd("PUBSUB").arg("CHANNELS").query_async(operator).await.unwrap();
    let mut list = redis::cmd("CLIENT");
    let clients: String = list.arg("LIST").arg("TYPE").arg("pubsub").query_async(operator).await.unwrap();
    (channels.len(), clients.lines().count())
}

#[tokio::test]
async fn a_cut_subscription_is_made_again_and_everybody_is_told() {
    let server = Server::start().await;
    let rooms = alert_node(&server.url()).await;
    let here: Vec<_> = (0..700).map(|_| room()).collect();
    let mut listeners = Vec::new();
    for room in &here {
        listeners.push(rooms.subscribe(*room).await.unwrap());
    }
    let mut all = rooms.subscribe_all().await.unwrap();
    let doubts = rooms.doubts();

    let mut operator = server.operator().await;
    assert_eq!(cut(&mut operator).await, 1, "one connection carries all subscriptions");

    for heard in &mut listeners {
        hear_renewed(heard).await;
    }
    hear_renewed(&mut all).await;
    until("the node doubts", async || rooms.doubts() > doubts).await;
    healthy(&rooms).await;
    for (room, heard) in here.iter().zip(&mut listeners).step_by(97) {
        news_comes_through(&rooms, heard, *room).await;
    }
}

#[tokio::test]
async fn a_subscription_that_is_cut_again_and_again_comes_back_and_leaves_nothing_behind() {
    let server = Server::start().await;
    let rooms = alert_node(&server.url()).await;
    let mut operator = server.operator().await;
    let here: Vec<_> = (0..600).map(|_| room()).collect();
    let mut listeners = Vec::new();
    for room in &here {
        listeners.push(rooms.subscribe(*room).await.unwrap());
    }
    for _ in 0..40 {
        until("somebody subscribes", async || cut(&mut operator).await > 0).await;
        // Who comes and goes meanwhile may find the connection cut under it, at any point.
        let asked = tokio::join!(rooms.subscribe(room()), rooms.subscribe(room()), rooms.subscribe(room()));
        drop(asked);
    }
    for (room, heard) in here.iter().zip(&mut listeners).step_by(97) {
        hear_renewed(heard).await;
        // News may be lost until the last cut is got over; afterwards none is.
        healthy(&rooms).await;
        news_comes_through(&rooms, heard, *room).await;
    }
    // The node's rooms and its own probe, over one connection.
    until("nothing is left behind", async || channels(&mut operator).await == (here.len() + 1, 1)).await;
    drop(listeners);
    until("nothing is listened to", async || channels(&mut operator).await == (1, 1)).await;
}

#[tokio::test]
async fn a_subscription_that_carries_nothing_is_noticed_by_the_probe() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port).await;
    let rooms = alert_node(&proxy.url()).await;
    let room = room();
    let mut heard = rooms.subscribe(room).await.unwrap();
    news_comes_through(&rooms, &mut heard, room).await;
    let doubts = rooms.doubts();

    proxy.freeze_subscriptions();
    hear_renewed(&mut heard).await;
    assert!(rooms.doubts() > doubts);
    news_comes_through(&rooms, &mut heard, room).await;
    healthy(&rooms).await;
}

#[tokio::test]
async fn a_subscription_that_carries_nothing_is_got_over_within_five_seconds() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port).await;
    let rooms = node_with(&proxy.url(), RedisOptions::default()).await;
    let room = room();
    let mut heard = rooms.subscribe(room).await.unwrap();
    news_comes_through(&rooms, &mut heard, room).await;

    proxy.freeze_subscriptions();
    let frozen = Instant::now();
    hear_renewed(&mut heard).await;
    news_comes_through(&rooms, &mut heard, room).await;
    assert!(frozen.elapsed() < Duration::from_secs(5), "it took {:?}", frozen.elapsed());
}

#[tokio::test]
async fn who_comes_while_a_subscription_carries_nothing_does_not_keep_it_from_being_made_anew() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port).await;
    let rooms = alert_node(&proxy.url()).await;
    let here = room();
    let mut heard = rooms.subscribe(here).await.unwrap();
    proxy.freeze_subscriptions();
    let frozen = Instant::now();
    let _confirmed_or_not = rooms.subscribe(room()).await;
    hear_renewed(&mut heard).await;
    // A command of the server that is never answered is given up only after 5 s.
    assert!(frozen.elapsed() < Duration::from_secs(3), "it took {:?}", frozen.elapsed());
    news_comes_through(&rooms, &mut heard, here).await;
}

#[tokio::test]
async fn a_store_that_is_away_is_looked_for_more_often() {
    let port = free_port();
    let hour = Duration::from_secs(3_600);
    let options = RedisOptions { probe_every: hour, ..RedisOptions::default() };
    let rooms = node_with(&format!("redis://127.0.0.1:{port}"), options).await;
    assert!(!rooms.is_healthy());
    let _server = Server::start_on(port).await;
    let back = Instant::now();
    healthy(&rooms).await;
    assert!(back.elapsed() < Duration::from_millis(1_500), "it took {:?}", back.elapsed());
}
