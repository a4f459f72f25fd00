//! Whose players are ready, and the film that waits for them.
//!
//! What members say is kept in the shared store beside the roster, where the later word of a person counts; every node
//! has a copy and comes to the same answers (`streamit_domain::readiness`). A hold is a state of playback like any other:
//! one node's compare-and-set wins, and whichever node first sees that nobody is left to wait for, or that the deadline
//! has passed, lets the film go on. So a node that dies, or has not heard everything, can end a hold early but never
//! keep one.

use std::collections::BTreeSet;
use std::time::Duration;

use streamit_bus::{BookChange, Error, Present};
use streamit_domain::playback::Playback;
use streamit_domain::rate::{Gcra, Rate};
use streamit_domain::readiness::{
    Book, Course, FIRST_LOAD, Film, GaveUp, MOVED, REBUFFER, Readiness, Said, Waits,
};
use streamit_domain::room::ReadinessMode;
use streamit_domain::{ConnectionId, MediaTime, Timestamp, UserId};
use streamit_wire::frame::server::{self, Frame, MAX_WAITING, TELL_EACH, Waiting};

use super::Room;
use super::effect::{Effect, Now};
use super::presence::RETRY_MS;
use crate::outbox::Kind;
use crate::ws;

/// How often members are told who is not ready, in milliseconds.
const TELL_MS: u64 = 250;
/// The same in a room in which joins and leaves are told as a count.
const TELL_CROWD_MS: u64 = 1_000;
/// How long a release that came to nothing waits for the next try, in milliseconds.
const RELEASE_MS: u64 = 400;
/// Words that travel with one call.
const MAX_BATCH: usize = 256;
/// How often a node tells the store of a room's players: somebody whose word changes all the time is not to keep it busy.
const CALLS: Rate = Rate::per_second(10, 10);
/// No hold ends so late from now on, unless it was made by a clock that is no more.
const LONGEST: Duration = FIRST_LOAD.saturating_add(Duration::from_secs(1));
/// A hold that nobody has ended for so long after its deadline was left by nodes that are no more: whoever comes now has
/// not been waiting.
const LEFT: Duration = Duration::from_secs(60);
/// A film that is elsewhere by more seconds than this was moved.
const ELSEWHERE: f64 = 1.0;

/// What a node knows of the players of its room.
#[derive(Debug, Default)]
pub(super) struct Watch {
    book: Book,
    /// Whose words are not in the store yet, as far as is known here.
    unsent: BTreeSet<UserId>,
    /// Nor is the deadline that passed.
    must_tell_deadline: bool,
    is_sending: bool,
    calls: Gcra,
    /// No call before this uptime.
    call_due: u64,

    /// For whom the film has waited, as far as their words don't tell.
    waits: Waits,
    /// The deadline up to which that is noted.
    noted_until: Option<Timestamp>,
    /// Something else is being watched than when the film last began.
    is_new_film: bool,
    /// Room time of the last seek in a film that ran.
    moved_at: Option<Timestamp>,
    /// Of a hold: who came later and has not been ready yet is not waited for. `None`: nobody who has not been ready is,
    /// for somebody's player ran dry in a film that ran.
    came_by: Option<Timestamp>,
    /// The film was let go in time: maybe by a node that had not heard who is not ready here.
    is_let_go: bool,
    /// Somebody for whom the film waited when that was last looked at.
    hold_out: Option<UserId>,
    /// Uptime at which a hold has to be looked at, while there is one.
    hold_due: Option<u64>,
    /// No release before this uptime: one has just been tried.
    release_due: u64,
    /// The hold is one that was left ([`LEFT`]).
    is_left: bool,

    /// What members have been told, if it is more than that all is well.
    told: Option<String>,
    told_at: u64,
    is_tell_due: bool,
}

impl Watch {
    /// Of a room that has just been read.
    pub(super) fn open(playback: &Playback, now: Now) -> Self {
        let hold_due = playback.held_until.map(|_| now.up);
        Self { came_by: Some(playback.at), hold_due, is_left: is_left(playback, now), ..Self::default() }
    }
}

fn is_left(playback: &Playback, now: Now) -> bool {
    playback.held_until.is_some_and(|until| now.room.since(until) > LEFT)
}

