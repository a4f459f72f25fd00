//! The one table of error codes.
//!
//! A code is what a client may act on. Add a row only when a client would behave differently because of it.

use http::StatusCode;

/// Close codes of the WebSocket that are not tied to an error code.
pub mod close {
    /// The client is done, or the server is.
    pub const NORMAL: u16 = 1000;
    /// A frame was not WebSocket.
    pub const PROTOCOL: u16 = 1002;
    /// Text was not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// A message was over 16 KiB.
    pub const TOO_BIG: u16 = 1009;
    /// This connection failed inside.
    pub const INTERNAL: u16 = 1011;
    /// The node restarts; the reason says when to come back.
    pub const RESTART: u16 = 1012;
    /// No capacity now; back off.
    pub const TRY_LATER: u16 = 1013;
    /// Too slow to read: reconnect with `since`.
    pub const TOO_SLOW: u16 = 4100;
    /// This node can't prove continuity: reconnect with `since`.
    pub const LOST_PLACE: u16 = 4101;
    /// Heartbeat missed.
    pub const SILENT: u16 = 4102;
    /// Flooding.
    pub const FLOODING: u16 = 4104;
    /// Too many connections for this user or address.
    pub const TOO_MANY: u16 = 4105;
}

macro_rules! codes {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $word:literal, $http:literal, $grpc:ident, $close:literal, $say:literal; )+) => {
        /// A stable code. HTTP shows it as `code`, the WebSocket in `ERROR`, gRPC in its items.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $( $(#[doc = $doc])+ $variant, )+ }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The word clients see.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                let status: u16 = match self { $( Self::$variant => $http, )+ };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// The gRPC code.
            #[must_use]
            pub const fn grpc(self) -> tonic::Code {
                match self { $( Self::$variant => tonic::Code::$grpc, )+ }
            }

            /// The WebSocket close code when a connection is refused or ended because of it; 0 when it never is.
            #[must_use]
            pub const fn close(self) -> u16 {
                match self { $( Self::$variant => $close, )+ }
            }

            /// What to tell people when there is nothing more exact to say.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $( Self::$variant => $say, )+ }
            }
        }
    };
}

codes! {
    /// Input that does not fit; `fields` may say which.
    Invalid = "INVALID", 400, InvalidArgument, 0, "Invalid input";
    /// Not JSON.
    InvalidJson = "INVALID_JSON", 400, InvalidArgument, 0, "Invalid JSON";
    /// A frame `type` that does not exist.
    UnknownType = "UNKNOWN_TYPE", 400, InvalidArgument, 0, "Unknown message type";
    /// A binary frame.
    Binary = "BINARY_FRAME", 400, InvalidArgument, 0, "Binary frames are not supported";
    /// Nobody known.
    Unauthenticated = "UNAUTHENTICATED", 401, Unauthenticated, 4001, "Authentication required";
    /// Wrong email or password.
    Credentials = "INVALID_CREDENTIALS", 401, Unauthenticated, 0, "Invalid credentials";
    /// The session was ended.
    SessionRevoked = "SESSION_REVOKED", 401, Unauthenticated, 4011, "The session has ended";
    /// Known, but not allowed.
    Forbidden = "FORBIDDEN", 403, PermissionDenied, 0, "Not allowed";
    /// A request that another site made a browser send.
    CrossSite = "CROSS_SITE", 403, PermissionDenied, 0, "Cross-site request refused";
    /// Only the host (or a co-host) may.
    HostOnly = "HOST_ONLY", 403, PermissionDenied, 0, "Only the host can do that";
    /// Not an approved participant.
    NotApproved = "NOT_APPROVED", 403, PermissionDenied, 4003, "Not an approved participant of this room";
    /// Kicked not long ago.
    Kicked = "KICKED", 403, PermissionDenied, 4011, "You were removed from this room, try again later";
    /// Banned.
    Banned = "BANNED", 403, PermissionDenied, 4010, "You are banned from this room";
    /// Wrong or missing room password.
    RoomPassword = "INVALID_ROOM_PASSWORD", 403, PermissionDenied, 0, "Invalid room password";
    /// May not chat.
    Muted = "MUTED", 403, PermissionDenied, 0, "You are muted in this room";
    /// Nobody may chat.
    ChatDisabled = "CHAT_DISABLED", 403, PermissionDenied, 0, "Chat is disabled in this room";
    /// Only host and co-hosts may chat.
    ChatLocked = "CHAT_LOCKED", 403, PermissionDenied, 0, "Only the host and co-hosts may chat now";
    /// It holds what must not be said in this room.
    WordBlocked = "WORD_BLOCKED", 403, PermissionDenied, 0, "Your message holds words that are not allowed in this room";
    /// Nobody new comes in.
    RoomLocked = "ROOM_LOCKED", 403, PermissionDenied, 0, "The room is locked: nobody new may come in";
    /// Nothing there.
    NotFound = "NOT_FOUND", 404, NotFound, 0, "Not found";
    /// No such room.
    RoomNotFound = "ROOM_NOT_FOUND", 404, NotFound, 4002, "Room not found";
    /// Nobody came for too long.
    RoomExpired = "ROOM_EXPIRED", 404, NotFound, 4004, "The room has expired";
    /// Its host closed it.
    RoomClosed = "ROOM_CLOSED", 404, NotFound, 4005, "The room was closed";
    /// The path exists, not with this method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, Unimplemented, 0, "Method not allowed";
    /// Took too long to arrive.
    RequestTimeout = "REQUEST_TIMEOUT", 408, DeadlineExceeded, 0, "The request took too long";
    /// Clashes with what is.
    Conflict = "CONFLICT", 409, AlreadyExists, 0, "Conflict";
    /// The email has an account.
    EmailTaken = "EMAIL_TAKEN", 409, AlreadyExists, 0, "An account with this email exists already";
    /// Too big.
    TooLarge = "TOO_LARGE", 413, OutOfRange, 1009, "Too large";
    /// Not JSON by its content type.
    MediaType = "UNSUPPORTED_MEDIA_TYPE", 415, InvalidArgument, 0, "Send application/json";
    /// This path speaks WebSocket only.
    NotWebSocket = "UPGRADE_REQUIRED", 426, FailedPrecondition, 0, "This is a WebSocket: connect with an upgrade";
    /// Too many, too fast.
    RateLimited = "RATE_LIMITED", 429, ResourceExhausted, 0, "Too many requests, slow down";
    /// The room is slow: each person waits between two messages.
    SlowMode = "SLOW_MODE", 429, ResourceExhausted, 0, "This room is in slow mode, wait a little";
    /// Something needed is away; the same request may work soon.
    TryAgain = "TRY_AGAIN", 503, Unavailable, 1013, "Temporarily unavailable, try again";
    /// The room holds as many as it may.
    RoomFull = "ROOM_FULL", 503, ResourceExhausted, 1013, "The room is full";
    /// A fault of ours.
    Internal = "INTERNAL", 500, Internal, 1011, "Something went wrong";
}

impl Code {
    /// The code that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_code_has_its_own_word_and_is_found_by_it() {
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::from_word(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn close_codes_are_in_a_range_that_tells_the_client_what_to_do() {
        for code in Code::ALL {
            let close = code.close();
            assert!(matches!(close, 0 | 1009 | 1011 | 1013 | 4000..=4199), "{code}");
        }
    }
}
