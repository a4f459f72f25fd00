//! What an access token says. The api signs it, the nodes verify it by themselves; both must mean the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use streamit_domain::{DisplayName, SessionId, Timestamp, UserId};

/// Who signed it.
pub const ISSUER: &str = "streamit";
/// Whom it is meant for.
pub const AUDIENCE: &str = "streamit";
/// How far past its end a token still counts, for clocks that are a little off.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// The claims of an access token: a JWT signed with EdDSA whose header names the key (`kid`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// Whose it is.
    pub sub: UserId,
    /// The session it was given out in. It counts only while that lives.
    pub sid: SessionId,
    /// What the person is called outside of any room.
    pub name: DisplayName,
    /// Whether this is a guest.
    pub guest: bool,
    /// When it was made, in Unix seconds.
    pub iat: i64,
    /// When it ends, in Unix seconds.
    pub exp: i64,
}

impl Claims {
    /// Whether the token has ended at `now`, the leeway included.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= Timestamp(self.exp.saturating_mul(1_000)).plus(LEEWAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_a_minute_longer_than_it_says() {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: UserId(uuid::Uuid::from_u128(1)),
            sid: SessionId(uuid::Uuid::from_u128(2)),
            name: DisplayName::parse("Ana").unwrap(),
            guest: true,
            iat: 1_000,
            exp: 2_000,
        };
        assert!(!claims.is_expired(Timestamp(2_059_999)));
        assert!(claims.is_expired(Timestamp(2_060_000)));
    }
}