impl Room {
    // ---- what players say ----

    pub(super) fn on_said(&mut self, connection: ConnectionId, said: Said, now: Now) {
        if let Some(position) = said.position {
            self.note_drift(connection, position, now);
        }
        let (film, course) = (self.film(), self.course(now));
        let Some(member) = self.members.get_mut(connection) else { return };
        // A player that has just been made is loading, not running dry: a reload is no stall.
        let has_spoken = std::mem::replace(&mut member.has_spoken, true);
        let user = member.user;
        let before = self.watch.book.people.get(&user);
        let course = if has_spoken { course } else { Course::Stands };
        let Some(word) = Readiness::after(before, said, film, course, now.room) else {
            return;
        };
        self.watch.book.learn(user, &word);
        self.watch.unsent.insert(user);
        self.watch.is_tell_due = true;
    }

    fn course(&self, now: Now) -> Course {
        let is_moved = |at: Timestamp| now.room.since(at) < MOVED;
        match self.watch.moved_at {
            _ if !self.playback.is_running() => Course::Stands,
            Some(at) if is_moved(at) => Course::Moved,
            _ => Course::Runs,
        }
    }

    /// Sends what the store has not heard. In a room where nobody asks it waits until somebody does.
    fn send_words(&mut self, now: Now) {
        let watch = &mut self.watch;
        let has_news = !watch.unsent.is_empty() || watch.must_tell_deadline;
        if !has_news
            || watch.is_sending
            || now.up < watch.call_due
            || self.is_reentering
            || self.facts.settings.readiness == ReadinessMode::Off
        {
            return;
        }
        if self.setup.limits
            && let Err(wait) = watch.calls.take(CALLS, i64::try_from(now.up).unwrap_or(i64::MAX) * 1_000)
        {
            watch.call_due = now.up + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            return;
        }
        let users: Vec<UserId> = watch.unsent.iter().take(MAX_BATCH).copied().collect();
        let word = |user: &UserId| Some((*user, watch.book.people.get(user)?.clone()));
        let words = users.iter().filter_map(word).collect();
        for user in &users {
            watch.unsent.remove(user);
        }
        let gave_up = std::mem::take(&mut watch.must_tell_deadline).then_some(watch.book.gave_up).flatten();
        watch.is_sending = true;
        self.effects.push(Effect::ReportReady(words, gave_up, watch.book.version));
    }

    pub(super) fn on_reported(
        &mut self,
        words: &[(UserId, Readiness)],
        gave_up: Option<GaveUp>,
        result: Result<BookChange, Error>,
        now: Now,
    ) {
        self.watch.is_sending = false;
        // Version 0: there is no roster. It is put back, and then this.
        let Some(change) = result.ok().filter(|change| change.version != 0) else {
            self.watch.unsent.extend(words.iter().map(|(user, _)| *user));
            self.watch.must_tell_deadline |= gave_up.is_some();
            self.watch.call_due = now.up + RETRY_MS;
            return;
        };
        self.follow(change.previous, change.version);
        // Only now: whoever hears of the hold has heard for whom it is.
        if let Some((user, _)) = words.iter().find(|(user, _)| self.holds(*user, now)) {
            self.hold_for(*user, now);
        }
    }

    /// News of what was said on other nodes, and on this one.
    pub(super) fn on_book(&mut self, change: &BookChange) {
        for (user, word) in &change.words {
            self.watch.is_tell_due |= self.watch.book.learn(*user, word);
        }
        self.watch.is_tell_due |= self.watch.book.learn_deadline(change.gave_up);
        self.follow(change.previous, change.version);
    }

    fn follow(&mut self, previous: u64, version: u64) {
        if version <= self.watch.book.version {
            return;
        }
        if previous == self.watch.book.version {
            self.watch.book.version = version;
        } else {
            self.ask_for_roster(); // with which it is read
        }
    }

