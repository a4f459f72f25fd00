//! How a run is judged.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::Record;
use crate::check::{Run, Violation, check};

/// How much of what a witness saw explains a violation.
const CONTEXT: usize = 30;

/// What came of a run.
#[derive(Debug)]
pub struct Verdict {
    /// All that was seen, and what was true in the end.
    pub run: Run,
    /// What should not have been.
    pub violations: Vec<Violation>,
    /// What is no matter of the checker: who never came back, say.
    pub complaints: Vec<String>,
    /// The viewers' own.
    pub records: Vec<Record>,
    pub(super) started: Instant,
    pub(super) last_words: String,
}

impl Verdict {
    pub(super) fn of(
        run: Run,
        records: Vec<Record>,
        complaints: Vec<String>,
        started: Instant,
        last_words: String,
    ) -> Self {
        let violations = check(&run);
        Self { run, violations, complaints, records, started, last_words }
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.violations.is_empty() && self.complaints.is_empty()
    }

    /// Checks that every promise was kept.
    ///
    /// # Panics
    /// When one was not, with what explains it.
    #[track_caller]
    pub fn assert_kept(&self) {
        assert!(self.is_kept(), "{}", self.explain());
    }

    /// What was broken, and what those saw who saw it.
    #[must_use]
    pub fn explain(&self) -> String {
        /// More are seldom of help.
        const SHOWN: usize = 12;
        let mut text = self.last_words.clone();
        let broken = self.violations.iter().map(ToString::to_string).chain(self.complaints.iter().cloned());
        let broken: Vec<String> = broken.collect();
        for record in
            self.records.iter().filter(|record| broken.iter().any(|broken| mentions(broken, record)))
        {
            let _ = writeln!(text, "---- what {} saw last, in seconds", record.name);
            for (at, seen) in record.seen.iter().rev().take(CONTEXT).rev() {
                let at = at.map_or(0.0, |at| (at - self.started).as_secs_f64());
                let _ = writeln!(text, "{at:8.3} {seen:?}");
            }
        }
        let _ = writeln!(text, "---- {} promises broken", broken.len());
        for broken in broken.iter().take(SHOWN) {
            let _ = writeln!(text, "{broken}");
        }
        text
    }

    /// How many messages are stored.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.run.end.messages.len()
    }

    /// How long each break took whose end was noticed after a moment.
    #[must_use]
    pub fn breaks_after(&self, moment: Instant) -> Vec<Duration> {
        let breaks = self.records.iter().flat_map(|record| &record.breaks);
        breaks.filter(|gap| gap.lost >= moment).map(super::Break::length).collect()
    }
}

fn mentions(broken: &str, record: &Record) -> bool {
    broken.split(|c: char| !c.is_alphanumeric()).any(|word| word == record.name)
}

/// The value that this share of them is not above; nothing of nothing.
#[must_use]
pub fn percentile(of: &[Duration], share: f64) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}
