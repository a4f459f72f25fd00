//! WebSocket framing (RFC 6455) on a plain TCP stream.
//!
//! A library would keep buffers per connection and copy each message per member. Here an idle connection holds
//! no buffer at all, and a frame for a room is encoded once: server frames carry no mask, so header and payload
//! are the same bytes for every member.

pub mod decode;
pub mod handshake;

use bytes::{BufMut, Bytes, BytesMut};

/// The largest message a client may send, in bytes.
pub const MAX_MESSAGE: usize = 16 * 1024;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FIN: u8 = 0x80;

fn encode(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(payload.len() + 10);
    out.put_u8(FIN | opcode);
    match payload.len() {
        len @ 0..=125 => out.put_u8(len as u8),
        len @ 126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(len as u16);
        }
        len => {
            out.put_u8(127);
            out.put_u64(len as u64);
        }
    }
    out.put_slice(payload);
    out.freeze()
}

/// A text frame.
#[must_use]
pub fn text(json: &str) -> Bytes {
    encode(TEXT, json.as_bytes())
}

/// The JSON inside a frame that [`text`] made.
#[must_use]
pub fn json_of(frame: &Bytes) -> &str {
    let header = match frame.get(1).copied().unwrap_or(0) {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    std::str::from_utf8(frame.get(header..).unwrap_or_default()).unwrap_or_default()
}

/// The JSON inside each of several frames that [`text`] made.
pub fn jsons(frames: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let (header, length): (usize, usize) = match *rest.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(rest.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        let json = rest.get(header..header.checked_add(length)?)?;
        rest = &rest[header + length..];
        std::str::from_utf8(json).ok()
    })
}

/// A ping. Control frames carry at most 125 bytes (RFC 6455, 5.5).
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    encode(PING, &payload[..payload.len().min(125)])
}

/// The answer to a ping. Control frames carry at most 125 bytes (RFC 6455, 5.5).
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    encode(PONG, &payload[..payload.len().min(125)])
}

/// A close frame. The reason is cut to fit (123 bytes, RFC 6455, 5.5.1).
#[must_use]
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(2 + end);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    encode(CLOSE, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_grows_with_the_payload() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let json = "x".repeat(len);
            assert_eq!(json_of(&text(&json)), json);
        }
        let several = [&text("hi")[..], &text(&"x".repeat(70_000)), &text("ho")].concat();
        assert_eq!(jsons(&several).map(str::len).collect::<Vec<_>>(), [2, 70_000, 2]);
        assert_eq!(&text("hi")[..], b"\x81\x02hi");
        assert_eq!(&close(4001, "no")[..], b"\x88\x04\x0f\xa1no");
        assert_eq!(close(1000, &"é".repeat(100)).len(), 2 + 2 + 122);
    }
}
