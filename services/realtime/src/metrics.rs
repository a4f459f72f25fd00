//! What is measured of a node: who comes and goes, its rooms, its door, its calls to the api. What goes through it is in
//! [`crate::traffic`].

mod why;

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram, Meter};
use opentelemetry::{KeyValue, global};
use parking_lot::Mutex;
use streamit_telemetry::metrics::{Counters, Metric};
use tokio::time::Instant;

use crate::node::Node;
use crate::node::connections::Waiting;
use crate::outbox::Close;
use crate::room::tally::Tally;
pub use why::Reason;
use why::{CODES, code_word};

const CONNECTIONS: Metric = Metric::gauge(
    "streamit.connections",
    "{connection}",
    "connections that are open, those who are let in just now included",
);
const OPENED: Metric =
    Metric::counter("streamit.connections.opened", "{connection}", "connections that came into a room");
const CLOSED: Metric = Metric::counter(
    "streamit.connections.closed",
    "{connection}",
    "connections that had been in a room and ended, by close code: `1006` vanished without a word, `other` is one that a \
     client made up",
)
.by(&["code"]);
const REJECTED: Metric = Metric::counter(
    "streamit.connections.rejected",
    "{connection}",
    "who never got in: `origin` (a page of another site), `malformed` (no WebSocket), `token`, `revoked` (the session has \
     ended), `busy` (the line at the door), `full` (the node, or the room), `limit` (too many connections or guesses), `room` \
     (there is none, or not for him), `unavailable` (the api, the store or the room, for now), `gone` (went away meanwhile), \
     `internal`",
)
.by(&["reason"]);
const HANDSHAKE: Metric = Metric::seconds(
    "streamit.handshake.duration",
    "how long coming in took: `door` (until there was a turn), `token`, `admit` (the api was asked), `enter` (until the room's \
     first frames were written), `total`",
)
.by(&["phase"]);
const ROOMS: Metric = Metric::gauge("streamit.rooms", "{room}", "rooms that are live on the node");
const MEMBERS: Metric = Metric::gauge(
    "streamit.members",
    "{person}",
    "people who are in a room here, over all rooms; one with two windows is one",
);
const QUEUE_FRAMES: Metric =
    Metric::gauge("streamit.queue.frames", "{frame}", "what waits for all connections to be written");
const QUEUE_BYTES: Metric = Metric::gauge("streamit.queue.bytes", "{byte}", "the same in bytes");
const QUEUE_BYTES_MAX: Metric =
    Metric::gauge("streamit.queue.bytes.max", "{byte}", "what waits for the one who is worst off, in bytes");
const RESUMES: Metric = Metric::counter(
    "streamit.resumes",
    "{join}",
    "joins: `first` (nothing to resume), `resumed` (got what he missed), `afresh` (that could not be had)",
)
.by(&["result"]);
const GAPS_FOUND: Metric = Metric::counter(
    "streamit.gaps.found",
    "{gap}",
    "holes in the chat that came; most close within milliseconds",
);
const GAPS_FILLED: Metric = Metric::counter("streamit.gaps.filled", "{gap}", "holes that were closed");
const REPAIRS: Metric = Metric::counter(
    "streamit.repairs",
    "{pass}",
    "comparisons of all rooms with a home, the api or Redis: `regular`, or because of a `doubt`",
)
.by(&["cause"]);
const RELOADS: Metric = Metric::counter(
    "streamit.room.reloads",
    "{reload}",
    "such a comparison found something else than was known, which no news had told",
)
.by(&["kind"]);
const PRUNED: Metric = Metric::counter(
    "streamit.presence.pruned",
    "{person}",
    "people whom this node took out of rosters because their node is dead",
);
const GHOSTS: Metric = Metric::counter(
    "streamit.presence.ghosts",
    "{entry}",
    "entries of this node that were found in rosters and that no connection has",
);
const DRIFT: Metric = Metric::seconds(
    "streamit.client.drift",
    "how far players were from the film, whichever way, when they told where they are",
);
const DRAIN: Metric = Metric::gauge(
    "streamit.drain.state",
    "{state}",
    "0 serves, 1 not ready but serving, 2 closing connections, 3 drained as ordered and idle",
);
const FAULTS: Metric = Metric::counter(
    "streamit.faults",
    "{fault}",
    "faults inside that ended one `connection`, one `room`, or one try of what goes on in the `background`",
)
.by(&["place"]);
const REPLICAS: Metric = Metric::gauge(
    "streamit.authority.replicas",
    "{replica}",
    "replicas of the api, as probes find them: `up` or `down`",
)
.by(&["state"]);
const RETRIES: Metric = Metric::counter(
    "streamit.authority.retries",
    "{call}",
    "calls that were made on another replica, since the first one did not answer",
);
const CALLS: Metric = Metric::seconds(
    "rpc.client.call.duration",
    "how long calls to the api took, probes (`Keys`) included; `CANCELLED` was given up",
)
.by(&["rpc.method", "rpc.response.status_code"]);

