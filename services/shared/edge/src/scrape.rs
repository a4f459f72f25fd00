//! `GET /metrics`, on an address of its own: what it tells is for operators, not for the internet.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::options::Metrics;
use crate::serve::{listen, serve};

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
    let Some(address) = wanted.metrics_listen else { return Ok(None) };
    let listener = listen(address).await.with_context(|| {
        format!("STREAMIT_METRICS_LISTEN (--metrics-listen): {address} can't be listened on")
    })?;
    let address = listener.local_addr()?;
    tokio::spawn(serving(listener, text));
    Ok(Some(address))
}

async fn serving(listener: TcpListener, text: impl Fn() -> String + Clone + Send + Sync + 'static) {
    let router = Router::new()
        .route("/metrics", get(move || async move { ([(header::CONTENT_TYPE, TEXT)], text()) }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "metrics are at /metrics\n") });
    serve(listener, router, CancellationToken::new()).await;
}
