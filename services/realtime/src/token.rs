//! Verifying access tokens without asking.
//!
//! The api publishes its public keys before it signs with them, so the node nearly always knows the key. When it does
//! not, it asks; only a token that is *proven* bad is refused for good, one that can't be checked now may come again.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use parking_lot::RwLock;
use streamit_domain::Timestamp;
use streamit_wire::token::{AUDIENCE, Claims, ISSUER};
use streamit_wire::v1;
use tokio::sync::Mutex;

use crate::authority::Authority;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 4_096;
/// How long a list of keys is good enough to say that a key is not in it.
const FRESH: Duration = Duration::from_secs(1);

/// Why a token does not open the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Proven bad.
    Bad,
    /// It can't be checked now.
    Unknown,
}

/// The public keys of the api.
#[derive(Default)]
pub struct Keys {
    known: RwLock<HashMap<String, DecodingKey>>,
    /// When they were read last; held while they are being read, so that one call serves all who wait.
    read: Mutex<Option<tokio::time::Instant>>,
}

impl Keys {
    /// Reads a token that was given at `now` (room time).
    ///
    /// # Errors
    /// Why it does not count.
    pub async fn verify(&self, token: &str, now: Timestamp, api: &Authority) -> Result<Claims, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::Bad);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Bad)?;
        if header.alg != Algorithm::EdDSA {
            return Err(Refused::Bad);
        }
        let kid = header.kid.ok_or(Refused::Bad)?;
        if !self.known.read().contains_key(&kid) {
            self.refresh(api).await.map_err(|()| Refused::Unknown)?;
        }
        let known = self.known.read();
        let key = known.get(&kid).ok_or(Refused::Bad)?;
        let claims =
            jsonwebtoken::decode::<Claims>(token, key, &validation()).map_err(|_| Refused::Bad)?.claims;
        if claims.is_expired(now) || claims.is_early(now) { Err(Refused::Bad) } else { Ok(claims) }
    }

    /// Reads the keys, unless somebody just has.
    ///
    /// # Errors
    /// When the api is away.
    pub async fn refresh(&self, api: &Authority) -> Result<(), ()> {
        let mut read = self.read.lock().await;
        if read.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let reply = api
            .call(b"keys", |mut client| async move { client.keys(v1::KeysRequest {}).await })
            .await
            .map_err(|_| ())?;
        let keys = reply.keys.into_iter().filter_map(|key| {
            let x = URL_SAFE_NO_PAD.encode(&key.ed25519);
            Some((key.kid, DecodingKey::from_ed_components(&x).ok()?))
        });
        *self.known.write() = keys.collect();
        *read = Some(tokio::time::Instant::now());
        Ok(())
    }
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // Judged by room time, which a wrong system clock does not move.
    validation.validate_exp = false;
    validation
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("known", &self.known.read().len()).finish_non_exhaustive()
    }
}
