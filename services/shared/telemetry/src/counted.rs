//! Exporters that notice what does not arrive: it is counted, and told in the log when a collector goes away and when it is
//! back, instead of with each try.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// What became of the items of one signal.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    signal: &'static str,
    lost: Arc<AtomicU64>,
    is_away: Arc<AtomicBool>,
}

impl Delivery {
    pub(crate) fn of(signal: &'static str) -> Self {
        Self { signal, lost: Arc::default(), is_away: Arc::default() }
    }

    pub(crate) fn signal(&self) -> &'static str {
        self.signal
    }

    /// How many were given to a collector that did not take them.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn note(&self, result: &OTelSdkResult, items: usize) {
        let is_away = result.is_err();
        if is_away {
            self.lost.fetch_add(items as u64, Ordering::Relaxed);
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

/// An exporter that is watched.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    pub(crate) inner: E,
    pub(crate) delivery: Delivery,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let items = batch.len();
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
