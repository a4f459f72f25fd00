//! What is written down of who did what: one table of actions, so that none is forgotten.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::Invalid;

macro_rules! actions {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $word:literal, $reader:ident; )+) => {
        /// Something that matters for security or for who has a say. Each is written down when it happens.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $( $(#[doc = $doc])+ $variant, )+ }

        impl Action {
            /// Every action there is.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The word that is stored and shown. It never changes.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }

            /// Whether the host of the room that it concerns may read of it.
            #[must_use]
            pub const fn is_for_hosts(self) -> bool {
                match self { $( Self::$variant => matches!(Reader::$reader, Reader::Host), )+ }
            }
        }
    };
}

/// Who may read of an action.
enum Reader {
    /// The host of the room, and staff.
    Host,
    /// Staff alone.
    Staff,
}

actions! {
    /// An account was made.
    Registered = "account.registered", Staff;
    /// A guest came.
    GuestCame = "account.guest", Staff;
    /// Somebody logged in.
    LoggedIn = "account.login", Staff;
    /// Somebody gave a wrong password, or an address that has no account.
    LoginFailed = "account.login_failed", Staff;
    /// A session was ended by its owner.
    LoggedOut = "account.logout", Staff;
    /// A refresh token was used twice, which ends its session.
    TokenReused = "account.token_reused", Staff;

    /// A room was opened.
    RoomCreated = "room.created", Host;
    /// A room was ended by its host, its owner or staff.
    RoomClosed = "room.closed", Host;
    /// Nobody came for too long.
    RoomExpired = "room.expired", Host;
    /// Settings were changed.
    SettingsChanged = "room.settings", Host;
    /// What must not be said was changed.
    WordsChanged = "room.words", Host;
    /// Something else is being watched.
    SourceChanged = "room.source", Host;
    /// The host said play, pause or seek.
    Playback = "room.playback", Host;

    /// Somebody came in.
    Joined = "join.approved", Host;
    /// Somebody asks to come in.
    Asked = "join.asked", Host;
    /// Somebody was turned away: a wrong password, a lock, a kick or a ban.
    Refused = "join.refused", Host;
    /// The host let somebody in.
    Approved = "join.let_in", Host;
    /// The host turned somebody away who asked.
    Rejected = "join.rejected", Host;
    /// Somebody went for good.
    Left = "join.left", Host;

    /// The room was handed over.
    HostChanged = "host.transferred", Host;
    /// The room passed on, since its host did not come back.
    HostSucceeded = "host.succeeded", Host;
    /// The room went back to its host.
    HostReturned = "host.returned", Host;
    /// Somebody became a co-host.
    CohostMade = "host.cohost_made", Host;
    /// Somebody is no co-host any more.
    CohostUnmade = "host.cohost_unmade", Host;

    /// Somebody was thrown out for a while.
    Kicked = "moderation.kicked", Host;
    /// Somebody was thrown out for good.
    Banned = "moderation.banned", Host;
    /// A ban was lifted.
    Unbanned = "moderation.unbanned", Host;
    /// Somebody may not chat for a while.
    Muted = "moderation.muted", Host;
    /// Somebody may chat again.
    Unmuted = "moderation.unmuted", Host;
    /// Messages were taken back.
    Erased = "moderation.erased", Host;
    /// Somebody reported somebody, something said, or a room.
    Reported = "moderation.reported", Staff;

    /// Staff decided about a report.
    ReportHandled = "staff.report_handled", Staff;
    /// Staff came into the panel.
    PanelLoggedIn = "staff.login", Staff;
    /// Somebody tried to come into the panel and could not.
    PanelLoginFailed = "staff.login_failed", Staff;
    /// Staff left the panel.
    PanelLoggedOut = "staff.logout", Staff;
    /// An account was switched off.
    Deactivated = "staff.deactivated", Staff;
    /// An account was switched on again.
    Activated = "staff.activated", Staff;
    /// A person's name and address were forgotten.
    Anonymised = "staff.anonymised", Staff;
    /// Sessions were ended by staff.
    SessionsEnded = "staff.sessions_ended", Staff;
    /// Staff gave an account a new password.
    PasswordReset = "staff.password_reset", Staff;
    /// Somebody became staff or superuser, or no longer is.
    StaffChanged = "staff.rights_changed", Staff;
    /// The audit log was exported.
    AuditExported = "staff.audit_exported", Staff;
    /// A node was told to put connections out.
    NodeShed = "staff.node_shed", Staff;
    /// A node was told to take nobody any more.
    NodeDrained = "staff.node_drained", Staff;
    /// A node was told to take people again.
    NodeResumed = "staff.node_resumed", Staff;
}

impl FromStr for Action {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        Self::ALL.iter().copied().find(|action| action.as_str() == word).ok_or(Invalid("no such action"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What somebody who acts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// Came without an account.
    Guest,
    /// Has an account.
    User,
    /// Acts in the panel.
    Staff,
    /// The service itself, when a time has passed.
    System,
    /// Nobody knows.
    Unknown,
}

impl ActorKind {
    const ALL: [Self; 5] = [Self::Guest, Self::User, Self::Staff, Self::System, Self::Unknown];

    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "GUEST",
            Self::User => "USER",
            Self::Staff => "STAFF",
            Self::System => "SYSTEM",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl FromStr for ActorKind {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(Invalid("no such kind of actor"))
    }
}

/// What is kept of an address for people to read: enough to see two things come from the same place, too little to find
/// a person by it. The /24 of IPv4, the /48 of IPv6.
#[must_use]
pub fn truncated(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_action_has_its_own_word_and_is_found_by_it() {
        let words: HashSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(words.len(), Action::ALL.len());
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
    }

    #[test]
    fn hosts_read_nothing_of_accounts_or_staff() {
        for action in Action::ALL {
            let word = action.as_str();
            let is_private = word.starts_with("account.") || word.starts_with("staff.");
            assert!(!(is_private && action.is_for_hosts()), "{word}");
        }
    }

    #[test]
    fn addresses_lose_what_names_a_person() {
        for (address, kept) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ] {
            assert_eq!(truncated(address.parse().unwrap()), kept);
        }
    }
}
