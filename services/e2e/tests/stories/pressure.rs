//! Many at once: slow readers, a rush at the door, half a room that goes while others come.
//!
//! What is asserted here holds on a machine of any speed; how fast it is, `make guarantees-load` measures.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use streamit_client::{Error, Event, Http, Options};
use streamit_e2e::{PATIENCE, Person, Plan, RawSocket, Room, Seat, System, on_both, until};
use tokio::time::{Instant, sleep};

use crate::assert_gapless;

on_both! {
    crate::SYSTEMS;
    fifty_who_stop_reading_cost_the_others_nothing_and_resume,
    three_hundred_come_at_once_and_all_are_in,
}

/// New people, several at a time.
async fn people(system: &System, count: usize) -> Vec<Person> {
    stream::iter(0..count).map(|_| system.guest("Guest")).buffered(32).collect().await
}

/// Makes them members.
async fn admit(room: &Room, people: &[Person]) {
    stream::iter(people).for_each_concurrent(32, |person| room.admit(person)).await;
}

/// Takes a seat. Whoever is told to come back comes back then, and not before.
async fn comes_in(room: &Room, node: usize, person: &Person) -> Seat {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        match room.try_sit(node, person, Options::default()).await {
            Ok(seat) => return seat,
            Err(Error::Closed(reason)) if reason.code == 1013 && Instant::now() < deadline => {
                let wait = reason.retry_in_ms.expect("1013 tells when to come back");
                sleep(Duration::from_millis(wait)).await;
            }
            Err(error) => panic!("neither in nor told when to come back: {error}"),
        }
    }
}

async fn fifty_who_stop_reading_cost_the_others_nothing_and_resume(system: &System) {
    const SLOW: usize = 50;
    const SAID: u64 = 5;
    // Each told with 2 KiB: more than the kernel and an outbox hold for somebody who does not read.
    const CHANGES: usize = 60;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut others = vec![room.join_on(0, &ana).await];
    for node in 1..system.nodes() {
        others.push(room.join_on(node, &system.guest("Bo").await).await);
    }
    let slow = people(system, SLOW).await;
    admit(&room, &slow).await;
    let mut stuck = Vec::new();
    for (node, person) in slow.iter().enumerate() {
        let path = format!("/ws/room/{}/?token={}", room.code, person.token());
        let mut socket = RawSocket::open_narrow(&system.ws(node), &path).await;
        socket.read_until(|frame| frame.text().contains("PLAYBACK_STATE")).await;
        stuck.push(socket);
    }

    for n in 0..SAID {
        others[0].say(&format!("{n}")).await;
    }
    for seat in &mut others {
        assert_gapless(&seat.hears_many(SAID as usize).await, 1);
    }
    let film = format!("https://example.org/{}", "x".repeat(2_000));
    for n in 0..CHANGES {
        let title = n.to_string();
        ana.http().source(room.id, &film, Some(&title)).await.unwrap();
        for seat in &mut others {
            seat.waits(&format!("film {n}"), |event| match event {
                Event::SourceChanged(source) => (source.0["title"] == *title).then_some(()),
                _ => None,
            })
            .await;
        }
    }

    let ends = stuck.into_iter().map(async |mut socket| {
        let mut last = 0;
        while let Some(frame) = socket.read().await {
            if frame.opcode == 8 {
                return (last, frame.close_code());
            }
            let told: serde_json::Value = serde_json::from_str(&frame.text()).unwrap_or_default();
            if let Some(seq) = told["seq"].as_u64() {
                assert_eq!(seq, last + 1, "what is read is in order");
                last = seq;
            }
        }
        (last, None)
    });
    let ends = join_all(ends).await;

    // The code lies there for whoever begins to read again.
    assert!(ends.iter().all(|(_, code)| *code == Some(4100)), "{ends:?}");
    let back = slow.iter().zip(&ends).enumerate().map(async |(node, (person, (last, _)))| {
        let seat = room.sit(node, person, Options::resume(*last, None)).await;
        assert!(seat.welcome.history.resumed, "{last} of {SAID}");
        assert_eq!(seat.welcome.history.messages.len() as u64, SAID - last);
        assert_gapless(&seat.welcome.history.messages, last + 1);
    });
    join_all(back).await;
    others[0].say("the others go on").await;
    for seat in &mut others {
        seat.hears("the others go on").await;
    }
}

