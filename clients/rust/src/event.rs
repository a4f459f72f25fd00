//! What a server sends over the WebSocket. Fields that are not known here are ignored; a type that is not
//! becomes [`Event::Unknown`]: servers only ever add.

use std::borrow::Cow;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::Error;

macro_rules! events {
    ($( $(#[doc = $doc:literal])+ $variant:ident($body:ty) = $name:literal; )+) => {
        /// A frame from the server.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $( $(#[doc = $doc])+ $variant($body), )+
            /// A type that this version does not know.
            Unknown(Value),
        }

        impl Event {
            /// Reads a text frame.
            ///
            /// # Errors
            /// When it is not JSON with a `type`, or a known type does not have the contract's shape.
            pub fn read(text: &str) -> Result<Self, Error> {
                let wrong = || Error::unexpected("frame", text);
                let tag: Tag<'_> = serde_json::from_str(text).map_err(|_| wrong())?;
                match &*tag.kind {
                    $( $name => serde_json::from_str(text).map(Self::$variant).map_err(|_| wrong()), )+
                    _ => serde_json::from_str(text).map(Self::Unknown).map_err(|_| wrong()),
                }
            }

            /// The `type`, as it is on the wire.
            #[must_use]
            pub fn kind(&self) -> &str {
                match self {
                    $( Self::$variant(_) => $name, )+
                    Self::Unknown(frame) => frame.get("type").and_then(Value::as_str).unwrap_or_default(),
                }
            }
        }
    };
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

events! {
    /// Who is online. First of the three frames of a join; replaces the list whenever it comes.
    RoomParticipants(Participants) = "ROOM_PARTICIPANTS";
    /// What was said. Second frame of a join.
    ChatHistory(ChatHistory) = "CHAT_HISTORY";
    /// Where the film stands. Third frame of a join, and after each command.
    PlaybackState(PlaybackState) = "PLAYBACK_STATE";
    /// Whose players are not ready, and whether the film waits for them.
    Readiness(Readiness) = "READINESS";
    /// Somebody's first connection came.
    UserJoined(Person) = "USER_JOINED";
    /// Somebody's last connection went.
    UserLeft(Person) = "USER_LEFT";
    /// Somebody said something.
    ChatMessage(ChatMessage) = "CHAT_MESSAGE";
    /// A message was taken back. After a join with `since` it comes for those that were taken back meanwhile.
    MessageErased(Erased) = "MESSAGE_ERASED";
    /// Something sent was refused. The connection goes on.
    Error(Refusal) = "ERROR";
    /// The answer to a PING.
    Pong(Pong) = "PONG";
    /// One is off by more than the room tolerates.
    SyncCorrection(SyncCorrection) = "SYNC_CORRECTION";
    /// The host is away; the room waits.
    HostDisconnected(HostDisconnected) = "HOST_DISCONNECTED";
    /// The host is back.
    HostReconnected(Rest) = "HOST_RECONNECTED";
    /// Somebody else is host now.
    HostChanged(HostChanged) = "HOST_CHANGED";
    /// Somebody asks to be let in (host only).
    JoinRequest(Person) = "JOIN_REQUEST";
    /// Settings changed, or how many are online.
    RoomUpdated(RoomUpdated) = "ROOM_UPDATED";
    /// The room is gone; the connection closes.
    RoomDeleted(Rest) = "ROOM_DELETED";
    /// Something else is being watched.
    SourceChanged(Rest) = "SOURCE_CHANGED";
}

/// Who is online.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Participants {
    /// Names, at most 500, the host's always among them when online.
    pub participants: Vec<String>,
    /// The host's name.
    pub host: Option<String>,
    /// The same people, with more about each.
    #[serde(default)]
    pub members: Vec<Member>,
    /// The one who reads this.
    pub you: Option<Member>,
    /// How many are online, also when the list is shorter.
    pub online: Option<u64>,
    /// Whether anybody may chat.
    pub is_chat_enabled: Option<bool>,
    /// Whether only host and co-hosts may.
    pub is_chat_locked: Option<bool>,
    /// How long a viewer waits between two messages, in seconds; 0: not at all.
    pub slow_mode_seconds: Option<u32>,
    /// The protocol of the server; in the first one of a connection.
    pub protocol: Option<u32>,
    /// All else that came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Somebody in the room.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Who.
    pub id: Uuid,
    /// The name in this room.
    pub name: String,
    /// `HOST`, `COHOST` or `VIEWER`.
    pub role: String,
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ChatHistory {
    /// Oldest first.
    pub messages: Vec<ChatMessage>,
    /// Changes when the server has lost messages: `since` means something within one epoch.
    pub epoch: Option<u64>,
    /// Whether `messages` is exactly what came after `since`.
    #[serde(default)]
    pub resumed: bool,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who said it.
    pub user: String,
    /// What. Empty when it was taken back.
    pub message: String,
    /// Who said it.
    pub user_id: Option<Uuid>,
    /// Its number in the room: from 1, without holes.
    pub seq: u64,
    /// When, RFC 3339.
    pub created_at: String,
    /// As the sender gave it.
    pub client_id: Option<String>,
    /// A tombstone: the message was taken back.
    #[serde(default)]
    pub erased: bool,
}

/// Where the film stands.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct PlaybackState {
    /// Whether it runs.
    pub is_playing: bool,
    /// The position at `server_time`, in seconds.
    pub time: f64,
    /// The room's clock, Unix milliseconds. May lie a little ahead: until then the position is `time`.
    pub server_time: i64,
    /// Grows with each state.
    pub version: u64,
    /// Seconds of film per second.
    #[serde(default = "normal_speed")]
    pub rate: f64,
    /// The film is to run, and waits for somebody's player; `is_playing` is false meanwhile.
    #[serde(default)]
    pub held: bool,
    /// Until when at the latest, in Unix milliseconds of the room's clock.
    pub hold_until: Option<i64>,
}

const fn normal_speed() -> f64 {
    1.0
}

impl PlaybackState {
    /// The position, in seconds, when the room's clock shows `room_ms`.
    #[must_use]
    pub fn position(&self, room_ms: f64) -> f64 {
        if !self.is_playing {
            return self.time;
        }
        let run = (room_ms - self.server_time as f64) / 1_000.0;
        self.time + run.max(0.0) * self.rate
    }
}

/// Whose players are not ready.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Readiness {
    /// What the room does about it: `soft` shows it, `strict` waits. `off`: it has just stopped to ask.
    pub mode: String,
    /// Those who have not been ready for longest, at most 20.
    pub waiting: Vec<Waiting>,
    /// How many there are, also when fewer are named.
    pub count: u64,
    /// Whether the film waits.
    pub held: bool,
    /// Until when at the latest, in Unix milliseconds of the room's clock.
    pub hold_until: Option<i64>,
}

