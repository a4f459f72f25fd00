//! What must not be said in a room: words and phrases that its host listed, with wildcards.
//!
//! Text and patterns are folded first, so that case, accents, how a character is composed and what can't be seen make no
//! difference (Unicode Standard Annex 15: NFKD, less accents; then one case). A pattern matches whole words: `cat`
//! is not in "category", `cat*` is. `*` stands for any characters of a word, `?` for one. Several words match where they
//! stand one after another, whatever is between them that is no letter or digit.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

use crate::Invalid;
use crate::name::{is_bidi_control, is_invisible};

/// The most patterns of a room.
pub const MAX_PATTERNS: usize = 100;
/// The longest pattern, in characters.
pub const MAX_PATTERN: usize = 64;

/// Checks a list of patterns: trims each, and leaves out the empty and the repeated.
///
/// # Errors
/// When there are too many, one is too long, or one would match everything.
pub fn patterns<'a>(raw: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, Invalid> {
    let mut list: Vec<String> = Vec::new();
    for pattern in raw.into_iter().map(str::trim).filter(|pattern| !pattern.is_empty()) {
        if pattern.chars().count() > MAX_PATTERN || pattern.chars().any(char::is_control) {
            return Err(Invalid("blocked_words must be lines of at most 64 characters"));
        }
        if !fold(pattern).chars().any(char::is_alphanumeric) {
            return Err(Invalid("blocked_words must each hold a letter or a digit"));
        }
        if pattern.split_whitespace().any(|word| word.contains('*') && word.contains('?')) {
            return Err(Invalid("blocked_words may hold * or ? in a word, not both"));
        }
        if list.iter().any(|other| other == pattern) {
            continue;
        }
        if list.len() == MAX_PATTERNS {
            return Err(Invalid("blocked_words must be at most 100"));
        }
        list.push(pattern.to_owned());
    }
    Ok(list)
}

/// The most characters that are looked through, folded. What unfolds to more says nothing that anybody has to read.
const MAX_FOLDED: usize = 2_000;

/// Patterns, ready to be looked for. Looking takes a time that grows with the length of the text and the number of
/// patterns, and with nothing else: a list that was made to be slow must not hold up who talks in other rooms.
#[derive(Clone, Debug, Default)]
pub struct WordFilter(Vec<Vec<Glob>>);

/// What one word of a pattern fits.
#[derive(Clone, Debug)]
enum Glob {
    /// So many characters, of which some may be any.
    Exact(Vec<char>),
    /// These pieces in their order, the first at the beginning and the last at the end; both may be empty.
    Pieces(Vec<String>),
}

impl WordFilter {
    /// Prepares patterns.
    #[must_use]
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let phrase = |pattern: &str| {
            let typed: String = pattern.chars().map(|c| if hides_a_wildcard(c) { ' ' } else { c }).collect();
            let words = words(&typed, |c| is_of_word(c) || is_wildcard(c));
            words.iter().map(|word| Glob::new(word)).collect()
        };
        Self(patterns.into_iter().map(phrase).filter(|phrase: &Vec<Glob>| !phrase.is_empty()).collect())
    }

    /// Whether `text` holds something that must not be said.
    #[must_use]
    pub fn blocks(&self, text: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let said = words(text, is_of_word);
        if said.iter().map(|word| word.chars().count()).sum::<usize>() > MAX_FOLDED {
            return true;
        }
        self.0.iter().any(|phrase| {
            said.windows(phrase.len()).any(|run| phrase.iter().zip(run).all(|(glob, word)| glob.fits(word)))
        })
    }
}

impl Glob {
    fn new(word: &str) -> Self {
        if word.contains('*') {
            Self::Pieces(word.split('*').map(str::to_owned).collect())
        } else {
            Self::Exact(word.chars().collect())
        }
    }

    /// Whether the whole word fits.
    fn fits(&self, word: &str) -> bool {
        let pieces = match self {
            Self::Exact(glob) => {
                let mut chars = word.chars();
                return glob.iter().all(|c| chars.next().is_some_and(|said| *c == '?' || *c == said))
                    && chars.next().is_none();
            }
            Self::Pieces(pieces) => pieces,
        };
        let (Some((first, rest)), Some(last)) = (pieces.split_first(), pieces.last()) else { return false };
        let Some(mut left) =
            word.strip_prefix(first.as_str()).and_then(|left| left.strip_suffix(last.as_str()))
        else {
            return false;
        };
        // Each piece as early as it comes: a later place could leave no more room for those behind it.
        rest[..rest.len().saturating_sub(1)].iter().all(|piece| match left.split_once(piece.as_str()) {
            Some((_, after)) => {
                left = after;
                true
            }
            None => false,
        })
    }
}

fn is_wildcard(c: char) -> bool {
    matches!(c, '*' | '?')
}

