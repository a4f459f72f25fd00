//! What a viewer has seen, and how it went for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use streamit_client::{ChatMessage, CloseReason, PlaybackState, Welcome};
use tokio::time::Instant;

use crate::check::{Joined, Message, Seen, State, Witness};

/// Each host's commands go to positions of their own: so many seconds lie between those of one rule and the next.
pub(super) const REIGN: f64 = 10_000.0;

/// All that is known of one viewer.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Its name in the room.
    pub name: String,
    /// What it saw, and when.
    pub seen: Vec<(Option<Instant>, Seen)>,
    /// What it said and saw to be stored, by epoch.
    pub acknowledged: BTreeMap<u64, BTreeSet<String>>,
    /// What it said more than once.
    pub sent_again: BTreeSet<String>,
    /// Each time that it was without a connection and wanted one.
    pub breaks: Vec<Break>,
    /// What was refused: when, and the code.
    pub refused: Vec<(Instant, String)>,
    /// When each message was first sent.
    pub sent_at: BTreeMap<String, Instant>,
    /// How long each command took from being sent to being seen by who sent it, and when it was sent.
    pub obeyed_after: Vec<(Instant, Duration)>,
    /// It was told not to come back.
    pub stopped: Option<CloseReason>,
    /// Whether it is in the room.
    pub is_in: bool,
    /// Whether it wants to be.
    pub wants_in: bool,
    /// Whether it left because it wanted to, ever.
    pub has_left: bool,
    /// Epoch and number of the last message.
    pub place: Option<(u64, u64)>,
    /// Of the film.
    pub version: u64,
    /// Whom it believes to be there.
    pub present: BTreeSet<String>,
    /// How many of its words are not known to be stored.
    pub unanswered: usize,
}

/// A time without a connection.
#[derive(Clone, Debug)]
pub struct Break {
    /// When it ended: if it fell silent, when it was last heard.
    pub lost: Instant,
    /// How it ended.
    pub reason: CloseReason,
    /// When it was in the room again.
    pub back: Option<Instant>,
    /// How tries to come back ended.
    pub refusals: Vec<CloseReason>,
}

impl Break {
    /// How long it took; until now when it is not over.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.back.unwrap_or_else(Instant::now) - self.lost
    }

    /// How long it took beyond what the servers had asked for.
    #[must_use]
    pub fn beyond_hint(&self) -> Duration {
        let told =
            std::iter::once(&self.reason).chain(&self.refusals).filter_map(|reason| reason.retry_in_ms);
        self.length().saturating_sub(Duration::from_millis(told.sum()))
    }
}

impl Record {
    pub(super) fn sees(&mut self, seen: Seen) {
        self.seen.push((Some(Instant::now()), seen));
    }

    pub(super) fn joined(&mut self, welcome: &Welcome) {
        let joined = Joined {
            asked: self.place,
            epoch: welcome.history.epoch.unwrap_or_default(),
            resumed: welcome.history.resumed,
            messages: welcome.history.messages.iter().map(message).collect(),
            state: state(&welcome.playback),
            present: welcome.participants.participants.iter().cloned().collect(),
        };
        let before = self.place.filter(|_| joined.resumed).map_or(0, |(_, seq)| seq);
        let last = joined.messages.last().map_or(before, |message| message.seq);
        self.place = Some((joined.epoch, last));
        self.version = self.version.max(joined.state.version);
        self.present.clone_from(&joined.present);
        self.is_in = true;
        if let Some(open) = self.breaks.last_mut().filter(|open| open.back.is_none()) {
            open.back = Some(Instant::now());
        }
        self.sees(Seen::Joined(joined));
    }

    pub(super) fn said(&mut self, said: &ChatMessage) {
        if let Some((_, last)) = &mut self.place {
            *last = said.seq.max(*last);
        }
        self.sees(Seen::Said(message(said)));
    }

    pub(super) fn played(&mut self, played: &PlaybackState) {
        self.version = self.version.max(played.version);
        self.sees(Seen::Played(state(played)));
    }

    pub(super) fn listed(&mut self, names: &[String]) {
        self.present = names.iter().cloned().collect();
        self.sees(Seen::Listed(self.present.clone()));
    }

    pub(super) fn came(&mut self, name: &str) {
        self.present.insert(name.to_owned());
        self.sees(Seen::Came(name.to_owned()));
    }

    pub(super) fn went(&mut self, name: &str) {
        self.present.remove(name);
        self.sees(Seen::Went(name.to_owned()));
    }

    /// The connection ended, or a try to make one did.
    pub(super) fn lost(&mut self, reason: CloseReason, since: Instant) {
        if std::mem::take(&mut self.is_in) {
            self.sees(Seen::Ended(Some(reason.code).filter(|code| *code != CloseReason::BROKEN)));
            self.breaks.push(Break { lost: since, reason, back: None, refusals: Vec::new() });
        } else if let Some(open) = self.breaks.last_mut() {
            open.refusals.push(reason);
        }
    }

    pub(super) fn acknowledge(&mut self, id: &str) {
        if let Some((epoch, _)) = self.place {
            self.acknowledged.entry(epoch).or_default().insert(id.to_owned());
        }
    }

    /// As the checker knows it.
    pub(super) fn witness(&self) -> Witness {
        Witness {
            name: self.name.clone(),
            seen: self.seen.iter().map(|(_, seen)| seen.clone()).collect(),
            sent_again: self.sent_again.clone(),
        }
    }
}

pub(super) fn message(said: &ChatMessage) -> Message {
    Message { seq: said.seq, user: said.user.clone(), id: said.message.clone() }
}

fn state(state: &PlaybackState) -> State {
    State {
        version: state.version,
        is_playing: state.is_playing,
        time_ms: state.time * 1_000.0,
        server_time: state.server_time,
        reign: Some((state.time / REIGN) as u32),
    }
}
