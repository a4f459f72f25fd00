//! The room as a value: inputs in, frames and effects out, no task and no clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use streamit_bus::{Cas, Entry, EntryKey, Error, Notice, Present, Roster, RosterChange, RosterEntry};
use streamit_domain::playback::Command;
use streamit_domain::room::{Access, Life, Person, Role, Settings, Standing};
use streamit_domain::{DisplayName, MediaTime, SessionId, Timestamp};
use streamit_wire::frame::client::Frame as ClientFrame;
use uuid::Uuid;

use super::effect::{Away, Gone, Resume};
use super::*;
use crate::outbox::Outbox;

const START: i64 = 1_700_000_000_000;

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

fn facts(version: u64) -> Facts {
    Facts {
        room: RoomId(Uuid::from_u128(99)),
        code: "ABC123".parse().unwrap(),
        version,
        fence: 1,
        epoch: 1,
        life: Life::Active,
        access: Access::Public,
        settings: Settings::default(),
        host: user(1),
        host_name: DisplayName::parse("u1").unwrap(),
        host_deadline: None,
        source: None,
        max_members: 100,
        people: BTreeMap::new(),
    }
}

fn person(standing: Standing, removed: u64, changed: u64) -> Person {
    Person {
        name: DisplayName::parse("someone").unwrap(),
        standing,
        role: Role::Viewer,
        muted_until: None,
        removed_version: removed,
        changed_version: changed,
    }
}

/// A room with a roster of its own that answers when told to.
struct World {
    room: Room,
    up: u64,
    roster: Roster,
    outboxes: HashMap<u64, Arc<Outbox>>,
    waiting: Vec<Effect>,
}

impl World {
    fn new() -> Self {
        let setup = Setup {
            room: RoomId(Uuid::from_u128(99)),
            incarnation: Incarnation(Uuid::from_u128(1)),
            limits: true,
        };
        let history = v1::HistoryReply { epoch: 1, kept_from: 1, ..v1::HistoryReply::default() };
        let playback = (Playback::start(1, Timestamp(START)), false);
        let opening = Opening { facts: facts(5), history, playback };
        let room = Room::open(setup, opening, Now { room: Timestamp(START), up: 0 });
        let roster = Roster { version: 10, ..Roster::default() };
        Self { room, up: 0, roster, outboxes: HashMap::new(), waiting: Vec::new() }
    }

    fn on(&mut self, input: Input) {
        let now = Now { room: Timestamp(START + self.up as i64), up: self.up };
        let effects = self.room.on(input, now);
        self.waiting.extend(effects);
    }

    fn pass(&mut self, ms: u64) {
        self.up += ms;
        self.on(Input::Tick);
    }

    fn joiner(&mut self, connection: u64, who: u128, admitted: u64) -> Joiner {
        let outbox = Arc::new(Outbox::default());
        outbox.heard(self.up);
        self.outboxes.insert(connection, outbox.clone());
        Joiner {
            connection: ConnectionId(connection),
            user: user(who),
            session: SessionId(Uuid::from_u128(who)),
            name: format!("u{who}").into(),
            admitted,
            resume: None,
            outbox,
        }
    }

    /// Takes the effect that `wanted` picks.
    fn take<T>(&mut self, wanted: impl Fn(&Effect) -> bool, open: impl Fn(Effect) -> T) -> T {
        let place = self.waiting.iter().position(wanted).unwrap_or_else(|| panic!("{:?}", self.waiting));
        open(self.waiting.remove(place))
    }

    fn enter(&mut self, entries: &[Entry]) -> (RosterChange, Roster) {
        let previous = self.roster.version;
        let mut joined = Vec::new();
        for entry in entries {
            let present = Present { name: entry.name.clone(), since: Timestamp(START + self.up as i64) };
            if self.roster.users.insert(entry.user, present.clone()).is_none() {
                joined.push((entry.user, present));
            }
            self.roster.entries.insert(entry.key, RosterEntry { user: entry.user, gone_at: None });
        }
        self.roster.version += u64::from(!joined.is_empty());
        let online = self.roster.users.len() as u64;
        let version = self.roster.version;
        (RosterChange { previous, version, joined, left: vec![], online }, self.roster.clone())
    }

