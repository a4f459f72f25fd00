//! How many traces begin.
//!
//! Unless `OTEL_TRACES_SAMPLER` says otherwise, a process begins at most [`PER_SECOND`] traces of each kind a second and
//! follows every trace that another service has begun. What telemetry costs is then bounded, whatever the load, while a
//! quiet system is seen completely.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use parking_lot::Mutex;

/// Traces that begin each second: requests so many, and messages of clients so many.
pub(crate) const PER_SECOND: f64 = 20.0;

/// What probes ask for all the time, and what leads nowhere: it would use up what is there for the rest.
const IDLE: [&str; 4] = ["/livez", "/readyz", "/api/health/", "-"];

/// A bucket of permissions that fills up by itself.
#[derive(Debug)]
pub(crate) struct Bucket(Mutex<(f64, Instant)>);

impl Bucket {
    pub(crate) fn full(now: Instant) -> Self {
        Self(Mutex::new((PER_SECOND, now)))
    }

    /// Takes one, if there is one at `now`.
    pub(crate) fn take(&self, now: Instant) -> bool {
        // Whoever would have to wait for it goes without: nobody stands in line to be watched.
        let Some(mut bucket) = self.0.try_lock() else { return false };
        let (left, since) = &mut *bucket;
        *left = (*left + now.saturating_duration_since(*since).as_secs_f64() * PER_SECOND).min(PER_SECOND);
        *since = now;
        let has_one = *left >= 1.0;
        if has_one {
            *left -= 1.0;
        }
        has_one
    }
}

/// Samples roots as long as the bucket has something for them. Messages of clients are counted where they come in, before
/// a span is made for them, and are told by their kind.
#[derive(Clone, Debug)]
pub(crate) struct Bounded(pub(crate) Arc<Bucket>);

impl ShouldSample for Bounded {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let is_counted = *kind == SpanKind::Consumer;
        let is_idle = attributes.iter().any(|attribute| {
            attribute.key.as_str() == "http.route" && IDLE.contains(&attribute.value.as_str().as_ref())
        });
        let decision = if !is_idle && (is_counted || self.0.take(Instant::now())) {
            SamplingDecision::RecordAndSample
        } else {
            SamplingDecision::Drop
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_bounded_and_time_brings_more() {
        let start = Instant::now();
        let bucket = Bucket::full(start);
        let taken = |now: Instant| (0..1_000).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(start), 20);
        assert_eq!(taken(start + Duration::from_millis(500)), 10);
        assert_eq!(taken(start + Duration::from_secs(3_600)), 20);
    }
}
