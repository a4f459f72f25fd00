//! What members do: chat, playback, moderation.
//!
//! Chat goes to the api, which stores it; per room one append is under way, and what is said meanwhile is the next
//! batch. That is the group commit, and it keeps each sender's order. Playback is a compare-and-set in the shared
//! store, one command at a time; the fence sees to it that a former host's command fails even if this node has not
//! heard of the change.

use std::time::Duration;

use streamit_bus::{Cas, Error, Expect};
use streamit_domain::playback::{Command, Version};
use streamit_domain::{ConnectionId, MediaTime, Playback, UserId};
use streamit_wire::frame::client::Frame as ClientFrame;
use streamit_wire::frame::server::{Frame, chat_message};
use streamit_wire::{Code, v1};

use super::effect::{Away, Draft, Effect, Now};
use super::{COMMANDS, MAX_COMMANDS, ROOM_CHAT, Room};
use crate::outbox::Kind;
use crate::ws;

/// How often a command is computed again because something else was stored meanwhile.
const MAX_TRIES: u32 = 8;
/// Messages of one room that may wait for the append under way.
const MAX_DRAFTS: usize = 256;

/// A playback command that waits for its turn, or has it.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Who is told if it fails; nobody when the house itself acts (an empty room pauses).
    from: Option<(ConnectionId, UserId)>,
    command: Command,
    tries: u32,
    /// The facts were read again for this command, so the store may take the fence from it.
    confirmed: bool,
    /// Waiting for that.
    needs_facts: bool,
}

impl Room {
    pub(super) fn on_frame(&mut self, connection: ConnectionId, frame: ClientFrame, now: Now) {
        let Some(member) = self.members.get(connection) else { return };
        let user = member.user;
        match frame {
            ClientFrame::Chat { text, client_id } => {
                self.on_chat(Draft { connection, user, text, client_id }, now);
            }
            ClientFrame::Playback(command) => self.on_command(connection, user, command, now),
            ClientFrame::SyncCheck { client_time } => self.on_sync_check(connection, client_time, now),
            ClientFrame::Moderate { action, target, seconds } => {
                if self.facts.host != user {
                    self.refuse(connection, Code::HostOnly, None);
                    return;
                }
                let request = v1::ModerateRequest {
                    room: self.setup.room.as_bytes().to_vec(),
                    actor: user.as_bytes().to_vec(),
                    target: target.as_bytes().to_vec(),
                    action: action as i32,
                    seconds: seconds.unwrap_or(0),
                };
                self.effects.push(Effect::Moderate(connection, request));
            }
            // Answered by the connection itself; and watch progress has no home yet.
            ClientFrame::Ping { .. } | ClientFrame::PlayerEvent => {}
        }
    }

    pub(super) fn on_moderated(&mut self, connection: ConnectionId, result: Result<Option<Code>, Away>) {
        match result {
            Ok(None) => {} // everybody concerned hears it from the facts
            Ok(Some(code)) => self.refuse(connection, code, None),
            Err(Away) => self.refuse(connection, Code::TryAgain, None),
        }
    }

    // ---- chat ----

    fn on_chat(&mut self, draft: Draft, now: Now) {
        let client_id = draft.client_id.as_deref();
        // Sending again has no second effect, so nothing is asked of it: it is answered, now or by the first.
        if let Some(id) = client_id {
            if let Some(frame) = self.tail.find(draft.user, id) {
                if let Some(member) = self.members.get(draft.connection) {
                    member.outbox.push(frame, Kind::Other);
                }
                return;
            }
            let waits = |other: &Draft| other.user == draft.user && other.client_id.as_deref() == Some(id);
            if self.appending.iter().any(|(user, other)| *user == draft.user && other == id)
                || self.drafts.iter().any(waits)
            {
                return;
            }
        }
        if !self.facts.settings.is_chat_enabled {
            self.refuse(draft.connection, Code::ChatDisabled, client_id);
            return;
        }
        if self.facts.muted(draft.user, now.room).is_some() {
            self.refuse(draft.connection, Code::Muted, client_id);
            return;
        }
        if let Err(wait) = self.pace_chat(draft.user, now) {
            self.slow_down(draft.connection, client_id, wait);
            return;
        }
        if self.drafts.len() >= MAX_DRAFTS {
            self.refuse(draft.connection, Code::TryAgain, client_id);
            return;
        }
        self.drafts.push(draft);
        self.append_waiting();
    }