    fn leave(&mut self, keys: &[EntryKey]) -> RosterChange {
        let previous = self.roster.version;
        let mut left = Vec::new();
        for key in keys {
            let Some(entry) = self.roster.entries.remove(key) else { continue };
            if !self.roster.entries.values().any(|other| other.user == entry.user) {
                let present = self.roster.users.remove(&entry.user).unwrap();
                left.push((entry.user, present.name));
            }
        }
        self.roster.version += u64::from(!left.is_empty());
        let online = self.roster.users.len() as u64;
        RosterChange { previous, version: self.roster.version, joined: vec![], left, online }
    }

    fn answer_enter(&mut self) {
        let (joiners, entries) = self.take(
            |effect| matches!(effect, Effect::Enter(..)),
            |effect| match effect {
                Effect::Enter(joiners, entries, _) => (joiners, entries),
                _ => unreachable!(),
            },
        );
        let answer = self.enter(&entries);
        self.on(Input::Entered(joiners, Ok(answer)));
    }

    fn answer_leave(&mut self) {
        let keys = self.take(
            |effect| matches!(effect, Effect::Leave(..)),
            |effect| match effect {
                Effect::Leave(keys, _) => keys,
                _ => unreachable!(),
            },
        );
        let change = self.leave(&keys);
        self.on(Input::Left(keys, Ok(change)));
    }

    /// Joins, and takes the three frames.
    fn join(&mut self, connection: u64, who: u128) -> Vec<Value> {
        let joiner = self.joiner(connection, who, 5);
        self.on(Input::Join(joiner));
        self.answer_enter();
        let frames = self.frames(connection);
        self.on(Input::Flushed(ConnectionId(connection)));
        frames
    }

    fn frames(&self, connection: u64) -> Vec<Value> {
        let work = self.outboxes[&connection].take();
        work.frames
            .iter()
            .map(|frame| serde_json::from_str(ws::json_of(frame)).unwrap_or(Value::Null))
            .collect()
    }

    fn types(&self, connection: u64) -> Vec<String> {
        self.frames(connection).iter().map(|frame| frame["type"].as_str().unwrap_or("").to_owned()).collect()
    }

    fn closed(&self, connection: u64) -> Option<u16> {
        self.outboxes[&connection].take().close.map(|close| close.code)
    }

    fn command(&mut self, connection: u64, command: Command) {
        self.on(Input::Frame(ConnectionId(connection), ClientFrame::Playback(command)));
    }

    fn set(&mut self) -> (streamit_bus::Expect, Playback) {
        self.take(
            |effect| matches!(effect, Effect::SetPlayback(..)),
            |effect| match effect {
                Effect::SetPlayback(expect, next) => (expect, next),
                _ => unreachable!(),
            },
        )
    }

    fn tell_facts(&mut self, base: u64, facts: &Facts) {
        let event = v1::Event {
            kind: Some(v1::event::Kind::Facts(v1::Facts::of(facts, base))),
            ..v1::Event::default()
        };
        self.on(Input::Notice(Notice::Event(Arc::new(event))));
    }

    fn tell_chat(&mut self, seqs: &[u64]) {
        let chat = v1::Chat { epoch: 1, messages: seqs.iter().copied().map(message).collect() };
        let event = v1::Event { kind: Some(v1::event::Kind::Chat(chat)), ..v1::Event::default() };
        self.on(Input::Notice(Notice::Event(Arc::new(event))));
    }

    fn wants(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.waiting.iter().any(wanted)
    }
}

fn message(seq: u64) -> v1::ChatMessage {
    v1::ChatMessage {
        seq,
        user: user(1).as_bytes().to_vec(),
        name: "u1".into(),
        text: format!("m{seq}"),
        ..v1::ChatMessage::default()
    }
}

fn play(secs: f64) -> Command {
    Command::Play(Some(MediaTime::try_from(secs).unwrap()))
}

