//! Programs that leave: in time, whatever is away and whoever does not listen, and in such a way that those who were on
//! them come back one by one.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use streamit_client::{CloseReason, Event, Http, Options};
use streamit_e2e::{Plan, Program, RawSocket, Room, Seat, System, program, until};
use tokio::time::Instant;

use crate::{guests_of_another_node, only_one_is_missed};

/// How much later than its deadline a program may be out when clients or dependencies don't do their part.
const SLACK: Duration = Duration::from_secs(2);
/// What a busy machine may add before a program is asked, and after it has ended.
const MACHINE: Duration = Duration::from_millis(500);

/// Somebody whose client reads nothing any more, and so never answers a close.
async fn deaf(system: &System, room: &Room, node: usize) -> RawSocket {
    let person = system.guest("Deaf").await;
    room.admit(&person).await;
    let path = format!("/ws/room/{}/?token={}", room.code, person.token());
    let mut socket = RawSocket::open(&system.ws(node), &path).await;
    socket.read_until(|frame| frame.text().contains("PLAYBACK_STATE")).await;
    socket
}

async fn is_out_within(program: &Program, since: Instant, limit: Duration) {
    let ended = program.ended().await;
    assert!(ended.is_success(), "{}", ended.status);
    let took = since.elapsed();
    assert!(took <= limit + MACHINE, "{} was out after {took:?}, not {limit:?}", program.name());
}

#[tokio::test]
async fn a_node_is_out_in_time_while_everything_it_needs_hangs() {
    const DRAIN: Duration = Duration::from_secs(3);
    let plan = Plan::cluster(2, 1).limits("off").env("STREAMIT_DRAIN_SECONDS", &DRAIN.as_secs().to_string());
    plan.run(async |system| {
        let ana = system.guest("Ana").await;
        let room = ana.public_room().await;
        let mut host = room.join_on(0, &ana).await;
        let deaf = deaf(system, &room, 0).await;
        host.play(Some(1.0)).await;
        host.sees("the film", |state| state.is_playing).await;

        // They take connections and answer nothing.
        for program in system.programs().filter(|program| !program.name().starts_with("node")) {
            program.signal("STOP");
        }
        system.node(0).terminate();
        let told = Instant::now();

        assert_eq!(host.is_closed().await.code, 1012);
        is_out_within(&system.node(0), told, DRAIN + SLACK).await;
        for program in system.programs().filter(|program| program.status().is_none()) {
            program.signal("CONT");
        }
        drop(deaf);
    })
    .await;
}

#[tokio::test]
async fn told_twice_a_program_is_gone_within_two_seconds_and_still_says_when_to_come_back() {
    for plan in [Plan::standalone(), Plan::cluster(1, 1)] {
        let plan = plan.limits("off").env("STREAMIT_DRAIN_SECONDS", "3600");
        plan.run(async |system| {
            let ana = system.guest("Ana").await;
            let room = ana.public_room().await;
            let mut host = room.join_on(0, &ana).await;
            let deaf = deaf(system, &room, 0).await;
            let node = system.node(0);
            node.terminate();
            let http = Http::new(&system.ws(0).replace("ws://", "http://")).unwrap();
            until("the node to be unready", async || {
                let answer = http.raw("GET", "/readyz", None).await.ok()?;
                (answer.status == 503).then_some(())
            })
            .await
            .unwrap();

            node.terminate();
            let told = Instant::now();

            let (reason, ()) = tokio::join!(host.is_closed(), is_out_within(&node, told, SLACK));
            assert!(reason.code == 1012 && reason.retry_in_ms.is_some(), "{reason}");
            drop(deaf);
        })
        .await;
    }
}

#[tokio::test]
async fn an_api_is_out_in_time_while_its_redis_hangs() {
    Plan::cluster(1, 1)
        .limits("off")
        .run(async |system| {
            let redis = system.programs().find(|program| program.name() == "redis").unwrap();
            redis.signal("STOP");
            system.api(0).terminate();
            let told = Instant::now();
            is_out_within(&system.api(0), told, Duration::from_secs(10) + SLACK).await;
            redis.signal("CONT");
        })
        .await;
}

