//! Random secrets, and what is kept of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use streamit_telemetry::Entropy;
use subtle::ConstantTimeEq;

/// A fresh secret of 256 bits, as text that fits into a cookie, a header or JSON.
pub(crate) fn fresh(entropy: &dyn Entropy) -> SecretString {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes).into()
}

/// What the database keeps of a [`fresh`] secret. Unsalted, since nobody can guess 256 random bits.
pub(crate) fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// The message authentication code of `text` under `key`.
pub(crate) fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length (RFC 2104, section 2)");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whether two values are the same, told in the same time wherever they differ.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Letters and digits that can't be taken for one another: 26 of them.
const READABLE: &[u8; 26] = b"abcdefghjkmnpqrstuvwxyz346";
const ROOM_PASSWORD: usize = 10;

/// A room password that can be read aloud: 10 characters of 26, 47 random bits.
pub(crate) fn room_password(entropy: &dyn Entropy) -> SecretString {
    // Rejection keeps every character equally likely: 234 is the largest multiple of 26 below 256.
    let mut word = String::with_capacity(ROOM_PASSWORD);
    while word.len() < ROOM_PASSWORD {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        let drawn =
            bytes.iter().filter(|byte| **byte < 234).map(|byte| READABLE[usize::from(byte % 26)] as char);
        word.extend(drawn.take(ROOM_PASSWORD - word.len()));
    }
    word.into()
}

/// Whether `given` is the room password that `kept` was made from. People type it in any case, with blanks.
pub(crate) fn is_room_password(key: &[u8], kept: &[u8], given: &str) -> bool {
    let given: String = given.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    same(&mac(key, &given), kept)
}

/// What the database keeps of a room password.
pub(crate) fn room_password_mac(key: &[u8], password: &SecretString) -> Vec<u8> {
    mac(key, password.expose_secret())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use streamit_telemetry::SeededEntropy;

    use super::*;

    #[test]
    fn macs_are_hmac_sha_256() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let hex: String =
            mac(b"Jefe", "what do ya want for nothing?").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn room_passwords_are_readable_and_differ() {
        let entropy = SeededEntropy::shared(3);
        let words: HashSet<String> =
            (0..1000).map(|_| room_password(&*entropy).expose_secret().to_owned()).collect();
        assert_eq!(words.len(), 1000);
        assert!(words.iter().all(|w| w.len() == 10 && w.bytes().all(|b| READABLE.contains(&b))));
    }

    #[test]
    fn a_room_password_is_known_again_as_people_type_it() {
        let password = room_password(&*SeededEntropy::shared(4));
        let kept = room_password_mac(b"key", &password);
        let typed = format!(" {} ", password.expose_secret().to_uppercase());
        assert!(is_room_password(b"key", &kept, &typed));
        assert!(!is_room_password(b"other", &kept, password.expose_secret()));
        assert!(!is_room_password(b"key", &kept, ""));
    }

    #[test]
    fn fresh_secrets_are_long_and_fit_a_cookie() {
        let secret = fresh(&*SeededEntropy::shared(5));
        assert_eq!(secret.expose_secret().len(), 43);
        assert!(secret.expose_secret().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    }
}
