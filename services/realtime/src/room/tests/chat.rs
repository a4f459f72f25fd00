//! What is said.

use super::*;
use streamit_telemetry::trace::Cause;

#[test]
fn chat_that_comes_during_a_join_is_neither_lost_nor_doubled() {
    let mut world = World::new();
    world.join(1, 1);
    let joiner = world.joiner(2, 2, 5);
    world.on(Input::Join(joiner));
    world.tell_chat(&[1]);
    world.answer_enter();
    world.tell_chat(&[2, 3]);
    let frames = world.frames(2);
    assert_eq!(frames.len(), 3, "live chat waits for the join frames");
    assert_eq!(frames[1]["messages"].as_array().unwrap().len(), 1);
    world.on(Input::Flushed(ConnectionId(2)));
    world.tell_chat(&[4]);
    let given: Vec<u64> = world.frames(2).iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
    assert_eq!(given, [2, 3]);
    world.on(Input::Flushed(ConnectionId(2)));
    assert_eq!(world.frames(2)[0]["seq"], 4);
    world.on(Input::Flushed(ConnectionId(2)));
    world.tell_chat(&[5]);
    assert_eq!(world.frames(2)[0]["seq"], 5);
}

#[test]
fn a_burst_that_fills_a_queue_is_given_from_the_tail() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&(1..=200).collect::<Vec<_>>());
    let mut seen = Vec::new();
    for _ in 0..10 {
        assert!(!world.outboxes[&1].is_closing());
        seen.extend(world.frames(1).iter().map(|frame| frame["seq"].as_u64().unwrap()));
        world.on(Input::Flushed(ConnectionId(1)));
    }
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
    world.tell_chat(&[201]);
    assert_eq!(world.frames(1)[0]["seq"], 201);
    // Who takes nothing is too slow in the end.
    world.tell_chat(&(202..=400).collect::<Vec<_>>());
    world.pass(STUCK_MS);
    assert_eq!(world.closed(1), Some(4100));
}

#[test]
fn a_gap_is_asked_for_after_a_moment_and_filled_in_order() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&[1, 3]);
    assert_eq!(world.frames(1).len(), 1);
    world.pass(GAP_MS - 1);
    assert!(!world.wants(|effect| matches!(effect, Effect::ReadHistory(..))));
    world.pass(1);
    assert!(world.wants(|effect| matches!(effect, Effect::ReadHistory(1, 3))));
    let reply = v1::HistoryReply {
        messages: vec![message(2)],
        head: 3,
        kept_from: 1,
        epoch: 1,
        ..Default::default()
    };
    world.on(Input::History(1, 3, Ok(reply)));
    let seqs: Vec<u64> = world.frames(1).iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [2, 3]);
}

#[test]
fn a_repeated_message_is_answered_to_its_sender_alone() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.frames(1);
    let say = |id: &str| ClientFrame::Chat { text: "hi".into(), client_id: Some(id.into()) };
    world.on(Input::Frame(ConnectionId(2), say("a"), Cause::default()));
    let take = |world: &mut World| {
        world.take(
            |effect| matches!(effect, Effect::Append(_)),
            |effect| match effect {
                Effect::Append(drafts) => drafts,
                _ => unreachable!(),
            },
        )
    };
    let drafts = take(&mut world);
    // What is said meanwhile is the next batch.
    world.on(Input::Frame(ConnectionId(2), say("b"), Cause::default()));
    world.on(Input::Frame(ConnectionId(1), say("c"), Cause::default()));
    assert!(!world.wants(|effect| matches!(effect, Effect::Append(_))));
    let stored = v1::Appended { message: Some(message(1)), epoch: 1, ..v1::Appended::default() };
    world.on(Input::Appended(drafts, Ok(vec![stored.clone()])));
    assert_eq!((world.types(1).len(), world.types(2).len()), (1, 1));
    let drafts = take(&mut world);
    assert_eq!(drafts.len(), 2);
    let again = v1::Appended { repeated_key: true, ..stored };
    let refused = v1::Appended { error: "MUTED".into(), ..v1::Appended::default() };
    world.on(Input::Appended(drafts, Ok(vec![again, refused])));
    assert_eq!(world.types(2), ["CHAT_MESSAGE"]);
    let told = world.frames(1);
    assert_eq!((&told[0]["code"], &told[0]["client_id"]), (&"MUTED".into(), &"c".into()));
}

