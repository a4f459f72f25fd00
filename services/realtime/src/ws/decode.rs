//! Reading client frames, piece by piece.

use super::MAX_MESSAGE;

/// Something complete that came from the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message; what was in it does not matter.
    Binary,
    /// A text message that is not UTF-8. RFC 6455 would have the connection failed (8.1); here bad input never closes
    /// one, and the frame's end is known, so there is no need to.
    NotUtf8,
    /// A ping and its payload.
    Ping(Vec<u8>),
    /// A part of a message that goes on.
    Fragment,
    /// A pong and its payload.
    Pong(Vec<u8>),
    /// A close frame with its code (1005 when it had none: RFC 6455, 7.1.5).
    Close(u16),
}

/// Why a client's stream can't be read on. Each maps to a close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message over [`MAX_MESSAGE`].
    #[error("message too big")]
    TooBig,
    /// Not WebSocket.
    #[error("not a WebSocket frame")]
    Protocol,
}

/// Collects bytes into messages. Holds nothing while no message is half read.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes of a frame that is not complete.
    partial: Vec<u8>,
    /// Payload of the fragments of a message so far.
    fragments: Vec<u8>,
    /// Whether the fragments are text; `None` outside a fragmented message.
    fragmented: Option<bool>,
    /// Bytes still to come of a message that was too big: they are passed over, so that the answer to a close can be
    /// read behind them.
    skip: u64,
}

struct Header {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Of the header itself.
    size: usize,
    payload: usize,
}

impl Decoder {
    /// Takes in `input` and gives each complete message to `each`, in order, until it returns `false`. What lies behind that
    /// message is kept for the next call.
    ///
    /// # Errors
    /// When the stream can't be read on; messages before the fault have been given.
    pub fn feed(&mut self, input: &[u8], mut each: impl FnMut(Message) -> bool) -> Result<(), Error> {
        let over = usize::try_from(self.skip).unwrap_or(usize::MAX).min(input.len());
        self.skip -= over as u64;
        let input = &input[over..];
        let mut joined = std::mem::take(&mut self.partial);
        if joined.is_empty() {
            let used = self.read(input, &mut each)?;
            self.partial = input[used..].to_vec();
        } else {
            // In place: a frame that comes byte by byte must not be copied with each of them.
            joined.extend_from_slice(input);
            let used = self.read(&joined, &mut each)?;
            joined.drain(..used);
            if used > 0 {
                joined.shrink_to_fit(); // what is left may be two bytes, for hours
            }
            self.partial = joined;
        }
        Ok(())
    }

    /// How many bytes this holds, room for more included: at most four times [`MAX_MESSAGE`] and what was fed last.
    #[must_use]
    pub fn held(&self) -> usize {
        self.partial.capacity() + self.fragments.capacity()
    }

    /// Reads whole frames off `bytes`, and returns how many bytes they were.
    fn read(&mut self, bytes: &[u8], each: &mut impl FnMut(Message) -> bool) -> Result<usize, Error> {
        let mut used = 0;
        while let Some(header) = self.header(&bytes[used..])? {
            let (start, end) = (used + header.size, used + header.size + header.payload);
            let Some(masked) = bytes.get(start..end) else { break };
            let message = self.frame(&header, masked)?;
            used = end;
            if !each(message) {
                break;
            }
        }
        Ok(used)
    }

