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
    /// When it begins, in Unix seconds; at once, if nothing is said. Ours say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
}

impl Claims {
    /// Whether the token has ended at `now`, the leeway included.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= Timestamp(self.exp.saturating_mul(1_000)).plus(LEEWAY)
    }

    /// Whether the token comes from the future, the leeway included: it begins, or says it was made, after `now`. Nobody
    /// who is right about the time has signed such a one.
    #[must_use]
    pub fn is_early(&self, now: Timestamp) -> bool {
        let begins = self.iat.max(self.nbf.unwrap_or(i64::MIN));
        Timestamp(begins.saturating_mul(1_000)) > now.plus(LEEWAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(iat: i64, nbf: Option<i64>, exp: i64) -> Claims {
        Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: UserId(uuid::Uuid::from_u128(1)),
            sid: SessionId(uuid::Uuid::from_u128(2)),
            name: DisplayName::parse("Ana").unwrap(),
            guest: true,
            iat,
            exp,
            nbf,
        }
    }

    #[test]
    fn a_token_counts_a_minute_longer_than_it_says() {
        let claims = claims(1_000, None, 2_000);
        assert!(!claims.is_expired(Timestamp(2_059_999)));
        assert!(claims.is_expired(Timestamp(2_060_000)));
    }

    #[test]
    fn a_token_counts_a_minute_before_it_says() {
        for (iat, nbf) in [(1_000, None), (1_000, Some(500)), (0, Some(1_000)), (1_000, Some(i64::MIN))] {
            let claims = claims(iat, nbf, 2_000);
            assert!(claims.is_early(Timestamp(939_999)), "{iat} {nbf:?}");
            assert!(!claims.is_early(Timestamp(940_000)), "{iat} {nbf:?}");
        }
        assert!(claims(i64::MAX, None, 0).is_early(Timestamp(1)));
    }

    #[test]
    fn what_we_sign_says_nothing_of_its_beginning() {
        assert!(!serde_json::to_string(&claims(1, None, 2)).unwrap().contains("nbf"));
    }
}
