//! The last things that happened in a room, for whoever looks into it.
//!
//! A small ring that costs nothing worth speaking of: words and numbers, never what somebody said. It is this node's own
//! view and nobody decides anything by it.

use std::collections::VecDeque;

use streamit_domain::room::Change;
use streamit_domain::{Playback, Timestamp, UserId};
use streamit_wire::v1;
use uuid::Uuid;

use super::Room;
use super::effect::Gone;

/// How many are kept.
pub(super) const KEPT: usize = 64;

/// What happened. The number that goes with each stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The room was opened on this node: facts version.
    Opened,
    /// Somebody's first connection came, on whichever node: roster version.
    Joined,
    /// Somebody's last connection went: roster version.
    Left,
    /// A connection ended that may come back: its number.
    Cut,
    /// A connection was asked to come back on another node: its number.
    SentAway,
    /// The film runs: version.
    Playing,
    /// The film stands: version.
    Paused,
    /// The film is elsewhere: version.
    Moved,
    /// The film waits for somebody's player: version.
    Held,
    /// Something was said, maybe more than once: the last seq.
    Chat,
    /// Somebody was kicked, banned or otherwise put out: facts version, as in all that follow.
    Removed,
    /// The room has another host.
    Host,
    /// Somebody's role changed.
    Role,
    /// The settings changed.
    Settings,
    /// Something else is being watched.
    Source,
    /// Somebody waits to be let in.
    JoinRequest,
    /// The room was closed, or expired.
    Ended,
    /// The database has lost some of the room, and began anew.
    Epoch,
    /// The host went: roster version.
    HostAway,
    /// The host is back: roster version.
    HostBack,
    /// The roster can't be relied on for a moment: roster version.
    Recovering,
    /// The node was paused, and began a new life.
    Reborn,
    /// Room time has jumped: by so many milliseconds.
    ClockJumped,
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Cut => "cut",
            Self::SentAway => "sent_away",
            Self::Playing => "playing",
            Self::Paused => "paused",
            Self::Moved => "moved",
            Self::Held => "held",
            Self::Chat => "chat",
            Self::Removed => "removed",
            Self::Host => "host",
            Self::Role => "role",
            Self::Settings => "settings",
            Self::Source => "source",
            Self::JoinRequest => "join_request",
            Self::Ended => "ended",
            Self::Epoch => "epoch",
            Self::HostAway => "host_away",
            Self::HostBack => "host_back",
            Self::Recovering => "recovering",
            Self::Reborn => "reborn",
            Self::ClockJumped => "clock_jumped",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Happened {
    what: What,
    at: Timestamp,
    number: u64,
    /// Nil for nobody: an `Option` would cost every entry eight bytes.
    user: Uuid,
}

/// The ring. It has no memory before the first entry.
#[derive(Debug, Default)]
pub(super) struct Log {
    now: Timestamp,
    last: VecDeque<Happened>,
}

impl Log {
    /// What is noted from here on happens at this room time.
    pub(super) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    pub(super) fn note(&mut self, what: What, number: u64, user: Option<UserId>) {
        let next = Happened { what, at: self.now, number, user: user.map_or(Uuid::nil(), |user| user.0) };
        // A lively chat would leave room for nothing else.
        if let Some(last) = self.last.back_mut().filter(|last| what == What::Chat && last.what == what) {
            *last = next;
            return;
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(next);
    }

    /// Oldest first.
    pub(super) fn told(&self) -> Vec<v1::RoomEvent> {
        let user = |user: Uuid| if user.is_nil() { Vec::new() } else { user.as_bytes().to_vec() };
        self.last
            .iter()
            .map(|happened| v1::RoomEvent {
                kind: happened.what.as_str().to_owned(),
                at: happened.at.0,
                number: happened.number,
                user: user(happened.user),
            })
            .collect()
    }
}

impl Room {
    pub(super) fn note(&mut self, what: What, number: u64, user: Option<UserId>) {
        self.log.note(what, number, user);
    }

    pub(super) fn note_change(&mut self, change: &Change) {
        let (what, user) = match change {
            Change::Removed(user, _) => (What::Removed, Some(*user)),
            Change::Host => (What::Host, Some(self.facts.host)),
            Change::Role(user) => (What::Role, Some(*user)),
            Change::Settings => (What::Settings, None),
            Change::Source => (What::Source, None),
            Change::JoinRequest(user) => (What::JoinRequest, Some(*user)),
            Change::Ended(_) => (What::Ended, None),
            Change::Epoch => (What::Epoch, None),
        };
        self.log.note(what, self.facts.version, user);
    }

    /// A later state of the film is to be shown.
    pub(super) fn note_playback(&mut self, next: &Playback) {
        let was = &self.playback;
        let what = match (next.held_until, next.is_playing) {
            (Some(_), _) => What::Held,
            (None, true) if !was.is_running() => What::Playing,
            (None, false) if was.is_playing => What::Paused,
            _ => What::Moved,
        };
        self.log.note(what, next.version.number, None);
    }

    /// A member's connection ended.
    pub(super) fn note_gone(&mut self, connection: u64, user: UserId, how: Gone) {
        match how {
            Gone::Now => {} // he leaves, or was removed: told as that
            Gone::Grace => self.log.note(What::Cut, connection, Some(user)),
            Gone::At(_) => self.log.note(What::SentAway, connection, Some(user)),
        }
    }
}
