//! What the standard `OTEL_*` variables ask for, as far as the SDK does not read them by itself.
//!
//! See <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>. An empty variable counts as
//! unset, as the specification wants it.

use std::time::Duration;

use anyhow::{bail, ensure};
use tracing_subscriber::filter::LevelFilter;

/// One kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    /// The same over TLS.
    Grpcs,
    Http,
}

/// What the environment says.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How each signal is exported, if it is.
    exports: [Option<Protocol>; 3],
    /// Whether the context of a trace travels to other services.
    pub(crate) propagates: bool,
    /// A sampler was named: ours, which bounds how many traces begin, stands back.
    pub(crate) has_sampler: bool,
    /// Whether the exporter is to trust the authorities in a file, and to show a certificate.
    pub(crate) certificate: Option<String>,
    pub(crate) client: Option<(String, String)>,
    /// How long an export over HTTP may take.
    pub(crate) timeout: Duration,
    /// How many spans, and how many log records, may wait to be exported.
    pub(crate) queues: [u64; 2],
    /// What `OTEL_LOG_LEVEL` asks of the SDK's own messages.
    pub(crate) own_level: LevelFilter,
}

/// Numbers that the SDK reads by itself and takes for its default when it can't, with the least that makes sense.
const NUMBERS: [(&str, u64); 12] = [
    ("OTEL_BSP_SCHEDULE_DELAY", 1),
    ("OTEL_BSP_EXPORT_TIMEOUT", 1),
    ("OTEL_BSP_MAX_QUEUE_SIZE", 1),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1),
    ("OTEL_BLRP_SCHEDULE_DELAY", 1),
    ("OTEL_BLRP_EXPORT_TIMEOUT", 1),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", 1),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", 1),
    ("OTEL_METRIC_EXPORT_INTERVAL", 1),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", 0),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", 0),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", 0),
];
/// How many may wait unless something else is said, as the specification has it.
const QUEUE: u64 = 2_048;
/// More than anybody needs, and little enough for a queue to be made for it.
const MOST: u64 = 1_000_000;

fn check(name: &str, value: Option<String>, least: u64) -> anyhow::Result<()> {
    let Some(value) = value else { return Ok(()) };
    match value.trim().parse::<u64>() {
        Ok(number) if (least..=MOST).contains(&number) => Ok(()),
        _ => bail!("{name} is `{value}`, but must be a number from {least} to {MOST}"),
    }
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable and what is allowed.
    pub(crate) fn read(var: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let var = |name: &str| var(name).filter(|value| !value.trim().is_empty());
        let is_off = var("OTEL_SDK_DISABLED").is_some_and(|v| v.trim().eq_ignore_ascii_case("true"));
        let mut exports = [None; 3];
        for signal in Signal::ALL.into_iter().filter(|_| !is_off) {
            exports[signal as usize] = export(signal, &var)?;
        }
        if exports == [None; 3] {
            // What else is said is meant for others, or for another time: it must not keep anybody from starting.
            return Ok(Self::nothing());
        }
        for (name, least) in NUMBERS {
            check(name, var(name), least)?;
        }
        Ok(Self {
            exports,
            propagates: propagates(var("OTEL_PROPAGATORS"))?,
            has_sampler: sampler(&var)?,
            certificate: var("OTEL_EXPORTER_OTLP_CERTIFICATE"),
            client: client(&var)?,
            timeout: timeout(var("OTEL_EXPORTER_OTLP_TIMEOUT"))?,
            queues: ["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_QUEUE_SIZE"]
                .map(|name| var(name).and_then(|size| size.trim().parse().ok()).unwrap_or(QUEUE)),
            own_level: own_level(var("OTEL_LOG_LEVEL"))?,
        })
    }

    fn nothing() -> Self {
        Self {
            exports: [None; 3],
            propagates: false,
            has_sampler: false,
            certificate: None,
            client: None,
            timeout: Duration::ZERO,
            queues: [0; 2],
            own_level: LevelFilter::OFF,
        }
    }

    /// How a signal is exported; `None` when it is not.
    pub(crate) fn export(&self, signal: Signal) -> Option<Protocol> {
        self.exports[signal as usize]
    }
}

