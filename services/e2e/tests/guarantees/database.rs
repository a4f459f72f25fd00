//! PostgreSQL goes away, does not answer, or has forgotten.

use std::time::Duration;

use streamit_e2e::check::Seen;
use streamit_e2e::fault::{Cluster, Party, percentile};
use streamit_e2e::until;
use tokio::time::{Instant, sleep};

use crate::{ms, plan, tell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_postgres_restarts_or_crashes_each_message_is_stored_once() {
    let cluster = Cluster::with_postgres(plan()).await;
    let mut party = Party::open(&cluster, 9).await;
    let (talk, film) = (party.talk(20.0), party.direct(3.0));
    let began = Instant::now();
    sleep(Duration::from_millis(500)).await;
    cluster
        .with_database(async |postgres| {
            postgres.stop().await;
            postgres.again().await
        })
        .await;
    sleep(Duration::from_millis(1_500)).await;
    cluster
        .with_database(async |postgres| {
            postgres.crash().await;
            postgres.again().await
        })
        .await;
    let up = Instant::now();
    let head = party.viewers[0].record().place;
    until("chat to go on", async || (party.viewers[0].record().place > head).then_some(())).await.unwrap();
    let recovered = up.elapsed();
    sleep(Duration::from_millis(500)).await;
    talk.stop().await;
    film.stop().await;

    let verdict = party.settle().await;
    tell(
        "PostgreSQL restarted, then crashed",
        format!(
            "{} disconnects, chat goes on {} after its return, {} messages, {} promises broken",
            verdict.breaks_after(began).len(),
            ms(recovered),
            verdict.messages(),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(began);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_has_one_effect() {
    const ROUNDS: usize = 8;
    let cluster = Cluster::start(plan()).await;
    let party = Party::open(&cluster, 9).await;
    let talk = party.talk(40.0);
    let began = Instant::now();
    for _ in 0..ROUNDS {
        // What is asked from now on is done, and nobody hears that it was.
        for api in 0..cluster.apis() {
            cluster.database(api).block_down();
        }
        sleep(Duration::from_millis(150)).await;
        for api in 0..cluster.apis() {
            cluster.database(api).cut();
            cluster.database(api).heal();
        }
        sleep(Duration::from_millis(450)).await;
    }
    let end = Instant::now();
    talk.stop().await;

    let verdict = party.settle().await;
    let sent_again: usize = verdict.records.iter().map(|record| record.sent_again.len()).sum();
    tell(
        &format!("{ROUNDS} times the answers to commits lost"),
        format!(
            "{} messages, {sent_again} of them sent again by clients, p99 {}, {} promises broken",
            verdict.messages(),
            ms(percentile(&verdict.heard_after(began..end), 0.99)),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(began);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_postgres_is_put_back_to_an_earlier_state_all_begin_a_new_epoch() {
    let cluster = Cluster::with_postgres(plan()).await;
    let mut party = Party::open(&cluster, 6).await;
    let (talk, film) = (party.talk(10.0), party.direct(2.0));
    sleep(Duration::from_secs(1)).await;
    let snapshot = cluster
        .with_database(async |postgres| {
            postgres.stop().await;
            let snapshot = postgres.snapshot().await?;
            postgres.again().await?;
            Ok(snapshot)
        })
        .await;
    // What is said from now on will be lost.
    let before = party.viewers[0].record().place.unwrap_or_default();
    until("more to be said", async || {
        let now = party.viewers[0].record().place.unwrap_or_default();
        (now.1 > before.1 + 10).then_some(())
    })
    .await
    .unwrap();
    cluster
        .with_database(async |postgres| {
            postgres.stop().await;
            postgres.restore(&snapshot).await?;
            postgres.again().await
        })
        .await;
    let restored = Instant::now();
    until("all to begin a new epoch", async || {
        let has_begun = |epoch: u64| epoch > before.0;
        let all = party.viewers.iter().all(|viewer| {
            let place = viewer.record().place;
            place.is_some_and(|(epoch, _)| has_begun(epoch))
        });
        all.then_some(())
    })
    .await
    .unwrap_or_else(|why| panic!("{why}\n{}", party.describe()));
    let noticed = restored.elapsed();
    sleep(Duration::from_secs(1)).await;
    talk.stop().await;
    film.stop().await;

    let verdict = party.settle().await;
    tell(
        "PostgreSQL restored to an earlier state",
        format!(
            "new epoch for all after {}, {} messages in it, {} promises broken",
            ms(noticed),
            verdict.messages(),
            verdict.violations.len()
        ),
    );
    verdict.assert_kept();
    for record in &verdict.records {
        let joins = record.seen.iter().filter_map(|(_, seen)| match seen {
            Seen::Joined(joined) => Some(joined),
            _ => None,
        });
        let first = joins.clone().find(|joined| joined.epoch > before.0).expect("a join of the new epoch");
        assert!(!first.resumed, "{} was told that it had resumed", record.name);
        let acknowledged = record.acknowledged.get(&verdict.run.end.epoch).map_or(0, |ids| ids.len());
        assert!(acknowledged > 0, "{} can't talk in the new epoch", record.name);
    }
}
