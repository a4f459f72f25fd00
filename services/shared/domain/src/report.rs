//! Reports: what people tell staff of.

use std::str::FromStr;

use crate::Invalid;

/// The longest note, in characters.
pub const MAX_NOTE: usize = 1_000;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $wrong:literal, $($(#[doc = $says:literal])+ $variant:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[doc = $says])+ $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that is stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(word: &str) -> Result<Self, Invalid> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or(Invalid($wrong))
            }
        }
    };
}

words! {
    /// Why something is reported.
    Reason, "reason must be SPAM, ABUSE, HATE, SEXUAL, ILLEGAL or OTHER",
    /// Advertising, flooding.
    Spam = "SPAM",
    /// Insults, threats, bullying.
    Abuse = "ABUSE",
    /// Against a group of people.
    Hate = "HATE",
    /// Sexual content that nobody asked for.
    Sexual = "SEXUAL",
    /// Against the law.
    Illegal = "ILLEGAL",
    /// Something else, which the note tells.
    Other = "OTHER",
}

words! {
    /// Whether a report was decided about.
    State, "state must be OPEN, ACTED or DISMISSED",
    /// It waits.
    Open = "OPEN",
    /// Something was done.
    Acted = "ACTED",
    /// Nothing had to be done.
    Dismissed = "DISMISSED",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        assert!("".parse::<State>().is_err());
    }
}
