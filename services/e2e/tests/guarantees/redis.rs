//! Redis goes away, forgets, or falls silent.

use std::time::Duration;

use streamit_e2e::check::Seen;
use streamit_e2e::fault::{Cluster, Party, percentile};
use streamit_e2e::until;
use tokio::time::{Instant, sleep};

use crate::{assert_within, lasting, ms, plan, tell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_gone_chat_goes_on_and_nobody_is_put_out() {
    let away = lasting(10, 60);
    let cluster = Cluster::start(plan()).await;
    let mut party = Party::open(&cluster, 9).await;
    party.film_moves().await;
    let talk = party.talk(10.0);

    let gone = Instant::now();
    cluster.kill_redis().await;
    // A command needs Redis, and its sender is told to try again.
    let refused = until("a command to be refused", async || {
        party.host().seek(party.next_position()).await;
        sleep(Duration::from_millis(300)).await;
        let record = party.host().record();
        record.refused.iter().find(|(at, _)| *at > gone).map(|(_, code)| code.clone())
    });
    let refused = refused.await.unwrap();
    sleep((away / 2).saturating_sub(gone.elapsed())).await;
    talk.stop().await;
    let quiet = Instant::now();
    // What retrying costs is seen when nothing else is done.
    let before: Vec<Duration> = (0..cluster.nodes()).map(|node| cluster.cpu_of_node(node)).collect();
    sleep(away.saturating_sub(gone.elapsed())).await;
    let cpu = (0..cluster.nodes()).map(|node| cluster.cpu_of_node(node) - before[node]);
    let cpu = cpu.max().unwrap_or_default().as_secs_f64() / quiet.elapsed().as_secs_f64();

    cluster.start_redis().await;
    let back = Instant::now();
    let moved = party.film_moves().await;
    party.see_each_other().await;
    let converged = back.elapsed();
    party.never_gone = Some(Duration::MAX);
    let verdict = party.settle().await;
    let heard = verdict.heard_after(gone..quiet);
    let (half, p99) = (percentile(&heard, 0.5), percentile(&heard, 0.99));
    tell(
        &format!("Redis gone {} s, back empty", away.as_secs()),
        format!(
            "{} disconnects, commands refused with {refused}, messages heard everywhere p50 {} p99 {}, idle node {:.1} % \
             of a core, film moves after {}, converged after {}, {} messages, {} promises broken",
            verdict.breaks_after(gone).len(),
            ms(half),
            ms(p99),
            cpu * 100.0,
            ms(moved),
            ms(converged),
            verdict.messages(),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(gone);
    assert_eq!(refused, "TRY_AGAIN");
    assert_within("heard on other nodes", p99, Duration::from_secs(2));
    assert_within("converged", converged, Duration::from_secs(3));
    assert!(cpu < 0.05, "retrying takes {:.1} % of a core", cpu * 100.0);
    let all_counted = async || (party.room.listed().await?.viewers == 9).then_some(());
    until("all to be counted in the listing", all_counted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_falls_silent_is_made_anew_and_what_was_missed_comes_in_order() {
    let cluster = Cluster::start(plan()).await;
    let mut party = Party::open(&cluster, 9).await;
    // Nobody on that node says a word: there is nothing from which it could tell that it misses something.
    let (talk, film) = (party.talk_of(|i| i % 3 != 1, 20.0), party.direct(3.0));
    sleep(Duration::from_secs(1)).await;

    let silent = Instant::now();
    cluster.redis_news(1).strand();
    sleep(Duration::from_secs(7)).await;
    let end = Instant::now();
    talk.stop().await;
    film.stop().await;

    let verdict = party.settle().await;
    let heard = verdict.heard_after(silent..end);
    let slowest = percentile(&heard, 1.0);
    tell(
        "a subscription black-holed",
        format!(
            "healed within {}, messages p50 {}, {} disconnects, {} messages, {} promises broken",
            ms(slowest),
            ms(percentile(&heard, 0.5)),
            verdict.breaks_after(silent).len(),
            verdict.messages(),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(silent);
    assert_within("healed", slowest, Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_no_subscription_can_be_had_messages_come_all_the_same() {
    let cluster = Cluster::start(plan()).await;
    let party = Party::open(&cluster, 9).await;
    let talk = party.talk_of(|i| i % 3 != 1, 10.0);
    let silent = Instant::now();
    cluster.redis_news(1).block();
    sleep(Duration::from_secs(9)).await;
    talk.stop().await;
    let healed = Instant::now();
    cluster.redis_news(1).heal();
    let verdict = party.settle().await;
    let heard = verdict.heard_after(silent..healed);
    tell(
        "no subscription can be had for 9 s",
        format!(
            "messages p50 {} p99 {}, {} disconnects, quiet {} after the end, {} promises broken",
            ms(percentile(&heard, 0.5)),
            ms(percentile(&heard, 0.99)),
            verdict.breaks_after(silent).len(),
            ms(healed.elapsed()),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(silent);
    assert_within("heard all the same", percentile(&heard, 1.0), Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_are_killed_and_keys_that_are_deleted_come_back() {
    let lasts = lasting(6, 20);
    let cluster = Cluster::start(plan()).await;
    let mut party = Party::open(&cluster, 9).await;
    let room = party.room.id;
    let subscribed = format!("PUBSUB NUMSUB s1:{{{room}}}:news");
    let before = cluster.redis_says(&subscribed).await;
    let (talk, film) = (party.talk(20.0), party.direct(3.0));

    let began = Instant::now();
    let mut round = 0;
    while began.elapsed() < lasts {
        cluster.redis_says("CLIENT KILL TYPE pubsub").await;
        cluster.redis_says("SCRIPT FLUSH").await;
        match round % 6 {
            1 => cluster.redis_says(&format!("DEL s1:{{{room}}}:play")).await,
            4 => cluster.redis_says(&format!("DEL s1:{{{room}}}:roster")).await,
            _ => String::new(),
        };
        round += 1;
        sleep(Duration::from_millis(500)).await;
    }
    talk.stop().await;
    film.stop().await;
    let healed = Instant::now();
    party.film_moves().await;
    party.see_each_other().await;
    let converged = healed.elapsed();

    party.never_gone = Some(Duration::MAX);
    let verdict = party.settle().await;
    let heard = verdict.heard_after(began..healed);
    tell(
        &format!("subscriptions killed, scripts and keys deleted for {} s", lasts.as_secs()),
        format!(
            "messages p50 {} p99 {}, converged after {}, {} disconnects, {} messages, {} promises broken",
            ms(percentile(&heard, 0.5)),
            ms(percentile(&heard, 0.99)),
            ms(converged),
            verdict.breaks_after(began).len(),
            verdict.messages(),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(began);
    assert_within("converged", converged, Duration::from_secs(15));
    // One subscription for each node, as before, and none for a room that everybody has left.
    assert_eq!(cluster.redis_says(&subscribed).await, before);
    for viewer in &party.viewers {
        viewer.leave().await;
    }
    until("the subscriptions to end", async || {
        let left = cluster.redis_says(&subscribed).await;
        left.ends_with(":0\r\n").then_some(())
    })
    .await
    .unwrap();
    assert!(
        verdict
            .records
            .iter()
            .all(|record| !record.seen.iter().any(|(_, seen)| matches!(seen, Seen::Ended(_))))
    );
}
