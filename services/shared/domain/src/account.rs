//! What accounts are made of.

use std::fmt;

use serde::Deserialize;

use crate::Invalid;

/// An email address, lower-cased: addresses compare without case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

impl Email {
    /// Checks the shape only (`something@domain`, no spaces, at most 254 characters: RFC 5321, 4.5.3.1.3);
    /// whether mail arrives is not asked.
    ///
    /// # Errors
    /// When it can't be an address.
    pub fn parse(raw: &str) -> Result<Self, Invalid> {
        const WRONG: Invalid = Invalid("Enter a valid email address");
        let email = raw.trim().to_lowercase();
        let (local, domain) = email.rsplit_once('@').ok_or(WRONG)?;
        let sane = |part: &str| {
            !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@')
        };
        let dotted = !domain.starts_with('.') && !domain.ends_with('.') && !domain.contains("..");
        if !sane(local) || !sane(domain) || !dotted || local.len() > 64 || email.len() > 254 {
            return Err(WRONG);
        }
        Ok(Self(email))
    }

    /// The address as text, lower-cased.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Email {
    type Error = Invalid;
    fn try_from(raw: String) -> Result<Self, Invalid> {
        Self::parse(&raw)
    }
}

/// The shortest password a new account may have, in characters (NIST SP 800-63B, 3.1.1.2, for a password
/// that is not the only factor).
pub const MIN_PASSWORD: usize = 8;
/// The longest password that is read at all, in bytes: hashing must not become a way to spend our time.
pub const MAX_PASSWORD: usize = 1024;

/// Checks a password that somebody wants to use from now on. (Not for logging in: what was set is valid.)
///
/// # Errors
/// When it is too short, too long or holds a NUL character.
pub fn check_new_password(password: &str) -> Result<(), Invalid> {
    if password.chars().count() < MIN_PASSWORD {
        return Err(Invalid("Password must have at least 8 characters"));
    }
    if password.len() > MAX_PASSWORD {
        return Err(Invalid("Password must have at most 1024 bytes"));
    }
    if password.contains('\0') {
        return Err(Invalid("Password must not contain a NUL character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_folded_and_checked() {
        assert_eq!(Email::parse(" Ana@Example.ORG ").unwrap().as_str(), "ana@example.org");
        for bad in ["", "a", "a@", "@b", "a b@c.d", "a@b@", "a@.b", "a@b..c", "a@b."] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        assert!(Email::parse(&format!("{}@b.c", "a".repeat(65))).is_err());
        assert!(Email::parse("root@localhost").is_ok());
    }

    #[test]
    fn new_passwords_have_a_least_and_a_most_length() {
        assert!(check_new_password("12345678").is_ok());
        assert!(check_new_password("1234567").is_err());
        assert!(check_new_password(&"x".repeat(1025)).is_err());
        assert!(check_new_password("1234\u{0}5678").is_err());
    }
}
