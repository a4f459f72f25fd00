//! Nobody who is quiet is cut off.

use std::time::Duration;

use futures_util::future::join_all;
use streamit_client::Frame;
use streamit_e2e::balancer::Kind;
use streamit_e2e::fault::Cluster;
use tokio::time::{Instant, timeout_at};

use crate::plan;

/// The server's first ping comes after 25 seconds.
const UNTIL_PINGED: Duration = Duration::from_secs(28);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_on_which_nothing_happens_stays_and_is_pinged() {
    join_all([Kind::Nginx, Kind::Haproxy, Kind::Envoy].map(stays_quiet)).await;
}

async fn stays_quiet(kind: Kind) {
    let cluster = Cluster::behind(kind, plan("off")).await;
    let ana = cluster.system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut seat = room.join_on(0, &ana).await;
    let end = Instant::now() + UNTIL_PINGED;
    let mut pinged = false;
    while let Ok(frame) = timeout_at(end, seat.line.receiver().frame()).await {
        let frame = frame.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        pinged |= matches!(frame, Frame::Heartbeat);
    }
    assert!(pinged, "{kind:?}: no ping came");
    seat.say("still here").await;
    seat.hears("still here").await;
}