#[test]
fn the_three_join_frames_come_first_and_others_hear_of_it() {
    let mut world = World::new();
    let frames = world.join(1, 1);
    let types: Vec<&str> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ROOM_PARTICIPANTS", "CHAT_HISTORY", "PLAYBACK_STATE"]);
    assert_eq!(frames[0]["participants"], serde_json::json!(["u1"]));
    assert_eq!(frames[0]["you"]["role"], "HOST");
    world.join(2, 2);
    assert_eq!(world.types(1), ["USER_JOINED"]);
    assert!(world.types(2).is_empty(), "nobody is told of himself");
}

#[test]
fn those_who_wait_together_enter_together() {
    let mut world = World::new();
    for n in 1..=5 {
        let joiner = world.joiner(n, u128::from(n), 5);
        world.on(Input::Join(joiner));
    }
    world.answer_enter(); // the first, alone
    assert_eq!(world.waiting.len(), 1);
    world.answer_enter(); // the other four with one call
    for n in 2..=5 {
        assert_eq!(world.frames(n)[0]["online"], 5);
    }
}

#[test]
fn a_second_tab_is_the_same_user() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.frames(1);
    world.join(3, 2);
    assert!(world.types(1).is_empty());
    world.on(Input::Gone(ConnectionId(2), Gone::Now));
    world.answer_leave();
    assert!(world.types(1).is_empty());
    world.on(Input::Gone(ConnectionId(3), Gone::Now));
    world.answer_leave();
    assert_eq!(world.types(1), ["USER_LEFT"]);
}

#[test]
fn a_blip_is_silent_and_a_departure_is_told_after_the_grace() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.frames(1);
    world.on(Input::Gone(ConnectionId(2), Gone::Grace));
    world.pass(1_000);
    world.join(3, 2);
    world.pass(GRACE_MS);
    world.answer_leave();
    assert!(world.types(1).is_empty());
    world.on(Input::Gone(ConnectionId(3), Gone::Grace));
    world.pass(GRACE_MS - 1);
    assert!(world.waiting.iter().all(|effect| !matches!(effect, Effect::Leave(..))));
    world.pass(1);
    world.answer_leave();
    assert_eq!(world.types(1), ["USER_LEFT"]);
}

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
    let reply = v1::HistoryReply { messages: vec![message(2)], head: 3, kept_from: 1, epoch: 1 };
    world.on(Input::History(1, 3, Ok(reply)));
    let seqs: Vec<u64> = world.frames(1).iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [2, 3]);
}

#[test]
fn a_kick_closes_what_was_admitted_before_it_also_what_is_just_entering() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    let joiner = world.joiner(3, 2, 5);
    world.on(Input::Join(joiner)); // a second tab, on its way in
    let mut newer = facts(6);
    newer.people.insert(user(2), person(Standing::Kicked, 6, 6));
    world.tell_facts(5, &newer);
    assert_eq!(world.closed(2), Some(4011));
    world.answer_enter();
    assert_eq!(world.closed(3), Some(4011));
    // Let in again at version 7, he may stay although the kick is still on record.
    let mut newer = facts(7);
    newer.people.insert(user(2), person(Standing::Approved, 6, 7));
    world.tell_facts(6, &newer);
    let joiner = world.joiner(4, 2, 7);
    world.on(Input::Join(joiner));
    world.answer_leave();
    world.answer_enter();
    assert_eq!(world.closed(4), None);
}

#[test]
fn an_admission_newer_than_the_facts_waits_for_them() {
    let mut world = World::new();
    let joiner = world.joiner(1, 1, 8);
    world.on(Input::Join(joiner));
    assert!(world.wants(|effect| matches!(effect, Effect::ReadFacts(5))));
    assert!(!world.wants(|effect| matches!(effect, Effect::Enter(..))));
    world.on(Input::Facts(Ok(Some(v1::Facts::of(&facts(8), 5)))));
    assert!(world.wants(|effect| matches!(effect, Effect::Enter(..))));
    // And is sent away, to come back, when they can't be had.
    let joiner = world.joiner(2, 2, 9);
    world.on(Input::Join(joiner));
    world.on(Input::Facts(Err(Away)));
    assert_eq!(world.closed(2), Some(1013));
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
fn the_host_away_and_back_is_told_and_reported_once() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.on(Input::Gone(ConnectionId(1), Gone::Now));
    world.answer_leave();
    assert_eq!(world.types(2), ["USER_LEFT", "HOST_DISCONNECTED"]);
    assert!(world.wants(|effect| matches!(effect, Effect::ReportHost(report) if !report.is_back)));
    world.waiting.clear();
    world.join(3, 1);
    assert_eq!(world.types(2), ["USER_JOINED", "HOST_RECONNECTED"]);
    assert!(world.wants(|effect| matches!(effect, Effect::ReportHost(report) if report.is_back)));
}

