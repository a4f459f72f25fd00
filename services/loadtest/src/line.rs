//! A bare WebSocket: one that can read a single byte, and of which thousands are cheap.
//!
//! The client that everybody else uses reads as fast as it can and keeps buffers for it. Whoever wants to be slow, to
//! fall silent without going, or to be five thousand at once needs less than that. Frames are masked with zeros,
//! which the protocol allows; a `ws://` address is all that can be dialled.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use crate::told::Told;

/// How much is read at once, in bytes.
const READ: usize = 16 * 1024;
/// The largest frame a server sends is a history of 256 KiB.
const LARGEST: usize = 1 << 20;
/// An answer to an upgrade is shorter than this.
const LONGEST_HEAD: usize = 16 * 1024;
/// What a narrow line has room for that was not read yet, in bytes.
const NARROW: u32 = 4 * 1024;
/// How much a narrow line takes at once: what fits into a packet of a usual network. On the loopback a packet is 64 KiB,
/// and the kernel keeps megabytes for a line of such packets.
const PACKET: u32 = 1_400;

const OPCODE_TEXT: u8 = 1;
const OPCODE_CLOSE: u8 = 8;
const OPCODE_PING: u8 = 9;
const OPCODE_PONG: u8 = 10;

/// A place in a room that can be taken.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Where WebSockets are served, in turn.
    pub nodes: Arc<[String]>,
    /// At which of them to begin.
    pub first: usize,
    /// The room.
    pub code: Arc<str>,
    /// Who sits there.
    pub token: Arc<str>,
    /// The address to come from.
    pub from: Option<IpAddr>,
    /// Whether hardly anything waits for a reader who does not read.
    pub is_narrow: bool,
    /// How long the upgrade, and then the join, may take.
    pub patience: Duration,
}

/// The last message somebody has, and the epoch he has it from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Its number.
    pub seq: u64,
    /// The epoch.
    pub epoch: u64,
}

/// How a connection ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The close code; none when the line was just cut.
    pub code: Option<u16>,
    /// When to come back, if that was told.
    pub retry_in_ms: Option<u64>,
    /// What was the matter, when no code says it.
    pub why: String,
}

/// What a line brings.
#[derive(Debug)]
pub enum Heard<'a> {
    /// A text frame.
    Text(&'a [u8]),
    /// Nothing any more.
    End(End),
}

/// What a join brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// How many were here.
    pub online: u64,
    /// The last message that is known now.
    pub since: Since,
    /// Whether the history continues where it was asked to.
    pub resumed: bool,
    /// The numbers of the messages it holds.
    pub seqs: Vec<u64>,
}

/// The half that speaks.
#[derive(Clone, Debug)]
pub struct Voice(Arc<Wire>);

#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    /// Held while a frame is written.
    writing: Mutex<()>,
}

/// A WebSocket. Dropping it and its voices cuts it without a word.
#[derive(Debug)]
pub struct Line {
    wire: Arc<Wire>,
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    used: usize,
}

impl Seat {
    /// Opens a line and takes the place, on the `turn`-th node after the first.
    ///
    /// # Errors
    /// How it ended, when it did not get so far as the three frames of a join.
    pub async fn take(&self, turn: usize, since: Option<Since>) -> Result<(Line, Welcome), End> {
        let mut line = self.knock(turn, since).await?;
        let welcome = timeout(self.patience, line.welcome()).await;
        let welcome = welcome.unwrap_or_else(|_| Err(End::cut("no answer to the join")))?;
        Ok((line, welcome))
    }

    /// Opens a line and waits for nothing.
    ///
    /// # Errors
    /// How it ended, when the upgrade was refused.
    pub async fn knock(&self, turn: usize, since: Option<Since>) -> Result<Line, End> {
        let opened = timeout(self.patience, self.open(turn, since)).await;
        let opened = opened.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        opened.map_err(|error| End::cut(&format!("the upgrade: {error}")))
    }

