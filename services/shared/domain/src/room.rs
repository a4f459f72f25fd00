//! Rooms: who may come in, who may do what, and what is known of a room at a version.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::id::{RoomId, UserId};
use crate::name::DisplayName;
use crate::time::Timestamp;

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_chat_enabled: true,
            host_grace_seconds: DEFAULT_HOST_GRACE_SECONDS,
            on_host_lost: OnHostLost::default(),
            expiry_days: DEFAULT_EXPIRY_DAYS,
            sync_threshold_ms: DEFAULT_SYNC_THRESHOLD_MS,
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

/// What the facts say of one person: only people about whom there is more to say than "joined".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Called so in this room.
    pub name: DisplayName,
    /// How they stand with the room.
    pub standing: Standing,
    /// What they are.
    pub role: Role,
    /// May not chat before this moment. [`FOREVER`] when without end.
    pub muted_until: Option<Timestamp>,
    /// The facts version of their last removal (kick, ban, leave, rejection): an admission from before it is void.
    pub removed_version: u64,
    /// The facts version at which this entry last changed.
    pub changed_version: u64,
}

/// A mute without end.
pub const FOREVER: Timestamp = Timestamp(253_402_300_799_000); // 9999-12-31T23:59:59Z

/// What is known of a room at a version: all that restricts people or tells them what changed. A plain join is
/// not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The room.
    pub room: RoomId,
    /// Its code.
    pub code: RoomCode,
    /// The version of all this.
    pub version: u64,
    /// The fence of those who may control playback.
    pub fence: u64,
    /// Grows when the database lost something that was already shown.
    pub epoch: u64,
    /// Whether the room lives.
    pub life: Life,
    /// How people come in.
    pub access: Access,
    /// What the host set.
    pub settings: Settings,
    /// The host.
    pub host: UserId,
    /// What the host is called in this room.
    pub host_name: DisplayName,
    /// When the room stops waiting for a lost host.
    pub host_deadline: Option<Timestamp>,
    /// What is being watched.
    pub source: Option<Source>,
    /// How many may be online at once.
    pub max_members: u32,
    /// Those whose entry changed after the base version; everybody with an entry when the base is 0.
    pub people: BTreeMap<UserId, Person>,
}

/// What a newer set of facts changes for those who are in the room.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The room ended.
    Ended(Life),
    /// Somebody has to go. Connections admitted at a version below it are closed.
    Removed(UserId, Standing),
    /// Somebody else is host.
    Host,
    /// Somebody's role changed.
    Role(UserId),
    /// What the host may set.
    Settings,
    /// Something else is being watched.
    Source,
    /// Somebody asks to come in.
    JoinRequest(UserId),
    /// The database lost something: what was shown can't be trusted.
    Epoch,
}

impl Facts {
    /// What `user` may do here.
    #[must_use]
    pub fn role(&self, user: UserId) -> Role {
        if user == self.host {
            return Role::Host;
        }
        match self.people.get(&user) {
            Some(person) if person.standing == Standing::Approved && person.role == Role::Cohost => {
                Role::Cohost
            }
            _ => Role::Viewer,
        }
    }

    /// Whether `user` may control playback.
    #[must_use]
    pub fn may_control(&self, user: UserId) -> bool {
        self.role(user) >= Role::Cohost
    }

    /// Whether an admission of `user` given at `admitted` (a facts version) still holds.
    #[must_use]
    pub fn admits(&self, user: UserId, admitted: u64) -> bool {
        self.people.get(&user).is_none_or(|person| person.removed_version <= admitted)
    }

    /// Until when `user` may not chat, if that is so at `now`.
    #[must_use]
    pub fn muted(&self, user: UserId, now: Timestamp) -> Option<Timestamp> {
        self.people.get(&user).and_then(|person| person.muted_until).filter(|until| *until > now)
    }

    /// Takes in `newer`, which holds the people changed after `base`, and tells what changed. Older facts, and
    /// ones whose base lies above this version (something between is missing), change nothing: `None` then says
    /// that the home has to be asked.
    pub fn merge(&mut self, base: u64, newer: Facts) -> Option<Vec<Change>> {
        if newer.version <= self.version && newer.epoch == self.epoch {
            return Some(Vec::new());
        }
        if base > self.version {
            return None;
        }
        let mut changes = Vec::new();
        if newer.epoch != self.epoch {
            changes.push(Change::Epoch);
        }
        for (user, person) in newer.people {
            let before = self.people.get(&user);
            if before.is_some_and(|old| old.changed_version >= person.changed_version) {
                continue;
            }
            if person.removed_version > before.map_or(0, |old| old.removed_version) {
                changes.push(Change::Removed(user, person.standing));
            }
            if person.standing == Standing::Pending
                && before.is_none_or(|old| old.standing != Standing::Pending)
            {
                changes.push(Change::JoinRequest(user));
            }
            if person.role != before.map_or(Role::Viewer, |old| old.role) {
                changes.push(Change::Role(user));
            }
            self.people.insert(user, person);
        }
        if newer.host != self.host {
            changes.push(Change::Host);
        }
        if newer.settings != self.settings {
            changes.push(Change::Settings);
        }
        if newer.source != self.source {
            changes.push(Change::Source);
        }
        if newer.life != self.life {
            changes.push(Change::Ended(newer.life));
        }
        let people = std::mem::take(&mut self.people);
        *self = Facts { people, ..newer };
        Some(changes)
    }
}

