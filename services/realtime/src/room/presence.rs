//! Who comes and goes.
//!
//! The roster in the shared store decides who is present; this node keeps a copy and tells its members how it
//! changes. Changes carry the version before and after, so a missed one shows, and the roster is read again: the
//! difference is what members are told.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use streamit_bus::{EntryKey, Error, Present, Roster, RosterChange};
use streamit_domain::{ConnectionId, Incarnation, UserId};
use streamit_wire::frame::server::{Frame, RoomUpdated, TELL_EACH};
use streamit_wire::v1;

use super::effect::{Effect, Gone, Now};
use super::happened::What;
use super::{GRACE_MS, Room};

/// How long to wait before a removal that failed is tried again, in milliseconds.
pub(super) const RETRY_MS: u64 = 1_000;

impl Room {
    pub(super) fn on_gone(&mut self, connection: ConnectionId, how: Gone, now: Now) {
        if let Some(ended) = self.entering.get_mut(&connection) {
            *ended = Some(how);
            return;
        }
        self.doorstep.retain(|joiner| joiner.connection != connection);
        self.entering_next.retain(|joiner| joiner.connection != connection);
        let Some(member) = self.members.remove(connection) else { return };
        self.note_gone(connection.0, member.user, how);
        let key = self.key(connection);
        match how {
            Gone::Now => self.leaving.push((now.up, key)),
            Gone::Grace => self.leaving.push((now.up + GRACE_MS, key)),
            Gone::At(moment) => {
                self.effects.push(Effect::MarkGone(vec![(key, moment)]));
                let wait = u64::try_from(moment.since(now.room).as_millis()).unwrap_or(u64::MAX);
                self.leaving.push((now.up.saturating_add(wait), key));
            }
        }
    }

    /// Removes the entries whose time has come, with one call for all of them.
    pub(super) fn leave_due(&mut self, now: Now) {
        // What is being entered again might come after its removal, and stay.
        if self.is_leaving || self.is_reentering || !self.leaving.iter().any(|(due, _)| *due <= now.up) {
            return;
        }
        let keys = self.leaving.extract_if(.., |(due, _)| *due <= now.up).map(|(_, key)| key).collect();
        self.is_leaving = true;
        self.effects.push(Effect::Leave(keys, self.roster_version));
    }

    pub(super) fn on_left(&mut self, keys: Vec<EntryKey>, result: Result<RosterChange, Error>, now: Now) {
        self.is_leaving = false;
        match result {
            Ok(change) => self.after_removal(&change, now),
            Err(_) => self.leaving.extend(keys.into_iter().map(|key| (now.up + RETRY_MS, key))),
        }
    }

    pub(super) fn on_dead(&mut self, incarnations: Arc<[Incarnation]>) {
        if !self.is_pruning {
            self.is_pruning = true;
            self.effects.push(Effect::Prune(incarnations, self.roster_version));
        }
    }

    pub(super) fn on_pruned(&mut self, result: Result<RosterChange, Error>, now: Now) {
        self.is_pruning = false;
        if let Ok(change) = result {
            self.tally.pruned += change.left.len() as u64;
            self.after_removal(&change, now);
        }
    }

    /// A removal that this node made: what follows from it is this node's to do.
    fn after_removal(&mut self, change: &RosterChange, now: Now) {
        self.apply(change, now);
        if self.is_loss(change) && change.version == 0 {
            self.reenter(now); // nobody is in it because it is gone
        }
        // Also when it changed nothing: an earlier try may have, whose answer was lost.
        if change.online == 0 {
            self.pause_if_empty(now);
        }
    }

    /// Takes in a change, from the bus or from a call of this node: whichever comes first.
    pub(super) fn apply(&mut self, change: &RosterChange, now: Now) {
        if change.version <= self.roster_version {
            return;
        }
        let is_loss = self.is_loss(change);
        if change.previous != self.roster_version && !is_loss {
            self.ask_for_roster();
            return;
        }
        self.roster_version = change.version;
        let mut went: Vec<UserId> = change.left.iter().map(|(user, _)| *user).collect();
        // Somebody held this node dead, and was wrong: who is connected here is here.
        let is_wrong = went.iter().any(|user| self.members.of_user(*user).next().is_some());
        if is_loss || is_wrong {
            self.reenter(now);
        }
        if self.recovery.is_some() {
            went.clear();
        }
        self.change_users(change.joined.clone(), went, now);
    }

    /// Takes in the roster as it was just read, unless what is known here is newer. During a recovery whoever was known
    /// stays.
    pub(super) fn adopt(&mut self, roster: &Roster, now: Now) {
        self.adopt_book(&roster.book);
        if roster.version < self.roster_version {
            return;
        }
        self.roster_version = roster.version;
        let mut users = roster.users.clone();
        if self.recovery.is_some() {
            for (user, present) in &self.users {
                users.entry(*user).or_insert_with(|| present.clone());
            }
        }
        self.replace_users(users, now);
    }

    pub(super) fn ask_for_roster(&mut self) {
        if self.is_reading_roster {
            // What is being read may be older than what was just heard.
            self.must_read_roster = true;
            return;
        }
        self.is_reading_roster = true;
        self.is_roster_overtaken = false;
        self.effects.push(Effect::ReadRoster(self.roster_version));
    }

