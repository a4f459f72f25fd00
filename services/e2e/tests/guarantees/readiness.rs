//! A film waits for somebody's player when what it waits with dies.

use std::time::Duration;

use serde_json::json;
use streamit_client::PlaybackState;
use streamit_e2e::fault::Cluster;
use streamit_e2e::{Room, Seat};
use tokio::time::Instant;

use crate::{assert_within, ms, plan, tell};

const HELD: fn(&PlaybackState) -> bool = |state| state.held;
const RUNS: fn(&PlaybackState) -> bool = |state| state.is_playing;
/// What may pass between a deadline and the moment at which everybody has heard.
const LATE: Duration = Duration::from_secs(1);

/// A strict room with somebody on each of three nodes, the host on the first; all but the last `silent` are ready.
async fn strict(cluster: &Cluster, silent: usize) -> (Room, [Seat; 3]) {
    let mut people = Vec::new();
    for name in ["Ana", "Bo", "Cy"] {
        people.push(cluster.system.guest(name).await);
    }
    let room = people[0].public_room().await;
    room.host_does("settings", json!({"readiness": "strict"})).await;
    let mut seats = [
        room.join_on(0, &people[0]).await,
        room.join_on(1, &people[1]).await,
        room.join_on(2, &people[2]).await,
    ];
    for seat in &mut seats[..3 - silent] {
        seat.line.sender().ready(None).await.expect("the connection lives");
    }
    (room, seats)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_that_waits_goes_on_although_the_nodes_die_that_made_it_wait() {
    let cluster = Cluster::start(plan()).await;
    let (_, mut seats) = strict(&cluster, 0).await;
    seats[0].play(Some(10.0)).await;
    seats[2].sees("the film running", RUNS).await;
    seats[1].line.sender().buffering(None).await.unwrap();
    let held = seats[2].sees("the film held", HELD).await;
    let since = Instant::now();

    // That of the host, and that of whom the film waits for, which is the one that holds it.
    cluster.kill_node(0);
    cluster.kill_node(1);

    let run = seats[2].sees("the film running", RUNS).await;
    let waited = since.elapsed();
    tell("the nodes of the host and of whom the film waits for killed", format!("held for {}", ms(waited)));
    assert!((run.time - held.time).abs() < 0.001, "from where it stood");
    assert_within("the film goes on", waited, Duration::from_secs(8) + LATE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_that_waits_goes_on_in_time_although_redis_forgot_it() {
    let cluster = Cluster::start(plan()).await;
    let (_, mut seats) = strict(&cluster, 1).await;
    seats[0].play(Some(10.0)).await;
    seats[1].sees("the film held", HELD).await;
    let since = Instant::now();

    cluster.kill_redis().await;
    cluster.start_redis().await;

    for seat in &mut seats {
        seat.sees("the film running", RUNS).await;
    }
    let waited = since.elapsed();
    tell("Redis came back empty while a film waits", format!("held for {}", ms(waited)));
    assert_within("the film goes on", waited, Duration::from_secs(15) + LATE);
    assert!(waited > Duration::from_secs(14), "nor did it forget whom it waits for: {waited:?}");
    // Who was ready is so still, and whom it waited for in vain it does not wait for again.
    seats[0].pause(None).await;
    seats[2].sees("the film stopped", |state| !state.is_playing).await;
    seats[0].play(None).await;
    let next = seats[2].sees("what comes of it", |state| state.is_playing || state.held).await;
    assert!(next.is_playing, "{next:?}");
}