#[test]
fn a_message_found_stored_by_a_second_try_is_shown_once() {
    let mut world = World::new();
    world.join(1, 1);
    let say = ClientFrame::Chat { text: "hi".into(), client_id: Some("a".into()) };
    world.on(Input::Frame(ConnectionId(1), say, Cause::default()));
    let drafts = world.take(
        |effect| matches!(effect, Effect::Append(_)),
        |effect| match effect {
            Effect::Append(drafts) => drafts,
            _ => unreachable!(),
        },
    );
    let found =
        v1::Appended { message: Some(message(1)), repeated_key: true, epoch: 1, ..v1::Appended::default() };
    world.on(Input::Appended(drafts, Ok(vec![found])));
    world.tell_chat(&[1]);
    assert_eq!(world.types(1), ["CHAT_MESSAGE"]);
}

#[test]
fn sending_again_asks_nothing_of_pace_or_switches() {
    let mut world = World::new();
    world.join(1, 1);
    let say = || ClientFrame::Chat { text: "hi".into(), client_id: Some("a".into()) };
    for _ in 0..20 {
        world.on(Input::Frame(ConnectionId(1), say(), Cause::default())); // the first is on its way
    }
    let drafts = world.take(
        |effect| matches!(effect, Effect::Append(_)),
        |effect| match effect {
            Effect::Append(drafts) => drafts,
            _ => unreachable!(),
        },
    );
    assert_eq!(drafts.len(), 1);
    let stored = v1::ChatMessage { client_id: "a".into(), ..message(1) };
    let answer = v1::Appended { message: Some(stored), epoch: 1, ..v1::Appended::default() };
    world.on(Input::Appended(drafts, Ok(vec![answer])));
    assert_eq!(world.types(1), ["CHAT_MESSAGE"]);
    let mut off = facts(6);
    off.settings.is_chat_enabled = false;
    world.tell_facts(5, &off);
    world.frames(1);
    world.on(Input::Frame(ConnectionId(1), say(), Cause::default()));
    assert_eq!(world.types(1), ["CHAT_MESSAGE"]);
    assert!(world.waiting.iter().all(|effect| !matches!(effect, Effect::Append(_))));
}

#[test]
fn a_full_burst_of_the_longest_messages_reaches_who_keeps_reading() {
    let mut world = World::new();
    world.join(1, 1);
    let long = |seq| v1::ChatMessage { text: "🎬".repeat(500), ..message(seq) };
    let chat = v1::Chat { epoch: 1, messages: (1..=200).map(long).collect() };
    let event = v1::Event { kind: Some(v1::event::Kind::Chat(chat)), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
    let mut seen = 0;
    for _ in 0..60 {
        seen += world.frames(1).len();
        world.on(Input::Flushed(ConnectionId(1)));
    }
    assert_eq!((seen, world.closed(1)), (200, None));
}

#[test]
fn a_message_that_was_seen_while_a_second_try_found_it_is_not_told_again() {
    let mut world = World::new();
    world.join(1, 1);
    let say = ClientFrame::Chat { text: "hi".into(), client_id: Some("a".into()) };
    world.on(Input::Frame(ConnectionId(1), say, Cause::default()));
    let drafts = world.take(
        |effect| matches!(effect, Effect::Append(_)),
        |effect| match effect {
            Effect::Append(drafts) => drafts,
            _ => unreachable!(),
        },
    );
    // The first try stored it and its answer was lost; the news comes before the answer to the second.
    world.tell_chat(&[1]);
    assert_eq!(world.types(1), ["CHAT_MESSAGE"]);
    let found =
        v1::Appended { message: Some(message(1)), repeated_key: true, epoch: 1, ..v1::Appended::default() };
    world.on(Input::Appended(drafts, Ok(vec![found])));
    assert!(world.types(1).is_empty(), "he said it once, and has seen it");
}

#[test]
fn who_says_something_again_while_catching_up_sees_it_in_its_place() {
    let mut world = World::new();
    world.join(1, 1);
    let own = |seq: u64| v1::ChatMessage {
        user: user(1).as_bytes().to_vec(),
        client_id: format!("c{seq}"),
        ..message(seq)
    };
    let chat = v1::Chat { epoch: 1, messages: (1..=60).map(own).collect() };
    let event = v1::Event { kind: Some(v1::event::Kind::Chat(chat)), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
    // His queue takes half a burst; the rest waits in the tail, and so does the answer.
    let again = ClientFrame::Chat { text: "hi".into(), client_id: Some("c50".into()) };
    world.on(Input::Frame(ConnectionId(1), again, Cause::default()));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(world.frames(1).iter().map(|frame| frame["seq"].as_u64().unwrap()));
        world.on(Input::Flushed(ConnectionId(1)));
    }
    assert_eq!(seen, (1..=60).collect::<Vec<_>>());
}
