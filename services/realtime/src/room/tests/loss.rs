//! A database that lost something, and one that has not.

use super::*;
use streamit_telemetry::trace::Cause;

impl World {
    /// What the room told the api it has seen, if it did.
    fn reported(&mut self) -> Option<v1::Seen> {
        let is_report = |effect: &Effect| matches!(effect, Effect::ReportLoss(_));
        let told = self.waiting.extract_if(.., |effect| is_report(effect)).last();
        told.map(|effect| match effect {
            Effect::ReportLoss(seen) => seen,
            _ => unreachable!(),
        })
    }

    /// The repair loop has read this.
    fn compare(&mut self, home: v1::RoomVersions) {
        self.on(Input::Versions(None, Some(home)));
    }

    fn say(&mut self, connection: u64, text: &str) {
        let frame = ClientFrame::Chat { text: text.into(), client_id: None };
        self.on(Input::Frame(ConnectionId(connection), frame, Cause::default()));
    }

    fn answer_append(&mut self, answer: v1::Appended) {
        let drafts = self.take(
            |effect| matches!(effect, Effect::Append(_)),
            |effect| match effect {
                Effect::Append(drafts) => drafts,
                _ => unreachable!(),
            },
        );
        self.on(Input::Appended(drafts, Ok(vec![answer])));
    }

    fn hints(&self, connections: impl Iterator<Item = u64>) -> Vec<u64> {
        let hint = |connection| {
            let close = self.outboxes[&connection].take().close.unwrap();
            assert_eq!(close.code, 4101);
            let reason: Value = serde_json::from_str(&close.reason).unwrap();
            reason["retry_in_ms"].as_u64().unwrap()
        };
        connections.map(hint).collect()
    }
}

/// All that `World::new` and ten messages amount to.
fn home() -> v1::RoomVersions {
    v1::RoomVersions {
        room: Uuid::from_u128(99).as_bytes().to_vec(),
        facts_version: 5,
        epoch: 1,
        chat_head: 10,
        fence: 1,
        erasures: 0,
        kept_from: 1,
    }
}

/// A room with one member and ten messages.
fn world() -> World {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&(1..=10).collect::<Vec<_>>());
    world.frames(1);
    world.on(Input::Flushed(ConnectionId(1)));
    world
}

fn stored(seq: u64, at: i64, epoch: u64) -> v1::Appended {
    let message = v1::ChatMessage { created_at: at, ..message(seq) };
    v1::Appended { message: Some(message), epoch, ..v1::Appended::default() }
}

#[test]
fn a_home_that_has_less_than_was_seen_is_told_what_was() {
    let mut world = world();
    for same_or_more in [home(), v1::RoomVersions { fence: 0, ..home() }] {
        world.compare(same_or_more);
        assert_eq!(world.reported(), None);
    }
    for less in [
        v1::RoomVersions { facts_version: 4, ..home() },
        v1::RoomVersions { chat_head: 9, ..home() },
        v1::RoomVersions { epoch: 0, facts_version: 90, chat_head: 90, ..home() },
    ] {
        world.compare(less);
        let seen = world.reported().unwrap();
        assert_eq!((seen.epoch, seen.facts_version, seen.chat_head, seen.fence), (1, 5, 10, 1));
    }
    // What is held beyond a gap was seen, too.
    world.tell_chat(&[14]);
    world.compare(v1::RoomVersions { chat_head: 13, ..home() });
    assert_eq!(world.reported().unwrap().chat_head, 14);
    assert_eq!(world.closed(1), None, "until the api says so, it may have been an answer that was late");
}

#[test]
fn a_fence_that_only_live_state_knows_is_a_loss() {
    let mut world = world();
    world.command(1, play(1.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Ok(Cas::Fenced(7))));
    assert!(world.wants(|effect| matches!(effect, Effect::ReadFacts(_))));
    world.on(Input::Facts(Ok(Some(v1::Facts::of(&facts(5), 5)))));
    assert_eq!(world.reported().unwrap().fence, 7);
}

#[test]
fn a_message_that_got_a_number_that_was_shown_is_shown_to_nobody_before_the_new_epoch() {
    let mut world = world();
    world.say(1, "hello");
    world.answer_append(stored(4, 77, 1));
    assert_eq!(world.reported().unwrap().chat_head, 4);
    assert!(world.frames(1).is_empty());
    // Nor one that is stored in a new epoch, of which nobody has told yet.
    world.say(1, "hello again");
    world.answer_append(stored(11, 78, 2));
    assert!(world.frames(1).is_empty());
    assert!(world.wants(|effect| matches!(effect, Effect::ReadFacts(_))));
}

