//! Rooms: who may come in, who may do what, and what is known of a room at a version.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::time::Timestamp;

mod facts;
mod moderation;
mod succession;

pub use facts::{Change, Facts, Person};
pub use moderation::{Deed, DeedRefusal, Stands, may};
pub use succession::{Candidate, Succession, lost_after, succession};

/// What people type to find a room: 6 characters `A-Z0-9` with at least one digit, so that no code equals a
/// word of a path. Upper case inside; lower case is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomCode([u8; 6]);

/// The characters of a code. 36^6 - 26^6 codes exist, about 1.87 thousand million.
const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

impl RoomCode {
    /// Draws a code from `random`, which gives the next random number on each call.
    pub fn draw(mut random: impl FnMut() -> u32) -> Self {
        // Rejection keeps every code equally likely: 4,294,967,292 is the largest multiple of 36 in 32 bits.
        let mut digit = || loop {
            let n = random();
            if n < 4_294_967_292 {
                return ALPHABET[(n % 36) as usize];
            }
        };
        loop {
            let code: [u8; 6] = std::array::from_fn(|_| digit());
            if code.iter().any(u8::is_ascii_digit) {
                return Self(code);
            }
        }
    }

    /// The code as text, upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl FromStr for RoomCode {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        let code: [u8; 6] =
            raw.trim().as_bytes().try_into().map_err(|_| Invalid("A room code has 6 letters and digits"))?;
        let code = code.map(|c| c.to_ascii_uppercase());
        if !code.iter().all(|c| ALPHABET.contains(c)) || !code.iter().any(u8::is_ascii_digit) {
            return Err(Invalid("A room code has 6 letters and digits"));
        }
        Ok(Self(code))
    }
}

impl fmt::Display for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How people come into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Anybody with the code.
    Public,
    /// Anybody with the code and the password.
    Password,
    /// Whoever the host lets in.
    Approval,
}

impl Access {
    /// Reads the pair that clients send: `entry_mode` matters for private rooms only.
    ///
    /// # Errors
    /// When a private room has no valid entry mode.
    pub fn parse(is_private: bool, entry_mode: Option<&str>) -> Result<Self, Invalid> {
        match (is_private, entry_mode) {
            (false, _) => Ok(Self::Public),
            (true, Some("PASSWORD")) => Ok(Self::Password),
            (true, Some("APPROVAL")) => Ok(Self::Approval),
            (true, _) => Err(Invalid("Invalid entry_mode for private room")),
        }
    }

    /// Whether the room stays out of the public listing.
    #[must_use]
    pub fn is_private(self) -> bool {
        self != Self::Public
    }

    /// The word clients know it by; nothing for public rooms.
    #[must_use]
    pub fn entry_mode(self) -> Option<&'static str> {
        match self {
            Self::Public => None,
            Self::Password => Some("PASSWORD"),
            Self::Approval => Some("APPROVAL"),
        }
    }
}

/// Whether a room still lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Life {
    /// Open.
    #[default]
    Active,
    /// Its host deleted it.
    Closed,
    /// Nobody came for too long.
    Expired,
}

/// What somebody is in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    /// Watches and chats.
    #[default]
    Viewer,
    /// Controls playback too.
    Cohost,
    /// Controls everything.
    Host,
}

/// How somebody stands with a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Standing {
    /// Asked to come in, the host has not answered.
    Pending,
    /// In.
    Approved,
    /// The host said no. Asking again is allowed.
    Rejected,
    /// Went by himself.
    Left,
    /// Thrown out for [`KICK`].
    Kicked,
    /// Thrown out for good.
    Banned,
}

impl Standing {
    /// The word that storage and messages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::Left => "LEFT",
            Self::Kicked => "KICKED",
            Self::Banned => "BANNED",
        }
    }
}

impl FromStr for Standing {
    type Err = Invalid;
    fn from_str(word: &str) -> Result<Self, Invalid> {
        [Self::Pending, Self::Approved, Self::Rejected, Self::Left, Self::Kicked, Self::Banned]
            .into_iter()
            .find(|standing| standing.as_str() == word)
            .ok_or(Invalid("not a standing"))
    }
}

