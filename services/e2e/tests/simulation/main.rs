//! The room protocol, simulated: the rooms are the product's own, everything around them is a value, and time is a
//! number. A seed tells a whole evening with all that goes wrong in it; the checker looks at what the clients saw.
//!
//! | what | where |
//! |---|---|
//! | what goes wrong in a run | `plan`, `faults` |
//! | time, chance, the queue | `world` |
//! | a node around its room | `node`, `conn`, `perform`, `upkeep` |
//! | calls and news on their way | `link` |
//! | the store and the api | `store`, `api` |
//! | clients, and what they see | `client`, `sight` |
//! | evenings whose host goes | `succession` |
//!
//! A failure names its seed, and the command that tells its story:
//!
//! ```text
//! STREAMIT_SEED=123 cargo test -p streamit-e2e --test simulation -- --nocapture one_seed
//! ```
//!
//! `STREAMIT_SEEDS` and `STREAMIT_FROM` say how many seeds, and from which on.

mod api;
mod client;
mod conn;
mod end;
mod faults;
mod link;
mod node;
mod perform;
mod plan;
mod readiness;
mod sabotage;
mod scenarios;
mod sight;
mod store;
mod succession;
mod upkeep;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use plan::Plan;

/// How many seeds an ordinary run takes.
const SEEDS: u64 = 1_000;
/// How many of the seeds that fail are told.
const TOLD: usize = 10;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Runs `count` seeds on all cores and returns how many failed, and what the first of them say.
fn seeds(from: u64, count: u64, run: impl Fn(u64) -> Result<(), String> + Sync) -> (usize, Vec<String>) {
    let next = AtomicU64::new(from);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut failed = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= from + count {
                    return failed;
                }
                failed.extend(run(seed).err().map(|story| (seed, story)));
            }
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a run panicked")).collect::<Vec<_>>()
    });
    failed.sort();
    (failed.len(), failed.into_iter().take(TOLD).map(|(_, story)| story).collect())
}

#[test]
fn whatever_goes_wrong_the_word_is_kept() {
    let (from, count) = (from_env("STREAMIT_FROM").unwrap_or(1), from_env("STREAMIT_SEEDS").unwrap_or(SEEDS));
    let start = std::time::Instant::now();
    let (failed, stories) = seeds(from, count, |seed| end::judge(Plan::of(seed)));
    println!("{count} seeds from {from} in {:.1} s, {failed} of them failed", start.elapsed().as_secs_f64());
    assert_eq!(failed, 0, "{}", stories.join("\n"));
}

#[test]
fn one_seed() {
    let seed = from_env("STREAMIT_SEED").unwrap_or(1);
    let (found, trace) = end::tell(Plan::of(seed));
    if std::env::var_os("STREAMIT_SEED").is_some() {
        println!("{}", trace.join("\n"));
    }
    assert!(found.is_empty(), "{}", end::story(seed, &found));
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in 1..20 {
        let (one, other) = (end::tell(Plan::of(seed)).1, end::tell(Plan::of(seed)).1);
        let differs = one.iter().zip(&other).find(|(one, other)| one != other);
        assert!(differs.is_none() && one.len() == other.len(), "seed {seed}: {differs:#?}");
    }
}