#[test]
fn news_of_another_message_under_a_number_that_was_shown_is_a_loss() {
    let mut world = world();
    world.tell_chat(&[8]);
    assert_eq!(world.reported(), None, "told twice");
    let other = v1::ChatMessage { created_at: 99, ..message(8) };
    let chat = v1::Chat { epoch: 1, messages: vec![other] };
    let event = v1::Event { kind: Some(v1::event::Kind::Chat(chat)), ..v1::Event::default() };
    world.on(Input::Notice(Notice::Event(Arc::new(event))));
    let seen = world.reported().unwrap();
    assert_eq!((seen.chat_head, seen.chat_at), (8, message(8).created_at));
}

#[test]
fn in_a_new_epoch_everybody_is_put_out_in_turn_and_nobody_is_told_as_gone() {
    let mut world = World::new();
    for n in 1..=50 {
        world.join(n, u128::from(n));
    }
    let newer = Facts { epoch: 2, fence: 2, ..facts(9) };
    world.tell_facts(8, &newer);
    assert!(world.wants(|effect| matches!(effect, Effect::ReadFacts(5))), "what lies between is asked for");
    world.on(Input::Facts(Ok(Some(v1::Facts::of(&newer, 5)))));
    let hints = world.hints(1..=50);
    assert!(hints.is_sorted() && hints[0] < hints[49], "{hints:?}");
    let all = hints.iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(all.len(), 50, "each at its own moment");
    assert!(world.room.is_over() && !world.room.is_idle());

    // Their places are kept until they can be back, and the room that is opened anew has its own.
    world.pass(hints[49] + GRACE_MS - 1);
    assert!(!world.waiting.iter().any(|effect| {
        matches!(effect, Effect::Leave(keys, _) if keys.iter().any(|key| key.connection == ConnectionId(50)))
    }));
    let stray = world.roster.clone();
    world.on(Input::Roster(0, Ok(stray)));
    world.on(Input::Notice(Notice::Lost));
    assert!(!world.wants(|effect| matches!(effect, Effect::ReadRoster(_) | Effect::Reenter(..))));
    while world.wants(|effect| matches!(effect, Effect::Leave(..))) {
        world.answer_leave();
        world.pass(1_000);
    }
    assert!(world.room.is_idle());
    let late = world.joiner(200, 7, 9);
    world.on(Input::Join(late));
    assert_eq!(world.closed(200), Some(4101));
}

