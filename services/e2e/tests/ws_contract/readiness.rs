//! Whose player is ready, and the film that waits.

use std::time::Duration;

use serde_json::json;
use streamit_client::{Event, Options, PlaybackState, Readiness};
use streamit_e2e::{Person, Room, Seat, System, on_both};
use tokio::time::Instant;

use crate::count;

on_both! {
    crate::SYSTEMS;
    who_buffers_is_shown_to_everybody_and_the_film_goes_on,
    a_strict_room_starts_when_the_last_one_is_ready,
    a_start_waits_no_longer_than_its_deadline,
    a_player_that_runs_dry_is_waited_for_and_no_longer_than_its_deadline,
    who_stalls_again_and_again_is_waited_for_twice,
    a_pause_ends_the_wait_and_a_seek_moves_it,
    who_is_thrown_out_is_not_waited_for,
    a_room_that_does_not_wait_any_more_goes_on,
    a_room_that_is_off_asks_nobody,
    what_a_player_says_must_make_sense,
}

/// What may pass between a deadline and the moment at which everybody has heard.
const LATE: Duration = Duration::from_secs(1);

/// A room on three nodes: the host on the first one, the others each on the next.
async fn room(system: &System, mode: &str) -> (Room, Person, [Seat; 3]) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    room.host_does("settings", json!({"readiness": mode})).await;
    let seats = [room.join_on(0, &ana).await, room.join_on(1, &bo).await, room.join_on(2, &cy).await];
    (room, cy, seats)
}

/// A strict room whose film runs, everybody being ready.
async fn running(system: &System) -> (Room, [Seat; 3]) {
    let (room, _, mut seats) = room(system, "strict").await;
    for seat in &mut seats {
        seat.line.sender().ready(None).await.unwrap();
    }
    seats[0].play(Some(10.0)).await;
    for seat in &mut seats {
        seat.sees("the film running", |state| state.is_playing).await;
    }
    (room, seats)
}

async fn shows(seat: &mut Seat, what: &str, like: impl Fn(&Readiness) -> bool) -> Readiness {
    seat.waits(what, |event| match event {
        Event::Readiness(told) if like(told) => Some(told.clone()),
        _ => None,
    })
    .await
}

fn names(told: &Readiness) -> Vec<&str> {
    let mut names: Vec<&str> = told.waiting.iter().map(|one| one.user.as_str()).collect();
    names.sort_unstable();
    names
}

async fn buffers(seat: &mut Seat) {
    seat.line.sender().buffering(Some(9.5)).await.unwrap();
}

async fn is_ready(seat: &mut Seat) {
    seat.line.sender().ready(None).await.unwrap();
}

const HELD: fn(&PlaybackState) -> bool = |state| state.held;
const RUNS: fn(&PlaybackState) -> bool = |state| state.is_playing;

async fn who_buffers_is_shown_to_everybody_and_the_film_goes_on(system: &System) {
    let (room, _, mut seats) = room(system, "soft").await;
    seats[0].play(Some(10.0)).await;
    seats[1].sees("the film running", RUNS).await;

    buffers(&mut seats[1]).await;

    for seat in &mut seats {
        let told = shows(seat, "who buffers", |told| told.count == 1).await;
        assert_eq!((told.mode.as_str(), names(&told), told.held), ("soft", vec!["Bo"], false));
        assert_eq!(told.waiting[0].position, Some(9.5));
    }
    // Who comes now hears it after what everybody hears first.
    let mut late = room.join_on(0, &system.guest("Di").await).await;
    assert!(late.welcome.playback.is_playing);
    assert_eq!(names(&shows(&mut late, "who buffers", |_| true).await), ["Bo"]);
    is_ready(&mut seats[1]).await;
    for seat in &mut seats {
        shows(seat, "that all is well", |told| told.count == 0).await;
        assert!(seat.quiet().await.iter().all(|event| event.kind() != "PLAYBACK_STATE"));
    }
}

