//! Telemetry as a whole: logs to standard error; logs, traces and metrics to a collector, when there is one; metrics for
//! whoever scrapes them.

use std::env;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use prometheus::Registry;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry as Subscriber};

use crate::counted::{Counted, Delivery, Offered};
use crate::export::Exporters;
use crate::logs::{self, Format};
use crate::metrics::{self, Scrape};
use crate::sampling::{Bounded, Bucket};
use crate::settings::{Settings, Signal};
use crate::trace::{self, Tracing};

/// How long a program waits, at its end, for a collector that does not answer.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// What the exporter itself is made of. Its spans would be exported, which makes spans, which are exported.
const OWN_MACHINERY: [&str; 7] =
    ["h2", "hyper", "tonic", "tower", "rustls", "opentelemetry", "streamit_telemetry::counted"];

/// What a program is called in its telemetry.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    name: &'static str,
    instance: &'a str,
    is_serving: bool,
    is_scraped: bool,
}

impl<'a> Program<'a> {
    /// One that does a small task and logs. `name` is `service.name` and `instance` `service.instance.id`, unless the
    /// environment says otherwise.
    #[must_use]
    pub fn new(name: &'static str, instance: &'a str) -> Self {
        Self { name, instance, is_serving: false, is_scraped: false }
    }

    /// One that serves, and exports what is to be exported. `is_scraped`: metrics are kept for somebody who will read them,
    /// also when nothing is pushed.
    #[must_use]
    pub fn serving(self, is_scraped: bool) -> Self {
        Self { is_serving: true, is_scraped, ..self }
    }
}

/// Starts logging and, when the standard `OTEL_*` variables name a collector, the export of traces, metrics and logs.
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `RUST_LOG` | what is logged | `info` |
/// | `STREAMIT_LOG_FORMAT` | `text` or `json` | text on a terminal, JSON elsewhere |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT`, or one for each signal | where telemetry goes | nowhere |
///
/// Call it inside the runtime: the exporter lives there. A second call in one process changes nothing.
///
/// # Errors
/// When a variable has a value that can't be used. The message names it.
pub fn init(program: Program<'_>) -> anyhow::Result<Guard> {
    if tracing::dispatcher::has_been_set() {
        return Ok(Guard::default());
    }
    let wanted = env::var("RUST_LOG").ok();
    let filter = logs::filter(wanted.as_deref())?;
    let format =
        Format::choose(env::var("STREAMIT_LOG_FORMAT").ok().as_deref(), std::io::stderr().is_terminal())?;
    let settings = Settings::read(|name| env::var(name).ok().filter(|_| program.is_serving))?;
    let exporters = Exporters::new(&settings)?;
    let resource = resource(program);
    let [spans, records] = settings.queues;
    let deliveries = [
        Delivery::of("traces").through(spans),
        Delivery::of("metrics"),
        Delivery::of("logs").through(records),
    ];
    let of = |signal: Signal| deliveries[signal as usize].clone();

    let messages = Arc::new(Bucket::full(Instant::now()));
    let traces = match settings.export(Signal::Traces) {
        Some(protocol) => {
            let exporter = Counted { inner: exporters.spans(protocol)?, delivery: of(Signal::Traces) };
            let mut provider = SdkTracerProvider::builder().with_resource(resource.clone());
            provider =
                provider.with_span_processor(Offered(of(Signal::Traces))).with_batch_exporter(exporter);
            if !settings.has_sampler {
                let roots = Bounded(Arc::new(Bucket::full(Instant::now())));
                provider = provider.with_sampler(Sampler::parent_based(roots));
            }
            Some(provider.build())
        }
        None => None,
    };
    let records = match settings.export(Signal::Logs) {
        Some(protocol) => {
            let exporter = Counted { inner: exporters.logs(protocol)?, delivery: of(Signal::Logs) };
            let provider = SdkLoggerProvider::builder().with_resource(resource.clone());
            let provider = provider.with_log_processor(Offered(of(Signal::Logs)));
            Some(provider.with_batch_exporter(exporter).build())
        }
        None => None,
    };
    let (meters, scrape) = meters(program, &settings, &exporters, &resource, of(Signal::Metrics))?;

    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(program.name))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(export_filter(LevelFilter::INFO))
    });
    // What is logged is exported: the same filter, less what the exporter itself has to say.
    let bridge = match &records {
        Some(provider) => {
            let filter = logs::filter(wanted.as_deref())?.and(export_filter(LevelFilter::TRACE));
            Some(OpenTelemetryTracingBridge::new(provider).with_filter(filter))
        }
        None => None,
    };
    let own =
        Targets::new().with_default(LevelFilter::TRACE).with_target("opentelemetry", settings.own_level);
    let lines = format.layer().with_filter(filter.and(own));
    let is_installed = Subscriber::default().with(spans).with(bridge).with(lines).try_init().is_ok();
    if !is_installed {
        // Lost a race against another `init`: that one logs, and this one has nothing to flush.
        return Ok(Guard::default());
    }
    if traces.is_some() {
        trace::begin(Tracing {
            propagates: settings.propagates,
            messages: (!settings.has_sampler).then_some(messages),
        });
    }
    if let Some(provider) = &meters {
        opentelemetry::global::set_meter_provider(provider.clone());
        metrics::begin();
        metrics::observe(&opentelemetry::global::meter("streamit"), deliveries.to_vec());
    }
    Ok(Guard { traces, meters, records, scrape })
}

