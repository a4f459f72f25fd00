//! Access tokens that must not count, one table for both who verify them: the api for each call, a node for each
//! connection.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use streamit_client::{Connection, Error, Options};
use streamit_e2e::{Answer, Forgery, Person, Plan, Room, System};

/// The names of all claims.
const CLAIMS: [&str; 8] = ["iss", "aud", "sub", "sid", "name", "guest", "iat", "exp"];

/// How a node receives somebody with this token: the code of the close, nothing when they are let in.
async fn on_a_node(system: &System, room: &Room, token: &str) -> Option<u16> {
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let url = format!("{}/ws/room/{}/?token={token}", system.ws(0), room.code);
    let mut line = Connection::open_url(&url, Options::default()).await.unwrap();
    match line.welcome().await {
        Ok(_) => None,
        Err(Error::Closed(reason)) => Some(reason.code),
        Err(other) => panic!("{other:?}"),
    }
}

fn hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    move |text| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }
}

/// Tokens that are somebody's in all but one respect.
fn forgeries(system: &System, ana: &Person) -> Vec<(String, String)> {
    let token = ana.token();
    let good = || Forgery::of(token);
    let kid = good().header["kid"].as_str().unwrap().to_owned();
    let key = system.signing_key(&kid);
    let other = system.signing_key("unused");
    assert_ne!(kid, "unused");
    let stranger = SigningKey::from_bytes(&[7; 32]);
    let signed = |forgery: Forgery| forgery.signed_by(&key);
    let mut table: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, token: String| table.push((what.to_owned(), token));

    for none in ["none", "None", "nOnE", ""] {
        let forgery = good().header("alg", none);
        add(&format!("alg {none:?} without a signature"), forgery.signed_with(|_| Vec::new()));
        add(&format!("alg {none:?} with a signature"), signed(forgery));
    }
    let public = key.verifying_key();
    let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
    let x = URL_SAFE_NO_PAD.encode(public.as_bytes());
    for (what, secret) in
        [("bytes", &public.as_bytes()[..]), ("PEM", pem.as_bytes()), ("JWK", x.as_bytes()), ("nothing", b"")]
    {
        let forgery = good().header("alg", "HS256");
        add(&format!("HS256 with the public key ({what}) as its secret"), forgery.signed_with(hs256(secret)));
        add(&format!("EdDSA said, but HS256 with {what}"), good().signed_with(hs256(secret)));
    }
    for alg in ["HS256", "RS256", "ES256", "Ed25519", "EdDSA "] {
        add(&format!("alg {alg:?} with a signature of EdDSA"), signed(good().header("alg", alg)));
    }
    add("no alg", signed(good().without("alg")));
    add("another key", good().signed_by(&stranger));
    add("another key, which it brings along", {
        let jwk =
            json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(stranger.verifying_key())});
        good().header("jwk", jwk).signed_by(&stranger)
    });
    add("the id of another known key", signed(good().header("kid", "unused")));
    add("another known key under the id of the first", good().signed_by(&other));
    for unknown in ["unknown", "", "../test", &format!("{kid}.pem"), &kid.to_uppercase()] {
        add(&format!("the unknown key {unknown:?}"), signed(good().header("kid", unknown)));
    }
    add("no key", signed(good().without("kid")));
    add("a key that is no text", signed(good().header("kid", 1)));

    let now = good().claims["iat"].as_i64().unwrap();
    for (claim, value) in [
        ("aud", json!("somebody else")),
        ("aud", json!("")),
        ("aud", json!(["streamit", "somebody else"])),
        ("iss", json!("somebody else")),
        ("iss", json!(["streamit"])),
        ("sub", json!("ana")),
        ("sid", json!("")),
        ("name", json!("")),
        ("guest", json!("no")),
        ("exp", json!(now - 3_600)),
        ("exp", json!(now - 120)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("exp", json!((now + 3_600).to_string())),
        ("iat", json!(now + 3_600)),
        ("iat", json!(i64::MAX)),
        ("iat", json!("now")),
        ("nbf", json!(now + 3_600)),
        ("nbf", json!("now")),
    ] {
        add(&format!("{claim} is {value}"), signed(good().claim(claim, value)));
    }
    for claim in CLAIMS {
        add(&format!("no {claim}"), signed(good().without(claim)));
        for value in [Value::Null, json!([]), json!({}), json!([good().claims[claim]])] {
            add(&format!("{claim} is {value}"), signed(good().claim(claim, value)));
        }
    }
    let claims = |claims: Value| signed(Forgery { header: good().header, claims });
    add("claims that are no object", claims(json!([1])));
    add("claims that are nothing", claims(Value::Null));

    let (rest, signature) = token.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut flipped = bytes.clone();
    flipped[63] ^= 0x80;
    let encoded = |bytes: &[u8]| format!("{rest}.{}", URL_SAFE_NO_PAD.encode(bytes));
    add("a signature with one bit changed", encoded(&flipped));
    add("half a signature", encoded(&bytes[..32]));
    add("a signature without its last byte", encoded(&bytes[..63]));
    add("a signature and one byte", encoded(&[&bytes[..], &[0]].concat()));
    add("a signature twice", encoded(&[&bytes[..], &bytes].concat()));
    add("a signature of zeros", encoded(&[0; 64]));
    add("no signature", format!("{rest}."));
    add("two parts", rest.to_owned());
    add("four parts", format!("{token}.{signature}"));
    add("a padded signature", format!("{token}=="));
    // The last letter of 64 bytes has four bits that mean nothing, and must be zero.
    let last = signature.chars().next_back().unwrap();
    let next = char::from_u32(u32::from(last) + 1).unwrap();
    add("another spelling of the signature", format!("{}{next}", &token[..token.len() - 1]));
    add("other claims under the same signature", {
        let parts: Vec<&str> = token.split('.').collect();
        let claims = good().claim("guest", false).claims.to_string();
        format!("{}.{}.{signature}", parts[0], URL_SAFE_NO_PAD.encode(claims))
    });
    add("too long", signed(good().claim("more", "x".repeat(8_192))));
    for text in ["", "x", "a.b.c", "..", "\u{0}"] {
        add(&format!("{text:?}"), text.to_owned());
    }
    table
}