fn export(signal: Signal, var: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Protocol>> {
    let name = format!("OTEL_{}_EXPORTER", signal.word());
    match var(&name).as_deref().map(str::trim) {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        // Whether `/metrics` is served is said by another option; nothing is pushed then.
        Some("prometheus") if signal == Signal::Metrics => return Ok(None),
        Some(other) => bail!("{name} is `{other}`, but must be `otlp` or `none`"),
    }
    let own = |what: &str| var(&format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.word()));
    let endpoint = own("ENDPOINT").or_else(|| var("OTEL_EXPORTER_OTLP_ENDPOINT"));
    if let Some(endpoint) = &endpoint {
        let url = endpoint.parse::<http::Uri>();
        let is_url = url.is_ok_and(|url| {
            // What follows the host is a port, or nothing.
            let is_place = url.authority().is_some_and(|place| {
                !place.host().is_empty() && (place.port().is_some() || place.as_str().ends_with(place.host()))
            });
            matches!(url.scheme_str(), Some("http" | "https")) && is_place
        });
        // It may hold a password, and is not said again.
        ensure!(
            is_url,
            "OTEL_EXPORTER_OTLP_ENDPOINT, or that for {}, must be http://HOST:PORT or https://HOST:PORT",
            signal.word().to_lowercase()
        );
    }
    if let Some(other) = own("COMPRESSION").or_else(|| var("OTEL_EXPORTER_OTLP_COMPRESSION"))
        && !["gzip", "none"].contains(&other.trim())
    {
        bail!("OTEL_EXPORTER_OTLP_COMPRESSION is `{other}`, but must be `gzip` or `none`");
    }
    let protocol = own("PROTOCOL").or_else(|| var("OTEL_EXPORTER_OTLP_PROTOCOL"));
    let is_tls = endpoint.as_ref().is_some_and(|url| url.starts_with("https://"));
    let protocol = match protocol.as_deref().map(str::trim) {
        None | Some("grpc") if is_tls => Protocol::Grpcs,
        None | Some("grpc") => Protocol::Grpc,
        Some("http/protobuf") => Protocol::Http,
        Some(other) => {
            bail!("OTEL_EXPORTER_OTLP_PROTOCOL is `{other}`, but must be `grpc` or `http/protobuf`")
        }
    };
    Ok(endpoint.map(|_| protocol))
}

fn propagates(wanted: Option<String>) -> anyhow::Result<bool> {
    let Some(wanted) = wanted else { return Ok(true) };
    let mut propagates = false;
    for name in wanted.split(',').map(str::trim) {
        match name {
            "tracecontext" => propagates = true,
            "baggage" | "none" => {} // we have none to carry
            other => {
                bail!("OTEL_PROPAGATORS has `{other}`, but may have `tracecontext`, `baggage` and `none`")
            }
        }
    }
    Ok(propagates)
}

fn sampler(var: &impl Fn(&str) -> Option<String>) -> anyhow::Result<bool> {
    const NAMES: [&str; 6] = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
    let Some(name) = var("OTEL_TRACES_SAMPLER") else { return Ok(false) };
    if !NAMES.contains(&name.as_str()) {
        bail!("OTEL_TRACES_SAMPLER is `{name}`, but must be one of {}", NAMES.join(", "));
    }
    if name.ends_with("ratio") {
        let argument = var("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".into());
        if !argument.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)) {
            bail!("OTEL_TRACES_SAMPLER_ARG is `{argument}`, but must be a number from 0 to 1");
        }
    }
    Ok(true)
}

