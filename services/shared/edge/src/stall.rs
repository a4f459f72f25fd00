//! A connection that is given up when the other side takes nothing of what is written to it. An answer that fits into the
//! system's buffers is gone at once; one that does not, such as a film, would else be held, with its seat, for as long as
//! its reader likes. A player that was paused asks for the rest again.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long nothing may be taken.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a connection that was taken by [`serve`](crate::serve()) is, also after an upgrade.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, stalled: None }
    }

    /// The socket itself, whose writes may wait for ever.
    #[must_use]
    pub fn into_inner(self) -> TcpStream {
        self.tcp
    }

    /// Passes on what came of a write, or of waiting for one too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was taken for a long time")))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write(cx, buf);
        this.watch(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs);
        this.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (reader, taken) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (Stream::new(taken.unwrap().0), reader.unwrap())
    }

    /// More than all buffers on the way hold.
    const FILM: usize = 64 << 20;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (mut stream, _reader) = pair().await;
        let begun = Instant::now();
        let error = stream.write_all(&vec![0; FILM]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= PATIENCE);
    }

    #[tokio::test]
    async fn who_takes_all_gets_all() {
        let (mut stream, mut reader) = pair().await;
        let reading = async {
            let mut taken = Vec::new();
            reader.read_to_end(&mut taken).await.unwrap();
            taken.len()
        };
        let writing = async move { stream.write_all(&vec![0; FILM]).await };
        let (taken, written) = tokio::join!(reading, writing);
        written.unwrap();
        assert_eq!(taken, FILM);
    }
}
