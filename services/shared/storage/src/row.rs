//! From columns to values of the domain, and back.

use streamit_domain::room::{Access, Life, OnHostLost, ReadinessMode, Role};
use streamit_domain::{DisplayName, RoomCode, Timestamp};

use crate::{Error, Result};

/// A version or number, as the engines store it. Versions stay below 2^53, so nothing is lost.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stored number that is never negative.
pub(crate) fn to_u64(number: i64, column: &'static str) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::Corrupt(column))
}

/// A stored number that is small and never negative.
pub(crate) fn to_u32(number: i64, column: &'static str) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::Corrupt(column))
}

pub(crate) fn time(ms: Option<i64>) -> Option<Timestamp> {
    ms.map(Timestamp)
}

pub(crate) fn name(text: &str, column: &'static str) -> Result<DisplayName> {
    DisplayName::parse(text).map_err(|_| Error::Corrupt(column))
}

pub(crate) fn code(text: &str) -> Result<RoomCode> {
    text.parse().map_err(|_| Error::Corrupt("rooms.code"))
}

/// A room's list of what must not be said.
pub(crate) fn patterns(json: Option<&str>) -> Result<Vec<String>> {
    json.map_or_else(|| Ok(Vec::new()), serde_json::from_str)
        .map_err(|_| Error::Corrupt("rooms.blocked_words"))
}

/// One table for both directions: what a value is called in its column.
macro_rules! words {
    ($to:ident, $from:ident, $type:ty, $column:literal, $($value:path = $word:literal),+) => {
        pub(crate) const fn $to(value: $type) -> &'static str {
            match value { $($value => $word),+ }
        }
        pub(crate) fn $from(word: &str) -> Result<$type> {
            match word { $($word => Ok($value),)+ _ => Err(Error::Corrupt($column)) }
        }
    };
}

words!(
    life_word,
    life,
    Life,
    "rooms.life",
    Life::Active = "ACTIVE",
    Life::Closed = "CLOSED",
    Life::Expired = "EXPIRED"
);
words!(
    access_word,
    access,
    Access,
    "rooms.access",
    Access::Public = "PUBLIC",
    Access::Password = "PASSWORD",
    Access::Approval = "APPROVAL"
);
words!(
    on_host_lost_word,
    on_host_lost,
    OnHostLost,
    "rooms.on_host_lost",
    OnHostLost::Promote = "PROMOTE",
    OnHostLost::Wait = "WAIT",
    OnHostLost::Close = "CLOSE"
);

words!(
    readiness_word,
    readiness,
    ReadinessMode,
    "rooms.readiness",
    ReadinessMode::Off = "OFF",
    ReadinessMode::Soft = "SOFT",
    ReadinessMode::Strict = "STRICT"
);

/// The host is named by the room, so an entry only ever says viewer or co-host.
pub(crate) const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Cohost => "COHOST",
        Role::Viewer | Role::Host => "VIEWER",
    }
}

pub(crate) fn role(word: &str) -> Result<Role> {
    match word {
        "VIEWER" => Ok(Role::Viewer),
        "COHOST" => Ok(Role::Cohost),
        _ => Err(Error::Corrupt("participants.role")),
    }
}
