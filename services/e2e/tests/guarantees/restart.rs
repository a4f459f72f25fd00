//! Programs are asked to stop.

use std::time::Duration;

use streamit_e2e::fault::{Cluster, Party, percentile};
use streamit_e2e::{Plan, RawSocket, System};
use tokio::time::{Instant, sleep, timeout};

use crate::{DRAIN_SECONDS, assert_within, ms, plan, tell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_loses_nothing_and_nobody_waits_long() {
    const PEOPLE: usize = 45;
    let cluster = Cluster::start(plan()).await;
    let mut party = Party::open(&cluster, PEOPLE).await;
    let (talk, film) = (party.talk(20.0), party.direct(3.0));

    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for node in 0..cluster.nodes() {
        let told = Instant::now();
        let ended = cluster.stop_node(node).await;
        assert!(ended.is_success(), "node {node} ended with {}", ended.status);
        slowest = slowest.max(told.elapsed());
        cluster.start_node(node).await;
    }
    party.are_back().await;
    talk.stop().await;
    film.stop().await;

    // Their places were kept until they could be back.
    party.never_gone = Some(Duration::from_secs(4));
    let verdict = party.settle().await;
    let breaks: Vec<_> = verdict.records.iter().flat_map(|record| &record.breaks).collect();
    let beyond: Vec<Duration> = breaks.iter().map(|gap| gap.beyond_hint()).collect();
    let mut moments: Vec<Instant> = breaks.iter().map(|gap| gap.lost).collect();
    moments.sort_unstable();
    let half_second = Duration::from_millis(500);
    let at_once = moments
        .iter()
        .map(|start| moments.iter().filter(|at| **at >= *start && **at - *start < half_second).count());
    let crowd = at_once.max().unwrap_or_default();
    let (p99, whole) = (percentile(&beyond, 0.99), percentile(&verdict.breaks_after(began), 0.99));
    tell(
        "rolling restart of three nodes",
        format!(
            "{} breaks of {PEOPLE} people, p99 {} beyond the hint ({} in all), at most {crowd} within half a second, \
             slowest process out after {}, {} messages, {} promises broken",
            breaks.len(),
            ms(p99),
            ms(whole),
            ms(slowest),
            verdict.messages(),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    assert!(breaks.len() >= PEOPLE, "everybody was put out at least once");
    for gap in &breaks {
        assert!(gap.reason.code == 1012 && gap.reason.retry_in_ms.is_some(), "closed with {}", gap.reason);
    }
    let slowest_back = breaks.iter().max_by_key(|gap| gap.beyond_hint());
    assert!(p99 <= Duration::from_secs(1), "back only {p99:?} after the hint: {slowest_back:?}");
    assert_within("out before the deadline", slowest, Duration::from_secs(DRAIN_SECONDS));
    // Their closes are spread over three quarters of the deadline.
    assert!(crowd < breaks.len() / 2, "{crowd} of {} at once", breaks.len());
}

/// Systems whose drain takes so long, with somebody in a room.
async fn drained(plan: Plan, seconds: u64) -> (System, RawSocket) {
    let system = plan.limits("off").env("STREAMIT_DRAIN_SECONDS", &seconds.to_string()).start().await;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    // He never reads, and so never answers to a close.
    let path = format!("/ws/room/{}/?token={}", room.code, ana.token());
    let deaf = RawSocket::open(&system.ws(0), &path).await;
    (system, deaf)
}

async fn is_out_at_the_second_word(plan: Plan, what: &str) {
    let (system, _deaf) = drained(plan, 60).await;
    let process = system.node(0);
    process.terminate();
    // It is under way, and nowhere near its end.
    assert!(timeout(Duration::from_secs(1), process.ended()).await.is_err());
    let told = Instant::now();
    process.terminate();
    process.ended().await;
    tell(&format!("second SIGTERM, {what}"), format!("out after {}", ms(told.elapsed())));
    assert_within("out at the second word", told.elapsed(), Duration::from_secs(2));
}

#[tokio::test]
async fn a_node_that_is_told_twice_to_stop_stops() {
    is_out_at_the_second_word(Plan::cluster(1, 1), "cluster").await;
}

#[tokio::test]
async fn the_standalone_program_that_is_told_twice_to_stop_stops() {
    is_out_at_the_second_word(Plan::standalone(), "standalone").await;
}

async fn waits_for_nobody(plan: Plan, what: &str) {
    const SECONDS: u64 = 2;
    let (system, deaf) = drained(plan, SECONDS).await;
    let told = Instant::now();
    system.node(0).terminate();
    system.node(0).ended().await;
    let took = told.elapsed();
    tell(
        &format!("a client that ignores its close, {what}"),
        format!("out after {}, of {SECONDS} s", ms(took)),
    );
    assert_within("out", took, Duration::from_secs(SECONDS + 2));
    drop(deaf);
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_waits_for_nobody_who_ignores_it() {
    waits_for_nobody(Plan::cluster(1, 1), "cluster").await;
}

#[tokio::test]
async fn the_standalone_program_waits_for_nobody_who_ignores_it() {
    waits_for_nobody(Plan::standalone(), "standalone").await;
}

/// Nobody in the room, nobody who talks: only what a drain takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_restarted_is_not_missed() {
    let cluster = Cluster::start(plan()).await;
    let party = Party::open(&cluster, 6).await;
    let talk = party.talk(10.0);
    let began = Instant::now();
    for api in 0..cluster.apis() {
        let process = cluster.system.api(api);
        process.terminate();
        process.ended().await;
        cluster.kill_api(api);
        cluster.start_api(api).await;
        cluster.is_ready().await;
        sleep(Duration::from_millis(300)).await;
    }
    talk.stop().await;
    let verdict = party.settle().await;
    let heard = percentile(&verdict.heard_after(began..Instant::now()), 0.99);
    tell(
        "rolling restart of two apis",
        format!(
            "{} breaks, messages p99 {}, {} refused, {} messages",
            verdict.breaks_after(began).len(),
            ms(heard),
            verdict.refused(began..Instant::now()).len(),
            verdict.messages(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(began);
}
