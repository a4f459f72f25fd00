//! Live state and news of rooms, shared by all nodes.
//!
//! [`Rooms`] keeps what changes too often for a database (playback, who is here, which nodes live) and carries
//! events; wherever a change is news, storing and publishing are one atomic step. [`Quota`] counts attempts.
//! Each has two implementations, held to the same suite: [`memory`] in one process, [`redis`] for a cluster.
//!
//! The crate compares and stores what the domain computed; it knows no rules. Everything in it may be lost and
//! is then put back by the nodes; everything it delivers may be lost, late or doubled, and carries a version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use streamit_domain::playback::Version;
use streamit_domain::rate::Rate;
use streamit_domain::readiness::{Book, GaveUp, Readiness};
use streamit_domain::{ConnectionId, Incarnation, Playback, RoomId, Timestamp, UserId};
use streamit_telemetry::trace;
use streamit_wire::v1;

mod clock;
pub mod memory;
pub mod metrics;
pub mod redis;
pub mod subscription;

pub use subscription::{Notice, Subscription};

/// What went wrong. Nothing here is an answer about a room: the caller knows no more than before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store is away or did not answer in time.
    #[error("the shared store is away")]
    Away(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The store answered something that can't be read.
    #[error("the shared store answered {0}")]
    Answer(String),
}

/// Which connection of which node an entry of a roster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// The node's life.
    pub incarnation: Incarnation,
    /// The connection on it.
    pub connection: ConnectionId,
}

/// Somebody's connection, as it enters a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which connection.
    pub key: EntryKey,
    /// Whose.
    pub user: UserId,
    /// What they are called in this room.
    pub name: String,
}

/// Somebody who is in a room now, over however many connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// What they are called.
    pub name: String,
    /// Room time at which their first connection of now came. The order of lists.
    pub since: Timestamp,
}

/// Who is in a room, at a version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    /// Grows with each arrival of a user's first connection and departure of the last; also across a loss of the
    /// store, since it never falls below the room clock. 0 for a roster that does not exist.
    pub version: u64,
    /// Everybody present.
    pub users: BTreeMap<UserId, Present>,
    /// The entries behind them; those marked gone carry the moment until which they count.
    pub entries: BTreeMap<EntryKey, RosterEntry>,
    /// What people say of their players, with a version of its own. Only of those present.
    pub book: Book,
}

/// One entry of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    /// Whose.
    pub user: UserId,
    /// Set when the connection is gone but still counts until this moment (grace).
    pub gone_at: Option<Timestamp>,
}

/// A change of who is present, as it is announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosterChange {
    /// The roster's version before.
    pub previous: u64,
    /// And after. Equal to `previous` when nobody came or went (a second tab).
    pub version: u64,
    /// Whose first connection came, with name and moment.
    pub joined: Vec<(UserId, Present)>,
    /// Whose last connection went, with name.
    pub left: Vec<(UserId, String)>,
    /// How many users are present after it.
    pub online: u64,
}

/// What people said of their players, as it is announced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BookChange {
    /// The version before.
    pub previous: u64,
    /// And after. Equal to `previous` when nothing was new.
    pub version: u64,
    /// Who said what.
    pub words: Vec<(UserId, Readiness)>,
    /// A deadline that passed.
    pub gave_up: Option<GaveUp>,
}

/// What a compare-and-set of playback came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Cas {
    /// Stored and published.
    Stored,
    /// Something else is stored; compute again from this.
    Conflict(Playback),
    /// The command's fence is older than this one: the caller has not heard of a change of host.
    Fenced(u64),
    /// The store knows no fence for this room: ask the api, then try with `confirmed`.
    Unknown,
    /// Somebody is present, and the change was only for an empty room.
    NotEmpty,
}

/// Under which conditions playback is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The stored state's version; `None` when there must be none. A store that has lost its state takes any:
    /// nothing in it contradicts the caller.
    pub version: Option<Version>,
    /// The caller has just asked the api for the fence, so a store without one may take it from him.
    pub confirmed: bool,
    /// Only if nobody is present.
    pub only_if_empty: bool,
    /// The fence that the caller knows to hold, if the state was made under an older one: a film that is put back after a
    /// loss stays what it was. `None`: the state's own.
    pub fence: Option<u64>,
}

