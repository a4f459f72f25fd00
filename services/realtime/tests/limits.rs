//! What one address, or an api that says nothing, can do to the way in.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use streamit_bus::memory::MemoryRooms;
use streamit_client::{CloseReason, Connection, Options};
use streamit_realtime::Realtime;
use streamit_realtime::authority::Authority;
use streamit_realtime::config::Public;
use streamit_realtime::node::connections::PER_ADDRESS;
use streamit_telemetry::{SystemClock, SystemEntropy};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

/// By when somebody who can't be let in must have been told: 8 s, and what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(12);
/// Reads as a token of a key that nobody knows yet (`{"alg":"EdDSA","kid":"k"}`), so the api has to be asked.
const TOKEN: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.e30.AAAA";

/// A node whose api takes every connection and never answers; and where it listens.
async fn node() -> (Realtime, String) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = Endpoint::from_shared(format!("http://{}", silent.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let authority = Authority::new(vec![("api".into(), api.connect_lazy())], None).unwrap();
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let rooms = Arc::new(MemoryRooms::new(clock.clone()));
    let realtime = Realtime::new(&Public::default(), "node".into(), authority, rooms, clock, entropy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws/room/ABC123/?token={TOKEN}", listener.local_addr().unwrap());
    tokio::spawn(streamit_edge::serve(listener, realtime.http(), CancellationToken::new()));
    (realtime, url)
}

async fn refused(url: &str) -> CloseReason {
    let options = Options { patience: PATIENCE, ..Options::default() };
    Connection::open_url(url, options).await.unwrap().closed().await.unwrap()
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let (realtime, url) = node().await;
    let connections = &realtime.node().connections;
    let from = |address: Ipv4Addr| connections.open_from(address.to_string(), true);
    let mut held: Vec<_> = (0..PER_ADDRESS).map(|_| from(Ipv4Addr::LOCALHOST).unwrap()).collect();
    let elsewhere: Vec<_> = (0..PER_ADDRESS).map(|_| from(Ipv4Addr::new(127, 0, 0, 2)).unwrap()).collect();

    let begun = Instant::now();
    let reason = refused(&url).await;
    assert!(reason.code == 4105 && reason.retry_in_ms.is_some_and(|wait| wait > 0), "{reason}");
    assert!(begun.elapsed() < PATIENCE / 4, "nobody is asked for that");

    // A place that is free is free, whatever others have.
    held.pop();
    assert_eq!(refused(&url).await.code, 1013, "the api was asked, and says nothing");
    drop(elsewhere);
}

#[tokio::test]
async fn whoever_can_t_be_let_in_is_told_so_in_time() {
    let (_realtime, url) = node().await;
    let begun = Instant::now();
    let reason = refused(&url).await;
    assert!(reason.code == 1013 && reason.retry_in_ms.is_some_and(|wait| wait > 0), "{reason}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
