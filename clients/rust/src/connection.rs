//! One WebSocket connection to a room.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use crate::error::{CloseReason, Error};
use crate::event::{ChatHistory, Event, Participants, PlaybackState};
use crate::sender::Sender;

/// 4 KiB each way instead of the usual 128: a load test holds many thousands of these.
const BUFFER: usize = 4096;
/// The largest frame a server sends is a history of 256 KiB.
const LARGEST: usize = 1 << 20;
/// How many events an error message names.
const REMEMBERED: usize = 12;

/// How to connect. The default is what a first visit wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Resume after this message.
    pub since: Option<u64>,
    /// The epoch that `since` belongs to.
    pub epoch: Option<u64>,
    /// The `Origin` to show, as a browser would.
    pub origin: Option<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The address to connect from; one address has ports for about 28,000 connections to one server.
    pub local_addr: Option<IpAddr>,
    /// For how long to wait for the connection, and for what [`Connection::expect`] waits for.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            since: None,
            epoch: None,
            origin: None,
            headers: Vec::new(),
            local_addr: None,
            patience: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Options to resume after message `since` of `epoch`.
    #[must_use]
    pub fn resume(since: u64, epoch: Option<u64>) -> Self {
        Self { since: Some(since), epoch, ..Self::default() }
    }
}

/// What a join brings, before anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// Who is online.
    pub participants: Participants,
    /// What was said.
    pub history: ChatHistory,
    /// Where the film stands.
    pub playback: PlaybackState,
}

/// A connection to a room. Dropping it cuts the line without a word, as a lost network would;
/// [`Connection::close`] says goodbye.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    receiver: Receiver,
}

impl Connection {
    /// Connects to room `code`. Success means that the upgrade was accepted; a refusal of the room comes as a
    /// close, from [`Connection::welcome`] or the first event.
    ///
    /// # Errors
    /// When the server can't be reached or refuses the upgrade.
    pub async fn open(ws_base: &str, code: &str, token: &str, options: Options) -> Result<Self, Error> {
        let mut url = Url::parse(&format!("{}/ws/room/{code}/", ws_base.trim_end_matches('/')))
            .map_err(|_| Error::Address(ws_base.to_owned()))?;
        url.query_pairs_mut().append_pair("token", token);
        if let Some(since) = options.since {
            url.query_pairs_mut().append_pair("since", &since.to_string());
        }
        if let Some(epoch) = options.epoch {
            url.query_pairs_mut().append_pair("epoch", &epoch.to_string());
        }
        Self::open_url(url.as_str(), options).await
    }

    /// Connects to a whole address, whatever its path and query are; `since` and `epoch` are not added.
    ///
    /// # Errors
    /// When the server can't be reached or refuses the upgrade.
    pub async fn open_url(url: &str, options: Options) -> Result<Self, Error> {
        let limit = options.patience;
        timeout(limit, Self::connect(url, options)).await.unwrap_or_else(|_| {
            Err(Error::Deadline { what: "the upgrade to a WebSocket".into(), limit, seen: String::new() })
        })
    }

