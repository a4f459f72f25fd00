//! A network that can go bad, between a store and its PostgreSQL.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

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
    fresh: Arc<Mutex<State>>,
    /// Of those that were opened.
    lines: Arc<Mutex<Vec<watch::Sender<State>>>>,
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
        let proxy = Self {
            url,
            fresh: Arc::new(Mutex::new(State::Carried)),
            lines: Arc::default(),
            loses_commit: Arc::default(),
        };
        let (fresh, lines, loses) = (proxy.fresh.clone(), proxy.lines.clone(), proxy.loses_commit.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (line, state) = {
                    // In one step: what is said of connections is said of those that are open, or to those that come.
                    let mut lines = lines.lock().unwrap();
                    let line = watch::Sender::new(*fresh.lock().unwrap());
                    lines.retain(|line| line.receiver_count() > 0);
                    let state = line.subscribe();
                    lines.push(line.clone());
                    (line, state)
                };
                tokio::spawn(serve(client, server.clone(), line, state, loses.clone()));
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Nothing arrives any more, on any connection, until [`Proxy::heal`].
    pub(crate) fn hold(&self) {
        self.say(State::Held, State::Held);
    }

    /// The connections that are open now carry nothing any more, and never will. New ones work.
    pub(crate) fn forget_open(&self) {
        self.say(State::Carried, State::Forgotten);
    }

    /// The connections that are open now end. New ones work.
    pub(crate) fn cut_open(&self) {
        self.say(State::Carried, State::Cut);
    }

    /// Every connection ends, also those to come, until [`Proxy::heal`].
    pub(crate) fn refuse(&self) {
        self.say(State::Cut, State::Cut);
    }

    pub(crate) fn heal(&self) {
        self.say(State::Carried, State::Carried);
    }

    /// The next commit happens, but its answer gets lost, with its connection.
    pub(crate) fn lose_next_commit(&self) {
        self.loses_commit.store(true, Ordering::Release);
    }

    fn say(&self, fresh: State, open: State) {
        let lines = self.lines.lock().unwrap();
        *self.fresh.lock().unwrap() = fresh;
        for line in &*lines {
            // What was forgotten is not remembered, and what has ended does not begin again.
            line.send_if_modified(|state| {
                let changes = matches!(state, State::Carried | State::Held) || open == State::Cut;
                if changes {
                    *state = open;
                }
                changes
            });
        }
    }
}

async fn serve(
    client: TcpStream,
    server: String,
    line: watch::Sender<State>,
    mut state: watch::Receiver<State>,
    loses_commit: Arc<AtomicBool>,
) {
    if *state.borrow() == State::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = carry(from_client, to_server, &line, Some(&loses_commit)) => {}
        () = carry(from_server, to_client, &line, None) => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
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
            State::Cut => return,
            State::AnswerLost if loses_commit.is_none() => return,
            _ => {}
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
