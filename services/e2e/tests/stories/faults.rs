//! Programs end, well or badly; the evening goes on. Each story has a system of its own, since it breaks it.

use std::time::Duration;

use streamit_client::{Connection, Event, Http, Options};
use streamit_e2e::{Person, Plan, RawSocket, Room, Seat, System, until};
use tokio::time::Instant;

use crate::assert_gapless;

/// How long a drain may take in these stories, in seconds.
const DRAIN_SECONDS: &str = "4";

fn cluster() -> Plan {
    Plan::cluster(2, 3).limits("off").env("STREAMIT_DRAIN_SECONDS", DRAIN_SECONDS)
}

/// A host on the first node and one guest on each.
async fn party(system: &System) -> (Room, Seat, Vec<(Person, Seat)>) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let host = room.join_on(0, &ana).await;
    let mut guests = Vec::new();
    for node in 0..system.nodes() {
        let guest = system.guest(&format!("Guest {node}")).await;
        let seat = room.join_on(node, &guest).await;
        guests.push((guest, seat));
    }
    (room, host, guests)
}

#[tokio::test]
async fn when_a_node_dies_its_people_are_missed_and_go_on_elsewhere() {
    cluster()
        .run(async |system| {
            let (room, mut host, mut guests) = party(system).await;
            let (other, mut other_seat) = guests.remove(1);
            // The one who stays away: on the node that dies, too.
            let away = system.guest("Away").await;
            let away_seat = room.join_on(1, &away).await;
            host.sees_come("Away").await;
            other_seat.say("before").await;
            let before = other_seat.hears("before").await;

            system.node(1).kill();
            let start = Instant::now();
            assert!(other_seat.line.closed().await.is_ok());
            let mut back =
                room.sit(2, &other, Options::resume(before.seq, other_seat.welcome.history.epoch)).await;
            assert!(back.welcome.history.resumed && back.welcome.history.messages.is_empty());
            host.play(Some(10.0)).await;
            back.sees("the film", |state| state.is_playing).await;
            back.say("after").await;
            assert_eq!(host.hears("after").await.seq, before.seq + 1);

            let mut gone = Vec::new();
            host.waits("the one who stays away to be missed", |event| {
                if let Event::UserLeft(person) = event {
                    gone.push(person.user.clone());
                }
                gone.contains(&"Away".to_owned()).then_some(())
            })
            .await;
            let took = start.elapsed();
            assert!(took < Duration::from_secs(14), "missed after {took:?}");
            assert_eq!(gone, ["Away"], "who came back was never gone");
            drop(away_seat);
            // The others' connections never noticed.
            for (_, seat) in &mut guests {
                seat.hears("after").await;
                seat.quiet().await;
            }
            until("the count", async || (room.listed().await?.viewers == 4).then_some(())).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn when_the_hosts_node_dies_the_room_is_told_and_the_host_takes_over_again() {
    cluster()
        .run(async |system| {
            let (room, _host, mut guests) = party(system).await;

            system.node(0).kill();
            for (_, seat) in &mut guests[1..] {
                let Event::HostDisconnected(gone) = seat.gets("HOST_DISCONNECTED").await else {
                    unreachable!()
                };
                assert_eq!(gone.grace_seconds, 30);
            }
            let mut host = room.sit(1, &room.host, Options::default()).await;

            for (_, seat) in &mut guests[1..] {
                seat.gets("HOST_RECONNECTED").await;
            }
            host.play(Some(5.0)).await;
            for (_, seat) in &mut guests[1..] {
                seat.sees("the film", |state| state.is_playing).await;
            }
        })
        .await;
}

#[tokio::test]
async fn when_an_api_dies_chat_and_joins_go_on_through_the_other() {
    cluster()
        .run(async |system| {
            let (room, mut host, mut guests) = party(system).await;

            system.api(0).kill();
            for n in 0..20 {
                let (_, seat) = &mut guests[n % 3];
                seat.line.sender().chat(&format!("{n}"), Some(&format!("{n}"))).await.unwrap();
            }

            let heard = host.hears_many(20).await;
            assert_gapless(&heard, 1);
            for (_, seat) in &mut guests {
                assert_eq!(seat.hears_many(20).await, heard);
            }
            // New people come by the one that lives; nodes find it.
            let http = system.http(1);
            let late = http.guest("Late").await.unwrap();
            http.as_user(&late).join(&room.code, None).await.unwrap();
            for node in 0..3 {
                let joined =
                    Connection::join(&system.ws(node), &room.code, &late.access_token, Options::default())
                        .await;
                let (line, welcome) = joined.unwrap();
                assert_eq!(welcome.history.messages, heard);
                line.close().await.unwrap();
            }
        })
        .await;
}

/// Takes a seat on another node when told to come back, and not before.
async fn comes_back(room: &Room, person: &Person, mut seat: Seat) -> Seat {
    let reason = seat.is_closed().await;
    assert_eq!(reason.code, 1012, "{reason}");
    let hint = reason.retry_in_ms.expect("1012 tells when to come back");
    tokio::time::sleep(Duration::from_millis(hint)).await;
    let since = Options::resume(0, seat.welcome.history.epoch);
    let back = room.try_sit(2, person, since).await.unwrap();
    assert!(back.welcome.history.resumed);
    back
}

#[tokio::test]
async fn a_node_that_is_stopped_puts_nobody_out() {
    cluster()
        .run(async |system| {
            const PEOPLE: usize = 12;
            let ana = system.guest("Ana").await;
            let room = ana.public_room().await;
            let mut host = room.join_on(0, &ana).await;
            let mut seats = Vec::new();
            for n in 0..PEOPLE {
                let person = system.guest(&format!("Guest {n}")).await;
                let seat = room.join_on(1, &person).await;
                host.sees_come(&format!("Guest {n}")).await;
                seats.push((person, seat));
            }
            // One of them will not come back.
            let (_, mut leaver) = seats.pop().unwrap();

            let start = Instant::now();
            system.node(1).terminate();
            let ready = Http::new(&system.ws(1).replace("ws://", "http://")).unwrap();
            until("the node to be unready", async || {
                let answer = ready.raw("GET", "/readyz", None).await.ok()?;
                (answer.status == 503).then_some(())
            })
            .await
            .unwrap();
            let returns =
                seats.into_iter().map(async |(person, seat)| comes_back(&room, &person, seat).await);
            let (back, left) = tokio::join!(futures_util::future::join_all(returns), leaver.is_closed());
            assert_eq!(left.code, 1012);
            let ended = system.node(1).ended().await;
            assert!(ended.is_success(), "ended with {}", ended.status);
            assert!(start.elapsed() < Duration::from_secs(6), "took {:?}", start.elapsed());

            let mut told = Vec::new();
            host.waits("the one who stays away to be missed", |event| {
                if let Event::UserLeft(person) | Event::UserJoined(person) = event {
                    told.push(person.user.clone());
                }
                (!told.is_empty()).then_some(())
            })
            .await;
            // By now the grace of all the others would have ended, too.
            for mut seat in back {
                seat.say("back").await;
                host.hears("back").await;
            }
            assert_eq!(told, [format!("Guest {}", PEOPLE - 1)], "only who stays away is missed");
        })
        .await;
}

#[tokio::test]
async fn the_standalone_program_stops_when_told_and_keeps_what_was_said() {
    let plan = Plan::standalone().limits("off").env("STREAMIT_DRAIN_SECONDS", "2");
    let system = plan.clone().start().await;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut seat = room.join_on(0, &ana).await;
    seat.play(Some(30.0)).await;
    seat.pause(Some(50.0)).await;
    seat.sees("the pause", |state| !state.is_playing && state.time > 49.0).await;
    seat.say("remember this").await;
    let said = seat.hears("remember this").await;

    system.node(0).terminate();
    assert_eq!(seat.is_closed().await.code, 1012);
    assert!(system.node(0).ended().await.is_success());

    let again =
        plan.env("STREAMIT_DATA_DIR", &system.home().join("data").display().to_string()).start().await;
    let http = again.http(0).with_token(ana.token());
    assert_eq!(http.messages(&room.code, None).await.unwrap()[0], said);
    let joined = Connection::join(&again.ws(0), &room.code, ana.token(), Options::resume(0, None)).await;
    let (_line, welcome) = joined.unwrap();
    assert_eq!(welcome.history.messages, [said]);
    assert!((welcome.playback.time - 50.0).abs() < 0.001, "{:?}", welcome.playback);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let plan = Plan::standalone().limits("off");
    let system = plan.clone().start().await;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut seat = room.join_on(0, &ana).await;
    for n in 0..20 {
        seat.say(&format!("{n}")).await;
    }
    let heard = seat.hears_many(20).await;

    system.node(0).kill();

    let again =
        plan.env("STREAMIT_DATA_DIR", &system.home().join("data").display().to_string()).start().await;
    let http = again.http(0).with_token(ana.token());
    assert_eq!(http.messages(&room.code, None).await.unwrap(), heard);
}

#[tokio::test]
async fn who_does_not_read_holds_nobody_up_and_is_let_go() {
    // Enough to fill what the kernel keeps for a line that is not read.
    const MESSAGES: usize = 1_500;
    Plan::standalone()
        .limits("off")
        .run(async |system| {
            let (ana, slow) = (system.guest("Ana").await, system.guest("Slow").await);
            let room = ana.public_room().await;
            let mut host = room.join_on(0, &ana).await;
            room.admit(&slow).await;
            let path = format!("/ws/room/{}/?token={}", room.code, slow.token());
            let mut stuck = RawSocket::open_narrow(&system.ws(0), &path).await;
            host.sees_come("Slow").await;

            let text = "🎬".repeat(500);
            for _ in 0..MESSAGES / 10 {
                for _ in 0..10 {
                    host.say(&text).await;
                }
                host.hears_many(10).await;
            }
            // He is given some time to begin to read, and the usual grace.
            let is_gone = |event: &Event| matches!(event, Event::UserLeft(person) if person.user == "Slow");
            while !is_gone(&host.line.next_event(Duration::from_secs(60)).await.unwrap()) {}
            host.say("the others go on").await;
            host.hears("the others go on").await;

            // All that he reads now is in order, and it is not all.
            let mut read = Vec::new();
            while let Some(frame) = stuck.read().await {
                let frame: serde_json::Value = serde_json::from_str(&frame.text()).unwrap_or_default();
                read.extend(frame["seq"].as_u64());
            }
            assert!(read.len() < MESSAGES, "{} read", read.len());
            assert!(read.iter().copied().eq(1..=read.len() as u64), "{read:?}");
            let back = room.sit(0, &slow, Options::resume(MESSAGES as u64 - 10, None)).await;
            assert!(back.welcome.history.resumed);
            assert_gapless(&back.welcome.history.messages, MESSAGES as u64 - 9);
        })
        .await;
}
