//! A cut line costs nobody a message.

use futures_util::future::join_all;
use streamit_client::{Event, Options, Session, Update};
use streamit_e2e::{PATIENCE, Person, Room, Seat, System, on_both};

use crate::assert_gapless;

on_both! {
    crate::SYSTEMS;
    who_is_cut_off_in_a_burst_of_chat_resumes_where_he_was,
    more_than_500_missed_messages_are_not_resumed,
    more_than_256_kib_of_missed_messages_are_not_resumed,
    a_session_comes_back_by_itself_and_says_nothing_twice,
}

/// A room, and somebody on each node who says what he is told to.
async fn talkers(system: &System) -> (Room, Vec<Seat>) {
    let host = system.guest("Ana").await;
    let room = host.public_room().await;
    let people: Vec<Person> = join_all((0..3).map(|_| system.guest("Talker"))).await;
    let mut seats = Vec::new();
    for (node, person) in people.iter().enumerate() {
        seats.push(room.join_on(node, person).await);
    }
    (room, seats)
}

/// Says `count` messages with this text, over all the seats, so many at once from each, and waits until all are heard.
async fn talk(seats: &mut [Seat], count: usize, at_once: usize, text: &str) {
    let talkers = seats.len();
    join_all(seats.iter_mut().enumerate().map(async |(i, seat)| {
        let mut mine = count / talkers + usize::from(i < count % talkers);
        while mine > 0 {
            let now = mine.min(at_once);
            for n in 0..now {
                seat.line.sender().chat(text, Some(&format!("{i}-{mine}-{n}"))).await.unwrap();
            }
            let mut own = 0;
            while own < now {
                let said = seat.hears_many(1).await.remove(0);
                own += usize::from(said.client_id.is_some_and(|id| id.starts_with(&format!("{i}-{mine}-"))));
            }
            mine -= now;
        }
    }))
    .await;
}

async fn who_is_cut_off_in_a_burst_of_chat_resumes_where_he_was(system: &System) {
    const MESSAGES: usize = 300;
    // After so many messages heard the line is cut.
    const EVERY: usize = 20;
    let (room, mut seats) = talkers(system).await;
    let bo = system.guest("Bo").await;
    let mut seat = room.join_on(0, &bo).await;
    let epoch = seat.welcome.history.epoch;

    let listening = async {
        let mut heard = Vec::new();
        let mut cuts = 0;
        while heard.len() < MESSAGES {
            heard.extend(seat.hears_many(EVERY.min(MESSAGES - heard.len())).await);
            // Without a word: as when the network goes.
            drop(seat);
            cuts += 1;
            let place = Options::resume(heard.last().unwrap().seq, epoch);
            seat = room.sit(cuts, &bo, place).await;
            assert!(seat.welcome.history.resumed, "after cut {cuts}");
            heard.extend(seat.welcome.history.messages.iter().cloned());
        }
        heard
    };
    let (heard, ()) = tokio::join!(listening, talk(&mut seats, MESSAGES, 8, "on and on"));

    assert_eq!(heard.len(), MESSAGES);
    assert_gapless(&heard, 1);
}

async fn more_than_500_missed_messages_are_not_resumed(system: &System) {
    let (room, mut seats) = talkers(system).await;
    let bo = system.guest("Bo").await;
    room.admit(&bo).await;
    talk(&mut seats, 520, 20, "hm").await;

    for node in 0..system.nodes() {
        let missed =
            async |since: u64| room.sit(node, &bo, Options::resume(since, None)).await.welcome.history;
        let just = missed(20).await;
        assert!(just.resumed);
        assert_eq!(just.messages.len(), 500);
        assert_gapless(&just.messages, 21);
        for since in [19, 0] {
            let too_much = missed(since).await;
            assert!(!too_much.resumed, "since {since}");
            assert_eq!(too_much.messages.len(), 50);
            assert_gapless(&too_much.messages, 471);
        }
    }
}

async fn more_than_256_kib_of_missed_messages_are_not_resumed(system: &System) {
    let (room, mut seats) = talkers(system).await;
    let bo = system.guest("Bo").await;
    room.admit(&bo).await;
    // 2,000 bytes and a little more each.
    talk(&mut seats, 200, 4, &"🎬".repeat(500)).await;

    let missed = async |since: u64| room.sit(1, &bo, Options::resume(since, None)).await.welcome.history;
    let just = missed(100).await;
    assert!(just.resumed);
    assert_eq!(just.messages.len(), 100);
    let too_much = missed(0).await;
    assert!(!too_much.resumed);
    assert_gapless(&too_much.messages, 151);
}

async fn a_session_comes_back_by_itself_and_says_nothing_twice(system: &System) {
    let (room, mut seats) = talkers(system).await;
    let bo = system.guest("Bo").await;
    room.admit(&bo).await;
    let mut session = Session::new(&system.ws(1), &room.code, bo.token());
    let step =
        async |session: &mut Session| tokio::time::timeout(PATIENCE, session.next()).await.unwrap().unwrap();
    let Update::Joined(_) = step(&mut session).await else { panic!("the first thing is to join") };

    session.chat("before", "bo-1").await.unwrap();
    // A proxy that has had enough: the client is to come back.
    session.sender().unwrap().close(1001, "").await.unwrap();
    talk(&mut seats[..1], 5, 5, "meanwhile").await;
    session.chat("after", "bo-2").await.unwrap();

    let (mut heard, mut joins) = (Vec::new(), 0);
    while !heard.iter().any(|said: &streamit_client::ChatMessage| said.message == "after") {
        match step(&mut session).await {
            Update::Joined(welcome) => {
                joins += 1;
                heard.extend(welcome.history.messages);
            }
            Update::Event(Event::ChatMessage(said)) => heard.push(said),
            _ => {}
        }
    }

    assert_eq!(joins, 1);
    assert_gapless(&heard, 1);
    assert_eq!(heard.len(), 7, "{heard:?}");
}
