//! The plumbing of one connection: bytes in, bytes out.
//!
//! The loop waits for three things: the socket can be read (or, while something waits to be written, written), the
//! outbox has something, or the time to finish a close has run out. It ends when the peer is gone or the close is
//! done. Nothing is buffered for a connection that is idle.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::SockRef;
use streamit_domain::{ConnectionId, UserId};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use crate::door::Pass;
use crate::metrics::Arrival;
use crate::node::Node;
use crate::outbox::{Close, Kind, Outbox};
use crate::room::GRACE_MS;
use crate::room::effect::{Gone, Input};
use crate::session::{self, Action, Session};
use crate::ws;
use crate::ws::decode::{Decoder, Message};
use streamit_telemetry::trace::{self, Cause};
use streamit_wire::code::close;
use streamit_wire::frame::client;

/// How much is read at once, in bytes. Lives on the stack, only while reading.
const READ: usize = 8 * 1024;
/// How much may lie in the kernel that has not even been sent, in bytes. The kernel would take megabytes for a client
/// that does not read: what its outbox bounds would lie there instead, the client would be found slow only when that is
/// full, and a newer playback state could not replace an older one. And there is always room left for a close.
const UNSENT: u32 = 16 * 1024;
/// Frames written with one call.
const MAX_SLICES: usize = 64;
/// Answers that may wait to be written before the client is read on: who does not read is not answered.
const MAX_ANSWERS: usize = 64;
/// How long a room may take to answer a join.
const JOIN: Duration = Duration::from_secs(12);
/// How long a room that ends may take to tell those whom it turns away.
const A_WORD: Duration = Duration::from_millis(100);
/// How long a close may take: writing what is left, and reading on so that the code arrives.
const CLOSING: Duration = Duration::from_secs(2);
/// The same when the peer has not been heard for so long that it is given up.
const CLOSING_SILENT: Duration = Duration::from_millis(500);

/// A connection's place in a room. The room is told when it ends, also by a fault inside the connection's task.
#[derive(Debug)]
pub struct Place {
    room: mpsc::Sender<Input>,
    connection: ConnectionId,
    is_told: bool,
}

impl Place {
    /// The place of a connection that has asked to join.
    #[must_use]
    pub fn new(room: mpsc::Sender<Input>, connection: ConnectionId) -> Self {
        Self { room, connection, is_told: false }
    }

    async fn leave(mut self, how: Gone) {
        let _ = self.room.send(Input::Gone(self.connection, how)).await; // else the room is no more
        self.is_told = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        // The room may be too busy to take it now, and there is nobody left here who could wait.
        let gone = Input::Gone(self.connection, Gone::Grace);
        if let Err(TrySendError::Full(gone)) = self.room.try_send(gone)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let room = self.room.clone();
            runtime.spawn(async move { room.send(gone).await });
        }
    }
}

/// One joined connection.
pub struct Socket {
    /// The node it is on.
    pub node: Arc<Node>,
    /// Whose it is.
    pub user: UserId,
    /// Where it is.
    pub place: Place,
    /// What waits for it.
    pub outbox: Arc<Outbox>,
    /// Its conversation.
    pub session: Session,
    /// Its turn at the door, held until the room has answered.
    pub pass: Option<Pass>,
    /// Until it is in its room.
    pub arrival: Option<Arrival>,
}

/// Bytes on their way out.
#[derive(Default)]
struct Writer {
    frames: VecDeque<Bytes>,
    /// With the last of them, frames that the room gave outside the budget are out.
    tell_room: bool,
    /// What is measured of them when the last is out.
    since: Option<(Kind, u32)>,
}

impl Writer {
    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Writes as much as the socket takes, many frames with one call. Returns how many bytes that was.
    fn write(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let mut all = 0;
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(frame);
                count += 1;
            }
            match stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    all += written;
                    self.advance(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(all),
                Err(error) => return Err(error),
            }
        }
        self.frames = VecDeque::new(); // an idle connection holds no buffers
        Ok(all)
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(frame) = self.frames.front_mut() {
            if written < frame.len() {
                frame.advance(written);
                return;
            }
            written -= frame.len();
            self.frames.pop_front();
        }
    }
}

