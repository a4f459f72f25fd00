//! Calls to the api, measured.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use streamit_telemetry::trace;
use streamit_wire::rpc;
use tokio::time::Instant;
use tonic::Code;
use tonic::codegen::Service;
use tracing::Span;

use crate::metrics::Calls;

/// A way to a replica, whose calls are measured.
#[derive(Clone, Debug)]
pub struct Measured<S> {
    inner: S,
    calls: Calls,
}

impl<S> Measured<S> {
    pub(super) fn new(inner: S, calls: Calls) -> Self {
        Self { inner, calls }
    }
}

/// A call that is under way. Also one that is given up is measured.
struct UnderWay {
    calls: Calls,
    method: &'static str,
    since: Instant,
    outcome: &'static str,
    /// What the call is traced as, if it is. The last of several tries says how it ended.
    span: Span,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        trace::answered(&self.span, self.outcome);
        self.calls.called(self.method, self.outcome, self.since.elapsed());
    }
}

impl<S, B, A> Service<Request<B>> for Measured<S>
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
        let call = UnderWay {
            calls: self.calls.clone(),
            method: rpc::method(request.uri().path()),
            since: Instant::now(),
            outcome: rpc::status(Code::Cancelled),
            span: Span::current(),
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut call = call; // as a whole: it is what is measured that must live as long as the call
            let answer = answer.await;
            call.outcome = match &answer {
                Ok(answer) => rpc::outcome(answer.headers()),
                Err(_) => rpc::status(Code::Unavailable),
            };
            answer
        })
    }
}
