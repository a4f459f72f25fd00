//! Holds when things go wrong for long, seen from one node.

use streamit_bus::BookChange;
use streamit_domain::readiness::Said;
use streamit_domain::room::ReadinessMode;
use streamit_telemetry::trace::Cause;

use super::*;

const LEAD: Duration = Duration::from_millis(150);

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

fn says(world: &mut World, who: u64, is_ready: bool) {
    let said = Said { is_ready, position: None };
    world.on(Input::Frame(ConnectionId(who), ClientFrame::Readiness(said), Cause::default()));
}

/// The store takes all that it is told of players.
fn take_all_words(world: &mut World) {
    while world.wants(|effect| matches!(effect, Effect::ReportReady(..))) {
        take_words(world);
    }
}

/// The store takes what it is told of players.
fn take_words(world: &mut World) {
    let (words, gave_up) = world.take(
        |effect| matches!(effect, Effect::ReportReady(..)),
        |effect| match effect {
            Effect::ReportReady(words, gave_up, _) => (words, gave_up),
            _ => unreachable!(),
        },
    );
    let previous = world.room.book_version();
    let change = BookChange { previous, version: previous + 1, words: words.clone(), gave_up };
    world.on(Input::Reported(words, gave_up, Ok(change)));
}

#[test]
fn who_runs_dry_while_the_film_is_being_let_go_is_waited_for() {
    let mut world = held();
    says(&mut world, 1, true);
    take_words(&mut world);
    says(&mut world, 2, true);
    let (_, next) = world.set();
    assert!(next.is_running());
    says(&mut world, 2, false); // the film is on its way already
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    take_all_words(&mut world);
    let (_, next) = world.set();
    assert!(next.is_playing && next.held_until.is_some());
}

#[test]
fn whom_a_deadline_passed_over_does_not_stop_the_film_again() {
    let mut world = held();
    says(&mut world, 1, true);
    says(&mut world, 2, true);
    says(&mut world, 2, false);
    pass(&mut world, 16_000);
    let (_, next) = world.set();
    assert!(next.is_running());
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    take_all_words(&mut world);
    assert!(!world.wants(|effect| matches!(effect, Effect::SetPlayback(..))));
}

#[test]
fn a_deadline_that_passed_elsewhere_is_not_taken_for_a_film_let_go_too_early() {
    let mut world = held();
    for is_ready in [true, false] {
        says(&mut world, 2, is_ready);
    }
    take_all_words(&mut world);
    let held = world.room.playback;
    let until = held.held_until.unwrap();
    // By the clock of the node that let it go the deadline has passed; here it is a moment away.
    pass(&mut world, 14_900);
    let next = held.release(held.version.fence, until, LEAD);
    let event = v1::Event { kind: Some(v1::event::Kind::Playback((&next).into())), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
    assert!(world.room.playback.is_running());
    assert!(!world.wants(|effect| matches!(effect, Effect::ReportReady(..))));
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
        says(&mut world, 1, n % 2 == 0);
        world.pass(33);
        while world.wants(|effect| matches!(effect, Effect::ReportReady(..))) {
            told += 1;
            take_words(&mut world);
        }
    }
    assert!((10..=32).contains(&told), "{told} calls in 2 s");
}