/// A sign that becomes a wildcard only by folding (`⁇` is `??`) was not meant as one: it stands between words, as in a text.
fn hides_a_wildcard(c: char) -> bool {
    !c.is_ascii() && std::iter::once(c).nfkd().any(is_wildcard)
}

/// Marks that are left after folding belong to the letter before.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

fn fold(text: &str) -> String {
    let plain = text.nfkd().filter(|c| !is_accent(*c) && !is_unseen(*c));
    // By way of upper case, where "ß" is "SS" and there is one sigma.
    plain.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// A mark that is written above, below or through a letter, or a point that may be left out, by its canonical combining
/// class (Unicode Standard Annex 44, table 15). Vowel signs of Indic scripts have other classes: they are letters to who reads.
fn is_accent(c: char) -> bool {
    matches!(canonical_combining_class(c), 1 | 10..=35 | 200..=255)
}

fn is_unseen(c: char) -> bool {
    is_invisible(c) || is_bidi_control(c) || matches!(c, '\u{FFF9}'..='\u{FFFB}' | '\u{1D159}')
}

fn words(text: &str, is_of_word: impl Fn(char) -> bool) -> Vec<String> {
    let folded = fold(text);
    folded.split(|c| !is_of_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(pattern: &str, text: &str) -> bool {
        WordFilter::new([pattern]).blocks(text)
    }

    #[test]
    fn words_match_whole_and_wildcards_within() {
        assert!(blocks("cat", "a cat!"));
        assert!(blocks("cat", "CAT"));
        assert!(!blocks("cat", "category"));
        assert!(blocks("cat*", "category"));
        assert!(blocks("*cat", "bobcat, there"));
        assert!(blocks("c?t", "cut"));
        assert!(!blocks("c?t", "ct"));
        assert!(blocks("*a*b*", "xxaxxbxx"));
        assert!(!blocks("*a*b", "xxaxxbxx"));
    }

    #[test]
    fn phrases_match_words_in_a_row() {
        assert!(blocks("bad film", "What a BAD -- film"));
        assert!(!blocks("bad film", "bad old film"));
        assert!(blocks("bad * film", "bad old film"));
        assert!(!blocks("bad film", "bad"));
    }

    #[test]
    fn spelling_it_another_way_does_not_help() {
        for text in ["ünkind", "u\u{308}nkind", "un\u{200b}kind", "ＵＮＫＩＮＤ", "UN\u{ad}KIND", "𝐮𝐧𝐤𝐢𝐧𝐝"]
        {
            assert!(blocks("unkind", text), "{text:?}");
        }
        for (pattern, text) in [
            ("badword", "bad\u{200e}word"),
            ("badword", "bad\u{202a}word"),
            ("badword", "bad\u{fff9}word"),
            ("Straße", "STRASSE"),
            ("ΜΑΣ", "μας"),
            ("λόγος", "ΛΌΓΟΣ"),
        ] {
            assert!(blocks(pattern, text), "{pattern} {text:?}");
        }
        assert!(!blocks("की", "का"), "a vowel sign is no accent");
        assert!(
            blocks("⁇cat", "⁇cat") && blocks("cat？", "cat") && !blocks("ca？", "cat"),
            "no wildcard was typed"
        );
    }

    #[test]
    fn a_list_is_bounded_and_matches_no_everything() {
        assert_eq!(patterns([" a ", "", "b", "a"]).unwrap(), ["a", "b"]);
        for bad in ["*", "?", "* *", "!!", "a*b?"] {
            assert!(patterns([bad]).is_err(), "{bad}");
        }
        assert!(patterns([&*"x".repeat(65)]).is_err());
        let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        assert!(patterns(many.iter().map(String::as_str)).is_err());
    }

    #[test]
    fn no_list_is_slow_and_no_text_hides_by_its_length() {
        let hard: Vec<String> = (0..100).map(|n| format!("*{}{n:02}*z*", "i".repeat(50))).collect();
        let filter = WordFilter::new(hard.iter().map(String::as_str));
        let begun = std::time::Instant::now();
        for _ in 0..100 {
            assert!(!filter.blocks(&"\u{2172}".repeat(500)));
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
        assert!(filter.blocks(&"\u{FDFA}".repeat(500)), "what unfolds to thousands of letters");
        assert!(!blocks("*ab*ba*", "aba") && blocks("*ab*ba*", "abba"), "pieces do not overlap");
        assert!(!blocks("ab*ba", "aba") && blocks("ab*ba", "abxba"));
    }

    proptest! {
        #[test]
        fn every_text_blocks_itself_and_nothing_hangs(text in "\\PC{1,80}", glob in "[a*?]{1,40}") {
            if fold(&text).chars().any(char::is_alphanumeric) && !text.contains(['*', '?']) {
                prop_assert!(blocks(&text, &text));
            }
            let _ = blocks(&glob, &"a".repeat(500));
        }
    }
}
