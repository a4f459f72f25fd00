//! One room on several nodes: each a room as a value, all with the bus as it is in one process. The store can be lost
//! and a node can be stopped.

use std::time::Duration;

use futures_util::FutureExt;
use streamit_bus::memory::MemoryRooms;
use streamit_bus::{Rooms, Subscription};
use streamit_telemetry::ManualClock;
use streamit_telemetry::trace::Cause;

use super::*;

/// Time passes in steps of so many milliseconds.
const STEP: u64 = 50;
/// Every so often nodes compare versions with the store, and keep the roster from expiring.
const COMPARE: u64 = 10_000;

pub(super) struct Cluster {
    clock: Arc<ManualClock>,
    pub(super) up: u64,
    pub(super) store: Option<MemoryRooms>,
    pub(super) nodes: Vec<Node>,
    /// What the api says.
    pub(super) facts: Facts,
    pub(super) is_api_away: bool,
    connections: u64,
}

pub(super) struct Node {
    pub(super) room: Room,
    news: Option<Subscription>,
    waiting: Vec<Effect>,
    outboxes: BTreeMap<u64, Arc<Outbox>>,
    /// Stopped: nothing is heard, no call is made, no answer is read.
    is_stopped: bool,
    pub(super) reports: Vec<v1::HostReport>,
}

fn incarnation(node: usize, life: u128) -> Incarnation {
    Incarnation(Uuid::from_u128(1_000 * (node as u128 + 1) + life))
}

fn id() -> RoomId {
    RoomId(Uuid::from_u128(99))
}

/// An answer of the store in one process, which never waits.
fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("the store in one process answers at once")
}

impl Cluster {
    /// Nodes that all have the room open. User 1 is host.
    pub(super) fn of(nodes: usize) -> Self {
        let clock = ManualClock::at_ms(START);
        let store = MemoryRooms::new(clock.clone());
        let open = |node: usize| {
            let setup =
                Setup { room: id(), node: "a".into(), incarnation: incarnation(node, 0), limits: true };
            let history = v1::HistoryReply { epoch: 1, kept_from: 1, ..v1::HistoryReply::default() };
            let opening =
                Opening { facts: facts(5), history, playback: (Playback::start(1, Timestamp(START)), false) };
            Node {
                room: Room::open(setup, opening, Now { room: Timestamp(START), up: 0 }),
                news: Some(now(store.subscribe(id())).unwrap()),
                waiting: Vec::new(),
                outboxes: BTreeMap::new(),
                is_stopped: false,
                reports: Vec::new(),
            }
        };
        let nodes = (0..nodes).map(open).collect();
        now(store.raise_fence(id(), 1)).unwrap();
        let store = Some(store);
        Self { clock, up: 0, store, nodes, facts: facts(5), is_api_away: false, connections: 0 }
    }

    fn now(&self) -> Now {
        Now { room: Timestamp(START + self.up as i64), up: self.up }
    }

    /// Puts something into a room, and lets everything happen that follows from it.
    pub(super) fn on(&mut self, node: usize, input: Input) {
        self.put(node, input);
        self.settle();
    }

    /// Puts something into a room; what the room asks for waits.
    pub(super) fn put(&mut self, node: usize, input: Input) {
        let now = self.now();
        let node = &mut self.nodes[node];
        let effects = node.room.on(input, now);
        node.waiting.extend(effects);
    }

