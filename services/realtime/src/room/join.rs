//! Coming in.
//!
//! An admission is checked against the facts here: one that is newer waits on the doorstep until the facts have
//! caught up, one that a removal has voided is refused. Those who wait together enter the roster with one call and
//! share one list. A member's three frames travel outside his queue's budget; until they are written, live chat is
//! not queued for him but given from the tail afterwards.

use bytes::Bytes;
use streamit_bus::{Entry, Error, Present, Roster, RosterChange};
use streamit_domain::room::{Life, Role, Standing};
use streamit_domain::{ConnectionId, Playback, UserId};
use streamit_wire::Code;
use streamit_wire::code::close;
use streamit_wire::frame::server;

use super::effect::{Effect, Joiner, Now};
use super::members::{Member, Stage};
use super::{GRACE_MS, HEARTBEAT_SOON_MS, Room, erasures, tail};
use crate::outbox::{Close, Kind};
use crate::ws;

/// How often the api is asked for the chat that one joiner missed.
const MAX_ASKS: u8 = 3;
/// How many enter with one call.
const MAX_BATCH: usize = 256;
/// Chat frames given at once to a member who is catching up.
const CATCH_UP: usize = 64;
/// And bytes.
const CATCH_UP_BYTES: usize = 32 * 1024;
/// How many who wait for the host he is told of when he comes in; the rest he finds in the list of participants.
const MAX_REQUESTS: usize = 32;
/// When to come back if the room is being read anew, in milliseconds.
pub(super) const OVER_RETRY_MS: u64 = 500;
/// When to come back if the room is full, in milliseconds.
pub(crate) const FULL_RETRY_MS: u64 = 10_000;

impl Room {
    pub(super) fn on_join(&mut self, joiner: Joiner) {
        self.first = Some(self.first.map_or(joiner.connection, |first| first.min(joiner.connection)));
        if joiner.admitted > self.facts.version && !self.is_over {
            self.doorstep.push(joiner);
            self.ask_for_facts();
            return;
        }
        if let Some(close) = self.refusal(joiner.user, joiner.admitted) {
            joiner.outbox.close(close);
            return;
        }
        if let Some(resume) = joiner.resume
            && let Some(since) = resume.since
            && let tail::Resume::Ask(after, before) = self.tail.resume(since, resume.epoch, resume.asked)
        {
            self.doorstep.push(joiner);
            self.ask_for_history(after, before);
            return;
        }
        self.entering_next.push(joiner);
        self.enter_waiting();
    }

    /// Looks again at everybody on the doorstep. `answered`: the range of chat that the api was just asked for; who still
    /// misses the same range can't have it.
    pub(super) fn open_the_door(&mut self, answered: Option<(u64, u64)>) {
        for mut joiner in std::mem::take(&mut self.doorstep) {
            if let Some(resume) = &mut joiner.resume
                && let Some(since) = resume.since
                && let tail::Resume::Ask(after, before) = self.tail.resume(since, resume.epoch, false)
            {
                // An answer that began above what this one needs was meant for somebody else.
                resume.asks += u8::from(answered.is_some_and(|(from, _)| from <= after));
                resume.asked |= answered == Some((after, before)) || resume.asks >= MAX_ASKS;
            }
            self.on_join(joiner);
        }
    }

    /// Sends those on the doorstep away who wait for facts, or for chat, that can't be had.
    pub(super) fn clear_doorstep(&mut self, waits_for_facts: bool) {
        let version = self.facts.version;
        for joiner in self.doorstep.extract_if(.., |joiner| (joiner.admitted > version) == waits_for_facts) {
            joiner.outbox.close(Close::retry(Code::TryAgain.close(), 1_000));
        }
    }

    /// Why somebody admitted at `admitted` may not be here.
    pub(super) fn refusal(&self, user: UserId, admitted: u64) -> Option<Close> {
        if self.is_over {
            return Some(Close::retry(close::LOST_PLACE, OVER_RETRY_MS));
        }
        let code = match self.facts.life {
            Life::Closed => Code::RoomClosed,
            Life::Expired => Code::RoomExpired,
            Life::Active if self.facts.admits(user, admitted) => {
                let is_full = self.setup.limits
                    && self.online() >= u64::from(self.facts.max_members)
                    && !self.users.contains_key(&user);
                return is_full.then(|| Close::retry(Code::RoomFull.close(), FULL_RETRY_MS));
            }
            Life::Active => removal(self.facts.people.get(&user).map(|person| person.standing)),
        };
        Some(Close::new(code.close(), code.as_str()))
    }

