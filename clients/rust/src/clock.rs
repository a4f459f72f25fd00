//! The room's clock, estimated from PINGs.

use std::collections::VecDeque;
use std::time::Instant;

use crate::event::{PlaybackState, Pong};

/// The best of so many exchanges counts: older ones say little about a clock that may drift.
const KEPT: usize = 8;

/// Rounding of the server's whole milliseconds, at either end.
const ROUNDING_MS: f64 = 1.0;

/// Tells the room's time on this machine.
///
/// Send a PING with [`RoomClock::t0`], hand every PONG to [`RoomClock::pong`]. The estimate is off by at most
/// half the round trip of the best exchange, [`RoomClock::bound_ms`], whatever this machine's own clock says.
#[derive(Debug)]
pub struct RoomClock {
    start: Instant,
    samples: VecDeque<Sample>,
}

/// The room's clock lies at `offset` from ours, give or take `bound`; both in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    offset: f64,
    bound: f64,
}

impl Default for RoomClock {
    fn default() -> Self {
        Self { start: Instant::now(), samples: VecDeque::with_capacity(KEPT) }
    }
}

impl RoomClock {
    /// A clock that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What to send as `t0`: this machine's time, in milliseconds since the clock was made.
    #[must_use]
    pub fn t0(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1_000.0
    }

    /// Takes in the answer to a PING of this clock. Anything that can't be one is ignored.
    pub fn pong(&mut self, pong: &Pong) {
        let t3 = self.t0();
        if let Ok(t0) = pong.t0.parse::<f64>() {
            self.exchange(t0, pong.t1 as f64, pong.t2 as f64, t3);
        }
    }

    fn exchange(&mut self, t0: f64, t1: f64, t2: f64, t3: f64) {
        let round_trip = (t3 - t0) - (t2 - t1);
        if !round_trip.is_finite() || t0 > t3 || t1 > t2 {
            return;
        }
        let sample =
            Sample { offset: ((t1 - t0) + (t2 - t3)) / 2.0, bound: round_trip.max(0.0) / 2.0 + ROUNDING_MS };
        // Two honest exchanges overlap. Where they don't, the room's clock has jumped, and the past is void.
        self.samples.retain(|old| (old.offset - sample.offset).abs() <= old.bound + sample.bound);
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    fn best(&self) -> Option<Sample> {
        self.samples.iter().copied().min_by(|a, b| a.bound.total_cmp(&b.bound))
    }

    /// The room's time now, Unix milliseconds; none before the first PONG.
    #[must_use]
    pub fn now_ms(&self) -> Option<f64> {
        self.best().map(|sample| self.t0() + sample.offset)
    }

    /// How far [`RoomClock::now_ms`] may be off, in milliseconds.
    #[must_use]
    pub fn bound_ms(&self) -> Option<f64> {
        self.best().map(|sample| sample.bound)
    }

    /// Where the film stands now, in seconds; none before the first PONG.
    #[must_use]
    pub fn position(&self, state: &PlaybackState) -> Option<f64> {
        self.now_ms().map(|now| state.position(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_exchange_counts() {
        let mut clock = RoomClock::new();
        assert_eq!(clock.now_ms(), None);
        // The room is 1,000 ms ahead. The way there took 90 ms, the way back 10.
        clock.exchange(0.0, 1_090.0, 1_090.0, 100.0);
        assert_eq!(clock.best().unwrap(), Sample { offset: 1_040.0, bound: 51.0 });
        clock.exchange(200.0, 1_201.0, 1_203.0, 204.0);
        assert_eq!(clock.best().unwrap(), Sample { offset: 1_000.0, bound: 2.0 });
        clock.exchange(300.0, 1_350.0, 1_350.0, 400.0);
        assert_eq!(clock.bound_ms(), Some(2.0));
    }

    #[test]
    fn the_truth_is_within_the_bound_however_lopsided_the_way() {
        for (there, back) in [(0.0, 80.0), (80.0, 0.0), (3.0, 5.0), (40.0, 41.0)] {
            let mut clock = RoomClock::new();
            clock.exchange(10.0, 10.0 + there + 5_000.0, 12.0 + there + 5_000.0, 12.0 + there + back);
            let best = clock.best().unwrap();
            assert!((best.offset - 5_000.0).abs() <= best.bound, "{there} {back}");
        }
    }

    #[test]
    fn a_jump_of_the_rooms_clock_voids_the_past() {
        let mut clock = RoomClock::new();
        clock.exchange(0.0, 1_000.0, 1_000.0, 1.0);
        clock.exchange(10.0, 9_050.0, 9_050.0, 110.0);
        assert_eq!(clock.samples.len(), 1);
        assert_eq!(clock.best().unwrap().offset, 8_990.0);
    }

    #[test]
    fn nonsense_is_ignored() {
        let mut clock = RoomClock::new();
        clock.exchange(f64::NAN, 1.0, 1.0, 2.0);
        clock.exchange(5.0, 1.0, 1.0, 2.0);
        clock.pong(&Pong { t0: "\"x\"".into(), t1: 1, t2: 1 });
        assert_eq!(clock.now_ms(), None);
    }
}
