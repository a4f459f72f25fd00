//! Where the film stands.

use super::*;

/// A room with its host in it, and the film running from 10 s.
fn playing() -> (World, Playback) {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, play(10.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    (world, next)
}

#[test]
fn a_command_is_stored_first_and_then_shown_once() {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, play(10.0));
    assert!(world.frames(1).is_empty());
    let (expect, next) = world.set();
    assert_eq!((expect.version, expect.confirmed), (None, false));
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    let event = v1::Event { kind: Some(v1::event::Kind::Playback((&next).into())), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
    let frames = world.frames(1);
    assert_eq!(frames.len(), 1);
    assert_eq!((&frames[0]["is_playing"], &frames[0]["time"]), (&true.into(), &10.0.into()));
    assert!(world.wants(|effect| matches!(effect, Effect::SavePlayback(_))));
}

#[test]
fn a_conflict_is_computed_again_from_what_is_stored() {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, Command::Seek(MediaTime::try_from(60.0).unwrap()));
    let (_, next) = world.set();
    let mut stored = next;
    stored.is_playing = true;
    stored.version.number += 5;
    world.on(Input::PlaybackSet(next, Ok(Cas::Conflict(stored))));
    let (expect, again) = world.set();
    assert_eq!(expect.version, Some(stored.version));
    assert!(again.is_playing, "a seek keeps what another node's PLAY made of it");
    assert!(again.version > stored.version);
}

#[test]
fn a_former_host_is_fenced_off_even_if_the_node_has_not_heard() {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, play(10.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Ok(Cas::Fenced(2))));
    assert!(world.frames(1).is_empty());
    let newer = Facts { host: user(2), fence: 2, ..facts(6) };
    world.on(Input::Facts(Ok(Some(v1::Facts::of(&newer, 5)))));
    let frames = world.frames(1);
    assert!(frames.iter().any(|frame| frame["code"] == "HOST_ONLY"), "{frames:?}");
    assert!(!world.wants(|effect| matches!(effect, Effect::SetPlayback(..))));
}

#[test]
fn a_store_without_a_fence_gets_it_from_one_who_has_just_asked() {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, play(10.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Ok(Cas::Unknown)));
    assert!(world.wants(|effect| matches!(effect, Effect::ReadFacts(_))));
    world.on(Input::Facts(Ok(Some(v1::Facts::of(&facts(5), 5)))));
    let (expect, next) = world.set();
    assert!(expect.confirmed);
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    assert_eq!(world.types(1), ["PLAYBACK_STATE"]);
}

#[test]
fn without_the_store_a_command_is_refused_and_the_next_one_tried() {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, play(1.0));
    world.command(1, play(2.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Err(Error::Away(None))));
    assert_eq!(world.frames(1)[0]["code"], "TRY_AGAIN");
    assert_eq!(world.set().1.time.secs(), 2.0);
}

#[test]
fn only_who_controls_is_heard() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.command(2, play(1.0));
    assert_eq!(world.frames(2)[0]["code"], "HOST_ONLY");
    assert!(!world.wants(|effect| matches!(effect, Effect::SetPlayback(..))));
}

#[test]
fn an_empty_room_pauses_where_it_was() {
    let (mut world, film) = playing();
    world.up += 5_000;
    world.on(Input::Gone(ConnectionId(1), Gone::Now));
    world.answer_leave();
    let (expect, pause) = world.set();
    assert!(expect.only_if_empty && !pause.is_playing);
    assert_eq!(pause.time, film.position(Timestamp(START + 5_000)));
}

#[test]
fn a_command_that_waited_is_not_stored_for_somebody_who_is_no_longer_host() {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, play(1.0));
    world.command(1, play(2.0));
    let (_, first) = world.set();
    world.tell_facts(5, &Facts { host: user(2), fence: 2, ..facts(6) });
    world.on(Input::PlaybackSet(first, Ok(Cas::Stored)));
    assert!(!world.wants(|effect| matches!(effect, Effect::SetPlayback(..))));
    assert!(world.frames(1).iter().any(|frame| frame["code"] == "HOST_ONLY"));
}

