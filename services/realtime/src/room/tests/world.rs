//! A room without a world around it, and the few words tests speak to it with.

use super::*;
use streamit_telemetry::trace::Cause;

pub(super) const START: i64 = 1_700_000_000_000;

pub(super) fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

pub(super) fn facts(version: u64) -> Facts {
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
        lost_host: None,
        source: None,
        max_members: 100,
        people: BTreeMap::new(),
    }
}

pub(super) fn person(standing: Standing, removed: u64, changed: u64) -> Person {
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
pub(super) struct World {
    pub(super) room: Room,
    pub(super) up: u64,
    /// How far room time is ahead of where uptime alone would have it.
    pub(super) ahead: Duration,
    pub(super) roster: Roster,
    pub(super) outboxes: HashMap<u64, Arc<Outbox>>,
    pub(super) waiting: Vec<Effect>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::of(Playback::start(1, Timestamp(START)), false)
    }

    /// A room that is opened with this film, which the store has or has not.
    pub(super) fn of(film: Playback, is_stored: bool) -> Self {
        let setup = Setup {
            room: RoomId(Uuid::from_u128(99)),
            node: "a".into(),
            incarnation: Incarnation(Uuid::from_u128(1)),
            limits: true,
        };
        let history = v1::HistoryReply { epoch: 1, kept_from: 1, ..v1::HistoryReply::default() };
        let opening = Opening { facts: facts(5), history, playback: (film, is_stored) };
        let room = Room::open(setup, opening, Now { room: Timestamp(START), up: 0 });
        let roster = Roster { version: 10, ..Roster::default() };
        Self { room, up: 0, ahead: Duration::ZERO, roster, outboxes: HashMap::new(), waiting: Vec::new() }
    }

    pub(super) fn on(&mut self, input: Input) {
        let now = Now { room: Timestamp(START + self.up as i64).plus(self.ahead), up: self.up };
        let effects = self.room.on(input, now);
        self.waiting.extend(effects);
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.up += ms;
        self.on(Input::Tick);
    }

    pub(super) fn joiner(&mut self, connection: u64, who: u128, admitted: u64) -> Joiner {
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
    pub(super) fn take<T>(&mut self, wanted: impl Fn(&Effect) -> bool, open: impl Fn(Effect) -> T) -> T {
        let place = self.waiting.iter().position(wanted).unwrap_or_else(|| panic!("{:?}", self.waiting));
        open(self.waiting.remove(place))
    }

    /// Takes the call by which those who wait enter the roster.
    pub(super) fn entrance(&mut self) -> (Vec<Joiner>, Vec<Entry>) {
        self.take(
            |effect| matches!(effect, Effect::Enter(..)),
            |effect| match effect {
                Effect::Enter(joiners, entries, _) => (joiners, entries),
                _ => unreachable!(),
            },
        )
    }

    pub(super) fn enter(&mut self, entries: &[Entry]) -> (RosterChange, Roster) {
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

    pub(super) fn leave(&mut self, keys: &[EntryKey]) -> RosterChange {
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

    pub(super) fn answer_enter(&mut self) {
        let (joiners, entries) = self.entrance();
        let answer = self.enter(&entries);
        self.on(Input::Entered(joiners, Ok(answer), None));
    }

    pub(super) fn answer_leave(&mut self) {
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
    pub(super) fn join(&mut self, connection: u64, who: u128) -> Vec<Value> {
        let joiner = self.joiner(connection, who, 5);
        self.on(Input::Join(joiner));
        self.answer_enter();
        let frames = self.frames(connection);
        self.on(Input::Flushed(ConnectionId(connection)));
        frames
    }

    pub(super) fn frames(&self, connection: u64) -> Vec<Value> {
        let work = self.outboxes[&connection].take();
        work.frames
            .iter()
            .map(|frame| serde_json::from_str(ws::json_of(frame)).unwrap_or(Value::Null))
            .collect()
    }

    pub(super) fn types(&self, connection: u64) -> Vec<String> {
        self.frames(connection).iter().map(|frame| frame["type"].as_str().unwrap_or("").to_owned()).collect()
    }

    pub(super) fn closed(&self, connection: u64) -> Option<u16> {
        self.outboxes[&connection].take().close.map(|close| close.code)
    }

    pub(super) fn command(&mut self, connection: u64, command: Command) {
        self.on(Input::Frame(ConnectionId(connection), ClientFrame::Playback(command), Cause::default()));
    }

    pub(super) fn set(&mut self) -> (streamit_bus::Expect, Playback) {
        self.take(
            |effect| matches!(effect, Effect::SetPlayback(..)),
            |effect| match effect {
                Effect::SetPlayback(expect, next, _) => (expect, next),
                _ => unreachable!(),
            },
        )
    }

    pub(super) fn tell_facts(&mut self, base: u64, facts: &Facts) {
        let event = v1::Event {
            kind: Some(v1::event::Kind::Facts(v1::Facts::of(facts, base))),
            ..v1::Event::default()
        };
        self.on(Input::Notice(Notice::Event(Arc::new(event))));
    }

    pub(super) fn tell_chat(&mut self, seqs: &[u64]) {
        let chat = v1::Chat { epoch: 1, messages: seqs.iter().copied().map(message).collect() };
        let event = v1::Event { kind: Some(v1::event::Kind::Chat(chat)), ..v1::Event::default() };
        self.on(Input::Notice(Notice::Event(Arc::new(event))));
    }

    pub(super) fn wants(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.waiting.iter().any(wanted)
    }
}

pub(super) fn message(seq: u64) -> v1::ChatMessage {
    v1::ChatMessage {
        seq,
        user: user(1).as_bytes().to_vec(),
        name: "u1".into(),
        text: format!("m{seq}"),
        ..v1::ChatMessage::default()
    }
}

pub(super) fn play(secs: f64) -> Command {
    Command::Play(Some(MediaTime::try_from(secs).unwrap()))
}
