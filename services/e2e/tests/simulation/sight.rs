//! What a client reads out of the very bytes that it is sent.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use streamit_e2e::check::{Message, State};

/// How many seconds of film belong to one host's rule: his commands name positions in his band, so a position tells
/// whose command it was. Far more than any run lasts.
pub(crate) const BAND: f64 = 100_000.0;

/// What a frame says.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// When it was sent.
    Ping(u64),
    Listed {
        present: BTreeSet<String>,
        host: String,
    },
    History {
        messages: Vec<Message>,
        epoch: u64,
        resumed: bool,
    },
    Said(Message),
    Played(State),
    Came(String),
    Went(String),
    Host(String),
    Refused {
        code: String,
        id: Option<String>,
        retry_in: Option<u64>,
    },
    Other,
}

/// Takes one piece of the stream apart: it may hold several frames.
pub(crate) fn read(piece: &Bytes) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut rest = &piece[..];
    while let [first, second, ..] = *rest {
        let (header, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            127 => (10, rest[2..10].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))),
            length => (2, usize::from(length)),
        };
        let payload = &rest[header..header + length];
        let sent = || payload.try_into().map(u64::from_be_bytes).expect("pings carry a number");
        heard.push(if first & 0xF == 0x9 { Heard::Ping(sent()) } else { hear(payload) });
        rest = &rest[header + length..];
    }
    heard
}

fn hear(json: &[u8]) -> Heard {
    let frame: Value = serde_json::from_slice(json).expect("frames are JSON");
    let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
    match frame["type"].as_str().unwrap_or_default() {
        "ROOM_PARTICIPANTS" => {
            let names = frame["participants"].as_array().into_iter().flatten();
            let present = names.filter_map(|name| Some(name.as_str()?.to_owned())).collect();
            Heard::Listed { present, host: text("host") }
        }
        "CHAT_HISTORY" => Heard::History {
            messages: frame["messages"].as_array().into_iter().flatten().map(message).collect(),
            epoch: frame["epoch"].as_u64().unwrap_or(0),
            resumed: frame["resumed"].as_bool().unwrap_or(false),
        },
        "CHAT_MESSAGE" => Heard::Said(message(&frame)),
        "PLAYBACK_STATE" => Heard::Played(state(&frame)),
        "USER_JOINED" => Heard::Came(text("user")),
        "USER_LEFT" => Heard::Went(text("user")),
        "HOST_CHANGED" => Heard::Host(text("host")),
        "ERROR" => Heard::Refused {
            code: text("code"),
            id: frame["client_id"].as_str().map(str::to_owned),
            retry_in: frame["retry_in_ms"].as_u64(),
        },
        _ => Heard::Other,
    }
}

fn message(frame: &Value) -> Message {
    let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
    // Every text is said once, so it names the message also when the client gave no id.
    Message { seq: frame["seq"].as_u64().unwrap_or(0), user: text("user"), id: text("message") }
}

fn state(frame: &Value) -> State {
    let time = frame["time"].as_f64().unwrap_or(-1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of bands")]
    let reign = (time / BAND) as u32;
    State {
        version: frame["version"].as_u64().unwrap_or(0),
        is_playing: frame["is_playing"].as_bool().unwrap_or(false),
        time_ms: time * 1_000.0,
        server_time: frame["server_time"].as_i64().unwrap_or(0),
        reign: (reign > 0).then_some(reign),
    }
}
