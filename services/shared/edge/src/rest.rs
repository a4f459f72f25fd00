//! What a handler left unread of a request's body.
//!
//! A refusal may be ready before the client has sent all of its body: too large, not logged in, no such path. A
//! server that answers and closes then makes the client's next write fail, and many clients report that failure
//! rather than the answer they never read. So the rest is read and thrown away first, within bounds. This is for
//! HTTP/1: a stream of HTTP/2 ends alone, and its client still sees the answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::header::EXPECT;
use http::{Request, Version};
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;

/// The most that is thrown away.
const MOST: u64 = 8 * 1024 * 1024;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The end of a request's body that comes back once the handler is done with it.
pub(crate) struct Rest {
    back: oneshot::Receiver<Incoming>,
    /// Whether the client waits to be told before it sends anything. If it was never told, nothing comes.
    waits: bool,
    is_asked_for: Arc<AtomicBool>,
}

/// Hands a request on, and keeps track of its body; nothing is kept when there will be nothing to throw away.
pub(crate) fn keep(request: Request<Incoming>) -> (Request<Body>, Option<Rest>) {
    if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
        return (request.map(Body::new), None);
    }
    let (give_back, back) = oneshot::channel();
    let is_asked_for = Arc::<AtomicBool>::default();
    let rest =
        Rest { back, waits: request.headers().contains_key(EXPECT), is_asked_for: is_asked_for.clone() };
    let lend = |body| Lent { body: Some(body), give_back: Some(give_back), is_asked_for };
    (request.map(|body| Body::new(lend(body))), Some(rest))
}

impl Rest {
    /// Reads on to the end of the body, or as far as patience goes.
    pub(crate) async fn discard(mut self) {
        // Nothing: it was read to its end, or is still being read by something that outlives its handler.
        let Ok(mut body) = self.back.try_recv() else { return };
        if self.waits && !self.is_asked_for.load(Ordering::Relaxed) {
            return;
        }
        let reading = async {
            let mut seen = 0;
            while seen < MOST
                && let Some(Ok(frame)) =
                    std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
            {
                seen += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
        };
        let _ = tokio::time::timeout(PATIENCE, reading).await;
    }
}

/// A body that is given back when whoever reads it drops it before its end.
struct Lent {
    body: Option<Incoming>,
    give_back: Option<oneshot::Sender<Incoming>>,
    is_asked_for: Arc<AtomicBool>,
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_asked_for.store(true, Ordering::Relaxed);
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take())
            && !body.is_end_stream()
        {
            let _ = give_back.send(body); // nobody waits: the connection is gone
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;
    use http::StatusCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::{CancellationToken, DropGuard};

    /// Somebody connected to a server that refuses without looking at the body.
    async fn connect() -> (TcpStream, DropGuard) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/refused", post(|| async { (StatusCode::PAYLOAD_TOO_LARGE, "too large") }))
            .route("/read", post(|body: String| async move { body }));
        let stop = CancellationToken::new();
        tokio::spawn(crate::serve(listener, router, stop.clone()));
        (TcpStream::connect(address).await.unwrap(), stop.drop_guard())
    }

    /// Reads until an answer has ended with `end`.
    async fn answer(stream: &mut TcpStream, end: &str) -> String {
        let (mut seen, mut part) = (String::new(), [0; 1024]);
        while !seen.ends_with(end) {
            let read = stream.read(&mut part).await.unwrap();
            assert_ne!(read, 0, "the connection ended after {seen:?}");
            seen.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        seen
    }

    #[tokio::test]
    async fn a_refusal_reaches_a_client_that_sends_all_before_it_reads() {
        const LENGTH: usize = 3 * 1024 * 1024;
        let (mut stream, _serving) = connect().await;
        let head = format!("POST /refused HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n");
        for _ in 0..10 {
            // Again and again on one connection: it stays fit for use.
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&vec![b'x'; LENGTH]).await.unwrap();
            assert!(answer(&mut stream, "too large").await.starts_with("HTTP/1.1 413 "));
        }
        stream.write_all(b"POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody").await.unwrap();
        assert!(answer(&mut stream, "body").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn who_waits_to_be_asked_for_the_body_is_not_asked() {
        let (mut stream, _serving) = connect().await;
        let head = "POST /refused HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(answer(&mut stream, "too large").await.starts_with("HTTP/1.1 413 "));
    }

    #[tokio::test]
    async fn nobody_is_waited_for_without_end() {
        let (mut stream, _serving) = connect().await;
        let head = "POST /refused HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx";
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(answer(&mut stream, "too large").await.starts_with("HTTP/1.1 413 "));
    }
}
