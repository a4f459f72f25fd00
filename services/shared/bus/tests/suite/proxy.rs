//! A network that can go bad: connections through it may stop carrying anything, without being closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Forwards to a server on this machine.
pub(crate) struct Proxy {
    port: u16,
    server: Arc<AtomicU16>,
    lines: Arc<Mutex<Vec<Line>>>,
}

/// One connection through the proxy.
#[derive(Clone, Default)]
struct Line {
    is_frozen: Arc<AtomicBool>,
    /// The commands of interest that went through it.
    has_subscribed: Arc<AtomicBool>,
    has_run_scripts: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::<Line>::new()));
        let all = lines.clone();
        let server = Arc::new(AtomicU16::new(server));
        let leads_to = server.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = leads_to.load(Ordering::Acquire);
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let line = Line::default();
                all.lock().push(line.clone());
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(line.clone().carry(from_client, to_server));
                tokio::spawn(line.carry(from_server, to_client));
            }
        });
        Self { port, server, lines }
    }

    /// From now on new connections lead to another server, like a name that has moved. Those that are open stay.
    pub(crate) fn leads_to(&self, server: u16) {
        self.server.store(server, Ordering::Release);
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Every connection that is open now carries nothing any more. New ones work.
    pub(crate) fn freeze_all(&self) {
        self.freeze(|_| true);
    }

    /// The same for the connections that subscribe.
    pub(crate) fn freeze_subscriptions(&self) {
        self.freeze(|line| line.has_subscribed.load(Ordering::Acquire));
    }

    /// The same for the connections that scripts are run on.
    pub(crate) fn freeze_scripts(&self) {
        self.freeze(|line| line.has_run_scripts.load(Ordering::Acquire));
    }

    fn freeze(&self, which: impl Fn(&Line) -> bool) {
        let lines = self.lines.lock();
        let chosen: Vec<_> = lines.iter().filter(|line| which(line)).collect();
        assert!(!chosen.is_empty(), "there is a connection to freeze");
        for line in chosen {
            line.is_frozen.store(true, Ordering::Release);
        }
    }
}

impl Line {
    async fn carry(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if self.is_frozen.load(Ordering::Acquire) {
                // Swallowed, like packets of a connection that a router on the way has forgotten.
                continue;
            }
            let holds = |word: &[u8]| buffer[..length].windows(word.len()).any(|part| part == word);
            self.has_subscribed.fetch_or(holds(b"\r\nSUBSCRIBE\r\n"), Ordering::AcqRel);
            self.has_run_scripts.fetch_or(holds(b"\r\nEVALSHA\r\n"), Ordering::AcqRel);
            if to.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    }
}
