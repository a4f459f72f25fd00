//! What surrounds every request: its id, its line in the log, its deadline, and an answer even after a panic.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use streamit_telemetry::trace;
use streamit_wire::Code;
use tracing::Instrument;

use super::error::ApiError;
use crate::app::App;
use crate::audit::RequestId;

/// How long a request may take, its body included.
const DEADLINE: Duration = Duration::from_secs(20);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request. The log line holds the route, not the path or the query: those may hold codes and tokens.
pub(crate) async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let start = app.clock.monotonic();
    let id = request_id(request.headers()).unwrap_or_else(|| app.entropy.uuid_v4().to_string());
    request.extensions_mut().insert(RequestId(id.as_str().into()));
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("-", MatchedPath::as_str);
    let span = trace::serving(method.as_str(), route, request.headers().get(trace::TRACEPARENT));
    span.record("request.id", id.as_str());

    let served = async {
        let run = AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(DEADLINE, run).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => ApiError::because(Code::Internal, told(&*panic)).into_response(),
            Err(_) => ApiError::because(Code::TryAgain, "the request took too long").into_response(),
        }
    };
    let mut response = served.instrument(span.clone()).await;

    let took = app.clock.monotonic().saturating_duration_since(start);
    app.metrics.served(&method, route, response.status(), took);
    let (status, duration_ms) = (response.status().as_u16(), took.as_secs_f64() * 1e3);
    trace::served(&span, status);
    let _within = span.enter(); // nothing is awaited any more
    // Probes come every few seconds from everywhere: they are of interest only when they fail.
    if matches!(route, "/livez" | "/readyz" | "/api/health/") && status < 400 {
        tracing::debug!(
            "request.id" = id,
            "http.route" = route,
            "http.response.status_code" = status,
            duration_ms,
            "served"
        );
    } else {
        let method = method.as_str();
        tracing::info!(
            "request.id" = id,
            "http.request.method" = method,
            "http.route" = route,
            "http.response.status_code" = status,
            duration_ms,
            "served"
        );
    }

    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The caller's own id of the request, if it is fit for a log.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fit =
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    fit.then(|| id.to_owned())
}

fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_request_ids_are_taken_over() {
        let given = |id: &'static str| {
            request_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))]))
        };
        assert_eq!(given("abc-1_2.3").as_deref(), Some("abc-1_2.3"));
        assert_eq!(given("a b"), None);
        assert_eq!(given(""), None);
        assert_eq!(request_id(&HeaderMap::new()), None);
    }
}
