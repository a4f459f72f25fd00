//! What clients receive.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use streamit_domain::room::{Drift, OnHostLost, ReadinessMode, Role, Source};
use streamit_domain::{MediaTime, Playback, RoomId, Timestamp, UserId};

use crate::{Code, v1};

/// The version of the protocol that the first `ROOM_PARTICIPANTS` names.
pub const PROTOCOL: u32 = 1;
/// How many people a list names at most.
pub const MAX_LISTED: usize = 500;
/// How many a `READINESS` names at most.
pub const MAX_WAITING: usize = 20;
/// Above so many online, joins and leaves are told as a count.
pub const TELL_EACH: u64 = 200;

/// The types of all frames that clients receive.
pub const KINDS: [&str; 18] = [
    "PLAYBACK_STATE",
    "CHAT_MESSAGE",
    "CHAT_HISTORY",
    "ROOM_PARTICIPANTS",
    "USER_JOINED",
    "USER_LEFT",
    "READINESS",
    "SYNC_CORRECTION",
    "ERROR",
    "HOST_DISCONNECTED",
    "HOST_RECONNECTED",
    "HOST_CHANGED",
    "JOIN_REQUEST",
    "ROOM_UPDATED",
    "SOURCE_CHANGED",
    "ROOM_DELETED",
    "MESSAGE_ERASED",
    "PONG",
];

/// Which of [`KINDS`] a frame is, by the beginning of its JSON.
#[must_use]
pub fn kind_of(json: &str) -> Option<usize> {
    let kind = json.strip_prefix(r#"{"type":""#)?.split('"').next()?;
    KINDS.iter().position(|known| *known == kind)
}

/// A frame to one client or to all of a room.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Frame<'a> {
    /// Somebody's first connection came.
    UserJoined {
        /// The display name.
        user: &'a str,
        /// Whose.
        user_id: UserId,
    },
    /// Somebody's last connection went.
    UserLeft {
        /// The display name.
        user: &'a str,
        /// Whose.
        user_id: UserId,
    },
    /// Where the film stands.
    PlaybackState(PlaybackState),
    /// Whose players are not ready, and whether the film waits for them.
    Readiness(Readiness<'a>),
    /// The client is off by more than the room's threshold.
    SyncCorrection {
        /// The position at `server_time`, in seconds.
        time: MediaTime,
        /// Of the playback state.
        version: u64,
        /// Room time, Unix milliseconds.
        server_time: Timestamp,
        /// Seconds that the client is ahead (positive) or behind.
        drift: f64,
    },
    /// The host is away; the room waits for so long.
    HostDisconnected {
        /// Seconds.
        grace_seconds: u32,
    },
    /// The host is back.
    HostReconnected,
    /// Somebody else is host.
    HostChanged {
        /// The display name.
        host: &'a str,
        /// Who.
        host_id: UserId,
    },
    /// Somebody asks to come in (to the host).
    JoinRequest {
        /// The display name.
        user: &'a str,
        /// Who.
        user_id: UserId,
    },
    /// Settings changed, or how many are online.
    RoomUpdated(RoomUpdated),
    /// The host deleted the room.
    RoomDeleted {
        /// Which.
        room_id: RoomId,
    },
    /// Something else is being watched.
    SourceChanged(Watched<'a>),
    /// A message was taken back.
    MessageErased {
        /// Which.
        seq: u64,
    },
    /// Something the client sent was refused.
    Error {
        /// For people.
        message: Cow<'a, str>,
        /// For programs.
        code: &'static str,
        /// Of the message that is answered.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<&'a str>,
        /// When the same may be tried again, in milliseconds from now.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
    },
}

/// What is being watched; all of it empty when nothing is.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Watched<'a> {
    /// Where it is.
    pub url: Option<&'a str>,
    /// What it is called.
    pub title: Option<&'a str>,
    /// Whose id `video_id` is.
    pub video_provider: Option<&'a str>,
    /// The provider's id.
    pub video_id: Option<&'a str>,
}

impl<'a> From<&'a Source> for Watched<'a> {
    fn from(source: &'a Source) -> Self {
        Self {
            url: source.url.as_deref(),
            title: source.title.as_deref(),
            video_provider: source.provider.as_deref(),
            video_id: source.video_id.as_deref(),
        }
    }
}

/// `PLAYBACK_STATE`, less its type.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PlaybackState {
    is_playing: bool,
    time: MediaTime,
    server_time: Timestamp,
    version: u64,
    rate: f64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_until: Option<Timestamp>,
}

impl From<&Playback> for PlaybackState {
    fn from(p: &Playback) -> Self {
        Self {
            // A client that knows no holds simply stops.
            is_playing: p.is_running(),
            time: p.time,
            server_time: p.at,
            version: p.version.number,
            rate: p.rate,
            held: p.held_until.is_some(),
            hold_until: p.held_until,
        }
    }
}

/// `READINESS`, less its type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readiness<'a> {
    /// What the room does about it.
    pub mode: ReadinessMode,
    /// Those who have not been ready for longest, at most [`MAX_WAITING`].
    pub waiting: Vec<Waiting<'a>>,
    /// How many there are; may be more than are named.
    pub count: u64,
    /// Whether the film is held.
    pub held: bool,
    /// Until when at the latest, in room time.
    pub hold_until: Option<Timestamp>,
}

