//! How often somebody may do something.
//!
//! Limits may be forgotten (a restart is generous), so they live in memory or with an expiry, never in the
//! database. The state of a limit is one value; who keeps it passes it in and stores what comes out.

use std::time::Duration;

use crate::time::Timestamp;

/// A rate with bursts: `burst` at once, refilled at `per_minute` a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained events per minute.
    pub per_minute: u32,
    /// Events that may come at once after a silence.
    pub burst: u32,
}

impl Rate {
    /// `n` a minute, in bursts of `n`.
    #[must_use]
    pub const fn per_minute(n: u32) -> Self {
        Self { per_minute: n, burst: n }
    }

    /// `n` a second, in bursts of `burst`.
    #[must_use]
    pub const fn per_second(n: u32, burst: u32) -> Self {
        Self { per_minute: n * 60, burst }
    }

    /// Microseconds between two events at the sustained rate.
    #[must_use]
    pub fn interval_micros(self) -> i64 {
        60_000_000 / i64::from(self.per_minute.max(1))
    }

    /// How far, in microseconds, the theoretical arrival time may run ahead of now.
    #[must_use]
    pub fn tolerance_micros(self) -> i64 {
        self.interval_micros() * i64::from(self.burst.max(1))
    }
}

/// The state of one [`Rate`] for one key: the *theoretical arrival time* of the generic cell rate algorithm
/// (ITU-T I.371, annex A; "virtual scheduling"), in Unix microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gcra(pub i64);

impl Gcra {
    /// Takes one event at `now_micros`.
    ///
    /// # Errors
    /// When the rate is used up: how long to wait until one event will be taken again.
    pub fn take(&mut self, rate: Rate, now_micros: i64) -> Result<(), Duration> {
        let next = self.0.max(now_micros) + rate.interval_micros();
        let wait = next - now_micros - rate.tolerance_micros();
        if wait > 0 {
            return Err(Duration::from_micros(wait.unsigned_abs()));
        }
        self.0 = next;
        Ok(())
    }

    /// Takes the last event back: it did not count after all.
    pub fn give_back(&mut self, rate: Rate) {
        self.0 = self.0.saturating_sub(rate.interval_micros());
    }
}

/// What one user's chat may do: [`Self::MESSAGES`] within [`Self::WINDOW`], then [`Self::PAUSE`] of silence.
#[derive(Clone, Debug, Default)]
pub struct ChatPacer {
    recent: [Timestamp; ChatPacer::MESSAGES],
    paused_until: Timestamp,
}

impl ChatPacer {
    /// Messages allowed within the window.
    pub const MESSAGES: usize = 5;
    /// The window.
    pub const WINDOW: Duration = Duration::from_secs(3);
    /// The silence that follows when more were sent.
    pub const PAUSE: Duration = Duration::from_secs(10);

    /// Takes one message at `now`.
    ///
    /// # Errors
    /// How long to wait, when too many were sent.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        if now < self.paused_until {
            return Err(self.paused_until.since(now));
        }
        // `recent` is sorted, oldest first; a zero is a slot that was never used.
        if self.recent[0] > Timestamp(0) && now.since(self.recent[0]) < Self::WINDOW {
            self.paused_until = now.plus(Self::PAUSE);
            return Err(Self::PAUSE);
        }
        self.recent.rotate_left(1);
        self.recent[Self::MESSAGES - 1] = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let rate = Rate::per_second(10, 20);
        let mut state = Gcra::default();
        let now = 1_000_000_000;
        for _ in 0..20 {
            state.take(rate, now).unwrap();
        }
        let wait = state.take(rate, now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        state.take(rate, now + 100_000).unwrap();
    }

    #[test]
    fn the_sixth_message_in_three_seconds_costs_ten() {
        let mut pacer = ChatPacer::default();
        let start = Timestamp(1_000_000);
        for i in 0..5 {
            pacer.take(Timestamp(start.0 + i * 100)).unwrap();
        }
        assert_eq!(pacer.take(Timestamp(start.0 + 600)), Err(Duration::from_secs(10)));
        assert_eq!(pacer.take(Timestamp(start.0 + 5_600)), Err(Duration::from_secs(5)));
        pacer.take(Timestamp(start.0 + 10_600)).unwrap();
    }

    #[test]
    fn one_message_a_second_is_never_too_fast() {
        let mut pacer = ChatPacer::default();
        for i in 1..100 {
            pacer.take(Timestamp(i * 1000)).unwrap();
        }
    }

    proptest! {
        #[test]
        fn never_more_than_rate_and_burst_in_any_run(gaps in prop::collection::vec(0i64..400_000, 1..300)) {
            let rate = Rate::per_second(10, 5);
            let (mut state, mut now, mut taken) = (Gcra::default(), 1_000_000_000i64, 0i64);
            let start = now;
            for gap in gaps {
                now += gap;
                if state.take(rate, now).is_ok() { taken += 1; }
                prop_assert!(taken <= 5 + (now - start) / 100_000);
            }
        }
    }
}