/// Somebody whose player is not ready.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Waiting {
    /// The name in this room.
    pub user: String,
    /// Who.
    pub user_id: Option<Uuid>,
    /// Where the player stands, in seconds, if it said so.
    pub position: Option<f64>,
}

/// Somebody who came, went, or asks to come.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Person {
    /// The name in this room.
    pub user: String,
    /// Who.
    pub user_id: Option<Uuid>,
}

/// Which message was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Erased {
    /// Its number.
    pub seq: u64,
}

/// Why something sent was refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// A sentence for people.
    pub message: String,
    /// The stable code, for programs.
    #[serde(default)]
    pub code: String,
    /// Of the chat message that it is about.
    pub client_id: Option<String>,
    /// When the same may be tried again.
    pub retry_in_ms: Option<u64>,
}

/// The answer to a PING, for [`crate::RoomClock`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Pong {
    /// The JSON text of the number that was sent, exactly as it came back.
    #[serde(deserialize_with = "json_text")]
    pub t0: String,
    /// The room's clock when the PING came, Unix milliseconds.
    pub t1: i64,
    /// The room's clock when this was sent, Unix milliseconds.
    pub t2: i64,
}

fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer).map_err(D::Error::custom)?;
    Ok(raw.get().to_owned())
}

/// Where one should be.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct SyncCorrection {
    /// The position at `server_time`, in seconds.
    pub time: f64,
    /// Of the playback state it was worked out from.
    pub version: u64,
    /// The room's clock, Unix milliseconds.
    pub server_time: i64,
    /// Seconds that one is ahead (positive) or behind.
    pub drift: f64,
}

/// The host is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct HostDisconnected {
    /// How long the room waits, in seconds.
    pub grace_seconds: u32,
}

