//! What goes through a node, measured: messages in and out, how late they are, how many are written at once.
//!
//! Much of it happens for each delivery, so it costs next to nothing: what can be counted once for a room is
//! ([`crate::room::tally`]), instruments are bound to their attributes beforehand, and while nobody looks no clock is read.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, Counter};
use streamit_telemetry::metrics::{Metric, is_on};

use crate::outbox::Kind;

const RECEIVED: Metric = Metric::counter(
    "streamit.messages.received",
    "{message}",
    "messages of clients; `invalid` is what can't be read",
)
.by(&["type"]);
const SENT: Metric =
    Metric::counter("streamit.messages.sent", "{message}", "messages to clients, one for each who gets it")
        .by(&["type"]);
const LAG: Metric = Metric::seconds(
    "streamit.delivery.lag",
    "from the moment that something was told to all nodes until it was written to a socket, in steps of a millisecond; one value for each write",
)
.by(&["kind"]);
const FLUSH: Metric =
    Metric::counts("streamit.flush.frames", "{frame}", "messages that were written with one call");
const DROPPED: Metric = Metric::counter(
    "streamit.frames.dropped",
    "{frame}",
    "messages that a full queue had no room for: `replaced` by a newer state of the film, or `deferred` and given from the chat's tail later",
)
.by(&["reason"]);

/// What is measured here.
pub const METRICS: &[Metric] = &[RECEIVED, SENT, LAG, FLUSH, DROPPED];

/// The instruments.
#[derive(Debug)]
pub struct Traffic {
    is_on: bool,
    received: Counter<u64>,
    sent: Counter<u64>,
    dropped: Counter<u64>,
    lag: [BoundHistogram<f64>; 3],
    flush: BoundHistogram<f64>,
}

impl Default for Traffic {
    fn default() -> Self {
        let meter = opentelemetry::global::meter("streamit");
        let lag = LAG.records(&meter);
        Self {
            is_on: is_on(),
            received: RECEIVED.adds(&meter),
            sent: SENT.adds(&meter),
            dropped: DROPPED.adds(&meter),
            lag: ["chat", "playback", "other"].map(|kind| lag.bind(&[KeyValue::new("kind", kind)])),
            flush: FLUSH.records(&meter).bind(&[]),
        }
    }
}

impl Traffic {
    /// Whether anybody will ever look.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// A message of this type came.
    pub fn received(&self, kind: &'static str) {
        self.received.add(1, &[KeyValue::new("type", kind)]);
    }

    /// Messages of this type were given to so many members.
    pub fn sent(&self, kind: &'static str, members: u64) {
        self.sent.add(members, &[KeyValue::new("type", kind)]);
    }

    /// So many states of the film made way for newer ones.
    pub fn replaced(&self, frames: u64) {
        self.dropped.add(frames, &[KeyValue::new("reason", "replaced")]);
    }

    /// So many messages were left to the chat's tail.
    pub fn deferred(&self, frames: u64) {
        self.dropped.add(frames, &[KeyValue::new("reason", "deferred")]);
    }

    /// So many frames were written with one call.
    pub fn flushed(&self, frames: usize) {
        self.flush.record(frames as f64);
    }

    /// Something that was told `ms` milliseconds ago has been written.
    pub fn delivered(&self, kind: Kind, ms: u32) {
        let place = match kind {
            Kind::Chat => 0,
            Kind::Playback => 1,
            Kind::List | Kind::Readiness | Kind::Other => 2,
        };
        self.lag[place].record(f64::from(ms) / 1e3);
    }
}