    /// Makes `users` those who are present; the difference is what members are told.
    pub(super) fn replace_users(&mut self, users: BTreeMap<UserId, Present>, now: Now) {
        let went = self.users.keys().filter(|user| !users.contains_key(user)).copied().collect();
        let came = users.into_iter().filter(|(user, _)| !self.users.contains_key(user)).collect();
        self.change_users(came, went, now);
    }

    fn change_users(&mut self, came: Vec<(UserId, Present)>, went: Vec<UserId>, now: Now) {
        let was_host_here = self.users.contains_key(&self.facts.host);
        let went: Vec<(UserId, Present)> =
            went.into_iter().filter_map(|user| self.users.remove_entry(&user)).collect();
        self.watch_users(&went, now);
        for (user, _) in &went {
            self.note(What::Left, self.roster_version, Some(*user));
        }
        let (before, after) = (self.online() + went.len() as u64, self.online() + came.len() as u64);
        let one_by_one = before.max(after) <= TELL_EACH;
        let is_change = !came.is_empty() || !went.is_empty();
        let is_lost_host_back =
            self.facts.lost_host.is_some_and(|lost| came.iter().any(|(user, _)| *user == lost));
        self.is_count_due |= is_change && !one_by_one;
        // Who was told a count only and is told each from now on needs to know where that starts.
        self.list_due |= is_change && !one_by_one && after <= TELL_EACH;
        if one_by_one {
            let left =
                went.iter().map(|(user, present)| Frame::UserLeft { user: &present.name, user_id: *user });
            let new = came.iter().filter(|(user, _)| !self.users.contains_key(user));
            let joined = new.map(|(user, present)| Frame::UserJoined { user: &present.name, user_id: *user });
            let frames = left.chain(joined).map(|frame| frame.to_json()).collect();
            self.add_users(came);
            self.tell_all(frames);
        } else {
            self.add_users(came);
        }
        self.look_for_host(was_host_here);
        if is_lost_host_back {
            self.look_for_lost_host();
        }
        if self.is_count_due && self.count_told + super::COUNT_MS <= now.up {
            self.tell_count(now);
        }
    }

    /// Whoever is known came when he came: that he is entered again after a loss makes nobody a newcomer.
    fn add_users(&mut self, came: Vec<(UserId, Present)>) {
        for (user, present) in came {
            if let Entry::Vacant(free) = self.users.entry(user) {
                free.insert(present);
                self.note(What::Joined, self.roster_version, Some(user));
            }
        }
    }

    pub(super) fn tell_count(&mut self, now: Now) {
        self.is_count_due = false;
        self.count_told = now.up;
        self.tell(&Frame::RoomUpdated(RoomUpdated { online: Some(self.online()), ..RoomUpdated::default() }));
    }

    /// Tells the members when the host went or came back. A host who has not come yet is not away.
    fn look_for_host(&mut self, was_here: bool) {
        let is_here = self.users.contains_key(&self.facts.host);
        if is_here && (self.is_host_away || self.facts.host_deadline.is_some()) {
            self.report_back(self.facts.host);
        }
        if is_here && self.is_host_away {
            self.is_host_away = false;
            self.note(What::HostBack, self.roster_version, Some(self.facts.host));
            self.tell(&Frame::HostReconnected);
        } else if was_here && !is_here && !self.is_host_away {
            self.is_host_away = true;
            self.note(What::HostAway, self.roster_version, Some(self.facts.host));
            // Each node that sees it says so: the api takes the first word, and no answer that was lost loses it.
            self.report_host(self.facts.host, false);
            let grace_seconds = self.facts.settings.host_grace_seconds;
            self.tell(&Frame::HostDisconnected { grace_seconds });
        }
    }

    /// Somebody became host who may not be here: then nobody will ever see him go, so he is away from now on.
    pub(super) fn look_for_new_host(&mut self) {
        self.is_host_away &= self.users.contains_key(&self.facts.host);
        self.look_for_host(true);
    }

    /// Tells the api if the one is here to whom the room goes back; nobody hears of it before it has.
    pub(super) fn look_for_lost_host(&mut self) {
        if let Some(lost) = self.facts.lost_host.filter(|lost| self.users.contains_key(lost)) {
            self.report_back(lost);
        }
    }

    /// Tells the api that the host is here, or the one to whom the room goes back. Who is kept during a recovery may be
    /// gone, and was then not in the roster at this version: that he is here is told when it is over.
    pub(super) fn report_back(&mut self, host: UserId) {
        if self.recovery.is_none() {
            self.report_host(host, true);
        }
    }

    /// Tells the api; it keeps the deadline.
    fn report_host(&mut self, host: UserId, is_back: bool) {
        self.effects.push(Effect::ReportHost(v1::HostReport {
            room: self.setup.room.as_bytes().to_vec(),
            host: host.as_bytes().to_vec(),
            fence: self.facts.fence,
            roster_version: self.roster_version,
            is_back,
        }));
    }
}
