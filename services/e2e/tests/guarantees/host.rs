//! The host changes while the former host's commands are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use streamit_e2e::fault::{Cluster, Party, Viewer, percentile};
use streamit_e2e::until;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::{ms, plan, tell};

/// How many times the host changes.
const TRIALS: usize = 30;

/// Seeks to the host's own positions until told to stop.
fn commands(host: &Viewer, positions: Vec<f64>, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    let host = host.clone();
    tokio::spawn(async move {
        for position in positions {
            host.seek(position).await;
            sleep(Duration::from_millis(4)).await;
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_host_is_never_obeyed_after_the_next() {
    let cluster = Cluster::start(plan()).await;
    let party = Party::open(&cluster, 6).await;
    let mut took = Vec::new();
    for trial in 0..TRIALS {
        // The two are on different nodes.
        let former = party.host().clone();
        let positions: Vec<f64> = (0..200).map(|_| party.next_position()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let commands = commands(&former, positions, stop.clone());
        sleep(Duration::from_millis(10)).await;
        party.transfer((trial + 1) % 2).await.unwrap();
        let changed = Instant::now();
        // From now on only the new host is host, as far as anybody can know.
        let before = party.host().record().obeyed_after.len();
        until("the new host to be obeyed", async || {
            party.host().seek(party.next_position()).await;
            sleep(Duration::from_millis(10)).await;
            (party.host().record().obeyed_after.len() > before).then_some(())
        })
        .await
        .unwrap();
        took.push(changed.elapsed());
        sleep(Duration::from_millis(20)).await;
        stop.store(true, Ordering::Relaxed);
        commands.await.unwrap();
    }
    let verdict = party.settle().await;
    let states = verdict.records.iter().map(|record| record.version).max();
    tell(
        &format!("host changed {TRIALS} times under fire"),
        format!(
            "the next host obeyed after p50 {} p99 {}, {} commands of former hosts refused, last version {states:?}, {} \
             promises broken",
            ms(percentile(&took, 0.5)),
            ms(percentile(&took, 0.99)),
            verdict.records.iter().map(|record| record.refused.len()).sum::<usize>(),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
}