    fn pace_chat(&mut self, user: UserId, now: Now) -> Result<(), Duration> {
        if !self.setup.limits {
            return Ok(());
        }
        let tempo = self.tempo.entry(user).or_default();
        tempo.used = now.up;
        // The node's own time: a room clock that is corrected must not shorten or lengthen a pause. It starts at 0,
        // which the pacer takes for "never".
        tempo.chat.take(streamit_domain::Timestamp(now.up as i64 + 1))?;
        self.room_chat.take(ROOM_CHAT, now.up as i64 * 1_000)
    }

    fn slow_down(&self, connection: ConnectionId, client_id: Option<&str>, wait: Duration) {
        let frame = Frame::Error {
            message: Code::RateLimited.sentence().into(),
            code: Code::RateLimited.as_str(),
            client_id,
            retry_in_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)),
        };
        self.tell_one(connection, &frame);
    }

    fn append_waiting(&mut self) {
        if !self.is_appending && !self.drafts.is_empty() {
            self.is_appending = true;
            let keys = self.drafts.iter().filter_map(|draft| Some((draft.user, draft.client_id.clone()?)));
            self.appending = keys.collect();
            self.effects.push(Effect::Append(std::mem::take(&mut self.drafts)));
        }
    }

    pub(super) fn on_appended(
        &mut self,
        drafts: Vec<Draft>,
        result: Result<Vec<v1::Appended>, Away>,
        now: Now,
    ) {
        self.is_appending = false;
        self.appending.clear();
        let answers = result.unwrap_or_default();
        let (mut stored, mut repeated) = (Vec::<v1::ChatMessage>::new(), Vec::new());
        let mut answers = answers.into_iter();
        for draft in drafts {
            let client_id = draft.client_id.as_deref();
            match answers.next() {
                Some(v1::Appended { message: Some(message), repeated_key: true, .. }) => {
                    if message.seq > self.tail.head() && !stored.iter().any(|other| other.seq == message.seq)
                    {
                        stored.push(message); // said by an earlier try, whose answer was lost: nobody has seen it yet
                    } else {
                        repeated.push((draft.connection, message));
                    }
                }
                Some(v1::Appended { message: Some(message), .. }) => stored.push(message),
                Some(v1::Appended { error, .. }) => {
                    let code = Code::from_word(&error).unwrap_or(Code::Internal);
                    self.refuse(draft.connection, code, client_id);
                }
                None => self.refuse(draft.connection, Code::TryAgain, client_id),
            }
        }
        self.show(stored, now);
        // Said before, maybe long ago: the sender alone learns what became of it.
        for (connection, message) in repeated {
            if let Some(member) = self.members.get(connection) {
                member.outbox.push(ws::text(&chat_message(&message)), Kind::Other);
            }
        }
        self.append_waiting();
    }

    // ---- playback ----

    fn on_command(&mut self, connection: ConnectionId, user: UserId, command: Command, now: Now) {
        if !self.is_controller(user) {
            self.refuse(connection, Code::HostOnly, None);
            return;
        }
        if self.setup.limits {
            let tempo = self.tempo.entry(user).or_default();
            tempo.used = now.up;
            if let Err(wait) = tempo.commands.take(COMMANDS, now.up as i64 * 1_000) {
                self.slow_down(connection, None, wait);
                return;
            }
        }
        if self.commands.len() >= MAX_COMMANDS {
            self.refuse(connection, Code::TryAgain, None);
            return;
        }
        let from = Some((connection, user));
        self.commands.push_back(Pending { from, command, tries: 0, confirmed: false, needs_facts: false });
        self.command_waiting(now);
    }

    /// Does something to the film for nobody in particular, if nobody is here.
    pub(super) fn command_of_house(&mut self, command: Command, now: Now) {
        self.commands.push_back(Pending {
            from: None,
            command,
            tries: 0,
            confirmed: false,
            needs_facts: false,
        });
        self.command_waiting(now);
    }

    fn command_waiting(&mut self, now: Now) {
        if self.command.is_none()
            && let Some(next) = self.commands.pop_front()
        {
            self.store_playback(next, now);
        }
    }

    fn store_playback(&mut self, pending: Pending, now: Now) {
        let version = self.is_stored.then_some(self.playback.version);
        self.store_after(self.playback, version, pending, now);
    }

    /// Stores what `pending` makes of `base`, if `version` is what is stored.
    fn store_after(&mut self, base: Playback, version: Option<Version>, pending: Pending, now: Now) {
        // Much may have happened since it was asked for. The fence it goes out with is that of the facts here, so they
        // must still give the right to it.
        if let Some((_, user)) = pending.from
            && !self.is_controller(user)
        {
            self.fail(&pending, Code::HostOnly);
            self.command_waiting(now);
            return;
        }
        let seen = self.playback.version.number;
        let next = base.after(pending.command, self.facts.fence, seen, now.room);
        let expect = Expect { version, confirmed: pending.confirmed, only_if_empty: pending.from.is_none() };
        self.command = Some(pending);
        self.effects.push(Effect::SetPlayback(expect, next));
    }

    pub(super) fn on_playback_set(&mut self, next: Playback, result: Result<Cas, Error>, now: Now) {
        let Some(mut pending) = self.command.take() else { return };
        pending.tries += 1;
        match result {
            Ok(Cas::Stored) => {
                self.show_playback(next);
                self.is_stored = true;
                self.effects.push(Effect::SavePlayback(next));
            }
            Ok(Cas::Conflict(stored)) => {
                self.is_stored = true;
                self.show_playback(stored);
                if pending.tries < MAX_TRIES {
                    // What is stored may lie behind what was shown here, because the store lost some or because news was
                    // faster than this answer: either way the next state is numbered above both.
                    self.store_after(stored, Some(stored.version), pending, now);
                    return;
                }
                self.fail(&pending, Code::TryAgain);
            }
            Ok(Cas::Fenced(_)) if pending.tries < MAX_TRIES => {
                // Who controls has changed: ask, then look whether this is still his to do.
                self.wait_for_facts(pending, false);
                return;
            }
            Ok(Cas::Unknown) if pending.tries < MAX_TRIES => {
                self.is_stored = false;
                self.wait_for_facts(pending, true);
                return;
            }
            Ok(Cas::NotEmpty) => {}
            Ok(Cas::Fenced(_) | Cas::Unknown) | Err(_) => self.fail(&pending, Code::TryAgain),
        }
        self.command_waiting(now);
    }

    fn wait_for_facts(&mut self, pending: Pending, confirmed: bool) {
        self.command = Some(Pending { confirmed, needs_facts: true, ..pending });
        self.ask_for_facts();
    }

    /// The facts were read: goes on with the command that waited for them, or gives it up.
    pub(super) fn resume_command(&mut self, are_fresh: bool, now: Now) {
        let Some(mut pending) = self.command.take_if(|pending| pending.needs_facts) else { return };
        pending.needs_facts = false;
        match pending.from {
            _ if !are_fresh => self.fail(&pending, Code::TryAgain),
            Some((_, user)) if !self.is_controller(user) => self.fail(&pending, Code::HostOnly),
            _ => {
                self.store_playback(pending, now);
                return;
            }
        }
        self.command_waiting(now);
    }

    fn fail(&self, pending: &Pending, code: Code) {
        if let Some((connection, _)) = pending.from {
            self.refuse(connection, code, None);
        }
    }

    /// Takes in a state, from the bus or from a command of this node, if it is newer, and shows it.
    pub(super) fn show_playback(&mut self, state: Playback) {
        if state.version <= self.playback.version {
            return;
        }
        self.playback = state;
        self.is_stored = true;
        let frame = Frame::PlaybackState((&state).into()).to_json();
        self.members.tell(&ws::text(&frame), Kind::Playback);
        if state.version.fence > self.facts.fence {
            self.ask_for_facts();
        }
    }

    fn on_sync_check(&mut self, connection: ConnectionId, client_time: MediaTime, now: Now) {
        let drift = self.playback.drift(client_time, now.room);
        if drift.abs() * 1_000.0 <= f64::from(self.facts.settings.sync_threshold_ms) {
            return;
        }
        let frame = Frame::SyncCorrection {
            time: self.playback.position(now.room),
            version: self.playback.version.number,
            server_time: now.room,
            drift,
        };
        self.tell_one(connection, &frame);
    }
}
