//! Going through a run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Joined, Message, Run, Seen, State, Violation, Witness};

/// How far apart two tellings of one state may be, in milliseconds: positions travel as seconds with a few decimals,
/// and a joiner's is computed for the millisecond of the join.
const SAME_MS: f64 = 2.0;

/// Holds a run against the promises. Empty when all were kept.
#[must_use]
pub fn check(run: &Run) -> Vec<Violation> {
    let mut judge = Judge { run, truth: Truth::default(), found: Vec::new() };
    let mut sights = Vec::with_capacity(run.witnesses.len());
    for witness in &run.witnesses {
        sights.push(judge.hear(witness));
    }
    judge.look_at_the_end(&sights);
    judge.found
}

/// What all witnesses together have shown to be so.
#[derive(Default)]
struct Truth<'a> {
    messages: BTreeMap<(u64, u64), &'a Message>,
    numbers: HashMap<(u64, &'a str), u64>,
    states: BTreeMap<u64, State>,
}

struct Judge<'a> {
    run: &'a Run,
    truth: Truth<'a>,
    found: Vec<Violation>,
}

/// What one witness knows, as its story goes on.
struct Sight<'a> {
    witness: &'a Witness,
    is_there: bool,
    /// Epoch and number of the last message.
    heard: Option<(u64, u64)>,
    version: Option<u64>,
    present: BTreeSet<&'a str>,
}

