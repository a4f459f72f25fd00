//! Points on the room clock, and positions in a film.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A moment in Unix milliseconds. Where rooms are concerned it is room time: the clock that all nodes share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment moved forward by `by`; stops at the largest moment there is.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment moved back by `by`.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A position in a film, in seconds: finite and never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct MediaTime(f64);

impl MediaTime {
    /// The beginning.
    pub const ZERO: Self = Self(0.0);

    /// The position in seconds.
    #[must_use]
    pub const fn secs(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for MediaTime {
    type Error = Invalid;

    fn try_from(secs: f64) -> Result<Self, Invalid> {
        if !secs.is_finite() {
            return Err(Invalid("time must be a finite number of seconds"));
        }
        if secs < 0.0 {
            return Err(Invalid("time must not be negative"));
        }
        Ok(Self(secs + 0.0)) // turns -0.0 into 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_positions_from_zero_on_are_media_times() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.001] {
            assert!(MediaTime::try_from(bad).is_err(), "{bad}");
        }
        assert_eq!(MediaTime::try_from(-0.0).unwrap().secs().to_bits(), 0.0_f64.to_bits());
        assert_eq!(MediaTime::try_from(f64::MAX).unwrap().secs(), f64::MAX);
    }

    #[test]
    fn time_does_not_run_backwards_in_since() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(9).since(Timestamp(5)), Duration::from_millis(4));
        assert_eq!(Timestamp(i64::MAX).plus(Duration::from_secs(1)), Timestamp(i64::MAX));
    }
}
