//! What a room asks the world for, and what it is told.
//!
//! A room is a value: [`Input`]s go in, [`Effect`]s come out, time is passed along. The shell that carries out
//! effects and feeds the answers back is in [`super::shell`]; a test or a simulation can be another.

use std::sync::Arc;
use std::time::Duration;

use streamit_bus::{
    BookChange, Cas, Entry, EntryKey, Error as BusError, Expect, LiveVersions, Notice, Roster, RosterChange,
};
use streamit_domain::playback::Command;
use streamit_domain::readiness::{GaveUp, Readiness};
use streamit_domain::{ConnectionId, Incarnation, Playback, RoomId, SessionId, Timestamp, UserId};
use streamit_telemetry::trace::Cause;
use streamit_wire::frame::client;
use streamit_wire::{Code, v1};

use crate::outbox::Outbox;

/// This moment, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Room time.
    pub room: Timestamp,
    /// The node's uptime in milliseconds; never runs backwards.
    pub up: u64,
}

/// Somebody who was admitted and wants in.
#[derive(Clone, Debug)]
pub struct Joiner {
    /// The connection.
    pub connection: ConnectionId,
    /// Whose it is.
    pub user: UserId,
    /// The session it was opened with.
    pub session: SessionId,
    /// What they are called in this room.
    pub name: Arc<str>,
    /// The facts version at which the api admitted them.
    pub admitted: u64,
    /// What the client asked to resume from.
    pub resume: Option<Resume>,
    /// Where frames for the connection go.
    pub outbox: Arc<Outbox>,
}

/// `?since=` and `&epoch=` as given; `None` inside for what can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The last seq the client has; `None` when malformed.
    pub since: Option<u64>,
    /// The epoch it has it from.
    pub epoch: Option<u64>,
    /// How often the api was asked for what is missing here.
    pub asks: u8,
    /// Whether it can't be had.
    pub asked: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// On purpose (1000), or the server wants the user out: it counts at once.
    Now,
    /// It may come back: it counts after the grace.
    Grace,
    /// The node goes: it counts at this room time, even if the node is no more by then.
    At(Timestamp),
}

/// A message on its way to the api.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who is told if it fails.
    pub connection: ConnectionId,
    /// Who says it.
    pub user: UserId,
    /// What.
    pub text: String,
    /// What makes sending again harmless; `None`: the node makes one.
    pub client_id: Option<String>,
    /// Lasts until it is answered.
    pub cause: Cause,
}

/// A call to the api failed; it is not known whether it had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// What happens to a room.
#[derive(Debug)]
pub enum Input {
    /// Somebody wants in.
    Join(Joiner),
    /// A member sent something, which may be traced.
    Frame(ConnectionId, client::Frame, Cause),
    /// The frames given by [`Outbox::join`] are written.
    Flushed(ConnectionId),
    /// A connection ended.
    Gone(ConnectionId, Gone),
    /// News from the bus.
    Notice(Notice),
    /// The time asked for by [`super::Room::next_deadline`] has come.
    Tick,
    /// The repair loop compared versions; what is `None` could not be read.
    Versions(Option<LiveVersions>, Option<v1::RoomVersions>),
    /// These nodes are dead.
    Dead(Arc<[Incarnation]>),
    /// The node has a new incarnation.
    Reborn(Incarnation),
    /// Room time has jumped ahead by so much.
    Jumped(Duration),

    /// Answer to [`Effect::Enter`], with the film as the store has it now, if it could tell: who comes from another node
    /// must not see it go back.
    Entered(Vec<Joiner>, Result<(RosterChange, Roster), BusError>, Option<Playback>),
    /// The room that was here before has failed inside: what it left in the roster is this one's to see out.
    AfterFault,
    /// Answer to [`Effect::Reenter`].
    Reentered(Result<(RosterChange, Roster), BusError>),
    /// Answer to [`Effect::Leave`].
    Left(Vec<EntryKey>, Result<RosterChange, BusError>),
    /// Answer to [`Effect::Prune`].
    Pruned(Result<RosterChange, BusError>),
    /// Answer to [`Effect::ReadRoster`]; the version the room had when it asked.
    Roster(u64, Result<Roster, BusError>),
    /// Answer to [`Effect::ReadFacts`].
    Facts(Result<Option<v1::Facts>, Away>),
    /// Answer to [`Effect::ReadHistory`] after the first seq and before the second.
    History(u64, u64, Result<v1::HistoryReply, Away>),
    /// Answer to [`Effect::ReadErasures`].
    Erasures(Result<v1::ErasuresReply, Away>),
    /// Answer to [`Effect::Append`], one for each draft.
    Appended(Vec<Draft>, Result<Vec<v1::Appended>, Away>),
    /// Answer to [`Effect::SetPlayback`].
    PlaybackSet(Playback, Result<Cas, BusError>),
    /// Answer to [`Effect::ReadPlayback`].
    PlaybackRead(Result<Option<Playback>, BusError>),
    /// Answer to [`Effect::ReportReady`].
    Reported(Vec<(UserId, Readiness)>, Option<GaveUp>, Result<BookChange, BusError>),
    /// Answer to [`Effect::Moderate`].
    Moderated(ConnectionId, Result<Option<Code>, Away>),
}

/// What a room wants done. Each but the last five is answered by an [`Input`].
#[derive(Debug)]
pub enum Effect {
    /// Add joiners to the roster, the highest version known being the number.
    Enter(Vec<Joiner>, Vec<Entry>, u64),
    /// Add connections again that a lost roster no longer has.
    Reenter(Vec<Entry>, u64),
    /// Remove connections from the roster.
    Leave(Vec<EntryKey>, u64),
    /// Remove what dead nodes left.
    Prune(Arc<[Incarnation]>, u64),
    /// Read the roster.
    ReadRoster(u64),
    /// Ask the api what changed since this facts version.
    ReadFacts(u64),
    /// Ask the api for messages after the first seq and, unless 0, before the second.
    ReadHistory(u64, u64),
    /// Ask the api what was erased after the erasure of the first number, of messages from the second on.
    ReadErasures(u64, u64),
    /// Store messages.
    Append(Vec<Draft>),
    /// Replace playback.
    SetPlayback(Expect, Playback, Cause),
    /// Read playback.
    ReadPlayback,
    /// Keep what people say of their players, and a deadline that passed, the highest version known being the number.
    ReportReady(Vec<(UserId, Readiness)>, Option<GaveUp>, u64),
    /// Ask the api to act on somebody.
    Moderate(ConnectionId, v1::ModerateRequest, Cause),
    /// Mark connections gone as of a later moment. Not answered.
    MarkGone(Vec<(EntryKey, Timestamp)>),
    /// Keep playback in the database, soon. Not answered.
    SavePlayback(Playback),
    /// Write down that somebody did this to the film, which is now so. Not answered.
    NotePlayback(UserId, Command, Playback),
    /// Tell the api that the host went or came back; retried until it has heard. Not answered.
    ReportHost(v1::HostReport),
    /// Tell the api what was seen of the room, since it may have less; retried until it has heard. Not answered.
    ReportLoss(v1::Seen),
    /// Tell whoever looks into this room what is seen of it, on the channel that is named as if of a room. Not answered.
    Inspected(RoomId, Box<v1::Inspected>),
}
