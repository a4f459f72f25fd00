//! What is behind the balancer comes and goes, and so does the balancer's own process, while people talk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use streamit_e2e::balancer::Kind;
use streamit_e2e::check::Seen;
use streamit_e2e::fault::{Cluster, Party, Verdict};
use streamit_e2e::until;
use tokio::sync::oneshot;
use tokio::time::{Instant, interval};

use crate::{behind_each, plan};

behind_each! {
    a_drain_of_each_program_in_turn_is_not_noticed,
    a_killed_node_is_left_out_and_nothing_is_lost,
    a_reload_is_not_noticed,
}

const PEOPLE: usize = 12;

async fn a_drain_of_each_program_in_turn_is_not_noticed(kind: Kind) {
    let cluster = Cluster::behind(kind, plan("off")).await;
    let mut party = Party::open(&cluster, PEOPLE).await;
    let (talk, film) = (party.talk(10.0), party.direct(2.0));
    let calls = Calls::start(&cluster);
    for node in 0..cluster.nodes() {
        assert!(cluster.stop_node(node).await.is_success());
        party.are_back().await;
        cluster.start_node(node).await;
    }
    for api in 0..cluster.apis() {
        assert!(cluster.stop_api(api).await.is_success());
        cluster.start_api(api).await;
        cluster.is_ready().await;
    }
    calls.all_served(&cluster).await;
    talk.stop().await;
    film.stop().await;
    let verdict = party.settle().await;
    verdict.assert_kept();
    assert_nobody_left(&verdict);
}

async fn a_killed_node_is_left_out_and_nothing_is_lost(kind: Kind) {
    let cluster = Cluster::behind(kind, plan("off")).await;
    let mut party = Party::open(&cluster, PEOPLE).await;
    let (talk, film) = (party.talk(10.0), party.direct(2.0));
    for node in 0..2 {
        let killed = Instant::now();
        cluster.kill_node(node);
        party.are_back().await;
        let back = killed.elapsed();
        assert!(back < Duration::from_secs(5), "back after {back:?}");
        // It is gone for a while, and newcomers do not notice.
        for i in 0..6 {
            let late = cluster.system.guest(&format!("Late {node}{i}")).await;
            let seat = late.public_room().await.join_on(0, &late).await;
            drop(seat);
        }
        cluster.start_node(node).await;
    }
    talk.stop().await;
    film.stop().await;
    // They were back before the dead were given up.
    party.never_gone = Some(Duration::from_secs(6));
    let verdict = party.settle().await;
    verdict.assert_kept();
    assert_nobody_left(&verdict);
}

async fn a_reload_is_not_noticed(kind: Kind) {
    let cluster = Cluster::behind(kind, plan("off")).await;
    let mut party = Party::open(&cluster, PEOPLE).await;
    let (talk, film) = (party.talk(10.0), party.direct(2.0));
    let calls = Calls::start(&cluster);
    let before = Instant::now();
    cluster.balancer().reload().await;
    // Who comes now comes in by the new process, and meets those who are still with the old one.
    let late = party.welcome(0).await;
    until("the newcomer to be in", async || late.record().is_in.then_some(())).await.unwrap();
    party.see_each_other().await;
    calls.all_served(&cluster).await;
    talk.stop().await;
    film.stop().await;
    let verdict = party.settle().await;
    verdict.assert_kept();
    verdict.assert_nobody_put_out(before);
    assert_nobody_left(&verdict);
}

#[track_caller]
fn assert_nobody_left(verdict: &Verdict) {
    for record in &verdict.records {
        let went = record.seen.iter().find(|(_, seen)| matches!(seen, Seen::Went(_)));
        assert!(
            went.is_none(),
            "{}{} was told that somebody left: {went:?}",
            verdict.last_words(),
            record.name
        );
    }
}

/// Somebody who comes in as a guest all the time, and writes down what is not served.
struct Calls {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Vec<String>>,
    served: Arc<AtomicUsize>,
}

impl Calls {
    fn start(cluster: &Cluster) -> Self {
        let http = cluster.system.http(0);
        let served = Arc::<AtomicUsize>::default();
        let (stop, mut stopped) = oneshot::channel();
        let count = served.clone();
        let task = tokio::spawn(async move {
            let mut every = interval(Duration::from_millis(40));
            let mut failed = Vec::new();
            loop {
                tokio::select! {
                    _ = every.tick() => {}
                    _ = &mut stopped => return failed,
                }
                match http.guest("Passer-by").await {
                    Ok(_) => _ = count.fetch_add(1, Ordering::Relaxed),
                    Err(error) => failed.push(error.to_string()),
                }
            }
        });
        Self { stop, task, served }
    }

    /// Ends it after some more; each call must have been served.
    async fn all_served(self, cluster: &Cluster) {
        let end = self.served.load(Ordering::Relaxed) + 20;
        let went_on = until("more calls to be served", async || {
            (self.served.load(Ordering::Relaxed) >= end).then_some(())
        });
        let went_on = went_on.await;
        let _ = self.stop.send(());
        let failed = self.task.await.unwrap();
        assert!(
            failed.is_empty() && went_on.is_ok(),
            "{}\n{} calls failed: {failed:?}",
            cluster.last_words(),
            failed.len()
        );
    }
}
