//! A network that can go bad, between a store and its PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It arrives.
    Carried,
    /// It waits, as packets that are sent again and again do.
    Held,
    /// It vanishes: some router has forgotten the connection.
    Forgotten,
    /// The next answer vanishes, and the connection ends.
    AnswerLost,
    /// The connection ends.
    Cut,
}

/// Forwards to a server.
pub(crate) struct Proxy {
    url: Url,
    /// Of connections to come.
    fresh: watch::Sender<State>,
    /// Of those that are open.
    open: watch::Sender<State>,
    loses_commit: Arc<AtomicBool>,
}

impl Proxy {
    /// A way to the database of this URL.
    pub(crate) async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (fresh, open) = (watch::Sender::new(State::Carried), watch::Sender::new(State::Carried));
        let loses_commit = Arc::new(AtomicBool::new(false));
        let (begins, ends, loses) = (fresh.subscribe(), open.clone(), loses_commit.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // What is said of open connections is not said of this one.
                let (state, ends, loses) = (*begins.borrow(), ends.subscribe(), loses.clone());
                let server = server.clone();
                tokio::spawn(async move {
                    if state == State::Cut {
                        return;
                    }
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let line = watch::Sender::new(state);
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        () = carry(from_client, to_server, &line, Some(&loses)) => {}
                        () = carry(from_server, to_client, &line, None) => {}
                        () = follow(ends, &line) => {}
                    }
                });
            }
        });
        Self { url, fresh, open, loses_commit }
    }

    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Nothing arrives any more, on any connection, until [`Proxy::heal`].
    pub(crate) fn hold(&self) {
        self.fresh.send_replace(State::Held);
        self.open.send_replace(State::Held);
    }

    /// The connections that are open now carry nothing any more, and never will. New ones work.
    pub(crate) fn forget_open(&self) {
        self.open.send_replace(State::Forgotten);
    }

    /// The connections that are open now end. New ones work.
    pub(crate) fn cut_open(&self) {
        self.open.send_replace(State::Cut);
    }

    /// Every connection ends, also those to come, until [`Proxy::heal`].
    pub(crate) fn refuse(&self) {
        self.fresh.send_replace(State::Cut);
        self.open.send_replace(State::Cut);
    }

    pub(crate) fn heal(&self) {
        self.fresh.send_replace(State::Carried);
        self.open.send_replace(State::Carried);
    }

    /// The next commit happens, but its answer gets lost, with its connection.
    pub(crate) fn lose_next_commit(&self) {
        self.loses_commit.store(true, Ordering::Release);
    }
}

/// Does to a line what is said of all that are open. What is dead stays dead.
async fn follow(mut said: watch::Receiver<State>, line: &watch::Sender<State>) {
    while said.changed().await.is_ok() {
        let state = *said.borrow_and_update();
        line.send_if_modified(|line| {
            let changes = *line != State::Forgotten && *line != state;
            if changes {
                *line = state;
            }
            changes
        });
        if *line.borrow() == State::Cut {
            return;
        }
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    line: &watch::Sender<State>,
    loses_commit: Option<&AtomicBool>,
) {
    let mut state = line.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..length];
        if let Some(loses) = loses_commit
            && bytes.windows(6).any(|part| part == b"COMMIT")
            && loses.swap(false, Ordering::AcqRel)
        {
            line.send_replace(State::AnswerLost);
        }
        let state = *state.wait_for(|state| *state != State::Held).await.unwrap();
        match state {
            State::Forgotten => continue,
            State::AnswerLost if loses_commit.is_none() => return,
            _ => {}
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