    async fn open(&self, turn: usize, since: Option<Since>) -> io::Result<Line> {
        let bad = |_| io::Error::other("not the address of a WebSocket");
        let url = Url::parse(&self.nodes[(self.first + turn) % self.nodes.len()]).map_err(bad)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let address = (host, url.port_or_known_default().unwrap_or(80));
        let address = lookup_host(address).await?.next().ok_or(ErrorKind::AddrNotAvailable)?;
        let since = since.map(|since| format!("&since={}&epoch={}", since.seq, since.epoch));
        let path = format!("/ws/room/{}/?token={}{}", self.code, self.token, since.unwrap_or_default());

        let stream = self.dial(address).await?;
        let mut line =
            Line { wire: Arc::new(Wire { stream, writing: Mutex::new(()) }), buffer: Vec::new(), used: 0 };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3RyZWFtaXQtbG9hZHRlcw==\r\n\r\n"
        );
        line.wire.write(request.as_bytes()).await?;
        line.upgraded().await?;
        Ok(line)
    }

    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = self.from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        if self.is_narrow {
            socket.set_recv_buffer_size(NARROW)?;
            SockRef::from(&socket).set_tcp_mss(PACKET)?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl End {
    /// The end of a line that nobody has closed.
    #[must_use]
    pub fn cut(why: &str) -> Self {
        Self { why: why.to_owned(), ..Self::default() }
    }

    fn read(payload: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Hint {
            retry_in_ms: Option<u64>,
        }
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return Self { code: Some(1005), ..Self::default() };
        };
        let hint = serde_json::from_slice::<Hint>(reason).ok();
        Self {
            code: Some(u16::from_be_bytes(*code)),
            retry_in_ms: hint.and_then(|hint| hint.retry_in_ms),
            why: String::from_utf8_lossy(reason).into_owned(),
        }
    }

    /// In one word, to be counted by.
    #[must_use]
    pub fn name(&self) -> String {
        self.code.map_or_else(|| self.why.clone(), |code| code.to_string())
    }
}

impl Wire {
    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let _turn = self.writing.lock().await;
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn frame(&self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::new();
        append(&mut frame, opcode, payload)?;
        self.write(&frame).await
    }
}

/// Puts a frame behind others.
fn append(frames: &mut Vec<u8>, opcode: u8, payload: &[u8]) -> io::Result<()> {
    frames.push(0x80 | opcode);
    match u16::try_from(payload.len()).map_err(|_| ErrorKind::InvalidInput)? {
        short @ 0..=125 => frames.push(0x80 | short.to_be_bytes()[1]),
        long => {
            frames.push(0x80 | 126);
            frames.extend(long.to_be_bytes());
        }
    }
    frames.extend([0; 4]); // the mask
    frames.extend(payload);
    Ok(())
}

impl Voice {
    /// Says something in the chat.
    ///
    /// # Errors
    /// When the line is gone.
    pub async fn chat(&self, text: &str, client_id: &str) -> io::Result<()> {
        let frame = serde_json::json!({"type": "CHAT_MESSAGE", "message": text, "client_id": client_id});
        self.0.frame(OPCODE_TEXT, frame.to_string().as_bytes()).await
    }

    /// Says all of this with one write.
    ///
    /// # Errors
    /// When the line is gone.
    pub async fn chats(&self, texts: &[String]) -> io::Result<()> {
        let mut frames = Vec::new();
        for text in texts {
            let frame = serde_json::json!({"type": "CHAT_MESSAGE", "message": text});
            append(&mut frames, OPCODE_TEXT, frame.to_string().as_bytes())?;
        }
        self.0.write(&frames).await
    }

    /// Goes to this second of the film.
    ///
    /// # Errors
    /// When the line is gone.
    pub async fn seek(&self, second: u64) -> io::Result<()> {
        let frame = serde_json::json!({"type": "SEEK", "time": second});
        self.0.frame(OPCODE_TEXT, frame.to_string().as_bytes()).await
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// When the line is gone.
    pub async fn close(&self) -> io::Result<()> {
        self.0.frame(OPCODE_CLOSE, &1000_u16.to_be_bytes()).await
    }
}

impl Line {
    /// The half that speaks.
    #[must_use]
    pub fn voice(&self) -> Voice {
        Voice(self.wire.clone())
    }

