//! What a client sends over its WebSocket: bytes that are cut anywhere, messages made of them, and what is answered.

use serde_json::Value;
use serde_json::value::RawValue;
use streamit_domain::Timestamp;
use streamit_realtime::session::{Action, Session};
use streamit_realtime::ws::MAX_MESSAGE;
use streamit_realtime::ws::decode::{Decoder, Error, Message};
use streamit_wire::Code;
use streamit_wire::frame::client::Frame;

/// Holds the decoder, the parser and the conversation to what they promise. The first byte says what the others are: the
/// bytes of a client, or a plan of frames that are all as they should be.
pub(crate) fn check(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else { return };
    let Some((&cut, rest)) = rest.split_first() else { return };
    if kind % 2 == 0 {
        bytes(rest, cut);
    } else {
        let (sent, meant) = planned(rest);
        let (seen, error) = decode(&sent, cut);
        assert_eq!(error, None, "what is well formed is read");
        assert_eq!(seen, meant, "what was meant is what is seen");
        converse(&sent, cut);
    }
}

/// Any bytes: what is seen of them is what the RFC says, and the same however they are cut.
fn bytes(sent: &[u8], cut: u8) {
    let at_once = decode(sent, 0);
    assert_eq!(at_once, by_the_book(sent), "as RFC 6455 has it");
    assert_eq!(at_once, decode(sent, cut), "cut into pieces");
    for message in &at_once.0 {
        if let Message::Text(text) = message {
            parse(text);
        }
    }
    converse(sent, cut);
    // What is JSON needs no frame around it to be found by chance.
    if let Ok(text) = std::str::from_utf8(sent) {
        parse(text);
    }
}

