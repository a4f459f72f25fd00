//! How a trace goes from one part of the system to the next, as W3C `traceparent`
//! (<https://www.w3.org/TR/trace-context/>).
//!
//! All of it costs next to nothing while no traces are exported.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::HeaderValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::sampling::Bucket;

/// The header, and the name in gRPC metadata.
pub const TRACEPARENT: &str = "traceparent";

static TRACING: OnceLock<Tracing> = OnceLock::new();

/// Set when traces are exported.
pub(crate) struct Tracing {
    /// Whether contexts travel.
    pub(crate) propagates: bool,
    /// Bounds how many messages of clients begin a trace; nothing does when a sampler was named.
    pub(crate) messages: Option<Arc<Bucket>>,
}

pub(crate) fn begin(tracing: Tracing) {
    let _ = TRACING.set(tracing); // a second start changes nothing
}

/// Whether traces are exported.
pub(crate) fn is_on() -> bool {
    TRACING.get().is_some()
}

/// Whether a trace should begin with what a client has just sent. Asked before a span is made.
#[must_use]
pub fn is_wanted() -> bool {
    match TRACING.get() {
        None => false,
        Some(Tracing { messages: None, .. }) => true,
        Some(Tracing { messages: Some(bucket), .. }) => bucket.take(Instant::now()),
    }
}

/// Whether a span is exported. (One that is there for the log alone is not.)
fn is_sampled(span: &Span) -> bool {
    is_on() && !span.is_disabled() && span.context().span().span_context().is_sampled()
}

/// The context of the current span, to be sent along; empty when nothing is recorded of it.
#[must_use]
pub fn traceparent() -> String {
    traceparent_of(&Span::current())
}