async fn a_strict_room_starts_when_the_last_one_is_ready(system: &System) {
    let (_, _, mut seats) = room(system, "strict").await;
    is_ready(&mut seats[0]).await;
    seats[0].play(Some(10.0)).await;
    for seat in &mut seats {
        let held = seat.sees("the film held", HELD).await;
        assert_eq!((held.is_playing, held.time, held.position(9e15)), (false, 10.0, 10.0));
        let wait = held.hold_until.unwrap() - held.server_time;
        assert_eq!(wait, 15_000);
        let told = shows(seat, "whom it waits for", |told| told.held && told.count == 2).await;
        assert_eq!((told.mode.as_str(), names(&told)), ("strict", vec!["Bo", "Cy"]));
        assert_eq!(told.hold_until, held.hold_until);
    }
    is_ready(&mut seats[2]).await;
    shows(&mut seats[0], "whom it waits for", |told| names(told) == ["Bo"]).await;
    is_ready(&mut seats[1]).await;
    for seat in &mut seats {
        let run = seat.sees("the film running", RUNS).await;
        assert_eq!((run.time, run.held, run.hold_until), (10.0, false, None));
        shows(seat, "that all is well", |told| told.count == 0 && !told.held).await;
    }
}

async fn a_start_waits_no_longer_than_its_deadline(system: &System) {
    let (_, _, mut seats) = room(system, "strict").await;
    is_ready(&mut seats[0]).await;
    is_ready(&mut seats[1]).await;
    seats[0].play(Some(0.0)).await; // and the third, an old client, says nothing
    seats[1].sees("the film held", HELD).await;
    let held = Instant::now();
    for seat in &mut seats[1..] {
        seat.sees("the film running", RUNS).await;
    }
    let waited = held.elapsed();
    assert!((Duration::from_secs(14)..Duration::from_secs(15) + LATE).contains(&waited), "{waited:?}");

    // Once.
    seats[0].pause(None).await;
    seats[1].sees("the film stopped", |state| !state.is_playing).await;
    seats[0].play(None).await;
    let next = seats[1].sees("what comes of it", |state| state.is_playing || state.held).await;
    assert!(next.is_playing);
}

async fn a_player_that_runs_dry_is_waited_for_and_no_longer_than_its_deadline(system: &System) {
    let (_, mut seats) = running(system).await;

    buffers(&mut seats[1]).await;
    for seat in &mut seats {
        let held = seat.sees("the film held", HELD).await;
        assert_eq!(held.hold_until.unwrap() - held.server_time, 8_000);
    }
    is_ready(&mut seats[1]).await;
    for seat in &mut seats {
        seat.sees("the film running", RUNS).await;
    }

    buffers(&mut seats[2]).await;
    seats[0].sees("the film held", HELD).await;
    let held = Instant::now();
    assert_eq!(names(&shows(&mut seats[0], "whom it waits for", |told| told.held).await), ["Cy"]);
    for seat in &mut seats[..2] {
        seat.sees("the film running", RUNS).await;
    }
    let waited = held.elapsed();
    assert!((Duration::from_secs(7)..Duration::from_secs(8) + LATE).contains(&waited), "{waited:?}");
    let told = shows(&mut seats[0], "that nobody waits", |told| !told.held).await;
    assert_eq!(names(&told), ["Cy"], "he still buffers");
}

async fn who_stalls_again_and_again_is_waited_for_twice(system: &System) {
    let (_, mut seats) = running(system).await;
    for _ in 0..2 {
        buffers(&mut seats[1]).await;
        seats[0].sees("the film held", HELD).await;
        is_ready(&mut seats[1]).await;
        seats[0].sees("the film running", RUNS).await;
    }
    // Each at a place of its own: who stalls again before that is told has only been told of once.
    for position in [20.0, 30.0, 40.0] {
        seats[1].line.sender().buffering(Some(position)).await.unwrap();
        let told = shows(&mut seats[0], "who buffers", |told| {
            told.waiting.first().is_some_and(|one| one.position == Some(position))
        })
        .await;
        assert_eq!((names(&told), told.held), (vec!["Bo"], false));
        is_ready(&mut seats[1]).await;
        shows(&mut seats[0], "that all is well", |told| told.count == 0).await;
    }
    assert_eq!(count(&seats[2].quiet().await, "PLAYBACK_STATE"), 4, "held twice, and went on twice");
}