/// Meters, if anybody wants to know.
fn meters(
    program: Program<'_>,
    settings: &Settings,
    exporters: &Exporters,
    resource: &Resource,
    delivery: Delivery,
) -> anyhow::Result<(Option<SdkMeterProvider>, Option<Scrape>)> {
    let protocol = settings.export(Signal::Metrics);
    if protocol.is_none() && !program.is_scraped {
        return Ok((None, None));
    }
    let mut provider = SdkMeterProvider::builder().with_resource(resource.clone());
    if let Some(protocol) = protocol {
        let exporter = Counted { inner: exporters.metrics(protocol)?, delivery };
        provider = provider.with_periodic_exporter(exporter);
    }
    let mut scrape = None;
    if program.is_scraped {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false) // all is of one scope: ours
            .build()
            .context("metrics can't be kept for /metrics")?;
        provider = provider.with_reader(reader);
        scrape = Some(Scrape(registry));
    }
    Ok((Some(provider.build()), scrape))
}

/// Who tells all this. What the environment says goes first.
fn resource(program: Program<'_>) -> Resource {
    let given = env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_given = |name: &str| {
        given.split(',').any(|pair| pair.split('=').next().is_some_and(|key| key.trim() == name))
    };
    let has_name = env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty());
    let mut resource = Resource::builder();
    if !has_name && !is_given("service.name") {
        resource = resource.with_service_name(program.name);
    }
    let own = [("service.instance.id", program.instance), ("service.version", env!("CARGO_PKG_VERSION"))];
    for (name, value) in own {
        if !is_given(name) {
            resource = resource.with_attribute(KeyValue::new(name, value.to_owned()));
        }
    }
    resource.build()
}

/// Keeps telemetry flowing; flushes what waits when it is dropped or [shut down](Guard::shutdown). Hold it in `main`
/// until everything else has ended, inside the runtime.
#[derive(Debug, Default)]
#[must_use = "dropping it ends the export"]
pub struct Guard {
    traces: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
    records: Option<SdkLoggerProvider>,
    scrape: Option<Scrape>,
}

impl Guard {
    /// Where metrics are read from, when they are scraped.
    #[must_use]
    pub fn scrape(&self) -> Option<Scrape> {
        self.scrape.clone()
    }

    /// Flushes what waits, for at most half a second in all. Later telemetry goes nowhere.
    pub fn shutdown(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        let (done, ended) = mpsc::channel();
        let mut waiting = 0;
        // Side by side, on threads of their own: one that is stuck costs the others nothing, and is left behind.
        let mut end = |shutdown: Box<dyn FnOnce() -> bool + Send>| {
            let done = done.clone();
            waiting += 1;
            std::thread::spawn(move || done.send(shutdown()));
        };
        if let Some(traces) = self.traces.take() {
            end(Box::new(move || traces.shutdown_with_timeout(FLUSH_LIMIT).is_ok()));
        }
        if let Some(meters) = self.meters.take() {
            end(Box::new(move || meters.shutdown().is_ok()));
        }
        if let Some(records) = self.records.take() {
            end(Box::new(move || records.shutdown_with_timeout(FLUSH_LIMIT).is_ok()));
        }
        let deadline = Instant::now() + FLUSH_LIMIT;
        let mut is_lost = false;
        for _ in 0..waiting {
            let left = deadline.saturating_duration_since(Instant::now());
            is_lost |= !ended.recv_timeout(left).unwrap_or(false);
        }
        if is_lost {
            tracing::warn!("the last telemetry may be lost: the collector did not take it in time");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.flush();
    }
}

fn export_filter(level: LevelFilter) -> Targets {
    Targets::new().with_default(level).with_targets(OWN_MACHINERY.map(|target| (target, LevelFilter::OFF)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exporter_does_not_export_itself() {
        let filter = export_filter(LevelFilter::INFO);
        assert!(filter.would_enable("streamit_api::rooms", &tracing::Level::INFO));
        for own in ["h2::codec", "hyper::proto", "tonic::transport", "opentelemetry_sdk", "rustls::client"] {
            assert!(!filter.would_enable(own, &tracing::Level::ERROR), "{own}");
        }
    }

    #[tokio::test]
    async fn a_second_start_is_harmless() {
        let program = Program::new("test", "1").serving(true);
        let first = init(program).unwrap();
        let second = init(program).unwrap();
        tracing::info!("still here");
        second.shutdown();
        drop(first);
    }
}
