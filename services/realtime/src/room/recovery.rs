//! A roster that can't be relied on, and how this node's part of it is put right.
//!
//! The store may come back without a roster, a node may find its members removed because others held it dead, and a
//! node that was paused begins a new life. In each case nodes enter their members again, every one at its own moment,
//! so for a short while the roster holds fewer people than there are. During that recovery whoever was known stays
//! and nobody is told as gone. When it is over, the roster is read once more, and the difference is what members are
//! told.

use std::collections::HashSet;

use streamit_bus::{Entry, EntryKey, Error, LiveVersions, Roster, RosterChange};
use streamit_domain::playback::Command;
use streamit_domain::{ConnectionId, Incarnation};

use super::effect::{Effect, Now};
use super::happened::What;
use super::presence::RETRY_MS;
use super::{GRACE_MS, MAX_LIVES, Room};

/// How long a recovery takes, in milliseconds: time for every node to notice, and to enter its members again.
pub(super) const RECOVERY_MS: u64 = 2_000;

/// How far a recovery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Until this uptime nodes may enter their members again.
    Until(u64),
    /// The roster is being read, and this time it counts.
    Reading,
}

impl Room {
    /// What the store has of this room, compared with what is known here.
    pub(super) fn on_live(&mut self, live: LiveVersions, now: Now) {
        self.longest_round_trip = live.round_trip;
        if self.must_reenter {
            self.reenter(now);
        } else if live.roster != self.roster_version || live.book != self.book_version() {
            self.tally.reloaded_roster += 1;
            self.ask_for_roster();
        } else if self.must_inherit {
            self.ask_for_roster();
        }
        if live.playback.is_some_and(|version| version > self.playback.version) {
            self.tally.reloaded_playback += 1;
            self.ask_for_playback();
        } else {
            self.put_back(live.playback, now);
        }
    }

    /// Whether a change, which follows on nothing, means that the store has lost the roster known here.
    pub(super) fn is_loss(&self, change: &RosterChange) -> bool {
        // News of a change may be faster than its answer: what is known already was not lost.
        let is_known = change.version != 0 && change.version <= self.roster_version;
        change.previous == 0 && self.roster_version != 0 && !is_known
    }

    /// Whether a roster has everybody who is connected here.
    pub(super) fn has_all(&self, roster: &Roster) -> bool {
        self.members.iter().all(|member| roster.entries.contains_key(&self.key(member.connection)))
    }

    fn recover(&mut self, now: Now) {
        if self.recovery.is_none() {
            self.note(What::Recovering, self.roster_version, None);
        }
        self.recovery = Some(Recovery::Until(now.up + RECOVERY_MS));
    }

    /// Enters everybody who is connected here again. Harmless for those who are still entered.
    pub(super) fn reenter(&mut self, now: Now) {
        self.recover(now);
        self.must_reenter = false;
        self.say_again();
        if self.is_reentering || self.members.is_empty() {
            return;
        }
        let entries = self.members.iter().map(|member| Entry {
            key: self.key(member.connection),
            user: member.user,
            name: member.name.to_string(),
        });
        let entries = entries.collect();
        self.is_reentering = true;
        self.effects.push(Effect::Reenter(entries, self.roster_version));
    }

    pub(super) fn on_reentered(&mut self, result: Result<(RosterChange, Roster), Error>, now: Now) {
        self.is_reentering = false;
        let Ok((change, roster)) = result else {
            self.must_reenter = true;
            return;
        };
        if self.is_loss(&change) {
            self.recover(now); // the others have yet to notice
        }
        if !self.has_all(&roster) {
            self.reenter(now); // somebody came in meanwhile under a life that has ended
        }
        self.adopt(&roster, now);
        self.take_out_own(&roster, now);
    }