    /// Takes in what was read with the roster.
    pub(super) fn adopt_book(&mut self, read: &Book) {
        let watch = &mut self.watch;
        for (user, word) in &read.people {
            watch.is_tell_due |= watch.book.learn(*user, word);
        }
        watch.is_tell_due |= watch.book.learn_deadline(read.gave_up);
        if read.version >= watch.book.version || read.version == 0 {
            watch.book.version = read.version;
            // Who went and came back has said nothing yet.
            let is_known = |user: &UserId| read.people.contains_key(user) || watch.unsent.contains(user);
            if !watch.is_sending {
                watch.book.people.retain(|user, _| is_known(user));
            }
        }
    }

    /// The whole version of what is known here, for comparing.
    pub(super) fn book_version(&self) -> u64 {
        self.watch.book.version
    }

    /// The store has lost what was said; each node says again what it knows of its own members.
    pub(super) fn say_again(&mut self) {
        let own = self.members.iter().map(|member| member.user);
        self.watch.unsent.extend(own.filter(|user| self.watch.book.people.contains_key(user)));
        self.watch.must_tell_deadline |= self.watch.book.gave_up.is_some();
    }

    /// Somebody came or went.
    pub(super) fn watch_users(&mut self, went: &[(UserId, Present)], now: Now) {
        let (film, is_held) = (self.film(), self.playback.held_until.is_some());
        for (user, present) in went {
            let was_waited_for = is_held && self.is_strict() && self.is_waited_for(*user, present, film, now);
            if let Some(word) = self.watch.book.people.remove(user) {
                self.watch.waits.note_gone(*user, &word, was_waited_for, now.room);
            }
            self.watch.unsent.remove(user);
        }
        self.watch.is_tell_due = true;
    }

    /// Settings changed, or what is being watched.
    pub(super) fn watch_facts(&mut self, is_new_film: bool) {
        self.watch.is_new_film |= is_new_film;
        self.watch.is_tell_due = true;
    }

    fn film(&self) -> Film {
        Film::of(self.facts.source.as_ref())
    }

    fn is_strict(&self) -> bool {
        self.facts.settings.readiness == ReadinessMode::Strict
    }

    // ---- holding the film ----

    /// How long the film waits that a command is about to start, if it does.
    pub(super) fn start_waits(&self, before: &Playback, after: &Playback, now: Now) -> Option<Duration> {
        let is_start = after.is_running() && (!before.is_running() || self.watch.is_new_film);
        if !is_start || !self.is_strict() {
            return None;
        }
        let film = self.film();
        self.users.iter().filter_map(|(user, present)| self.wait_for(*user, present, film, now)).max()
    }

    fn wait_for(&self, user: UserId, present: &Present, film: Film, now: Now) -> Option<Duration> {
        let waited = self.watch.waits.lately(user, now.room);
        self.watch.book.wait_for(user, present.since, film, waited)
    }

    /// Whether somebody's player has run dry so that the film is to wait for him.
    fn holds(&self, user: UserId, now: Now) -> bool {
        let film = self.film();
        let word = self.watch.book.people.get(&user);
        self.is_strict()
            && word.is_some_and(|word| word.film == film && word.is_stall)
            && self.users.get(&user).is_some_and(|present| self.wait_for(user, present, film, now).is_some())
    }

    /// Until when the film waits for somebody whose player has run dry, if it is to.
    pub(super) fn waits_for(&self, user: UserId, now: Now) -> Option<Timestamp> {
        (self.playback.is_running() && self.holds(user, now)).then(|| now.room.plus(REBUFFER))
    }

    /// A new state of playback is about to take the place of the one known here.
    pub(super) fn watch_playback(&mut self, next: &Playback, now: Now) {
        if self.playback.held_until.is_some_and(|until| now.room >= until) && next.held_until.is_none() {
            self.note_in_vain(now); // another node was faster
        }
        let watch = &mut self.watch;
        let is_begun = next.held_until.is_some() && self.playback.held_until.is_none();
        if is_begun {
            let is_start = !self.playback.is_running() || watch.is_new_film;
            watch.came_by = is_start.then_some(next.at);
            watch.release_due = now.up;
        }
        let was_in_time = self.playback.held_until.is_none_or(|until| next.at < until);
        watch.is_let_go =
            next.is_running() && (watch.is_let_go || !self.playback.is_running() && was_in_time);
        watch.is_left = is_left(next, now);
        // Not by a start: that waits for those who are not ready, and what runs dry afterwards is a stall.
        if self.playback.is_running()
            && next.is_running()
            && next.drift(self.playback.position(next.at), next.at).abs() > ELSEWHERE
        {
            watch.moved_at = Some(next.at);
        }
        watch.is_new_film &= !next.is_playing;
        watch.hold_due = next.held_until.map(|_| now.up);
        watch.is_tell_due |= next.held_until != self.playback.held_until;
    }

