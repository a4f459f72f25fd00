//! Access tokens: nothing but one that a known key has signed, as it was signed, opens a door; and the api and a realtime
//! node, which verify by themselves, think the same of it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use streamit_api::identity::keys::generate;
use streamit_api::{Api, Deps, identity};
use streamit_bus::memory::{MemoryQuota, MemoryRooms};
use streamit_domain::Timestamp;
use streamit_realtime::authority::Authority;
use streamit_realtime::token;
use streamit_storage::{Options, Store};
use streamit_telemetry::{Entropy, ManualClock, SystemEntropy};
use streamit_wire::token::{AUDIENCE, Claims, ISSUER};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};

/// When all of this happens, in Unix seconds.
const NOW: i64 = 1_800_000_000;
/// The keys that are known, and behind them one that is not.
const KIDS: [&str; 3] = ["first", "second", "foreign"];
/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410).
const PKCS8: [u8; 16] =
    [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// The order of the group that signatures are made in, little end first (RFC 8032, 5.1).
const ORDER: [u8; 32] = [
    0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

thread_local! {
    static WORLD: World = World::new();
}

/// Draws the same key each time, so that an input means the same in every run.
struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&self, buf: &mut [u8]) {
        buf.fill(self.0);
    }
}

/// Both verifiers, over the same keys.
struct World {
    runtime: Runtime,
    api: identity::Keys,
    node: token::Keys,
    authority: Authority,
    signers: [EncodingKey; 3],
    /// The public keys of the two that are known.
    public: [Vec<u8>; 2],
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let dir = tempfile::tempdir().expect("a directory");
        let (keys, node, authority) = runtime.block_on(Self::verifiers(dir.path()));
        let public = keys.public().into_iter().map(|key| key.ed25519.to_vec()).collect::<Vec<_>>();
        let signer = |seed: u8| EncodingKey::from_ed_der(&[&PKCS8[..], &[seed; 32]].concat());
        Self {
            runtime,
            api: keys,
            node,
            authority,
            signers: [signer(1), signer(2), signer(3)],
            public: public.try_into().expect("two keys"),
        }
    }

    async fn verifiers(dir: &Path) -> (identity::Keys, token::Keys, Authority) {
        let (clock, entropy) = (ManualClock::at_ms(NOW * 1_000), SystemEntropy::shared());
        let url = format!("sqlite://{}", dir.join("streamit.db").display());
        let store = Store::connect(&url, Options::default()).await.expect("a database");
        store.migrate(|bytes| entropy.fill(bytes)).await.expect("a schema");
        let dir = dir.join("keys");
        for (seed, kid) in (1..).zip(&KIDS[..2]) {
            generate(&dir, kid, &Fixed(seed)).expect("a key");
        }
        let keys = identity::Keys::open(dir, &store, Timestamp(NOW * 1_000)).await.expect("keys");
        let deps = Deps {
            store,
            rooms: std::sync::Arc::new(MemoryRooms::new(clock.clone())),
            quota: std::sync::Arc::new(MemoryQuota::new(clock.clone())),
            keys: keys.clone(),
            clock,
            entropy,
        };
        let api = Api::new(streamit_api::config::Public::default(), deps).expect("an api");
        let calls = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = format!("http://{}", calls.local_addr().expect("its address"));
        tokio::spawn(Server::builder().add_routes(api.grpc()).serve_with_incoming(TcpIncoming::from(calls)));
        let channel = Endpoint::from_shared(at).expect("an address").connect_lazy();
        let authority = Authority::new(vec![("api".into(), channel)], None).expect("an authority");
        let node = token::Keys::default();
        node.refresh(&authority).await.expect("the api's keys");
        (keys, node, authority)
    }

    /// What both make of a token: its claims, if it counts.
    fn verify(&self, token: &str) -> Option<Claims> {
        let now = Timestamp(NOW * 1_000);
        let there = self.runtime.block_on(self.node.verify(token, now, &self.authority)).ok();
        let here = self.api.verify(token);
        // The api knows room time elsewhere, and so leaves it to who asks.
        let in_time = |claims: &Claims| !claims.is_expired(now) && !claims.is_early(now);
        assert_eq!(here.filter(in_time), there, "the api and a node disagree: {token}");
        there
    }

    fn sign(&self, header: &[u8], claims: &[u8], by: Signer) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = match by {
            Signer::Key(key) => {
                jsonwebtoken::crypto::sign(message.as_bytes(), &self.signers[key], Algorithm::EdDSA)
            }
            // The public key as an HMAC secret: the oldest trick against JWT libraries.
            Signer::Hmac(key) => {
                let secret = EncodingKey::from_secret(&self.public[key]);
                jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256)
            }
            Signer::Nobody => Ok(String::new()),
        };
        format!("{message}.{}", signature.expect("a signature"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Signer {
    Key(usize),
    Hmac(usize),
    Nobody,
}

impl Signer {
    fn of(choice: u8) -> Self {
        match choice % 8 {
            key @ 0..=2 => Self::Key(usize::from(key)),
            3 => Self::Hmac(0),
            4 => Self::Hmac(1),
            5 => Self::Nobody,
            _ => Self::Key(0),
        }
    }

    /// Whether what he signed may count under this header.
    fn is_trusted(self, header: &[u8]) -> bool {
        let Ok(header) = serde_json::from_slice::<Value>(header) else { return false };
        let Self::Key(key @ 0..=1) = self else { return false };
        header["alg"] == "EdDSA" && header["kid"] == KIDS[key]
    }
}

/// Whether these claims count now.
fn count(claims: &[u8]) -> Option<Claims> {
    let claims: Claims = serde_json::from_slice(claims).ok()?;
    let begins = claims.iat.max(claims.nbf.unwrap_or(i64::MIN));
    let in_time = begins <= NOW + 60 && NOW < claims.exp.saturating_add(60);
    (claims.iss == ISSUER && claims.aud == AUDIENCE && in_time).then_some(claims)
}

/// The first byte says what the others are: a token; changes to a good one; or the parts of one that is signed here.
pub(crate) fn check(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else { return };
    WORLD.with(|world| match kind % 4 {
        0 => {
            let token = String::from_utf8_lossy(rest);
            // Nobody has signed it: that one should be found here by chance is not to be expected.
            assert_eq!(world.verify(&token), None, "{token}");
        }
        1 => tampered(world, rest),
        2 => written(world, rest),
        _ => composed(world, rest),
    });
}

/// A good token with changes: it counts only when they left nothing changed.
fn tampered(world: &World, changes: &[u8]) {
    let Some((&which, changes)) = changes.split_first() else { return };
    let key = usize::from(which & 1);
    let header = json!({"typ": "JWT", "alg": "EdDSA", "kid": KIDS[key]}).to_string();
    let good = world.sign(header.as_bytes(), good_claims().to_string().as_bytes(), Signer::Key(key));
    if which & 2 != 0 {
        return assert_eq!(world.verify(&other_form(&good)), None, "a signature has one form");
    }
    let mut token = good.clone().into_bytes();
    for change in changes.chunks_exact(4) {
        let &[how, high, low, byte] = change else { continue };
        let at = usize::from(u16::from_be_bytes([high, low])) % token.len().max(1);
        match how % 6 {
            0 if at < token.len() => token[at] = byte,
            1 if at < token.len() => token[at] ^= 1 << (byte % 8),
            2 => token.insert(at, byte),
            3 if at < token.len() => drop(token.remove(at)),
            4 => token.truncate(at),
            // A part of it once more: a header for claims, a signature twice.
            5 => {
                let part = token.split(|byte| *byte == b'.').nth(usize::from(byte % 4)).map(<[u8]>::to_vec);
                token.push(b'.');
                token.extend(part.unwrap_or_default());
            }
            _ => {}
        }
    }
    let token = String::from_utf8_lossy(&token);
    assert_eq!(world.verify(&token).is_some(), token == good, "{token}");
}

/// The same signature with the order of the group added: it fulfils the same equation, and must not count (RFC 8032, 5.1.7).
fn other_form(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("a signature");
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A header and claims that are any bytes, and truly signed.
fn written(world: &World, parts: &[u8]) {
    let &[by, length, ref parts @ ..] = parts else { return };
    let (header, claims) = parts.split_at(usize::from(length).min(parts.len()));
    let by = Signer::of(by);
    let token = world.sign(header, claims, by);
    let seen = world.verify(&token);
    if seen.is_some() {
        assert!(by.is_trusted(header), "{by:?} is no key for {}", String::from_utf8_lossy(header));
        assert_eq!(seen, count(claims), "what is read is what was signed");
    }
}

fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": uuid::Uuid::from_u128(1), "sid": uuid::Uuid::from_u128(2),
        "name": "Ana", "guest": false, "iat": NOW - 10, "exp": NOW + 590,
    })
}

