//! What an operator sees of a room.

use super::*;
use crate::room::{happened, inspect};
use streamit_telemetry::trace::Cause;

const ASKER: Uuid = Uuid::from_u128(4_711);

fn ask(world: &mut World) {
    let wanted = v1::Inspect { reply_to: ASKER.as_bytes().to_vec() };
    let event = v1::Event { kind: Some(v1::event::Kind::Inspect(wanted)), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
}

fn look(world: &mut World) -> v1::Inspected {
    ask(world);
    world.take(
        |effect| matches!(effect, Effect::Inspected(..)),
        |effect| match effect {
            Effect::Inspected(reply_to, seen) => {
                assert_eq!(reply_to, RoomId(ASKER));
                *seen
            }
            _ => unreachable!(),
        },
    )
}

fn kinds(seen: &v1::Inspected) -> Vec<&str> {
    seen.events.iter().map(|event| event.kind.as_str()).collect()
}

#[test]
fn who_looks_into_a_room_sees_how_each_member_is() {
    let mut world = World::new();
    world.join(1, 1);
    world.pass(7);
    world.join(2, 2);
    world.frames(1);
    world.outboxes[&1].answered(Duration::from_millis(40));
    let position = MediaTime::try_from(3.25).unwrap();
    world.on(Input::Frame(
        ConnectionId(2),
        ClientFrame::SyncCheck { client_time: position },
        Cause::default(),
    ));
    world.frames(2);
    world.outboxes[&2].push(Bytes::from_static(b"four"), Kind::Other);

    let seen = look(&mut world);
    assert_eq!((seen.node.as_str(), seen.connections), ("a", 2));
    assert_eq!(seen.incarnation, Uuid::from_u128(1).as_bytes());
    assert_eq!((seen.facts_version, seen.epoch, seen.chat_head), (5, 1, 0));
    assert_eq!(seen.roster_version, world.roster.version);
    assert_eq!(seen.playback.map(|film| film.is_playing), Some(false));
    let [far, near] = &seen.members[..] else { panic!("{seen:?}") };
    assert_eq!((far.connection, far.name.as_str(), &far.user[..]), (2, "u2", &user(2).as_bytes()[..]));
    assert_eq!((far.drift_ms, far.round_trip_us, far.since), (Some(3_250), None, START + 7));
    assert_eq!((far.frames, far.bytes, far.chat_lag, far.admitted), (1, 4, 0, 5));
    assert_eq!((near.connection, near.drift_ms, near.round_trip_us), (1, None, Some(40_000)));
    assert_eq!((near.stage(), near.frames, near.bytes), (v1::Stage::Live, 0, 0));
}

#[test]
fn a_player_that_says_where_it_stands_tells_its_drift_too() {
    let mut world = World::new();
    world.join(1, 1);
    let said = streamit_domain::readiness::Said {
        is_ready: true,
        position: Some(MediaTime::try_from(1.5).unwrap()),
    };
    world.on(Input::Frame(ConnectionId(1), ClientFrame::Readiness(said), Cause::default()));
    assert_eq!(look(&mut world).members[0].drift_ms, Some(1_500));
}

#[test]
fn who_is_still_on_his_way_in_is_seen() {
    let mut world = World::new();
    world.join(1, 1);
    let waits = world.joiner(2, 2, 9); // at facts that are not here yet
    world.on(Input::Join(waits));
    let enters = world.joiner(3, 3, 5);
    world.on(Input::Join(enters));
    let seen = look(&mut world);
    assert_eq!(seen.connections, 3);
    let stages: Vec<_> = seen.members.iter().map(|m| (m.connection, m.stage(), m.since != 0)).collect();
    assert_eq!(stages, [(1, v1::Stage::Live, true), (2, v1::Stage::Joining, false)]);
}

#[test]
fn who_does_not_read_is_seen_to_be_behind() {
    let mut world = World::new();
    world.join(1, 1);
    for seq in 1..=100 {
        world.tell_chat(&[seq]);
    }
    let seen = look(&mut world);
    let member = &seen.members[0];
    assert_eq!((member.stage(), seen.chat_head), (v1::Stage::CatchingUp, 100));
    assert!(member.frames > 0 && member.chat_lag == 100 - u64::from(member.frames), "{member:?}");
}

#[test]
fn of_a_crowd_those_who_are_worst_off_are_told() {
    const PEOPLE: u64 = 700;
    let mut world = World::new();
    world.room.facts.max_members = 10_000;
    for n in 1..=PEOPLE {
        let joiner = world.joiner(n, n.into(), 5);
        world.on(Input::Join(joiner));
    }
    while world.wants(|effect| matches!(effect, Effect::Enter(..))) {
        world.answer_enter();
    }
    for n in 1..=PEOPLE {
        world.frames(n);
        world.on(Input::Flushed(ConnectionId(n)));
        world.frames(n);
    }
    let position = MediaTime::try_from(9.0).unwrap();
    world.on(Input::Frame(
        ConnectionId(650),
        ClientFrame::SyncCheck { client_time: position },
        Cause::default(),
    ));
    world.frames(650);
    let seen = look(&mut world);
    assert_eq!((seen.connections, seen.members.len()), (PEOPLE, inspect::MOST));
    assert_eq!(seen.members[0].connection, 650);
    let others = seen.members[1..].iter().map(|member| member.connection);
    assert!(others.eq(1..inspect::MOST as u64), "of those who are alike, who came first");
}

#[test]
fn what_happened_is_told_and_not_a_word_of_what_was_said() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.command(1, play(10.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    world.tell_chat(&[1, 2]);
    world.tell_chat(&[3]);
    world.pass(500);
    world.on(Input::Gone(ConnectionId(2), Gone::Grace));
    world.pass(GRACE_MS);
    world.answer_leave();
    world.tell_facts(5, &Facts { source: Some(streamit_domain::room::Source::default()), ..facts(6) });

    let seen = look(&mut world);
    assert_eq!(kinds(&seen), ["opened", "joined", "joined", "playing", "chat", "cut", "left", "source"]);
    let numbers: Vec<u64> = seen.events.iter().map(|event| event.number).collect();
    let roster = world.roster.version;
    assert_eq!(numbers, [5, roster - 2, roster - 1, next.version.number, 3, 2, roster, 6]);
    assert_eq!(seen.events[6].user, user(2).as_bytes());
    assert_eq!(seen.events[5].at, START + 500);
    assert!(!format!("{seen:?}").contains("m3"));
}

#[test]
fn what_happened_is_kept_within_bounds_however_much_happens() {
    let mut log = happened::Log::default();
    for n in 0..1_000 {
        log.note(happened::What::Chat, n, None);
        log.note(happened::What::Moved, n, None);
        log.note(happened::What::Chat, n, None);
    }
    let told = log.told();
    assert_eq!(told.len(), happened::KEPT);
    assert_eq!(told.last().map(|event| (event.kind.as_str(), event.number)), Some(("chat", 999)));
    assert_eq!(told.iter().filter(|event| event.kind == "moved").count(), happened::KEPT / 2);
}

#[test]
fn a_flood_of_questions_is_not_answered() {
    let mut world = World::new();
    world.join(1, 1);
    for _ in 0..100 {
        ask(&mut world);
    }
    let answers = |world: &World| world.waiting.iter().filter(|e| matches!(e, Effect::Inspected(..))).count();
    assert_eq!(answers(&world), 10);
    world.waiting.clear();
    world.pass(1_000);
    ask(&mut world);
    assert_eq!(answers(&world), 1);
}