    async fn connect(url: &str, options: Options) -> Result<Self, Error> {
        let mut request = url.into_client_request().map_err(connect_error)?;
        let shown = options.origin.iter().map(|origin| ("origin", origin));
        let more = options.headers.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in shown.chain(more) {
            let bad = |_| Error::unexpected("header", name);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(()))?;
            request.headers_mut().append(name, HeaderValue::from_str(value).map_err(|_| bad(()))?);
        }
        let stream = dial(url, options.local_addr).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(2 * LARGEST)
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST));
        let (socket, _) =
            client_async_with_config(request, stream, Some(config)).await.map_err(connect_error)?;
        let (sink, stream) = socket.split();
        let receiver = Receiver { stream, ended: None, seen: VecDeque::new(), patience: options.patience };
        Ok(Self { sender: Sender { sink }, receiver })
    }

    /// Waits for the three frames of a join.
    ///
    /// # Errors
    /// [`Error::Closed`] when the room refuses; [`Error::Unexpected`] when anything else comes first.
    pub async fn welcome(&mut self) -> Result<Welcome, Error> {
        self.receiver.welcome().await
    }

    /// [`Connection::open`] and [`Connection::welcome`].
    ///
    /// # Errors
    /// As either.
    pub async fn join(
        ws_base: &str,
        code: &str,
        token: &str,
        options: Options,
    ) -> Result<(Self, Welcome), Error> {
        let mut connection = Self::open(ws_base, code, token, options).await?;
        let welcome = connection.welcome().await?;
        Ok((connection, welcome))
    }

    /// The two directions, to be used at the same time.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// The direction to the server: `connection.sender().chat("hi", None)`.
    pub fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// The direction from the server.
    pub fn receiver(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    /// The next event. Gives up after `limit`.
    ///
    /// # Errors
    /// [`Error::Closed`] at the end, [`Error::Deadline`] when nothing came, [`Error::Unexpected`] for a frame
    /// that is not the contract's.
    pub async fn next_event(&mut self, limit: Duration) -> Result<Event, Error> {
        self.receiver.next_event(limit).await
    }

    /// Waits, with [`Options::patience`], for the first event that `pick` takes; skips the others.
    ///
    /// # Errors
    /// As [`Connection::next_event`]; a deadline names `what` was waited for, and what came instead.
    pub async fn expect<T>(&mut self, what: &str, pick: impl FnMut(&Event) -> Option<T>) -> Result<T, Error> {
        self.receiver.expect(what, pick).await
    }

    /// Sends a PING and gives all that came before its PONG: what the server had sent by the time it read the PING.
    ///
    /// That is not yet the room's answer to everything sent earlier. The connection itself answers a PING, so a PONG
    /// may overtake what the room says to a PLAY or a chat message that was sent before it. Where that matters, wait
    /// for the answer itself, or for one that comes after it: the room answers in turn, so a `SYNC_CHECK` that is
    /// far off the film's position marks the place by its `SYNC_CORRECTION`.
    ///
    /// # Errors
    /// As [`Connection::next_event`].
    pub async fn events_until_pong(&mut self) -> Result<Vec<Event>, Error> {
        // Unlike any number that a test or a RoomClock would send.
        const MARK: &str = "-271828182845904";
        self.sender.text(format!(r#"{{"type":"PING","t0":{MARK}}}"#)).await?;
        let mut before = Vec::new();
        self.receiver
            .expect("the PONG to a marked PING", |event| match event {
                Event::Pong(pong) if pong.t0 == MARK => Some(()),
                other => {
                    before.push(other.clone());
                    None
                }
            })
            .await?;
        Ok(before)
    }

    /// Waits until the server ends the connection; skips whatever comes before that.
    ///
    /// # Errors
    /// [`Error::Deadline`] when it does not.
    pub async fn closed(&mut self) -> Result<CloseReason, Error> {
        self.receiver.closed().await
    }

    /// Says goodbye with 1000, which counts as leaving at once, and waits for the server's answer.
    ///
    /// # Errors
    /// [`Error::Deadline`] when none comes.
    pub async fn close(mut self) -> Result<CloseReason, Error> {
        // A connection that is closed already can't be told; its end is read all the same.
        let _ = self.sender.close(1000, "").await;
        self.receiver.closed().await
    }
}

/// The direction from the server. Read it: PINGs of the server are answered while reading.
#[derive(Debug)]
pub struct Receiver {
    stream: SplitStream<WebSocketStream<TcpStream>>,
    ended: Option<CloseReason>,
    seen: VecDeque<String>,
    patience: Duration,
}

impl Receiver {
    /// As [`Connection::next_event`].
    ///
    /// # Errors
    /// As [`Connection::next_event`].
    pub async fn next_event(&mut self, limit: Duration) -> Result<Event, Error> {
        self.until("any event", limit, |_| Some(())).await.map(|(event, ())| event)
    }

    /// As [`Connection::expect`].
    ///
    /// # Errors
    /// As [`Connection::expect`].
    pub async fn expect<T>(&mut self, what: &str, pick: impl FnMut(&Event) -> Option<T>) -> Result<T, Error> {
        self.until(what, self.patience, pick).await.map(|(_, picked)| picked)
    }

    /// As [`Connection::welcome`].
    ///
    /// # Errors
    /// As [`Connection::welcome`].
    pub async fn welcome(&mut self) -> Result<Welcome, Error> {
        let limit = self.patience;
        let wrong = |event: &Event| Error::unexpected("order of the frames of a join", event.kind());
        let participants = match self.next_event(limit).await? {
            Event::RoomParticipants(participants) => participants,
            other => return Err(wrong(&other)),
        };
        let history = match self.next_event(limit).await? {
            Event::ChatHistory(history) => history,
            other => return Err(wrong(&other)),
        };
        match self.next_event(limit).await? {
            Event::PlaybackState(playback) => Ok(Welcome { participants, history, playback }),
            other => Err(wrong(&other)),
        }
    }

    /// As [`Connection::closed`].
    ///
    /// # Errors
    /// As [`Connection::closed`].
    pub async fn closed(&mut self) -> Result<CloseReason, Error> {
        let limit = self.patience;
        let ended = async {
            loop {
                if let Err(Error::Closed(reason)) = self.frame().await {
                    return reason;
                }
            }
        };
        timeout(limit, ended).await.map_err(|_| Error::Deadline {
            what: "the end of the connection".into(),
            limit,
            seen: self.seen(),
        })
    }

    async fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Result<(Event, T), Error> {
        let deadline = Instant::now() + limit;
        loop {
            let Ok(event) = timeout_at(deadline, self.event()).await else {
                return Err(Error::Deadline { what: what.to_owned(), limit, seen: self.seen() });
            };
            let event = event?;
            if let Some(picked) = pick(&event) {
                return Ok((event, picked));
            }
            if self.seen.len() == REMEMBERED {
                self.seen.pop_front();
            }
            self.seen.push_back(event.kind().to_owned());
        }
    }

    fn seen(&self) -> String {
        self.seen.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    async fn event(&mut self) -> Result<Event, Error> {
        loop {
            if let Frame::Text(text) = self.frame().await? {
                return Event::read(&text);
            }
        }
    }

    /// The next frame of any kind, without a deadline. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] at the end; [`Error::Unexpected`] for a binary frame.
    pub async fn frame(&mut self) -> Result<Frame, Error> {
        if let Some(reason) = &self.ended {
            return Err(Error::Closed(reason.clone()));
        }
        let reason = match self.stream.next().await {
            Some(Ok(Message::Text(text))) => return Ok(Frame::Text(text.as_str().to_owned())),
            Some(Ok(Message::Binary(_))) => return Err(Error::unexpected("frame", "a binary one")),
            Some(Ok(Message::Close(Some(frame)))) => CloseReason::read(frame.code.into(), &frame.reason),
            Some(Ok(Message::Close(None))) => CloseReason::read(1005, ""),
            Some(Ok(_)) => return Ok(Frame::Heartbeat),
            Some(Err(error)) => ended_by(&error),
            None => CloseReason::broken("the connection ended without a close frame"),
        };
        self.ended = Some(reason.clone());
        Err(Error::Closed(reason))
    }
}

/// A frame from the server, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Text, for [`Event::read`].
    Text(String),
    /// A sign of life; answered already where it wants an answer.
    Heartbeat,
}

async fn dial(url: &str, local_addr: Option<IpAddr>) -> Result<TcpStream, Error> {
    let bad = || Error::Address(url.split('?').next().unwrap_or_default().to_owned()); // the query has a token
    let parsed = Url::parse(url).map_err(|_| bad())?;
    if parsed.scheme() != "ws" {
        return Err(bad());
    }
    let host = parsed.host_str().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
    let port = parsed.port_or_known_default().ok_or_else(bad)?;
    let io = |error| connect_error(tungstenite::Error::Io(error));
    let mut last = std::io::Error::other("the name has no address");
    for addr in lookup_host((host.as_str(), port)).await.map_err(io)? {
        match dial_addr(addr, local_addr).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(io(last))
}

async fn dial_addr(addr: SocketAddr, local_addr: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local_addr {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn connect_error(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => Error::UpgradeRefused(response.status().as_u16()),
        error => Error::Connect(Box::new(error)),
    }
}

pub(crate) fn ended_by(error: &tungstenite::Error) -> CloseReason {
    CloseReason::broken(&error.to_string())
}
