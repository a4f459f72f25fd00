//! Serving a router on a socket: like `axum::serve`, but slow headers are cut off, Nagle is off, a stop waits only so
//! long, and whoever comes when there is no room is turned away instead of being left to wait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::rest;
use crate::seats::{Seat, Seats, Spare};
use crate::stall::Stream;

/// How long a client may take to send its headers, and to ask for anything at all.
const HEADERS: Duration = Duration::from_secs(10);
/// The largest head of a request (its first line and headers) over HTTP/1, in bytes; HTTP/2 has 16 KiB. So much may be kept
/// for everybody who is at the door.
const HEAD: usize = 32 * 1024;
/// How long it may take to ask for something when seats are scarce.
const HURRY: Duration = Duration::from_secs(2);
/// How many connections may wait to be taken. The system may allow fewer.
const BACKLOG: u32 = 8_192;
/// How long to wait when there is no descriptor at all.
const SHORTAGE: Duration = Duration::from_millis(50);
/// How often it is told that connections are turned away.
const TELL: Duration = Duration::from_secs(10);
/// How long the first request of a connection may take to come after a stop.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// How long requests under way may go on after a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Listens on an address, with room for a crowd that comes all at once.
///
/// # Errors
/// When it can't be listened on.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?; // a restart must not wait for the connections of the life before
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` until `shutdown`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    serve_few(listener, router, shutdown, Seats::of_process()).await;
}

/// The same for no more connections at a time than there are seats.
pub(crate) async fn serve_few(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    seats: Arc<Seats>,
) {
    let connections = TaskTracker::new();
    let mut full = Full::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match seats.take() {
                Some(seat) => {
                    connections.spawn(connection(stream, peer, seat, router.clone(), shutdown.clone()));
                }
                None => full.turned_away("every seat is taken"),
            },
            Err(error) if is_shortage(&error) => full.turn_away(&listener, &error).await,
            Err(error) => tracing::debug!(%error, "a connection went before it was taken"),
        }
        // Accepting takes from the task's budget, so a crowd at the door does not starve those who are in. Others are not let
        // in front after each newcomer: whoever asks for the node's health stands in the same line.
    }
    // Whoever stands in line has been told that he is connected, and may have asked already.
    for _ in 0..BACKLOG {
        let next = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        let Ok(Ok((stream, peer))) = next else { break };
        if let Some(seat) = seats.take() {
            connections.spawn(connection(stream, peer, seat, router.clone(), shutdown.clone()));
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

/// Whether it is not the connection that failed, but this process has no descriptor or memory for any.
fn is_shortage(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// What is done when there is no room for more connections.
struct Full {
    spare: Spare,
    /// How many were turned away since it was last told, and when that was.
    away: u64,
    told: Option<Instant>,
}

impl Default for Full {
    fn default() -> Self {
        Self { spare: Spare::new(), away: 0, told: None }
    }
}

impl Full {
    /// Takes a connection and closes it, so that who is there learns it now and not when he gives up.
    async fn turn_away(&mut self, listener: &TcpListener, error: &io::Error) {
        if self.spare.give() {
            // Nobody may be waiting any more.
            let accepted = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
            drop(accepted);
            self.spare.take_back();
            self.turned_away(&error.to_string());
        } else {
            // The spare one went elsewhere. Some will be free soon, and until then there is no use in haste.
            tokio::time::sleep(SHORTAGE).await;
            self.spare.take_back();
        }
    }

    fn turned_away(&mut self, error: &str) {
        self.away += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            tracing::warn!(error, turned_away = self.away, "could not accept a connection");
            (self.told, self.away) = (Some(Instant::now()), 0);
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    router: Router,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went before it was served");
        return;
    }
    // The timeout for headers begins with the first byte; who sends none, or stays undecided between two versions of HTTP,
    // would keep his seat for good.
    let patience = if seat.is_crowded() { HURRY } else { HEADERS };
    let has_asked = Arc::new(CancellationToken::new());
    let asked = has_asked.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        asked.cancel();
        let (mut request, rest) = rest::keep(request);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(seat.clone());
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
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEAD);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
    let serving = http.serve_connection_with_upgrades(TokioIo::new(Stream::new(stream)), service);
    tokio::pin!(serving);
    let silence = async {
        tokio::time::sleep(patience).await;
        if has_asked.is_cancelled() {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = silence => return tracing::debug!("a connection asked for nothing"),
        () = shutdown.cancelled() => {
            // What has not asked for anything yet would be closed at once, while its request may be on its way; and a proxy that
            // has sent one must not send it elsewhere.
            let asks = tokio::time::timeout(ON_ITS_WAY, has_asked.cancelled());
            tokio::select! {
                ended = serving.as_mut() => ended,
                _ = asks => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn serving() -> SocketAddr {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(serve(listener, router, CancellationToken::new()));
        address
    }

    #[tokio::test]
    async fn who_had_come_before_a_stop_is_still_served() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "here" }));
        let stop = CancellationToken::new();
        let mut come = vec![TcpStream::connect(address).await.unwrap()];
        let mut serving = tokio::spawn(serve(listener, router, stop.clone()));
        // That one has been taken and has asked for nothing yet when the stop comes; the others still stand in line.
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut serving).await.is_err());
        stop.cancel();
        for _ in 0..10 {
            let stream = std::net::TcpStream::connect(address).unwrap(); // without giving way to the server
            stream.set_nonblocking(true).unwrap();
            come.push(TcpStream::from_std(stream).unwrap());
        }
        for stream in &mut come {
            stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 405"), "{answer:?}");
        }
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "it listens no more");
    }

    #[tokio::test]
    async fn who_asks_for_nothing_gives_up_his_seat() {
        let address = serving().await;
        // The beginning of both versions of HTTP, or of neither.
        let silent = ["", "P", "PRI * HTTP/2.0\r\n"].map(|start| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(start.as_bytes()).await.unwrap();
            let begun = Instant::now();
            let mut answer = Vec::new();
            // Closed, or cut: either way over.
            let _ = tokio::time::timeout(HEADERS * 2, stream.read_to_end(&mut answer)).await.unwrap();
            assert!(begun.elapsed() >= HEADERS / 2, "{start:?} after {:?}", begun.elapsed());
        });
        let [a, b, c] = silent;
        // With its first request, and with one after it.
        let crawling = ["", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"].map(|before| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut answer = [0; 1024];
            if !before.is_empty() {
                stream.write_all(before.as_bytes()).await.unwrap();
                let read = stream.read(&mut answer).await.unwrap();
                assert!(answer[..read].ends_with(b"here"));
            }
            let begun = Instant::now();
            let request = b"GET / HTTP/1.1\r\nhost: x\r\nx-padding: ".iter().chain(std::iter::repeat(&b'x'));
            for byte in request {
                let pause = Duration::from_millis(100);
                let Ok(()) = stream.write_all(std::slice::from_ref(byte)).await else { break };
                match tokio::time::timeout(pause, stream.read(&mut answer)).await {
                    Err(_) => assert!(begun.elapsed() < HEADERS * 2, "a byte now and then is no request"),
                    Ok(Ok(1..)) => panic!("{answer:?} is an answer"),
                    Ok(_) => break,
                }
            }
            assert!(begun.elapsed() >= HEADERS / 2, "cut off after {:?}", begun.elapsed());
        });
        let [d, e] = crawling;
        let asking = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("here"), "{answer}");
        };
        tokio::join!(a, b, c, d, e, asking);
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_told_so_and_not_kept() {
        let address = serving().await;
        for (headers, each, status) in
            [(1, HEAD / 2, "200"), (90, 100, "200"), (1, HEAD, "431"), (101, 1, "431")]
        {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let lines: String = (0..headers).map(|n| format!("x-{n}: {}\r\n", "a".repeat(each))).collect();
            let request = format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n");
            // Not even its end is waited for; and what would come too late to be read would have the answer thrown away.
            stream.write_all(&request.as_bytes()[..request.len().min(HEAD)]).await.unwrap();
            let mut answer = vec![0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes(), "{headers} headers of {each}");
        }
    }
}
