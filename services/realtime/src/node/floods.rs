//! People who said more than anybody may, and when they may come back.
//!
//! A close alone is no answer to a flood: whoever comes back at once costs a join each time, which is more than all that he
//! said. So who floods again is let in once a minute. That he is to wait is remembered, and looked at before anything is
//! asked about him.

use streamit_bus::Quota;
use streamit_bus::memory::MemoryQuota;
use streamit_domain::UserId;
use streamit_domain::rate::Rate;
use streamit_telemetry::SharedClock;

/// The first wait, in milliseconds: a client that ran wild once has lost hardly anything.
pub const FIRST_MS: u64 = 5_000;
/// Two floods, and then one a minute.
const FLOODS: Rate = Rate { per_minute: 1, burst: 2 };

/// Who flooded this node lately.
pub struct Floods(MemoryQuota);

impl Floods {
    /// Nobody yet.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self(MemoryQuota::new(clock))
    }

    /// Counts a flood. Returns in how many milliseconds to come back.
    pub async fn count(&self, user: UserId) -> u64 {
        let _ = self.0.take(&user.to_string(), FLOODS).await; // several connections may flood at the same time
        self.wait(user).await.unwrap_or(0).max(FIRST_MS)
    }

    /// How many milliseconds this person has to wait, if at all.
    pub async fn wait(&self, user: UserId) -> Option<u64> {
        let wait = self.0.peek(&user.to_string(), FLOODS).await.err()?;
        Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use streamit_telemetry::ManualClock;

    use super::*;

    #[tokio::test]
    async fn who_floods_again_is_let_in_once_a_minute() {
        let clock = ManualClock::at_ms(0);
        let floods = Floods::new(clock.clone());
        let (one, two) = (UserId(uuid::Uuid::from_u128(1)), UserId(uuid::Uuid::from_u128(2)));
        assert_eq!(floods.count(one).await, FIRST_MS);
        assert_eq!(floods.wait(one).await, None, "once is forgiven");
        clock.advance(Duration::from_secs(5));
        assert_eq!(floods.count(one).await, 55_000);
        assert_eq!((floods.wait(one).await, floods.wait(two).await), (Some(55_000), None));
        // Another tab, at the same moment: no longer, and no shorter.
        assert_eq!(floods.count(one).await, 55_000);
        for _ in 0..3 {
            let wait = floods.wait(one).await.unwrap();
            clock.advance(Duration::from_millis(wait));
            assert_eq!(floods.wait(one).await, None);
            assert_eq!(floods.count(one).await, 60_000);
        }
        clock.advance(Duration::from_secs(120));
        assert_eq!(floods.count(one).await, FIRST_MS, "and all is forgotten");
    }
}