/// What the repair loop compares, one room each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveVersions {
    /// The roster's version, 0 when it is gone.
    pub roster: u64,
    /// The playback's version, if there is one.
    pub playback: Option<Version>,
    /// The version of what people say of their players, 0 when there is nothing.
    pub book: u64,
    /// The longest round trip that a node has told with [`Rooms::refresh`], if any has.
    pub round_trip: Option<Duration>,
}

/// What the sweeper sees of a room's roster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Online {
    /// How many users are present (entries marked gone still count until their moment).
    pub users: u64,
    /// Whether the user asked about is among them.
    pub has_user: bool,
    /// When a node last refreshed the roster or somebody entered it. Outlives the roster; `None` when the store
    /// does not know (any more).
    pub refreshed_at: Option<Timestamp>,
}

/// What a node said of itself with its last beat.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The node's life.
    pub incarnation: Incarnation,
    /// Room time of the beat.
    pub at: Timestamp,
    /// What it said: nothing at all if it is of a release that does not.
    pub status: v1::NodeStatus,
}

/// How long things are kept that nobody renews. Tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A node's lease, from its last [`Rooms::beat`].
    pub lease: Duration,
    /// A roster, from the last [`Rooms::enter`] or [`Rooms::refresh`].
    pub roster: Duration,
    /// Playback, fence and the moment of the last refresh, from the last change of one of them.
    pub playback: Duration,
}

/// For how long [`Rooms::nodes`] lists an incarnation after its last beat.
pub const NODES_LISTED: Duration = Duration::from_secs(600);

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(6),
            roster: Duration::from_secs(60),
            // Longer than a week-long pause; what is older is still in the database.
            playback: Duration::from_secs(8 * 24 * 60 * 60),
        }
    }
}

