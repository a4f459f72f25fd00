//! Logs to standard error, traces to a collector when there is one.

use std::env;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, bail};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// How long a program waits, at its end, for a collector that does not answer.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// What the exporter itself is made of. Its spans would be exported, which makes spans, which are exported.
const OWN_MACHINERY: [&str; 5] = ["h2", "hyper", "tonic", "tower", "opentelemetry"];

/// Starts logging and, when the standard `OTEL_*` variables name a collector, tracing.
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `RUST_LOG` | what is logged | `info` |
/// | `STREAMIT_LOG_FORMAT` | `text` or `json` | text on a terminal, JSON elsewhere |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | where traces go (gRPC) | nowhere |
/// | `OTEL_SERVICE_NAME` | the name in traces | `service_name` |
///
/// Call it inside the runtime: the exporter lives there. A second call in one process changes nothing.
///
/// # Errors
/// When a variable has a value that can't be used. The message names it.
pub fn init(service_name: &'static str) -> anyhow::Result<Guard> {
    if tracing::dispatcher::has_been_set() {
        return Ok(Guard { traces: None });
    }
    let filter = log_filter(env::var("RUST_LOG").ok().as_deref())?;
    let format =
        Format::choose(env::var("STREAMIT_LOG_FORMAT").ok().as_deref(), std::io::stderr().is_terminal())?;
    let traces = match collector(|name| env::var(name).ok())? {
        Some(endpoint) => Some(provider(service_name, &endpoint)?),
        None => None,
    };
    let export = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer(service_name)).with_filter(export_filter())
    });
    if traces.is_some() {
        // So that a span of one service becomes the parent of the next one's, over the `traceparent` header.
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    }
    let installed =
        Registry::default().with(export).with(format.layer().with_filter(filter)).try_init().is_ok();
    // Lost a race against another `init`: that one logs, and this one has nothing to flush.
    Ok(Guard { traces: traces.filter(|_| installed) })
}

/// Keeps traces flowing; flushes what waits when it is dropped or [shut down](Guard::shutdown). Hold it in
/// `main` until everything else has ended, inside the runtime.
#[derive(Debug)]
#[must_use = "dropping it ends the export of traces"]
pub struct Guard {
    traces: Option<SdkTracerProvider>,
}

impl Guard {
    /// Flushes what waits, for at most half a second. Later spans go nowhere.
    pub fn shutdown(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        let Some(traces) = self.traces.take() else { return };
        if let Err(error) = traces.shutdown_with_timeout(FLUSH_LIMIT) {
            tracing::warn!(%error, "the last traces may be lost: the collector did not take them in time");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.flush();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text { colours: bool },
    Json,
}

impl Format {
    fn choose(wanted: Option<&str>, terminal: bool) -> anyhow::Result<Self> {
        let colours = terminal && env::var_os("NO_COLOR").is_none();
        match wanted.unwrap_or("") {
            "" if terminal => Ok(Self::Text { colours }),
            "" | "json" => Ok(Self::Json),
            "text" => Ok(Self::Text { colours }),
            other => bail!("STREAMIT_LOG_FORMAT is `{other}`, but must be `text` or `json`"),
        }
    }

    fn layer<S>(self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        match self {
            Self::Text { colours } => {
                fmt::layer().with_ansi(colours).with_writer(std::io::stderr).with_target(false).boxed()
            }
            Self::Json => fmt::layer()
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .with_writer(std::io::stderr)
                .boxed(),
        }
    }
}

fn log_filter(wanted: Option<&str>) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(wanted.unwrap_or(""))
        .context("RUST_LOG must be a list like `info` or `warn,streamit_api=debug`")
}

fn export_filter() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_targets(OWN_MACHINERY.map(|target| (target, LevelFilter::OFF)))
}

/// Where traces go, if anywhere. An empty variable counts as unset, as the specification wants it.
fn collector(var: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<String>> {
    let var = |name: &str| var(name).filter(|value| !value.is_empty());
    let off = var("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"))
        || var("OTEL_TRACES_EXPORTER").is_some_and(|v| v.eq_ignore_ascii_case("none"));
    if off {
        return Ok(None);
    }
    let endpoint = var("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| var("OTEL_EXPORTER_OTLP_ENDPOINT"));
    if endpoint.is_some() {
        let name = "OTEL_EXPORTER_OTLP_PROTOCOL";
        let protocol = var("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| var(name));
        if let Some(other) = protocol.filter(|p| p != "grpc") {
            bail!("{name} is `{other}`, but must be `grpc`");
        }
    }
    Ok(endpoint)
}

fn provider(service_name: &'static str, endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let mut exporter = SpanExporter::builder().with_tonic();
    if endpoint.starts_with("https://") {
        exporter = exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
    }
    // The endpoint, its headers and deadlines come from the environment, read by the exporter itself.
    let exporter = exporter.build().context("OTEL_EXPORTER_OTLP_ENDPOINT can't be used")?;
    let mut resource = Resource::builder();
    if env::var("OTEL_SERVICE_NAME").map_or(true, |name| name.is_empty()) {
        resource = resource.with_service_name(service_name);
    }
    Ok(SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn traces_go_nowhere_unless_a_collector_is_named() {
        assert_eq!(collector(given(&[])).unwrap(), None);
        assert_eq!(collector(given(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")])).unwrap(), None);
        let named = collector(given(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")])).unwrap();
        assert_eq!(named.as_deref(), Some("http://c:4317"));
        let off = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_SDK_DISABLED", "TRUE")];
        assert_eq!(collector(|n| off.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).into())).unwrap(), None);
    }

    #[test]
    fn a_wrong_value_is_named() {
        let protocol =
            given(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "x"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]);
        let error = collector(protocol).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && error.contains("grpc"), "{error}");
        let error = Format::choose(Some("xml"), true).unwrap_err().to_string();
        assert!(error.contains("STREAMIT_LOG_FORMAT") && error.contains("json"), "{error}");
        let error = format!("{:#}", log_filter(Some("info=what=ever")).unwrap_err());
        assert!(error.contains("RUST_LOG"), "{error}");
    }

    #[test]
    fn a_terminal_gets_text_and_everything_else_json() {
        assert!(matches!(Format::choose(None, true).unwrap(), Format::Text { .. }));
        assert_eq!(Format::choose(None, false).unwrap(), Format::Json);
        assert_eq!(Format::choose(Some("text"), false).unwrap(), Format::Text { colours: false });
        assert_eq!(Format::choose(Some("json"), true).unwrap(), Format::Json);
    }

    #[test]
    fn the_exporter_does_not_export_itself() {
        let filter = export_filter();
        assert!(filter.would_enable("streamit_api::rooms", &tracing::Level::INFO));
        for own in ["h2::codec", "hyper::proto", "tonic::transport", "opentelemetry_sdk"] {
            assert!(!filter.would_enable(own, &tracing::Level::ERROR), "{own}");
        }
    }

    #[tokio::test]
    async fn a_second_start_is_harmless() {
        let first = init("test").unwrap();
        let second = init("test").unwrap();
        tracing::info!("still here");
        second.shutdown();
        drop(first);
    }
}
