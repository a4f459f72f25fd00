//! What an operator sees of a room: the node's answer to whoever looks into it.

use streamit_domain::rate::Rate;
use streamit_domain::{ConnectionId, MediaTime, RoomId, Timestamp, UserId};
use streamit_wire::v1;

use super::Room;
use super::effect::{Effect, Now};
use super::members::{Member, Stage};
use crate::outbox::Outbox;

/// Connections that are told of; of more, those that are worst off.
pub(super) const MOST: usize = 500;
/// An answer costs a walk over the room: what is asked faster than anybody can look at it is not answered.
const INSPECTIONS: Rate = Rate::per_second(10, 10);

/// One connection, as far as it takes to see how it is.
struct Seen<'a> {
    connection: ConnectionId,
    user: UserId,
    name: &'a str,
    since: Option<Timestamp>,
    admitted: u64,
    stage: v1::Stage,
    drift_ms: Option<i32>,
    outbox: &'a Outbox,
    waiting: (usize, usize),
    lag: u64,
}

impl<'a> Seen<'a> {
    fn member(member: &'a Member, head: u64) -> Self {
        let (stage, lag) = match member.stage {
            Stage::Live => (v1::Stage::Live, 0),
            Stage::CatchingUp(next) => (v1::Stage::CatchingUp, (head + 1).saturating_sub(next)),
        };
        Self {
            connection: member.connection,
            user: member.user,
            name: &member.name,
            since: Some(member.since),
            admitted: member.admitted,
            stage,
            drift_ms: member.drift_ms,
            outbox: &member.outbox,
            waiting: member.outbox.waiting(),
            lag,
        }
    }

    fn joiner(joiner: &'a super::Joiner) -> Self {
        Self {
            connection: joiner.connection,
            user: joiner.user,
            name: &joiner.name,
            since: None,
            admitted: joiner.admitted,
            stage: v1::Stage::Joining,
            drift_ms: None,
            outbox: &joiner.outbox,
            waiting: joiner.outbox.waiting(),
            lag: 0,
        }
    }

    /// How badly off it is: a frame or a KiB that waits, a message that it lacks, and a tenth of a second of drift or of
    /// round trip count alike.
    fn trouble(&self) -> u64 {
        let (frames, bytes) = self.waiting;
        let round_trip = self.outbox.round_trip().map_or(0, |took| took.as_millis() as u64 / 100);
        let drift = u64::from(self.drift_ms.unwrap_or(0).unsigned_abs()) / 100;
        frames as u64 + bytes as u64 / 1_024 + self.lag + drift + round_trip
    }

    fn told(&self) -> v1::InspectedMember {
        let round_trip = self.outbox.round_trip().and_then(|took| u64::try_from(took.as_micros()).ok());
        v1::InspectedMember {
            user: self.user.as_bytes().to_vec(),
            name: self.name.to_owned(),
            connection: self.connection.0,
            since: self.since.map_or(0, |since| since.0),
            admitted: self.admitted,
            stage: self.stage as i32,
            round_trip_us: round_trip,
            drift_ms: self.drift_ms.map(i64::from),
            frames: u32::try_from(self.waiting.0).unwrap_or(u32::MAX),
            bytes: self.waiting.1 as u64,
            chat_lag: self.lag,
        }
    }
}

impl Room {
    /// Somebody wants to see how this room is.
    pub(super) fn on_inspect(&mut self, wanted: &v1::Inspect, now: Now) {
        let Ok(reply_to) = RoomId::from_slice(&wanted.reply_to) else { return };
        if self.inspections.take(INSPECTIONS, now.up as i64 * 1_000).is_ok() {
            self.effects.push(Effect::Inspected(reply_to, Box::new(self.inspected())));
        }
    }

    fn inspected(&self) -> v1::Inspected {
        let head = self.tail.head();
        let members = self.members.iter().map(|member| Seen::member(member, head));
        let joiners = self.doorstep.iter().chain(&self.entering_next).map(Seen::joiner);
        let mut all: Vec<(u64, Seen<'_>)> =
            members.chain(joiners).map(|seen| (u64::MAX - seen.trouble(), seen)).collect();
        let connections = (all.len() + self.entering.len()) as u64;
        if all.len() > MOST {
            all.select_nth_unstable_by_key(MOST, |(ease, seen)| (*ease, seen.connection));
            all.truncate(MOST);
        }
        all.sort_unstable_by_key(|(ease, seen)| (*ease, seen.connection));
        v1::Inspected {
            node: self.setup.node.to_string(),
            incarnation: self.setup.incarnation.as_bytes().to_vec(),
            epoch: self.facts.epoch,
            facts_version: self.facts.version,
            chat_head: head,
            roster_version: self.roster_version,
            playback: Some((&self.playback).into()),
            connections,
            members: all.iter().map(|(_, seen)| seen.told()).collect(),
            events: self.log.told(),
        }
    }

    /// A player told where it is: how far that is from where the film is.
    pub(super) fn note_drift(&mut self, connection: ConnectionId, position: MediaTime, now: Now) {
        let drift = self.playback.drift(position, now.room);
        self.tally.drifts.push(drift.abs());
        let drift = drift * 1_000.0;
        if let Some(member) = self.members.get_mut(connection) {
            #[expect(clippy::cast_possible_truncation, reason = "a cast from a float stops at the ends")]
            let drift_ms = drift.round() as i32;
            member.drift_ms = Some(drift_ms);
        }
    }
}
