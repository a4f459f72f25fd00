//! Calls that are part of a trace.

use std::task::{Context, Poll};

use http::{HeaderMap, Request};
use streamit_telemetry::trace;
use tonic::server::NamedService;
use tower::Service;
use tracing::Instrument;
use tracing::instrument::Instrumented;

use super::guard::Guard;

/// A service whose calls continue the traces of those who make them, if they show the token.
#[derive(Clone, Debug)]
pub(super) struct Traced<S> {
    inner: S,
    guard: Guard,
}

impl<S> Traced<S> {
    pub(super) fn new(inner: S, guard: Guard) -> Self {
        Self { inner, guard }
    }

    /// What the caller says his call is a part of; nothing, when he is a stranger.
    fn context<'a>(&self, headers: &'a HeaderMap) -> &'a str {
        let told = headers.get(trace::TRACEPARENT).and_then(|value| value.to_str().ok());
        told.filter(|_| self.guard.admits(headers)).unwrap_or_default()
    }
}

impl<S: NamedService> NamedService for Traced<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = request.uri().path().trim_start_matches('/');
        let span = trace::answering(method, self.context(request.headers()));
        // Some of it runs before the future is first polled.
        span.in_scope(|| self.inner.call(request)).instrument(span)
    }
}
