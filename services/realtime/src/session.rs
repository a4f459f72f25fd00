//! One client's side of the conversation, as a value: messages in, what to do about them out.

use std::time::Duration;

use bytes::Bytes;
use streamit_domain::Timestamp;
use streamit_domain::rate::{Gcra, Rate};
use streamit_wire::Code;
use streamit_wire::code::close;
use streamit_wire::frame::client::{self, Refused};
use streamit_wire::frame::server;

use crate::node::floods::FIRST_MS;
use crate::outbox::Close;
use crate::room::effect::Gone;
use crate::ws;
use crate::ws::decode::{Error, Message};

/// Messages of one connection: 30 a second in bursts of 60. `PING`s are not counted here.
const FRAMES: Rate = Rate::per_second(30, 60);
/// `PING`s and WebSocket pings are not counted, but far beyond any use they are a flood too.
const PINGS: Rate = Rate::per_second(1_000, 4_000);
/// An answer to a ping that took longer, in microseconds, says nothing of the line: the client was suspended, or its
/// network away. Nobody is kept waiting for so long anyhow ([`streamit_domain::playback::MAX_LEAD`]).
const LATE: u64 = 5_000_000;

/// What to do about a message.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Send this back.
    Reply(Bytes),
    /// Hand this to the room.
    Room(client::Frame),
    /// The client answered a ping within this time.
    Answered(Duration),
    /// Close, and count the member as gone in this way.
    Close(Close, Gone),
    /// The client closes: answer with this, and count the member as gone in this way.
    Answer(Close, Gone),
    /// Nothing.
    Nothing,
}

/// The state of a conversation.
#[derive(Debug)]
pub struct Session {
    frames: Gcra,
    pings: Gcra,
    limits: bool,
    /// The type of the message that was taken last.
    kind: Option<&'static str>,
    /// When the ping was written that has not been answered, in microseconds; it carries this number.
    pinged: Option<i64>,
}

impl Session {
    /// A conversation that begins. `limits`: whether rates hold.
    #[must_use]
    pub fn new(limits: bool) -> Self {
        Self { frames: Gcra::default(), pings: Gcra::default(), limits, kind: None, pinged: None }
    }

    /// A ping to be written at once. Only the answer to the last one counts.
    pub fn ping(&mut self, micros: i64) -> Bytes {
        self.pinged = Some(micros);
        ws::ping(&micros.to_be_bytes())
    }

    /// What the pong with this payload tells. One that nobody asked for, or the same once more, tells nothing.
    fn answered(&mut self, payload: &[u8], micros: i64) -> Action {
        let Some(sent) = self.pinged.take_if(|sent| sent.to_be_bytes() == payload) else {
            return Action::Nothing;
        };
        let took = micros.saturating_sub(sent);
        match u64::try_from(took) {
            Ok(took) if took <= LATE => Action::Answered(Duration::from_micros(took)),
            _ => Action::Nothing,
        }
    }

    /// The type of the message that was taken since this was asked last, if it was one of a client's own.
    pub fn take_kind(&mut self) -> Option<&'static str> {
        self.kind.take()
    }

    /// Takes a message that was received at `received` and is answered at `now` (room time); `micros` is a clock that
    /// never runs backwards.
    pub fn on_message(
        &mut self,
        message: Message,
        received: Timestamp,
        now: impl Fn() -> Timestamp,
        micros: i64,
    ) -> Action {
        let parsed = match message {
            Message::Close(code) => {
                let how = if code == close::NORMAL { Gone::Now } else { Gone::Grace };
                let code = if code == 1005 { close::NORMAL } else { code };
                return Action::Answer(Close::new(code, ""), how);
            }
            Message::Pong(payload) => {
                return if self.allows_ping(micros) { self.answered(&payload, micros) } else { flood() };
            }
            Message::Ping(payload) => {
                return if self.allows_ping(micros) { Action::Reply(ws::pong(&payload)) } else { flood() };
            }
            Message::Fragment => {
                let is_flood = self.limits && self.frames.take(FRAMES, micros).is_err();
                return if is_flood { flood() } else { Action::Nothing };
            }
            Message::Binary => Err(Code::Binary),
            Message::NotUtf8 => Err(Code::InvalidJson),
            Message::Text(text) => Ok(client::Frame::parse(&text)),
        };
        self.kind = Some(match &parsed {
            Ok(Ok(frame)) => frame.kind(),
            _ => "invalid",
        });
        if let Ok(Ok(client::Frame::Ping { t0 })) = &parsed {
            return if self.allows_ping(micros) {
                Action::Reply(ws::text(&server::pong(t0, received, now())))
            } else {
                flood()
            };
        }
        if self.limits && self.frames.take(FRAMES, micros).is_err() {
            return flood();
        }
        match parsed {
            Ok(Ok(client::Frame::PlayerEvent)) => Action::Nothing,
            Ok(Ok(frame)) => Action::Room(frame),
            Ok(Err(Refused { code, message, client_id })) => {
                let frame = server::Frame::Error {
                    message,
                    code: code.as_str(),
                    client_id: client_id.as_deref(),
                    retry_in_ms: None,
                };
                Action::Reply(ws::text(&frame.to_json()))
            }
            Err(code) => Action::Reply(ws::text(&server::Frame::error(code, None).to_json())),
        }
    }

    fn allows_ping(&mut self, micros: i64) -> bool {
        !self.limits || self.pings.take(PINGS, micros).is_ok()
    }
}

