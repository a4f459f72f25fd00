//! What clients send.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use streamit_domain::playback::Command;
use streamit_domain::readiness::Said;
use streamit_domain::{MediaTime, UserId, chat};

use crate::Code;
use crate::v1::ModerationAction;

/// A message that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// `CHAT_MESSAGE`.
    Chat {
        /// Trimmed, 1 to 500 characters.
        text: String,
        /// What makes sending again harmless.
        client_id: Option<String>,
    },
    /// `PLAY`, `PAUSE` or `SEEK`.
    Playback(Command),
    /// `PING`: `t0` comes back exactly as it was sent.
    Ping {
        /// The JSON text of a number.
        t0: String,
    },
    /// `SYNC_CHECK`.
    SyncCheck {
        /// Where the client's player stands.
        client_time: MediaTime,
    },
    /// `READY` or `BUFFERING`.
    Readiness(Said),
    /// `KICK_USER`, `BAN_USER`, `UNBAN_USER`, `MUTE_USER`, `UNMUTE_USER`.
    Moderate {
        /// What to do.
        action: ModerationAction,
        /// To whom.
        target: UserId,
        /// How long a mute lasts, in seconds; `None` without end.
        seconds: Option<u64>,
    },
    /// `PLAYER_EVENT`: watch progress of the host's player; nobody is ever told that it was wrong.
    PlayerEvent,
}

/// Why a message was refused. Goes to the sender alone and never closes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The stable code.
    pub code: Code,
    /// What is wrong, for people.
    pub message: Cow<'static, str>,
    /// Of the message that is answered, if it had one that can be read.
    pub client_id: Option<String>,
}

impl Refused {
    fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), client_id: None }
    }

    fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Invalid, message)
    }
}

/// All fields of all messages, unread. A field that is there as `null` is there: `JSON.stringify` writes `NaN` and
/// `Infinity` so, and they must not pass for "not given".
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, rename = "type", deserialize_with = "present")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    message: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    client_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    time: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    client_time: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    position: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    t0: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    user_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    seconds: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(Some)
}

fn string<'a>(raw: &'a RawValue, what: &'static str) -> Result<Cow<'a, str>, Refused> {
    // A borrowed string is possible only without escapes; serde decides.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'a>>(raw.get()).map(|text| text.0).map_err(|_| Refused::invalid(what))
}

fn media_time(raw: &RawValue, name: &str) -> Result<MediaTime, Refused> {
    serde_json::from_str::<f64>(raw.get())
        .ok()
        .and_then(|secs| MediaTime::try_from(secs).ok())
        .ok_or_else(|| Refused::invalid(format!("{name} must be a finite number of seconds, 0 or more")))
}

impl Frame {
    /// Its `type`, as clients write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Chat { .. } => "CHAT_MESSAGE",
            Self::Playback(Command::Play(_)) => "PLAY",
            Self::Playback(Command::Pause(_)) => "PAUSE",
            Self::Playback(Command::Seek(_)) => "SEEK",
            Self::Ping { .. } => "PING",
            Self::SyncCheck { .. } => "SYNC_CHECK",
            Self::Readiness(Said { is_ready: true, .. }) => "READY",
            Self::Readiness(_) => "BUFFERING",
            Self::Moderate { action, .. } => match action {
                ModerationAction::Ban => "BAN_USER",
                ModerationAction::Unban => "UNBAN_USER",
                ModerationAction::Mute => "MUTE_USER",
                ModerationAction::Unmute => "UNMUTE_USER",
                ModerationAction::Kick | ModerationAction::Unspecified => "KICK_USER",
            },
            Self::PlayerEvent => "PLAYER_EVENT",
        }
    }

    /// Reads one text message.
    ///
    /// # Errors
    /// What to answer, when it is not a message that makes sense.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        // serde would take a JSON array for a struct.
        if !text.trim_start().starts_with('{') {
            return Err(match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                Ok(_) => Refused::invalid("A message is a JSON object"),
                Err(_) => Refused::new(Code::InvalidJson, "Invalid JSON"),
            });
        }
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Refused::invalid("A field is given twice"),
            _ => Refused::new(Code::InvalidJson, "Invalid JSON"),
        })?;
        let kind = fields.kind.ok_or_else(|| Refused::invalid("type is missing"))?;
        let kind = string(kind, "type must be a string")?;
        match kind.as_ref() {
            "CHAT_MESSAGE" => chat_message(&fields),
            "PLAY" => Ok(Self::Playback(Command::Play(fields.optional_time()?))),
            "PAUSE" => Ok(Self::Playback(Command::Pause(fields.optional_time()?))),
            "SEEK" => {
                let time = fields.optional_time()?.ok_or_else(|| Refused::invalid("time is missing"))?;
                Ok(Self::Playback(Command::Seek(time)))
            }
            "PING" => fields.ping(),
            "SYNC_CHECK" => {
                let raw = fields.client_time.ok_or_else(|| Refused::invalid("client_time is missing"))?;
                Ok(Self::SyncCheck { client_time: media_time(raw, "client_time")? })
            }
            "READY" => fields.said(true),
            "BUFFERING" => fields.said(false),
            "KICK_USER" => fields.moderate(ModerationAction::Kick),
            "BAN_USER" => fields.moderate(ModerationAction::Ban),
            "UNBAN_USER" => fields.moderate(ModerationAction::Unban),
            "MUTE_USER" => fields.moderate(ModerationAction::Mute),
            "UNMUTE_USER" => fields.moderate(ModerationAction::Unmute),
            "PLAYER_EVENT" => Ok(Self::PlayerEvent),
            _ => Err(Refused::new(Code::UnknownType, "Unknown message type")),
        }
    }
}

