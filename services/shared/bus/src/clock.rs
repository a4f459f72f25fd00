//! Room time between two looks at the clock that everybody shares.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use streamit_domain::Timestamp;

/// How many looks are kept; the quickest of them is believed, since the slower an answer, the less it tells.
const KEPT: usize = 5;
/// A difference above this is no drift but another clock (or one that was set).
const JUMP: i64 = 250_000;
/// How far room time may be pulled towards the reference, per second that passes: 5 ms.
const SLEW: f64 = 0.005;
/// The same after the reference went back by more than [`JUMP`]: time runs at half speed until they meet, which is
/// the fastest way back that neither stands still nor runs backwards.
const BRAKE: f64 = 0.5;

/// A clock that follows a reference which is read every now and then, and extrapolates with the monotonic clock
/// of this machine in between. It never runs backwards, except once: when a first look at the reference replaces
/// the process clock that stood in for it.
#[derive(Debug)]
pub(crate) struct RoomClock {
    origin: Instant,
    state: Mutex<State>,
}

/// All times in microseconds: `local` since the origin, the rest since 1970.
#[derive(Debug)]
struct State {
    looks: Vec<Look>,
    /// Room time minus local time, at the local time `from` ...
    offset: i64,
    from: i64,
    /// ... on its way to this value, by at most `pace` per unit of time.
    target: i64,
    pace: f64,
    is_synced: bool,
    /// How far it has jumped ahead, all jumps together.
    jumped: i64,
    /// The latest moment that was told.
    told: i64,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    offset: i64,
    round_trip: i64,
}

impl State {
    fn offset_at(&self, local: i64) -> i64 {
        let way = self.target - self.offset;
        #[expect(clippy::cast_possible_truncation, reason = "far below 2^53 microseconds")]
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 microseconds")]
        let most = ((local - self.from).max(0) as f64 * self.pace) as i64;
        self.offset + way.clamp(-most, most)
    }
}

impl RoomClock {
    /// A clock that shows `stand_in` (Unix microseconds) until the reference is seen.
    pub(crate) fn new(at: Instant, stand_in: i64) -> Self {
        let state = State {
            looks: Vec::with_capacity(KEPT),
            offset: stand_in,
            from: 0,
            target: stand_in,
            pace: SLEW,
            is_synced: false,
            jumped: 0,
            told: i64::MIN,
        };
        Self { origin: at, state: Mutex::new(state) }
    }

    /// Takes in a look at the reference: it showed `reference` (Unix microseconds) at some moment between `asked` and
    /// `answered`.
    pub(crate) fn look(&self, asked: Instant, answered: Instant, reference: i64) {
        let (asked, local) = (self.local(asked), self.local(answered));
        let look =
            Look { offset: reference - i64::midpoint(asked, local), round_trip: (local - asked).max(0) };
        let mut state = self.state.lock();
        if let Some(before) = state.looks.last() {
            let doubt = look.round_trip.max(before.round_trip);
            if (look.offset - before.offset).abs() > JUMP + doubt {
                // What was learnt of the old clock says nothing about this one.
                state.looks.clear();
            }
        }
        if state.looks.len() == KEPT {
            state.looks.remove(0);
        }
        state.looks.push(look);
        // Of equals the last, which is the newest.
        let best = state.looks.iter().rev().min_by_key(|look| look.round_trip).copied().unwrap_or(look);
        // A look tells no more than half its round trip: what may be a slow line is no jump.
        let most = JUMP + best.round_trip / 2;
        let best = best.offset;

        state.offset = state.offset_at(local);
        state.from = local;
        state.target = best;
        state.pace = SLEW;
        let way = best - state.offset;
        if !state.is_synced {
            state.is_synced = true;
            state.offset = best;
            state.told = i64::MIN;
        } else if way > most {
            state.offset = best;
            state.jumped += way;
        } else if way < -most {
            state.pace = BRAKE;
        }
    }

    /// How far room time has jumped ahead since this clock is in step, all jumps together. (It never jumps back.)
    pub(crate) fn jumped(&self) -> Duration {
        Duration::from_micros(self.state.lock().jumped.unsigned_abs())
    }

    /// Forgets earlier looks: the reference is another one now.
    pub(crate) fn forget(&self) {
        self.state.lock().looks.clear();
    }

    /// Room time at `at`, a moment of the monotonic clock.
    pub(crate) fn now(&self, at: Instant) -> Timestamp {
        Timestamp(self.now_micros(at).div_euclid(1_000))
    }