/// Somebody whose player is not ready.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Waiting<'a> {
    /// The display name.
    pub user: &'a str,
    /// Who.
    pub user_id: UserId,
    /// Where the player stands, in seconds, if it said so.
    pub position: Option<MediaTime>,
}

/// `ROOM_UPDATED`, less its type: what changed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RoomUpdated {
    /// How many are online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<u64>,
    /// Whether anybody may chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_chat_enabled: Option<bool>,
    /// How long the room waits for a lost host, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_grace_seconds: Option<u32>,
    /// What happens then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_host_lost: Option<OnHostLost>,
    /// How far off a client may be before `SYNC_CHECK` corrects it, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_threshold_ms: Option<u32>,
    /// Whether the room waits for those who are not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<ReadinessMode>,
    /// How players are kept in step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Whether nobody new comes in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_locked: Option<bool>,
    /// Whether only host and co-hosts may chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_chat_locked: Option<bool>,
    /// How long a viewer waits between two messages, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_mode_seconds: Option<u32>,
}

/// One entry of `members`.
#[derive(Clone, Debug, Serialize)]
pub struct Member<'a> {
    /// Who.
    pub id: UserId,
    /// The display name in this room.
    pub name: &'a str,
    /// What they are.
    pub role: Role,
}

/// `ROOM_PARTICIPANTS` without `you`: the same for everybody, so it is encoded once.
#[derive(Clone, Debug, Serialize)]
pub struct Participants<'a> {
    /// Always `ROOM_PARTICIPANTS`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Names, in the order people came.
    pub participants: Vec<&'a str>,
    /// The host's name, online or not.
    pub host: &'a str,
    /// Who the host is.
    pub host_id: UserId,
    /// Whether the host is here.
    pub is_host_online: bool,
    /// The same people with ids and roles.
    pub members: Vec<Member<'a>>,
    /// How many are online; may be more than are listed.
    pub online: u64,
    /// Whether anybody may chat.
    pub is_chat_enabled: bool,
    /// Whether only host and co-hosts may.
    pub is_chat_locked: bool,
    /// How long a viewer waits between two messages, in seconds; 0: not at all.
    pub slow_mode_seconds: u32,
    /// Whether the room waits for those who are not ready.
    pub readiness: ReadinessMode,
    /// How players are kept in step.
    pub drift: Drift,
    /// What is being watched: who comes back may have missed that it changed.
    pub source: Option<Watched<'a>>,
    /// The node that tells this: what to name when something is wrong with it.
    pub node: &'a str,
    /// [`PROTOCOL`].
    pub protocol: u32,
}

impl Frame<'_> {
    /// An `ERROR` with a code's own sentence.
    #[must_use]
    pub fn error(code: Code, client_id: Option<&str>) -> Frame<'_> {
        Frame::Error { message: code.sentence().into(), code: code.as_str(), client_id, retry_in_ms: None }
    }

    /// The frame as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        json(self)
    }
}

/// Any frame as JSON.
#[must_use]
pub fn json(frame: &impl Serialize) -> String {
    // Frames are structs of strings, numbers and lists: writing them to memory can't fail.
    serde_json::to_string(frame).unwrap_or_default()
}

/// What every chat frame starts with; the rest of it is the message as `CHAT_HISTORY` lists it, less its brace.
pub const CHAT_PREFIX: &str = r#"{"type":"CHAT_MESSAGE","#;

/// A stored message as clients see it.
#[derive(Serialize)]
struct ChatMessage<'a> {
    seq: u64,
    user: &'a str,
    #[serde(serialize_with = "user_id")]
    user_id: &'a [u8],
    message: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_id: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
}

fn user_id<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match UserId::from_slice(bytes) {
        Ok(id) => id.serialize(serializer),
        Err(_) => serializer.serialize_none(),
    }
}

/// A `CHAT_MESSAGE` frame. [`CHAT_PREFIX`] cut off and a brace put before it make the entry of a history.
#[must_use]
pub fn chat_message(message: &v1::ChatMessage) -> String {
    let body = json(&ChatMessage {
        seq: message.seq,
        user: &message.name,
        user_id: &message.user,
        message: if message.erased { "" } else { &message.text },
        created_at: super::rfc3339(Timestamp(message.created_at)),
        client_id: &message.client_id,
        erased: message.erased,
    });
    format!("{CHAT_PREFIX}{}", &body[1..])
}

