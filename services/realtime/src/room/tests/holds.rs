//! Holds when things go wrong for long, seen from one node.

use streamit_bus::BookChange;
use streamit_domain::readiness::Said;
use streamit_domain::room::ReadinessMode;

use super::*;

fn strict() -> World {
    let mut world = World::new();
    let mut told = facts(6);
    told.settings.readiness = ReadinessMode::Strict;
    world.tell_facts(5, &told);
    world
}

/// A strict room with its host and one who has said nothing; the film is held for him.
fn held() -> World {
    let mut world = strict();
    world.join(1, 1);
    world.join(2, 2);
    world.command(1, play(10.0));
    let (_, next) = world.set();
    assert!(next.held_until.is_some());
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    world
}

fn pass(world: &mut World, ms: u64) {
    for outbox in world.outboxes.values() {
        outbox.heard(world.up + ms);
        let _ = outbox.take();
    }
    world.pass(ms);
}

#[test]
fn while_the_store_does_not_answer_a_release_waits_once() {
    let mut world = held();
    for _ in 0..1_000 {
        pass(&mut world, 500);
    }
    let mut tries = 0;
    while world.wants(|effect| matches!(effect, Effect::SetPlayback(..))) {
        let (_, next) = world.set();
        tries += 1;
        world.on(Input::PlaybackSet(next, Err(Error::Away(None))));
    }
    assert!(tries <= 2, "{tries} in line");
}

#[test]
fn a_hold_that_nobody_saw_end_is_a_pause_for_who_comes_later() {
    let day = Timestamp(START).minus(Duration::from_secs(86_400));
    let film = Playback { is_playing: true, ..Playback::start(1, day) };
    let film = film.held(day.plus(Duration::from_secs(8)), day);
    let mut world = World::of(film, true);
    let mut told = facts(6);
    told.settings.readiness = ReadinessMode::Strict;
    world.tell_facts(5, &told);
    world.join(1, 1);
    pass(&mut world, 500);
    let (_, next) = world.set();
    assert_eq!((next.is_playing, next.held_until, next.time), (false, None, film.time));
}

#[test]
fn a_hold_by_a_clock_that_is_no_more_ends_in_time() {
    let ahead = Timestamp(START).plus(Duration::from_secs(3_600));
    let film = Playback { is_playing: true, ..Playback::start(1, ahead) };
    let film = film.held(ahead.plus(Duration::from_secs(8)), ahead);
    let mut world = World::of(film, true);
    let mut told = facts(6);
    told.settings.readiness = ReadinessMode::Strict;
    world.tell_facts(5, &told);
    world.roster.users.insert(user(2), Present { name: "u2".into(), since: Timestamp(START - 60_000) });
    world.join(1, 1);
    for _ in 0..40 {
        pass(&mut world, 500);
    }
    let (_, next) = world.set();
    assert!(next.is_running());
}

#[test]
fn a_player_that_flaps_is_told_the_store_a_few_times_a_second() {
    let mut world = World::new();
    world.join(1, 1);
    let mut told = 0;
    for n in 0..60 {
        let said = Said { is_ready: n % 2 == 0, position: None };
        world.on(Input::Frame(ConnectionId(1), ClientFrame::Readiness(said)));
        world.pass(33);
        while world.wants(|effect| matches!(effect, Effect::ReportReady(..))) {
            told += 1;
            let (words, gave_up) = world.take(
                |effect| matches!(effect, Effect::ReportReady(..)),
                |effect| match effect {
                    Effect::ReportReady(words, gave_up, _) => (words, gave_up),
                    _ => unreachable!(),
                },
            );
            let change = BookChange { previous: told, version: told + 1, words: words.clone(), gave_up };
            world.on(Input::Reported(words, gave_up, Ok(change)));
        }
    }
    assert!((10..=32).contains(&told), "{told} calls in 2 s");
}