fn client(var: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<(String, String)>> {
    let (certificate, key) =
        (var("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), var("OTEL_EXPORTER_OTLP_CLIENT_KEY"));
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => bail!(
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY are of use only together"
        ),
    }
}

fn timeout(wanted: Option<String>) -> anyhow::Result<Duration> {
    let Some(wanted) = wanted else { return Ok(Duration::from_secs(10)) };
    match wanted.trim().parse() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => bail!("OTEL_EXPORTER_OTLP_TIMEOUT is `{wanted}`, but must be a number of milliseconds"),
    }
}

fn own_level(wanted: Option<String>) -> anyhow::Result<LevelFilter> {
    match wanted.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "warn" => Ok(LevelFilter::WARN),
        // What matters of it is told by the exporters, once.
        "" | "none" | "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        other => {
            bail!("OTEL_LOG_LEVEL is `{other}`, but must be `none`, `error`, `warn`, `info` or `debug`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");

    fn exported(pairs: &[(&str, &str)]) -> [Option<Protocol>; 3] {
        read(pairs).unwrap().exports
    }

    #[test]
    fn nothing_is_exported_unless_a_collector_is_named() {
        assert_eq!(exported(&[]), [None; 3]);
        assert_eq!(exported(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), [None; 3]);
        assert_eq!(exported(&[COLLECTOR]), [Some(Protocol::Grpc); 3]);
        assert_eq!(exported(&[COLLECTOR, ("OTEL_SDK_DISABLED", "TRUE")]), [None; 3]);
        let logs = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c")];
        assert_eq!(exported(&logs), [None, None, Some(Protocol::Grpc)]);
    }

    #[test]
    fn each_signal_can_be_left_out_or_go_another_way() {
        let some = [COLLECTOR, ("OTEL_METRICS_EXPORTER", "prometheus"), ("OTEL_LOGS_EXPORTER", "none")];
        assert_eq!(exported(&some), [Some(Protocol::Grpc), None, None]);
        let over_http = [
            COLLECTOR,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
        ];
        assert_eq!(exported(&over_http), [Some(Protocol::Http), Some(Protocol::Http), Some(Protocol::Grpc)]);
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed() {
        for (name, value, allowed) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "grpc"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "otlp"),
            ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_traceidratio"),
            ("OTEL_PROPAGATORS", "b3", "tracecontext"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key", "together"),
            ("OTEL_LOG_LEVEL", "loud", "warn"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "lzma", "gzip"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0", "from 1"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "18446744073709551615", "to 1000000"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "soon", "number"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "milliseconds"),
        ] {
            let error = read(&[COLLECTOR, (name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(allowed), "{error}");
        }
        let ratio = [COLLECTOR, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
        assert!(read(&ratio).unwrap_err().to_string().contains("from 0 to 1"));
    }

    #[test]
    fn an_endpoint_that_is_none_is_refused_and_not_said_again() {
        for wrong in
            ["garbage", "127.0.0.1:4317", "ftp://c", "http://", "http://u:hunter2@a b", "http://c:99999"]
        {
            let error = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]).unwrap_err().to_string();
            assert!(error.contains("https://HOST:PORT") && !error.contains("hunter2"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_is_said_for_no_export_keeps_nobody_from_starting() {
        let odd =
            [("OTEL_PROPAGATORS", "b3"), ("OTEL_TRACES_SAMPLER", "xray"), ("OTEL_BSP_SCHEDULE_DELAY", "0")];
        assert_eq!(exported(&odd), [None; 3]);
        let off = [&odd[..], &[COLLECTOR, ("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "zipkin")]];
        assert_eq!(exported(&off.concat()), [None; 3]);
    }

    #[test]
    fn context_travels_unless_told_otherwise() {
        assert!(read(&[COLLECTOR]).unwrap().propagates);
        assert!(read(&[COLLECTOR, ("OTEL_PROPAGATORS", "tracecontext,baggage")]).unwrap().propagates);
        assert!(!read(&[COLLECTOR, ("OTEL_PROPAGATORS", "none")]).unwrap().propagates);
    }
}