    /// Looks at a film that was let go. Whoever let it go may not have heard yet that somebody here is not ready: his node
    /// knows, and stops it for him as it does for one who runs dry.
    fn look_at_start(&mut self, now: Now) {
        if !std::mem::take(&mut self.watch.is_let_go) || !self.is_strict() {
            return;
        }
        let film = self.film();
        let is_overtaken = |user: UserId| {
            let word = self.watch.book.people.get(&user)?;
            let present = self.users.get(&user)?;
            let is_late = word.film == film && !word.is_ready && word.was_ready;
            (is_late && self.wait_for(user, present, film, now).is_some())
                .then(|| (user, word.overtaken(now.room)))
        };
        let words: Vec<_> = self.members.iter().filter_map(|member| is_overtaken(member.user)).collect();
        for (user, word) in words {
            self.watch.book.learn(user, &word);
            self.watch.unsent.insert(user);
            self.watch.is_tell_due = true;
        }
    }

    /// Whether the film was held by nodes that are no more, for people who have long gone.
    pub(super) fn is_left(&self) -> bool {
        self.watch.is_left
    }

    /// Whether the film, being held, waits for somebody who is here.
    fn is_waited_for(&self, user: UserId, present: &Present, film: Film, now: Now) -> bool {
        let word = self.watch.book.people.get(&user).filter(|word| word.film == film);
        let was_in_time = self.watch.came_by.is_some_and(|by| present.since <= by);
        (was_in_time || word.is_some_and(|word| word.was_ready))
            && self.wait_for(user, present, film, now).is_some()
    }

    /// A deadline has passed: remembers those for whom the film waited until then. Who ran dry is known to have.
    fn note_in_vain(&mut self, now: Now) {
        let until = self.playback.held_until;
        if !self.is_strict() || self.watch.noted_until >= until {
            return;
        }
        self.watch.noted_until = until;
        let film = self.film();
        let is_told = |user: &UserId| {
            self.watch.book.people.get(user).is_some_and(|word| word.stalls.last() == Some(&word.since))
        };
        let in_vain = |(user, present): &(&UserId, &Present)| {
            !is_told(user) && self.is_waited_for(**user, present, film, now)
        };
        let users: Vec<UserId> =
            self.users.iter().filter(in_vain).map(|(user, _)| *user).take(Waits::MOST).collect();
        for user in users {
            self.watch.waits.note(user, now.room);
        }
    }

    /// Finds somebody for whom the film waits, from the one who was found last on: most of the time that one.
    fn find_hold_out(&self, now: Now) -> Option<UserId> {
        let film = self.film();
        let from = self.watch.hold_out.unwrap_or(UserId(uuid::Uuid::nil()));
        let mut all = self.users.range(from..).chain(self.users.range(..from));
        all.find(|(user, present)| self.is_waited_for(**user, present, film, now)).map(|(user, _)| *user)
    }

    /// Looks at a hold: lets the film go on when nobody is left to wait for, nobody wants to wait any more, or the time
    /// is over. The last member of a room leaves it to the pause that follows.
    fn look_at_hold(&mut self, now: Now) {
        let Some(until) = self.playback.held_until else { return };
        if self.users.is_empty() {
            self.watch.hold_due = None; // whoever comes has it looked at again
            return;
        }
        let has_passed = now.room >= until || until.since(now.room) > LONGEST;
        self.watch.hold_out = self.find_hold_out(now);
        // A roster that is being read, or put together again, may lack somebody.
        let is_sure = !self.is_reading_roster && self.recovery.is_none();
        let is_over = has_passed || !self.is_strict() || (is_sure && self.watch.hold_out.is_none());
        if !is_over {
            let left = u64::try_from(until.since(now.room).as_millis()).unwrap_or(u64::MAX);
            self.watch.hold_due = Some(now.up.saturating_add(left.max(1)));
            return;
        }
        if has_passed && self.watch.hold_out.is_some() && self.is_strict() {
            self.note_in_vain(now);
            let gave_up = GaveUp { at: until.min(now.room), film: self.film() };
            self.watch.must_tell_deadline |= self.watch.book.learn_deadline(Some(gave_up));
        }
        if self.watch.release_due <= now.up {
            self.watch.release_due = now.up + RELEASE_MS;
            self.release(now);
        }
        self.watch.hold_due = Some(self.watch.release_due);
    }