    /// Performs what rooms ask for and tells them the news, until all is quiet.
    pub(super) fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            for n in 0..self.nodes.len() {
                while let Some(input) = self.next(n) {
                    is_quiet = false;
                    self.put(n, input);
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    fn next(&mut self, n: usize) -> Option<Input> {
        let node = &mut self.nodes[n];
        if node.is_stopped {
            return None;
        }
        if let Some(notice) = node.news.as_mut().and_then(|news| news.next().now_or_never()) {
            return notice.map(Input::Notice);
        }
        while !node.waiting.is_empty() {
            let effect = node.waiting.remove(0);
            if let Some(input) = perform(self.store.as_ref(), &self.facts, self.is_api_away, node, effect) {
                return Some(input);
            }
        }
        None
    }

    /// Lets time pass: rooms act when they said they would, members say something now and then.
    pub(super) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / STEP {
            self.up += STEP;
            self.clock.advance(Duration::from_millis(STEP));
            for n in 0..self.nodes.len() {
                if self.nodes[n].is_stopped {
                    continue;
                }
                for outbox in self.nodes[n].outboxes.values() {
                    outbox.heard(self.up);
                }
                if self.up.is_multiple_of(COMPARE) {
                    self.compare(n);
                }
                if self.nodes[n].room.next_deadline() <= self.up {
                    self.put(n, Input::Tick);
                }
            }
            self.settle();
        }
    }

    /// A node compares versions with the store.
    pub(super) fn compare(&mut self, n: usize) {
        if let Some(store) = &self.store {
            let told = [(id(), self.nodes[n].room.round_trip())];
            let live = now(store.refresh(incarnation(n, 0), &told)).unwrap()[0];
            self.on(n, Input::Versions(Some(live), None));
        }
    }

    /// Brings a user in; returns the connection's number.
    pub(super) fn join(&mut self, n: usize, who: u128) -> u64 {
        self.connections += 1;
        let outbox = Arc::new(Outbox::default());
        outbox.heard(self.up);
        self.nodes[n].outboxes.insert(self.connections, outbox.clone());
        let connection = ConnectionId(self.connections);
        let joiner = Joiner {
            connection,
            user: user(who),
            session: SessionId(Uuid::from_u128(who)),
            name: format!("u{who}").into(),
            admitted: 5,
            resume: None,
            outbox,
        };
        self.on(n, Input::Join(joiner));
        self.on(n, Input::Flushed(connection));
        self.connections
    }

    pub(super) fn leave(&mut self, n: usize, connection: u64, how: Gone) {
        self.on(n, Input::Gone(ConnectionId(connection), how));
        self.nodes[n].outboxes.remove(&connection);
    }

    pub(super) fn command(&mut self, n: usize, connection: u64, command: Command) {
        self.on(n, Input::Frame(ConnectionId(connection), ClientFrame::Playback(command), Cause::default()));
    }

    /// What a member was told since the last time, without pings.
    pub(super) fn told(&self, n: usize, connection: u64) -> Vec<Value> {
        let work = self.nodes[n].outboxes[&connection].take();
        let frames = work.frames.into_iter().flat_map(split);
        frames.filter_map(|frame| serde_json::from_str(ws::json_of(&frame)).ok()).collect()
    }

    /// The types of what everybody was told since the last time, in order of nodes and connections.
    pub(super) fn told_to_all(&self) -> Vec<String> {
        let all = (0..self.nodes.len())
            .flat_map(|n| self.nodes[n].outboxes.keys().map(move |connection| (n, *connection)));
        let told = all.flat_map(|(n, connection)| self.told(n, connection));
        told.map(|frame| format!("{} {}", frame["type"], frame["user"]).replace('"', "")).collect()
    }

    /// The store is gone, and whatever it had.
    pub(super) fn lose_store(&mut self) {
        self.store = None;
        for node in &mut self.nodes {
            node.news = None;
        }
    }

    /// An empty store is there. Nodes have yet to notice.
    pub(super) fn empty_store(&mut self) {
        self.store = Some(MemoryRooms::new(self.clock.clone()));
    }

    /// A node subscribes again, and knows that it may have missed something.
    pub(super) fn notices(&mut self, n: usize) {
        self.listens(n);
        self.on(n, Input::Notice(Notice::Lost));
    }

    /// What is told from now on does not reach this node.
    pub(super) fn deaf(&mut self, n: usize) {
        self.nodes[n].news = None;
    }

    fn listens(&mut self, n: usize) {
        let store = self.store.as_ref().expect("there is a store");
        self.nodes[n].news = Some(now(store.subscribe(id())).unwrap());
    }

    /// What the store had of the room is deleted; subscriptions live on.
    pub(super) fn delete_all(&mut self) {
        self.empty_store();
        for n in 0..self.nodes.len() {
            self.listens(n);
        }
    }

    pub(super) fn stop(&mut self, n: usize) {
        self.nodes[n].is_stopped = true;
    }

    /// A stopped node goes on, in the new life that its pause calls for, and finds `queued` in its room's inbox.
    pub(super) fn go_on(&mut self, n: usize, life: u128, queued: Vec<Input>) {
        self.nodes[n].is_stopped = false;
        self.put(n, Input::Reborn(incarnation(n, life)));
        for input in queued {
            self.put(n, input);
        }
        self.settle();
    }

    /// Another node holds the first life of `n` dead.
    pub(super) fn holds_dead(&mut self, by: usize, n: usize) {
        self.on(by, Input::Dead(Arc::new([incarnation(n, 0)])));
    }

    pub(super) fn roster(&self) -> Roster {
        now(self.store.as_ref().expect("there is a store").roster(id())).unwrap()
    }

    /// Who is in the store's roster, and how many entries there are.
    pub(super) fn present(&self) -> (Vec<UserId>, usize) {
        let roster = self.roster();
        (roster.users.into_keys().collect(), roster.entries.len())
    }

    pub(super) fn stored(&self) -> Option<Playback> {
        now(self.store.as_ref().expect("there is a store").playback(id())).unwrap()
    }

    /// Every node knows the same people, and they are these.
    pub(super) fn all_know(&self, who: &[u128]) {
        let who: Vec<UserId> = who.iter().copied().map(user).collect();
        for (n, node) in self.nodes.iter().enumerate() {
            assert_eq!(node.room.users.keys().copied().collect::<Vec<_>>(), who, "node {n}");
        }
        assert_eq!(self.present().0, who, "the store");
    }
}

/// The frames of one piece: several may travel together.
fn split(mut piece: Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while piece.len() > 1 {
        let length = match piece[1] {
            126 => 4 + usize::from(u16::from_be_bytes([piece[2], piece[3]])),
            short => 2 + usize::from(short),
        };
        frames.push(piece.split_to(length));
    }
    frames
}

fn perform(
    store: Option<&MemoryRooms>,
    facts: &Facts,
    is_api_away: bool,
    node: &mut Node,
    effect: Effect,
) -> Option<Input> {
    let away = || Error::Away(None);
    let input = match effect {
        Effect::Enter(joiners, entries, seen) => {
            let entered = store.ok_or_else(away).and_then(|store| now(store.enter(id(), &entries, seen)));
            Input::Entered(joiners, entered, None)
        }
        Effect::Reenter(entries, seen) => {
            Input::Reentered(store.ok_or_else(away).and_then(|store| now(store.enter(id(), &entries, seen))))
        }
        Effect::Leave(keys, seen) => {
            let left = store.ok_or_else(away).and_then(|store| now(store.leave(id(), &keys, seen)));
            Input::Left(keys, left)
        }
        Effect::Prune(dead, seen) => {
            Input::Pruned(store.ok_or_else(away).and_then(|store| now(store.prune(id(), &dead, seen))))
        }
        Effect::ReadRoster(version) => {
            Input::Roster(version, store.ok_or_else(away).and_then(|store| now(store.roster(id()))))
        }
        Effect::SetPlayback(expect, next, _) => {
            let set = store.ok_or_else(away).and_then(|store| now(store.set_playback(id(), expect, &next)));
            Input::PlaybackSet(next, set)
        }
        Effect::ReadPlayback => {
            Input::PlaybackRead(store.ok_or_else(away).and_then(|store| now(store.playback(id()))))
        }
        Effect::ReportReady(words, gave_up, seen) => {
            let report = |store: &MemoryRooms| now(store.report_ready(id(), &words, gave_up, seen));
            let result = store.ok_or_else(away).and_then(report);
            Input::Reported(words, gave_up, result)
        }
        Effect::ReadFacts(_) if is_api_away => Input::Facts(Err(Away)),
        Effect::ReadFacts(since) => Input::Facts(Ok(Some(v1::Facts::of(facts, since)))),
        Effect::ReadHistory(after, before) => {
            let reply = v1::HistoryReply { epoch: 1, kept_from: 1, ..v1::HistoryReply::default() };
            Input::History(after, before, if is_api_away { Err(Away) } else { Ok(reply) })
        }
        Effect::ReportHost(report) => {
            node.reports.push(report);
            return None;
        }
        Effect::MarkGone(keys) => {
            let _ = store.map(|store| now(store.mark_gone(id(), &keys)));
            return None;
        }
        _ => return None, // nothing that these tests look at
    };
    Some(input)
}