    /// Takes out of the roster what this node has left there: entries of its former lives once the members behind them
    /// are entered anew, and what a call put in that seemed to have failed.
    pub(super) fn take_out_own(&mut self, roster: &Roster, now: Now) {
        let expected: HashSet<EntryKey> = self.leaving.iter().map(|(_, key)| *key).collect();
        // Connections are numbered as they come in. One from before the first that was here is of a room that was here
        // before, which still sees it out, unless it failed.
        let is_of_this = |key: &EntryKey| self.first.is_some_and(|first| key.connection >= first);
        let lives = self.former.iter().chain([&self.setup.incarnation]);
        let own = lives.flat_map(|life| roster.entries.range(entries_of(*life))).map(|(key, _)| *key);
        let stray = own.filter(|key| {
            let is_due = match self.members.get(key.connection) {
                Some(_) => {
                    *key != self.key(key.connection) && roster.entries.contains_key(&self.key(key.connection))
                }
                None => (is_of_this(key) || self.is_heir) && !self.entering.contains_key(&key.connection),
            };
            is_due && !expected.contains(key)
        });
        // Whom the failed room put out has time to be back.
        let due = |key: &EntryKey| if is_of_this(key) { now.up } else { now.up + GRACE_MS };
        let stray: Vec<_> = stray.map(|key| (due(&key), key)).collect();
        let ghosts = stray.iter().filter(|(_, key)| self.members.get(key.connection).is_none()).count();
        self.tally.ghosts += ghosts as u64;
        self.leaving.extend(stray);
        self.must_inherit = false;
    }

    /// The room that was here before has failed, and sees nobody out any more.
    pub(super) fn inherit(&mut self) {
        self.is_heir = true;
        self.must_inherit = true;
        self.ask_for_roster();
    }

    pub(super) fn recovery_due(&self) -> Option<u64> {
        match self.recovery {
            Some(Recovery::Until(due)) => Some(due),
            _ => None,
        }
    }

    /// The time for others to enter their members is over: the roster is read, and counts.
    pub(super) fn end_recovery(&mut self, now: Now) {
        if self.recovery_due().is_some_and(|due| due <= now.up) {
            self.recovery = Some(Recovery::Reading);
            self.ask_for_roster();
        }
    }

    pub(super) fn on_roster(&mut self, asked_at: u64, result: Result<Roster, Error>, now: Now) {
        self.is_reading_roster = false;
        let is_overtaken = std::mem::take(&mut self.is_roster_overtaken);
        let again = std::mem::take(&mut self.must_read_roster);
        if again {
            self.ask_for_roster();
        }
        let is_last = !again && self.recovery == Some(Recovery::Reading);
        let sound = result.ok().filter(|roster| {
            // Who came in while it was read may be missing, which says nothing.
            !is_overtaken || self.has_all(roster)
        });
        let Some(roster) = sound else {
            if is_last {
                self.recovery = Some(Recovery::Until(now.up + RETRY_MS));
            }
            return;
        };
        let is_lost = roster.version < asked_at || !self.has_all(&roster);
        if is_lost && !(is_last && self.members.is_empty()) {
            self.reenter(now);
            return;
        }
        if is_last && !is_lost && roster.version < self.roster_version {
            self.ask_for_roster(); // who went since then was not told
            return;
        }
        if is_last {
            self.recovery = None;
        }
        self.adopt(&roster, now);
        if is_last {
            self.look_for_lost_host();
        }
        self.take_out_own(&roster, now);
        if is_last && roster.users.is_empty() {
            self.pause_if_empty(now);
        }
    }

    /// Pauses where the film is if nobody is here. That nobody is in the roster says little during a recovery.
    pub(super) fn pause_if_empty(&mut self, now: Now) {
        if self.playback.is_playing && self.members.is_empty() && self.recovery.is_none() {
            self.command_of_house(Command::Pause(None), now);
        }
    }

    /// The node was paused, and begins a new life: what it knew is old, and others may have held it dead.
    pub(super) fn on_reborn(&mut self, incarnation: Incarnation, now: Now) {
        let former = std::mem::replace(&mut self.setup.incarnation, incarnation);
        if former != incarnation {
            self.former.push(former);
            if self.former.len() > MAX_LIVES {
                self.former.remove(0); // its lease has run out long ago: others take out what it left
            }
        }
        self.note(What::Reborn, 0, None);
        self.members.spare(now.up);
        self.must_confirm_facts = true;
        self.must_confirm_playback = true;
        // Under the new life before the entries of the old one go: so nobody is missed, and nobody counts twice.
        self.reenter(now);
        self.ask_for_everything();
    }
}

fn entries_of(incarnation: Incarnation) -> std::ops::RangeInclusive<EntryKey> {
    let at = |connection| EntryKey { incarnation, connection: ConnectionId(connection) };
    at(0)..=at(u64::MAX)
}