async fn tokens_count_only_as_they_were_given(system: &System) {
    let ana = system.user("Ana").await;
    let room = ana.public_room().await;
    let me = async |token: &str| {
        let asked = system.http(0).request("GET", "/api/auth/me/");
        asked.header("authorization", &format!("Bearer {token}")).send().await.unwrap()
    };

    // What is changed here harms nothing, so that a refusal below is for what it says.
    let now = Forgery::of(ana.token()).claims["iat"].as_i64().unwrap();
    for (claim, value) in [
        ("iat", json!(now + 50)),
        ("nbf", json!(now + 50)),
        ("nbf", Value::Null),
        ("exp", json!(now - 30)),
        ("more", json!("to come")),
    ] {
        let fine = system.resigned(ana.token(), |claims| claims[claim] = value.clone());
        assert_eq!(me(&fine).await.is(200)["id"], ana.id().to_string(), "{claim} is {value}");
        assert_eq!(on_a_node(system, &room, &fine).await, None, "{claim} is {value}");
    }

    for (what, token) in forgeries(system, &ana) {
        // What can't be written into a header is no case of this table's first half.
        if !token.contains('\0') {
            let reply = me(&token).await;
            assert_eq!((reply.status, &reply.json()["code"]), (401, &json!("UNAUTHENTICATED")), "{what}");
        }
        assert_eq!(on_a_node(system, &room, &token).await, Some(4001), "{what}");
    }

    // Somebody else's session is no session of hers, and neither is one that has ended.
    let bo = system.guest("Bo").await;
    let sid = Forgery::of(bo.token()).claims["sid"].clone();
    let borrowed = system.resigned(ana.token(), |claims| claims["sid"] = sid.clone());
    me(&borrowed).await.is_refused(401, "SESSION_REVOKED");
    assert_eq!(on_a_node(system, &room, &borrowed).await, Some(4001));
    bo.http().logout().await.unwrap();
    me(bo.token()).await.is_refused(401, "SESSION_REVOKED");
    assert_eq!(on_a_node(system, &room, bo.token()).await, Some(4001));
}

#[tokio::test]
async fn the_standalone_program_takes_only_its_own_tokens() {
    Plan::standalone()
        .with_keys()
        .limits("off")
        .run(async |system| tokens_count_only_as_they_were_given(system).await)
        .await;
}

#[tokio::test]
async fn a_cluster_takes_only_its_own_tokens() {
    Plan::cluster(1, 1)
        .limits("off")
        .run(async |system| tokens_count_only_as_they_were_given(system).await)
        .await;
}
