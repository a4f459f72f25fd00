//! How long to wait before the next try.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use crate::error::{Advice, CloseReason};

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double from a quarter of a second to half a minute, each shortened at random by up to a half,
/// so that the clients of one node that died don't all come at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    random: RandomState,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { failures: 0, random: RandomState::new() }
    }

    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        // A hash with a random key is random enough to spread clients, and needs no crate.
        let share = self.random.hash_one(self.failures) as f64 / u64::MAX as f64;
        full.mul_f64(1.0 - share / 2.0)
    }

    /// The pause that a close asks for; none when it says to stop.
    pub(crate) fn after(&mut self, reason: &CloseReason) -> Option<Duration> {
        match reason.advice() {
            Advice::Stop => None,
            // The first time as told: it was spread by the server. Should that fail, never less than our own.
            Advice::Reconnect(Some(hint)) if self.failures == 0 => {
                self.failures = 1;
                Some(hint)
            }
            Advice::Reconnect(hint) => Some(self.next().max(hint.unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_again() {
        let mut backoff = Backoff::new();
        for expected_ms in [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let pause = backoff.next().as_millis();
            assert!((expected_ms / 2..=expected_ms).contains(&pause), "{pause} of {expected_ms}");
        }
        for _ in 0..100 {
            assert!(backoff.next() <= LONGEST);
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }

    #[test]
    fn a_hint_is_followed_once_and_then_only_a_floor() {
        let mut backoff = Backoff::new();
        let told = CloseReason::read(1012, r#"{"retry_in_ms":40}"#);
        assert_eq!(backoff.after(&told), Some(Duration::from_millis(40)));
        assert!(backoff.after(&told).unwrap() >= Duration::from_millis(250));
        assert_eq!(backoff.after(&CloseReason::read(4001, "")), None);
    }
}
