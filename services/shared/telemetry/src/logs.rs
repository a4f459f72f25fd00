//! The form of log lines: for people on a terminal, as JSON with the ids of the trace elsewhere.

use std::env;
use std::fmt;

use anyhow::{Context, bail};
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Format as Builder, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, layer};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text { colours: bool },
    Json,
}

impl Format {
    pub(crate) fn choose(wanted: Option<&str>, terminal: bool) -> anyhow::Result<Self> {
        let colours = terminal && env::var_os("NO_COLOR").is_none();
        match wanted.unwrap_or("") {
            "" if terminal => Ok(Self::Text { colours }),
            "" | "json" => Ok(Self::Json),
            "text" => Ok(Self::Text { colours }),
            other => bail!("STREAMIT_LOG_FORMAT is `{other}`, but must be `text` or `json`"),
        }
    }

    pub(crate) fn layer<S>(self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        match self {
            Self::Text { colours } => {
                layer().with_ansi(colours).with_writer(std::io::stderr).with_target(false).boxed()
            }
            Self::Json => {
                let json = Builder::default().json().flatten_event(true);
                let json = json.with_span_list(false).with_current_span(false);
                layer()
                    .event_format(WithTrace(json))
                    .fmt_fields(JsonFields::new())
                    .with_writer(std::io::stderr)
                    .boxed()
            }
        }
    }
}

/// A JSON line with the id of the request and those of the trace that it belongs to, if there are any.
struct WithTrace(Builder<Json>);

impl<S, N> FormatEvent<S, N> for WithTrace
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        // An object in a line: what is added goes before its end.
        let Some(object) = line.strip_suffix("}\n") else { return writer.write_str(&line) };
        writer.write_str(object)?;
        if !object.contains(REQUEST_ID)
            && let Some(id) = request(context)
        {
            write!(writer, r#",{REQUEST_ID}"{id}""#)?;
        }
        if let Some((trace, span)) = ids() {
            write!(writer, r#","trace_id":"{trace}","span_id":"{span}""#)?;
        }
        writer.write_str("}\n")
    }
}

/// How the id of a request begins, in a line as in what is kept of a span's fields. (Ids hold nothing that JSON escapes.)
const REQUEST_ID: &str = r#""request.id":"#;

/// The id of the request that all this is part of.
fn request<S, N>(context: &FmtContext<'_, S, N>) -> Option<String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    context.event_scope()?.find_map(|span| {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<N>>()?;
        let (_, rest) = fields.split_once(REQUEST_ID)?;
        rest.strip_prefix('"')?.split_once('"').map(|(id, _)| id.to_owned())
    })
}

/// The ids of the current span, if it is exported.
fn ids() -> Option<(String, String)> {
    if !crate::trace::is_on() {
        return None;
    }
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    (span.is_valid() && span.is_sampled()).then(|| (span.trace_id().to_string(), span.span_id().to_string()))
}

pub(crate) fn filter(wanted: Option<&str>) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(wanted.unwrap_or(""))
        .context("RUST_LOG must be a list like `info` or `warn,streamit_api=debug`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_named() {
        let error = Format::choose(Some("xml"), true).unwrap_err().to_string();
        assert!(error.contains("STREAMIT_LOG_FORMAT") && error.contains("json"), "{error}");
        let error = format!("{:#}", filter(Some("info=what=ever")).unwrap_err());
        assert!(error.contains("RUST_LOG"), "{error}");
    }

    #[test]
    fn a_terminal_gets_text_and_everything_else_json() {
        assert!(matches!(Format::choose(None, true).unwrap(), Format::Text { .. }));
        assert_eq!(Format::choose(None, false).unwrap(), Format::Json);
        assert_eq!(Format::choose(Some("text"), false).unwrap(), Format::Text { colours: false });
        assert_eq!(Format::choose(Some("json"), true).unwrap(), Format::Json);
    }
}