#[test]
fn an_empty_room_pauses_where_it_was() {
    let mut world = World::new();
    world.join(1, 1);
    world.command(1, play(10.0));
    let (_, next) = world.set();
    world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    world.up += 5_000;
    world.on(Input::Gone(ConnectionId(1), Gone::Now));
    world.answer_leave();
    let (expect, pause) = world.set();
    assert!(expect.only_if_empty && !pause.is_playing);
    assert_eq!(pause.time.secs(), 15.0);
}

#[test]
fn a_missed_change_of_the_roster_is_read_and_the_difference_told() {
    let mut world = World::new();
    world.join(1, 1);
    let version = world.roster.version;
    let change =
        RosterChange { previous: version + 1, version: version + 2, joined: vec![], left: vec![], online: 3 };
    world.on(Input::Notice(Notice::Roster(Arc::new(change))));
    assert!(world.wants(|effect| matches!(effect, Effect::ReadRoster(_))));
    let mut roster = world.roster.clone();
    roster.version += 2;
    let since = Timestamp(START);
    roster.users.insert(user(7), Present { name: "u7".into(), since });
    world.on(Input::Roster(version, Ok(roster)));
    assert_eq!(world.types(1), ["USER_JOINED"]);
}

#[test]
fn a_lost_roster_is_filled_again_and_nobody_is_told_as_gone() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.frames(1);
    let asked_at = world.roster.version;
    world.on(Input::Roster(asked_at, Ok(Roster::default())));
    let entries = world.take(
        |effect| matches!(effect, Effect::Reenter(..)),
        |effect| match effect {
            Effect::Reenter(entries, _) => entries,
            _ => unreachable!(),
        },
    );
    assert_eq!(entries.len(), 2);
    world.roster = Roster { version: asked_at + 100, ..Roster::default() };
    let answer = world.enter(&entries);
    world.on(Input::Reentered(Ok(answer)));
    assert!(world.types(1).is_empty());
}

#[test]
fn while_the_store_is_away_people_still_come_in() {
    let mut world = World::new();
    world.join(1, 1);
    let joiner = world.joiner(2, 2, 5);
    world.on(Input::Join(joiner));
    let joiners = world.take(
        |effect| matches!(effect, Effect::Enter(..)),
        |effect| match effect {
            Effect::Enter(joiners, ..) => joiners,
            _ => unreachable!(),
        },
    );
    world.on(Input::Entered(joiners, Err(Error::Away(None))));
    assert_eq!(world.frames(2).len(), 3);
    assert_eq!(world.types(1), ["USER_JOINED"]);
    world.on(Input::Versions(Some(streamit_bus::LiveVersions::default()), None));
    assert!(world.wants(|effect| matches!(effect, Effect::Reenter(entries, _) if entries.len() == 2)));
}

#[test]
fn who_goes_while_entering_is_taken_out_again() {
    let mut world = World::new();
    let joiner = world.joiner(1, 1, 5);
    world.on(Input::Join(joiner));
    world.on(Input::Gone(ConnectionId(1), Gone::Now));
    world.answer_enter();
    world.answer_leave();
    assert!(world.roster.users.is_empty() && world.room.is_idle());
}

