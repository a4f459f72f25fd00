//! Coming in as a well-behaved client does: again and again, when told to, until in.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::{sleep, timeout_at};

use crate::line::{End, Line, Seat, Since, Welcome};

/// The first pause after a failure that told nothing; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(8);

/// How somebody came in.
#[derive(Debug)]
pub struct Entry {
    /// The line; none when he did not get in before the deadline.
    pub line: Option<(Line, Welcome)>,
    /// When he was in, or gave up.
    pub at: Instant,
    /// How often he was told when to come back.
    pub told: u32,
    /// How long the longest of these told pauses was.
    pub longest_ms: u64,
    /// How often he failed without being told anything.
    pub failed: BTreeMap<String, u32>,
    /// The refusal that told him to stay away.
    pub refused: Option<u16>,
}

/// Takes a seat, on the node after the last one each time, and comes back when told to. A refusal of the range
/// 4000-4099 is final.
pub async fn come_in(seat: &Seat, first: usize, since: Option<Since>, deadline: Instant) -> Entry {
    let mut entry = Entry {
        line: None,
        at: Instant::now(),
        told: 0,
        longest_ms: 0,
        failed: BTreeMap::new(),
        refused: None,
    };
    let mut backoff = Backoff::default();
    let mut turn = first;
    loop {
        let taken = timeout_at(deadline.into(), seat.take(turn, since)).await;
        let end = match taken {
            Ok(Ok(taken)) => {
                entry.line = Some(taken);
                break;
            }
            Ok(Err(end)) => end,
            Err(_) => break,
        };
        turn += 1;
        let pause = match end {
            End { code: Some(code @ 4000..=4099), .. } => {
                entry.refused = Some(code);
                break;
            }
            End { code: Some(_), retry_in_ms: Some(wait), .. } => {
                entry.told += 1;
                entry.longest_ms = entry.longest_ms.max(wait);
                Duration::from_millis(wait)
            }
            end => {
                *entry.failed.entry(end.name()).or_default() += 1;
                backoff.next()
            }
        };
        if Instant::now() + pause >= deadline {
            break;
        }
        sleep(pause).await;
    }
    entry.at = Instant::now();
    entry
}

/// Pauses that double, each shortened by chance by up to a half.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    random: RandomState,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures += 1;
        // A hash with a random key is random enough to spread clients.
        let share = self.random.hash_one(self.failures) as f64 / u64::MAX as f64;
        full.mul_f64(1.0 - share / 2.0)
    }
}

/// How many people came in, and what they were told on the way.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entries {
    /// People who are in.
    pub inside: u64,
    /// Of them, those who were in with their first try.
    pub at_once: u64,
    /// People who were told when to come back, at least once.
    pub told_people: u64,
    /// How often that was told.
    pub told: u64,
    /// The longest pause that was told.
    pub longest_told_ms: u64,
    /// Tries that ended without being told anything, by what happened.
    pub failed: BTreeMap<String, u64>,
    /// People who were told to stay away, by close code.
    pub refused: BTreeMap<u16, u64>,
    /// People who were not in before the deadline.
    pub outside: u64,
}

impl Entries {
    /// Counts one.
    pub fn add(&mut self, entry: &Entry) {
        let is_in = entry.line.is_some();
        self.inside += u64::from(is_in);
        self.at_once += u64::from(is_in && entry.told == 0 && entry.failed.is_empty());
        self.told_people += u64::from(entry.told > 0);
        self.told += u64::from(entry.told);
        self.longest_told_ms = self.longest_told_ms.max(entry.longest_ms);
        for (why, times) in &entry.failed {
            *self.failed.entry(why.clone()).or_default() += u64::from(*times);
        }
        if let Some(code) = entry.refused {
            *self.refused.entry(code).or_default() += 1;
        } else {
            self.outside += u64::from(!is_in);
        }
    }

    /// Whether everybody is in, and nobody was ever left without a word.
    #[must_use]
    pub fn all_in_or_told(&self) -> bool {
        self.all_in() && self.failed.is_empty()
    }

    /// Whether everybody is in.
    #[must_use]
    pub fn all_in(&self) -> bool {
        self.outside == 0 && self.refused.is_empty()
    }

    /// For people to read.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![
            (
                "in".to_owned(),
                format!(
                    "{} ({} with the first try; {} were told to come back, {} times, in {} ms at most)",
                    self.inside, self.at_once, self.told_people, self.told, self.longest_told_ms
                ),
            ),
            ("not in".to_owned(), self.outside.to_string()),
        ];
        rows.extend(self.refused.iter().map(|(code, n)| (format!("refused with {code}"), n.to_string())));
        rows.extend(
            self.failed.iter().map(|(why, n)| ("failed without a word".to_owned(), format!("{n}: {why}"))),
        );
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_but_never_beyond_all_measure() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..12).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[11] <= LONGEST && pauses[11] >= LONGEST / 2);
    }

    #[test]
    fn who_was_told_nothing_counts_against_the_server() {
        let mut entries = Entries::default();
        let mut entry = Entry {
            line: None,
            at: Instant::now(),
            told: 2,
            longest_ms: 1_500,
            failed: BTreeMap::new(),
            refused: None,
        };
        entries.add(&entry);
        assert_eq!((entries.told_people, entries.told, entries.outside), (1, 2, 1));
        assert!(!entries.all_in());
        entry.refused = Some(4002);
        entries.add(&entry);
        assert_eq!((entries.outside, entries.refused[&4002]), (1, 1));
    }
}
