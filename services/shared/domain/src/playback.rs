//! Where the film stands, and what a command does to it.
//!
//! Playback is an anchor: "at room time `at` the film stood at `time`", plus whether it runs. Everybody works
//! out the position for any moment from that, so nothing has to be sent while a film simply runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{MediaTime, Timestamp};

/// Orders the states of one room's playback. A state under a higher fence wins over any under a lower one:
/// a former host's command can't overwrite what the new host did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Grows whenever the set of people who may control playback changes.
    pub fence: u64,
    /// Grows with each state; what clients see. Stays below 2^53.
    pub number: u64,
}

/// One state of a room's playback.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playback {
    /// Which of two states is the newer one.
    pub version: Version,
    /// Whether the film runs.
    pub is_playing: bool,
    /// The position at `at`.
    pub time: MediaTime,
    /// Room time of the anchor. May lie ahead: until then the position is `time`.
    pub at: Timestamp,
    /// Seconds of film per second, 1.0 at normal speed.
    pub rate: f64,
}

/// What a host (or co-host) may ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Run from here, or from the current position.
    Play(Option<MediaTime>),
    /// Stop here, or at the current position.
    Pause(Option<MediaTime>),
    /// Go there, and keep running or stopped as it was.
    Seek(MediaTime),
}

impl Playback {
    /// A film that nobody has started, in a room made at `created_at`. The same on every node, so that somebody who
    /// comes back through another one never sees the version go back.
    #[must_use]
    pub fn start(fence: u64, created_at: Timestamp) -> Self {
        let number = u64::try_from(created_at.0).unwrap_or(0);
        Self {
            version: Version { fence, number },
            is_playing: false,
            time: MediaTime::ZERO,
            at: created_at,
            rate: 1.0,
        }
    }

    /// The position at `now`.
    #[must_use]
    pub fn position(&self, now: Timestamp) -> MediaTime {
        if !self.is_playing {
            return self.time;
        }
        let run = now.since(self.at).as_secs_f64() * self.rate;
        MediaTime::try_from(self.time.secs() + run).unwrap_or(self.time)
    }

    /// The state after `command` at `now`, under `fence`. Its number is above this state's, above `seen` (the
    /// highest that any client of the caller may have been shown), and at least the room clock, so that it
    /// grows even after a store came back empty.
    #[must_use]
    pub fn after(&self, command: Command, fence: u64, seen: u64, now: Timestamp) -> Self {
        let (is_playing, time) = match command {
            Command::Play(time) => (true, time.unwrap_or_else(|| self.position(now))),
            Command::Pause(time) => (false, time.unwrap_or_else(|| self.position(now))),
            Command::Seek(time) => (self.is_playing, time),
        };
        let clock = u64::try_from(now.0).unwrap_or(0);
        let number = self.version.number.max(seen).max(clock) + 1;
        Self { version: Version { fence, number }, is_playing, time, at: now, rate: self.rate }
    }

    /// The same film told as an anchor at `now`, for somebody who comes late. An anchor that lies ahead stays.
    #[must_use]
    pub fn anchored(&self, now: Timestamp) -> Self {
        if now <= self.at {
            return *self;
        }
        Self { time: self.position(now), at: now, ..*self }
    }

    /// The same film after the room clock has jumped ahead by `jump` and shows `now`: every position is what it was, under
    /// a number that is newer than this one.
    #[must_use]
    pub fn after_jump(&self, jump: Duration, now: Timestamp) -> Self {
        let next = self.after(Command::Seek(self.time), self.version.fence, 0, now);
        Self { at: self.at.plus(jump), ..next }
    }

    /// How far, in seconds, a client at `client` is ahead (positive) or behind (negative) at `now`.
    #[must_use]
    pub fn drift(&self, client: MediaTime, now: Timestamp) -> f64 {
        client.secs() - self.position(now).secs()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(s: f64) -> MediaTime {
        MediaTime::try_from(s).unwrap()
    }

    fn playing_from(time: f64, at: i64) -> Playback {
        Playback::start(1, Timestamp(at)).after(Command::Play(Some(secs(time))), 1, 0, Timestamp(at))
    }

    #[test]
    fn a_running_film_moves_and_a_stopped_one_does_not() {
        let run = playing_from(10.0, 1_000);
        assert_eq!(run.position(Timestamp(3_500)), secs(12.5));
        let stop = run.after(Command::Pause(None), 1, 0, Timestamp(3_500));
        assert!(!stop.is_playing);
        assert_eq!(stop.position(Timestamp(99_000)), secs(12.5));
    }

    #[test]
    fn before_an_anchor_that_lies_ahead_the_position_is_its_time() {
        let run = playing_from(10.0, 5_000);
        assert_eq!(run.position(Timestamp(4_000)), secs(10.0));
        assert_eq!(run.anchored(Timestamp(4_000)), run);
        assert_eq!(run.anchored(Timestamp(6_000)).time, secs(11.0));
    }

    #[test]
    fn a_seek_keeps_the_film_running_or_stopped() {
        let run = playing_from(0.0, 0);
        assert!(run.after(Command::Seek(secs(60.0)), 1, 0, Timestamp(5)).is_playing);
        let stop = run.after(Command::Pause(None), 1, 0, Timestamp(5));
        assert!(!stop.after(Command::Seek(secs(60.0)), 1, 0, Timestamp(6)).is_playing);
    }

    #[test]
    fn a_clock_that_jumps_does_not_move_the_film() {
        let run = playing_from(10.0, 1_000);
        let jump = Duration::from_secs(3_600);
        let same = run.after_jump(jump, Timestamp(3_500).plus(jump));
        assert_eq!(same.position(Timestamp(3_500).plus(jump)), secs(12.5));
        assert!(same.version > run.version && same.is_playing);
    }

    #[test]
    fn a_higher_fence_beats_a_higher_number() {
        assert!(Version { fence: 2, number: 1 } > Version { fence: 1, number: 900 });
    }

    proptest! {
        #[test]
        fn versions_grow_whatever_the_clock_does(
            steps in prop::collection::vec((0u8..3, 0.0f64..1e7, -1_000_000i64..1_000_000, 0u64..1 << 50), 1..50)
        ) {
            let mut state = Playback::start(1, Timestamp(1_700_000_000_000));
            let mut now = 1_700_000_000_000i64;
            for (kind, at, step, seen) in steps {
                now += step;
                let command = match kind {
                    0 => Command::Play(Some(secs(at))),
                    1 => Command::Pause(None),
                    _ => Command::Seek(secs(at)),
                };
                let next = state.after(command, 1, seen, Timestamp(now));
                prop_assert!(next.version > state.version);
                prop_assert!(next.version.number > seen);
                prop_assert!(next.version.number < 1 << 53);
                prop_assert!(next.time.secs().is_finite() && next.time.secs() >= 0.0);
                state = next;
            }
        }

        #[test]
        fn a_late_joiner_computes_the_same_position(start in 0.0f64..1e6, joined in 0i64..10_000_000, later in 0i64..10_000_000) {
            let run = playing_from(start, 1_000);
            let told = run.anchored(Timestamp(1_000 + joined));
            let moment = Timestamp(1_000 + joined + later);
            prop_assert!((told.position(moment).secs() - run.position(moment).secs()).abs() < 1e-3);
        }
    }
}
