//! The connections of a room on this node.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use streamit_domain::{ConnectionId, Timestamp, UserId};
use streamit_wire::code::close;

use super::effect::Now;
use super::tally::Sent;
use super::{HEARTBEAT_MS, HEARTBEAT_SOON_MS, PING_MS, SILENT_MS, STUCK_MS};
use crate::outbox::{Close, Kind, Outbox};

/// How far a member has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Frames outside the budget are on their way; live chat waits, from this seq on.
    CatchingUp(u64),
    /// Gets what happens as it happens.
    Live,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) connection: ConnectionId,
    pub(super) user: UserId,
    pub(super) name: Arc<str>,
    /// The facts version of the admission.
    pub(super) admitted: u64,
    pub(super) stage: Stage,
    pub(super) outbox: Arc<Outbox>,
    /// Room time at which it came in.
    pub(super) since: Timestamp,
    /// How far its player was ahead of the film when it last told its position, in milliseconds.
    pub(super) drift_ms: Option<i32>,
    /// Whether its player has said anything.
    pub(super) has_spoken: bool,
    /// Uptime of the last ping, if there was one.
    pinged: Option<u64>,
    /// Since when, in uptime, it has not taken what it was given while catching up.
    pub(super) waiting_since: u64,
}

impl Member {
    pub(super) fn new(joiner: &super::Joiner, next_seq: u64, now: Now) -> Self {
        Self {
            connection: joiner.connection,
            user: joiner.user,
            name: joiner.name.clone(),
            admitted: joiner.admitted,
            stage: Stage::CatchingUp(next_seq),
            outbox: joiner.outbox.clone(),
            since: now.room,
            drift_ms: None,
            has_spoken: false,
            pinged: None,
            waiting_since: now.up,
        }
    }

    fn ping(&mut self, up: u64) {
        self.pinged = Some(up);
        self.outbox.ping();
    }

    /// Pings whoever has just come in; `false` when he was pinged before.
    pub(super) fn ping_first(&mut self, up: u64) -> bool {
        let is_first = self.pinged.is_none();
        if is_first {
            self.ping(up);
        }
        is_first
    }
}

/// Whoever is left when a room ends (it failed inside) is told to come back.
impl Drop for Members {
    fn drop(&mut self) {
        for member in &self.all {
            member.outbox.close(Close::retry(close::LOST_PLACE, 500));
        }
    }
}

/// All connections, in one piece of memory: a delivery walks it from end to end.
#[derive(Debug, Default)]
pub(super) struct Members {
    all: Vec<Member>,
    places: HashMap<ConnectionId, usize>,
    /// When what is being told was told to all nodes, in milliseconds of uptime.
    since: u32,
    sent: Sent,
    /// How many connections each has.
    users: HashMap<UserId, u32>,
}

impl Members {
    /// Whether nobody is catching up.
    pub(super) fn all_live(&self) -> bool {
        self.all.iter().all(|member| member.stage == Stage::Live)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many people there are.
    pub(super) fn people(&self) -> usize {
        self.users.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.all.iter()
    }

    pub(super) fn get(&self, connection: ConnectionId) -> Option<&Member> {
        self.places.get(&connection).and_then(|place| self.all.get(*place))
    }

    pub(super) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut Member> {
        self.places.get(&connection).and_then(|place| self.all.get_mut(*place))
    }

    pub(super) fn of_user(&self, user: UserId) -> impl Iterator<Item = &Member> {
        self.all.iter().filter(move |member| member.user == user)
    }

    pub(super) fn add(&mut self, member: Member) {
        self.places.insert(member.connection, self.all.len());
        *self.users.entry(member.user).or_default() += 1;
        self.all.push(member);
    }

    pub(super) fn remove(&mut self, connection: ConnectionId) -> Option<Member> {
        let place = self.places.remove(&connection)?;
        let member = self.all.swap_remove(place);
        if let Entry::Occupied(mut connections) = self.users.entry(member.user) {
            *connections.get_mut() -= 1;
            if *connections.get() == 0 {
                connections.remove();
            }
        }
        if let Some(moved) = self.all.get(place) {
            self.places.insert(moved.connection, place);
        }
        Some(member)
    }

    /// What is told from now on was told to all nodes at this moment.
    pub(super) fn tell_since(&mut self, since: u32) {
        self.since = since;
    }

    /// What was told to how many.
    pub(super) fn sent(&self) -> &Sent {
        &self.sent
    }

    /// The same bytes to every member.
    pub(super) fn tell(&self, frame: &Bytes, kind: Kind) {
        self.sent.note(frame, self.all.len());
        for member in &self.all {
            member.outbox.push_since(frame.clone(), kind, self.since);
        }
    }

    /// The same to every member, instead of what of this kind still waits.
    pub(super) fn replace(&self, frame: &Bytes, kind: Kind) {
        self.sent.note(frame, self.all.len());
        for member in &self.all {
            member.outbox.replace(frame.clone(), kind);
        }
    }

    /// Chat, to those who have caught up; the others get it from the tail. Whose queue has no room for it now (a burst
    /// comes faster than anybody is scheduled) gets it from the tail too.
    pub(super) fn tell_live(&mut self, frame: &Bytes, seq: u64, up: u64) {
        let (mut told, mut deferred) = (0, 0);
        for member in self.all.iter_mut().filter(|member| member.stage == Stage::Live) {
            if member.outbox.push_chat(frame.clone(), self.since) {
                told += 1;
            } else {
                member.stage = Stage::CatchingUp(seq);
                member.waiting_since = up;
                deferred += 1;
            }
        }
        self.sent.note(frame, told);
        self.sent.note_deferred(deferred);
    }

    /// The node was paused: nobody was heard, and that says nothing about anybody.
    pub(super) fn spare(&mut self, up: u64) {
        for member in &mut self.all {
            member.outbox.heard(up);
            member.waiting_since = up;
        }
    }

    /// Pings whom it is time to ping and gives up whom nobody has heard for too long. Returns when to look again: when
    /// somebody would be given up, else after the usual time.
    pub(super) fn heartbeat(&mut self, up: u64) -> u64 {
        let mut next = up + HEARTBEAT_MS;
        for member in &mut self.all {
            let silent_at = member.outbox.last_heard() + SILENT_MS;
            if silent_at > up {
                next = next.min(silent_at.max(up + HEARTBEAT_SOON_MS));
            }
            if silent_at <= up {
                // Nobody reads there: what waits would only keep the close from being sent.
                let close = Close::retry(close::SILENT, 1_000);
                member.outbox.close(Close { after_queue: false, ..close });
            } else if member.stage != Stage::Live
                && up.saturating_sub(member.waiting_since.max(member.outbox.last_wrote())) >= STUCK_MS
            {
                let close = Close::retry(close::TOO_SLOW, 1_000);
                member.outbox.close(Close { after_queue: false, ..close });
            } else if member.pinged.is_none_or(|pinged| up.saturating_sub(pinged) >= PING_MS) {
                member.ping(up);
            }
        }
        next
    }

    /// How long 95 of 100 round trips to the members here take at most; `None` when none was measured.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let mut all: Vec<Duration> =
            self.all.iter().filter_map(|member| member.outbox.round_trip()).collect();
        let place = (all.len() * 95).div_ceil(100).checked_sub(1)?;
        Some(*all.select_nth_unstable(place).1)
    }
}
