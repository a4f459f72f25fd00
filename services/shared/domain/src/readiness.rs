//! Whose player is ready, and for whom a film waits.
//!
//! Members say READY or BUFFERING; the last word of a person counts, over whichever connection it came. A room that is
//! strict holds its film when it is to start while somebody is not ready, and when a player runs dry while it runs. Three
//! things keep one bad line from spoiling the evening: every hold has a deadline, a person who let one pass is waited for
//! again only once he has been ready, and one who ran dry twice within [`WINDOW`] is not waited for at all.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::id::UserId;
use crate::room::Source;
use crate::time::{MediaTime, Timestamp};

/// How long a start waits for somebody who has not been ready for this film before.
pub const FIRST_LOAD: Duration = Duration::from_secs(15);
/// How long the room waits for somebody whose player ran dry.
pub const REBUFFER: Duration = Duration::from_secs(8);
/// How often somebody may run dry within [`WINDOW`] and be waited for.
pub const PATIENCE: usize = 2;
/// How long a stall is held against somebody.
pub const WINDOW: Duration = Duration::from_secs(300);
/// How long after a seek whoever has to load is waited for and nothing is held against him.
pub const MOVED: Duration = Duration::from_secs(3);

/// Which film a word is about: that somebody was ready for the last one says nothing about this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Film(pub u64);

impl Film {
    /// The film of a source. A new title makes no other film.
    #[must_use]
    pub fn of(source: Option<&Source>) -> Self {
        let Some(source) = source else { return Self::default() };
        // FNV-1a: every node and every release comes to the same number.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for part in [&source.url, &source.provider, &source.video_id] {
            let bytes = part.as_deref().unwrap_or_default().bytes();
            for byte in bytes.chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Self(hash)
    }
}

/// What a player says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// It could run on from where the room is.
    pub is_ready: bool,
    /// Where it stands, if it says so.
    pub position: Option<MediaTime>,
}

/// What the film does when a player says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It stands, or is held: whoever is not ready now makes nobody wait.
    Stands,
    /// It runs from somewhere else since a moment ago ([`MOVED`]): players load for that, not for a bad line.
    Moved,
    /// It runs on.
    Runs,
}

/// How one person's player stands. Of two of one person the one with the later `at` counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Readiness {
    /// When he said so. Grows with each word of one person.
    pub at: Timestamp,
    /// Which film it is about.
    pub film: Film,
    /// Whether he is ready.
    pub is_ready: bool,
    /// Whether he ever was, for this film.
    pub was_ready: bool,
    /// Since when he is, or is not.
    pub since: Timestamp,
    /// Where his player stands.
    pub position: Option<MediaTime>,
    /// Whether he is not ready because his player ran dry while the film ran.
    pub is_stall: bool,
    /// When that last happened without a seek, oldest first: the last [`PATIENCE`] times and one more.
    pub stalls: Vec<Timestamp>,
}

impl Readiness {
    /// What `said`, at `now`, makes of what was known of somebody; `None` when it says nothing new. `course` tells a
    /// stall from a seek, and from one in a film that stands.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        said: Said,
        film: Film,
        course: Course,
        now: Timestamp,
    ) -> Option<Self> {
        let at = before.map_or(now, |before| now.max(Timestamp(before.at.0.saturating_add(1))));
        let Some(before) = before.filter(|before| before.film == film) else {
            let Said { is_ready, position } = said;
            return Some(Self {
                at,
                film,
                is_ready,
                was_ready: is_ready,
                since: at,
                position,
                is_stall: false,
                stalls: Vec::new(),
            });
        };
        let is_same = before.is_ready == said.is_ready;
        if is_same && (said.is_ready || before.position == said.position) {
            return None;
        }
        let mut next = Self { at, is_ready: said.is_ready, position: said.position, ..before.clone() };
        next.was_ready |= said.is_ready;
        if !is_same {
            next.since = at;
            next.is_stall = !said.is_ready && course != Course::Stands;
            if next.is_stall && course == Course::Runs {
                next.note_stall(at);
            }
        }
        Some(next)
    }

    /// The film was let go before the word that he is not ready was heard where that was decided: since `now` it runs
    /// without him.
    #[must_use]
    pub fn overtaken(&self, now: Timestamp) -> Self {
        let at = now.max(Timestamp(self.at.0.saturating_add(1)));
        let mut next = Self { at, since: at, is_stall: true, ..self.clone() };
        next.note_stall(at);
        next
    }

    fn note_stall(&mut self, at: Timestamp) {
        self.stalls.push(at);
        let old = self.stalls.len().saturating_sub(PATIENCE + 1);
        self.stalls.drain(..old);
    }

    /// How often he ran dry, without a seek, in the [`WINDOW`] before he began to be as he is.
    #[must_use]
    pub fn stalls_before(&self) -> usize {
        let before = self.stalls.iter().filter(|stall| **stall < self.since);
        before.filter(|stall| self.since.since(**stall) < WINDOW).count()
    }
}

