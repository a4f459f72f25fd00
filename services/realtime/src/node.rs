//! One realtime node: its rooms, its connections, and what all of them share.

pub mod behind;
pub mod connections;
pub mod floods;
pub mod lease;
pub mod pause;
pub mod registry;
pub mod repair;
pub mod status;
pub(crate) mod steady;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use streamit_bus::SharedRooms;
use streamit_bus::memory::MemoryQuota;
use streamit_domain::{ConnectionId, Incarnation, RoomId, Timestamp};
use streamit_telemetry::{Health, SharedClock, SharedEntropy};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::Authority;
use crate::door::Door;
use crate::drain::Orders;
use crate::metrics::Instruments;
use crate::outbox::Close;
use crate::room::effect::{Input, Joiner, Now};
use crate::token::Keys;
use crate::traffic::Traffic;
use behind::Behind;
use connections::Connections;
use floods::Floods;
use pause::Pauses;
use registry::Registry;
use streamit_wire::Code;

/// How many rooms are read at a time: whoever is in one already needs the api, too.
const OPENINGS: usize = 4;

/// What a node is made of.
#[derive(Debug)]
pub struct Parts {
    /// Shown in logs and metrics.
    pub name: String,
    /// Whether rates, budgets and caps hold.
    pub limits: bool,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
    /// The api.
    pub api: Authority,
}

/// A node. Held by every connection and every room.
pub struct Node {
    /// Shown in logs and metrics.
    pub name: String,
    /// Whether rates, budgets and caps hold.
    pub limits: bool,
    /// Live state and news.
    pub bus: SharedRooms,
    /// The api.
    pub api: Authority,
    /// The api's public keys.
    pub keys: Keys,
    /// Live rooms.
    pub rooms: Registry,
    /// Where those who come wait for their turn.
    pub door: Door,
    /// Turns at reading a room that is opened.
    pub openings: Semaphore,
    /// Open connections, by user and by address.
    pub connections: Arc<Connections>,
    /// Whether this process was stopped for a while.
    pub pauses: Pauses,
    /// What is written to the api behind the scenes.
    pub behind: Behind,
    /// Guesses at room codes, by address.
    pub guesses: MemoryQuota,
    /// What operators asked of this node.
    pub orders: Orders,
    /// What else is measured.
    pub metrics: Instruments,
    /// What goes through, measured.
    pub traffic: Traffic,
    /// Who has flooded, and how long they have to wait.
    pub floods: Floods,
    /// Rooms and connections.
    pub background: TaskTracker,
    /// What must still be said at a stop.
    pub last_words: TaskTracker,
    /// Cancelled when the node is on its way out: it still serves, but should be sent nobody.
    pub draining: CancellationToken,
    /// Cancelled when new connections are refused.
    pub closing: CancellationToken,
    /// Whether work may be sent here.
    pub health: Health,
    clock: SharedClock,
    entropy: SharedEntropy,
    start: Instant,
    tokio_start: tokio::time::Instant,
    /// Room time at which this process began.
    pub started_at: Timestamp,
    incarnation: RwLock<Incarnation>,
    next_connection: AtomicU64,
}