/// A `CHAT_HISTORY` frame of chat frames made by [`chat_message`], oldest first.
#[must_use]
pub fn chat_history<'a>(
    frames: impl Iterator<Item = &'a str>,
    resumed: bool,
    epoch: u64,
    head: u64,
) -> String {
    let mut out = String::from(r#"{"type":"CHAT_HISTORY","messages":["#);
    for (i, frame) in frames.enumerate() {
        out.push_str(if i == 0 { "{" } else { ",{" });
        out.push_str(&frame[CHAT_PREFIX.len()..]);
    }
    out.push_str(&format!(r#"],"resumed":{resumed},"epoch":{epoch},"head":{head}}}"#));
    out
}

/// A `PONG`. `t0` is the JSON text that the client sent; times are Unix milliseconds of the room clock.
#[must_use]
pub fn pong(t0: &str, t1: Timestamp, t2: Timestamp) -> String {
    format!(r#"{{"type":"PONG","t0":{t0},"t1":{},"t2":{}}}"#, t1.0, t2.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(seq: u64) -> v1::ChatMessage {
        v1::ChatMessage {
            seq,
            user: uuid::Uuid::from_u128(7).as_bytes().to_vec(),
            name: "Ana \"A\"".into(),
            text: "hi\n<b>".into(),
            client_id: String::new(),
            created_at: 1_700_000_000_000,
            erased: false,
        }
    }

    #[test]
    fn every_frame_is_of_a_known_kind() {
        let kind = |json: &str| KINDS[kind_of(json).unwrap()];
        assert_eq!(kind(&Frame::HostReconnected.to_json()), "HOST_RECONNECTED");
        let room_id = RoomId::from_slice(&[0; 16]).unwrap();
        assert_eq!(kind(&Frame::RoomDeleted { room_id }.to_json()), "ROOM_DELETED");
        assert_eq!(kind(&Frame::MessageErased { seq: 1 }.to_json()), "MESSAGE_ERASED");
        assert_eq!(kind(&pong("1", Timestamp(1), Timestamp(2))), "PONG");
        assert_eq!(kind(CHAT_PREFIX), "CHAT_MESSAGE");
        assert_eq!(kind_of(r#"{"type":"ELSE"}"#), None);
    }

    #[test]
    fn a_history_holds_the_same_objects_as_the_messages() {
        let frames = [chat_message(&message(1)), chat_message(&message(2))];
        let history = chat_history(frames.iter().map(String::as_str), true, 3, 2);
        let history: Value = serde_json::from_str(&history).unwrap();
        let mut first: Value = serde_json::from_str(&frames[0]).unwrap();
        assert_eq!(first["type"], "CHAT_MESSAGE");
        first.as_object_mut().unwrap().remove("type");
        assert_eq!(history["messages"][0], first);
        assert_eq!(history["messages"][1]["seq"], 2);
        assert_eq!((&history["resumed"], &history["epoch"]), (&json!(true), &json!(3)));
    }

    #[test]
    fn an_erased_message_is_a_tombstone() {
        let erased = v1::ChatMessage { erased: true, ..message(4) };
        let frame: Value = serde_json::from_str(&chat_message(&erased)).unwrap();
        assert_eq!((&frame["message"], &frame["erased"]), (&json!(""), &json!(true)));
    }

    #[test]
    fn a_held_film_is_a_stopped_one_with_something_added() {
        let film = Playback { is_playing: true, ..Playback::start(1, Timestamp(5)) };
        let told = |film: &Playback| -> Value { serde_json::to_value(PlaybackState::from(film)).unwrap() };
        let held = told(&film.held(Timestamp(8_005), Timestamp(9)));
        let fields = ["is_playing", "held", "hold_until", "server_time"].map(|name| &held[name]);
        assert_eq!(fields, [&json!(false), &json!(true), &json!(8_005), &json!(9)]);
        let run = told(&film);
        assert_eq!((&run["is_playing"], run.get("held"), run.get("hold_until")), (&json!(true), None, None));
    }

    #[test]
    fn who_is_waited_for_is_named() {
        let user_id = UserId(uuid::Uuid::from_u128(7));
        let waiting = vec![Waiting { user: "Bo", user_id, position: MediaTime::try_from(12.5).ok() }];
        let mode = ReadinessMode::Soft;
        let frame = Frame::Readiness(Readiness { mode, waiting, count: 1, held: false, hold_until: None });
        let frame: Value = serde_json::from_str(&frame.to_json()).unwrap();
        let bo = json!({"user": "Bo", "user_id": user_id, "position": 12.5});
        let all = json!({"type": "READINESS", "mode": "soft", "waiting": [bo], "count": 1, "held": false,
            "hold_until": null});
        assert_eq!(frame, all);
    }

    #[test]
    fn frames_have_the_contracts_names() {
        let error: Value = serde_json::from_str(&Frame::error(Code::HostOnly, None).to_json()).unwrap();
        assert_eq!(error["type"], "ERROR");
        assert_eq!(error["code"], "HOST_ONLY");
        let pong: Value = serde_json::from_str(&pong("-1.50", Timestamp(1), Timestamp(2))).unwrap();
        assert_eq!(pong, json!({"type": "PONG", "t0": -1.50, "t1": 1, "t2": 2}));
        let state = Frame::PlaybackState((&Playback::start(1, Timestamp(5))).into()).to_json();
        let state: Value = serde_json::from_str(&state).unwrap();
        assert_eq!((&state["type"], &state["server_time"]), (&json!("PLAYBACK_STATE"), &json!(5)));
        let back = Frame::HostReconnected.to_json();
        assert_eq!(back, r#"{"type":"HOST_RECONNECTED"}"#);
    }
}
