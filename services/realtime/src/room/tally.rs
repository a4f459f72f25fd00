//! What is counted in a room, for metrics.
//!
//! The room knows no instruments: it counts here, and whoever feeds it takes the counts out after each input
//! ([`Room::take_tally`]) and adds them to the node's.

use std::cell::Cell;

use bytes::Bytes;
use streamit_wire::frame::server;

use super::Room;
use super::tail::Resume;
use crate::traffic::Traffic;
use crate::ws;

/// What happened in a room since the last look.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    /// Who came in with no word of where he was.
    pub joined_first: u64,
    /// Who came in, and had exactly what he missed.
    pub joined_resumed: u64,
    /// Who came in and asked for what could not be had: he was given the last messages, like a new one.
    pub joined_afresh: u64,
    /// Holes in the chat that were seen.
    pub gaps_found: u64,
    /// Holes that were filled.
    pub gaps_filled: u64,
    /// A comparison found other facts at home, and they were read again.
    pub reloaded_facts: u64,
    /// The same with chat.
    pub reloaded_chat: u64,
    /// The same with playback.
    pub reloaded_playback: u64,
    /// The same with the roster.
    pub reloaded_roster: u64,
    /// People whom this node took out of the roster because their node is dead.
    pub pruned: u64,
    /// Entries of this node in the roster that no connection has.
    pub ghosts: u64,
    /// How far players were from the film, in seconds, whichever way: one for each that told where it is.
    pub drifts: Vec<f64>,
}

/// What was told to how many, by type.
#[derive(Debug, Default)]
pub struct Sent {
    kinds: [Cell<u64>; server::KINDS.len()],
    deferred: Cell<u64>,
}

impl Sent {
    /// These frames, one or several in one piece, were given to so many.
    pub(super) fn note(&self, frames: &Bytes, members: usize) {
        for kind in ws::jsons(frames).filter_map(server::kind_of) {
            let count = &self.kinds[kind];
            count.set(count.get() + members as u64);
        }
    }

    /// So many members get a message from the tail later.
    pub(super) fn note_deferred(&self, members: u64) {
        self.deferred.set(self.deferred.get() + members);
    }

    /// Takes the counts out.
    pub fn add_to(&self, traffic: &Traffic) {
        for (count, kind) in self.kinds.iter().zip(server::KINDS) {
            if count.get() > 0 {
                traffic.sent(kind, count.take());
            }
        }
        if self.deferred.get() > 0 {
            traffic.deferred(self.deferred.take());
        }
    }
}

impl Tally {
    /// Somebody came in. `given` is what he was given if he told up to where he has everything.
    pub(super) fn note_join(&mut self, has_asked: bool, given: Option<&Resume>) {
        match given {
            _ if !has_asked => self.joined_first += 1,
            Some(Resume::From(_)) => self.joined_resumed += 1,
            _ => self.joined_afresh += 1,
        }
    }

    /// Whether there is a hole in the chat now, and whether there was one before.
    pub(super) fn note_gap(&mut self, before: bool, now: bool) {
        self.gaps_found += u64::from(!before && now);
        self.gaps_filled += u64::from(before && !now);
    }
}

impl Room {
    /// What was told to how many.
    #[must_use]
    pub fn sent(&self) -> &Sent {
        self.members.sent()
    }

    /// What was counted since this was asked last.
    #[must_use]
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_in_had_nothing_to_resume_or_got_it_or_did_not() {
        let mut tally = Tally::default();
        tally.note_join(false, None);
        tally.note_join(true, Some(&Resume::From(7)));
        tally.note_join(true, Some(&Resume::Last));
        tally.note_join(true, None); // told a number that is none
        assert_eq!((tally.joined_first, tally.joined_resumed, tally.joined_afresh), (1, 1, 2));
    }

    #[test]
    fn a_hole_is_found_once_and_filled_once() {
        let mut tally = Tally::default();
        for (before, now) in [(false, false), (false, true), (true, true), (true, false)] {
            tally.note_gap(before, now);
        }
        assert_eq!((tally.gaps_found, tally.gaps_filled), (1, 1));
    }
}
