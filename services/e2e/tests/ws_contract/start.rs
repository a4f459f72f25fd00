//! A film begins a moment after the command, for everybody at once.

use std::time::Duration;

use streamit_client::{Options, PlaybackState};
use streamit_e2e::{PATIENCE, RawSocket, Room, Seat, System, on_both};
use tokio::task::JoinHandle;

use crate::count;

on_both! {
    crate::SYSTEMS;
    a_film_begins_a_moment_after_play_and_seek_and_stops_at_once,
    play_while_it_runs_makes_nobody_stall,
    who_comes_before_the_beginning_begins_with_the_others,
    the_worst_line_on_any_node_says_how_long_the_moment_is,
}

/// The least and the most that a beginning lies ahead, in milliseconds.
const MIN: i64 = 150;
const MAX: i64 = 1_500;

fn is_at(time: f64) -> impl Fn(&PlaybackState) -> bool {
    move |state| (state.time - time).abs() < 0.001
}

/// Goes to `time`. Returns what is shown then, and between which milliseconds from the command it begins.
async fn seek(host: &mut Seat, time: f64) -> (PlaybackState, i64, i64) {
    let before = host.clock().await;
    host.seek(time).await;
    let state = host.sees("the seek", is_at(time)).await;
    let after = host.clock().await;
    (state, state.server_time - after, state.server_time - before)
}

/// Somebody whose pongs come so late, until the handle is dropped.
struct LateLine(JoinHandle<()>);

impl Drop for LateLine {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn late_line(system: &System, room: &Room, node: usize, late: Duration) -> LateLine {
    let far = system.guest("Far").await;
    room.admit(&far).await;
    let path = format!("/ws/room/{}/?token={}", room.code, far.token());
    let mut raw = RawSocket::open(&system.ws(node), &path).await;
    raw.read_until(|frame| frame.text().contains("PLAYBACK_STATE")).await;
    LateLine(tokio::spawn(async move {
        while let Some(frame) = raw.read().await {
            if frame.opcode == 9 {
                tokio::time::sleep(late).await;
                raw.frame(0x8A, b"nobody sent this").await;
                raw.frame(0x8A, &frame.payload).await;
            }
        }
    }))
}

/// Goes to and fro until what is shown begins at least `least` milliseconds after the command.
async fn seek_until_ahead(host: &mut Seat, least: i64) -> (PlaybackState, i64) {
    // A node tells the others what it has measured, and they read it, about every ten seconds.
    let seeking = async {
        let mut time = 1_000.0;
        loop {
            time += 1.0;
            let (state, ahead, at_most) = seek(host, time).await;
            if at_most >= least {
                return (state, ahead);
            }
            host.waits_until(state.server_time + 100).await; // commands have a pace
        }
    };
    let found = tokio::time::timeout(PATIENCE * 2, seeking).await;
    found.unwrap_or_else(|_| panic!("no beginning lay {least} ms ahead"))
}

async fn a_film_begins_a_moment_after_play_and_seek_and_stops_at_once(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut bo = room.join_on(1, &bo).await;

    let (still, ..) = seek(&mut host, 4.0).await;
    assert!(
        !still.is_playing && still.server_time <= host.clock().await,
        "a film that stands has nothing to wait for"
    );

    let before = host.clock().await;
    host.play(None).await;
    let begun = host.sees("the film running", |state| state.is_playing).await;
    let after = host.clock().await;
    assert!((before + MIN..=after + MAX).contains(&begun.server_time), "{begun:?} after {before}");
    assert_eq!(begun.time, 4.0);
    assert_eq!(bo.sees("the same beginning", |state| state.is_playing).await, begun);

    let (moved, _, at_most) = seek(&mut host, 60.0).await;
    assert!(moved.is_playing && at_most >= MIN, "{moved:?}: {at_most} ms ahead");
    assert_eq!(bo.sees("the same seek", is_at(60.0)).await, moved);

    host.pause(None).await;
    let stopped = host.sees("the film standing", |state| !state.is_playing).await;
    assert!(stopped.server_time <= host.clock().await, "a pause is at once");
    let expected = moved.position(stopped.server_time as f64);
    assert!((stopped.time - expected).abs() < 0.001, "{stopped:?} for {expected}");
    assert_eq!(bo.sees("the same pause", |state| !state.is_playing).await, stopped);
}

async fn play_while_it_runs_makes_nobody_stall(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    host.play(Some(10.0)).await;
    let begun = host.sees("the film running", |state| state.is_playing).await;
    host.waits_until(begun.server_time + 300).await;

    host.play(None).await;
    let again = host.sees("the next state", |state| state.version > begun.version).await;

    let now = host.clock().await;
    assert!(again.is_playing && again.server_time <= now);
    let off = again.position(now as f64) - begun.position(now as f64);
    assert!(off.abs() < 0.001, "{off} s");
}

async fn who_comes_before_the_beginning_begins_with_the_others(system: &System) {
    let (ana, late) = (system.guest("Ana").await, system.guest("Late").await);
    let room = ana.public_room().await;
    let _far = late_line(system, &room, 0, Duration::from_millis(700)).await;
    room.admit(&late).await;
    let mut host = room.join_on(0, &ana).await;
    host.play(Some(1.0)).await;
    host.sees("the film running", |state| state.is_playing).await;
    seek_until_ahead(&mut host, 1_400).await;

    let mut in_time = 0;
    for time in 1..=10 {
        let (begun, ..) = seek(&mut host, f64::from(time)).await;
        let mut seat = room.sit(in_time, &late, Options::default()).await;
        let told = seat.welcome.playback;
        let now = seat.clock().await;
        assert_eq!(told.version, begun.version);
        let off = told.position(now as f64) - begun.position(now as f64);
        assert!(off.abs() < 0.1, "{off} s off");
        let is_in_time = now < begun.server_time;
        assert!(!is_in_time || told == begun, "{told:?}, not {begun:?}");
        seat.leaves().await;
        // The mark of `quiet` is behind whatever the newcomer might have brought about.
        assert_eq!(count(&host.quiet().await, "PLAYBACK_STATE"), 0, "who comes changes nothing");
        in_time += usize::from(is_in_time);
        if in_time == 3 {
            return;
        }
        host.waits_until(begun.server_time).await; // commands have a pace
    }
    panic!("joining takes longer than a film is ahead");
}

async fn the_worst_line_on_any_node_says_how_long_the_moment_is(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let _far = late_line(system, &room, 1, Duration::from_millis(300)).await;
    let mut host = room.join_on(0, &ana).await;
    host.play(Some(1.0)).await;
    host.sees("the film running", |state| state.is_playing).await;

    let (_, ahead) = seek_until_ahead(&mut host, 600).await;
    assert!(ahead <= 1_000, "twice 300 ms and what a busy machine adds, not {ahead} ms");
}
