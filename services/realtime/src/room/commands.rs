//! What members do: chat, moderation, and (in `playback`) what the film is to do.
//!
//! Chat goes to the api, which stores it; per room one append is under way, and what is said meanwhile is the next
//! batch. That is the group commit, and it keeps each sender's order.

use std::time::Duration;

use bytes::Bytes;
use streamit_domain::{ConnectionId, UserId};
use streamit_telemetry::trace::Cause;
use streamit_wire::frame::client::Frame as ClientFrame;
use streamit_wire::frame::server::{Frame, chat_message};
use streamit_wire::{Code, v1};

use super::effect::{Away, Draft, Effect, Now};
use super::members::Stage;
use super::{ROOM_CHAT, Room};
use crate::outbox::Kind;
use crate::ws;

/// Messages of one room that may wait for the append under way.
const MAX_DRAFTS: usize = 256;

impl Room {
    pub(super) fn on_frame(&mut self, connection: ConnectionId, frame: ClientFrame, cause: Cause, now: Now) {
        let Some(member) = self.members.get(connection) else { return };
        let user = member.user;
        match frame {
            ClientFrame::Chat { text, client_id } => {
                self.on_chat(Draft { connection, user, text, client_id, cause }, now);
            }
            ClientFrame::Playback(command) => self.on_command((connection, user), command, cause, now),
            ClientFrame::Readiness(said) => self.on_said(connection, said, now),
            ClientFrame::SyncCheck { client_time } => self.on_sync_check(connection, client_time, now),
            ClientFrame::Moderate { action, target, seconds } => {
                // Whether a co-host may do this about that person is for the api to say.
                if !self.is_controller(user) {
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
                self.effects.push(Effect::Moderate(connection, request, cause));
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
            if let Some((seq, frame)) = self.tail.find(draft.user, id) {
                self.tell_again(draft.connection, seq, frame);
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
        if self.facts.settings.is_chat_locked && !self.is_controller(draft.user) {
            self.refuse(draft.connection, Code::ChatLocked, client_id);
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

    /// Answers who said again what is stored. Who is still catching up has it before him, in its place.
    fn tell_again(&self, connection: ConnectionId, seq: u64, frame: Bytes) {
        let Some(member) = self.members.get(connection) else { return };
        if !matches!(member.stage, Stage::CatchingUp(next) if seq >= next) {
            self.members.sent().note(&frame, 1);
            member.outbox.push(frame, Kind::Other);
        }
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

    pub(super) fn slow_down(&self, connection: ConnectionId, client_id: Option<&str>, wait: Duration) {
        self.tell_to_wait(connection, Code::RateLimited, client_id, wait);
    }

    fn tell_to_wait(&self, connection: ConnectionId, code: Code, client_id: Option<&str>, wait: Duration) {
        let frame = Frame::Error {
            message: code.sentence().into(),
            code: code.as_str(),
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
            self.appending_from = self.tail.head();
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
        let epoch = self.tail.epoch();
        for draft in drafts {
            let client_id = draft.client_id.as_deref();
            match answers.next() {
                // Stored, but not as what follows here: everybody is put out, and finds it in the history.
                Some(v1::Appended { message: Some(_), epoch: newer, .. }) if newer > epoch => {
                    self.ask_for_facts();
                }
                Some(v1::Appended { message: Some(message), repeated_key, epoch: stored_in, .. })
                    if (1..epoch).contains(&stored_in)
                        || (!repeated_key && message.seq <= self.appending_from)
                        || self.tail.contradicts(&message).is_some() =>
                {
                    if !self.check_numbers(std::slice::from_ref(&message)) {
                        self.report_loss();
                    }
                }
                Some(v1::Appended { message: Some(message), repeated_key: true, .. }) => {
                    if message.seq > self.tail.head() && !stored.iter().any(|other| other.seq == message.seq)
                    {
                        stored.push(message); // said by an earlier try, whose answer was lost: nobody has seen it yet
                    } else if message.seq <= self.appending_from {
                        repeated.push((draft.connection, message));
                    }
                }
                Some(v1::Appended { message: Some(message), .. }) => stored.push(message),
                Some(v1::Appended { retry_in_ms, .. }) if retry_in_ms > 0 => {
                    let (code, wait) = (Code::SlowMode, Duration::from_millis(retry_in_ms));
                    self.tell_to_wait(draft.connection, code, client_id, wait);
                }
                Some(v1::Appended { error, .. }) => {
                    let code = Code::from_word(&error).unwrap_or(Code::Internal);
                    if code == Code::RoomNotFound {
                        self.ask_for_facts(); // which say that there is none
                    }
                    self.refuse(draft.connection, code, client_id);
                }
                None => {
                    draft.cause.failed(Code::TryAgain.as_str());
                    self.refuse(draft.connection, Code::TryAgain, client_id);
                }
            }
        }
        self.show(stored, now);
        // Said before, maybe long ago: the sender alone learns what became of it.
        for (connection, message) in repeated {
            self.tell_again(connection, message.seq, ws::text(&chat_message(&message)));
        }
        self.append_waiting();
    }
}