    fn enter_waiting(&mut self) {
        self.entering_next.retain(|joiner| !joiner.outbox.is_closing());
        if self.is_entering || self.entering_next.is_empty() {
            return;
        }
        let batch: Vec<Joiner> =
            self.entering_next.drain(..self.entering_next.len().min(MAX_BATCH)).collect();
        let entries: Vec<Entry> = batch.iter().map(|joiner| self.entry(joiner)).collect();
        self.entering = batch.iter().map(|joiner| (joiner.connection, None)).collect();
        self.is_entering = true;
        // Whoever left and comes back within the grace takes a new entry; the old one goes when it is due.
        self.effects.push(Effect::Enter(batch, entries, self.roster_version));
    }

    pub(super) fn on_entered(
        &mut self,
        joiners: Vec<Joiner>,
        result: Result<(RosterChange, Roster), Error>,
        film: Option<Playback>,
        now: Now,
    ) {
        self.is_entering = false;
        if let Some(film) = film {
            self.show_playback(film, now);
        }
        let roster = match result {
            Ok((change, roster)) => {
                self.is_roster_overtaken |= self.is_reading_roster;
                if self.is_loss(&change) || !self.has_all(&roster) {
                    self.reenter(now);
                }
                self.adopt(&roster, now);
                Some(roster)
            }
            Err(_) => {
                // The store is away: they are in as far as this node can tell, and are entered when it is back.
                self.must_reenter = true;
                let mut users = self.users.clone();
                for joiner in &joiners {
                    let present = Present { name: joiner.name.to_string(), since: now.room };
                    users.entry(joiner.user).or_insert(present);
                }
                self.replace_users(users, now);
                None
            }
        };
        self.welcome(&joiners, now);
        for (connection, how) in std::mem::take(&mut self.entering) {
            if let Some(how) = how {
                self.on_gone(connection, how, now);
            }
        }
        // Who is in the roster of a room that is over may be of the room that was opened anew.
        if let Some(roster) = roster.filter(|_| !self.is_over) {
            let is_in = |joiner: &Joiner| roster.entries.contains_key(&self.key(joiner.connection));
            if !joiners.iter().all(is_in) {
                self.reenter(now); // entered under a life that has ended meanwhile
            }
            self.take_out_own(&roster, now);
        }
        self.enter_waiting();
    }

    /// Makes members of those who have entered and sends them their three frames.
    fn welcome(&mut self, joiners: &[Joiner], now: Now) {
        let list = self.participants();
        let playback = self.playback_frame(now);
        let erased = self.erased_frames(joiners.iter().any(|joiner| joiner.resume.is_some()));
        for joiner in joiners {
            // Much may have happened while they entered.
            if let Some(close) = self.refusal(joiner.user, joiner.admitted) {
                joiner.outbox.close(close);
                // Who comes right back is told to nobody.
                let stays = if self.is_over { OVER_RETRY_MS + GRACE_MS } else { 0 };
                self.leaving.push((now.up + stays, self.key(joiner.connection)));
                continue;
            }
            let given =
                joiner.resume.and_then(|resume| Some(self.tail.resume(resume.since?, resume.epoch, true)));
            self.tally.note_join(joiner.resume.is_some(), given.as_ref());
            let since = given.and_then(|given| match given {
                tail::Resume::From(since) => Some(since),
                _ => None,
            });
            let member = Member::new(joiner, self.tail.head() + 1, now);
            let frames = [self.participants_for(&list, &member), self.tail.history(since), playback.clone()];
            frames.iter().for_each(|frame| self.members.sent().note(frame, 1));
            member.outbox.join(frames);
            if let Some(told) = self.readiness_told() {
                member.outbox.push(ws::text(told), Kind::Other);
            }
            if let Some(since) = since {
                erasures::tell_erased_before(&member, &erased, since);
            }
            if member.user == self.facts.host {
                self.tell_requests(&member);
            }
            self.members.add(member);
        }
    }