#[tokio::test]
async fn those_who_are_put_out_come_back_one_by_one() {
    const DRAIN: Duration = Duration::from_secs(8);
    const PEOPLE: usize = 60;
    let plan = Plan::cluster(1, 2).limits("off").env("STREAMIT_DRAIN_SECONDS", &DRAIN.as_secs().to_string());
    plan.run(async |system| {
        let ana = system.guest("Ana").await;
        let room = ana.public_room().await;
        let seats = join_all((0..PEOPLE).map(|_| room.join_on(0, &ana))).await;

        let told = Instant::now();
        system.node(0).terminate();
        let closed = seats.into_iter().map(async |mut seat: Seat| (seat.is_closed().await, told.elapsed()));
        let closed: Vec<(CloseReason, Duration)> = join_all(closed).await;
        is_out_within(&system.node(0), told, DRAIN).await;

        let hints: HashSet<u64> = closed.iter().map(|(reason, _)| reason.retry_in_ms.unwrap()).collect();
        assert!(hints.len() > PEOPLE * 3 / 4, "{hints:?}");
        assert!(closed.iter().all(|(reason, _)| reason.code == 1012));
        // The window is three quarters of eight seconds, after 0.8 s; chance gives each third of it some.
        let third = DRAIN / 4;
        for part in 0..3 {
            let from = DRAIN / 10 + third * part;
            let in_it = closed.iter().filter(|(_, at)| (from..from + third).contains(at)).count();
            assert!(in_it >= PEOPLE / 10, "{in_it} of {PEOPLE} in part {part}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_share_of_a_nodes_people_moves_and_nobody_is_missed() {
    const PEOPLE: usize = 20;
    Plan::cluster(1, 2)
        .limits("off")
        .run(async |system| {
            let (room, mut host, mut seats) = guests_of_another_node(system, PEOPLE).await;
            for (_, seat) in &mut seats {
                seat.quiet().await; // a ping that is answered only on a closed line would hide why it was closed
            }

            let shed = async |args: &[&str]| {
                let args = [&["shed"], args].concat();
                let env = [("REDIS_URL".to_owned(), system.redis().unwrap().to_owned())];
                Program::run(&program("streamit-api"), &args, &env, system.home(), "").await
            };
            let other = shed(&["--node", "another", "--percent", "100"]).await;
            assert!(!other.is_success());
            assert!(other.stderr.contains("there are: node-0, node-1"), "{}", other.stderr);
            let ended = shed(&["--node", "node-0", "--percent", "40", "--over", "1s"]).await;
            assert!(ended.is_success(), "{}", ended.stderr);
            assert!(ended.stdout.starts_with("2 nodes heard it"), "{}", ended.stdout);

            // Told by name on the node, and done to eight of twenty.
            until("the end of the shedding", async || {
                system.node(0).log().contains(r#""message":"shed""#).then_some(())
            })
            .await
            .unwrap();
            let (mut stayed, mut back) = (Vec::new(), Vec::new());
            for (person, mut seat) in seats {
                let Some(reason) = put_out(&mut seat).await else {
                    stayed.push(seat);
                    continue;
                };
                assert_eq!(reason.code, 1012, "{reason}");
                tokio::time::sleep(Duration::from_millis(reason.retry_in_ms.unwrap())).await;
                back.push(room.try_sit(1, &person, Options::default()).await.unwrap());
            }
            assert_eq!((stayed.len(), back.len()), (12, 8));
            let http = Http::new(&system.ws(0).replace("ws://", "http://")).unwrap();
            assert_eq!(http.raw("GET", "/readyz", None).await.unwrap().status, 200);

            only_one_is_missed(&mut host, stayed.pop().unwrap(), &mut back).await;
        })
        .await;
}

/// Why a seat was closed; nothing when its room still answers.
async fn put_out(seat: &mut Seat) -> Option<CloseReason> {
    // What a closed line is sent goes nowhere, and then its reason is read.
    let _ = seat.line.sender().sync_check(271_828_182.8).await;
    loop {
        match seat.line.next_event(Duration::from_secs(20)).await {
            Ok(Event::SyncCorrection(_)) => return None,
            Ok(_) => {}
            Err(_) => return seat.line.closed().await.ok(),
        }
    }
}
