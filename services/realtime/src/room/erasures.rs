//! Messages that were taken back.
//!
//! Erasures of a room are numbered. News of the next one is taken in; a number that is not the next shows that news was
//! missed, and what was erased since is asked for.

use bytes::{Bytes, BytesMut};
use streamit_wire::frame::server::Frame;
use streamit_wire::v1;

use super::Room;
use super::effect::{Away, Effect, Now};
use super::members::Member;
use crate::outbox::Kind;
use crate::ws;

impl Room {
    pub(super) fn on_erased(&mut self, erased: &v1::Erased, now: Now) {
        if erased.epoch != self.tail.epoch() {
            return;
        }
        // An api of an earlier release tells of one at a time, and not of how many there were.
        let all = if erased.tombstones.is_empty() { erased.tombstone.as_slice() } else { &erased.tombstones };
        let tombstones = all.to_vec();
        self.take_erased(tombstones, now);
        let known = self.tail.erasures();
        if erased.number == known + 1 {
            self.tail.set_erasures(erased.number);
        } else if erased.number > known {
            self.ask_for_erasures(known);
        }
    }

    /// The home's count of erasures, as the repair loop read it. A lower one is of a database that lost some.
    pub(super) fn compare_erasures(&mut self, home: u64) {
        let known = self.tail.erasures();
        if home != known {
            self.ask_for_erasures(if home < known { 0 } else { known });
        }
    }

    fn ask_for_erasures(&mut self, after: u64) {
        if !std::mem::replace(&mut self.is_reading_erasures, true) {
            self.effects.push(Effect::ReadErasures(after, self.tail.first()));
        }
    }

    pub(super) fn on_erasures(&mut self, result: Result<v1::ErasuresReply, Away>, now: Now) {
        self.is_reading_erasures = false;
        // One that failed is asked again when versions are compared next.
        let Ok(reply) = result else { return };
        if reply.epoch == self.tail.epoch() {
            self.take_erased(reply.tombstones, now);
            self.tail.set_erasures(reply.erasures);
        }
    }

    /// What of the tail was taken back, as it is told: once for all who come back together.
    pub(super) fn erased_frames(&self, is_wanted: bool) -> Vec<(u64, Bytes)> {
        let wanted = self.tail.erased().take(if is_wanted { usize::MAX } else { 0 });
        wanted.map(|seq| (seq, ws::text(&Frame::MessageErased { seq }.to_json()))).collect()
    }

    fn take_erased(&mut self, tombstones: Vec<v1::ChatMessage>, now: Now) {
        let head = self.tail.head();
        // What is not shown yet is shown as it is now.
        let (ahead, shown): (Vec<_>, Vec<_>) = tombstones.into_iter().partition(|message| message.seq > head);
        if !ahead.is_empty() {
            self.show(ahead, now);
        }
        let gone = shown.iter().filter(|tombstone| self.tail.erase(tombstone));
        let frames = gone.map(|tombstone| Frame::MessageErased { seq: tombstone.seq }.to_json()).collect();
        self.tell_all(frames);
    }
}

/// Tells somebody who comes back, and has all up to `since`, what of that was taken back. In one piece, since a queue holds
/// few frames.
pub(super) fn tell_erased_before(member: &Member, erased: &[(u64, Bytes)], since: u64) {
    let mut all = BytesMut::new();
    for (_, frame) in erased.iter().take_while(|(seq, _)| *seq <= since) {
        all.extend_from_slice(frame);
    }
    if !all.is_empty() {
        member.outbox.push(all.freeze(), Kind::Other);
    }
}