    /// Tells a host who comes in who is waiting for him.
    fn tell_requests(&self, member: &Member) {
        let waiting = self.facts.people.iter().filter(|(_, person)| person.standing == Standing::Pending);
        for (user_id, person) in waiting.take(MAX_REQUESTS) {
            let frame = server::Frame::JoinRequest { user: person.name.as_str(), user_id: *user_id };
            member.outbox.push(ws::text(&frame.to_json()), Kind::Other);
        }
    }

    /// The frames given outside the budget are written: gives the next ones, or lets the member live.
    pub(super) fn on_flushed(&mut self, connection: ConnectionId, now: Now) {
        let head = self.tail.head();
        let Some(member) = self.members.get_mut(connection) else { return };
        let Stage::CatchingUp(next) = member.stage else { return };
        member.waiting_since = now.up;
        if next > head {
            member.stage = Stage::Live;
            if member.ping_first(now.up) {
                // By then he has answered: a film that is started soon begins for everybody at once.
                self.heartbeat_due = self.heartbeat_due.min(now.up + HEARTBEAT_SOON_MS);
            }
            return;
        }
        match self.tail.frames(next, CATCH_UP, CATCH_UP_BYTES) {
            Some(frames) => {
                member.stage = Stage::CatchingUp(next + frames.len() as u64);
                member.outbox.join(frames);
            }
            // So slow that the tail has moved on.
            None => member.outbox.close(Close::retry(close::TOO_SLOW, 1_000)),
        }
    }

    /// The list of who is here, without `you` and the closing brace: the same for everybody.
    pub(super) fn participants(&self) -> String {
        let mut people: Vec<(&UserId, &Present)> = self.users.iter().collect();
        // The host always has a place in the list.
        people.sort_by_key(|(user, present)| (**user != self.facts.host, present.since, **user));
        people.truncate(server::MAX_LISTED);
        people.sort_by_key(|(user, present)| (present.since, **user));
        let host = self.users.get(&self.facts.host);
        let frame = server::Participants {
            kind: "ROOM_PARTICIPANTS",
            participants: people.iter().map(|(_, present)| present.name.as_str()).collect(),
            host: host.map_or(self.facts.host_name.as_str(), |present| &present.name),
            host_id: self.facts.host,
            is_host_online: host.is_some(),
            members: people
                .iter()
                .map(|(user, present)| server::Member {
                    id: **user,
                    name: &present.name,
                    role: self.facts.role(**user),
                })
                .collect(),
            online: self.online(),
            is_chat_enabled: self.facts.settings.is_chat_enabled,
            is_chat_locked: self.facts.settings.is_chat_locked,
            slow_mode_seconds: self.facts.settings.slow_mode_seconds,
            readiness: self.facts.settings.readiness,
            drift: self.facts.settings.drift,
            source: self.facts.source.as_ref().map(Into::into),
            node: &self.setup.node,
            protocol: server::PROTOCOL,
        };
        let mut json = server::json(&frame);
        json.pop();
        json
    }

    /// The list as one member gets it.
    pub(super) fn participants_for(&self, list: &str, member: &Member) -> Bytes {
        let you = server::Member { id: member.user, name: &member.name, role: self.facts.role(member.user) };
        ws::text(&format!("{list},\"you\":{}}}", server::json(&you)))
    }

    /// Tells everybody the whole list.
    pub(super) fn tell_participants(&self) {
        let list = self.participants();
        for member in self.members.iter() {
            member.outbox.replace(self.participants_for(&list, member), Kind::List);
        }
    }

    /// What `user` is here, for messages about roles.
    pub(super) fn is_controller(&self, user: UserId) -> bool {
        self.facts.role(user) >= Role::Cohost
    }
}

/// The code that tells somebody why he is out.
pub(super) fn removal(standing: Option<Standing>) -> Code {
    match standing {
        Some(Standing::Banned) => Code::Banned,
        Some(Standing::Kicked) => Code::Kicked,
        _ => Code::NotApproved,
    }
}