#[test]
fn a_repeated_message_is_answered_to_its_sender_alone() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.frames(1);
    let say = |id: &str| ClientFrame::Chat { text: "hi".into(), client_id: Some(id.into()) };
    world.on(Input::Frame(ConnectionId(2), say("a")));
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
    world.on(Input::Frame(ConnectionId(2), say("b")));
    world.on(Input::Frame(ConnectionId(1), say("c")));
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
fn a_resume_waits_for_older_chat_and_gets_exactly_what_was_missed() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&(1..=3).collect::<Vec<_>>());
    let mut joiner = world.joiner(2, 2, 5);
    joiner.resume = Some(Resume { since: Some(5), epoch: Some(1), asks: 0, asked: false });
    world.on(Input::Join(joiner));
    // More than is known here: another node may be ahead.
    assert!(world.wants(|effect| matches!(effect, Effect::ReadHistory(3, 0))));
    let reply =
        v1::HistoryReply { messages: (4..=7).map(message).collect(), head: 7, kept_from: 1, epoch: 1 };
    world.on(Input::History(3, 0, Ok(reply)));
    world.answer_enter();
    let history = &world.frames(2)[1];
    assert_eq!(history["resumed"], true);
    let seqs: Vec<u64> =
        history["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [6, 7]);
}

#[test]
fn a_deleted_room_says_so_before_it_closes() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_facts(5, &Facts { life: Life::Closed, ..facts(6) });
    let work = world.outboxes[&1].take();
    assert_eq!(work.frames.len(), 1);
    assert_eq!(work.close.unwrap().code, 4005);
}

#[test]
fn who_is_silent_for_a_minute_is_given_up() {
    let mut world = World::new();
    world.join(1, 1);
    world.pass(PING_MS);
    assert_eq!(world.frames(1).len(), 1, "a ping");
    world.pass(SILENT_MS);
    assert_eq!(world.closed(1), Some(4102));
}

#[test]
fn above_two_hundred_people_are_told_as_a_count() {
    let mut world = World::new();
    world.room.setup.limits = false;
    for n in 1..=203 {
        let joiner = world.joiner(n, u128::from(n), 5);
        world.on(Input::Join(joiner));
        world.answer_enter();
        world.frames(n);
        let told = world.types(1);
        assert_eq!(told.len(), usize::from((2..=200).contains(&n)), "{n}: {told:?}");
    }
    world.pass(COUNT_MS);
    let frames = world.frames(1);
    assert_eq!((frames.len(), &frames[0]["online"]), (1, &203.into()));
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

#[test]
fn a_node_that_was_wrongly_held_dead_enters_its_members_again() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    let keys: Vec<EntryKey> = world.roster.entries.keys().copied().collect();
    let change = world.leave(&keys);
    world.on(Input::Notice(Notice::Roster(Arc::new(change))));
    assert!(world.wants(|effect| matches!(effect, Effect::Reenter(entries, _) if entries.len() == 2)));
}

#[test]
fn a_message_found_stored_by_a_second_try_is_shown_once() {
    let mut world = World::new();
    world.join(1, 1);
    let say = ClientFrame::Chat { text: "hi".into(), client_id: Some("a".into()) };
    world.on(Input::Frame(ConnectionId(1), say));
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
fn a_room_that_falls_back_to_few_tells_the_whole_list() {
    let mut world = World::new();
    world.room.setup.limits = false;
    for n in 1..=202 {
        let joiner = world.joiner(n, u128::from(n), 5);
        world.on(Input::Join(joiner));
        world.answer_enter();
        world.frames(1);
    }
    for n in 3..=202 {
        world.on(Input::Gone(ConnectionId(n), Gone::Now));
    }
    while world.wants(|effect| matches!(effect, Effect::Leave(..))) {
        world.answer_leave();
        world.frames(1);
    }
    world.pass(HEARTBEAT_MS);
    let frames = world.frames(1);
    let list = frames.iter().find(|frame| frame["type"] == "ROOM_PARTICIPANTS");
    assert_eq!(list.map(|list| &list["online"]), Some(&2.into()), "{frames:?}");
    assert!(!world.outboxes[&1].is_closing());
}

#[test]
fn sending_again_asks_nothing_of_pace_or_switches() {
    let mut world = World::new();
    world.join(1, 1);
    let say = || ClientFrame::Chat { text: "hi".into(), client_id: Some("a".into()) };
    for _ in 0..20 {
        world.on(Input::Frame(ConnectionId(1), say())); // the first is on its way
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
    world.on(Input::Frame(ConnectionId(1), say()));
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
