//! A node: the room as the product has it, and around it what `room/shell.rs` does, as values.
//!
//! Whatever reaches a node comes through [`World::on_node`]: a dead node hears nothing, a stopped one all of it when it
//! goes on.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use streamit_bus::{Notice, Subscription};
use streamit_domain::{ConnectionId, Incarnation};
use streamit_realtime::node::lease::Watch;
use streamit_realtime::outbox::Close;
use streamit_realtime::room::Room;
use streamit_realtime::room::effect::{Input, Joiner, Now};
use streamit_wire::Code;
use uuid::Uuid;

use crate::conn::Conn;
use crate::upkeep::Behind;
use crate::world::{Job, World, note};

/// How long a room without members is kept.
const LINGER: u64 = 10_000;
/// A node that stood still for longer begins a new life when it goes on; it notes every half second that it runs.
const PAUSE: u64 = 4_000;
const NOTE: u64 = 500;

/// One life of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) node: usize,
    pub(crate) life: u32,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.node, self.life)
    }
}

/// Through which door something comes. What waits at different doors may be taken in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Inbox,
    News,
    Answers,
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    /// Being drained: lets nobody in.
    Closing,
    /// Everything it had is gone.
    Down,
}

pub(crate) struct Node {
    pub(crate) life: u32,
    pub(crate) state: State,
    /// Until when it stands still; what comes meanwhile is held.
    pub(crate) stopped_until: u64,
    held: Vec<(Source, Job)>,
    started: u64,
    pub(crate) incarnation: Incarnation,
    /// Counts incarnations: who finds another number than before lives anew.
    lives: u32,
    pub(crate) next_connection: u64,
    keys: u64,
    pub(crate) place: Place,
    /// How often the room was opened here, which also names the one that was opened last.
    pub(crate) opened: u32,
    /// The room as it was opened last, and earlier ones that are over and see out who was in them.
    pub(crate) rooms: BTreeMap<u32, Live>,
    /// The last message there was when the room subscribed.
    pub(crate) heard_from: u64,
    /// What each of them hears.
    pub(crate) news: BTreeMap<u32, Subscription>,
    /// News is lost until then.
    pub(crate) deaf_until: u64,
    pub(crate) doubts: u64,
    pub(crate) conns: BTreeMap<ConnectionId, Conn>,
    pub(crate) watch: Watch,
    pub(crate) behind: Behind,
    /// Beats in a row that the store did not take.
    pub(crate) missed_beats: u32,
    /// The repair pass that is due; earlier ones are void.
    pub(crate) pass: u64,
}

/// Where somebody finds the room who comes to a node.
pub(crate) enum Place {
    Closed,
    /// Being read; what comes waits.
    Opening(Waiting),
    /// Among [`Node::rooms`].
    Live,
}

/// What waits for a room that is being read.
pub(crate) struct Waiting {
    inbox: VecDeque<Input>,
    news: VecDeque<Notice>,
    lives: u32,
    jumped: Duration,
}

/// A room that was read, and what its task knows.
pub(crate) struct Live {
    pub(crate) room: Room,
    /// Calls under way.
    pub(crate) answers: u32,
    pub(crate) is_subscribing: bool,
    idle_since: Option<u64>,
    tick_at: u64,
    lives: u32,
    jumped: Duration,
}

impl Node {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            life: 0,
            state: State::Down,
            stopped_until: 0,
            held: Vec::new(),
            started: 0,
            incarnation: Incarnation(Uuid::from_u128(rng.u128(..))),
            lives: 0,
            next_connection: 0,
            keys: 0,
            place: Place::Closed,
            opened: 0,
            rooms: BTreeMap::new(),
            heard_from: 0,
            news: BTreeMap::new(),
            deaf_until: 0,
            doubts: 0,
            conns: BTreeMap::new(),
            watch: Watch::default(),
            behind: Behind::default(),
            missed_beats: 0,
            pass: 0,
        }
    }

    /// A key for a message whose client gave none.
    pub(crate) fn fresh_key(&mut self) -> String {
        self.keys += 1;
        format!("~n{}-{}", self.incarnation, self.keys)
    }
}

impl World {
    pub(crate) fn at(&self, n: usize) -> At {
        At { node: n, life: self.nodes[n].life }
    }

    /// A node begins to live, with nothing.
    pub(crate) fn start_node(&mut self, n: usize) {
        let fresh = Node::new(&mut self.rng);
        let life = self.nodes[n].life + 1;
        self.nodes[n] = Node { life, started: self.now, state: State::Up, ..fresh };
        let at = self.at(n);
        note!(self, "{at} starts as {}", self.nodes[n].incarnation);
        self.keep_up(at);
    }

