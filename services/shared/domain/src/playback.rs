//! Where the film stands, and what a command does to it.
//!
//! Playback is an anchor: "at room time `at` the film stood at `time`", plus whether it runs. Everybody works
//! out the position for any moment from that, so nothing has to be sent while a film simply runs.
//!
//! A film begins to run a moment after the command ([`lead`]), so that everybody has heard of it and all start together
//! instead of one after the other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{MediaTime, Timestamp};

/// The least time between a command and the moment from which the film runs; also the lead without measurements.
pub const MIN_LEAD: Duration = Duration::from_millis(150);
/// The most: a host who presses play is not kept waiting for somebody whose line is worse than that.
pub const MAX_LEAD: Duration = Duration::from_millis(1_500);

/// How far ahead a film is told to begin where 95 % of round trips take at most `p95`: twice that, from 150 ms to 1.5 s,
/// as the protocol promises. One way to the server and one from there to the others is a whole round trip; the other one
/// is for what a player needs to be ready. `None`: nothing was measured.
#[must_use]
pub fn lead(p95: Option<Duration>) -> Duration {
    p95.map_or(MIN_LEAD, |p95| p95.saturating_mul(2).clamp(MIN_LEAD, MAX_LEAD))
}

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
    /// Whether the film runs, or is to run as soon as it is held no more.
    pub is_playing: bool,
    /// Until when the film stands, at the latest, because the room waits for somebody's player (see [`crate::readiness`]).
    /// Only of a film that is playing.
    pub held_until: Option<Timestamp>,
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
            held_until: None,
            time: MediaTime::ZERO,
            at: created_at,
            rate: 1.0,
        }
    }

    /// Whether the film moves (from its anchor on): it is neither stopped nor held.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.is_playing && self.held_until.is_none()
    }

    /// The position at `now`.
    #[must_use]
    pub fn position(&self, now: Timestamp) -> MediaTime {
        if !self.is_running() {
            return self.time;
        }
        let run = now.since(self.at).as_secs_f64() * self.rate;
        MediaTime::try_from(self.time.secs() + run).unwrap_or(self.time)
    }

    /// The state after `command` at `now`, under `fence`. Its number is above this state's, above `seen` (the
    /// highest that any client of the caller may have been shown), and at least the room clock, so that it
    /// grows even after a store came back empty.
    ///
    /// A film that is to run does so from `lead` later on, see [`lead`]; one that stops, or is stopped, does so now.
    /// Before its anchor it stands at `time`, so that a pause within the lead leaves it there. A film that is held stays so,
    /// wherever it goes meanwhile, until a pause ends that.
    #[must_use]
    pub fn after(&self, command: Command, fence: u64, seen: u64, now: Timestamp, lead: Duration) -> Self {
        let begins = now.plus(lead);
        let (is_playing, time, at) = match command {
            Command::Play(time) if self.held_until.is_some() => (true, time.unwrap_or(self.time), now),
            // It runs already, or is about to: nobody is to stall for that.
            Command::Play(None) if self.is_playing && self.at <= now.plus(MAX_LEAD) => {
                let same = self.anchored(now);
                (true, same.time, same.at)
            }
            // Also when the anchor lies further ahead than any lead: the clock it was made by is no more.
            Command::Play(time) => (true, time.unwrap_or_else(|| self.position(now)), begins),
            Command::Pause(time) => (false, time.unwrap_or_else(|| self.position(now)), now),
            Command::Seek(time) => (self.is_playing, time, if self.is_running() { begins } else { now }),
        };
        let held_until = self.held_until.filter(|_| is_playing);
        let version = self.version_after(fence, seen, now);
        Self { version, is_playing, held_until, time, at, rate: self.rate }
    }

    /// A film that runs, stopped at `now` until `until` at the latest. The version stays.
    #[must_use]
    pub fn held(&self, until: Timestamp, now: Timestamp) -> Self {
        Self { held_until: Some(until), time: self.position(now), at: now, ..*self }
    }

    /// The same as a new state, as [`Playback::after`] makes them.
    #[must_use]
    pub fn hold(&self, until: Timestamp, fence: u64, now: Timestamp) -> Self {
        Self { version: self.version_after(fence, 0, now), ..self.held(until, now) }
    }

    /// A film that was held goes on, a `lead` later.
    #[must_use]
    pub fn release(&self, fence: u64, now: Timestamp, lead: Duration) -> Self {
        let version = self.version_after(fence, 0, now);
        Self { version, held_until: None, at: now.plus(lead), ..*self }
    }

    /// As it is kept for good: nobody waits any more, so a film that is held is paused where it stands.
    #[must_use]
    pub fn settled(&self) -> Self {
        Self { is_playing: self.is_running(), held_until: None, ..*self }
    }

    fn version_after(&self, fence: u64, seen: u64, now: Timestamp) -> Version {
        let clock = u64::try_from(now.0).unwrap_or(0);
        Version { fence, number: self.version.number.max(seen).max(clock) + 1 }
    }

    /// The same film told as an anchor at `now`, for somebody who comes late. An anchor that lies ahead stays.
    #[must_use]
    pub fn anchored(&self, now: Timestamp) -> Self {
        if now <= self.at {
            return *self;
        }
        Self { time: self.position(now), at: now, ..*self }
    }

    /// The same film after the room clock has jumped ahead by `jump` and shows `now`: every position is what it was, and an
    /// anchor that lay ahead lies as far ahead as before, under a number that is newer than this one.
    #[must_use]
    pub fn after_jump(&self, jump: Duration, now: Timestamp) -> Self {
        Self { version: self.version_after(self.version.fence, 0, now), at: self.at.plus(jump), ..*self }
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

    const LEAD: Duration = Duration::from_millis(400);

    fn do_at(state: &Playback, command: Command, now: i64) -> Playback {
        state.after(command, 1, 0, Timestamp(now), LEAD)
    }

    /// A film that runs from `time` at `at`, told a lead earlier.
    fn playing_from(time: f64, at: i64) -> Playback {
        let told = at - 400;
        do_at(&Playback::start(1, Timestamp(told)), Command::Play(Some(secs(time))), told)
    }

    #[test]
    fn the_lead_is_twice_the_round_trip_within_its_bounds() {
        let ms = Duration::from_millis;
        assert_eq!(lead(None), ms(150));
        for (p95, expected) in [(0, 150), (75, 150), (76, 152), (300, 600), (750, 1_500), (60_000, 1_500)] {
            assert_eq!(lead(Some(ms(p95))), ms(expected), "{p95}");
        }
        assert_eq!(lead(Some(Duration::MAX)), ms(1_500));
    }

    #[test]
    fn a_running_film_moves_and_a_stopped_one_does_not() {
        let run = playing_from(10.0, 1_000);
        assert_eq!(run.position(Timestamp(3_500)), secs(12.5));
        let stop = do_at(&run, Command::Pause(None), 3_500);
        assert!(!stop.is_playing);
        assert_eq!((stop.at, stop.position(Timestamp(99_000))), (Timestamp(3_500), secs(12.5)));
    }

    #[test]
    fn before_an_anchor_that_lies_ahead_the_position_is_its_time() {
        let run = playing_from(10.0, 5_000);
        assert_eq!(run.at, Timestamp(5_000));
        assert_eq!(run.position(Timestamp(4_600)), secs(10.0));
        assert_eq!(run.anchored(Timestamp(4_700)), run);
        assert_eq!(run.anchored(Timestamp(6_000)).time, secs(11.0));
    }

    #[test]
    fn a_film_begins_a_lead_after_play_from_where_it_stood() {
        let stop = do_at(&playing_from(10.0, 1_000), Command::Pause(None), 3_000);
        let run = do_at(&stop, Command::Play(None), 9_000);
        assert_eq!((run.time, run.at), (secs(12.0), Timestamp(9_400)));
    }

    #[test]
    fn play_while_it_runs_changes_nothing_that_anybody_sees() {
        let run = playing_from(10.0, 1_000);
        let again = do_at(&run, Command::Play(None), 3_500);
        assert_eq!((again.time, again.at), (secs(12.5), Timestamp(3_500)));
        let early = do_at(&run, Command::Play(None), 700);
        assert_eq!((early.time, early.at), (run.time, run.at), "an anchor that lies ahead stays");
        assert!(again.version > run.version && early.version > run.version);
        let elsewhere = do_at(&run, Command::Play(Some(secs(60.0))), 3_500);
        assert_eq!(
            (elsewhere.time, elsewhere.at),
            (secs(60.0), Timestamp(3_900)),
            "with a time it is a seek"
        );
    }

    #[test]
    fn an_anchor_of_a_clock_that_is_no_more_holds_no_film_back() {
        let run = playing_from(10.0, 3_600_000);
        let again = do_at(&run, Command::Play(None), 1_000);
        assert_eq!((again.time, again.at), (secs(10.0), Timestamp(1_400)));
    }

    #[test]
    fn a_pause_within_the_lead_stops_where_the_film_was_to_begin() {
        let run = playing_from(10.0, 1_000);
        let stop = do_at(&run, Command::Pause(None), 800);
        assert_eq!((stop.is_playing, stop.time, stop.at), (false, secs(10.0), Timestamp(800)));
    }

    #[test]
    fn a_seek_keeps_the_film_running_or_stopped() {
        let run = do_at(&playing_from(0.0, 1_000), Command::Seek(secs(60.0)), 5_000);
        assert_eq!((run.is_playing, run.time, run.at), (true, secs(60.0), Timestamp(5_400)));
        let soon = do_at(&run, Command::Seek(secs(70.0)), 5_100);
        assert_eq!(
            (soon.time, soon.at),
            (secs(70.0), Timestamp(5_500)),
            "one right after another begins anew"
        );
        let stop = do_at(&do_at(&run, Command::Pause(None), 6_000), Command::Seek(secs(80.0)), 7_000);
        assert_eq!((stop.is_playing, stop.time, stop.at), (false, secs(80.0), Timestamp(7_000)));
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
    fn a_clock_that_jumps_within_the_lead_leaves_as_much_of_it() {
        let run = playing_from(10.0, 1_000);
        let jump = Duration::from_secs(3_600);
        let same = run.after_jump(jump, Timestamp(900).plus(jump));
        assert_eq!((same.time, same.at), (run.time, run.at.plus(jump)));
        assert_eq!(same.position(Timestamp(2_000).plus(jump)), secs(11.0));
    }

    #[test]
    fn a_film_that_is_held_stands_and_goes_on_from_there() {
        let run = playing_from(10.0, 1_000);
        let held = run.hold(Timestamp(11_000), 1, Timestamp(3_000));
        assert!(held.is_playing && !held.is_running() && held.version > run.version);
        assert_eq!(held.position(Timestamp(9_000)), secs(12.0));
        let on = held.release(1, Timestamp(5_000), LEAD);
        assert_eq!((on.time, on.at, on.held_until), (secs(12.0), Timestamp(5_400), None));
        assert!(on.is_running() && on.version > held.version);
    }

    #[test]
    fn a_film_that_is_held_may_go_elsewhere_and_its_deadline_stays() {
        let held = playing_from(10.0, 1_000).hold(Timestamp(11_000), 1, Timestamp(3_000));
        for command in [Command::Seek(secs(60.0)), Command::Play(Some(secs(60.0)))] {
            let there = do_at(&held, command, 4_000);
            assert_eq!((there.held_until, there.time), (held.held_until, secs(60.0)));
            assert_eq!((there.at, there.position(Timestamp(9_000))), (Timestamp(4_000), secs(60.0)));
        }
        assert_eq!(do_at(&held, Command::Play(None), 4_000).held_until, held.held_until);
        let stop = do_at(&held, Command::Pause(None), 4_000);
        assert_eq!((stop.is_playing, stop.held_until, stop.time), (false, None, secs(12.0)));
        let kept = held.settled();
        assert_eq!((kept.is_playing, kept.held_until, kept.time), (false, None, secs(12.0)));
    }

    #[test]
    fn a_start_that_is_held_within_its_lead_stands_at_its_beginning() {
        let run = playing_from(10.0, 1_000);
        let held = run.held(Timestamp(16_000), Timestamp(700));
        assert_eq!((held.time, held.at, held.version), (secs(10.0), Timestamp(700), run.version));
    }

    #[test]
    fn a_higher_fence_beats_a_higher_number() {
        assert!(Version { fence: 2, number: 1 } > Version { fence: 1, number: 900 });
    }

    proptest! {
        #[test]
        fn versions_grow_whatever_the_clock_does(
            steps in prop::collection::vec((0u8..4, 0.0f64..1e7, -1_000_000i64..1_000_000, 0u64..1 << 50), 1..50)
        ) {
            let mut state = Playback::start(1, Timestamp(1_700_000_000_000));
            let mut now = 1_700_000_000_000i64;
            for (kind, at, step, seen) in steps {
                now += step;
                let command = match kind {
                    0 => Command::Play(Some(secs(at))),
                    1 => Command::Pause(None),
                    2 => Command::Play(None),
                    _ => Command::Seek(secs(at)),
                };
                let next = state.after(command, 1, seen, Timestamp(now), LEAD);
                prop_assert!(next.version > state.version);
                prop_assert!(next.version.number > seen);
                prop_assert!(next.version.number < 1 << 53);
                prop_assert!(next.time.secs().is_finite() && next.time.secs() >= 0.0);
                prop_assert!(next.at <= Timestamp(now).plus(MAX_LEAD));
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