    fn header(&mut self, bytes: &[u8]) -> Result<Option<Header>, Error> {
        let &[first, second, ..] = bytes else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0F);
        // No extension was negotiated, so reserved bits must be 0 (5.2), and clients must mask (5.1).
        if first & 0x70 != 0 || second & 0x80 == 0 {
            return Err(Error::Protocol);
        }
        let (extended, length) = match second & 0x7F {
            126 => (2, bytes.get(2..4).map(|b| u64::from(u16::from_be_bytes([b[0], b[1]])))),
            127 => (8, bytes.get(2..10).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes)),
            short => (0, Some(u64::from(short))),
        };
        match opcode {
            0x0 if self.fragmented.is_none() => return Err(Error::Protocol),
            0x1 | 0x2 if self.fragmented.is_some() => return Err(Error::Protocol),
            0x0..=0x2 => {}
            // Control frames are whole and short (5.5).
            0x8..=0xA if fin && extended == 0 => {}
            _ => return Err(Error::Protocol),
        }
        let Some(length) = length else { return Ok(None) };
        if length > (MAX_MESSAGE - self.fragments.len()) as u64 && opcode < 0x8 {
            self.fragments = Vec::new();
            let whole = length.saturating_add(2 + extended as u64 + 4);
            self.skip = whole.saturating_sub(bytes.len() as u64);
            let behind = usize::try_from(whole).unwrap_or(usize::MAX).min(bytes.len());
            self.partial = bytes[behind..].to_vec();
            return Err(Error::TooBig);
        }
        let start = 2 + extended;
        let Some(mask) = bytes.get(start..start + 4).and_then(|b| b.try_into().ok()) else {
            return Ok(None);
        };
        Ok(Some(Header { fin, opcode, mask, size: start + 4, payload: length as usize }))
    }

    fn frame(&mut self, header: &Header, masked: &[u8]) -> Result<Message, Error> {
        let payload = masked.iter().zip(header.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        match header.opcode {
            0x8 => {
                let payload: Vec<u8> = payload.collect();
                close_code(&payload).map(Message::Close)
            }
            0x9 => Ok(Message::Ping(payload.collect())),
            0xA => Ok(Message::Pong(payload.collect())),
            opcode => {
                let is_text = self.fragmented.take().unwrap_or(opcode == 0x1);
                self.fragments.extend(payload);
                if !header.fin {
                    self.fragmented = Some(is_text);
                    return Ok(Message::Fragment);
                }
                let whole = std::mem::take(&mut self.fragments);
                if is_text {
                    Ok(String::from_utf8(whole).map_or(Message::NotUtf8, Message::Text))
                } else {
                    Ok(Message::Binary)
                }
            }
        }
    }
}