/// The context of a span, to be sent along; empty when nothing is recorded of it.
#[must_use]
pub fn traceparent_of(span: &Span) -> String {
    if !TRACING.get().is_some_and(|tracing| tracing.propagates) || span.is_disabled() {
        return String::new();
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    if !context.is_valid() || !context.is_sampled() {
        return String::new();
    }
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

/// Makes a span, not entered yet, a part of the trace that a service of ours tells of.
pub fn continue_from(span: &Span, traceparent: &str) {
    if let Some(context) = read(traceparent) {
        let context = opentelemetry::Context::new().with_remote_span_context(context);
        // Fails for a span that nobody records, which then has no parent to be wrong about.
        let _ = span.set_parent(context);
    }
}

/// Says that a span has to do with another one, without being a part of its trace.
pub fn link_to(span: &Span, traceparent: &str) {
    if let Some(context) = read(traceparent) {
        span.add_link(context);
    }
}

fn read(traceparent: &str) -> Option<SpanContext> {
    if traceparent.is_empty() || TRACING.get().is_none() {
        return None;
    }
    let context = TraceContextPropagator::new().extract(&Header(traceparent));
    let context = context.span().span_context().clone();
    context.is_valid().then_some(context)
}

struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// A span for serving a request. What a stranger says of traces is not followed, only linked: whether anything is recorded
/// is decided here, and his trace is his own.
#[must_use]
pub fn serving(method: &str, route: &str, traceparent: Option<&HeaderValue>) -> Span {
    let method = method_word(method);
    // Not among others' business: its parent would be whatever happens to go on around it.
    let span = tracing::info_span!(
        parent: None,
        "request",
        otel.name = tracing::field::Empty,
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        request.id = tracing::field::Empty,
    );
    if is_on() {
        // A path that leads nowhere is a stranger's own words.
        span.record("otel.name", if route == "-" { method.to_owned() } else { format!("{method} {route}") });
        if let Some(traceparent) = traceparent.and_then(|value| value.to_str().ok()) {
            link_to(&span, traceparent);
        }
    }
    span
}

/// How a call to or from a service of ours ended: `outcome` is the word of its status.
pub fn answered(span: &Span, outcome: &'static str) {
    span.record("rpc.response.status_code", outcome);
    if outcome != "OK" {
        span.record("otel.status_code", "ERROR");
    }
}

/// How a request ended.
pub fn served(span: &Span, status: u16) {
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// A span for telling others something, as a part of what is going on now; one that nobody records when that is not traced.
#[must_use]
pub fn sending(destination: &'static str) -> Span {
    Cause::of(Span::current()).sending(destination)
}

/// A span for telling others something that was brought about in this context, which may be over by now; one that nobody
/// records when that was not traced.
#[must_use]
pub fn sending_from(destination: &'static str, traceparent: &str) -> Span {
    if traceparent.is_empty() || !is_on() {
        return Span::none();
    }
    let span = send(None, destination);
    continue_from(&span, traceparent);
    span
}

fn send(parent: Option<tracing::Id>, destination: &'static str) -> Span {
    tracing::info_span!(
        parent: parent,
        "send",
        otel.name = format!("send {destination}"),
        otel.kind = "producer",
        messaging.operation.type = "send",
        messaging.destination.name = destination,
    )
}

/// The method of a request, if it is one of those that there are: others are a stranger's own words.
#[must_use]
pub fn method_word(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

/// A span for taking in what was told with this context; one that nobody records when it was not traced. There is one for
/// each receiver, however many people it tells, linked to the span that told it.
#[must_use]
pub fn receiving(destination: &'static str, traceparent: &str) -> Span {
    if traceparent.is_empty() || !is_on() {
        return Span::none();
    }
    let span = tracing::info_span!(
        parent: None,
        "process",
        otel.name = format!("process {destination}"),
        otel.kind = "consumer",
        messaging.operation.type = "process",
        messaging.destination.name = destination,
    );
    continue_from(&span, traceparent);
    link_to(&span, traceparent);
    span
}

/// A span for a call to another service, as a part of what brought it about (the first of it, when several did; the others
/// are linked); one that nobody records when none of it is traced.
#[must_use]
pub fn calling<'a>(method: &'static str, causes: impl IntoIterator<Item = &'a Cause>) -> Span {
    together(causes, |first| {
        tracing::info_span!(
            parent: first,
            "call",
            otel.name = method,
            otel.kind = "client",
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.response.status_code = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        )
    })
}

/// A span for work that several have asked for, done once: a part of the first, linked to the others.
#[must_use]
pub fn working<'a>(name: &'static str, causes: impl IntoIterator<Item = &'a Cause>) -> Span {
    together(causes, |first| tracing::info_span!(parent: first, "work", otel.name = name))
}

fn together<'a>(causes: impl IntoIterator<Item = &'a Cause>, make: impl FnOnce(&Span) -> Span) -> Span {
    let mut causes = causes.into_iter().filter_map(Cause::span);
    let Some(first) = causes.next() else { return Span::none() };
    let span = make(first);
    for other in causes {
        span.add_link(other.context().span().span_context().clone());
    }
    span
}

/// A span for answering a call of another service of ours, which says by `traceparent` what it is a part of; one that
/// nobody records when it says nothing.
#[must_use]
pub fn answering(method: &str, traceparent: &str) -> Span {
    if traceparent.is_empty() || !is_on() {
        return Span::none();
    }
    let span = tracing::info_span!(
        parent: None,
        "answer",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    );
    continue_from(&span, traceparent);
    span
}

/// The span of what somebody asked for, carried along with it until it is done. It says nothing about what is carried:
/// two values are equal whatever brought them about.
#[derive(Clone, Default)]
pub struct Cause(Option<Span>);

impl Cause {
    /// What a span stands for; nothing, when it is not exported.
    #[must_use]
    pub fn of(span: Span) -> Self {
        Self(Some(span).filter(is_sampled))
    }

    /// The span.
    #[must_use]
    pub fn span(&self) -> Option<&Span> {
        self.0.as_ref()
    }

    /// A span for telling others of it.
    #[must_use]
    pub fn sending(&self, destination: &'static str) -> Span {
        match &self.0 {
            Some(span) => send(span.id(), destination),
            None => Span::none(),
        }
    }

    /// The span, or none that is recorded.
    #[must_use]
    pub fn or_none(&self) -> Span {
        self.0.clone().unwrap_or_else(Span::none)
    }

    /// What was asked for was refused, for this reason.
    pub fn failed(&self, why: &'static str) {
        if let Some(span) = &self.0 {
            span.record("error.type", why);
            span.record("otel.status_code", "ERROR");
        }
    }

    /// Its context, to be sent along; empty when there is none.
    #[must_use]
    pub fn traceparent(&self) -> String {
        self.0.as_ref().map(traceparent_of).unwrap_or_default()
    }
}

impl PartialEq for Cause {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Cause {}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Cause" } else { "-" })
    }
}
