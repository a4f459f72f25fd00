//! Tokens that a server would not give out, some of them signed with its own key, which tests can read.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;

use crate::System;

/// What a token is made of, to be changed at will.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// The JOSE header: algorithm and key.
    pub header: Value,
    /// The claims.
    pub claims: Value,
}

impl Forgery {
    /// Takes a token apart.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut parts = token.split('.').map(|part| {
            let json = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice(&json).unwrap_or_default()
        });
        let mut next = || parts.next().expect("a token has three parts");
        Self { header: next(), claims: next() }
    }

    /// The same with another header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// The same with another claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// The same without a header or a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        for part in [&mut self.header, &mut self.claims] {
            part.as_object_mut().expect("a token's parts are objects").remove(name);
        }
        self
    }

    /// A token with what `sign` makes of its first two parts.
    #[must_use]
    pub fn signed_with(&self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encoded(&self.header), encoded(&self.claims));
        let signature = sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token that this key has signed.
    #[must_use]
    pub fn signed_by(&self, key: &SigningKey) -> String {
        self.signed_with(|text| key.sign(text).to_bytes().to_vec())
    }
}

impl System {
    /// The token with its claims changed, and a signature that holds.
    ///
    /// # Panics
    /// When it is not a token of this system.
    #[must_use]
    pub fn resigned(&self, token: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut forgery = Forgery::of(token);
        change(&mut forgery.claims);
        forgery.signed_by(&self.signing_key(forgery.header["kid"].as_str().expect("a token names its key")))
    }

    /// The token as it will be when it has run out, longer ago than any clock is wrong.
    ///
    /// # Panics
    /// When it is not a token of this system.
    #[must_use]
    pub fn expired(&self, token: &str) -> String {
        self.resigned(token, |claims| claims["exp"] = (claims["iat"].as_i64().unwrap() - 3600).into())
    }

    /// Its key of this id.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn signing_key(&self, id: &str) -> SigningKey {
        let pem = fs::read_to_string(self.keys().join(format!("{id}.pem"))).expect("the key is a file");
        SigningKey::from_pkcs8_pem(&pem).expect("the key is a PKCS#8 PEM")
    }

    /// The directory of its signing keys.
    fn keys(&self) -> PathBuf {
        self.home().join(if self.is_cluster() { "keys" } else { "data/keys" })
    }
}
