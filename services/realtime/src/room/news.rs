//! What the room hears: facts, messages, versions.
//!
//! An event is only the word that a version has moved. Whatever it says is taken in if it follows on what is known
//! here, and asked for otherwise; the repair loop's comparison finds what no event told.

use streamit_bus::{LiveVersions, Notice};
use streamit_domain::room::{Change, Facts, Life, Standing};
use streamit_domain::{Playback, UserId};
use streamit_wire::frame::server::{Frame, RoomUpdated, Watched};
use streamit_wire::{Code, v1};

use super::effect::{Away, Effect, Gone, Now};
use super::happened::What;
use super::join::removal;
use super::{GAP_MS, Room};
use crate::outbox::{Close, Kind};
use crate::ws;

impl Room {
    pub(super) fn on_notice(&mut self, notice: Notice, now: Now) {
        match notice {
            Notice::Roster(change) => self.apply(&change, now),
            Notice::Book(change) => self.on_book(&change),
            Notice::Lost => self.ask_for_everything(),
            Notice::Renewed => {} // all rooms are being compared
            Notice::Event(event) => match &event.kind {
                Some(v1::event::Kind::Playback(state)) => {
                    if let Ok(state) = Playback::try_from(state) {
                        self.show_playback(state, now);
                    }
                }
                Some(v1::event::Kind::Facts(facts)) => self.take_facts(facts, now),
                Some(v1::event::Kind::Chat(chat)) if chat.epoch == self.tail.epoch() => {
                    self.show(chat.messages.clone(), now);
                }
                Some(v1::event::Kind::Chat(_)) => self.ask_for_facts(),
                Some(v1::event::Kind::Erased(erased)) => self.on_erased(erased, now),
                Some(v1::event::Kind::Inspect(wanted)) => self.on_inspect(wanted, now),
                // Revocations concern connections, not rooms; unknown news is a newer release's.
                _ => {}
            },
        }
    }

    /// News may have been missed: compare everything.
    pub(super) fn ask_for_everything(&mut self) {
        self.ask_for_facts();
        self.ask_for_history(self.tail.head(), 0);
        self.ask_for_roster();
        self.ask_for_playback();
    }

    pub(super) fn on_versions(
        &mut self,
        live: Option<LiveVersions>,
        home: Option<&v1::RoomVersions>,
        now: Now,
    ) {
        if let Some(live) = live {
            self.on_live(live, now);
        }
        if let Some(home) = home {
            if home.room.is_empty()
                || home.epoch > self.facts.epoch
                || (home.epoch == self.facts.epoch && home.facts_version > self.facts.version)
            {
                self.tally.reloaded_facts += 1;
                self.ask_for_facts(); // they say whether there is such a room, too
            }
            if !home.room.is_empty() {
                self.look_for_loss(home);
            }
            if home.chat_head > self.tail.head() {
                self.tally.reloaded_chat += 1;
                self.ask_for_history(self.tail.head(), 0);
            }
            if !home.room.is_empty() && home.epoch == self.tail.epoch() {
                self.compare_erasures(home.erasures);
                self.tail.kept_from(home.kept_from);
            }
        }
    }

    // ---- chat ----

    /// Takes in stored messages and shows what follows on the last one.
    pub(super) fn show(&mut self, messages: Vec<v1::ChatMessage>, now: Now) {
        self.check_numbers(&messages);
        let was_gap = self.tail.gap().is_some();
        for (seq, frame) in self.tail.offer(messages) {
            self.members.tell_live(&frame, seq, now.up);
            self.note(What::Chat, seq, None);
        }
        self.tally.note_gap(was_gap, self.tail.gap().is_some());
        if self.tail.gap().is_none() {
            self.gap_due = None;
        } else if self.gap_due.is_none() && !self.is_reading_history {
            self.gap_due = Some(now.up + GAP_MS);
        }
    }

    pub(super) fn ask_for_gap(&mut self) {
        if let Some(beyond) = self.tail.gap() {
            self.ask_for_history(self.tail.head(), beyond);
        }
    }

    pub(super) fn ask_for_history(&mut self, after: u64, before: u64) {
        if self.is_reading_history {
            // What is being read may be older than what was just heard.
            self.must_read_history |= before == 0;
            return;
        }
        self.is_reading_history = true;
        self.effects.push(Effect::ReadHistory(after, before));
    }

    pub(super) fn on_history(
        &mut self,
        after: u64,
        before: u64,
        result: Result<v1::HistoryReply, Away>,
        now: Now,
    ) {
        self.is_reading_history = false;
        let Ok(reply) = result else {
            self.clear_doorstep(false);
            if self.tail.gap().is_some() {
                self.gap_due = Some(now.up + 1_000);
            }
            return;
        };
        if reply.epoch != self.tail.epoch() {
            self.ask_for_facts();
            self.clear_doorstep(false);
            return;
        }
        if reply.head < after {
            self.report_loss();
        }
        let kept_from = reply.kept_from;
        if before != 0 && before <= self.tail.head() {
            self.tail.prepend(&reply.messages);
        } else {
            let more = reply.head > reply.messages.last().map_or(0, |last| last.seq);
            self.show(reply.messages, now);
            if more && self.tail.head() < reply.head && self.tail.gap().is_none() {
                self.ask_for_history(self.tail.head(), 0);
            }
        }
        if self.tail.head() + 1 < kept_from {
            // What is missing is kept no more, and will never come.
            return self.lose_place(now);
        }
        self.tail.kept_from(kept_from);
        if std::mem::take(&mut self.must_read_history) {
            self.ask_for_history(self.tail.head(), 0);
        }
        self.open_the_door(Some((after, before)));
    }

