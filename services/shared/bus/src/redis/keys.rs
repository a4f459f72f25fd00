//! What things are called on Redis. The prefix is the version of the schema; the braces are a hash tag, which keeps
//! all of a room together when rooms are spread over several servers.

use streamit_domain::{Incarnation, RoomId, UserId};

use crate::EntryKey;

/// Hash: the fence, the playback and when the roster was last refreshed.
pub(super) fn play(room: RoomId) -> String {
    format!("s1:{{{room}}}:play")
}

/// Hash: who is here; see `members.lua`.
pub(super) fn roster(room: RoomId) -> String {
    format!("s1:{{{room}}}:roster")
}

/// Channel: what happens in a room.
pub(super) fn news(room: RoomId) -> String {
    format!("s1:{{{room}}}:news")
}

/// The room whose news a channel carries.
pub(super) fn room_of_news(channel: &[u8]) -> Option<RoomId> {
    let name = std::str::from_utf8(channel).ok()?;
    name.strip_prefix("s1:{")?.strip_suffix("}:news")?.parse().ok()
}

/// Channel: what concerns every node.
pub(super) const ALL: &str = "s1:all";

/// Value: a node's lease.
pub(super) fn lease(incarnation: Incarnation) -> String {
    format!("s1:node:{incarnation}")
}

/// Value: what a node says of itself. Apart from the lease, which an older release reads as a number.
pub(super) fn status(incarnation: Incarnation) -> String {
    format!("s1:node:{incarnation}:status")
}

/// Sorted set: nodes by their last beat.
pub(super) const NODES: &str = "s1:nodes";

/// Value: the state of a limit.
pub(super) fn quota(key: &str) -> String {
    format!("s1:quota:{key}")
}

/// An entry of a roster, as the scripts name it.
pub(super) fn entry(key: EntryKey) -> String {
    format!("{}:{}", key.incarnation, key.connection)
}

/// A user in a roster.
pub(super) fn user(user: UserId) -> String {
    format!("u:{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_read_back_from_its_channel() {
        let room: RoomId = "018f4e7e-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(room_of_news(news(room).as_bytes()), Some(room));
        assert_eq!(room_of_news(ALL.as_bytes()), None);
        assert_eq!(room_of_news(b"s1:{}:news"), None);
    }
}