impl Node {
    /// A node that has not begun to work.
    #[must_use]
    pub fn new(parts: Parts, bus: SharedRooms) -> Arc<Self> {
        let incarnation = Incarnation(parts.entropy.uuid_v4());
        Arc::new(Self {
            name: parts.name,
            limits: parts.limits,
            started_at: bus.now(),
            bus,
            keys: Keys::default(),
            rooms: Registry::default(),
            door: Door::default(),
            openings: Semaphore::new(OPENINGS),
            connections: Arc::default(),
            pauses: Pauses::default(),
            behind: Behind::new(parts.api.clone()),
            api: parts.api,
            guesses: MemoryQuota::new(parts.clock.clone()),
            orders: Orders::default(),
            metrics: Instruments::default(),
            traffic: Traffic::default(),
            floods: Floods::new(parts.clock.clone()),
            background: TaskTracker::new(),
            last_words: TaskTracker::new(),
            closing: CancellationToken::new(),
            draining: CancellationToken::new(),
            health: Health::new(),
            start: parts.clock.monotonic(),
            tokio_start: tokio::time::Instant::now(),
            clock: parts.clock,
            entropy: parts.entropy,
            incarnation: RwLock::new(incarnation),
            next_connection: AtomicU64::new(1),
        })
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { room: self.bus.now(), up: u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX) }
    }

    /// Room time.
    #[must_use]
    pub fn room_time(&self) -> Timestamp {
        self.bus.now()
    }

    /// For how long this node has run; never runs backwards.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.clock.monotonic().saturating_duration_since(self.start)
    }

    /// The moment of an uptime in milliseconds, for timers.
    #[must_use]
    pub fn instant(&self, up: u64) -> tokio::time::Instant {
        self.tokio_start + Duration::from_millis(up)
    }

    /// This node's present life.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        *self.incarnation.read()
    }

    /// Whether it should be sent nobody: it stops, or was told to drain.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled() || self.orders.is_draining()
    }

    /// Whether those who come are sent to another node.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.closing.is_cancelled() || self.orders.is_shut()
    }

    /// How far it is on its way out: 0 serves, 1 is not ready but serves, 2 closes connections, 3 was told to drain and has
    /// put everybody out.
    #[must_use]
    pub fn drain_state(&self) -> u8 {
        match (self.is_draining(), self.is_shut()) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) if self.draining.is_cancelled() || self.connections.count() > 0 => 2,
            (true, true) => 3,
        }
    }

    /// Begins a new life if this process was paused: others may have held the node dead, and everything it knows is old.
    /// Whoever has something to decide calls this before.
    pub fn look_for_pause(&self, up: u64) {
        let begin = || *self.incarnation.write() = Incarnation(self.entropy.uuid_v4());
        if let Some(paused) = self.pauses.look(up, begin) {
            tracing::warn!(
                paused_ms = paused,
                "this process did not run for a while: the node begins a new life"
            );
        }
    }

    /// A number no other connection of this node has.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// An idempotency key for a message whose client gave none.
    #[must_use]
    pub fn fresh_key(&self) -> String {
        // Two leading characters that no UUID has keep it apart from clients' own.
        format!("~n{}", self.entropy.uuid_v4().simple())
    }

    /// An id for a request.
    #[must_use]
    pub fn fresh_id(&self) -> String {
        self.entropy.uuid_v4().to_string()
    }

    /// A name for something that happens at `now`; names sort by time (RFC 9562, version 7).
    #[must_use]
    pub fn fresh_v7(&self, now: Timestamp) -> uuid::Uuid {
        self.entropy.uuid_v7(now.0)
    }

    /// A random number below `end`, for spreading things out.
    #[must_use]
    pub fn random_below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.entropy.u64() % end }
    }

    /// Brings somebody into a room; what becomes of it comes through the outbox. Returns where the room is reached, or
    /// nothing when it could not be, which the outbox then tells too.
    pub async fn join(self: &Arc<Self>, room: RoomId, joiner: Joiner) -> Option<mpsc::Sender<Input>> {
        match self.deliver(room, Input::Join(joiner)).await {
            Ok(sender) => return Some(sender),
            Err(Input::Join(joiner)) => joiner.outbox.close(Close::retry(Code::TryAgain.close(), 1_000)),
            Err(_) => {}
        }
        None
    }

    /// Hands a room something, and opens it for that if it is not live here. Returns where it is reached, or gives the
    /// input back.
    pub(crate) async fn deliver(
        self: &Arc<Self>,
        room: RoomId,
        mut input: Input,
    ) -> Result<mpsc::Sender<Input>, Input> {
        // A room that retires in this very moment is opened anew; that it does so again and again does not happen.
        for _ in 0..3 {
            let sender = self.rooms.get_or_open(self, room);
            match sender.send(input).await {
                Ok(()) => return Ok(sender),
                Err(returned) => {
                    input = returned.0;
                    self.rooms.forget_dead(room);
                }
            }
        }
        Err(input)
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("name", &self.name).finish_non_exhaustive()
    }
}