impl<'a> Judge<'a> {
    fn hear(&mut self, witness: &'a Witness) -> Sight<'a> {
        let mut sight =
            Sight { witness, is_there: false, heard: None, version: None, present: BTreeSet::new() };
        for seen in &witness.seen {
            match seen {
                Seen::Joined(joined) => self.on_joined(&mut sight, joined),
                Seen::Said(message) => self.on_said(&mut sight, message),
                Seen::Played(state) => self.on_played(&mut sight, state, false),
                Seen::Listed(present) => self.on_listed(&mut sight, present),
                Seen::Came(who) => {
                    if !sight.present.insert(who) {
                        self.impossible(&sight, format!("{who} came, who was there"));
                    }
                }
                Seen::Went(who) => {
                    if !sight.present.remove(who.as_str()) {
                        self.impossible(&sight, format!("{who} went, who was not there"));
                    }
                    if self.run.steady.contains(who) {
                        self.found.push(Violation::Noise { witness: witness.name.clone(), who: who.clone() });
                    }
                }
                Seen::Ended(_) => sight.is_there = false,
            }
        }
        sight
    }

    fn impossible(&mut self, sight: &Sight<'_>, what: String) {
        self.found.push(Violation::Impossible { witness: sight.witness.name.clone(), what });
    }

    fn on_listed(&mut self, sight: &mut Sight<'a>, present: &'a BTreeSet<String>) {
        // A list that lacks somebody says that he left, only without the word.
        for who in sight.present.iter().filter(|who| !present.contains(**who)) {
            if self.run.steady.contains(*who) {
                let witness = sight.witness.name.clone();
                self.found.push(Violation::Noise { witness, who: (*who).to_owned() });
            }
        }
        sight.present = present.iter().map(String::as_str).collect();
    }

    fn on_joined(&mut self, sight: &mut Sight<'a>, joined: &'a Joined) {
        sight.is_there = true;
        let witness = &sight.witness.name;
        let mut last = None;
        if joined.resumed {
            let wrong = |why: String| Violation::FalseResume { witness: witness.clone(), why };
            match joined.asked {
                None => self.found.push(wrong("nothing was asked for".to_owned())),
                Some((epoch, _)) if epoch != joined.epoch => {
                    self.found.push(wrong(format!("asked in epoch {epoch}, answered in {}", joined.epoch)));
                }
                Some((_, since)) => last = Some(since),
            }
        }
        for message in &joined.messages {
            if let Some(last) = last
                && message.seq != last + 1
            {
                self.found.push(Violation::Hole {
                    witness: witness.clone(),
                    expected: last + 1,
                    got: message.seq,
                });
            }
            last = Some(message.seq);
            self.note(joined.epoch, message);
        }
        sight.heard = Some((joined.epoch, last.unwrap_or(0)));
        // Whoever was not there may have missed arrivals and departures: a list that comes with a join replaces.
        sight.present = joined.present.iter().map(String::as_str).collect();
        self.on_played(sight, &joined.state, true);
    }

    fn on_said(&mut self, sight: &mut Sight<'a>, message: &'a Message) {
        let witness = &sight.witness.name;
        let Some((epoch, last)) = sight.heard else {
            self.found.push(Violation::Hole { witness: witness.clone(), expected: 0, got: message.seq });
            return;
        };
        self.note(epoch, message);
        if message.seq == last + 1 {
            sight.heard = Some((epoch, message.seq));
        } else if message.seq > last {
            let (expected, got) = (last + 1, message.seq);
            self.found.push(Violation::Hole { witness: witness.clone(), expected, got });
            sight.heard = Some((epoch, message.seq));
        } else if message.user != *witness || !sight.witness.sent_again.contains(&message.id) {
            self.found.push(Violation::Repeated { witness: witness.clone(), message: message.clone() });
        }
    }

    fn note(&mut self, epoch: u64, message: &'a Message) {
        let known = *self.truth.messages.entry((epoch, message.seq)).or_insert(message);
        if known != message {
            let (one, other) = (known.clone(), message.clone());
            self.found.push(Violation::Disagree { epoch, one, other });
        }
        let seq = *self.truth.numbers.entry((epoch, &message.id)).or_insert(message.seq);
        if seq != message.seq {
            let seqs = (seq.min(message.seq), seq.max(message.seq));
            let doubled = Violation::Doubled { id: message.id.clone(), epoch, seqs };
            if !self.found.contains(&doubled) {
                self.found.push(doubled);
            }
        }
    }

    fn on_played(&mut self, sight: &mut Sight<'a>, state: &State, is_join: bool) {
        let witness = &sight.witness.name;
        if let Some(before) = sight.version
            && (state.version < before || (state.version == before && !is_join))
        {
            self.found.push(Violation::WentBack {
                witness: witness.clone(),
                from: before,
                to: state.version,
            });
        }
        sight.version = sight.version.max(Some(state.version));
        let known = *self.truth.states.entry(state.version).or_insert(*state);
        if !is_same(&known, state) {
            let (witness, other) = (witness.clone(), *state);
            self.found.push(Violation::TwoStates { witness, one: known, other });
        }
    }

    fn look_at_the_end(&mut self, sights: &[Sight<'a>]) {
        let run = self.run;
        let end = &run.end;
        for message in &end.messages {
            self.note(end.epoch, message);
        }
        let kept: BTreeSet<&str> = end.messages.iter().map(|message| message.id.as_str()).collect();
        for id in run.acknowledged.get(&end.epoch).into_iter().flatten() {
            if !kept.contains(id.as_str()) {
                self.found.push(Violation::Lost { id: id.clone() });
            }
        }
        let head = (end.epoch, end.messages.last().map_or(0, |message| message.seq));
        let highest = sights.iter().filter(|sight| sight.is_there).filter_map(|sight| sight.version).max();
        for sight in sights.iter().filter(|sight| sight.is_there) {
            let witness = || sight.witness.name.clone();
            let seen = sight.heard.unwrap_or_default();
            if seen != head {
                self.found.push(Violation::Behind { witness: witness(), seen, head });
            }
            if let (Some(version), Some(highest)) = (sight.version, highest)
                && version != highest
            {
                self.found.push(Violation::Apart { witness: witness(), version, highest });
            }
            let really: BTreeSet<&str> = end.present.iter().map(String::as_str).collect();
            if sight.present != really {
                let names = |names: Vec<&&str>| names.into_iter().map(|name| (*name).to_owned()).collect();
                self.found.push(Violation::WrongList {
                    witness: witness(),
                    ghosts: names(sight.present.difference(&really).collect()),
                    missing: names(really.difference(&sight.present).collect()),
                });
            }
        }
        let mut after = 0;
        for (version, reign) in self.truth.states.values().filter_map(|s| Some((s.version, s.reign?))) {
            if reign < after {
                self.found.push(Violation::FormerHost { version, reign, after });
            }
            after = after.max(reign);
        }
    }
}

/// Whether two tellings of one version can be of one state. A start that lies ahead is told as it is, until it has come:
/// it is on the same line as what is told later.
fn is_same(one: &State, other: &State) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "the difference of two moments is small")]
    let passed = (other.server_time - one.server_time) as f64;
    let expected = if one.is_playing { one.time_ms + passed } else { one.time_ms };
    one.is_playing == other.is_playing && (expected - other.time_ms).abs() <= SAME_MS
}
