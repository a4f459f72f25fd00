//! Latencies of many readers, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each doubling: a value is known to 1/64 of itself, 1.6 %.
const STEPS: u32 = 64;
/// Doublings above [`STEPS`] microseconds that are told apart: up to about 19 hours.
const DOUBLINGS: u32 = 30;

/// Percentiles of durations, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
    pub count: u64,
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p90, p99, p999, max] =
            [self.p50, self.p90, self.p99, self.p999, self.max].map(|us| us as f64 / 1_000.0);
        write!(f, "p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms")
    }
}

/// Counts durations in buckets that grow with them.
#[derive(Debug)]
pub struct Histogram {
    buckets: Vec<AtomicU64>,
    count: AtomicU64,
    max_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..=bucket_of(u64::MAX)).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, count: AtomicU64::new(0), max_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The longest, exactly.
    #[must_use]
    pub fn max_us(&self) -> u64 {
        self.max_us.load(Ordering::Relaxed)
    }

    /// The usual ones of all that was counted.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50: self.quantile_us(0.5),
            p90: self.quantile_us(0.9),
            p99: self.quantile_us(0.99),
            p999: self.quantile_us(0.999),
            max: self.max_us(),
            count: self.count(),
        }
    }

    /// What `share` (0 to 1) of all were not longer than, in microseconds, rounded up to the end of a bucket.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> u64 {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut below = 0;
        for (bucket, counted) in self.buckets.iter().enumerate() {
            below += counted.load(Ordering::Relaxed);
            if below >= wanted {
                return end_of(bucket).min(self.max_us());
            }
        }
        self.max_us()
    }
}

/// Below 64 us each microsecond has its bucket; above, each doubling has 64.
fn bucket_of(us: u64) -> usize {
    let steps = u64::from(STEPS);
    if us < steps {
        return us as usize;
    }
    let doubling = (us.ilog2() - STEPS.ilog2()).min(DOUBLINGS);
    let step = (us >> doubling).min(2 * steps - 1) - steps;
    (u64::from(doubling + 1) * steps + step) as usize
}

/// The largest value of a bucket.
fn end_of(bucket: usize) -> u64 {
    let steps = u64::from(STEPS);
    let bucket = bucket as u64;
    if bucket < steps {
        return bucket;
    }
    let (doubling, step) = (bucket / steps - 1, bucket % steps);
    ((steps + step + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_to_a_sixtieth_of_itself() {
        for us in (0..2_000).chain([10_000, 123_456, 9_999_999, 60_000_000_000]) {
            let end = end_of(bucket_of(us));
            assert!(end >= us && end - us <= us / 60, "{us} became {end}");
        }
        assert_eq!(bucket_of(u64::MAX), Histogram::default().buckets.len() - 1);
    }

    #[test]
    fn quantiles_are_where_they_should_be() {
        let histogram = Histogram::default();
        for ms in 1..=1_000 {
            histogram.record(Duration::from_millis(ms));
        }
        for (share, ms) in [(0.5, 500), (0.99, 990), (0.999, 999)] {
            let us = histogram.quantile_us(share);
            assert!((ms * 1_000..=ms * 1_017).contains(&us), "{share}: {us}");
        }
        assert_eq!((histogram.quantile_us(1.0), histogram.max_us()), (1_000_000, 1_000_000));
        assert_eq!(Histogram::default().quantile_us(0.5), 0);
    }
}
