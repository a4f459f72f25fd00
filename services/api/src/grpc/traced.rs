//! Calls that are part of a trace.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use streamit_telemetry::trace;
use streamit_wire::rpc;
use tonic::server::NamedService;
use tower::Service;
use tracing::Instrument;

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

impl<S, B, A> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<A>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = request.uri().path().trim_start_matches('/');
        let span = trace::answering(method, self.context(request.headers()));
        // Some of it runs before the future is first polled.
        let call = span.in_scope(|| self.inner.call(request));
        let answered = span.clone();
        let call = call.map(move |answer| {
            if let Ok(answer) = &answer {
                trace::answered(&answered, rpc::outcome(answer.headers()));
            }
            answer
        });
        Box::pin(call.instrument(span))
    }
}