/// A token that is as it should be but for what the choices say; whether it counts is known.
fn composed(world: &World, choices: &[u8]) {
    let &[by, alg, kid, ref choices @ ..] = choices else { return };
    let by = Signer::of(by);
    let alg = ["EdDSA", "HS256", "none", "ES256", "RS256", "eddsa", "EdDSA", "EdDSA"][usize::from(alg % 8)];
    let mut header = json!({"alg": alg, "typ": "JWT"});
    match kid % 6 {
        kid @ 0..=2 => header["kid"] = json!(KIDS[usize::from(kid)]),
        3 => header["kid"] = json!("../../etc/passwd"),
        4 => header["kid"] = json!(null),
        _ => {}
    }
    let mut claims = good_claims();
    for choice in choices.chunks_exact(10) {
        let &[which, what, ref number @ ..] = choice else { continue };
        let number = i64::from_be_bytes(number.try_into().expect("8 of 10 bytes"));
        let names = ["iss", "aud", "sub", "sid", "name", "guest", "iat", "exp", "nbf", "jti"];
        let near = NOW.saturating_add(number % 1_000);
        let value = match what % 9 {
            0 => json!(number),
            1 => json!(near),
            2 => json!(near as f64 + 0.5),
            3 => json!(number.to_string()),
            4 => json!(null),
            5 => json!([AUDIENCE, "streamit"]),
            6 => json!(uuid::Uuid::from_u128(number.unsigned_abs().into())),
            7 => json!(number % 2 == 0),
            _ => {
                claims.as_object_mut().expect("an object").remove(names[usize::from(which) % names.len()]);
                continue;
            }
        };
        claims[names[usize::from(which) % names.len()]] = value;
    }
    let (header, claims) = (header.to_string(), claims.to_string());
    let token = world.sign(header.as_bytes(), claims.as_bytes(), by);
    let meant = if by.is_trusted(header.as_bytes()) { count(claims.as_bytes()) } else { None };
    assert_eq!(world.verify(&token), meant, "{by:?} signed {header} {claims}");
}