async fn a_pause_ends_the_wait_and_a_seek_moves_it(system: &System) {
    let (_, mut seats) = running(system).await;
    buffers(&mut seats[1]).await;
    let held = seats[0].sees("the film held", HELD).await;
    shows(&mut seats[2], "whom it waits for", |told| told.held).await;
    seats[0].seek(300.0).await;
    let there = seats[2].sees("the seek", |state| state.time >= 300.0).await;
    assert_eq!((there.held, there.is_playing, there.hold_until), (true, false, held.hold_until));
    seats[0].pause(None).await;
    let stopped = seats[2].sees("the pause", |state| !state.held).await;
    assert_eq!((stopped.is_playing, stopped.time), (false, 300.0));
    is_ready(&mut seats[1]).await;
    shows(&mut seats[2], "that all is well", |told| told.count == 0).await;
    assert_eq!(count(&seats[2].quiet().await, "PLAYBACK_STATE"), 0);
}

async fn who_is_thrown_out_is_not_waited_for(system: &System) {
    let (room, cy, mut seats) = room(system, "strict").await;
    is_ready(&mut seats[0]).await;
    is_ready(&mut seats[1]).await;
    seats[0].play(Some(0.0)).await;
    seats[1].sees("the film held", HELD).await;
    let held = Instant::now();
    room.host_does("kick", json!({"user_id": cy.id()})).await;
    seats[1].sees("the film running", RUNS).await;
    assert!(held.elapsed() < Duration::from_secs(8), "long before the deadline");
}

async fn a_room_that_does_not_wait_any_more_goes_on(system: &System) {
    for mode in ["soft", "off"] {
        let (room, mut seats) = running(system).await;
        buffers(&mut seats[1]).await;
        seats[2].sees("the film held", HELD).await;
        let held = Instant::now();
        room.host_does("settings", json!({"readiness": mode})).await;
        seats[2].sees("the film running", RUNS).await;
        assert!(held.elapsed() < Duration::from_secs(5), "long before the deadline");
        let expected = u64::from(mode == "soft");
        let told = shows(&mut seats[2], "what is shown now", |told| !told.held && told.mode == mode).await;
        assert_eq!(told.count, expected, "{mode}");
    }
}

async fn a_room_that_is_off_asks_nobody(system: &System) {
    let (room, _, mut seats) = room(system, "off").await;
    buffers(&mut seats[1]).await;
    seats[0].play(Some(1.0)).await;
    assert!(seats[1].sees("the film", |state| state.time >= 1.0).await.is_playing);
    assert_eq!(count(&seats[1].quiet().await, "READINESS"), 0);
    // A tab that comes back says so anew.
    let mut tab = room.sit(2, &room.host, Options::default()).await;
    assert_eq!(count(&tab.quiet().await, "READINESS"), 0);
}

async fn what_a_player_says_must_make_sense(system: &System) {
    let (_, _, mut seats) = room(system, "soft").await;
    for kind in ["READY", "BUFFERING"] {
        for position in [json!(null), json!(-1), json!("5"), json!(true), json!([])] {
            seats[1].send(&json!({"type": kind, "position": position})).await;
            let told = seats[1].is_told("INVALID").await;
            assert_eq!(told.message, "position must be a finite number of seconds, 0 or more");
        }
    }
    assert_eq!(count(&seats[0].quiet().await, "READINESS"), 0);
}