/// How long a kick keeps somebody out.
pub const KICK: Duration = Duration::from_secs(600);
/// The shortest and the longest host grace, in seconds.
pub const HOST_GRACE_SECONDS: std::ops::RangeInclusive<u32> = 5..=300;
/// The host grace of a new room, in seconds.
pub const DEFAULT_HOST_GRACE_SECONDS: u32 = 30;
/// After how many days without anybody a room expires, unless its setting says otherwise.
pub const DEFAULT_EXPIRY_DAYS: u32 = 7;
/// The shortest and the longest expiry, in days.
pub const EXPIRY_DAYS: std::ops::RangeInclusive<u32> = 1..=365;
/// How far a client may be off, in milliseconds, before `SYNC_CHECK` corrects it.
pub const DEFAULT_SYNC_THRESHOLD_MS: u32 = 2_000;
/// The allowed range of the threshold of `SYNC_CHECK`, in milliseconds.
pub const SYNC_THRESHOLD_MS: std::ops::RangeInclusive<u32> = 50..=60_000;
/// The allowed range of [`Settings::slow_mode_seconds`].
pub const SLOW_MODE_SECONDS: std::ops::RangeInclusive<u32> = 0..=3_600;
/// How long guests from where a banned guest came stay out of a room: long enough for the evening, and not for good,
/// since an address is shared and given to others.
pub const NETWORK_BAN: Duration = Duration::from_secs(24 * 3600);
/// How many members a room may have online unless its operator says otherwise.
pub const DEFAULT_MAX_MEMBERS: u32 = 10_000;

/// What happens when the host's grace has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnHostLost {
    /// The room passes to somebody else.
    #[default]
    Promote,
    /// The room waits.
    Wait,
    /// The room is closed.
    Close,
}

/// Whether the room waits for those whose players are not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadinessMode {
    /// Nobody is asked.
    Off,
    /// Everybody sees who buffers; the film goes on.
    #[default]
    Soft,
    /// The film is held until all are ready, or have been waited for long enough.
    Strict,
}

/// When a player that is off is brought back, and how: three distances from the room's position, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Drift {
    /// From here on its rate is changed a little. Below what people notice between picture and sound of two places.
    pub enter_ms: u32,
    /// The changed rate ends here. Well below the first, so that it does not go on and off all the time.
    pub leave_ms: u32,
    /// From here on it jumps.
    pub seek_ms: u32,
}

impl Drift {
    /// Whether each distance is larger than the one before: otherwise a player would never come to rest.
    #[must_use]
    pub const fn is_ordered(&self) -> bool {
        self.leave_ms < self.enter_ms && self.enter_ms < self.seek_ms
    }
}

impl Default for Drift {
    fn default() -> Self {
        Self { enter_ms: 60, leave_ms: 20, seek_ms: 1_200 }
    }
}

/// The allowed range of [`Drift::enter_ms`].
pub const DRIFT_ENTER_MS: std::ops::RangeInclusive<u32> = 10..=5_000;
/// The allowed range of [`Drift::leave_ms`].
pub const DRIFT_LEAVE_MS: std::ops::RangeInclusive<u32> = 5..=1_000;
/// The allowed range of [`Drift::seek_ms`].
pub const DRIFT_SEEK_MS: std::ops::RangeInclusive<u32> = 200..=60_000;

/// What the host may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether anybody may chat.
    pub is_chat_enabled: bool,
    /// How long the room waits for a lost host, in seconds.
    pub host_grace_seconds: u32,
    /// What happens then.
    pub on_host_lost: OnHostLost,
    /// After how many days without anybody the room expires.
    pub expiry_days: u32,
    /// How far off a client may be before `SYNC_CHECK` corrects it, in milliseconds.
    pub sync_threshold_ms: u32,
    /// Whether the room waits for those who are not ready.
    pub readiness: ReadinessMode,
    /// How players are kept in step.
    pub drift: Drift,
    /// Whether nobody new comes in.
    pub is_locked: bool,
    /// Whether only host and co-hosts may chat.
    pub is_chat_locked: bool,
    /// How long a viewer waits between two messages, in seconds; 0: not at all.
    pub slow_mode_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_chat_enabled: true,
            host_grace_seconds: DEFAULT_HOST_GRACE_SECONDS,
            on_host_lost: OnHostLost::default(),
            expiry_days: DEFAULT_EXPIRY_DAYS,
            sync_threshold_ms: DEFAULT_SYNC_THRESHOLD_MS,
            readiness: ReadinessMode::default(),
            drift: Drift::default(),
            is_locked: false,
            is_chat_locked: false,
            slow_mode_seconds: 0,
        }
    }
}

