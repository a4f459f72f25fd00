//! Which part of a file a request wants (RFC 9110, section 14): one range of bytes. A player seeks with these.

use std::ops::Range;

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};

/// What of a file is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it. Also the answer to what can't be read, and to several ranges at once: both may be ignored, and no
    /// player asks so.
    Whole,
    /// These bytes, at least one.
    Part(Range<usize>),
    /// A range that lies outside.
    Nothing,
}

/// Reads what is wanted of a file with this tag and length.
pub(super) fn wanted(asked: &HeaderMap, tag: &HeaderValue, length: usize) -> Wanted {
    // Who has a part of another version must get all of this one.
    if asked.get(IF_RANGE).is_some_and(|has| has != tag) {
        return Wanted::Whole;
    }
    let range = asked.get(RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| read(range, length)).unwrap_or(Wanted::Whole)
}

/// Reads `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`; `None` for anything else.
fn read(range: &str, length: usize) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let part = match (first, last) {
        ("", count) => length.saturating_sub(number(count)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some(if part.is_empty() { Wanted::Nothing } else { Wanted::Part(part) })
}

/// Digits alone, which is less than `parse` takes. What is too large to be held lies beyond the end of any file.
fn number(digits: &str) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(range: &str, length: usize) -> Wanted {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_str(range).unwrap())]);
        wanted(&headers, &HeaderValue::from_static("\"tag\""), length)
    }

    #[test]
    fn one_range_is_understood() {
        for (range, part) in [
            ("bytes=0-", 0..10),
            ("bytes=0-0", 0..1),
            ("bytes=3-5", 3..6),
            ("Bytes= 3-5 ", 3..6),
            ("bytes=9-9", 9..10),
            ("bytes=4-99999999999999999999999", 4..10),
            ("bytes=-4", 6..10),
            ("bytes=-11", 0..10),
            ("bytes=-99999999999999999999999", 0..10),
        ] {
            assert_eq!(asked(range, 10), Wanted::Part(part), "{range}");
        }
    }

    #[test]
    fn what_lies_outside_is_not_there() {
        for range in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(asked(range, 10), Wanted::Nothing, "{range}");
        }
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(asked(range, 0), Wanted::Nothing, "{range} of an empty file");
        }
    }

    #[test]
    fn what_is_not_understood_gets_the_whole() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-3",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=--1",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "bytes=0-1,3-4",
            "bytes=1 - 2",
            "seconds=1-2",
            "bytes =1-2",
        ] {
            assert_eq!(asked(range, 10), Wanted::Whole, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), &HeaderValue::from_static("\"tag\""), 10), Wanted::Whole);
    }

    #[test]
    fn a_part_is_sent_only_to_who_has_the_rest_of_the_same() {
        let tag = HeaderValue::from_static("\"new\"");
        for (has, is_same) in [
            ("\"new\"", true),
            ("\"old\"", false),
            ("W/\"new\"", false),
            ("Sun, 22 Nov 2026 00:00:00 GMT", false),
        ] {
            let headers =
                [(RANGE, HeaderValue::from_static("bytes=0-1")), (IF_RANGE, HeaderValue::from_static(has))];
            let part = wanted(&HeaderMap::from_iter(headers), &tag, 10) == Wanted::Part(0..2);
            assert_eq!(part, is_same, "{has}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_a_part_that_is_empty_or_beyond_the_end(
            range in "(bytes=)?[0-9]{0,21}-?[0-9]{0,21}[ ,a-]?",
            length in 0..100usize,
        ) {
            if let Wanted::Part(part) = asked(&range, length) {
                prop_assert!(part.start < part.end && part.end <= length, "{part:?} of {length}");
            }
        }

        #[test]
        fn a_range_gives_just_the_bytes_it_names(first in 0..40usize, more in 0..40usize, length in 1..40usize) {
            let last = first + more;
            let named: Vec<usize> = (0..length).filter(|at| (first..=last).contains(at)).collect();
            let given = match asked(&format!("bytes={first}-{last}"), length) {
                Wanted::Part(part) => part.collect(),
                Wanted::Nothing => Vec::new(),
                Wanted::Whole => return Err(TestCaseError::fail("ignored")),
            };
            prop_assert_eq!(given, named);
        }
    }
}
