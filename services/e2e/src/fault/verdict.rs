//! How a run is judged.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::Record;
use crate::check::{Run, Seen, Violation, check};

/// How much of what a witness saw explains a violation.
const CONTEXT: usize = 25;
/// Of how many witnesses that is told.
const WITNESSES: usize = 3;

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
        let is_concerned = |record: &&Record| broken.iter().any(|broken| mentions(broken, record));
        for record in self.records.iter().filter(is_concerned).take(WITNESSES) {
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

    /// The last lines of every log.
    #[must_use]
    pub fn last_words(&self) -> &str {
        &self.last_words
    }

    /// How many messages are stored.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.run.end.messages.len()
    }

    /// How long each message that was sent between two moments took to each viewer that saw it come.
    #[must_use]
    pub fn heard_after(&self, sent: Range<Instant>) -> Vec<Duration> {
        let all: HashMap<&str, Instant> = self
            .records
            .iter()
            .flat_map(|record| &record.sent_at)
            .filter(|(_, at)| sent.contains(at))
            .map(|(id, at)| (id.as_str(), *at))
            .collect();
        let mut took = Vec::new();
        for record in &self.records {
            let mut heard = HashSet::new();
            for (at, seen) in &record.seen {
                let messages = match seen {
                    Seen::Said(message) => std::slice::from_ref(message),
                    Seen::Joined(joined) => &joined.messages[..],
                    _ => continue,
                };
                for message in messages.iter().filter(|message| heard.insert(message.id.as_str())) {
                    took.extend(at.zip(all.get(message.id.as_str())).map(|(heard, sent)| heard - *sent));
                }
            }
        }
        took
    }

    /// How long each command took that was sent between two moments, to who sent it.
    #[must_use]
    pub fn obeyed_after(&self, sent: Range<Instant>) -> Vec<Duration> {
        let obeyed = self.records.iter().flat_map(|record| &record.obeyed_after);
        obeyed.filter(|(at, _)| sent.contains(at)).map(|(_, took)| *took).collect()
    }

    /// What was refused between two moments: the codes.
    #[must_use]
    pub fn refused(&self, between: Range<Instant>) -> Vec<&str> {
        let refused = self.records.iter().flat_map(|record| &record.refused);
        refused.filter(|(at, _)| between.contains(at)).map(|(_, code)| code.as_str()).collect()
    }

    /// Checks that nobody lost a connection after a moment.
    ///
    /// # Panics
    /// When somebody did.
    #[track_caller]
    pub fn assert_nobody_put_out(&self, after: Instant) {
        for record in &self.records {
            let lost = record.breaks.iter().find(|gap| gap.lost >= after);
            assert!(lost.is_none(), "{}\n{} was put out: {lost:?}", self.last_words, record.name);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{End, Message};

    fn message(seq: u64) -> Message {
        Message { seq, user: "P0".to_owned(), id: format!("P0-{seq}") }
    }

    /// What P0 saw: a join when nothing was said, then these messages.
    fn verdict(seqs: &[u64]) -> Verdict {
        let started = Instant::now();
        let joined = r#"{"participants":["P0"],"host":"P0"}"#;
        let mut record = Record { name: "P0".to_owned(), wants_in: true, ..Record::default() };
        record.joined(&streamit_client::Welcome {
            participants: serde_json::from_str(joined).unwrap(),
            history: serde_json::from_str(r#"{"messages":[],"epoch":1}"#).unwrap(),
            playback: serde_json::from_str(r#"{"is_playing":false,"time":0,"server_time":1,"version":1}"#)
                .unwrap(),
        });
        for seq in seqs {
            record.sent_at.insert(message(*seq).id, started);
            record.said(&streamit_client::ChatMessage {
                user: "P0".to_owned(),
                message: message(*seq).id,
                user_id: None,
                seq: *seq,
                created_at: String::new(),
                client_id: None,
                erased: false,
            });
            record.acknowledge(&message(*seq).id);
        }
        let run = Run {
            witnesses: vec![record.witness()],
            acknowledged: record.acknowledged.clone(),
            end: End { epoch: 1, messages: (1..=3).map(message).collect(), present: record.present.clone() },
            ..Run::default()
        };
        Verdict::of(run, vec![record], Vec::new(), started, String::new())
    }

    #[test]
    fn what_a_viewer_recorded_is_what_the_checker_judges() {
        let good = verdict(&[1, 2, 3]);
        good.assert_kept();
        assert_eq!(good.heard_after(good.started..Instant::now()).len(), 3);
        let hole = verdict(&[1, 3]);
        assert!(matches!(hole.violations[..], [Violation::Hole { expected: 2, got: 3, .. }]));
        assert!(hole.explain().contains("what P0 saw last"), "{}", hole.explain());
        let lost = verdict(&[1, 2, 3, 4]);
        assert!(lost.violations.contains(&Violation::Lost { id: "P0-4".to_owned() }));
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let of = |values: &[u64], share| {
            let values: Vec<Duration> = values.iter().map(|ms| Duration::from_millis(*ms)).collect();
            percentile(&values, share).as_millis()
        };
        assert_eq!(of(&[], 0.99), 0);
        assert_eq!((of(&[7], 0.5), of(&[3, 1, 2], 0.5), of(&[3, 1, 2], 1.0)), (7, 2, 3));
    }
}
