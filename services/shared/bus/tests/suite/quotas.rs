//! How often somebody may try.

use std::time::Duration;

use streamit_domain::rate::Rate;

use super::support::*;

both_buses! {
    async fn a_burst_passes_and_then_the_wait_is_told(bus: Bus) {
        let rate = Rate { per_minute: 2, burst: 5 };
        let key = user().to_string();
        for _ in 0..5 {
            bus.quota.peek(&key, rate).await.unwrap();
            bus.quota.take(&key, rate).await.unwrap();
        }
        let wait = bus.quota.take(&key, rate).await.unwrap_err();
        assert!(wait > Duration::from_secs(25) && wait <= Duration::from_secs(30), "{wait:?}");
        assert!(bus.quota.peek(&key, rate).await.unwrap_err() <= wait);
        bus.quota.take(&user().to_string(), rate).await.expect("each key has its own");
    }

    async fn asking_takes_nothing(bus: Bus) {
        let (rate, key) = (Rate { per_minute: 1, burst: 1 }, user().to_string());
        for _ in 0..10 {
            bus.quota.peek(&key, rate).await.unwrap();
        }
        bus.quota.take(&key, rate).await.unwrap();
        assert!(bus.quota.peek(&key, rate).await.is_err());
    }

    async fn what_is_given_back_can_be_taken_again(bus: Bus) {
        let (rate, key) = (Rate { per_minute: 1, burst: 2 }, user().to_string());
        bus.quota.give_back(&key, rate).await;
        for _ in 0..5 {
            bus.quota.take(&key, rate).await.unwrap();
            bus.quota.take(&key, rate).await.unwrap();
            assert!(bus.quota.take(&key, rate).await.is_err(), "nothing was lent");
            bus.quota.give_back(&key, rate).await;
            bus.quota.give_back(&key, rate).await;
        }
    }

    async fn after_the_wait_one_more_passes(bus: Bus) {
        let (rate, key) = (Rate { per_minute: 120, burst: 1 }, user().to_string());
        bus.quota.take(&key, rate).await.unwrap();
        let wait = bus.quota.take(&key, rate).await.unwrap_err();
        assert!(wait <= Duration::from_millis(500));
        tokio::time::sleep(wait).await;
        bus.quota.take(&key, rate).await.unwrap();
        assert!(bus.quota.take(&key, rate).await.is_err(), "and only one");
    }
}