/// The pieces that `sent` comes in: whole, byte by byte, or of lengths that follow from `cut`.
fn pieces(sent: &[u8], cut: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut size) = (sent, usize::from(cut));
    std::iter::from_fn(move || {
        let next = if cut == 0 { rest.len() } else { (size % 97 + 1).min(rest.len()) };
        if cut > 1 {
            size = (size * 31 + 7) % 1_009;
        } else {
            size = 0;
        }
        let (piece, behind) = rest.split_at(next);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// All messages up to where the stream can't be read on. Behind a message that is too big it goes on.
fn decode(sent: &[u8], cut: u8) -> (Vec<Message>, Option<Error>) {
    let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
    for piece in pieces(sent, cut) {
        let mut piece = piece;
        loop {
            let fed = decoder.feed(piece, |message| {
                assert!(size(&message) <= MAX_MESSAGE, "{} bytes in one message", size(&message));
                seen.push(message);
                true
            });
            assert!(
                decoder.held() <= 4 * (MAX_MESSAGE + 16) + sent.len(),
                "{} bytes are kept",
                decoder.held()
            );
            match fed {
                Ok(()) => break,
                Err(Error::TooBig) => {
                    // Told in its place, so that it is compared as well; no client can send this code.
                    seen.push(Message::Close(0));
                    piece = &[];
                }
                Err(error) => return (seen, Some(error)),
            }
        }
        assert!(decoder.held() <= 4 * (MAX_MESSAGE + 16) + piece.len(), "{} bytes are kept", decoder.held());
    }
    (seen, None)
}

/// What these bytes are by RFC 6455, read in the simplest way.
fn by_the_book(mut rest: &[u8]) -> (Vec<Message>, Option<Error>) {
    let mut seen = Vec::new();
    let mut begun: Option<(bool, Vec<u8>)> = None;
    while let &[first, second, ..] = rest {
        let (is_last, opcode, is_control) = (first >= 0x80, first % 16, first % 16 >= 8);
        let head = match second % 128 {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let is_odd = first & 0x70 != 0 || second < 0x80;
        let is_known = matches!(opcode, 0..=2 | 8..=10);
        let is_in_turn = is_control || (opcode == 0) == begun.is_some();
        if is_odd || !is_known || !is_in_turn || is_control && (!is_last || head > 2) {
            return (seen, Some(Error::Protocol));
        }
        let Some(length) = rest.get(2..head) else { break };
        let length = match length {
            [] => u64::from(second % 128),
            more => more.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let so_far = begun.as_ref().map_or(0, |(_, parts)| parts.len());
        if !is_control && length > (MAX_MESSAGE - so_far) as u64 {
            // Passed over, and what it belonged to is forgotten.
            seen.push(Message::Close(0));
            begun = begun.map(|(is_text, _)| (is_text, Vec::new()));
            let whole = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(head + 4);
            rest = rest.get(whole..).unwrap_or_default();
            continue;
        }
        let length = length as usize;
        let Some((mask, behind)) = rest[head..].split_first_chunk::<4>() else { break };
        let Some((payload, behind)) = behind.split_at_checked(length) else { break };
        let payload: Vec<u8> = (0..length).map(|at| payload[at] ^ mask[at % 4]).collect();
        rest = behind;
        let message = match opcode {
            9 => Message::Ping(payload),
            10 => Message::Pong(payload),
            8 => match payload[..] {
                [] => Message::Close(1005),
                [high, low, ref reason @ ..] if std::str::from_utf8(reason).is_ok() => {
                    match u16::from_be_bytes([high, low]) {
                        1004..=1006 | 1015..=2999 | 0..=999 | 5000.. => return (seen, Some(Error::Protocol)),
                        code => Message::Close(code),
                    }
                }
                _ => return (seen, Some(Error::Protocol)),
            },
            _ => {
                let (is_text, mut parts) = begun.take().unwrap_or((opcode == 1, Vec::new()));
                parts.extend(payload);
                match (is_last, is_text) {
                    (false, _) => {
                        begun = Some((is_text, parts));
                        Message::Fragment
                    }
                    (true, true) => text(parts),
                    (true, false) => Message::Binary,
                }
            }
        };
        seen.push(message);
    }
    (seen, None)
}

fn size(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Ping(payload) | Message::Pong(payload) => payload.len(),
        _ => 0,
    }
}

/// A text message makes sense, or is refused with a sentence.
fn parse(text: &str) {
    match Frame::parse(text) {
        Ok(frame) => {
            assert!(has_type(text.as_bytes()), "{text}");
            match frame {
                Frame::Chat { text, client_id } => {
                    assert!((1..=500).contains(&text.chars().count()) && text.trim() == text);
                    assert!(client_id.is_none_or(|id| (1..=64).contains(&id.chars().count())));
                }
                Frame::Ping { t0 } => assert_eq!(t0, t0.trim()),
                Frame::Moderate { seconds, .. } => {
                    assert!(seconds.is_none_or(|seconds| (1..=31_536_000).contains(&seconds)));
                }
                Frame::SyncCheck { client_time } => assert!(client_time.secs() >= 0.0),
                _ => {}
            }
        }
        Err(refused) => {
            assert!(!refused.message.is_empty());
            assert!(matches!(refused.code, Code::Invalid | Code::InvalidJson | Code::UnknownType));
        }
    }
}

/// Whether this is JSON, and, as far as it can be held, an object with a type. (A number that no number of ours holds, or
/// half a surrogate, is well-formed JSON: nothing is done with it, and a number may come back.)
fn has_type(json: &[u8]) -> bool {
    let is_json = serde_json::from_slice::<&RawValue>(json).is_ok();
    is_json && serde_json::from_slice::<Value>(json).map_or(true, |value| value["type"].is_string())
}

/// The conversation answers with frames that its client can read, until it ends.
fn converse(sent: &[u8], cut: u8) {
    let (mut decoder, mut session) = (Decoder::default(), Session::new(true));
    let (mut micros, mut goes_on) = (0, true);
    for piece in pieces(sent, cut) {
        micros += i64::from(cut) * 100;
        let fed = decoder.feed(piece, |message| {
            match session.on_message(message, Timestamp(1_000), || Timestamp(1_001), micros) {
                Action::Reply(frame) => answered(&frame),
                Action::Close(close, _) | Action::Answer(close, _) => {
                    assert!((1000..=4999).contains(&close.code) && close.reason.len() <= 123);
                    goes_on = false;
                }
                Action::Room(_) | Action::Answered(_) | Action::Nothing => {}
            }
            goes_on
        });
        if fed.is_err() || !goes_on {
            return;
        }
    }
}

/// A frame of ours: not masked, whole, its length as it says; a pong, or JSON with a type.
fn answered(frame: &[u8]) {
    let (start, length) = match frame[1] {
        126 => (4, usize::from(u16::from_be_bytes([frame[2], frame[3]]))),
        short => (2, usize::from(short)),
    };
    assert_eq!(frame.len(), start + length);
    if frame[0] == 0x81 {
        assert!(has_type(&frame[start..]));
    } else {
        assert_eq!(frame[0], 0x8A);
        assert!(length <= 125);
    }
}

/// Frames as a client should send them, by a plan, and what is meant by them.
fn planned(mut plan: &[u8]) -> (Vec<u8>, Vec<Message>) {
    let (mut sent, mut meant) = (Vec::new(), Vec::new());
    while let Some((&step, rest)) = plan.split_first() {
        // The lengths where a header changes, and others.
        let wanted = match rest.first().copied().unwrap_or(0) {
            length @ 0..=199 => usize::from(length),
            200..=219 => 125 + usize::from(step % 3),
            220..=239 => MAX_MESSAGE - usize::from(step % 2),
            _ => 1_000,
        };
        let rest = rest.get(1..).unwrap_or_default();
        let given = &rest[..wanted.min(rest.len())];
        plan = &rest[given.len()..];
        let mut payload = given.to_vec();
        // Filled up only while all of it stays small: a long plan of long messages would show nothing more.
        if step & 0x80 != 0 && sent.len() < 4 * MAX_MESSAGE {
            payload.resize(wanted, b' ');
        }
        let mask = [step, wanted as u8, 0x5A, rest.len() as u8];
        let control = &payload[..payload.len().min(125)];
        match step % 6 {
            0 => {
                frame(&mut sent, 0x81, &payload, mask);
                meant.push(text(payload));
            }
            1 => {
                frame(&mut sent, 0x82, &payload, mask);
                meant.push(Message::Binary);
            }
            2 => {
                frame(&mut sent, 0x89, control, mask);
                meant.push(Message::Ping(control.to_vec()));
            }
            3 => {
                frame(&mut sent, 0x8A, control, mask);
                meant.push(Message::Pong(control.to_vec()));
            }
            4 => {
                // In three parts, with a ping between.
                let (first, last) = payload.split_at(payload.len() / 3);
                let (middle, last) = last.split_at(last.len() / 2);
                frame(&mut sent, 0x01, first, mask);
                frame(&mut sent, 0x00, middle, mask);
                frame(&mut sent, 0x89, b"?", mask);
                frame(&mut sent, 0x80, last, mask);
                let parts = [Message::Fragment, Message::Fragment, Message::Ping(b"?".to_vec())];
                meant.extend(parts);
                meant.push(text(payload));
            }
            _ => {
                let code = 3_000 + u16::from(step);
                frame(&mut sent, 0x88, &code.to_be_bytes(), mask);
                meant.push(Message::Close(code));
            }
        }
    }
    (sent, meant)
}

fn text(payload: Vec<u8>) -> Message {
    String::from_utf8(payload).map_or(Message::NotUtf8, Message::Text)
}

fn frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: [u8; 4]) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length => {
            out.push(0xFE);
            out.extend((length as u16).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
