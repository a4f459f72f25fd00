//! What the film does, and what it is to do.
//!
//! Playback is a compare-and-set in the shared store, one command at a time; the fence sees to it that a former host's
//! command fails even if this node has not heard of the change. A store that has lost the film, or has an older state of
//! it, gets back what is known here: the higher version wins.

use std::time::Duration;

use streamit_bus::{Cas, Error, Expect};
use streamit_domain::playback::{Command, Version, lead};
use streamit_domain::{ConnectionId, MediaTime, Playback, UserId};
use streamit_telemetry::trace::Cause;
use streamit_wire::Code;
use streamit_wire::frame::server::Frame;

use super::effect::{Effect, Now};
use super::happened::What;
use super::{COMMANDS, MAX_COMMANDS, Room};
use crate::outbox::Kind;
use crate::ws;

/// How often a command is computed again because something else was stored meanwhile.
const MAX_TRIES: u32 = 8;

/// How far clocks that are in step may differ, in milliseconds. Less than what counts as a jump.
const AHEAD_MS: u64 = 200;

/// What is to become of the film.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Do(Command),
    /// What is known here is to be stored again.
    PutBack,
    /// Somebody's player ran dry, and the film is to wait for him.
    Hold(UserId),
    /// Nobody waits any more.
    Release,
    /// The film of this version runs on where it was, although room time has jumped.
    Anchor(Version, Duration),
}

/// A change of playback that waits for its turn, or has it.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Who is told if it fails; nobody when the house itself acts (an empty room pauses, a lost film is put back).
    from: Option<(ConnectionId, UserId)>,
    act: Act,
    tries: u32,
    /// The facts were read again for this command, so the store may take the fence from it.
    confirmed: bool,
    /// Waiting for that.
    needs_facts: bool,
    /// Lasts until it is done.
    cause: Cause,
}

impl Pending {
    fn new(from: Option<(ConnectionId, UserId)>, act: Act) -> Self {
        Self { from, act, tries: 0, confirmed: false, needs_facts: false, cause: Cause::default() }
    }
}

/// Whether a state was made by a clock that shows more than this node's: one that has jumped, which is not known here
/// yet. Numbers are at least room time, and grow by more than a millisecond for each only when it runs backwards.
pub(super) fn is_ahead(state: &Playback, now: Now) -> bool {
    let now = u64::try_from(now.room.0).unwrap_or(0);
    state.version.number > now + AHEAD_MS
}

