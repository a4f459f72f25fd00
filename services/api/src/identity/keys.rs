//! The keys that sign access tokens: a directory of PKCS#8 Ed25519 PEM files that all replicas share.
//!
//! A key verifies from the moment it is there. It signs only once it has been published for
//! [`PUBLISHED`], so that every node and replica knows it before the first token that needs it; when each replica
//! may start to sign with it is told by one row in the database, not by the file's age.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::RwLock;
use serde::Serialize;
use streamit_domain::Timestamp;
use streamit_storage::Store;
use streamit_storage::keys::SeenKey;
use streamit_telemetry::Entropy;
use streamit_wire::token::{AUDIENCE, Claims, ISSUER};

/// How long a key has been known to all before it signs.
pub const PUBLISHED: Duration = Duration::from_secs(600);
/// The longest token that is looked at.
const MAX_TOKEN: usize = 4096;

/// The signing keys as they are now. Cheap to clone; all clones see a reload.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    ring: RwLock<Arc<Ring>>,
}

/// One generation of keys.
struct Ring {
    keys: BTreeMap<String, Key>,
    signer: String,
}

struct Key {
    sign: EncodingKey,
    verify: DecodingKey,
    public: [u8; 32],
}

/// A public key, as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// Its id.
    pub kid: String,
    /// The key itself.
    pub ed25519: [u8; 32],
}

/// A public key in a JSON Web Key Set (RFC 8037).
#[derive(Debug, Serialize)]
pub(crate) struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: String,
    x: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keys").field(&self.0.dir).finish()
    }
}

impl Keys {
    /// Reads the directory, and tells the database which keys there are.
    ///
    /// # Errors
    /// When there is no usable key, or the database is away.
    pub async fn open(dir: impl Into<PathBuf>, store: &Store, now: Timestamp) -> anyhow::Result<Self> {
        let dir = dir.into();
        let ring = load(&dir, store, now).await?;
        tracing::info!(keys = ring.keys.len(), kid = ring.signer, "signing keys are ready");
        Ok(Self(Arc::new(Shared { dir, ring: RwLock::new(Arc::new(ring)) })))
    }

    /// Reads the directory again. When that fails, the keys stay what they were.
    ///
    /// # Errors
    /// When there is no usable key, or the database is away.
    pub async fn reload(&self, store: &Store, now: Timestamp) -> anyhow::Result<()> {
        let ring = load(&self.0.dir, store, now).await?;
        let before = std::mem::replace(&mut *self.0.ring.write(), Arc::new(ring));
        let after = self.ring();
        if before.signer != after.signer || !before.keys.keys().eq(after.keys.keys()) {
            tracing::info!(keys = after.keys.len(), kid = after.signer, "signing keys changed");
        }
        Ok(())
    }

    /// All public keys.
    #[must_use]
    pub fn public(&self) -> Vec<Public> {
        let ring = self.ring();
        ring.keys.iter().map(|(kid, key)| Public { kid: kid.clone(), ed25519: key.public }).collect()
    }

    /// All public keys, as `/.well-known/jwks.json` shows them.
    pub(crate) fn jwks(&self) -> Vec<Jwk> {
        let jwk = |key: Public| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: key.kid,
            x: URL_SAFE_NO_PAD.encode(key.ed25519),
        };
        self.public().into_iter().map(jwk).collect()
    }

    /// Signs a token.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let ring = self.ring();
        let key = ring.keys.get(&ring.signer).ok_or(jsonwebtoken::errors::ErrorKind::InvalidEddsaKey)?;
        let header = Header { kid: Some(ring.signer.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &key.sign)
    }

    /// Reads a token that one of the keys signed. Whether it has ended is left to the caller, who knows room time.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Claims> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let ring = self.ring();
        let key = ring.keys.get(&jsonwebtoken::decode_header(token).ok()?.kid?)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.validate_exp = false;
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        jsonwebtoken::decode(token, &key.verify, &rules).ok().map(|read| read.claims)
    }

    fn ring(&self) -> Arc<Ring> {
        self.0.ring.read().clone()
    }
}

/// Writes a new signing key `<kid>.pem` into `dir`, readable by its owner alone, and makes the directory if need be.
///
/// # Errors
/// When the file exists already or can't be written.
pub fn generate(dir: &Path, kid: &str, entropy: &dyn Entropy) -> anyhow::Result<PathBuf> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

    let mut seed = [0; 32];
    entropy.fill(&mut seed);
    let pem =
        SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF).context("a key can be written as PEM")?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("could not make {}", dir.display()))?;
    let path = dir.join(format!("{kid}.pem"));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("could not make {}", path.display()))?;
    file.write_all(pem.as_bytes()).with_context(|| format!("could not write {}", path.display()))?;
    file.sync_all()?;
    Ok(path)
}

async fn load(dir: &Path, store: &Store, now: Timestamp) -> anyhow::Result<Ring> {
    let keys = read(dir)?;
    let kids: Vec<String> = keys.keys().cloned().collect();
    let mut tx = store.begin().await?;
    let seen = streamit_storage::keys::see(&mut tx, &kids, now).await?;
    tx.commit().await?;
    let signer = signer(&seen, now).context("the database forgot the signing keys it was told")?;
    Ok(Ring { keys, signer })
}