fn close_code(payload: &[u8]) -> Result<u16, Error> {
    match payload {
        [] => Ok(1005),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            // Codes that must not travel (7.4.1).
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Error::Protocol);
            }
            std::str::from_utf8(reason).map(|_| code).map_err(|_| Error::Protocol)
        }
        [_] => Err(Error::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame, masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            len @ 0..=125 => out.push(0x80 | len as u8),
            len @ 126..=0xFFFF => {
                out.push(0xFE);
                out.extend((len as u16).to_be_bytes());
            }
            len => {
                out.push(0xFF);
                out.extend((len as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        out.extend(mask);
        out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
        out
    }

    fn decode(chunks: &[&[u8]]) -> Result<Vec<Message>, Error> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for chunk in chunks {
            decoder.feed(chunk, |message| {
                out.push(message);
                true
            })?;
        }
        Ok(out)
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let mut bytes = frame(0x81, "héllo".as_bytes());
        bytes.extend(frame(0x89, b"p"));
        bytes.extend(frame(0x81, &[b'x'; 200]));
        let expected =
            vec![Message::Text("héllo".into()), Message::Ping(b"p".to_vec()), Message::Text("x".repeat(200))];
        assert_eq!(decode(&[&bytes]).unwrap(), expected);
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(&bytewise).unwrap(), expected);
    }

    #[test]
    fn fragments_are_joined_and_control_frames_may_come_between() {
        let parts =
            [frame(0x01, b"ab"), frame(0x8A, b"q"), frame(0x00, b"cd"), frame(0x80, b"e"), frame(0x82, b"x")];
        let expected = vec![
            Message::Fragment,
            Message::Pong(b"q".to_vec()),
            Message::Fragment,
            Message::Text("abcde".into()),
            Message::Binary,
        ];
        assert_eq!(decode(&[&parts.concat()]).unwrap(), expected);
    }

    #[test]
    fn too_big_is_known_from_the_header_and_from_fragments() {
        assert_eq!(decode(&[&frame(0x81, &vec![b'a'; MAX_MESSAGE + 1])[..20]]), Err(Error::TooBig));
        assert!(decode(&[&frame(0x81, &vec![b'a'; MAX_MESSAGE])]).is_ok());
        let parts = [frame(0x01, &vec![b'a'; MAX_MESSAGE]), frame(0x80, b"b")];
        assert_eq!(decode(&[&parts.concat()]), Err(Error::TooBig));
    }

    #[test]
    fn behind_a_message_that_was_too_big_the_stream_goes_on() {
        let mut bytes = frame(0x81, &vec![b'a'; MAX_MESSAGE + 1]);
        bytes.extend(frame(0x88, &1009u16.to_be_bytes()));
        for size in [7, 1_000, bytes.len()] {
            let (mut decoder, mut out, mut errors) = (Decoder::default(), Vec::new(), 0);
            for chunk in bytes.chunks(size).chain([&[][..]]) {
                let fed = decoder.feed(chunk, |message| {
                    out.push(message);
                    true
                });
                errors += usize::from(fed.is_err());
            }
            assert_eq!((errors, out.as_slice()), (1, &[Message::Close(1009)][..]), "{size}");
        }
    }

    #[test]
    fn what_lies_behind_the_last_message_that_was_wanted_is_kept() {
        let bytes =
            [frame(0x81, b"flood"), frame(0x81, b"flood"), frame(0x88, &4104u16.to_be_bytes())].concat();
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for chunk in [&bytes[..bytes.len() - 1], &bytes[bytes.len() - 1..], &[]] {
            decoder
                .feed(chunk, |message| {
                    out.push(message);
                    false
                })
                .unwrap();
        }
        let flood = || Message::Text("flood".into());
        assert_eq!(out, [flood(), flood(), Message::Close(4104)]);
        assert_eq!(decoder.held(), 0);
    }

    #[test]
    fn little_is_held_of_a_frame_that_has_hardly_begun() {
        let mut decoder = Decoder::default();
        let whole = frame(0x81, &vec![b'a'; MAX_MESSAGE]);
        for byte in whole.chunks(1) {
            decoder.feed(byte, |_| true).unwrap();
        }
        assert_eq!(decoder.held(), 0);
        let (most, rest) = whole.split_at(whole.len() - 1);
        decoder.feed(most, |_| true).unwrap();
        decoder.feed(&[rest, &whole[..2]].concat(), |_| true).unwrap();
        assert!(decoder.held() <= 16, "{}", decoder.held());
    }

    #[test]
    fn what_is_not_websocket_is_refused() {
        for bytes in [
            vec![0x81, 0x01, b'a'],                          // not masked
            frame(0xC1, b"a"),                               // reserved bit
            frame(0x83, b"a"),                               // reserved opcode
            frame(0x80, b"a"),                               // continues nothing
            [frame(0x01, b"a"), frame(0x81, b"b")].concat(), // starts inside another
            frame(0x09, b"a"),                               // fragmented ping
            frame(0x89, &[0; 126]),                          // long ping
            frame(0x88, &[3]),                               // half a close code
            frame(0x88, &1005u16.to_be_bytes()),             // a code that must not travel
        ] {
            assert_eq!(decode(&[&bytes]), Err(Error::Protocol), "{bytes:?}");
        }
        assert_eq!(decode(&[&frame(0x81, &[0xFF])]).unwrap(), [Message::NotUtf8]);
        assert_eq!(decode(&[&frame(0x88, &1000u16.to_be_bytes())]).unwrap(), [Message::Close(1000)]);
        assert_eq!(decode(&[&frame(0x88, &[])]).unwrap(), [Message::Close(1005)]);
    }
}