/// What is measured here.
pub const METRICS: &[Metric] = &[
    CONNECTIONS,
    OPENED,
    CLOSED,
    REJECTED,
    HANDSHAKE,
    ROOMS,
    MEMBERS,
    QUEUE_FRAMES,
    QUEUE_BYTES,
    QUEUE_BYTES_MAX,
    RESUMES,
    GAPS_FOUND,
    GAPS_FILLED,
    REPAIRS,
    RELOADS,
    PRUNED,
    GHOSTS,
    DRIFT,
    DRAIN,
    FAULTS,
    REPLICAS,
    RETRIES,
    CALLS,
];

/// Where a fault was contained.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// It ended a connection.
    Connection,
    /// It ended a room.
    Room,
    /// It ended one try of what goes on behind.
    Background,
}

/// What part of coming in it is.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    /// Waiting for a turn.
    Door,
    /// Looking at the token.
    Token,
    /// Asking the api.
    Admit,
    /// Getting into the room.
    Enter,
    /// All of it.
    Total,
}

/// What is recorded into.
#[derive(Debug)]
pub struct Instruments {
    opened: Counter<u64>,
    closed: Counters,
    rejected: Counters,
    handshake: Histogram<f64>,
    resumes: Counters,
    gaps_found: Counter<u64>,
    gaps_filled: Counter<u64>,
    repairs: Counters,
    reloads: Counters,
    pruned: Counter<u64>,
    ghosts: Counter<u64>,
    drift: Histogram<f64>,
    faults: Counters,
}

impl Default for Instruments {
    fn default() -> Self {
        let meter = meter();
        Self {
            opened: OPENED.adds(&meter),
            closed: CLOSED.adds_by(&meter, &CODES.map(|(_, word)| word)),
            rejected: REJECTED.adds_by(&meter, &Reason::ALL.map(Reason::word)),
            handshake: HANDSHAKE.records(&meter),
            resumes: RESUMES.adds_by(&meter, &["first", "resumed", "afresh"]),
            gaps_found: GAPS_FOUND.adds(&meter),
            gaps_filled: GAPS_FILLED.adds(&meter),
            repairs: REPAIRS.adds_by(&meter, &["regular", "doubt"]),
            reloads: RELOADS.adds_by(&meter, &["facts", "chat", "playback", "roster"]),
            pruned: PRUNED.adds(&meter),
            ghosts: GHOSTS.adds(&meter),
            drift: DRIFT.records(&meter),
            faults: FAULTS.adds_by(&meter, &["connection", "room", "background"]),
        }
    }
}

impl Instruments {
    /// Somebody did not get in.
    pub fn rejected(&self, reason: Reason) {
        self.rejected.add(1, reason.word());
    }

    /// A part of coming in took so long.
    pub fn came(&self, phase: Phase, took: Duration) {
        let phase = match phase {
            Phase::Door => "door",
            Phase::Token => "token",
            Phase::Admit => "admit",
            Phase::Enter => "enter",
            Phase::Total => "total",
        };
        self.handshake.record(took.as_secs_f64(), &[KeyValue::new("phase", phase)]);
    }

    /// A connection has ended; `arrival` when it never was in its room, `close` unless its peer vanished.
    pub(crate) fn ended(&self, arrival: Option<&Arrival>, close: Option<&Close>) {
        match arrival {
            Some(_) => self.rejected(close.map_or(Reason::Gone, Reason::of)),
            None => self.closed.add(1, close.map_or("1006", |close| code_word(close.code))),
        }
    }

    /// All rooms are compared with a home.
    pub(crate) fn repairs(&self, is_doubt: bool) {
        self.repairs.add(1, if is_doubt { "doubt" } else { "regular" });
    }

    /// A fault was contained.
    pub(crate) fn fault(&self, place: Place) {
        let place = match place {
            Place::Connection => "connection",
            Place::Room => "room",
            Place::Background => "background",
        };
        self.faults.add(1, place);
    }

