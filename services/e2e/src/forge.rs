//! Tokens that a server would not give out: signed with its own key, which tests can read.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;

use crate::System;

impl System {
    /// The token with its claims changed, and a signature that holds.
    ///
    /// # Panics
    /// When it is not a token of this system.
    #[must_use]
    pub fn resigned(&self, token: &str, change: impl FnOnce(&mut Value)) -> String {
        let (head, rest) = token.split_once('.').expect("a token has three parts");
        let (claims, _) = rest.split_once('.').expect("a token has three parts");
        let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        change(&mut claims);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
        let key = self.signing_key(head["kid"].as_str().expect("a token names its key"));
        let signature = key.sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The token as it will be when it has run out, longer ago than any clock is wrong.
    ///
    /// # Panics
    /// When it is not a token of this system.
    #[must_use]
    pub fn expired(&self, token: &str) -> String {
        self.resigned(token, |claims| claims["exp"] = (claims["iat"].as_i64().unwrap() - 3600).into())
    }

    fn signing_key(&self, id: &str) -> SigningKey {
        let directory = self.home().join(if self.is_cluster() { "keys" } else { "data/keys" });
        let pem = fs::read_to_string(directory.join(format!("{id}.pem"))).expect("the key is a file");
        SigningKey::from_pkcs8_pem(&pem).expect("the key is a PKCS#8 PEM")
    }
}