#[test]
fn the_film_that_live_state_still_has_is_saved_again() {
    let mut world = world();
    world.command(1, play(30.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    world.waiting.clear();
    world.tell_facts(5, &Facts { epoch: 2, ..facts(6) });
    assert!(world.wants(|effect| matches!(effect, Effect::SavePlayback(state) if *state == next)));
}

#[test]
fn a_room_that_the_home_does_not_know_is_none() {
    let mut world = world();
    let waiting = world.joiner(2, 2, 8);
    world.on(Input::Join(waiting));
    world.compare(v1::RoomVersions::default());
    world.on(Input::Facts(Ok(None)));
    assert_eq!(world.closed(1), Some(4002));
    assert_eq!(world.closed(2), Some(4101), "comes back, and is refused at the door");
    // Somebody had asked again meanwhile: the answer is the same, and that is the end of it.
    world.on(Input::Facts(Ok(None)));
    world.pass(60_000);
    world.answer_leave();
    assert!(world.room.is_idle());
}

#[test]
fn a_gap_that_is_kept_no_more_ends_in_an_honest_resume() {
    let mut world = world();
    world.tell_chat(&[20]);
    world.pass(GAP_MS);
    assert!(world.wants(|effect| matches!(effect, Effect::ReadHistory(10, 20))));
    let messages = (15..20).map(message).collect();
    let reply = v1::HistoryReply { messages, head: 20, kept_from: 15, epoch: 1, ..Default::default() };
    world.on(Input::History(10, 20, Ok(reply)));
    assert_eq!(world.closed(1), Some(4101));
    assert!(world.frames(1).is_empty() && world.room.is_over());
}

#[test]
fn a_history_that_ends_before_what_was_shown_is_a_loss() {
    let mut world = world();
    world.on(Input::Notice(Notice::Lost));
    let reply = v1::HistoryReply { head: 6, kept_from: 1, epoch: 1, ..v1::HistoryReply::default() };
    world.on(Input::History(10, 0, Ok(reply)));
    assert_eq!(world.reported().unwrap().chat_head, 10);
}

#[test]
fn a_number_that_was_given_out_again_is_what_shows_a_loss() {
    let mut world = world();
    // Restored to five messages; by the time anybody compares there are more than were seen, and the last one fits.
    let other = |seq| v1::ChatMessage { created_at: 1_800_000_000_000, ..message(seq) };
    world.say(1, "hi");
    let answer = v1::Appended { message: Some(other(6)), repeated_key: true, epoch: 1, ..Default::default() };
    world.answer_append(answer);
    assert!(world.types(1).is_empty(), "it would be the sixth message for the second time");
    world.tell_chat(&[11]);
    let shown = message(6).created_at;
    let seen = world.reported().unwrap();
    assert_eq!((seen.chat_head, seen.chat_at), (6, shown));
    world.compare(v1::RoomVersions { chat_head: 11, facts_version: 4, ..home() });
    assert_eq!(world.reported().unwrap().chat_head, 6, "it stays what shows it");
}

#[test]
fn who_was_being_entered_again_when_the_room_ended_is_seen_out_too() {
    let mut world = world();
    world.on(Input::Reborn(Incarnation(Uuid::from_u128(2))));
    let entries = world.take(
        |effect| matches!(effect, Effect::Reenter(..)),
        |effect| match effect {
            Effect::Reenter(entries, _) => entries,
            _ => unreachable!(),
        },
    );
    let mut next = facts(6);
    next.epoch = 2;
    world.on(Input::Facts(Ok(Some(v1::Facts::of(&next, 0)))));
    assert_eq!(world.closed(1), Some(4101));
    let entered = world.enter(&entries);
    world.on(Input::Reentered(Ok(entered)));
    world.pass(10 * GRACE_MS);
    world.answer_leave();
    assert!(!world.roster.entries.contains_key(&entries[0].key), "a ghost, as long as this node lives");
}

#[test]
fn a_room_that_was_read_in_two_epochs_is_read_again() {
    let mut world = World::new();
    let history = v1::HistoryReply { epoch: 1, kept_from: 1, ..v1::HistoryReply::default() };
    let facts = Facts { epoch: 2, ..facts(5) };
    let playback = (Playback::start(1, Timestamp(START)), false);
    let opening = Opening { facts, history, playback };
    world.room = Room::open(world.room.setup, opening, Now { room: Timestamp(START), up: 0 });
    let early = world.joiner(1, 1, 5);
    world.on(Input::Join(early));
    assert_eq!(world.closed(1), Some(4101), "neither news nor answers of the chat would ever reach him");
    assert!(world.room.is_over() && world.room.is_idle());
}

/// A room that ends while somebody comes in, and the entries of who does.
fn over_while_entering(world: &mut World) -> (Vec<Joiner>, Vec<Entry>) {
    let joiner = world.joiner(6, 6, 5);
    world.on(Input::Join(joiner));
    let entering = world.entrance();
    world.tell_facts(5, &Facts { epoch: 2, ..facts(6) });
    entering
}

#[test]
fn a_room_that_is_over_leaves_those_of_the_next_one_alone() {
    let mut world = world();
    let (joiners, entries) = over_while_entering(&mut world);
    let key = EntryKey { connection: ConnectionId(9), ..entries[0].key };
    world.enter(&[Entry { key, user: user(9), name: "u9".into() }]);
    let entered = world.enter(&entries);
    world.on(Input::Entered(joiners, Ok(entered), None));
    world.pass(10 * GRACE_MS);
    world.answer_leave();
    let left: Vec<_> = world.roster.entries.keys().copied().collect();
    assert_eq!(left, [key], "its own are out, and nobody else");
}

#[test]
fn who_was_coming_in_when_the_room_ended_is_told_to_nobody_if_he_comes_right_back() {
    let mut world = world();
    let (joiners, entries) = over_while_entering(&mut world);
    let entered = world.enter(&entries);
    world.on(Input::Entered(joiners, Ok(entered), None));
    assert_eq!(world.closed(6), Some(4101));
    world.pass(GRACE_MS);
    assert!(!world.wants(|effect| matches!(effect, Effect::Leave(..))));
    world.pass(GRACE_MS);
    world.answer_leave();
}

#[test]
fn a_room_that_ends_while_a_command_waits_for_the_film_ends() {
    let mut world = world();
    world.on(Input::Reborn(Incarnation(Uuid::from_u128(2))));
    world.command(1, play(30.0));
    let next = Facts { epoch: 2, ..facts(6) };
    world.on(Input::Facts(Ok(Some(v1::Facts::of(&next, 0)))));
    assert!(world.room.is_over());
    world.on(Input::PlaybackRead(Ok(None)));
    let (_, film) = world.set();
    world.on(Input::PlaybackSet(film, Ok(Cas::Stored)));
    world.on(Input::Reentered(Err(Error::Away(None))));
    world.pass(10 * GRACE_MS);
    world.answer_leave();
    assert!(world.room.is_idle());
}

#[test]
fn rooms_that_begin_anew_together_do_not_have_all_their_people_back_at_once() {
    let hint = |n: u128| {
        let mut world = World::new();
        world.room.setup.room = RoomId(Uuid::from_u128(n));
        world.join(1, 1);
        world.tell_facts(5, &Facts { room: world.room.setup.room, epoch: 2, ..facts(6) });
        world.hints(1..=1)[0]
    };
    let hints = [hint(99), hint(1_234), hint(54_321)];
    assert!(hints.iter().all(|hint| (500..2_500).contains(hint)), "{hints:?}");
    assert!(hints[0].abs_diff(hints[1]) > 200 && hints[1].abs_diff(hints[2]) > 200, "{hints:?}");
}