/// What is being watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Where it is; empty when a provider and id say it.
    pub url: Option<String>,
    /// What to call it.
    pub title: Option<String>,
    /// Whose id `video_id` is.
    pub provider: Option<String>,
    /// The provider's id.
    pub video_id: Option<String>,
}

/// A mute without end.
pub const FOREVER: Timestamp = Timestamp(253_402_300_799_000); // 9999-12-31T23:59:59Z

/// Why somebody may not join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRefusal {
    /// The room ended.
    Ended(Life),
    /// Kicked not long ago.
    Kicked,
    /// Banned.
    Banned,
    /// Nobody new comes in.
    Locked,
    /// The password is wrong or missing.
    Password,
}

/// Decides a join. `before` is how the person stands and until when a kick holds; `password_is_right` is asked
/// only when it matters.
///
/// # Errors
/// Why not.
pub fn join(
    life: Life,
    access: Access,
    is_locked: bool,
    is_host: bool,
    before: Option<(Standing, Option<Timestamp>)>,
    password_is_right: impl FnOnce() -> bool,
    now: Timestamp,
) -> Result<Standing, JoinRefusal> {
    if life != Life::Active {
        return Err(JoinRefusal::Ended(life));
    }
    match before {
        Some((Standing::Banned, _)) => return Err(JoinRefusal::Banned),
        Some((Standing::Kicked, until)) if until.is_some_and(|until| until > now) => {
            return Err(JoinRefusal::Kicked);
        }
        Some((Standing::Approved, _)) => return Ok(Standing::Approved),
        _ => {}
    }
    match access {
        _ if is_host => Ok(Standing::Approved),
        _ if is_locked => Err(JoinRefusal::Locked),
        Access::Public => Ok(Standing::Approved),
        Access::Password if password_is_right() => Ok(Standing::Approved),
        Access::Password => Err(JoinRefusal::Password),
        Access::Approval => Ok(Standing::Pending),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_read_in_any_case_and_need_a_digit() {
        assert_eq!("abc12z".parse::<RoomCode>().unwrap().as_str(), "ABC12Z");
        for bad in ["", "ABCDEF", "ABC12", "ABC1234", "ABC-12", "ÄBC12", "create"] {
            assert!(bad.parse::<RoomCode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_right_password_opens_a_password_room() {
        let now = Timestamp(1_000);
        let ask = |before, right| join(Life::Active, Access::Password, false, false, before, || right, now);
        assert_eq!(ask(None, true), Ok(Standing::Approved));
        assert_eq!(ask(None, false), Err(JoinRefusal::Password));
        assert_eq!(ask(Some((Standing::Approved, None)), false), Ok(Standing::Approved));
        assert_eq!(ask(Some((Standing::Kicked, Some(Timestamp(1_001)))), true), Err(JoinRefusal::Kicked));
        assert_eq!(ask(Some((Standing::Kicked, Some(Timestamp(1_000)))), true), Ok(Standing::Approved));
        assert_eq!(ask(Some((Standing::Banned, None)), true), Err(JoinRefusal::Banned));
    }

    #[test]
    fn a_lock_keeps_out_who_was_not_in() {
        let now = Timestamp(1_000);
        let ask = |is_host, before| join(Life::Active, Access::Public, true, is_host, before, || true, now);
        assert_eq!(ask(false, None), Err(JoinRefusal::Locked));
        assert_eq!(ask(false, Some((Standing::Left, None))), Err(JoinRefusal::Locked));
        assert_eq!(ask(false, Some((Standing::Approved, None))), Ok(Standing::Approved));
        assert_eq!(ask(true, None), Ok(Standing::Approved));
    }

    proptest! {
        #[test]
        fn drawn_codes_parse(numbers in prop::collection::vec(any::<u32>(), 12..200)) {
            let mut numbers = numbers.into_iter().chain((0..).map(|n: u32| n.wrapping_mul(2_654_435_761)));
            let code = RoomCode::draw(|| numbers.next().unwrap_or(0));
            prop_assert_eq!(code.as_str().parse::<RoomCode>().unwrap(), code);
        }
    }
}