/// Why somebody may not join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRefusal {
    /// The room ended.
    Ended(Life),
    /// Kicked not long ago.
    Kicked,
    /// Banned.
    Banned,
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

    fn facts(version: u64) -> Facts {
        Facts {
            room: RoomId(uuid::Uuid::from_u128(1)),
            code: "ABC123".parse().unwrap(),
            version,
            fence: 1,
            epoch: 1,
            life: Life::Active,
            access: Access::Public,
            settings: Settings::default(),
            host: UserId(uuid::Uuid::from_u128(2)),
            host_name: DisplayName::parse("Ana").unwrap(),
            host_deadline: None,
            source: None,
            max_members: DEFAULT_MAX_MEMBERS,
            people: BTreeMap::new(),
        }
    }

    fn person(standing: Standing, removed: u64, changed: u64) -> Person {
        Person {
            name: DisplayName::parse("Bo").unwrap(),
            standing,
            role: Role::Viewer,
            muted_until: None,
            removed_version: removed,
            changed_version: changed,
        }
    }

    #[test]
    fn codes_are_read_in_any_case_and_need_a_digit() {
        assert_eq!("abc12z".parse::<RoomCode>().unwrap().as_str(), "ABC12Z");
        for bad in ["", "ABCDEF", "ABC12", "ABC1234", "ABC-12", "ÄBC12", "create"] {
            assert!(bad.parse::<RoomCode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_kick_voids_older_admissions_only() {
        let bo = UserId(uuid::Uuid::from_u128(3));
        let mut room = facts(5);
        let mut newer = facts(6);
        newer.people.insert(bo, person(Standing::Kicked, 6, 6));
        assert_eq!(room.merge(5, newer), Some(vec![Change::Removed(bo, Standing::Kicked)]));
        assert!(!room.admits(bo, 5));
        assert!(room.admits(bo, 6));
    }

    #[test]
    fn a_delta_that_misses_its_base_is_not_applied() {
        let mut room = facts(5);
        assert_eq!(room.merge(6, facts(7)), None);
        assert_eq!(room.version, 5);
        assert_eq!(room.merge(0, facts(4)), Some(vec![]));
    }

    #[test]
    fn only_the_right_password_opens_a_password_room() {
        let now = Timestamp(1_000);
        let ask = |before, right| join(Life::Active, Access::Password, false, before, || right, now);
        assert_eq!(ask(None, true), Ok(Standing::Approved));
        assert_eq!(ask(None, false), Err(JoinRefusal::Password));
        assert_eq!(ask(Some((Standing::Approved, None)), false), Ok(Standing::Approved));
        assert_eq!(ask(Some((Standing::Kicked, Some(Timestamp(1_001)))), true), Err(JoinRefusal::Kicked));
        assert_eq!(ask(Some((Standing::Kicked, Some(Timestamp(1_000)))), true), Ok(Standing::Approved));
        assert_eq!(ask(Some((Standing::Banned, None)), true), Err(JoinRefusal::Banned));
    }

    proptest! {
        #[test]
        fn drawn_codes_parse(numbers in prop::collection::vec(any::<u32>(), 12..200)) {
            let mut numbers = numbers.into_iter().chain((0..).map(|n: u32| n.wrapping_mul(2_654_435_761)));
            let code = RoomCode::draw(|| numbers.next().unwrap_or(0));
            prop_assert_eq!(code.as_str().parse::<RoomCode>().unwrap(), code);
        }

        #[test]
        fn facts_arriving_in_any_order_end_at_the_newest(order in Just((1u64..10).collect::<Vec<_>>()).prop_shuffle()) {
            // Every delta with base 0 is a snapshot, so whatever comes last, the highest version wins.
            let mut room = facts(0);
            for version in order {
                let mut newer = facts(version);
                newer.settings.host_grace_seconds = u32::try_from(version).unwrap() + 5;
                room.merge(0, newer);
            }
            prop_assert_eq!(room.version, 9);
            prop_assert_eq!(room.settings.host_grace_seconds, 14);
        }
    }
}
