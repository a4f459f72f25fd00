//! A process stands still, and goes on as if nothing had been; a line is there and dead.

use std::time::Duration;

use streamit_e2e::check::Seen;
use streamit_e2e::fault::{Cluster, Party};
use streamit_e2e::until;
use tokio::time::{Instant, sleep};

use crate::{assert_within, ms, plan, tell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_brings_nothing_stale_and_its_people_are_there_again() {
    const STANDS: Duration = Duration::from_secs(10);
    let cluster = Cluster::start(plan()).await;
    let mut party = Party::open(&cluster, 6).await;
    // A patient one, who stays where he is.
    let patient = cluster.system.guest("Patient").await;
    let mut seat = party.room.join_on(1, &patient).await;
    party.others.insert("Patient".to_owned());
    party.see_each_other().await;
    party.transfer(1).await.unwrap();
    party.film_moves().await;
    let talk = party.talk(10.0);

    let stood = Instant::now();
    cluster.system.node(1).signal("STOP");
    // The host is on that node: what is commanded now lies there and waits.
    for _ in 0..3 {
        party.host().seek(party.next_position()).await;
    }
    party.transfer(0).await.unwrap();
    party.host().seek(party.next_position()).await;
    sleep(STANDS.saturating_sub(stood.elapsed())).await;
    let went = |seen: &Seen| matches!(seen, Seen::Went(who) if who == "Patient");
    let was_missed = party.viewers[0].record().seen.iter().any(|(_, seen)| went(seen));
    cluster.system.node(1).signal("CONT");
    let continued = Instant::now();
    party.see_each_other().await;
    let visible = continued.elapsed();
    party.film_moves().await;
    talk.stop().await;

    let verdict = party.settle().await;
    let counted = party.room.listed().await.map(|room| room.viewers);
    tell(
        "a node stopped 10 s, then continued",
        format!(
            "held dead meanwhile: {was_missed}, its people visible again after {}, {counted:?} counted of 7, {} messages, \
             {} promises broken",
            ms(visible),
            verdict.messages(),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    seat.quiet().await;
    assert_eq!(counted, Some(7), "none is counted twice");
    assert_within("visible again", visible, Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes more than a minute: `make guarantees` runs it"]
async fn a_half_open_client_is_gone_within_65_seconds() {
    let cluster = Cluster::start(plan()).await;
    let party = Party::open(&cluster, 6).await;
    let ghost = cluster.system.guest("Ghost").await;
    let seat = party.room.join_on(0, &ghost).await;

    let silent = Instant::now();
    cluster.clients(0).strand();
    drop(seat);
    let is_gone = async || {
        let record = party.viewers[1].record();
        let went = |seen: &Seen| matches!(seen, Seen::Went(who) if who == "Ghost");
        record.seen.iter().find(|(_, seen)| went(seen)).and_then(|(at, _)| *at)
    };
    // Longer than anybody's patience.
    sleep(Duration::from_secs(50)).await;
    let gone = until("the ghost to be gone", is_gone).await.unwrap() - silent;
    let open = until("the slots to be free", async || {
        let open = cluster.clients(0).open();
        (open <= party.viewers.len()).then_some(open)
    });
    let open = open.await;
    let verdict = party.settle().await;
    tell("a half-open client", format!("gone after {}, lines left on its node: {open:?}", ms(gone)));
    verdict.assert_kept();
    assert_within("gone", gone, Duration::from_secs(65));
}
