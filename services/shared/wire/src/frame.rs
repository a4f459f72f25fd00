//! The frames of the WebSocket: what clients may send, what they receive.
//!
//! [`client`] turns text into a [`client::Frame`] or says, in the contract's form, what is wrong with it.
//! [`server`] holds the frames that go out. To add a message: a variant there, a line in `docs/protocol.md`.

pub mod client;
pub mod server;

use streamit_domain::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment as clients read it: RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_utc() {
        assert_eq!(rfc3339(Timestamp(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(Timestamp(i64::MAX)), "1970-01-01T00:00:00Z");
    }
}