async fn three_hundred_come_at_once_and_all_are_in(system: &System) {
    const PEOPLE: usize = 300;
    const ROOMS: usize = 10;
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(system.guest("Host").await.public_room().await);
    }
    let mut host = rooms[0].join_on(0, &rooms[0].host.clone()).await;
    let mut guest = rooms[0].join_on(1, &system.guest("Established").await).await;
    let crowd = people(system, PEOPLE).await;
    for (room, people) in rooms.iter().zip(crowd.chunks(PEOPLE / ROOMS)) {
        admit(room, people).await;
    }

    let coming =
        crowd.iter().enumerate().map(|(n, person)| comes_in(&rooms[n / (PEOPLE / ROOMS)], n, person));
    let talking = async {
        for n in 0..10 {
            host.say(&format!("{n}")).await;
            guest.hears(&format!("{n}")).await;
        }
    };
    let (seats, ()) = tokio::join!(join_all(coming), talking);

    assert_eq!(seats.len(), PEOPLE);
    for room in &rooms[1..] {
        let what = "everybody to be counted";
        until(what, async || (room.listed().await?.viewers == (PEOPLE / ROOMS) as u64).then_some(()))
            .await
            .unwrap();
    }
    for seat in seats {
        seat.leaves().await;
    }
}

#[tokio::test]
async fn half_a_room_drops_while_others_come_on_a_single_thread_standalone() {
    let plan = Plan::standalone().limits("off").env("TOKIO_WORKER_THREADS", "1");
    plan.run(half_a_room_drops_while_others_come).await;
}

#[tokio::test]
async fn half_a_room_drops_while_others_come_on_a_single_thread_cluster() {
    let plan = Plan::cluster(1, 2).limits("off").env("TOKIO_WORKER_THREADS", "1");
    plan.run(half_a_room_drops_while_others_come).await;
}

/// Asks every server for its health until it is over; gives the longest that an answer took.
async fn health(system: &System, is_over: &Cell<bool>) -> Duration {
    const EVERY: Duration = Duration::from_millis(50);
    let servers = (0..system.nodes()).map(|node| system.ws(node).replace("ws://", "http://"));
    let asking = servers.map(async |server| {
        let http = Http::new(&server).unwrap();
        let mut longest = Duration::ZERO;
        while !is_over.get() {
            for path in ["/livez", "/readyz"] {
                let asked = Instant::now();
                assert_eq!(http.raw("GET", path, None).await.unwrap().status, 200, "{path}");
                longest = longest.max(asked.elapsed());
            }
            sleep(EVERY).await;
        }
        longest
    });
    join_all(asking).await.into_iter().max().unwrap()
}

async fn half_a_room_drops_while_others_come(system: &System) {
    const PEOPLE: usize = 100;
    // Whatever is slow here is a build without optimisation, on a machine with other things to do. A server that hangs
    // takes longer.
    const BOUND: Duration = Duration::from_secs(3);
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let (going, coming) = (people(system, PEOPLE).await, people(system, PEOPLE).await);
    admit(&room, &going).await;
    admit(&room, &coming).await;
    let seats: Vec<Seat> = stream::iter(going.iter().enumerate())
        .map(|(node, person)| comes_in(&room, node, person))
        .buffered(16)
        .collect()
        .await;

    let is_over = Cell::new(false);
    let rush = async {
        drop(seats);
        let mut seats =
            join_all(coming.iter().enumerate().map(|(n, person)| comes_in(&room, n, person))).await;
        let expected: BTreeSet<_> = coming.iter().map(Person::id).chain([ana.id()]).collect();
        until("exactly those to be listed who are there", async || {
            let list = ana.http().participants(room.id).await.ok()?;
            let online: BTreeSet<_> = list.iter().filter(|one| one.online).map(|one| one.id).collect();
            (online == expected).then_some(())
        })
        .await
        .unwrap();
        for node in 0..system.nodes() {
            let late = room.sit(node, &coming[0], Options::default()).await;
            assert_eq!(late.welcome.participants.online, Some(PEOPLE as u64 + 1), "as node {node} tells");
            late.leaves().await;
        }
        host.say("all there").await;
        join_all(seats.iter_mut().map(|seat| seat.hears("all there"))).await;
        is_over.set(true);
    };
    let (longest, ()) = tokio::join!(health(system, &is_over), rush);

    assert!(longest < BOUND, "an answer about health took {longest:?}");
}
