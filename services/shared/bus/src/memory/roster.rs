//! A roster as values. The scripts beside [`crate::redis`] say the same in Lua; the suite holds both to it.

use std::collections::BTreeMap;

use streamit_domain::readiness::{Book, GaveUp, Readiness};
use streamit_domain::{Incarnation, Timestamp, UserId};

use crate::{BookChange, Entry, EntryKey, Present, Roster, RosterChange, RosterEntry};

/// Who is in one room.
#[derive(Debug, Default)]
pub(super) struct Members {
    version: u64,
    users: BTreeMap<UserId, Member>,
    entries: BTreeMap<EntryKey, RosterEntry>,
    book: Book,
}

#[derive(Debug)]
struct Member {
    /// How many entries are theirs.
    entries: usize,
    present: Present,
}

/// Who came and went while a roster was changed.
#[derive(Debug, Default)]
struct Moves {
    joined: Vec<(UserId, Present)>,
    left: Vec<(UserId, String)>,
}

impl Members {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn online(&self) -> u64 {
        self.users.len() as u64
    }

    pub(super) fn has(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    pub(super) fn enter(&mut self, entries: &[Entry], seen: u64, now: Timestamp) -> RosterChange {
        let mut moves = Moves::default();
        for entry in entries {
            if let Some(known) = self.entries.get_mut(&entry.key) {
                known.gone_at = None;
                continue;
            }
            self.entries.insert(entry.key, RosterEntry { user: entry.user, gone_at: None });
            if let Some(member) = self.users.get_mut(&entry.user) {
                member.entries += 1;
                continue;
            }
            let present = Present { name: entry.name.clone(), since: now };
            self.users.insert(entry.user, Member { entries: 1, present: present.clone() });
            moves.joined.push((entry.user, present));
        }
        self.finish(moves, seen, now)
    }

    pub(super) fn leave(&mut self, keys: &[EntryKey], seen: u64, now: Timestamp) -> RosterChange {
        let mut moves = Moves::default();
        for key in keys {
            self.remove(*key, &mut moves);
        }
        self.finish(moves, seen, now)
    }

    pub(super) fn mark_gone(&mut self, keys: &[(EntryKey, Timestamp)]) {
        for (key, until) in keys {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.gone_at = Some(*until);
            }
        }
    }

    pub(super) fn prune(&mut self, dead: &[Incarnation], seen: u64, now: Timestamp) -> RosterChange {
        let over: Vec<EntryKey> = self
            .entries
            .iter()
            // An entry that was told when it ends counts until then, whatever became of its node.
            .filter(|(key, entry)| {
                entry.gone_at.map_or_else(|| dead.contains(&key.incarnation), |until| until <= now)
            })
            .map(|(key, _)| *key)
            .collect();
        self.leave(&over, seen, now)
    }

    pub(super) fn snapshot(&self) -> Roster {
        Roster {
            version: self.version,
            users: self.users.iter().map(|(user, member)| (*user, member.present.clone())).collect(),
            entries: self.entries.clone(),
            book: self.book.clone(),
        }
    }

    /// The version of what people say of their players.
    pub(super) fn book_version(&self) -> u64 {
        self.book.version
    }

    pub(super) fn report_ready(
        &mut self,
        words: &[(UserId, Readiness)],
        gave_up: Option<GaveUp>,
        seen: u64,
        now: Timestamp,
    ) -> BookChange {
        let gave_up = gave_up.filter(|gave_up| self.book.learn_deadline(Some(*gave_up)));
        let is_news = |(user, word): &&(UserId, Readiness)| {
            self.users.contains_key(user) && self.book.learn(*user, word)
        };
        let words: Vec<_> = words.iter().filter(is_news).cloned().collect();
        let previous = self.book.version;
        if gave_up.is_some() || !words.is_empty() {
            let clock = if previous == 0 { u64::try_from(now.0).unwrap_or(0) } else { 0 };
            self.book.version = previous.max(seen).max(clock) + 1;
        }
        BookChange { previous, version: self.book.version, words, gave_up }
    }

    fn remove(&mut self, key: EntryKey, moves: &mut Moves) {
        let Some(entry) = self.entries.remove(&key) else { return };
        let Some(member) = self.users.get_mut(&entry.user) else { return };
        member.entries -= 1;
        if member.entries == 0
            && let Some(member) = self.users.remove(&entry.user)
        {
            self.book.people.remove(&entry.user);
            moves.left.push((entry.user, member.present.name));
        }
    }

    fn finish(&mut self, moves: Moves, seen: u64, now: Timestamp) -> RosterChange {
        let previous = self.version;
        if !(moves.joined.is_empty() && moves.left.is_empty()) {
            // A roster that starts anew starts above every version that anybody can have seen of the one before.
            let clock = if previous == 0 { u64::try_from(now.0).unwrap_or(0) } else { 0 };
            self.version = previous.max(seen).max(clock) + 1;
        }
        RosterChange {
            previous,
            version: self.version,
            joined: moves.joined,
            left: moves.left,
            online: self.online(),
        }
    }
}