/// For whom the film has waited lately where nothing else tells of it any more: in vain, or for somebody who has gone
/// since. Coming anew, or taking every start to its deadline, is no way around [`PATIENCE`].
///
/// Each node remembers what it saw itself; one that has just opened the room does not know, and learns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits(VecDeque<(Timestamp, UserId)>);

impl Waits {
    /// How many are remembered; of more, the oldest are forgotten.
    pub const MOST: usize = 64;

    /// The film waited for `user` until `at`, or his player ran dry then.
    pub fn note(&mut self, user: UserId, at: Timestamp) {
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((at, user));
    }

    /// Somebody goes, and what he said with him. `waited`: the film was waiting for him.
    pub fn note_gone(&mut self, user: UserId, word: &Readiness, waited: bool, now: Timestamp) {
        for stall in &word.stalls {
            self.note(user, *stall);
        }
        if waited && word.stalls.last() != Some(&word.since) {
            self.note(user, now);
        }
    }

    /// How often that was in the [`WINDOW`] before `now`.
    #[must_use]
    pub fn lately(&self, user: UserId, now: Timestamp) -> usize {
        self.0.iter().filter(|(at, who)| *who == user && now.since(*at) < WINDOW).count()
    }
}

/// A deadline that passed: whoever was not ready by then is waited for again only once he has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaveUp {
    /// The deadline.
    pub at: Timestamp,
    /// The film that waited.
    pub film: Film,
}

/// What is known of the players of a room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    /// Grows with each change, as a roster's version does. 0: nothing is known.
    pub version: u64,
    /// By person. Who says nothing is not in it.
    pub people: BTreeMap<UserId, Readiness>,
    /// The last deadline that passed.
    pub gave_up: Option<GaveUp>,
}

impl Book {
    /// Takes in what is said of somebody, unless something later is known; tells whether that changed anything.
    pub fn learn(&mut self, user: UserId, word: &Readiness) -> bool {
        let is_new = self.people.get(&user).is_none_or(|known| known.at < word.at);
        if is_new {
            self.people.insert(user, word.clone());
        }
        is_new
    }

    /// Takes in a deadline that passed, unless a later one is known; tells whether that changed anything.
    pub fn learn_deadline(&mut self, gave_up: Option<GaveUp>) -> bool {
        let at = |gave_up: Option<GaveUp>| gave_up.map(|gave_up| gave_up.at);
        let is_new = at(gave_up) > at(self.gave_up);
        if is_new {
            self.gave_up = gave_up;
        }
        is_new
    }

    /// How long a start of `film` waits for somebody who came at `came` and was waited for `waited` times lately
    /// ([`Waits`]); `None` when it does not. An old client, which says nothing, lets one deadline pass and is not waited
    /// for again.
    #[must_use]
    pub fn wait_for(&self, user: UserId, came: Timestamp, film: Film, waited: usize) -> Option<Duration> {
        let word = self.people.get(&user);
        let let_pass = |gave_up: GaveUp| {
            let has_spoken_since = match word {
                None => false,
                Some(word) if word.film == film => word.since > gave_up.at,
                // He speaks, but not of this film yet.
                Some(_) => gave_up.film != film,
            };
            came <= gave_up.at && !has_spoken_since
        };
        if self.gave_up.is_some_and(let_pass) {
            return None;
        }
        match word.filter(|word| word.film == film) {
            Some(word) if word.is_ready || word.stalls_before() + waited >= PATIENCE => None,
            _ if waited >= PATIENCE => None,
            Some(word) if word.was_ready => Some(REBUFFER),
            _ => Some(FIRST_LOAD),
        }
    }

    /// Those who say that they are not ready for `film`.
    pub fn buffering(&self, film: Film) -> impl Iterator<Item = (UserId, &Readiness)> {
        let buffers = move |word: &Readiness| word.film == film && !word.is_ready;
        self.people.iter().filter(move |(_, word)| buffers(word)).map(|(user, word)| (*user, word))
    }
}

#[cfg(test)]
mod tests;
