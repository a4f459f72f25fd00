//! A connection that comes back.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::clock::RoomClock;
use crate::connection::{Connection, Frame, Options, Welcome};
use crate::error::{CloseReason, Error};
use crate::event::{ChatMessage, Event};

/// The server pings every 25 s. Silence for longer than two of these is a line that nobody told us is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// More words than this should not wait for a connection.
const UNSEEN: usize = 64;

/// What [`Session::next`] reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// In the room, for the first time or again. The history holds what was missed when it is `resumed`, and
    /// otherwise replaces all that was shown before.
    Joined(Box<Welcome>),
    /// Something happened in the room. A chat message never comes twice, nor out of order.
    Event(Event),
    /// The connection is gone; the next try is in `retry_in`.
    Lost {
        /// How it ended.
        reason: CloseReason,
        /// The pause before the next try.
        retry_in: Duration,
    },
}

/// A place in a room that outlives its connections: it reconnects after the codes that allow it, waits as told,
/// resumes after the last message seen, and sends again the chat that it has not seen arrive.
///
/// ```no_run
/// # use streamit_client::{Event, Session, Update};
/// # async fn example(token: &str) -> Result<(), streamit_client::Error> {
/// let mut session = Session::new("ws://127.0.0.1:8000", "K3J9QX", token);
/// loop {
///     match session.next().await? {
///         Update::Joined(welcome) => println!("{} messages", welcome.history.messages.len()),
///         Update::Event(Event::ChatMessage(said)) => println!("{}: {}", said.user, said.message),
///         Update::Event(_) => {}
///         Update::Lost { reason, retry_in } => println!("{reason}, back in {retry_in:?}"),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    ws_base: String,
    code: String,
    token: String,
    options: Options,
    connection: Option<Connection>,
    backoff: Backoff,
    next_try: Option<Instant>,
    stopped: Option<CloseReason>,
    /// The last message seen, and its epoch.
    place: Option<(u64, Option<u64>)>,
    /// Said, not yet seen to arrive: client id and text, oldest first.
    unseen: VecDeque<(String, String)>,
    clock: RoomClock,
}

impl Session {
    /// A place in room `code`. Nothing happens before [`Session::next`].
    #[must_use]
    pub fn new(ws_base: &str, code: &str, token: &str) -> Self {
        Self::with_options(ws_base, code, token, Options::default())
    }

    /// As [`Session::new`], with options for each connection; a `since` in them is where the first one resumes.
    #[must_use]
    pub fn with_options(ws_base: &str, code: &str, token: &str, options: Options) -> Self {
        Self {
            ws_base: ws_base.to_owned(),
            code: code.to_owned(),
            token: token.to_owned(),
            place: options.since.map(|since| (since, options.epoch)),
            options,
            connection: None,
            backoff: Backoff::new(),
            next_try: None,
            stopped: None,
            unseen: VecDeque::new(),
            clock: RoomClock::new(),
        }
    }

    /// Goes on with another token, from the next connection on: a token may run out while one is away.
    pub fn set_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// The room's time, once a PING of [`Session::ping`] was answered.
    #[must_use]
    pub fn clock(&self) -> &RoomClock {
        &self.clock
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The next thing that happens. Call it again and again: it connects, reconnects and answers the server's
    /// heartbeat. Cancelling it loses nothing but, perhaps, an attempt to connect.
    ///
    /// # Errors
    /// When it is over: [`Error::Closed`] with a code that says to stop, and from then on always;
    /// [`Error::UpgradeRefused`] and [`Error::Address`] when no connection can come of it.
    pub async fn next(&mut self) -> Result<Update, Error> {
        loop {
            if let Some(reason) = &self.stopped {
                return Err(Error::Closed(reason.clone()));
            }
            let Some(connection) = &mut self.connection else {
                if let Some(at) = self.next_try {
                    sleep_until(at).await;
                }
                return self.connect().await;
            };
            let frame = match timeout(SILENCE, connection.receiver().frame()).await {
                Ok(Ok(Frame::Heartbeat)) => continue,
                Ok(Ok(Frame::Text(text))) => text,
                Ok(Err(Error::Closed(reason))) => return self.lost(reason),
                // Something of a newer server, perhaps. An application can do nothing about it.
                Ok(Err(_)) => continue,
                Err(_) => return self.lost(CloseReason::broken("the server fell silent")),
            };
            let Ok(event) = Event::read(&frame) else { continue };
            if let Some(update) = self.take(event) {
                return Ok(update);
            }
        }
    }

    /// Says something, surely: with `client_id` (make up a new one for each message) it is sent again after a
    /// reconnect until it was seen to arrive or to be refused, and is said once.
    ///
    /// # Errors
    /// [`Error::Backlog`] when too much waits already.
    pub async fn chat(&mut self, message: &str, client_id: &str) -> Result<(), Error> {
        if self.unseen.len() >= UNSEEN {
            return Err(Error::Backlog(UNSEEN));
        }
        self.unseen.push_back((client_id.to_owned(), message.to_owned()));
        if let Some(connection) = &mut self.connection {
            // A line that just broke is noticed by `next`, which sends this again.
            let _ = connection.sender().chat(message, Some(client_id)).await;
        }
        Ok(())
    }

    /// Asks for the room's time; `next` takes in the answer.
    ///
    /// # Errors
    /// [`Error::Closed`] when there is no connection now.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let t0 = self.clock.t0();
        self.sender()?.ping(t0).await
    }

