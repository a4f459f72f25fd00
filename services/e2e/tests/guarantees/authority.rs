//! Apis go away, or fall silent.

use std::time::Duration;

use futures_util::future::join_all;
use streamit_client::{Error, Options};
use streamit_e2e::fault::{Cluster, Party, percentile};
use streamit_e2e::until;
use tokio::time::{Instant, sleep};

use crate::{assert_within, lasting, ms, plan, tell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_all_apis_are_away_the_film_goes_on_and_nobody_is_put_out() {
    let away = lasting(6, 60);
    let cluster = Cluster::start(plan()).await;
    let mut party = Party::open(&cluster, 9).await;
    let (late, loud) = (cluster.system.guest("Late").await, cluster.system.guest("Loud").await);
    party.room.admit(&late).await;
    let mut loud = party.room.join_on(2, &loud).await;
    party.others.insert("Loud".to_owned());
    party.see_each_other().await;
    let film = party.direct(10.0);
    let began = Instant::now();
    sleep(Duration::from_secs(3)).await;

    let gone = Instant::now();
    for api in 0..cluster.apis() {
        cluster.kill_api(api);
    }
    let talk = party.talk(2.0);
    let mut chat = Vec::new();
    let mut joins = Vec::new();
    while gone.elapsed() < away {
        let asked = Instant::now();
        loud.say("is anybody there").await;
        loud.is_told("TRY_AGAIN").await;
        chat.push(asked.elapsed());
        let asked = Instant::now();
        match party.room.try_sit(joins.len() % 3, &late, Options::default()).await {
            Err(Error::Closed(reason)) => assert_eq!(reason.code, 1013, "{reason}"),
            other => panic!("{:?}", other.map(|seat| seat.welcome)),
        }
        joins.push(asked.elapsed());
        sleep(Duration::from_millis(500)).await;
    }
    let back = Instant::now();
    join_all((0..cluster.apis()).map(|api| cluster.start_api(api))).await;
    cluster.is_ready().await;
    talk.stop().await;
    film.stop().await;
    let ready = Instant::now();
    let seat =
        until("a join", async || party.room.try_sit(0, &late, Options::default()).await.ok()).await.unwrap();
    let joined = ready.elapsed();
    party.others.insert("Late".to_owned());

    let verdict = party.settle().await;
    let (as_before, meanwhile) = (verdict.obeyed_after(began..gone), verdict.obeyed_after(gone..back));
    let (before_p99, p99) = (percentile(&as_before, 0.99), percentile(&meanwhile, 0.99));
    let (chat, joins) = (percentile(&chat, 1.0), percentile(&joins, 1.0));
    tell(
        &format!("all apis away {} s", away.as_secs()),
        format!(
            "{} disconnects, commands p99 {} before and {} meanwhile, chat refused within {}, joins within {}, \
             a join works {} after the return, {} messages, {} promises broken",
            verdict.breaks_after(gone).len(),
            ms(before_p99),
            ms(p99),
            ms(chat),
            ms(joins),
            ms(joined),
            verdict.messages(),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(gone);
    assert!(meanwhile.len() * 2 > as_before.len(), "the film goes on");
    assert_within("commands as before", p99, before_p99.max(Duration::from_millis(50)) * 2);
    assert_within("chat is refused", chat, Duration::from_secs(1));
    assert_within("joins are refused", joins, Duration::from_secs(1));
    assert_within("a join works again", joined, Duration::from_secs(5));
    drop((seat, loud));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_removed_while_no_node_could_ask_is_out_when_one_can() {
    let cluster = Cluster::start(plan()).await;
    let mut party = Party::open(&cluster, 6).await;
    let bad = cluster.system.guest("Bad").await;
    let mut seat = party.room.join_on(1, &bad).await;
    party.others.insert("Bad".to_owned());
    party.see_each_other().await;

    for node in 0..cluster.nodes() {
        for api in 0..cluster.apis() {
            cluster.authority(node, api).block();
        }
    }
    let talk = party.talk(5.0);
    party.host().person.http().kick(party.room.id, bad.id()).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    cluster.heal();
    let healed = Instant::now();
    let reason = seat.is_closed().await;
    let took = healed.elapsed();
    talk.stop().await;
    party.others.clear();

    let verdict = party.settle().await;
    tell(
        "removed while no node could ask",
        format!("out {} after the return, {} messages", ms(took), verdict.messages()),
    );
    verdict.assert_kept();
    assert_eq!(reason.code, 4011, "{reason}");
    assert_within("out", took, Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_of_two_apis_falls_silent_the_other_answers() {
    const JOINS: usize = 30;
    let cluster = Cluster::start(plan()).await;
    let party = Party::open(&cluster, 9).await;
    // Several rooms, since it is the room that decides which api is asked first.
    let (ana, bo) = (cluster.system.guest("Ana").await, cluster.system.guest("Bo").await);
    let mut rooms = Vec::new();
    for _ in 0..JOINS {
        let room = ana.public_room().await;
        room.admit(&bo).await;
        rooms.push(room);
    }
    let talk = party.talk(20.0);
    sleep(Duration::from_secs(1)).await;

    let silent = Instant::now();
    for node in 0..cluster.nodes() {
        cluster.authority(node, 0).block();
    }
    sleep(Duration::from_secs(1)).await;
    let settled = Instant::now();
    let mut joins = Vec::new();
    let mut failed = Vec::new();
    for (n, room) in rooms.iter().enumerate() {
        let asked = Instant::now();
        match room.try_sit(n % 3, &bo, Options::default()).await {
            Ok(seat) => drop(seat),
            Err(error) => failed.push(error.to_string()),
        }
        joins.push(asked.elapsed());
        sleep(Duration::from_millis(150)).await;
    }
    let end = Instant::now();
    talk.stop().await;
    cluster.heal();

    let verdict = party.settle().await;
    let (first, after) = (verdict.heard_after(silent..settled), verdict.heard_after(settled..end));
    let refused = verdict.refused(settled..end);
    tell(
        "one of two apis black-holed",
        format!(
            "{} of {JOINS} joins and {} messages failed after the first second, joins p99 {}, messages p99 {} at first, \
             {} later, {} promises broken",
            failed.len(),
            refused.len(),
            ms(percentile(&joins, 0.99)),
            ms(percentile(&first, 0.99)),
            ms(percentile(&after, 0.99)),
            verdict.violations.len(),
        ),
    );
    verdict.assert_kept();
    verdict.assert_nobody_put_out(silent);
    assert!(failed.is_empty() && refused.is_empty(), "failed: {failed:?}, refused: {refused:?}");
}
