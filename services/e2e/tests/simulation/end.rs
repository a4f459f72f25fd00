//! The end of a run: what was seen goes to the checker.

use std::collections::{BTreeMap, BTreeSet};

use streamit_e2e::check::{End, Message, Run, Violation, check};

use crate::api::name_of;
use crate::plan::Plan;
use crate::world::World;

/// How long everything that is still under way may take once nothing goes wrong any more, in milliseconds.
const QUIET: u64 = 60_000;
/// The same if somebody has to be found silent first.
const LONG_QUIET: u64 = 100_000;
/// How long what was said last may take to arrive everywhere.
const LAST: u64 = 20_000;

impl World {
    /// From the beginning to the end.
    pub(crate) fn run(&mut self) {
        self.begin();
        let active = self.plan.active;
        self.run_until(active);
        self.calm_down();
        let quiet = if self.plan.half_open > 0 { LONG_QUIET } else { QUIET };
        self.run_until(active + quiet);
        // Whoever still tries to say something has had time enough; what was said last is to arrive.
        self.is_over = true;
        self.run_until(active + quiet + LAST);
    }

    /// All that is known of it.
    pub(crate) fn record(&self) -> Run {
        let mut acknowledged = BTreeMap::<u64, BTreeSet<String>>::new();
        for (epoch, id) in self.clients.iter().flat_map(|client| client.acknowledged.iter().cloned()) {
            acknowledged.entry(epoch).or_default().insert(id);
        }
        let messages = self.api.stored.messages.iter().map(|message| Message {
            seq: message.seq,
            user: message.name.clone(),
            id: message.text.clone(),
        });
        let who = |wanted: fn(&crate::client::Client) -> bool| -> BTreeSet<String> {
            let clients = self.clients.iter().enumerate();
            clients.filter(|(_, client)| wanted(client)).map(|(c, _)| name_of(c)).collect()
        };
        Run {
            witnesses: self.clients.iter().map(|client| client.witness.clone()).collect(),
            acknowledged,
            steady: who(|client| client.is_steady && client.lost_at.is_none()),
            end: End {
                epoch: self.api.stored.facts.epoch,
                messages: messages.collect(),
                present: who(crate::client::Client::is_in),
            },
        }
    }
}

/// What should not have been in a run that is over.
pub(crate) fn found(world: &World) -> Vec<Violation> {
    let run = world.record();
    let is_certain = |name: &String| {
        world.clients.iter().any(|client| client.witness.name == *name && client.is_film_certain)
    };
    let mut found = check(&run);
    found.retain(|violation| match violation {
        // Between a restore and the moment somebody notices, numbers are given out again. That is what epochs are for.
        Violation::Disagree { epoch, .. } | Violation::Doubled { epoch, .. } => *epoch == run.end.epoch,
        // The film is saved up to a second late, and who comes in while its home is away can be told no more than that.
        Violation::WentBack { witness, .. } => is_certain(witness),
        _ => true,
    });
    found
}

/// Runs a plan and tells it.
pub(crate) fn tell(plan: Plan) -> (Vec<Violation>, Vec<String>) {
    let mut world = World::new(plan, true);
    world.run();
    (found(&world), world.take_trace())
}

/// Runs a plan.
pub(crate) fn violations(plan: Plan) -> Vec<Violation> {
    let mut world = World::new(plan, false);
    world.run();
    found(&world)
}

/// Runs a plan; what is wrong is a story.
pub(crate) fn judge(plan: Plan) -> Result<(), String> {
    let seed = plan.seed;
    let found = violations(plan);
    if found.is_empty() { Ok(()) } else { Err(story(seed, &found)) }
}

/// What was found, and how to see it again.
pub(crate) fn story(seed: u64, found: &[Violation]) -> String {
    let mut story = format!(
        "seed {seed}; STREAMIT_SEED={seed} cargo test -p streamit-e2e --test simulation -- --nocapture one_seed"
    );
    for violation in found {
        story.push_str(&format!("\n    {violation}"));
    }
    story
}