fn read(dir: &Path) -> anyhow::Result<BTreeMap<String, Key>> {
    let mut keys = BTreeMap::new();
    let entries = fs::read_dir(dir).with_context(|| format!("could not read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Mounted secrets bring dot files along (`..data`).
        let Some(kid) = name.strip_suffix(".pem").filter(|kid| !kid.is_empty() && !kid.starts_with('.'))
        else {
            continue;
        };
        ensure!(
            kid.len() <= 100 && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
            "{} must be named with letters, digits, `-`, `_` and `.`",
            path.display()
        );
        let pem = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let Ok(key) = SigningKey::from_pkcs8_pem(&pem) else {
            bail!("{} is not an Ed25519 private key (PKCS#8 PEM)", path.display());
        };
        let der = key.to_pkcs8_der().context("a key that was read can be written")?;
        let public = key.verifying_key().to_bytes();
        let key = Key {
            sign: EncodingKey::from_ed_der(der.as_bytes()),
            verify: DecodingKey::from_ed_der(&public),
            public,
        };
        keys.insert(kid.to_owned(), key);
    }
    ensure!(!keys.is_empty(), "{} holds no signing key (*.pem)", dir.display());
    Ok(keys)
}

/// The last name that has been published long enough; while none has, the one that has been known for longest.
fn signer(seen: &[SeenKey], now: Timestamp) -> Option<String> {
    let ripe = seen.iter().filter(|key| key.first_seen_at.plus(PUBLISHED) <= now).max_by_key(|key| &key.kid);
    let eldest = || seen.iter().min_by_key(|key| (key.first_seen_at, &key.kid));
    ripe.or_else(eldest).map(|key| key.kid.clone())
}

#[cfg(test)]
mod tests {
    use streamit_domain::{DisplayName, SessionId, UserId};
    use streamit_telemetry::SystemEntropy;

    use super::*;

    fn ring_of(dir: &Path, signer: &str) -> Keys {
        let ring = Ring { keys: read(dir).unwrap(), signer: signer.into() };
        Keys(Arc::new(Shared { dir: dir.into(), ring: RwLock::new(Arc::new(ring)) }))
    }

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: UserId(uuid::Uuid::from_u128(1)),
            sid: SessionId(uuid::Uuid::from_u128(2)),
            name: DisplayName::parse("Ana").unwrap(),
            guest: false,
            iat: 1_000,
            nbf: None,
            exp: 2_000,
        }
    }

    #[test]
    fn a_signed_token_is_read_again_and_a_changed_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        generate(dir.path(), "2026-01", &SystemEntropy).unwrap();
        let keys = ring_of(dir.path(), "2026-01");
        let token = keys.sign(&claims()).unwrap();
        assert_eq!(keys.verify(&token), Some(claims()));
        let (body, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{body}.{}", signature.chars().rev().collect::<String>());
        for bad in ["", "a.b.c", &forged, body, &"x".repeat(5000)] {
            assert_eq!(keys.verify(bad), None, "{bad}");
        }
        let foreign = Claims { aud: "somebody else".into(), ..claims() };
        assert_eq!(keys.verify(&keys.sign(&foreign).unwrap()), None);
    }

    #[test]
    fn a_token_of_another_key_or_algorithm_is_refused() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        generate(ours.path(), "k", &SystemEntropy).unwrap();
        generate(theirs.path(), "k", &SystemEntropy).unwrap();
        let keys = ring_of(ours.path(), "k");
        assert_eq!(keys.verify(&ring_of(theirs.path(), "k").sign(&claims()).unwrap()), None);
        // The public key as an HMAC secret: the oldest trick against JWT libraries.
        let public = keys.public()[0].ed25519;
        let header = Header { kid: Some("k".into()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&public)).unwrap();
        assert_eq!(keys.verify(&token), None);
    }

    #[test]
    fn a_new_key_signs_only_after_ten_minutes_unless_it_is_alone() {
        let at = |kid: &str, ms| SeenKey { kid: kid.to_owned(), first_seen_at: Timestamp(ms) };
        let ten = 600_000;
        assert_eq!(signer(&[at("a", 0)], Timestamp(0)).unwrap(), "a");
        let two = [at("a", 0), at("b", ten)];
        assert_eq!(signer(&two, Timestamp(2 * ten - 1)).unwrap(), "a");
        assert_eq!(signer(&two, Timestamp(2 * ten)).unwrap(), "b");
        assert_eq!(signer(&[at("a", 5), at("b", 5)], Timestamp(5)).unwrap(), "a");
        assert_eq!(signer(&[], Timestamp(5)), None);
    }

    #[test]
    fn a_bad_directory_is_told_with_the_file_at_fault() {
        let dir = tempfile::tempdir().unwrap();
        let told = |dir: &Path| format!("{:#}", read(dir).err().unwrap());
        assert!(told(dir.path()).contains("holds no signing key"));
        fs::write(dir.path().join("k.pem"), "nonsense").unwrap();
        assert!(told(dir.path()).contains("k.pem"));
        assert!(generate(dir.path(), "k", &SystemEntropy).is_err(), "a key is never overwritten");
    }
}
