//! What text frames say, as far as anybody here asks: read without a copy, thousands a second.

use std::borrow::Cow;

use serde::Deserialize;

/// A text frame.
#[derive(Debug, Deserialize)]
pub struct Told<'a> {
    /// Its type.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// The number of a message.
    pub seq: Option<u64>,
    /// What its sender called it.
    pub client_id: Option<String>,
    /// Where the film stands.
    pub time: Option<f64>,
    /// How many are here.
    pub online: Option<u64>,
    /// Whether a history continues where it was asked to.
    #[serde(default)]
    pub resumed: bool,
    /// The number of a history's last message.
    pub head: Option<u64>,
    /// Which count a history belongs to.
    pub epoch: Option<u64>,
    /// What a history holds.
    #[serde(default)]
    pub messages: Vec<Said>,
}

/// A message of a history.
#[derive(Debug, Deserialize)]
pub struct Said {
    /// Its number.
    pub seq: u64,
}

impl<'a> Told<'a> {
    /// Reads a frame; none when it is not one of the protocol's.
    #[must_use]
    pub fn read(frame: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(frame).ok()
    }

    /// How many are online after this, if so many were before; gives whether that is another number.
    pub fn count(&self, online: &mut u64) -> bool {
        let now = match (&*self.kind, self.online) {
            ("ROOM_PARTICIPANTS" | "ROOM_UPDATED", Some(now)) => now,
            ("USER_JOINED", _) => *online + 1,
            ("USER_LEFT", _) => online.saturating_sub(1),
            _ => *online,
        };
        std::mem::replace(online, now) != now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_what_is_asked() {
        let said = br#"{"type":"CHAT_MESSAGE","seq":7,"user":"a","message":"\"hi\"","client_id":"3"}"#;
        let told = Told::read(said).unwrap();
        assert_eq!((&*told.kind, told.seq, told.client_id.as_deref()), ("CHAT_MESSAGE", Some(7), Some("3")));
        let history = br#"{"type":"CHAT_HISTORY","messages":[{"seq":4}],"resumed":true,"epoch":1,"head":4}"#;
        let told = Told::read(history).unwrap();
        assert_eq!((told.resumed, told.head, told.messages[0].seq), (true, Some(4), 4));
        assert!(Told::read(b"nonsense").is_none());
    }

    #[test]
    fn who_is_online_is_counted_from_what_is_told() {
        let mut online = 5;
        let frames = [
            r#"{"type":"USER_LEFT","user":"a"}"#,
            r#"{"type":"PONG"}"#,
            r#"{"type":"ROOM_UPDATED","online":250}"#,
        ];
        let told = frames.map(|frame| {
            let changed = Told::read(frame.as_bytes()).unwrap().count(&mut online);
            (changed, online)
        });
        assert_eq!(told, [(true, 4), (false, 4), (true, 250)]);
    }
}
