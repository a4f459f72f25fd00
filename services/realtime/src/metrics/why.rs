//! Why a connection never got in, and how one that was in has ended, in words that are few.

use streamit_wire::Code;
use streamit_wire::code::close;

use crate::outbox::Close;
use crate::room::join::FULL_RETRY_MS;

/// Why somebody did not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A page of another site.
    Origin,
    /// No WebSocket.
    Malformed,
    /// No token that is believed.
    Token,
    /// The session has ended.
    Revoked,
    /// The line at the door is full, or does not move.
    Busy,
    /// The node can hold no more connections, or the room no more people.
    Full,
    /// Too many connections, guesses, or messages.
    Limit,
    /// There is no such room, or not for him.
    Room,
    /// Something that is needed is away for now.
    Unavailable,
    /// Went away meanwhile.
    Gone,
    /// A fault of ours.
    Internal,
}

impl Reason {
    pub(super) const ALL: [Self; 11] = [
        Self::Origin,
        Self::Malformed,
        Self::Token,
        Self::Revoked,
        Self::Busy,
        Self::Full,
        Self::Limit,
        Self::Room,
        Self::Unavailable,
        Self::Gone,
        Self::Internal,
    ];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Malformed => "malformed",
            Self::Token => "token",
            Self::Revoked => "revoked",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Limit => "limit",
            Self::Room => "room",
            Self::Unavailable => "unavailable",
            Self::Gone => "gone",
            Self::Internal => "internal",
        }
    }

    /// Why the room, or the connection itself, has closed with this before anybody was in.
    pub(super) fn of(close: &Close) -> Self {
        match close.code {
            // A room that is full and one that can't be had now close alike, but for when to come back ...
            close::TRY_LATER if close.retry_in_ms == Some(FULL_RETRY_MS) => Self::Full,
            close::LOST_PLACE | close::TRY_LATER | close::RESTART => Self::Unavailable,
            close::FLOODING | close::TOO_MANY => Self::Limit,
            close::INTERNAL => Self::Internal,
            // ... and so do a session that has ended and somebody who was kicked, but for the word.
            4000..=4099 if close.reason == Code::SessionRevoked.as_str() => Self::Revoked,
            4000..=4099 => Self::Room,
            _ => Self::Gone,
        }
    }
}

/// The codes that connections end with.
pub(super) const CODES: [(u16, &str); 22] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1006, "1006"),
    (1007, "1007"),
    (1009, "1009"),
    (1011, "1011"),
    (1012, "1012"),
    (1013, "1013"),
    (4001, "4001"),
    (4002, "4002"),
    (4003, "4003"),
    (4004, "4004"),
    (4005, "4005"),
    (4010, "4010"),
    (4011, "4011"),
    (4100, "4100"),
    (4101, "4101"),
    (4102, "4102"),
    (4103, "4103"),
    (4104, "4104"),
    (4105, "4105"),
];

/// A close code as a label: those that are ours or usual by name.
pub(super) fn code_word(code: u16) -> &'static str {
    CODES.into_iter().find(|(known, _)| *known == code).map_or("other", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_of_ours_is_known_and_what_a_client_makes_up_is_not() {
        for code in Code::ALL.iter().map(|code| code.close()).filter(|code| *code != 0) {
            assert_eq!(code_word(code), code.to_string());
        }
        for code in [1000, 1002, 1007, 1009, 1011, 1012, 1013, 4100, 4101, 4102, 4104, 4105] {
            assert_eq!(code_word(code), code.to_string());
        }
        assert_eq!(code_word(4_242), "other");
    }

    #[test]
    fn a_close_before_anybody_was_in_tells_why() {
        let told = |code: Code| Close::new(code.close(), code.as_str());
        let reasons = [
            (Close::retry(Code::RoomFull.close(), FULL_RETRY_MS), Reason::Full),
            (Close::retry(Code::TryAgain.close(), 1_000), Reason::Unavailable),
            (Close::retry(close::LOST_PLACE, 500), Reason::Unavailable),
            (Close::retry(close::TOO_MANY, 10_000), Reason::Limit),
            (told(Code::RoomClosed), Reason::Room),
            (told(Code::Banned), Reason::Room),
            (told(Code::Kicked), Reason::Room),
            (told(Code::SessionRevoked), Reason::Revoked),
            (Close::new(close::NORMAL, ""), Reason::Gone),
        ];
        for (close, reason) in reasons {
            assert_eq!(Reason::of(&close), reason, "{close:?}");
        }
    }
}
