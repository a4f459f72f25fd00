//! [`Quota`] in one process.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use streamit_domain::rate::{Gcra, Rate};
use streamit_telemetry::SharedClock;

use crate::Quota;
use crate::clock::micros;

/// Keys are spread over this many locks.
const SHARDS: usize = 16;
/// A shard with this many keys is searched for those that are over; it is searched again when it has doubled.
const PRUNE_AT: usize = 1_024;
/// A shard never holds more keys. Beyond it forgets all of them: generous for a moment, but bounded.
const MOST: usize = 65_536;

/// Limits counted by this process alone.
pub struct MemoryQuota {
    clock: SharedClock,
    origin: Instant,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

struct Shard {
    states: HashMap<String, Gcra>,
    prune_at: usize,
}

impl MemoryQuota {
    /// Counts by the monotonic side of `clock`.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let empty = || Mutex::new(Shard { states: HashMap::new(), prune_at: PRUNE_AT });
        Self {
            origin: clock.monotonic(),
            clock,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| empty()).collect(),
        }
    }

    fn count(&self, key: &str, rate: Rate, is_taken: bool) -> Result<(), Duration> {
        let now = micros(self.clock.monotonic().saturating_duration_since(self.origin));
        let mut shard = self.shard(key).lock();
        let mut state = shard.states.get(key).copied().unwrap_or_default();
        state.take(rate, now)?;
        if is_taken {
            shard.prune(now);
            shard.states.insert(key.to_owned(), state);
        }
        Ok(())
    }

    fn shard(&self, key: &str) -> &Mutex<Shard> {
        &self.shards[usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().states.len()).sum()
    }
}

impl Shard {
    /// Forgets keys whose state says no more than that of a key never seen.
    fn prune(&mut self, now: i64) {
        if self.states.len() < self.prune_at {
            return;
        }
        self.states.retain(|_, state| state.0 > now);
        if self.states.len() >= MOST {
            self.states.clear();
        }
        self.prune_at = (self.states.len() * 2).clamp(PRUNE_AT, MOST);
    }
}

#[async_trait]
impl Quota for MemoryQuota {
    async fn take(&self, key: &str, rate: Rate) -> Result<(), Duration> {
        self.count(key, rate, true)
    }

    async fn peek(&self, key: &str, rate: Rate) -> Result<(), Duration> {
        self.count(key, rate, false)
    }

    async fn give_back(&self, key: &str, rate: Rate) {
        if let Some(state) = self.shard(key).lock().states.get_mut(key) {
            state.give_back(rate);
        }
    }
}

impl std::fmt::Debug for MemoryQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryQuota").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use streamit_telemetry::ManualClock;

    use super::*;

    #[tokio::test]
    async fn keys_that_say_nothing_any_more_are_forgotten() {
        let clock = ManualClock::at_ms(1_700_000_000_000);
        let quota = MemoryQuota::new(clock.clone());
        let rate = Rate::per_second(1, 1);
        for n in 0..SHARDS * PRUNE_AT * 4 {
            quota.take(&n.to_string(), rate).await.unwrap();
            if n % 64 == 0 {
                clock.advance(Duration::from_secs(2));
            }
        }
        assert!(quota.len() <= SHARDS * PRUNE_AT, "{} keys are kept", quota.len());
    }

    #[tokio::test]
    async fn even_keys_that_still_count_are_bounded() {
        let quota = MemoryQuota::new(ManualClock::at_ms(0));
        let shard = &quota.shards[0];
        for n in 0..MOST as u64 * 2 {
            let mut shard = shard.lock();
            shard.prune(0);
            shard.states.insert(n.to_string(), Gcra(1));
        }
        assert!(shard.lock().states.len() <= MOST);
    }
}