fn flood() -> Action {
    Action::Close(Close { after_queue: false, ..Close::retry(close::FLOODING, FIRST_MS) }, Gone::Grace)
}

/// How a connection ends whose bytes can't be read on.
#[must_use]
pub fn broken(error: Error) -> Close {
    match error {
        Error::TooBig => Close::new(close::TOO_BIG, "message too big"),
        Error::Protocol => Close::new(close::PROTOCOL, "not a WebSocket frame"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn say(session: &mut Session, text: &str, micros: i64) -> Action {
        session.on_message(Message::Text(text.into()), NOW, || Timestamp(1_001), micros)
    }

    #[test]
    fn a_ping_is_answered_with_both_times_and_not_counted() {
        let mut session = Session::new(true);
        for i in 0..200 {
            let answer = say(&mut session, r#"{"type":"PING","t0":1}"#, 1_000_000_000 + i);
            let Action::Reply(frame) = answer else { panic!("{answer:?}") };
            assert_eq!(ws::json_of(&frame), r#"{"type":"PONG","t0":1,"t1":1000,"t2":1001}"#);
        }
        assert!(matches!(say(&mut session, r#"{"type":"PAUSE"}"#, 1_000_000_300), Action::Room(_)));
    }

    #[test]
    fn only_the_answer_to_the_last_ping_measures_and_only_once() {
        let mut session = Session::new(true);
        let pong = |session: &mut Session, payload: &[u8], micros| {
            session.on_message(Message::Pong(payload.to_vec()), NOW, || NOW, micros)
        };
        let payload = |ping: &Bytes| ping[2..].to_vec();
        assert_eq!(pong(&mut session, b"", 5), Action::Nothing, "unasked");
        let old = payload(&session.ping(1_000_000));
        let ping = payload(&session.ping(2_000_000));
        for wrong in [&b""[..], b"x", &old, &ping[1..]] {
            assert_eq!(pong(&mut session, wrong, 2_010_000), Action::Nothing, "{wrong:?}");
        }
        assert_eq!(pong(&mut session, &ping, 2_040_000), Action::Answered(Duration::from_millis(40)));
        assert_eq!(pong(&mut session, &ping, 2_050_000), Action::Nothing, "once more");
        let ping = payload(&session.ping(3_000_000));
        assert_eq!(pong(&mut session, &ping, 63_000_000), Action::Nothing, "after a minute's sleep");
    }

    #[test]
    fn pongs_are_a_flood_too() {
        let mut session = Session::new(true);
        let mut floods =
            |n: i64| session.on_message(Message::Pong(vec![1]), NOW, || NOW, n) != Action::Nothing;
        assert_eq!((0..5_000).position(|n| floods(1_000_000_000 + n)), Some(4_004));
    }

    #[test]
    fn bad_input_is_answered_however_often_until_it_floods() {
        let mut session = Session::new(true);
        for i in 0..60 {
            assert!(matches!(say(&mut session, "nope", 1_000_000_000 + i), Action::Reply(_)));
        }
        let Action::Close(close, Gone::Grace) = say(&mut session, "nope", 1_000_000_060) else { panic!() };
        assert_eq!((close.code, close.reason.as_str()), (4104, r#"{"retry_in_ms":5000}"#));
        let mut unlimited = Session::new(false);
        for i in 0..1_000 {
            assert!(matches!(say(&mut unlimited, "nope", i), Action::Reply(_)));
        }
    }

    #[test]
    fn only_a_normal_close_counts_at_once() {
        let mut session = Session::new(true);
        let mut close = |code| session.on_message(Message::Close(code), NOW, || NOW, 1);
        assert!(matches!(close(1000), Action::Answer(_, Gone::Now)));
        assert!(matches!(close(1001), Action::Answer(_, Gone::Grace)));
        assert!(matches!(close(1005), Action::Answer(Close { code: 1000, .. }, Gone::Grace)));
    }
}
