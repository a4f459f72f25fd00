//! A process ends without a word.

use std::time::Duration;

use streamit_e2e::check::Seen;
use streamit_e2e::fault::{Cluster, Party, percentile};
use streamit_e2e::until;
use tokio::time::{Instant, sleep};

use crate::{assert_within, ms, plan, tell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_node_is_killed_its_people_are_back_and_nothing_is_lost() {
    let cluster = Cluster::start(plan()).await;
    let mut party = Party::open(&cluster, 12).await;
    let ghost = cluster.system.guest("Ghost").await;
    let seat = party.room.join_on(1, &ghost).await;
    let (talk, film) = (party.talk(20.0), party.direct(4.0));
    sleep(Duration::from_secs(1)).await;

    let killed = Instant::now();
    cluster.kill_node(1);
    // This one does not come back.
    drop(seat);
    let went = until("the ghost to be gone", async || {
        let first = party.viewers[0].record();
        let went = |seen: &Seen| matches!(seen, Seen::Went(who) if who == "Ghost");
        first.seen.iter().find(|(_, seen)| went(seen)).and_then(|(at, _)| *at)
    });
    let ghost_gone = went.await.unwrap() - killed;
    party.are_back().await;
    cluster.start_node(1).await;
    talk.stop().await;
    film.stop().await;

    // Nobody but the ghost was gone for the others, who came back before the dead were given up.
    party.never_gone = Some(Duration::from_secs(6));
    let verdict = party.settle().await;
    let breaks = verdict.breaks_after(killed);
    let p99 = percentile(&breaks, 0.99);
    let figures = format!(
        "{} of {} put out, back p99 {}, ghost gone after {}, {} messages, {} promises broken",
        breaks.len(),
        party.viewers.len(),
        ms(p99),
        ms(ghost_gone),
        verdict.messages(),
        verdict.violations.len(),
    );
    tell("kill -9 of one of three nodes", figures);
    verdict.assert_kept();
    assert_eq!(breaks.len(), 4, "only its own people notice");
    assert_within("its people are back", p99, Duration::from_secs(5));
    assert_within("the ghost is gone", ghost_gone, Duration::from_secs(10));
}