    // ---- facts ----

    pub(super) fn ask_for_facts(&mut self) {
        if self.is_reading_facts {
            // What is being read may be older than what was just heard.
            self.must_read_facts = true;
            return;
        }
        self.is_reading_facts = true;
        self.effects.push(Effect::ReadFacts(self.facts.version));
    }

    pub(super) fn on_facts(&mut self, result: Result<Option<v1::Facts>, Away>, now: Now) {
        self.is_reading_facts = false;
        let again = std::mem::take(&mut self.must_read_facts);
        if matches!(result, Ok(None)) {
            self.vanish(now);
        }
        let told = result.ok().flatten();
        if let Some(facts) = &told {
            if self.is_behind(facts.epoch, facts.version, facts.fence) {
                self.report_loss();
            }
            self.take_facts(facts, now);
        }
        if again {
            self.ask_for_facts(); // somebody asked after this was read: he waits for the next answer
        } else {
            self.facts_confirmed(told.is_some(), now);
            self.clear_doorstep(true);
        }
        if self.doorstep.iter().any(|joiner| joiner.admitted <= self.facts.version) {
            self.open_the_door(None);
        }
    }

    fn take_facts(&mut self, told: &v1::Facts, now: Now) {
        let Ok(facts) = Facts::try_from(told) else {
            return; // a newer release's words: the versions will go on asking
        };
        if facts.room != self.setup.room {
            return;
        }
        match self.facts.merge(told.base, facts) {
            None => self.ask_for_facts(),
            Some(changes) => {
                for change in changes {
                    self.on_change(change, now);
                }
                // The api waits for a host who is here: its word and the host have crossed.
                if self.facts.host_deadline.is_some() && self.users.contains_key(&self.facts.host) {
                    self.report_back(self.facts.host);
                }
                // The same when the room passed on just as its host came back.
                self.look_for_lost_host();
            }
        }
    }

    fn on_change(&mut self, change: Change, now: Now) {
        self.note_change(&change);
        match change {
            Change::Removed(user, standing) => self.remove_user(user, standing, now),
            Change::Host => {
                self.is_host_away = self.facts.host_deadline.is_some();
                let (host, host_id) = (self.facts.host_name.to_string(), self.facts.host);
                self.tell(&Frame::HostChanged { host: &host, host_id });
                self.tell_participants();
                self.look_for_new_host();
            }
            Change::Role(_) => self.list_due = true,
            Change::Settings => {
                self.watch_facts(false);
                let settings = self.facts.settings;
                self.tell(&Frame::RoomUpdated(RoomUpdated {
                    is_chat_enabled: Some(settings.is_chat_enabled),
                    host_grace_seconds: Some(settings.host_grace_seconds),
                    on_host_lost: Some(settings.on_host_lost),
                    sync_threshold_ms: Some(settings.sync_threshold_ms),
                    readiness: Some(settings.readiness),
                    drift: Some(settings.drift),
                    is_locked: Some(settings.is_locked),
                    is_chat_locked: Some(settings.is_chat_locked),
                    slow_mode_seconds: Some(settings.slow_mode_seconds),
                    online: None,
                }));
            }
            Change::Source => {
                self.watch_facts(true);
                let watched = self.facts.source.as_ref().map(Watched::from).unwrap_or_default();
                self.tell(&Frame::SourceChanged(watched));
            }
            Change::JoinRequest(user) => self.tell_host_of(user),
            Change::Ended(life) => self.end(life, now),
            Change::Epoch => self.lose_place(now),
        }
    }

    fn tell_host_of(&self, user_id: UserId) {
        let Some(person) = self.facts.people.get(&user_id) else { return };
        let frame = Frame::JoinRequest { user: person.name.as_str(), user_id };
        let frame = ws::text(&frame.to_json());
        for member in self.members.of_user(self.facts.host) {
            member.outbox.push(frame.clone(), Kind::Other);
        }
    }

    fn remove_user(&mut self, user: UserId, standing: Standing, now: Now) {
        let code = removal(Some(standing));
        let gone: Vec<_> = self
            .members
            .of_user(user)
            .filter(|member| !self.facts.admits(user, member.admitted))
            .map(|member| (member.connection, member.outbox.clone()))
            .collect();
        for (connection, outbox) in gone {
            outbox.close(Close::new(code.close(), code.as_str()));
            self.on_gone(connection, Gone::Now, now);
        }
    }

    fn end(&mut self, life: Life, now: Now) {
        let code = match life {
            Life::Active => return,
            Life::Closed => Code::RoomClosed,
            Life::Expired => Code::RoomExpired,
        };
        if life == Life::Closed {
            self.tell(&Frame::RoomDeleted { room_id: self.setup.room });
        }
        let close = Close::new(code.close(), code.as_str());
        let all: Vec<_> = self.members.iter().map(|m| (m.connection, m.outbox.clone())).collect();
        for (connection, outbox) in all {
            outbox.close(close.clone());
            self.on_gone(connection, Gone::Now, now);
        }
    }
}
