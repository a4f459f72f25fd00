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

/// Patterns, ready to be looked for.
#[derive(Clone, Debug, Default)]
pub struct WordFilter(Vec<Vec<Vec<char>>>);

impl WordFilter {
    /// Prepares patterns.
    #[must_use]
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let phrase = |pattern| words(pattern, |c| is_of_word(c) || matches!(c, '*' | '?'));
        Self(patterns.into_iter().map(phrase).filter(|phrase| !phrase.is_empty()).collect())
    }

    /// Whether `text` holds something that must not be said.
    #[must_use]
    pub fn blocks(&self, text: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let said = words(text, is_of_word);
        self.0.iter().any(|phrase| {
            said.windows(phrase.len())
                .any(|run| phrase.iter().zip(run).all(|(glob, word)| matches(glob, word)))
        })
    }
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

fn words(text: &str, is_of_word: impl Fn(char) -> bool) -> Vec<Vec<char>> {
    let folded = fold(text);
    folded
        .split(|c| !is_of_word(c))
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().collect())
        .collect()
}

/// Whether the whole word fits. Goes back to the last star only, which is enough: an earlier one could give nothing that
/// the last can't.
fn matches(glob: &[char], word: &[char]) -> bool {
    let (mut g, mut w) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while w < word.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, w));
                g += 1;
            }
            Some(c) if *c == '?' || *c == word[w] => {
                g += 1;
                w += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                g = at + 1;
                w = from + 1;
            }
        }
    }
    glob[g..].iter().all(|c| *c == '*')
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
    }

    #[test]
    fn a_list_is_bounded_and_matches_no_everything() {
        assert_eq!(patterns([" a ", "", "b", "a"]).unwrap(), ["a", "b"]);
        for bad in ["*", "?", "* *", "!!"] {
            assert!(patterns([bad]).is_err(), "{bad}");
        }
        assert!(patterns([&*"x".repeat(65)]).is_err());
        let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        assert!(patterns(many.iter().map(String::as_str)).is_err());
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