#[test]
fn an_answer_that_news_has_overtaken_takes_nothing_back() {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, play(1.0));
    let (_, next) = world.set();
    let mut second = next;
    second.version.number += 1;
    let mut third = next;
    third.version.number += 2;
    let event = v1::Event { kind: Some(v1::event::Kind::Playback((&third).into())), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
    world.on(Input::PlaybackSet(next, Ok(Cas::Conflict(second))));
    assert_eq!(world.room.playback.version, third.version);
    let (expect, again) = world.set();
    assert_eq!(expect.version, Some(second.version));
    assert!(again.version > third.version);
    world.on(Input::PlaybackSet(again, Ok(Cas::Conflict(third))));
    let (_, again) = world.set();
    world.on(Input::PlaybackSet(again, Ok(Cas::Stored)));
    assert_eq!(world.types(1), ["PLAYBACK_STATE", "PLAYBACK_STATE"], "the third and ours, each once");
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_clock_that_jumps_does_not_move_a_running_film() {
    let (mut world, next) = playing();
    world.frames(1);
    world.ahead = HOUR;
    world.on(Input::Jumped(HOUR));
    let (expect, again) = world.set();
    assert_eq!((expect.version, again.at), (Some(next.version), next.at.plus(HOUR)));
    assert!(again.time == next.time && again.version > next.version);
    assert!(world.frames(1).is_empty(), "shown when it is stored");
    // Another node was faster: what it stored is the same film.
    let mut theirs = again;
    theirs.version.number += 1;
    world.on(Input::PlaybackSet(again, Ok(Cas::Conflict(theirs))));
    assert!(!world.wants(|effect| matches!(effect, Effect::SetPlayback(..))));
    assert_eq!(world.frames(1).len(), 1);
}

#[test]
fn a_film_that_another_node_has_anchored_anew_is_not_moved_again() {
    let (mut world, next) = playing();
    world.frames(1);
    let theirs = next.after_jump(HOUR, Timestamp(START).plus(HOUR));
    let event = v1::Event { kind: Some(v1::event::Kind::Playback((&theirs).into())), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
    world.ahead = HOUR;
    world.on(Input::Jumped(HOUR));
    assert_eq!(world.frames(1).len(), 1, "theirs, and no other");
    assert!(!world.wants(|effect| matches!(effect, Effect::SetPlayback(..))));
    // The next jump is another one.
    world.ahead = HOUR * 2;
    world.on(Input::Jumped(HOUR));
    assert_eq!(world.set().1.at, theirs.at.plus(HOUR));
}

/// How long after now the film begins when the host presses play.
fn lead_of(world: &mut World) -> i64 {
    world.command(1, play(10.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    next.at.0 - (START + world.up as i64)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_film_begins_twice_the_round_trip_of_nearly_all_from_now() {
    let mut world = World::new();
    for n in 1..=40 {
        world.join(n, n.into());
    }
    assert_eq!(lead_of(&mut world), 150, "nothing is measured");
    for n in 1..=40 {
        world.outboxes[&n].answered(ms(100 + n));
    }
    world.outboxes[&7].answered(ms(4_000)); // once, which is an accident
    for last in [39, 40] {
        world.outboxes.remove(&last).unwrap().answered(ms(1)); // whose line is far better than that of the others
    }
    assert_eq!(lead_of(&mut world), 150, "looked at with the heartbeat");
    world.pass(HEARTBEAT_SOON_MS);
    assert_eq!(world.room.round_trip(), Some(ms(136)));
    assert_eq!(lead_of(&mut world), 272);
    world.command(1, Command::Pause(None));
    let (_, stop) = world.set();
    assert_eq!(stop.at.0, START + world.up as i64, "a pause is at once");
}

#[test]
fn the_longest_round_trip_of_all_nodes_counts_as_long_as_it_is_told() {
    let mut world = World::new();
    world.join(1, 1);
    world.outboxes[&1].answered(ms(100));
    world.pass(HEARTBEAT_SOON_MS);
    for (told, expected) in
        [(None, 200), (Some(300), 600), (Some(90), 200), (Some(9_000), 1_500), (None, 200)]
    {
        let live = LiveVersions {
            roster: world.roster.version,
            playback: Some(world.room.playback.version),
            round_trip: told.map(ms),
            book: 0,
        };
        world.on(Input::Versions(Some(live), None));
        assert_eq!(lead_of(&mut world), expected, "{told:?}");
        world.on(Input::Versions(None, Some(v1::RoomVersions::default())));
        assert_eq!(lead_of(&mut world), expected, "the api knows nothing of it");
        world.pass(1_000);
    }
}

#[test]
fn who_has_gone_is_waited_for_no_more() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.outboxes[&1].answered(ms(20));
    world.outboxes[&2].answered(ms(400));
    world.pass(HEARTBEAT_SOON_MS);
    assert_eq!(world.room.round_trip(), Some(ms(400)));
    world.on(Input::Gone(ConnectionId(2), Gone::Now));
    world.pass(HEARTBEAT_MS);
    assert_eq!(world.room.round_trip(), Some(ms(20)));
    world.on(Input::Gone(ConnectionId(1), Gone::Now));
    world.pass(HEARTBEAT_MS);
    assert_eq!(world.room.round_trip(), None);
}

#[test]
fn who_comes_within_the_lead_is_told_the_same_beginning() {
    let (mut world, film) = playing();
    world.pass(100);
    let frames = world.join(2, 2);
    let told = &frames[2];
    assert_eq!((&told["server_time"], &told["time"]), (&film.at.0.into(), &10.0.into()));
    world.pass(1_000);
    let late = &world.join(3, 3)[2];
    assert_eq!((&late["server_time"], &late["version"]), (&(START + 1_100).into(), &told["version"]));
    assert!(
        !world.wants(|effect| matches!(effect, Effect::SetPlayback(..))),
        "nobody who comes changes anything"
    );
}

#[test]
fn play_twice_makes_nobody_stall() {
    let (mut world, film) = playing();
    world.pass(100);
    world.command(1, Command::Play(None));
    let (_, again) = world.set();
    assert_eq!((again.time, again.at), (film.time, film.at));
    world.on(Input::PlaybackSet(again, Ok(Cas::Stored)));
    world.pass(3_000);
    world.command(1, Command::Play(None));
    let now = Timestamp(START + world.up as i64);
    let (_, again) = world.set();
    assert_eq!((again.time, again.at), (film.position(now), now));
}