    // ---- time, and telling ----

    /// The uptime at which this has to be looked at again.
    pub(super) fn watch_due(&self) -> Option<u64> {
        let watch = &self.watch;
        let has_news = !watch.unsent.is_empty() || watch.must_tell_deadline;
        let is_asked = self.facts.settings.readiness != ReadinessMode::Off;
        let send =
            (has_news && is_asked && !watch.is_sending && !self.is_reentering).then_some(watch.call_due);
        let tell = watch.is_tell_due.then(|| watch.told_at + self.tell_every());
        [send, tell, watch.hold_due].into_iter().flatten().min()
    }

    pub(super) fn watch_time(&mut self, now: Now) {
        if self.is_over {
            self.watch.hold_due = None;
            self.watch.is_tell_due = false;
            return;
        }
        self.look_at_hold(now);
        self.look_at_start(now);
        self.send_words(now);
        if self.watch.is_tell_due && self.watch.told_at + self.tell_every() <= now.up {
            self.watch.is_tell_due = false;
            self.tell_readiness(now);
        }
    }

    fn tell_every(&self) -> u64 {
        if self.online() > TELL_EACH { TELL_CROWD_MS } else { TELL_MS }
    }

    /// Tells everybody who is not ready, if that is not what they were told last.
    fn tell_readiness(&mut self, now: Now) {
        let frame = self.readiness_frame(now);
        let is_well = frame.count == 0 && !frame.held;
        let frame = Frame::Readiness(frame).to_json();
        if (is_well && self.watch.told.is_none()) || self.watch.told.as_ref() == Some(&frame) {
            return;
        }
        self.members.replace(&ws::text(&frame), Kind::Readiness);
        self.watch.told = (!is_well).then_some(frame);
        self.watch.told_at = now.up;
    }

    /// What somebody who comes in is told after his three frames, if there is anything to tell.
    pub(super) fn readiness_told(&self) -> Option<&str> {
        self.watch.told.as_deref()
    }

    fn readiness_frame(&self, now: Now) -> server::Readiness<'_> {
        let mode = self.facts.settings.readiness;
        let hold_until = self.playback.held_until;
        let mut waiting: Vec<(Timestamp, UserId, &str, Option<MediaTime>)> = Vec::new();
        if mode != ReadinessMode::Off {
            let film = self.film();
            let here = |user: &UserId| self.users.get(user).map(|present| present.name.as_str());
            let buffering = self.watch.book.buffering(film);
            waiting.extend(
                buffering.filter_map(|(user, word)| Some((word.since, user, here(&user)?, word.position))),
            );
            if hold_until.is_some() {
                // And those who have said nothing yet.
                let says_nothing =
                    |user: &UserId| self.watch.book.people.get(user).is_none_or(|word| word.film != film);
                let silent = self.users.iter().filter(|(user, present)| {
                    says_nothing(user) && self.is_waited_for(**user, present, film, now)
                });
                waiting.extend(
                    silent.map(|(user, present)| (present.since, *user, present.name.as_str(), None)),
                );
            }
        }
        let count = waiting.len() as u64;
        waiting.sort_unstable_by_key(|(since, user, ..)| (*since, *user));
        let waiting = waiting.into_iter().take(MAX_WAITING);
        server::Readiness {
            mode,
            waiting: waiting
                .map(|(_, user_id, user, position)| Waiting { user, user_id, position })
                .collect(),
            count,
            held: hold_until.is_some(),
            hold_until,
        }
    }
}