fn chat_message(fields: &Fields<'_>) -> Result<Frame, Refused> {
    let client_id = match fields.client_id {
        None => None,
        Some(raw) => {
            let id = string(raw, "client_id must be a string")?;
            Some(chat::client_id(&id).map_err(|wrong| Refused::invalid(wrong.0))?.to_owned())
        }
    };
    let text = fields
        .message
        .ok_or_else(|| Refused::invalid("message is missing"))
        .and_then(|raw| string(raw, "message must be a string"))
        .and_then(|raw| chat::text(&raw).map(str::to_owned).map_err(|wrong| Refused::invalid(wrong.0)));
    match text {
        Ok(text) => Ok(Frame::Chat { text, client_id }),
        Err(refused) => Err(Refused { client_id, ..refused }),
    }
}

impl Fields<'_> {
    fn optional_time(&self) -> Result<Option<MediaTime>, Refused> {
        self.time.map(|raw| media_time(raw, "time")).transpose()
    }

    fn said(&self, is_ready: bool) -> Result<Frame, Refused> {
        let position = self.position.map(|raw| media_time(raw, "position")).transpose()?;
        Ok(Frame::Readiness(Said { is_ready, position }))
    }

    fn ping(&self) -> Result<Frame, Refused> {
        let t0 = self.t0.ok_or_else(|| Refused::invalid("t0 is missing"))?.get();
        // Any JSON number, also one that no number type of ours holds, goes back as it came.
        if !t0.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Err(Refused::invalid("t0 must be a number"));
        }
        Ok(Frame::Ping { t0: t0.to_owned() })
    }

    fn moderate(&self, action: ModerationAction) -> Result<Frame, Refused> {
        let raw = self.user_id.ok_or_else(|| Refused::invalid("user_id is missing"))?;
        let target = string(raw, "user_id must be a string")?
            .parse()
            .map_err(|_| Refused::invalid("user_id must be a UUID"))?;
        let seconds = match self.seconds {
            None => None,
            Some(raw) => match serde_json::from_str::<u64>(raw.get()) {
                Ok(seconds) if (1..=31_536_000).contains(&seconds) => Some(seconds),
                _ => return Err(Refused::invalid("seconds must be a whole number from 1 to 31536000")),
            },
        };
        Ok(Frame::Moderate { action, target, seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        Frame::parse(text).unwrap_err().code
    }

    #[test]
    fn what_is_not_a_message_is_told_apart() {
        for text in ["", "{", "nope", "{\"type\":NaN}", "[1,", "{\"type\":\"PLAY\",\"time\":Infinity}"] {
            assert_eq!(code(text), Code::InvalidJson, "{text}");
        }
        for text in ["[]", "null", "3", "\"PLAY\"", "{}", "{\"type\":3}", "{\"type\":null}"] {
            assert_eq!(code(text), Code::Invalid, "{text}");
        }
        assert_eq!(code(r#"{"type":"DANCE"}"#), Code::UnknownType);
        assert_eq!(code(r#"{"type":"PLAY","type":"PAUSE"}"#), Code::Invalid);
        assert_eq!(code(&format!("{}{}", "{\"type\":\"PLAY\",\"x\":", "[".repeat(5_000))), Code::InvalidJson);
    }

    #[test]
    fn times_are_finite_numbers_from_zero_on_or_missing() {
        for time in ["null", "-1", "1e999", "\"5\"", "true", "[]", "{}"] {
            for kind in ["PLAY", "PAUSE", "SEEK"] {
                let text = format!(r#"{{"type":"{kind}","time":{time}}}"#);
                assert!(Frame::parse(&text).is_err(), "{text}");
            }
        }
        assert_eq!(Frame::parse(r#"{"type":"PAUSE"}"#).unwrap(), Frame::Playback(Command::Pause(None)));
        assert!(Frame::parse(r#"{"type":"SEEK"}"#).is_err());
        let at = MediaTime::try_from(12.5).unwrap();
        assert_eq!(
            Frame::parse(r#" {"time":12.5,"type":"PLAY"}"#).unwrap(),
            Frame::Playback(Command::Play(Some(at)))
        );
    }

    #[test]
    fn players_say_where_they_stand_or_do_not() {
        let position = MediaTime::try_from(12.5).ok();
        for (kind, is_ready) in [("READY", true), ("BUFFERING", false)] {
            let bare = Frame::parse(&format!(r#"{{"type":"{kind}"}}"#)).unwrap();
            assert_eq!(bare, Frame::Readiness(Said { is_ready, position: None }));
            let there = Frame::parse(&format!(r#"{{"type":"{kind}","position":12.5,"x":1}}"#)).unwrap();
            assert_eq!(there, Frame::Readiness(Said { is_ready, position }));
            for position in ["null", "-1", "1e999", "\"5\"", "true", "[]", "{}"] {
                assert_eq!(code(&format!(r#"{{"type":"{kind}","position":{position}}}"#)), Code::Invalid);
            }
        }
    }

    #[test]
    fn a_refused_chat_message_keeps_its_client_id() {
        let refused = Frame::parse(r#"{"type":"CHAT_MESSAGE","message":" ","client_id":"a"}"#).unwrap_err();
        assert_eq!(refused.client_id.as_deref(), Some("a"));
        for text in [
            r#"{"type":"CHAT_MESSAGE"}"#,
            r#"{"type":"CHAT_MESSAGE","message":7}"#,
            r#"{"type":"CHAT_MESSAGE","message":null}"#,
            r#"{"type":"CHAT_MESSAGE","message":"a","client_id":7}"#,
            r#"{"type":"CHAT_MESSAGE","message":"a","client_id":""}"#,
        ] {
            assert_eq!(code(text), Code::Invalid, "{text}");
        }
        assert_eq!(
            Frame::parse(r#"{"type":"CHAT_MESSAGE","message":" h\u00e9 \n"}"#).unwrap(),
            Frame::Chat { text: "hé".into(), client_id: None }
        );
    }

    #[test]
    fn a_ping_comes_back_to_the_letter() {
        for t0 in ["0", "-1.50", "1e400", "12345678901234567890123"] {
            let text = format!(r#"{{"type":"PING","t0":{t0}}}"#);
            assert_eq!(Frame::parse(&text).unwrap(), Frame::Ping { t0: t0.into() });
        }
        for t0 in ["null", "\"1\"", "[]", "true"] {
            assert_eq!(code(&format!(r#"{{"type":"PING","t0":{t0}}}"#)), Code::Invalid);
        }
    }

    #[test]
    fn player_events_are_never_wrong() {
        for data in ["null", "3", "{\"x\":[]}"] {
            let text = format!(r#"{{"type":"PLAYER_EVENT","data":{data}}}"#);
            assert_eq!(Frame::parse(&text).unwrap(), Frame::PlayerEvent);
        }
    }
}