/// Live state and news of rooms. All calls have a deadline inside; none is retried inside.
#[async_trait]
pub trait Rooms: Send + Sync + 'static {
    /// Room time: one clock for all nodes, never running backwards on this one.
    fn now(&self) -> Timestamp;

    /// How far room time has jumped ahead, all jumps together, because the clock behind it was set or replaced. What is
    /// anchored in room time has to be anchored anew. Small differences are no jumps: they are slewed.
    fn jumped(&self) -> Duration;

    /// Whether the store answers and the node's own subscription lives, as of the last probe (1 s).
    fn is_healthy(&self) -> bool;

    /// Counts up whenever events may have been missed by everybody here (reconnect, lost probes, a new store) or room
    /// time has jumped: when it moves, every version has to be compared again.
    fn doubts(&self) -> u64;

    /// Subscribes to a room's events. When this returns, events published from now on will come, unless lost.
    /// Dropping the subscription ends it. Waiting events are bounded; an overflow is told as [`Notice::Lost`].
    async fn subscribe(&self, room: RoomId) -> Result<Subscription, Error>;

    /// Subscribes to what concerns every node (revocations).
    async fn subscribe_all(&self) -> Result<Subscription, Error>;

    /// Tells a room's subscribers. News only: state is never carried this way alone.
    async fn publish(&self, room: RoomId, event: &v1::Event) -> Result<(), Error>;

    /// Tells every node. Returns how many listeners it was given to.
    async fn publish_all(&self, event: &v1::Event) -> Result<u64, Error>;

    /// The room's playback, `None` when the store has none.
    async fn playback(&self, room: RoomId) -> Result<Option<Playback>, Error>;

    /// Replaces playback if what is stored is what the caller computed from, and publishes it, in one step.
    async fn set_playback(&self, room: RoomId, expect: Expect, next: &Playback) -> Result<Cas, Error>;

    /// Raises the fence under which playback may be changed; a lower or equal one changes nothing.
    async fn raise_fence(&self, room: RoomId, fence: u64) -> Result<(), Error>;

    /// Adds connections and announces users whose first one it is. Repeating it is harmless. `seen` is the highest
    /// roster version the caller knows. Returns the roster after it.
    async fn enter(
        &self,
        room: RoomId,
        entries: &[Entry],
        seen: u64,
    ) -> Result<(RosterChange, Roster), Error>;

    /// Removes connections and announces users whose last one it was. Repeating it is harmless.
    async fn leave(&self, room: RoomId, keys: &[EntryKey], seen: u64) -> Result<RosterChange, Error>;

    /// Marks connections as gone that count until the given moment; any node may then [`Rooms::prune`] them.
    async fn mark_gone(&self, room: RoomId, keys: &[(EntryKey, Timestamp)]) -> Result<(), Error>;

    /// Removes what died: entries of `dead` incarnations, and entries marked gone whose moment has come. One that is
    /// marked gone counts until its moment even if its node is dead: a deploy announces nobody as left.
    async fn prune(&self, room: RoomId, dead: &[Incarnation], seen: u64) -> Result<RosterChange, Error>;

    /// Who is in a room now.
    async fn roster(&self, room: RoomId) -> Result<Roster, Error>;

    /// Keeps what people say of their players and a deadline that passed, and announces what is new of it. Of two words
    /// of one person the later one counts, so repeating it is harmless; who is not in the roster has no word. `seen` is
    /// the highest version the caller knows. What is kept is read with the roster, and lost with it.
    async fn report_ready(
        &self,
        room: RoomId,
        words: &[(UserId, Readiness)],
        gave_up: Option<GaveUp>,
        seen: u64,
    ) -> Result<BookChange, Error>;

    /// The versions of many rooms in one go; also keeps their rosters from expiring (60 s after the last call).
    ///
    /// With each room `node` tells how long round trips to its members there take, `None` when it does not know. The
    /// longest of all nodes is kept beside the playback: until its own node tells another or none, or has told nothing
    /// for as long as a roster is kept. Then the next one to tell is believed, so that it also sinks.
    async fn refresh(
        &self,
        node: Incarnation,
        rooms: &[(RoomId, Option<Duration>)],
    ) -> Result<Vec<LiveVersions>, Error>;

    /// How many users are online in each room, and whether the given one is.
    async fn online(&self, rooms: &[(RoomId, Option<UserId>)]) -> Result<Vec<Online>, Error>;

    /// Renews this node's lease (6 s), and keeps for as long what the node says of itself.
    async fn beat(&self, incarnation: Incarnation, status: &v1::NodeStatus) -> Result<(), Error>;

    /// Gives this node's lease up, so that others need not wait for it to run out.
    async fn rest(&self, incarnation: Incarnation) -> Result<(), Error>;

    /// Every incarnation that has beaten within the last ten minutes, alive or not. (A sorted set beside the leases,
    /// kept by [`Rooms::beat`] and [`Rooms::rest`].)
    async fn nodes(&self) -> Result<Vec<Incarnation>, Error>;

    /// The last beat of each incarnation, `None` when its lease has run out. Two equal answers mean that it did not
    /// move between them.
    async fn beats(&self, incarnations: &[Incarnation]) -> Result<Vec<Option<u64>>, Error>;

    /// Every node whose lease has not run out, with what it said of itself.
    async fn statuses(&self) -> Result<Vec<Told>, Error>;
}

/// Counts attempts, for limits that all replicas share. May be forgotten; when the store is away, the process
/// counts alone.
#[async_trait]
pub trait Quota: Send + Sync + 'static {
    /// Takes one event of `rate` for `key`. `key` names the limit and whom it is about, and holds no secret.
    ///
    /// # Errors
    /// How long to wait, when the rate is used up.
    async fn take(&self, key: &str, rate: Rate) -> Result<(), Duration>;

    /// Asks whether an event would be taken, without taking it.
    ///
    /// # Errors
    /// How long to wait, when the rate is used up.
    async fn peek(&self, key: &str, rate: Rate) -> Result<(), Duration>;

    /// Gives an event back that was taken and did not count after all.
    async fn give_back(&self, key: &str, rate: Rate);
}

/// [`Rooms`] as services hold it.
pub type SharedRooms = Arc<dyn Rooms>;
/// [`Quota`] as services hold it.
pub type SharedQuota = Arc<dyn Quota>;

/// The news that a room's playback is `next`, as of `now`.
fn playback_event(next: &Playback, now: Timestamp) -> v1::Event {
    let kind = Some(v1::event::Kind::Playback(next.into()));
    v1::Event { traceparent: trace::traceparent(), published_at: now.0, kind }
}
