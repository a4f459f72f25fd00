//! Coming back: exactly what was missed, or, when that can't be, the last 50 and a word about it.

use streamit_client::{ChatHistory, Connection, Options};
use streamit_e2e::{Person, Room, System, on_both};

on_both! {
    crate::SYSTEMS;
    a_resume_brings_exactly_what_was_missed,
    a_place_that_cant_be_honoured_is_told,
    what_comes_after_a_resume_goes_on_without_a_gap,
}

/// A room where this many were said, and somebody who is a member of it.
async fn talked(system: &System, messages: usize) -> (Room, Person) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    for start in (0..messages).step_by(5) {
        let mut seat = room.join_on(start, &system.guest("Talker").await).await;
        for n in start..messages.min(start + 5) {
            seat.say(&format!("number {n}")).await;
        }
        seat.leaves().await;
    }
    host.hears_many(messages).await;
    let bo = system.guest("Bo").await;
    room.admit(&bo).await;
    (room, bo)
}

fn seqs(history: &ChatHistory) -> Vec<u64> {
    history.messages.iter().map(|said| said.seq).collect()
}

async fn a_resume_brings_exactly_what_was_missed(system: &System) {
    let (room, bo) = talked(system, 60).await;
    for node in 0..system.nodes() {
        let resume = async |since: u64, epoch: Option<u64>| {
            room.sit(node, &bo, Options::resume(since, epoch)).await.welcome.history
        };
        let epoch = resume(0, None).await.epoch;
        assert!(epoch.is_some());
        for since in [0, 1, 37, 59, 60] {
            for epoch in [None, epoch] {
                let history = resume(since, epoch).await;
                assert_eq!(seqs(&history), (since + 1..=60).collect::<Vec<_>>(), "since {since}");
                assert!(history.resumed, "since {since}");
            }
        }
    }
}

async fn a_place_that_cant_be_honoured_is_told(system: &System) {
    let (room, bo) = talked(system, 55).await;
    let last_50: Vec<u64> = (6..=55).collect();
    let epoch = room.sit(0, &bo, Options::default()).await.welcome.history.epoch.unwrap();
    for query in [
        "since=56".to_owned(),
        "since=18446744073709551615".to_owned(),
        "since=99999999999999999999999".to_owned(),
        "since=-1".to_owned(),
        "since=1.5".to_owned(),
        "since=abc".to_owned(),
        "since=".to_owned(),
        "since=%00".to_owned(),
        format!("since=3&epoch={}", epoch + 1),
        "since=3&epoch=x".to_owned(),
        String::new(),
    ] {
        let url = format!("{}/ws/room/{}/?token={}&{query}", system.ws(1), room.code, bo.token());
        let mut line = Connection::open_url(&url, Options::default()).await.unwrap();
        let history = line.welcome().await.unwrap().history;
        assert_eq!(seqs(&history), last_50, "{query}");
        assert!(!history.resumed, "{query}");
        line.close().await.unwrap();
    }
}

async fn what_comes_after_a_resume_goes_on_without_a_gap(system: &System) {
    let (room, bo) = talked(system, 10).await;
    let mut seat = room.sit(0, &bo, Options::resume(7, None)).await;
    assert_eq!(seqs(&seat.welcome.history), [8, 9, 10]);

    let mut talker = room.join_on(1, &system.guest("Talker").await).await;
    talker.say("one more").await;

    assert_eq!(seat.hears_many(1).await[0].seq, 11);
}
