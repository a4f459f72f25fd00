//! What people are called.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::Invalid;

/// What others see. Trimmed, 1 to 50 characters, without control characters or bidirectional overrides
/// (which would let a name rewrite the line it stands in).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);

/// The longest display name, in characters.
pub const MAX_NAME: usize = 50;

impl DisplayName {
    /// Checks and trims `raw`.
    ///
    /// # Errors
    /// When nothing is left after trimming, it is too long, or holds characters that a name must not.
    pub fn parse(raw: &str) -> Result<Self, Invalid> {
        let name = raw.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
        if name.chars().all(|c| c.is_whitespace() || is_invisible(c)) {
            return Err(Invalid("Display name required"));
        }
        if name.chars().count() > MAX_NAME {
            return Err(Invalid("Display name must have at most 50 characters"));
        }
        if name.chars().any(|c| c.is_control() || is_bidi_control(c) || is_line_break(c)) {
            return Err(Invalid("Display name must not contain control characters"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two names must not share within a room: existing clients know people by name only, so "Bob" and
    /// "BOB" side by side would be one person to them. What can't be seen does not make a difference, nor does how a
    /// character is composed (Unicode Standard Annex 15, NFKC).
    #[must_use]
    pub fn key(&self) -> String {
        if self.0.is_ascii() {
            return self.0.to_ascii_lowercase(); // nothing in it that is invisible or composed
        }
        let seen: String = self.0.chars().filter(|c| !is_invisible(*c)).collect();
        seen.nfkc().collect::<String>().to_lowercase().nfkc().collect()
    }

    /// This name when `n` is 1, and with a number behind it ("Bob (2)") otherwise, cut so that it stays
    /// within [`MAX_NAME`].
    #[must_use]
    pub fn numbered(&self, n: u32) -> Self {
        if n <= 1 {
            return self.clone();
        }
        let suffix = format!(" ({n})");
        let room = MAX_NAME - suffix.len();
        let stem: String = self.0.chars().take(room).collect();
        Self(format!("{}{suffix}", stem.trim_end()))
    }
}

/// Bidirectional embeddings, overrides, isolates and marks (Unicode Standard Annex 9, section 2).
pub(crate) const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}')
}

const fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Characters that show nothing: those with the property `Default_Ignorable_Code_Point` (Unicode,
/// `DerivedCoreProperties.txt`) and the blank braille pattern. Emoji are made with some, so they may stand inside a name.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{034F}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200D}'
            | '\u{2060}'..='\u{206F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DisplayName {
    type Error = Invalid;
    fn try_from(raw: String) -> Result<Self, Invalid> {
        Self::parse(&raw)
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(DisplayName::parse("  Ana \n").unwrap().as_str(), "Ana");
        assert_eq!(DisplayName::parse(" \u{200B} "), Err(Invalid("Display name required")));
        assert!(DisplayName::parse(&"é".repeat(50)).is_ok());
        assert!(DisplayName::parse(&"é".repeat(51)).is_err());
        for bad in ["a\u{202E}b", "a\u{0}b", "a\nb", "a\u{2028}b", "a\u{2066}b"] {
            assert!(DisplayName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_look_alike_have_one_key_and_nobody_is_called_nothing() {
        let key = |name: &str| DisplayName::parse(name).unwrap().key();
        for twin in ["Bo\u{200B}b", "BO\u{00AD}B", "Bob\u{FE0F}", "B\u{E0041}ob", "Ｂｏｂ", "Bo\u{2060}b"]
        {
            assert_eq!(key(twin), key("Bob"), "{twin:?}");
        }
        assert_eq!(key("Zoe\u{0308}"), key("Zo\u{00EB}"));
        assert_ne!(key("Bob"), key("Rob"));
        for nothing in ["\u{2800}", "\u{180E} \u{034F}", "\u{E0041}", "\u{200B}\u{2060}"] {
            assert_eq!(DisplayName::parse(nothing), Err(Invalid("Display name required")), "{nothing:?}");
        }
    }

    #[test]
    fn the_second_bob_gets_a_number() {
        let bob = DisplayName::parse("Bob").unwrap();
        assert_eq!(bob.numbered(1).as_str(), "Bob");
        assert_eq!(bob.numbered(2).as_str(), "Bob (2)");
        let long = DisplayName::parse(&"x".repeat(50)).unwrap();
        assert_eq!(long.numbered(12).as_str().chars().count(), 50);
    }

    proptest! {
        #[test]
        fn whatever_parses_parses_again_unchanged(raw in ".{0,80}", n in 1u32..5000) {
            if let Ok(name) = DisplayName::parse(&raw) {
                let text = name.as_str().to_owned();
                prop_assert_eq!(&DisplayName::parse(&text).unwrap(), &name);
                prop_assert!(DisplayName::parse(name.numbered(n).as_str()).is_ok());
            }
        }
    }
}