/// How a conversation ended.
struct End {
    /// What to send; nothing when nobody is there any more.
    close: Option<Close>,
    /// How the room is to take it.
    how: Gone,
    /// Whether the client closed first, so that nothing more is to be expected from it.
    is_answer: bool,
}

impl End {
    fn by_us(close: Close, how: Gone) -> Self {
        Self { close: Some(close), how, is_answer: false }
    }
}

enum Read {
    Some,
    Nothing,
    End,
}

impl Socket {
    /// Serves the connection until it ends. `early` is what came with the handshake.
    pub async fn run(mut self, stream: TcpStream, early: Bytes) {
        let (mut decoder, mut writer) = (Decoder::default(), Writer::default());
        let mut actions = Vec::new();
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT); // else it is as it always was
        let ended = self.converse(&stream, early, &mut decoder, &mut writer, &mut actions).await;
        // An error is a peer that is gone without a word.
        let mut end = ended.unwrap_or(End { close: None, how: Gone::Grace, is_answer: false });
        if let Some(close) = end.close.take_if(|close| close.code == close::FLOODING) {
            // One connection can't tell whether this was the first time.
            let wait = self.node.floods.count(self.user).await;
            end.close = Some(Close { after_queue: close.after_queue, ..Close::retry(close.code, wait) });
        }
        self.node.metrics.ended(self.arrival.as_ref(), end.close.as_ref());
        // Before the close is on its way: whoever reads its code may come back at once.
        self.place.leave(end.how).await;
        if let Some(close) = end.close {
            // Who has not been heard for so long is hardly there to answer.
            let patience = if close.code == close::SILENT { CLOSING_SILENT } else { CLOSING };
            let finish = finish(&stream, writer, decoder, &close, end.is_answer);
            let _ = tokio::time::timeout(patience, finish).await; // who does not read learns nothing
        }
    }

    async fn converse(
        &mut self,
        stream: &TcpStream,
        early: Bytes,
        decoder: &mut Decoder,
        writer: &mut Writer,
        actions: &mut Vec<Action>,
    ) -> io::Result<End> {
        // Nothing is read before the join is answered: what the client sends early waits in the kernel.
        let mut is_joined = false;
        let patience = Instant::now() + JOIN;
        let mut early = Some(early).filter(|bytes| !bytes.is_empty());
        loop {
            if writer.is_empty() {
                let work = self.outbox.take();
                if work.ping {
                    // In front, and made as it is written: what is measured is the way, not what waits here.
                    writer.frames.push_back(self.session.ping(micros(self.node.uptime())));
                }
                writer.since = work.since;
                if work.replaced > 0 {
                    self.node.traffic.replaced(u64::from(work.replaced));
                }
                writer.frames.extend(work.frames);
                // What was told before may still be on its way.
                writer.tell_room |= work.joined;
                if work.joined {
                    self.pass = None;
                }
                if let Some(close) = work.close {
                    let how = self.gone(&close);
                    return Ok(End::by_us(close, how));
                }
            }
            let begun = writer.frames.len();
            if writer.write(stream)? > 0 && !writer.is_empty() {
                self.outbox.wrote(self.node.now().up);
            }
            self.measure(writer, begun);
            if writer.is_empty() && std::mem::take(&mut writer.tell_room) {
                is_joined = true;
                if let Some(arrival) = self.arrival.take() {
                    arrival.came_in(&self.node.metrics);
                }
                if self.place.room.send(Input::Flushed(self.place.connection)).await.is_err() {
                    return Ok(End::by_us(Close::retry(close::LOST_PLACE, 500), Gone::Grace));
                }
            }
            if is_joined && let Some(bytes) = early.take() {
                self.feed(decoder, &bytes, actions);
                if let Some(end) = self.act(actions, writer).await {
                    return Ok(end);
                }
            }
            let may_read = is_joined && writer.frames.len() < MAX_ANSWERS;
            let interest = match (may_read, writer.is_empty()) {
                (true, true) => Interest::READABLE,
                (true, false) => Interest::READABLE | Interest::WRITABLE,
                (false, true) => Interest::ERROR,
                (false, false) => Interest::WRITABLE,
            };
            let begun = writer.frames.len();
            tokio::select! {
                ready = stream.ready(interest) => {
                    let ready = ready?;
                    if ready.is_writable() && !writer.is_empty() && writer.write(stream)? > 0 {
                        self.outbox.wrote(self.node.now().up);
                        self.measure(writer, begun);
                    }
                    if may_read && ready.is_readable() {
                        match self.read(stream, decoder, actions)? {
                            Read::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                            Read::Nothing => {}
                            Read::Some => if let Some(end) = self.act(actions, writer).await {
                                return Ok(end);
                            }
                        }
                    }
                    if ready.is_error() && !is_joined {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                }
                () = forgotten(&self.place.room), if !is_joined && begun == 0 => {
                    return Ok(End::by_us(Close::retry(close::LOST_PLACE, 500), Gone::Grace));
                }
                () = tokio::time::sleep_until(patience), if !is_joined && begun == 0 => {
                    return Ok(End::by_us(Close::retry(close::TRY_LATER, 1_000), Gone::Grace));
                }
                () = self.outbox.wait() => {
                    // While bytes are stuck only a close matters: whoever does not read is not waited for.
                    if begun > 0 && self.outbox.is_closing() {
                        let work = self.outbox.take();
                        if let Some(close) = work.close {
                            if close.after_queue {
                                writer.frames.extend(work.frames);
                            } else {
                                writer.frames.truncate(1); // it may have been begun
                            }
                            let how = self.gone(&close);
                            return Ok(End::by_us(close, how));
                        }
                    }
                }
            }
        }
    }

    /// Measures what has just been written, if somebody looks.
    fn measure(&self, writer: &mut Writer, begun: usize) {
        let written = begun - writer.frames.len();
        if written == 0 || !self.node.traffic.is_on() {
            return;
        }
        self.node.traffic.flushed(written);
        if let Some((kind, since)) = writer.since.take_if(|_| writer.frames.is_empty()) {
            let now = self.node.uptime().as_millis() as u32; // the lower bits, as the room has it
            self.node.traffic.delivered(kind, now.wrapping_sub(since));
        }
    }

    /// How the roster is to take a close that the server decided on.
    fn gone(&self, close: &Close) -> Gone {
        match close.code {
            close::RESTART => {
                let hint = close.retry_in_ms.unwrap_or(0);
                Gone::At(self.node.room_time().plus(Duration::from_millis(hint + GRACE_MS)))
            }
            4000..=4099 => Gone::Now,
            _ => Gone::Grace,
        }
    }

    fn read(
        &mut self,
        stream: &TcpStream,
        decoder: &mut Decoder,
        actions: &mut Vec<Action>,
    ) -> io::Result<Read> {
        let mut buffer = [0; READ];
        match stream.try_read(&mut buffer) {
            Ok(0) => Ok(Read::End),
            Ok(count) => {
                self.feed(decoder, &buffer[..count], actions);
                Ok(Read::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) => Err(error),
        }
    }

    fn feed(&mut self, decoder: &mut Decoder, bytes: &[u8], actions: &mut Vec<Action>) {
        let up = self.node.uptime();
        self.outbox.heard(u64::try_from(up.as_millis()).unwrap_or(u64::MAX));
        let micros = micros(up);
        let received = self.node.room_time();
        let (session, node) = (&mut self.session, &self.node);
        let fed = decoder.feed(bytes, |message| {
            let action = session.on_message(message, received, || node.room_time(), micros);
            if let Some(kind) = session.take_kind() {
                node.traffic.received(kind);
            }
            let goes_on = !matches!(action, Action::Close(..) | Action::Answer(..));
            if action != Action::Nothing {
                actions.push(action);
            }
            goes_on
        });
        if let Err(error) = fed {
            actions.push(Action::Close(session::broken(error), Gone::Grace));
        }
    }

    async fn act(&mut self, actions: &mut Vec<Action>, writer: &mut Writer) -> Option<End> {
        for action in std::mem::take(actions) {
            match action {
                Action::Reply(frame) => writer.frames.push_back(frame),
                Action::Room(frame) => {
                    // Waits when the room is behind: then this client is read more slowly, and nobody else.
                    let cause = cause(&frame);
                    let input = Input::Frame(self.place.connection, frame, cause);
                    if self.place.room.send(input).await.is_err() {
                        return Some(End::by_us(Close::retry(close::LOST_PLACE, 500), Gone::Grace));
                    }
                }
                Action::Close(close, how) => return Some(End::by_us(close, how)),
                Action::Answer(close, how) => {
                    return Some(End { close: Some(close), how, is_answer: true });
                }
                Action::Answered(took) => self.outbox.answered(took),
                Action::Nothing => {}
            }
        }
        None
    }
}

/// The trace that begins with a message, if one does. It ends when what was asked for is done.
fn cause(frame: &client::Frame) -> Cause {
    use client::Frame;
    // What is answered by the room alone, again and again from everybody, would use up what is there for the rest.
    let goes_on = matches!(frame, Frame::Chat { .. } | Frame::Playback(_) | Frame::Moderate { .. });
    if !goes_on || !trace::is_wanted() {
        return Cause::default();
    }
    let kind = frame.kind();
    Cause::of(tracing::info_span!(
        parent: None,
        "receive",
        otel.name = format!("receive {kind}"),
        otel.kind = "consumer",
        messaging.operation.type = "receive",
        streamit.message.type = kind,
        error.type = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    ))
}

fn micros(up: Duration) -> i64 {
    i64::try_from(up.as_micros()).unwrap_or(i64::MAX)
}

/// Waits until a room has ended without a word to somebody who was about to come in: it failed inside.
async fn forgotten(room: &mpsc::Sender<Input>) {
    room.closed().await;
    tokio::time::sleep(A_WORD).await;
}

/// Writes what is left and the close frame, then stops writing and reads on, so that the code arrives: closing a
/// socket with unread bytes would reset it.
async fn finish(
    stream: &TcpStream,
    mut writer: Writer,
    mut decoder: Decoder,
    close: &Close,
    is_answer: bool,
) -> io::Result<()> {
    // Also for a client that has read nothing for long: the kernel keeps the code for him.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(u32::MAX);
    writer.frames.push_back(ws::close(close.code, &close.reason));
    loop {
        writer.write(stream)?;
        if writer.is_empty() {
            break;
        }
        stream.writable().await?;
    }
    // Who closed first has been answered; nobody else is told before he has answered.
    let mut answered = is_answer;
    let mut is_readable = true;
    while !answered {
        stream.readable().await?;
        let (bytes, count) = take(stream)?;
        match count {
            None => continue,
            Some(0) => break,
            Some(count) if is_readable => {
                let fed = decoder.feed(&bytes[..count], |message| {
                    answered |= matches!(message, Message::Close(_));
                    !answered
                });
                is_readable = fed.is_ok();
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn take(stream: &TcpStream) -> io::Result<(Box<[u8; READ]>, Option<usize>)> {
    let mut buffer = Box::new([0; READ]);
    match stream.try_read(&mut buffer[..]) {
        Ok(count) => Ok((buffer, Some(count))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((buffer, None)),
        Err(error) => Err(error),
    }
}

/// Sends a close to a client who never joined.
pub async fn refuse(stream: &TcpStream, close: &Close) {
    let finish = finish(stream, Writer::default(), Decoder::default(), close, false);
    let _ = tokio::time::timeout(CLOSING, finish).await; // a client that does not read learns nothing
}