impl Room {
    pub(super) fn on_command(
        &mut self,
        (connection, user): (ConnectionId, UserId),
        command: Command,
        cause: Cause,
        now: Now,
    ) {
        // Facts that are old by a pause say nothing about him: he is judged when they have been read.
        if !self.must_confirm() && !self.is_controller(user) {
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
        let pending = Pending::new(Some((connection, user)), Act::Do(command));
        self.commands.push_back(Pending { cause, ..pending });
        self.command_waiting(now);
    }

    /// Does something to the film for nobody in particular, if nobody is here.
    pub(super) fn command_of_house(&mut self, command: Command, now: Now) {
        self.commands.push_back(Pending::new(None, Act::Do(command)));
        self.command_waiting(now);
    }

    /// Somebody's player ran dry: the film waits for him.
    pub(super) fn hold_for(&mut self, user: UserId, now: Now) {
        self.act_once(Act::Hold(user), now);
    }

    /// The film that is held goes on.
    pub(super) fn release(&mut self, now: Now) {
        self.act_once(Act::Release, now);
    }

    /// What is tried again and again while the store does not answer waits in line once.
    fn act_once(&mut self, act: Act, now: Now) {
        if !self.command.iter().chain(&self.commands).any(|pending| pending.act == act) {
            self.commands.push_back(Pending::new(None, act));
            self.command_waiting(now);
        }
    }

    fn lead(&self) -> Duration {
        lead(self.round_trip.max(self.longest_round_trip))
    }

    /// Room time has jumped: a film that runs is anchored anew, so that it does not jump with it. Each node does so when it
    /// comes to know of the jump, unless another was faster.
    pub(super) fn on_jumped(&mut self, jump: Duration, now: Now) {
        self.note(What::ClockJumped, u64::try_from(jump.as_millis()).unwrap_or(u64::MAX), None);
        if std::mem::take(&mut self.is_film_ahead) || !self.playback.is_running() {
            return;
        }
        // In front of commands that wait: they may mean the position of now.
        self.commands.push_front(Pending::new(None, Act::Anchor(self.playback.version, jump)));
        self.command_waiting(now);
    }

    /// The store has this state, or none: gives it back what is known here, if that is more.
    pub(super) fn put_back(&mut self, stored: Option<Version>, now: Now) {
        let is_more = stored.is_none_or(|version| version < self.playback.version);
        // A command that is under way does the same. And what the store never had it has not lost.
        if is_more && self.is_stored && self.command.is_none() && self.commands.is_empty() {
            self.store_after(stored, Pending::new(None, Act::PutBack), now);
        }
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
        self.store_after(version, pending, now);
    }

    /// Stores what `pending` makes of the film, if `version` is what is stored.
    fn store_after(&mut self, version: Option<Version>, pending: Pending, now: Now) {
        if self.must_confirm() {
            if self.must_confirm_facts && !self.is_reading_facts {
                self.ask_for_facts();
            }
            self.command = Some(Pending { needs_facts: true, ..pending });
            return;
        }
        // Much may have happened since it was asked for. The fence it goes out with is that of the facts here, so they
        // must still give the right to it.
        if let Some((_, user)) = pending.from
            && !self.is_controller(user)
        {
            self.fail(&pending, Code::HostOnly);
            self.command_waiting(now);
            return;
        }
        let (base, fence) = (self.playback, self.facts.fence);
        let from_house = pending.from.is_none();
        let expect = Expect { version, confirmed: pending.confirmed, only_if_empty: false, fence: None };
        let (next, expect) = match pending.act {
            Act::Do(command) => {
                let next = base.after(command, fence, 0, now.room, self.lead());
                let next = match self.start_waits(&base, &next, now) {
                    Some(wait) if !from_house => next.held(now.room.plus(wait), now.room),
                    _ => next,
                };
                (next, Expect { only_if_empty: from_house, ..expect })
            }
            Act::Hold(user) => match self.waits_for(user, now) {
                Some(until) => (base.hold(until, fence, now.room), expect),
                None => return self.command_waiting(now),
            },
            Act::Release if base.held_until.is_none() => return self.command_waiting(now),
            Act::Release if self.is_left() => {
                (base.after(Command::Pause(None), fence, 0, now.room, Duration::ZERO), expect)
            }
            Act::Release => (base.release(fence, now.room, self.lead()), expect),
            Act::PutBack | Act::Anchor(..) if base.version.fence > fence => {
                self.ask_for_facts(); // and the next comparison tries again
                return self.command_waiting(now);
            }
            // As it was made: under the fence of now it would beat what others know of an older one.
            Act::PutBack => (base, Expect { fence: Some(fence), ..expect }),
            Act::Anchor(of, _) if of != base.version => return self.command_waiting(now), // there is a newer film
            Act::Anchor(_, jump) => {
                (base.after_jump(jump, now.room), Expect { fence: Some(fence), ..expect })
            }
        };
        self.effects.push(Effect::SetPlayback(expect, next, pending.cause.clone()));
        self.command = Some(pending);
    }

    pub(super) fn on_playback_set(&mut self, next: Playback, result: Result<Cas, Error>, now: Now) {
        let Some(mut pending) = self.command.take() else { return };
        pending.tries += 1;
        match result {
            Ok(Cas::Stored) => {
                self.show_playback(next, now);
                self.is_stored = true;
                self.effects.push(Effect::SavePlayback(next));
                if let (Some((_, user)), Act::Do(command)) = (pending.from, pending.act) {
                    self.effects.push(Effect::NotePlayback(user, command, next));
                }
            }
            Ok(Cas::Conflict(stored)) => {
                self.is_stored = true;
                self.show_playback(stored, now);
                let is_done = match pending.act {
                    Act::Do(_) | Act::Hold(_) | Act::Release => false,
                    Act::PutBack => stored.version >= self.playback.version,
                    Act::Anchor(..) => true, // another film, or another node was faster
                };
                if !is_done && pending.tries < MAX_TRIES {
                    // What is stored may lie behind what was shown here, because the store lost some or because news was
                    // faster than this answer: either way the next state follows on the higher of the two.
                    self.store_after(Some(stored.version), pending, now);
                    return;
                }
                if !is_done {
                    self.fail(&pending, Code::TryAgain);
                }
            }
            Ok(Cas::Fenced(fence)) if pending.tries < MAX_TRIES => {
                self.fence_told = self.fence_told.max(fence);
                // Who controls has changed: ask, then look whether this is still his to do.
                self.wait_for_facts(pending, false);
                return;
            }
            Ok(Cas::Unknown) if pending.tries < MAX_TRIES => {
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

    fn must_confirm(&self) -> bool {
        self.must_confirm_facts || self.must_confirm_playback
    }

    /// The facts were asked for, and nobody has asked since: goes on with the command that waited for them, or gives it
    /// up.
    pub(super) fn facts_confirmed(&mut self, are_fresh: bool, now: Now) {
        self.must_confirm_facts &= !are_fresh;
        if are_fresh && self.must_confirm_playback {
            return;
        }
        if self.must_confirm_facts {
            for pending in std::mem::take(&mut self.commands) {
                self.fail(&pending, Code::TryAgain); // each would ask once more
            }
        }
        let Some(mut pending) = self.command.take_if(|pending| pending.needs_facts) else { return };
        pending.needs_facts = false;
        if are_fresh {
            self.store_playback(pending, now);
        } else {
            self.fail(&pending, Code::TryAgain);
            self.command_waiting(now);
        }
    }

    pub(super) fn ask_for_playback(&mut self) {
        if self.is_reading_playback {
            // What is being read may be older than what was just heard.
            self.must_read_playback = true;
            return;
        }
        self.is_reading_playback = true;
        self.effects.push(Effect::ReadPlayback);
    }

    pub(super) fn on_playback_read(&mut self, result: Result<Option<Playback>, Error>, now: Now) {
        self.is_reading_playback = false;
        if let Ok(Some(state)) = result {
            self.show_playback(state, now);
        }
        if std::mem::take(&mut self.must_read_playback) {
            self.ask_for_playback();
            return;
        }
        // Also when it could not be read: then the store refuses what does not follow on what it has.
        if std::mem::take(&mut self.must_confirm_playback) && !self.is_reading_facts {
            self.facts_confirmed(!self.must_confirm_facts, now);
        }
        if let Ok(stored) = result {
            self.put_back(stored.map(|state| state.version), now);
        }
    }

    fn fail(&self, pending: &Pending, code: Code) {
        pending.cause.failed(code.as_str());
        if let Some((connection, _)) = pending.from {
            self.refuse(connection, code, None);
        }
    }

    /// Takes in a state, from the bus or from a command of this node, if it is newer, and shows it.
    pub(super) fn show_playback(&mut self, state: Playback, now: Now) {
        if state.version <= self.playback.version {
            return;
        }
        self.note_playback(&state);
        self.watch_playback(&state, now);
        self.playback = state;
        self.is_film_ahead = is_ahead(&state, now);
        self.is_stored = true;
        let frame = Frame::PlaybackState((&state).into()).to_json();
        self.members.tell(&ws::text(&frame), Kind::Playback);
        if state.version.fence > self.facts.fence {
            self.ask_for_facts();
        }
    }

    pub(super) fn on_sync_check(&mut self, connection: ConnectionId, client_time: MediaTime, now: Now) {
        self.note_drift(connection, client_time, now);
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