/// Somebody else is host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HostChanged {
    /// The name in this room.
    pub host: String,
    /// Who.
    pub host_id: Uuid,
}

/// What changed about the room.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RoomUpdated {
    /// How many are online.
    pub online: Option<u64>,
    /// Whether anybody may chat.
    pub is_chat_enabled: Option<bool>,
    /// Whether nobody new comes in.
    pub is_locked: Option<bool>,
    /// Whether only host and co-hosts may chat.
    pub is_chat_locked: Option<bool>,
    /// How long a viewer waits between two messages, in seconds; 0: not at all.
    pub slow_mode_seconds: Option<u32>,
    /// All else that changed.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The fields of a frame, as they came.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Rest(pub Map<String, Value>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_become_events() {
        let chat = r#"{"type":"CHAT_MESSAGE","seq":3,"user":"Ana","user_id":null,"message":"hi",
            "created_at":"2026-01-01T00:00:00Z","client_id":"c1","a_new_field":[1]}"#;
        let Event::ChatMessage(chat) = Event::read(chat).unwrap() else { panic!("not a chat message") };
        assert_eq!((chat.seq, chat.client_id.as_deref(), chat.erased), (3, Some("c1"), false));
        let back = Event::read(r#"{"type":"HOST_RECONNECTED"}"#).unwrap();
        assert_eq!(back.kind(), "HOST_RECONNECTED");
    }

    #[test]
    fn what_is_new_is_kept_and_what_is_broken_is_told() {
        let new = Event::read(r#"{"x":1,"type":"FIREWORKS"}"#).unwrap();
        assert_eq!(new.kind(), "FIREWORKS");
        assert!(matches!(new, Event::Unknown(_)));
        for bad in ["", "[]", "{}", r#"{"type":7}"#, r#"{"type":"USER_JOINED"}"#] {
            assert!(matches!(Event::read(bad), Err(Error::Unexpected { .. })), "{bad}");
        }
    }

    #[test]
    fn a_pong_keeps_the_number_as_it_was_written() {
        for t0 in ["1", "-1.50", "1e3", "123456789012345678901234567890"] {
            let pong = format!(r#"{{"type":"PONG","t0":{t0},"t1":1,"t2":2}}"#);
            let Event::Pong(pong) = Event::read(&pong).unwrap() else { panic!("not a pong") };
            assert_eq!(pong.t0, t0);
        }
    }

    #[test]
    fn who_is_waited_for_is_read() {
        let told = r#"{"type":"READINESS","mode":"strict","waiting":[{"user":"Bo","user_id":null,"position":null}],
            "count":1,"held":true,"hold_until":9000}"#;
        let Event::Readiness(told) = Event::read(told).unwrap() else { panic!("not a readiness") };
        assert_eq!((told.waiting[0].user.as_str(), told.count, told.hold_until), ("Bo", 1, Some(9_000)));
    }

    #[test]
    fn how_a_room_is_kept_in_order_is_read() {
        let told =
            r#"{"type":"ROOM_UPDATED","is_locked":true,"is_chat_locked":false,"slow_mode_seconds":30,"x":1}"#;
        let Event::RoomUpdated(told) = Event::read(told).unwrap() else { panic!("not an update") };
        let order = (told.is_locked, told.is_chat_locked, told.slow_mode_seconds);
        assert_eq!((order, told.rest.len()), ((Some(true), Some(false), Some(30)), 1 + 1));
        let erased = Event::read(r#"{"type":"MESSAGE_ERASED","seq":7}"#).unwrap();
        assert_eq!(erased, Event::MessageErased(Erased { seq: 7 }));
    }

    #[test]
    fn an_anchor_ahead_holds_the_position() {
        let state = r#"{"type":"PLAYBACK_STATE","is_playing":true,"time":10,"server_time":5000,"version":1}"#;
        let Event::PlaybackState(state) = Event::read(state).unwrap() else { panic!("not a state") };
        assert_eq!((state.rate, state.held, state.hold_until), (1.0, false, None));
        assert_eq!((state.position(4_000.0), state.position(7_500.0)), (10.0, 12.5));
        assert_eq!(PlaybackState { is_playing: false, ..state }.position(9_000.0), 10.0);
    }
}