    /// The next text frame, or the end. Answers pings. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Heard<'_> {
        loop {
            match parse(&self.buffer[self.used..]) {
                Err(why) => return Heard::End(End::cut(why)),
                Ok(None) => {
                    if let Err(error) = self.fill(READ).await {
                        return Heard::End(End::cut(&error.kind().to_string()));
                    }
                }
                Ok(Some(frame)) => {
                    let payload = self.used + frame.head..self.used + frame.head + frame.length;
                    self.used = payload.end;
                    match frame.opcode {
                        OPCODE_TEXT => return Heard::Text(&self.buffer[payload]),
                        OPCODE_CLOSE => return Heard::End(End::read(&self.buffer[payload])),
                        OPCODE_PING => {
                            // Who can't be answered will be found to be gone by reading on.
                            let _ = self.wire.frame(OPCODE_PONG, &self.buffer[payload]).await;
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Reads one byte, if there is one, and looks at nothing.
    ///
    /// # Errors
    /// When the line is gone.
    pub fn sip(&mut self) -> io::Result<()> {
        let mut byte = [0];
        match self.wire.stream.try_read(&mut byte) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                self.buffer.push(byte[0]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The three frames of a join.
    ///
    /// # Errors
    /// How it ended instead.
    pub async fn welcome(&mut self) -> Result<Welcome, End> {
        let mut online = 0;
        let mut history = None;
        for kind in ["ROOM_PARTICIPANTS", "CHAT_HISTORY", "PLAYBACK_STATE"] {
            let frame = match self.next().await {
                Heard::Text(frame) => frame,
                Heard::End(end) => return Err(end),
            };
            let told = Told::read(frame).filter(|told| told.kind == kind);
            let told = told.ok_or_else(|| End::cut("the frames of a join came in another order"))?;
            online = told.online.unwrap_or(online);
            if kind == "CHAT_HISTORY" {
                let seqs: Vec<u64> = told.messages.iter().map(|said| said.seq).collect();
                let since = Since {
                    seq: told.head.or(seqs.last().copied()).unwrap_or(0),
                    epoch: told.epoch.unwrap_or(1),
                };
                history = Some((since, told.resumed, seqs));
            }
        }
        let (since, resumed, seqs) = history.ok_or_else(|| End::cut("no history"))?;
        Ok(Welcome { online, since, resumed, seqs })
    }

    async fn upgraded(&mut self) -> io::Result<()> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let status = self.buffer.get(9..12).unwrap_or_default();
                if status != b"101" {
                    return Err(io::Error::other(format!("HTTP {}", String::from_utf8_lossy(status))));
                }
                self.used = end + 4;
                return Ok(());
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(ErrorKind::InvalidData.into());
            }
            self.fill(1_024).await?;
        }
    }

    /// Waits for more, at most so much.
    async fn fill(&mut self, most: usize) -> io::Result<()> {
        self.buffer.drain(..std::mem::take(&mut self.used));
        if self.buffer.is_empty() && self.buffer.capacity() > READ {
            self.buffer = Vec::new(); // after a join, a list and a history would stay
        }
        loop {
            self.wire.stream.readable().await?;
            let mut bytes = [0; READ];
            match self.wire.stream.try_read(&mut bytes[..most.min(READ)]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.buffer.extend_from_slice(&bytes[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where a frame lies.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    opcode: u8,
    head: usize,
    length: usize,
}

/// The frame at the beginning of these bytes, if all of it is there. Servers neither mask nor split.
fn parse(bytes: &[u8]) -> Result<Option<Found>, &'static str> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (head, length) = match second {
        126 => (4, rest.first_chunk::<2>().map(|length| u64::from(u16::from_be_bytes(*length)))),
        127 => (10, rest.first_chunk::<8>().map(|length| u64::from_be_bytes(*length))),
        short => (2, Some(u64::from(*short))),
    };
    let Some(length) = length else { return Ok(None) };
    let length = usize::try_from(length).ok().filter(|length| *length <= LARGEST);
    let length = length.ok_or("a frame that is too large")?;
    Ok((bytes.len() >= head + length).then_some(Found { opcode: first & 0x0f, head, length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_once_all_of_it_is_there() {
        let mut bytes = vec![0x81, 126, 1, 0];
        bytes.extend([b'x'; 256]);
        for short in 0..bytes.len() {
            assert_eq!(parse(&bytes[..short]), Ok(None), "{short}");
        }
        bytes.push(0x88);
        assert_eq!(parse(&bytes), Ok(Some(Found { opcode: OPCODE_TEXT, head: 4, length: 256 })));
        assert_eq!(parse(&bytes[260..]), Ok(None));
        assert!(parse(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_close_tells_its_code_and_when_to_come_back() {
        let mut payload = 1013_u16.to_be_bytes().to_vec();
        payload.extend(br#"{"retry_in_ms":1500}"#);
        let end = End::read(&payload);
        assert_eq!((end.code, end.retry_in_ms), (Some(1013), Some(1_500)));
        assert_eq!(End::read(&[]).code, Some(1005));
        assert_eq!(End::read(&4002_u16.to_be_bytes()).retry_in_ms, None);
    }
}
