//! `GET /metrics`, on an address of its own: what it tells is for operators, not for the internet.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::options::Metrics;
use crate::seats::Seats;
use crate::serve::{listen, serve_few};

/// How many may read them at a time. What is left is for those whom they are about.
const AT_ONCE: usize = 16;
/// The text format of Prometheus, as its own servers name it.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves what `text` gives wherever `wanted` says, for as long as the process lives: a stop is watched, too. Returns the
/// address.
///
/// # Errors
/// When it can't be listened on there.
pub async fn metrics(
    wanted: Metrics,
    text: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> anyhow::Result<Option<SocketAddr>> {
    let Some(address) = wanted.address() else { return Ok(None) };
    let listener = listen(address).await.with_context(|| {
        format!("STREAMIT_METRICS_LISTEN (--metrics-listen): {address} can't be listened on")
    })?;
    let address = listener.local_addr()?;
    tokio::spawn(serving(listener, text));
    Ok(Some(address))
}

async fn serving(listener: TcpListener, text: impl Fn() -> String + Clone + Send + Sync + 'static) {
    let told = move || async move {
        // On a thread of its own: it looks at every connection and every descriptor.
        match tokio::task::spawn_blocking(text).await {
            Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    let router = Router::new()
        .route("/metrics", get(told))
        .fallback(|| async { (StatusCode::NOT_FOUND, "metrics are at /metrics\n") });
    serve_few(listener, router, CancellationToken::new(), Seats::few(AT_ONCE)).await;
}
