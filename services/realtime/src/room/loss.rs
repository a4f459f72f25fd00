//! A home that knows less than was seen here has lost something.
//!
//! A database that was restored from a backup gives numbers out again that were given out before, so that two messages,
//! or two sets of facts, bear the same one. Nothing that is known here can be relied on then: the api is told what was
//! seen, and begins a new epoch if less than that is stored. Everybody is put out, and resumes against the truth, in a
//! room that is read anew. An answer that is merely late looks the same from here; the api knows better, and does
//! nothing.

use streamit_wire::code::close;
use streamit_wire::{Code, v1};

use super::effect::{Effect, Input, Now};
use super::join::OVER_RETRY_MS;
use super::{GRACE_MS, Room};
use crate::outbox::Close;

/// How much longer than the one before each member of a room that begins anew is told to stay away, so that they do
/// not all come back at once, in milliseconds.
const APART_MS: u64 = 3;
/// By how much rooms that begin anew at the same moment differ, in milliseconds.
const ROOMS_APART_MS: u64 = 2_000;
/// The longest the members of one room are spread over, in milliseconds.
const LONGEST_MS: u64 = 10_000;

impl Room {
    /// Whether the home's word, of this epoch or an earlier one, is less than what was seen here.
    pub(super) fn is_behind(&self, epoch: u64, facts_version: u64, fence: u64) -> bool {
        let is_less = facts_version < self.facts.version || fence < self.fence_seen();
        epoch < self.facts.epoch || (epoch == self.facts.epoch && is_less)
    }

    /// What the repair loop read is compared with what was seen.
    pub(super) fn look_for_loss(&mut self, home: &v1::RoomVersions) {
        // An api of an earlier release does not tell the fence.
        let fence = if home.fence == 0 { u64::MAX } else { home.fence };
        let is_chat_less = home.epoch == self.facts.epoch && home.chat_head < self.tail.last_seen().0;
        if is_chat_less || self.is_behind(home.epoch, home.facts_version, fence) {
            self.report_loss();
        }
    }

    /// Tells the api what was seen here.
    pub(super) fn report_loss(&mut self) {
        if self.tail.epoch() != self.facts.epoch {
            return; // a new epoch has begun already, and this room is over
        }
        // By the time it hears of it the api may have as many messages as were seen, and the last of them may be the same:
        // one whose number another message has now is what shows the loss.
        let (chat_head, chat_at) = self.overwritten.unwrap_or_else(|| self.tail.last_seen());
        self.effects.push(Effect::ReportLoss(v1::Seen {
            room: self.setup.room.as_bytes().to_vec(),
            epoch: self.facts.epoch,
            facts_version: self.facts.version,
            chat_head,
            chat_at,
            fence: self.fence_seen(),
        }));
    }

    /// The highest fence that is known to have been given out.
    fn fence_seen(&self) -> u64 {
        self.facts.fence.max(self.playback.version.fence).max(self.fence_told)
    }

    /// Messages are lost if one of these bears a number under which another was shown. Tells whether that is so.
    pub(super) fn check_numbers(&mut self, messages: &[v1::ChatMessage]) -> bool {
        let contradicts = |message: &v1::ChatMessage| Some((message.seq, self.tail.contradicts(message)?));
        let overwritten = messages.iter().find_map(contradicts);
        if overwritten.is_some() {
            self.overwritten = overwritten;
            self.report_loss();
        }
        overwritten.is_some()
    }

    /// What was shown here can't be gone on from: everybody comes back, in turn, and resumes against the truth.
    pub(super) fn lose_place(&mut self, now: Now) {
        self.put_all_out(now, |hint| Close::retry(close::LOST_PLACE, hint));
    }

    /// The home knows no such room.
    pub(super) fn vanish(&mut self, now: Now) {
        let code = Code::RoomNotFound;
        self.put_all_out(now, |_| Close::new(code.close(), code.as_str()));
    }

    fn put_all_out(&mut self, now: Now, close: impl Fn(u64) -> Close) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        // The database may have lost where the film stands, too. The store has not.
        if self.is_stored {
            self.effects.push(Effect::SavePlayback(self.playback));
        }
        self.open_the_door(None);
        let all: Vec<_> = self.members.iter().map(|m| (m.connection, m.outbox.clone())).collect();
        let apart = APART_MS.min(LONGEST_MS / (all.len() as u64 + 1));
        // Ids end in random bits.
        let id = self.setup.room.as_bytes();
        let first = OVER_RETRY_MS + u64::from(u16::from_be_bytes([id[14], id[15]])) % ROOMS_APART_MS;
        for (i, (connection, outbox)) in (0..).zip(all) {
            let hint = first + i * apart;
            outbox.close(close(hint));
            self.members.remove(connection);
            self.leaving.push((now.up + hint + GRACE_MS, self.key(connection)));
        }
    }

    /// Whether a room that is over still takes this: it sees out who was in it, and what it has begun. All else is for
    /// the room that is opened anew, maybe on this very node: what is entered there is no stray of this one.
    pub(super) fn is_for_the_end(input: &Input) -> bool {
        matches!(
            input,
            Input::Join(_)
                | Input::Gone(..)
                | Input::Entered(..)
                | Input::Left(..)
                | Input::Facts(_)
                | Input::Appended(..)
                | Input::PlaybackSet(..)
                | Input::PlaybackRead(_)
                | Input::Tick
        )
    }
}