    /// A node dies: whatever it had is gone, its peers find out.
    pub(crate) fn kill_node(&mut self, n: usize) {
        let at = self.at(n);
        note!(self, "{at} dies");
        let node = &mut self.nodes[n];
        node.state = State::Down;
        node.stopped_until = 0;
        node.held.clear();
        node.place = Place::Closed;
        node.rooms.clear();
        node.news.clear();
        for conn in std::mem::take(&mut node.conns).into_values() {
            let told = self.rng.u64(0..200);
            self.client_is_missed(conn.client, conn.number);
            self.tell_end(told, conn.client, conn.number, None);
        }
    }

    // ---- the way in ----

    /// Does `job` on a node: now, or when it goes on, or never.
    pub(crate) fn on_node(&mut self, at: At, source: Source, job: impl FnOnce(&mut Self) + 'static) {
        let node = &mut self.nodes[at.node];
        if node.life != at.life || node.state == State::Down {
            return;
        }
        if self.now < node.stopped_until {
            node.held.push((source, Box::new(job)));
        } else {
            job(self);
        }
    }

    /// The same, later, for answers and timers.
    pub(crate) fn on_node_in(&mut self, ms: u64, at: At, job: impl FnOnce(&mut Self) + 'static) {
        self.after(ms, move |world| world.on_node(at, Source::Answers, job));
    }

    /// A node stands still for so long.
    pub(crate) fn stop_node(&mut self, n: usize, ms: u64) {
        let at = self.at(n);
        note!(self, "{at} stands still for {ms} ms");
        self.nodes[n].stopped_until = self.now + ms;
        let since_note = self.rng.u64(0..NOTE);
        self.after(ms, move |world| {
            if ms + since_note > PAUSE {
                world.begin_anew(at);
            }
            world.go_on(at);
        });
    }

    fn begin_anew(&mut self, at: At) {
        let incarnation = Incarnation(Uuid::from_u128(self.rng.u128(..)));
        let node = &mut self.nodes[at.node];
        if node.life == at.life {
            node.incarnation = incarnation;
            node.lives += 1;
            note!(self, "{at} begins anew as {incarnation}");
        }
    }

    /// A node that stood still takes what came meanwhile, door by door as it likes.
    fn go_on(&mut self, at: At) {
        if self.nodes[at.node].life != at.life {
            return;
        }
        note!(self, "{at} goes on");
        let mut doors: Vec<VecDeque<Job>> = (0..3).map(|_| VecDeque::new()).collect();
        for (source, job) in std::mem::take(&mut self.nodes[at.node].held) {
            doors[source as usize].push_back(job);
        }
        while !doors.is_empty() {
            let door = self.rng.usize(0..doors.len());
            match doors[door].pop_front() {
                Some(job) if self.nodes[at.node].life == at.life => job(self),
                Some(_) => return,
                None => drop(doors.swap_remove(door)),
            }
        }
    }

    // ---- the room's task ----

    pub(crate) fn now_of(&self, n: usize) -> Now {
        Now { room: self.room_time(), up: self.now - self.nodes[n].started }
    }

    /// Brings somebody into the room, which is opened if need be.
    pub(crate) fn join(&mut self, n: usize, joiner: Joiner) {
        let jumped = self.store.jumped();
        let node = &mut self.nodes[n];
        if matches!(node.place, Place::Closed) {
            let waiting =
                Waiting { inbox: VecDeque::new(), news: VecDeque::new(), lives: node.lives, jumped };
            node.place = Place::Opening(waiting);
            node.opened += 1;
            self.open_room(self.at(n));
        }
        let node = &mut self.nodes[n];
        let room = node.opened;
        node.conns.entry(joiner.connection).and_modify(|conn| conn.room = room);
        self.input(n, room, Input::Join(joiner));
    }

    /// Gives something to a room: one that is being read takes it later.
    pub(crate) fn input(&mut self, n: usize, room: u32, input: Input) {
        let node = &mut self.nodes[n];
        match &mut node.place {
            Place::Opening(waiting) if node.opened == room => waiting.inbox.push_back(input),
            _ => self.feed(n, room, input),
        }
    }

    /// Gives something to the room that a connection is in.
    pub(crate) fn input_of(&mut self, n: usize, id: ConnectionId, input: Input) {
        if let Some(room) = self.nodes[n].conns.get(&id).map(|conn| conn.room) {
            self.input(n, room, input);
        }
    }

    /// Gives something to the room as it is found now, if it is live.
    pub(crate) fn tell_room(&mut self, n: usize, input: Input) {
        if matches!(self.nodes[n].place, Place::Live) {
            self.feed(n, self.nodes[n].opened, input);
        }
    }