    /// Adds what a room has counted.
    pub(crate) fn add(&self, tally: &Tally) {
        if *tally == Tally::default() {
            return;
        }
        let all = [
            (&self.resumes, "first", tally.joined_first),
            (&self.resumes, "resumed", tally.joined_resumed),
            (&self.resumes, "afresh", tally.joined_afresh),
            (&self.reloads, "facts", tally.reloaded_facts),
            (&self.reloads, "chat", tally.reloaded_chat),
            (&self.reloads, "playback", tally.reloaded_playback),
            (&self.reloads, "roster", tally.reloaded_roster),
        ];
        for (counters, value, count) in all.into_iter().filter(|(.., count)| *count > 0) {
            counters.add(count, value);
        }
        self.gaps_found.add(tally.gaps_found, &[]);
        self.gaps_filled.add(tally.gaps_filled, &[]);
        self.pruned.add(tally.pruned, &[]);
        self.ghosts.add(tally.ghosts, &[]);
        for drift in &tally.drifts {
            self.drift.record(*drift, &[]);
        }
    }
}

/// Somebody who has asked his room to let him in, and is not in yet.
#[derive(Debug)]
pub struct Arrival {
    since: Instant,
    at_the_room: Instant,
}

impl Arrival {
    /// One who came at `since`, and asks the room now.
    #[must_use]
    pub fn new(since: Instant) -> Self {
        Self { since, at_the_room: Instant::now() }
    }

    /// He is in.
    pub(crate) fn came_in(self, metrics: &Instruments) {
        metrics.opened.add(1, &[]);
        metrics.came(Phase::Enter, self.at_the_room.elapsed());
        metrics.came(Phase::Total, self.since.elapsed());
    }
}

/// Tells whenever somebody looks, for as long as there is a node.
pub(crate) fn observe(node: &Arc<Node>) {
    let meter = meter();
    let tell = |metric: &Metric, value: fn(&Node) -> f64| {
        let node = Arc::downgrade(node);
        metric.observes(&meter, move |gauge| {
            if let Some(node) = node.upgrade() {
                gauge.observe(value(&node), &[]);
            }
        });
    };
    tell(&CONNECTIONS, |node| node.connections.count() as f64);
    tell(&ROOMS, |node| node.rooms.count() as f64);
    tell(&MEMBERS, |node| node.rooms.people() as f64);
    tell(&DRAIN, |node| f64::from(node.drain_state()));
    let seen = Arc::new(Queues::default());
    let tell = |metric: &Metric, value: fn(Waiting) -> usize| {
        let (node, seen) = (Arc::downgrade(node), seen.clone());
        metric.observes(&meter, move |gauge| {
            if let Some(waiting) = seen.look(&node) {
                gauge.observe(value(waiting) as f64, &[]);
            }
        });
    };
    tell(&QUEUE_FRAMES, |waiting| waiting.frames);
    tell(&QUEUE_BYTES, |waiting| waiting.bytes);
    tell(&QUEUE_BYTES_MAX, |waiting| waiting.most_bytes);
}

/// For how long a look at all queues is good enough: what is asked together is looked at once.
const LOOKED: Duration = Duration::from_secs(1);

/// The last look at all queues.
#[derive(Default)]
struct Queues(Mutex<Option<(Instant, Waiting)>>);

impl Queues {
    fn look(&self, node: &Weak<Node>) -> Option<Waiting> {
        let mut seen = self.0.lock();
        if let Some((_, waiting)) = seen.filter(|(at, _)| at.elapsed() < LOOKED) {
            return Some(waiting);
        }
        let waiting = node.upgrade()?.connections.waiting();
        *seen = Some((Instant::now(), waiting));
        Some(waiting)
    }
}

/// What is recorded of calls to the api.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    calls: Histogram<f64>,
    retries: Counter<u64>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        let meter = meter();
        Self { calls: CALLS.records(&meter), retries: RETRIES.adds(&meter) }
    }

    pub(crate) fn called(&self, method: &'static str, outcome: &'static str, took: Duration) {
        let labels =
            [KeyValue::new("rpc.method", method), KeyValue::new("rpc.response.status_code", outcome)];
        self.calls.record(took.as_secs_f64(), &labels);
    }

    /// Another replica is asked.
    pub(crate) fn retried(&self) {
        self.retries.add(1, &[]);
    }

    /// Tells how many replicas are up, and how many there are, whenever somebody looks.
    pub(crate) fn observe_replicas(count: impl Fn() -> Option<(usize, usize)> + Send + Sync + 'static) {
        REPLICAS.observes(&meter(), move |replicas| {
            if let Some((up, all)) = count() {
                replicas.observe(up as f64, &[KeyValue::new("state", "up")]);
                replicas.observe((all - up) as f64, &[KeyValue::new("state", "down")]);
            }
        });
    }
}

fn meter() -> Meter {
    global::meter("streamit")
}
