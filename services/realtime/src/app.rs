//! A node as its HTTP end sees it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use streamit_edge::{Origins, Proxies};

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
        Router::new()
            .route("/ws/room/{code}/", get(upgrade))
            .route("/ws/room/{code}", get(upgrade))
            .route("/ws/v1/room/{code}/", get(upgrade))
            .route("/ws/v1/room/{code}", get(upgrade))
            .with_state(self.clone())
    }

    /// All routes of a node of its own.
    pub fn http(&self) -> Router {
        let health = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .with_state(self.clone());
        self.sockets().merge(health).fallback(|| async { StatusCode::NOT_FOUND })
    }
}

/// New connections are welcome. Nothing that all nodes share is asked: its loss would take all of them away.
async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.node.health.ready() && !app.node.draining.is_cancelled() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
