//! What can go wrong, told so that a program can act on it.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio_tungstenite::tungstenite;

/// Why a call or a connection did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server understood, and said no.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// The server could not be reached, or stopped in the middle of its answer.
    #[error("the server could not be asked")]
    Transport(#[source] reqwest::Error),
    /// The server could not be reached for a WebSocket, or the connection broke before it was one.
    #[error("the WebSocket could not be opened")]
    Connect(#[source] Box<tungstenite::Error>),
    /// The upgrade to a WebSocket was refused with this HTTP status (403: the `Origin` is not allowed).
    #[error("the upgrade to a WebSocket was refused with status {0}")]
    UpgradeRefused(u16),
    /// The connection has ended.
    #[error("the connection is closed: {0}")]
    Closed(CloseReason),
    /// Nothing of what was waited for came in time.
    #[error("waited {limit:?} for {what} in vain; seen meanwhile: [{seen}]")]
    Deadline {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
        /// The last few events that came instead.
        seen: String,
    },
    /// An answer or a frame was not what the contract promises.
    #[error("unexpected {what}: {text}")]
    Unexpected {
        /// What it should have been.
        what: &'static str,
        /// What it was, shortened.
        text: String,
    },
    /// The address is not one.
    #[error("`{0}` is not an address of a server")]
    Address(String),
    /// Too many messages wait for the connection to come back.
    #[error("{0} messages wait for the connection already")]
    Backlog(usize),
}

impl Error {
    /// The refusal, when the server refused.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// How the connection ended, when it did.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        match self {
            Self::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    pub(crate) fn unexpected(what: &'static str, text: &str) -> Self {
        const ENOUGH: usize = 300;
        let mut shown: String = text.chars().take(ENOUGH).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self::Unexpected { what, text: shown }
    }
}

/// A refusal over HTTP.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{status} {code}: {message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The stable code, for programs. Empty when something on the way answered, and not StreamIt.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What is wrong with which field, when input was refused field by field.
    pub fields: Map<String, Value>,
    /// Seconds to wait, from `Retry-After`.
    pub retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn read(status: u16, retry_after: Option<u64>, body: Option<&Value>) -> Self {
        let text = |key| body.and_then(|b| b.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned();
        let fields = body.and_then(|b| b.get("fields")).and_then(Value::as_object).cloned();
        Self {
            status,
            code: text("code"),
            message: text("error"),
            fields: fields.unwrap_or_default(),
            retry_after,
        }
    }
}

/// How a connection ended, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// The close code; 1006 when the connection broke without one.
    pub code: u16,
    /// What the server said, as it said it.
    pub reason: String,
    /// When to come back, if the server said so.
    pub retry_in_ms: Option<u64>,
}

/// What a close code asks of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Don't reconnect by yourself: it would end the same way.
    Stop,
    /// Reconnect with `since`, after a first pause of the client's own choice or of this length.
    Reconnect(Option<Duration>),
}

impl CloseReason {
    /// A connection that broke without a close frame.
    pub const BROKEN: u16 = 1006;

    pub(crate) fn broken(why: &str) -> Self {
        Self { code: Self::BROKEN, reason: why.to_owned(), retry_in_ms: None }
    }

    pub(crate) fn read(code: u16, reason: &str) -> Self {
        let hint = serde_json::from_str::<Value>(reason).ok();
        let retry_in_ms = hint.as_ref().and_then(|hint| hint.get("retry_in_ms")).and_then(Value::as_u64);
        Self { code, reason: reason.to_owned(), retry_in_ms }
    }

    /// What the code's range asks for.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self.code {
            // The end that was asked for, what we sent was wrong or too big, or the server's final word.
            1000 | 1002 | 1003 | 1007..=1010 | 4000..=4099 => Advice::Stop,
            _ => Advice::Reconnect(self.retry_in_ms.map(Duration::from_millis)),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " {}", self.reason) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_range_of_a_close_code_says_what_to_do() {
        for stop in [1000, 1009, 4001, 4002, 4003, 4005, 4010, 4011, 4099] {
            assert_eq!(CloseReason::read(stop, "").advice(), Advice::Stop, "{stop}");
        }
        for again in [1006, 1001, 1011, 1012, 1013, 4100, 4101, 4104] {
            assert_eq!(CloseReason::read(again, "").advice(), Advice::Reconnect(None), "{again}");
        }
        let told = CloseReason::read(1012, r#"{"retry_in_ms":1500}"#);
        assert_eq!(told.advice(), Advice::Reconnect(Some(Duration::from_millis(1500))));
        assert_eq!(CloseReason::read(4100, "not json").retry_in_ms, None);
    }

    #[test]
    fn a_refusal_is_read_whoever_wrote_it() {
        let ours = json!({"error": "Invalid input", "code": "INVALID", "fields": {"email": "is missing"}});
        let refusal = ApiError::read(400, None, Some(&ours));
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("INVALID", "Invalid input"));
        assert_eq!(refusal.fields["email"], "is missing");
        let proxy = ApiError::read(502, Some(3), None);
        assert_eq!((proxy.code.as_str(), proxy.retry_after), ("", Some(3)));
        assert!(ApiError::read(500, None, Some(&json!([1]))).message.is_empty());
    }
}