    /// The same in microseconds.
    pub(crate) fn now_micros(&self, at: Instant) -> i64 {
        let local = self.local(at);
        let mut state = self.state.lock();
        let now = (local + state.offset_at(local)).max(state.told);
        state.told = now;
        now
    }

    fn local(&self, at: Instant) -> i64 {
        micros(at.saturating_duration_since(self.origin))
    }
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_700_000_000_000_000;

    fn at(origin: Instant, millis: u64) -> Instant {
        origin + Duration::from_millis(millis)
    }

    #[test]
    fn the_first_look_counts_at_once_and_then_drift_is_slewed() {
        let origin = Instant::now();
        let clock = RoomClock::new(origin, START);
        assert_eq!(clock.now(at(origin, 5)), Timestamp(START / 1000 + 5));
        // The reference is an hour behind the process clock.
        let hour = 3_600_000;
        clock.look(at(origin, 8), at(origin, 12), START - hour * 1000 + 10_000);
        assert_eq!(clock.now(at(origin, 12)), Timestamp(START / 1000 - hour + 12));
        // Two seconds later it is 100 ms ahead: the way there takes 20 s.
        clock.look(at(origin, 2_010), at(origin, 2_014), START - hour * 1000 + 2_112_000);
        assert_eq!(clock.now(at(origin, 2_012)), Timestamp(START / 1000 - hour + 2_012));
        assert_eq!(clock.now(at(origin, 3_014)), Timestamp(START / 1000 - hour + 3_014 + 5));
        assert_eq!(clock.now(at(origin, 30_000)), Timestamp(START / 1000 - hour + 30_000 + 100));
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_followed_and_one_that_jumps_back_is_waited_for() {
        let origin = Instant::now();
        let clock = RoomClock::new(origin, START);
        clock.look(origin, origin, START);
        clock.look(at(origin, 1_000), at(origin, 1_000), START + 61_000_000);
        assert_eq!(clock.now(at(origin, 1_000)), Timestamp(START / 1000 + 61_000));
        assert_eq!(clock.jumped(), Duration::from_secs(60));
        // Back by ten seconds: half speed for twenty.
        clock.look(at(origin, 2_000), at(origin, 2_000), START + 52_000_000);
        assert_eq!(clock.now(at(origin, 2_000)), Timestamp(START / 1000 + 62_000));
        assert_eq!(clock.now(at(origin, 12_000)), Timestamp(START / 1000 + 67_000));
        assert_eq!(clock.now(at(origin, 22_000)), Timestamp(START / 1000 + 72_000));
        assert_eq!(clock.now(at(origin, 23_000)), Timestamp(START / 1000 + 73_000));
        assert_eq!(clock.jumped(), Duration::from_secs(60));
    }

    #[test]
    fn a_slow_answer_moves_nothing_while_a_quick_one_is_known() {
        let origin = Instant::now();
        let clock = RoomClock::new(origin, START);
        clock.look(origin, at(origin, 1), START + 500);
        clock.look(at(origin, 1_000), at(origin, 1_400), START + 1_000_000 + 10_000);
        assert_eq!(clock.now(at(origin, 60_000)), Timestamp(START / 1000 + 60_000));
    }

    #[test]
    fn a_line_that_is_slow_in_one_direction_is_no_jump() {
        let origin = Instant::now();
        let clock = RoomClock::new(origin, START);
        clock.look(origin, at(origin, 1), START + 500);
        for second in 1..=2 * KEPT as u64 {
            let (asked, answered) = (at(origin, second * 1_000), at(origin, second * 1_000 + 700));
            clock.look(asked, answered, START + i64::try_from(second).unwrap() * 1_000_000 + 700_000);
        }
        assert_eq!(clock.jumped(), Duration::ZERO);
        assert!(clock.now(at(origin, 10_700)).since(Timestamp(START / 1000 + 10_700)).as_millis() < 30);
    }

    proptest! {
        #[test]
        fn time_never_runs_backwards(
            steps in prop::collection::vec((0u64..3_000, -2_000_000i64..2_000_000, 0u64..300), 1..60)
        ) {
            let origin = Instant::now();
            let clock = RoomClock::new(origin, START);
            clock.look(origin, origin, START);
            let (mut passed, mut last) = (0, Timestamp(0));
            for (wait, error, trip) in steps {
                passed += wait;
                let asked = at(origin, passed);
                passed += trip;
                clock.look(asked, at(origin, passed), START + i64::try_from(passed).unwrap() * 1000 + error);
                let now = clock.now(at(origin, passed));
                prop_assert!(now >= last);
                last = now;
            }
        }
    }
}
