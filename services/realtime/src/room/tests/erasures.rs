//! What is taken back.

use super::*;
use streamit_telemetry::trace::Cause;

fn tombstone(seq: u64) -> v1::ChatMessage {
    v1::ChatMessage { erased: true, text: String::new(), ..message(seq) }
}

fn tell_erased(world: &mut World, number: u64, seqs: &[u64]) {
    let tombstones = seqs.iter().copied().map(tombstone).collect();
    let erased = v1::Erased { epoch: 1, tombstone: None, tombstones, number };
    let event = v1::Event { kind: Some(v1::event::Kind::Erased(erased)), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
}

fn home(erasures: u64, chat_head: u64) -> v1::RoomVersions {
    let room = RoomId(Uuid::from_u128(99)).as_bytes().to_vec();
    v1::RoomVersions { room, facts_version: 5, epoch: 1, chat_head, fence: 1, erasures, kept_from: 1 }
}

/// The numbers of all frames in an outbox, also of several that travel in one piece.
fn erased(world: &World, connection: u64) -> Vec<u64> {
    let all: Vec<u8> = world.outboxes[&connection].take().frames.iter().flatten().copied().collect();
    let text = String::from_utf8_lossy(&all).into_owned();
    let marker = r#""MESSAGE_ERASED","seq":"#;
    text.split(marker).skip(1).map(|rest| rest.split('}').next().unwrap().parse().unwrap()).collect()
}

fn asked(world: &World) -> Option<(u64, u64)> {
    world.waiting.iter().find_map(|effect| match effect {
        Effect::ReadErasures(after, from) => Some((*after, *from)),
        _ => None,
    })
}

#[test]
fn members_are_told_once_and_who_joins_sees_a_tombstone() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&[1, 2, 3]);
    world.frames(1);
    tell_erased(&mut world, 1, &[1, 3]);
    assert_eq!(erased(&world, 1), [1, 3]);
    tell_erased(&mut world, 1, &[1, 3]);
    assert_eq!(erased(&world, 1), [] as [u64; 0]);
    assert_eq!(asked(&world), None);
    let history = world.join(2, 2).remove(1);
    let texts: Vec<_> =
        history["messages"].as_array().unwrap().iter().map(|m| m["message"].clone()).collect();
    assert_eq!(texts, ["", "m2", ""]);
}

#[test]
fn erasures_whose_news_was_lost_are_asked_for() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&[1, 2, 3]);
    world.frames(1);
    // The second comes, the first does not.
    tell_erased(&mut world, 2, &[3]);
    assert_eq!(erased(&world, 1), [3]);
    assert_eq!(asked(&world), Some((0, 1)));
    let reply = v1::ErasuresReply { tombstones: vec![tombstone(1), tombstone(3)], erasures: 2, epoch: 1 };
    world.on(Input::Erasures(Ok(reply)));
    assert_eq!(erased(&world, 1), [1]);
    // Nothing at all comes: the comparison of versions shows it.
    world.waiting.clear();
    world.on(Input::Versions(None, Some(home(2, 3))));
    assert_eq!(asked(&world), None);
    world.on(Input::Versions(None, Some(home(3, 3))));
    assert_eq!(asked(&world), Some((2, 1)));
    world.on(Input::Erasures(Err(Away)));
    world.waiting.clear();
    world.on(Input::Versions(None, Some(home(3, 3))));
    assert_eq!(asked(&world), Some((2, 1)), "and again, when it could not be read");
}

#[test]
fn what_is_erased_before_it_came_is_shown_as_a_tombstone() {
    let mut world = World::new();
    world.join(1, 1);
    tell_erased(&mut world, 1, &[1]);
    world.tell_chat(&[1, 2]);
    let frames = world.frames(1);
    let texts: Vec<_> = frames.iter().map(|frame| frame["message"].clone()).collect();
    assert_eq!(texts, ["", "m2"]);
}

#[test]
fn who_comes_back_is_told_what_was_erased_meanwhile() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&[1, 2, 3]);
    tell_erased(&mut world, 1, &[1]);
    let mut joiner = world.joiner(2, 2, 5);
    joiner.resume = Some(Resume { since: Some(2), epoch: Some(1), asks: 0, asked: false });
    world.on(Input::Join(joiner));
    world.answer_enter();
    assert_eq!(erased(&world, 2), [1]);
}

#[test]
fn what_is_kept_no_more_is_shown_to_nobody_who_comes() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&[1, 2, 3]);
    world.on(Input::Versions(None, Some(v1::RoomVersions { kept_from: 3, ..home(0, 3) })));
    let history = world.join(2, 2).remove(1);
    let seqs: Vec<_> = history["messages"].as_array().unwrap().iter().map(|m| m["seq"].clone()).collect();
    assert_eq!(seqs, [3]);
}

#[test]
fn a_locked_chat_is_for_host_and_cohosts() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    let mut locked = facts(6);
    locked.settings.is_chat_locked = true;
    world.tell_facts(5, &locked);
    world.frames(2);
    let say = || ClientFrame::Chat { text: "hi".into(), client_id: None };
    world.on(Input::Frame(ConnectionId(2), say(), Cause::default()));
    assert_eq!(world.frames(2)[0]["code"], "CHAT_LOCKED");
    world.on(Input::Frame(ConnectionId(1), say(), Cause::default()));
    assert!(world.wants(|effect| matches!(effect, Effect::Append(_))));
}

#[test]
fn a_slow_room_tells_how_long_to_wait() {
    let mut world = World::new();
    world.join(2, 2);
    let say = ClientFrame::Chat { text: "hi".into(), client_id: Some("c".into()) };
    world.on(Input::Frame(ConnectionId(2), say, Cause::default()));
    let drafts = world.take(
        |effect| matches!(effect, Effect::Append(_)),
        |effect| match effect {
            Effect::Append(drafts) => drafts,
            _ => unreachable!(),
        },
    );
    let slow = v1::Appended { error: "SLOW_MODE".into(), retry_in_ms: 4_200, epoch: 1, ..Default::default() };
    world.on(Input::Appended(drafts, Ok(vec![slow])));
    let told = world.frames(2).remove(0);
    assert_eq!(
        (&told["code"], &told["retry_in_ms"], &told["client_id"]),
        (&"SLOW_MODE".into(), &4_200.into(), &"c".into())
    );
}