    /// To send anything else, on the connection there is now: commands are not sent again, an old one would
    /// only surprise.
    ///
    /// # Errors
    /// [`Error::Closed`] when there is no connection now.
    pub fn sender(&mut self) -> Result<&mut crate::Sender, Error> {
        match &mut self.connection {
            Some(connection) => Ok(connection.sender()),
            None => Err(Error::Closed(CloseReason::broken("not connected now"))),
        }
    }

    /// Leaves, and says so.
    ///
    /// # Errors
    /// [`Error::Deadline`] when the server does not answer.
    pub async fn close(self) -> Result<(), Error> {
        match self.connection {
            Some(connection) => connection.close().await.map(drop),
            None => Ok(()),
        }
    }

    async fn connect(&mut self) -> Result<Update, Error> {
        let mut options = self.options.clone();
        (options.since, options.epoch) = match self.place {
            Some((seq, epoch)) => (Some(seq), epoch),
            None => (None, None),
        };
        match Connection::join(&self.ws_base, &self.code, &self.token, options).await {
            Ok((mut connection, mut welcome)) => {
                self.backoff.reset();
                self.next_try = None;
                let seen = self.place.filter(|_| welcome.history.resumed).map_or(0, |(seq, _)| seq);
                // Our own words come back in the history, too.
                for said in &welcome.history.messages {
                    self.unseen.retain(|(id, _)| said.client_id.as_ref() != Some(id));
                }
                let last = welcome.history.messages.last().map_or(seen, |said| said.seq);
                self.place = Some((last, welcome.history.epoch));
                welcome.history.messages.retain(|said| said.seq > seen);
                for (id, text) in &self.unseen {
                    let _ = connection.sender().chat(text, Some(id)).await;
                }
                self.connection = Some(connection);
                Ok(Update::Joined(Box::new(welcome)))
            }
            Err(Error::Closed(reason)) => self.lost(reason),
            Err(error @ (Error::Transport(_) | Error::Connect(_) | Error::Deadline { .. })) => {
                self.lost(CloseReason::broken(&error.to_string()))
            }
            // A proxy without a server behind it, for now.
            Err(Error::UpgradeRefused(status @ (429 | 500..=599))) => {
                self.lost(CloseReason::broken(&format!("the upgrade was refused with status {status}")))
            }
            Err(other) => Err(other),
        }
    }

    fn lost(&mut self, reason: CloseReason) -> Result<Update, Error> {
        self.connection = None;
        match self.backoff.after(&reason) {
            Some(retry_in) => {
                self.next_try = Some(Instant::now() + retry_in);
                Ok(Update::Lost { reason, retry_in })
            }
            None => {
                self.stopped = Some(reason.clone());
                Err(Error::Closed(reason))
            }
        }
    }

    /// Keeps the books; nothing comes out for what the application has had already.
    fn take(&mut self, event: Event) -> Option<Update> {
        match &event {
            Event::ChatMessage(said) => {
                self.settle(said.client_id.as_deref());
                if !self.is_new(said) {
                    return None;
                }
            }
            // RATE_LIMITED and TRY_AGAIN are answers, too: whether to say it once more is for people to decide.
            Event::Error(refusal) => self.settle(refusal.client_id.as_deref()),
            Event::Pong(pong) => self.clock.pong(pong),
            _ => {}
        }
        Some(Update::Event(event))
    }

    fn settle(&mut self, client_id: Option<&str>) {
        self.unseen.retain(|(id, _)| client_id != Some(id));
    }

    fn is_new(&mut self, said: &ChatMessage) -> bool {
        match &mut self.place {
            // The answer to something sent twice.
            Some((last, _)) if said.seq <= *last => false,
            Some((last, _)) => {
                *last = said.seq;
                true
            }
            None => true,
        }
    }
}
