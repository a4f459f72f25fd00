//! The time, as something handed in: tests hold it still, rooms replace it by the room clock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Where a component gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock in Unix microseconds.
    fn now_micros(&self) -> i64;

    /// A clock that never jumps, for durations and deadlines.
    fn monotonic(&self) -> Instant;

    /// The wall clock in Unix milliseconds, the unit that clients see.
    fn now_ms(&self) -> i64 {
        self.now_micros().div_euclid(1_000)
    }
}

/// A clock shared by the parts of a program.
pub type SharedClock = Arc<dyn Clock>;

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({} us)", self.now_micros())
    }
}

/// The clock of this machine. The only place that reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The system clock, ready to be handed out.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
    fn now_micros(&self) -> i64 {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock set before 1970 counts as 1970: wrong, but nothing better can be said.
        since_epoch.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that moves only when a test says so. The wall clock can be set to anything; the monotonic one
/// follows [`ManualClock::advance`] alone.
#[derive(Debug)]
pub struct ManualClock {
    origin: Instant,
    wall_micros: AtomicI64,
    elapsed_micros: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `now_ms`, Unix milliseconds.
    #[must_use]
    pub fn at_ms(now_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            origin: Instant::now(),
            wall_micros: AtomicI64::new(now_ms.saturating_mul(1_000)),
            elapsed_micros: AtomicI64::new(0),
        })
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.wall_micros.fetch_add(by, Ordering::SeqCst);
        self.elapsed_micros.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an operator or a bad time server would: forward or back.
    pub fn set_ms(&self, now_ms: i64) {
        self.wall_micros.store(now_ms.saturating_mul(1_000), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_micros(&self) -> i64 {
        self.wall_micros.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Instant {
        let elapsed = u64::try_from(self.elapsed_micros.load(Ordering::SeqCst)).unwrap_or(0);
        self.origin + Duration::from_micros(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_tells_a_time_after_this_was_written() {
        assert!(SystemClock.now_ms() > 1_760_000_000_000);
        assert_eq!(SystemClock.now_micros() / 1_000_000_000, SystemClock.now_ms() / 1_000_000);
    }

    #[test]
    fn setting_the_wall_clock_does_not_move_the_monotonic_one() {
        let clock = ManualClock::at_ms(5_000);
        let start = clock.monotonic();
        clock.set_ms(1);
        assert_eq!((clock.now_ms(), clock.monotonic() - start), (1, Duration::ZERO));
        clock.advance(Duration::from_millis(7));
        assert_eq!((clock.now_ms(), clock.monotonic() - start), (8, Duration::from_millis(7)));
    }
}
