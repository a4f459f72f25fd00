//! Serving a router on a socket: like `axum::serve`, but slow headers are cut off, Nagle is off, and a stop waits
//! only so long.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::rest;

/// How long a client may take to send its headers.
const HEADERS: Duration = Duration::from_secs(10);
/// How long requests under way may go on after a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `router` until `shutdown`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(stream, peer, router.clone(), shutdown.clone()));
            }
            Err(error) => {
                // Out of file descriptors, mostly: some will be free soon, and until then there is no use in haste.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "stopping without waiting for what is still under way"
        );
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went before it was served");
        return;
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (mut request, rest) = rest::keep(request);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().oneshot(request);
        async move {
            let answer = answer.await;
            if let Some(rest) = rest {
                rest.discard().await;
            }
            answer
        }
    });
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
    let serving = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke");
    }
}