    /// News arrives.
    pub(crate) fn hear(&mut self, at: At, room: u32, notice: Notice) {
        let node = &mut self.nodes[at.node];
        match &mut node.place {
            Place::Opening(waiting) if node.opened == room => waiting.news.push_back(notice),
            // A subscription that has ended brings nothing.
            _ if node.news.contains_key(&room) => self.feed(at.node, room, Input::Notice(notice)),
            _ => {}
        }
    }

    /// The room is there: it takes what waits.
    pub(crate) fn opened(&mut self, n: usize, room: Room) {
        note!(self, "{}: the room is open", self.at(n));
        let node = &mut self.nodes[n];
        let Place::Opening(mut waiting) = std::mem::replace(&mut node.place, Place::Live) else { return };
        let (number, lives, jumped) = (node.opened, waiting.lives, waiting.jumped);
        let live = Live {
            room,
            answers: 0,
            is_subscribing: false,
            idle_since: None,
            tick_at: u64::MAX,
            lives,
            jumped,
        };
        node.rooms.insert(number, live);
        while !(waiting.inbox.is_empty() && waiting.news.is_empty()) {
            let input = match self.rng.bool() {
                true => waiting.inbox.pop_front(),
                false => waiting.news.pop_front().map(Input::Notice),
            };
            if let Some(input) = input {
                self.feed(n, number, input);
            }
        }
        self.feed(n, number, Input::Tick);
    }

    /// The room could not be read: whoever waits comes again.
    pub(crate) fn not_opened(&mut self, n: usize) {
        note!(self, "{}: the room can't be opened", self.at(n));
        let node = &mut self.nodes[n];
        let opened = node.opened;
        node.news.remove(&opened);
        if let Place::Opening(waiting) = std::mem::replace(&mut node.place, Place::Closed) {
            for input in waiting.inbox {
                if let Input::Join(joiner) = input {
                    joiner.outbox.close(Close::retry(Code::TryAgain.close(), 1_500));
                }
            }
        }
        self.pump_all(n);
    }

    pub(crate) fn feed(&mut self, n: usize, number: u32, input: Input) {
        let (now, jumped) = (self.now_of(n), self.store.jumped());
        let node = &mut self.nodes[n];
        let Some(live) = node.rooms.get_mut(&number) else { return };
        // Before whatever waited through a pause.
        let reborn = std::mem::replace(&mut live.lives, node.lives) != node.lives;
        let reborn = reborn.then(|| Input::Reborn(node.incarnation));
        let before = std::mem::replace(&mut live.jumped, jumped);
        let jump = (before != jumped).then(|| Input::Jumped(jumped.saturating_sub(before)));
        let may_subscribe = !node.news.contains_key(&number) && !live.is_subscribing;
        live.is_subscribing |= may_subscribe && matches!(input, Input::Versions(Some(_), _));
        if may_subscribe && live.is_subscribing {
            self.subscribe_again(self.at(n), number);
        }
        for input in reborn.into_iter().chain(jump).chain([input]) {
            if self.is_traced() {
                let line: String = format!("{}: {input:?}", self.at(n)).chars().take(220).collect();
                self.write(line);
            }
            let Some(live) = self.nodes[n].rooms.get_mut(&number) else { return };
            for effect in live.room.on(input, now) {
                self.perform(n, number, effect);
            }
        }
        self.pump_all(n);
        self.look_after(n, number);
    }

    /// The room's next tick, and its end.
    fn look_after(&mut self, n: usize, number: u32) {
        let (at, now) = (self.at(n), self.now);
        let node = &mut self.nodes[n];
        let Some(live) = node.rooms.get_mut(&number) else { return };
        if live.room.is_over() && node.opened == number && matches!(node.place, Place::Live) {
            // Who comes back finds the room opened anew, while this one still sees out who was in it.
            node.place = Place::Closed;
        }
        let mut tick = (node.started + live.room.next_deadline()).max(now + 1);
        if live.room.is_idle() {
            let since = *live.idle_since.get_or_insert(now);
            if (live.room.is_over() || now >= since + LINGER) && live.answers == 0 {
                note!(self, "{at}: the room is forgotten");
                let node = &mut self.nodes[n];
                node.rooms.remove(&number);
                node.news.remove(&number);
                if node.opened == number {
                    node.place = Place::Closed;
                }
                self.pump_all(n);
                return;
            }
            tick = tick.min((since + LINGER).max(now + 1));
        } else {
            live.idle_since = None;
        }
        if tick < live.tick_at {
            live.tick_at = tick;
            self.on_node_in(tick - now, at, move |world| world.tick(at, number));
        }
    }

    fn tick(&mut self, at: At, number: u32) {
        let now = self.now;
        if let Some(live) = self.nodes[at.node].rooms.get_mut(&number) {
            if now >= live.tick_at {
                live.tick_at = u64::MAX;
            }
            self.feed(at.node, number, Input::Tick);
        }
    }
}
