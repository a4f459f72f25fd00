//! Exporters that notice what does not arrive: it is counted, and told in the log when a collector goes away and when it is
//! back, instead of with each try.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, LogProcessor, SdkLogRecord};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

/// What became of the items of one signal.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    signal: &'static str,
    /// How many may wait for the exporter.
    room: u64,
    counts: Arc<Counts>,
    is_away: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Counts {
    offered: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
    overflowed: AtomicU64,
}

impl Delivery {
    pub(crate) fn of(signal: &'static str) -> Self {
        Self { signal, room: u64::MAX, counts: Arc::default(), is_away: Arc::default() }
    }

    pub(crate) fn signal(&self) -> &'static str {
        self.signal
    }

    /// The same through a queue with room for so many.
    pub(crate) fn through(self, room: u64) -> Self {
        Self { room, ..self }
    }

    /// How many were given to a collector that did not take them, or did not fit into the queue. The SDK tells nobody of the
    /// latter: of what was offered and has not been taken out, all that there is no room for is gone.
    pub(crate) fn lost(&self) -> u64 {
        let counts = &self.counts;
        let taken = counts.taken.load(Ordering::Relaxed);
        let under_way = counts.offered.load(Ordering::Relaxed).saturating_sub(taken);
        let gone = under_way.saturating_sub(self.room);
        // What is taken later was not among it, so the number never goes back.
        let overflowed = counts.overflowed.fetch_max(gone, Ordering::Relaxed).max(gone);
        counts.refused.load(Ordering::Relaxed) + overflowed
    }

    fn offer(&self) {
        self.counts.offered.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self, items: usize) {
        self.counts.taken.fetch_add(items as u64, Ordering::Relaxed);
    }

    fn note(&self, result: &OTelSdkResult, items: usize) {
        let is_away = result.is_err();
        if is_away {
            self.counts.refused.fetch_add(items as u64, Ordering::Relaxed);
        }
        if self.is_away.swap(is_away, Ordering::Relaxed) == is_away {
            return;
        }
        match result {
            Err(error) => {
                tracing::warn!(signal = self.signal, %error, "the collector does not take what is exported");
            }
            Ok(()) => tracing::info!(signal = self.signal, "the collector takes what is exported again"),
        }
    }
}

/// Counts what is on its way to the queue of an exporter.
#[derive(Debug)]
pub(crate) struct Offered(pub(crate) Delivery);

impl SpanProcessor for Offered {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        self.0.offer();
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl LogProcessor for Offered {
    fn emit(&self, _: &mut SdkLogRecord, _: &InstrumentationScope) {
        self.0.offer();
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// An exporter that is watched.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    pub(crate) inner: E,
    pub(crate) delivery: Delivery,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let items = batch.len();
        self.delivery.take(items);
        let result = self.inner.export(batch).await;
        self.delivery.note(&result, items);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: LogExporter + fmt::Debug> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let items = batch.iter().count();
        self.delivery.take(items);
        let result = self.inner.export(batch).await;
        self.delivery.note(&result, items);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Counted<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.inner.export(metrics).await;
        self.delivery.note(&result, 1);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_queue_drops_is_counted_and_what_waits_in_it_is_not() {
        let delivery = Delivery::of("traces").through(100);
        (0..130).for_each(|_| delivery.offer());
        assert_eq!(delivery.lost(), 30);
        delivery.take(100);
        assert_eq!(delivery.lost(), 30, "what has gone does not come back");
        delivery.note(&Err(opentelemetry_sdk::error::OTelSdkError::AlreadyShutdown), 100);
        assert_eq!(delivery.lost(), 130);
    }
}
