//! A node as its HTTP end sees it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use http::{HeaderValue, StatusCode, header};
use streamit_edge::{Origins, Proxies};
use streamit_telemetry::trace;
use streamit_wire::Code;
use tracing::Instrument;

use crate::node::Node;
use crate::upgrade::upgrade;

/// What handlers need.
#[derive(Clone, Debug)]
pub struct App {
    /// The node.
    pub node: Arc<Node>,
    /// Origins whose pages may connect.
    pub allowed_origins: Origins,
    /// Proxies that are believed.
    pub trusted_proxies: Proxies,
}

impl App {
    /// The WebSocket's routes. The trailing slash is canonical; without it the same handler answers.
    pub fn sockets(&self) -> Router {
        let only_get = || -> MethodRouter<Self> {
            get(upgrade)
                .fallback(|| async { ([(header::ALLOW, "GET, HEAD")], problem(Code::MethodNotAllowed)) })
        };
        let sockets = Router::new()
            .route("/ws/room/{code}/", only_get())
            .route("/ws/room/{code}", only_get())
            .route("/ws/v1/room/{code}/", only_get())
            .route("/ws/v1/room/{code}", only_get())
            .route_layer(from_fn_with_state(self.clone(), observe))
            .with_state(self.clone());
        streamit_edge::with_headers(sockets, &self.trusted_proxies)
    }

    /// All routes of a node of its own.
    pub fn http(&self) -> Router {
        let health = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .with_state(self.clone());
        let rest = health.fallback(|| async { problem(Code::NotFound) });
        self.sockets().merge(streamit_edge::with_headers(rest, &self.trusted_proxies))
    }
}

/// An answer in the contract's form for errors.
pub(crate) fn problem(code: Code) -> Response {
    let body = format!(r#"{{"error":"{}","code":"{code}"}}"#, code.sentence());
    (code.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Gives a request its id and its line in the log. The line holds the route, not the path or the query: those hold the
/// room's code and the token.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let start = app.node.uptime();
    let id = app.node.fresh_id();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("-", MatchedPath::as_str);
    let span = trace::serving(method.as_str(), route, request.headers().get(trace::TRACEPARENT));
    span.record("request.id", id.as_str());
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    trace::served(&span, status);
    span.in_scope(|| {
        tracing::info!(
            "request.id" = id,
            "http.request.method" = method.as_str(),
            "http.route" = route,
            "http.response.status_code" = status,
            duration_ms = (app.node.uptime() - start).as_secs_f64() * 1e3,
            "served"
        );
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// New connections are welcome. Nothing that all nodes share is asked: its loss would take all of them away.
async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.node.health.ready() && !app.node.is_draining() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
