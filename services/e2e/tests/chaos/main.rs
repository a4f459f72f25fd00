//! Everything at once, by a seed. Two seeds in CI; `make chaos SEEDS=100 FROM=1` runs many, in as many sittings as it
//! takes: what came of each is a line in a file, and seeds that are there already are not run again.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};
use streamit_e2e::fault::Script;

/// Those of CI.
const SHORT: [u64; 2] = [1, 2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_whatever_a_seed_breaks() {
    let broken: Vec<String> = stream::iter(SHORT)
        .map(|seed| async move { run(seed).await.1 })
        .buffer_unordered(SHORT.len())
        .filter_map(async |broken| broken)
        .collect()
        .await;
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for as long as it is told to: `make chaos`"]
async fn every_promise_is_kept_over_many_seeds() {
    let log = PathBuf::from(setting("CHAOS_LOG", "target/chaos.log".to_owned()));
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(log);
    let done = done(&log);
    let seeds: Vec<u64> = match std::env::var("SEED") {
        // To see one again is to run it again.
        Ok(seed) if !seed.is_empty() => vec![seed.parse().unwrap()],
        _ => {
            let from = setting("FROM", 1);
            (from..from + setting("SEEDS", 10)).filter(|seed| !done.contains(seed)).collect()
        }
    };
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let mut results = stream::iter(seeds)
        .map(|seed| async move { (seed, run(seed).await) })
        .buffer_unordered(setting("JOBS", 1));
    let mut file = OpenOptions::new().create(true).append(true).open(&log).unwrap();
    let (mut count, mut failed) = (0, Vec::new());
    while let Some((seed, (line, broken))) = results.next().await {
        println!("{line}");
        writeln!(file, "{line}").unwrap();
        count += 1;
        if let Some(broken) = broken {
            fs::write(log.with_extension(format!("{seed}.txt")), &broken).unwrap();
            println!("{broken}\nto see it again: make chaos SEED={seed}");
            failed.push(seed);
        }
    }
    println!("chaos: {count} seeds run, {} broke a promise", failed.len());
    assert!(failed.is_empty(), "to see them again: make chaos SEED=N, for N of {failed:?}");
}

/// Plays a seed; what to say of it, and what explains what it broke.
async fn run(seed: u64) -> (String, Option<String>) {
    let script = Script::of(seed);
    // A run that ends early is one that failed, and must not end the others.
    let outcome = match AssertUnwindSafe(script.play()).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            let line = format!("seed {seed} BROKEN: it did not come to its end");
            let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            return (line, Some(format!("{why}\n{script}")));
        }
    };
    let verdict = &outcome.verdict;
    let breaks: usize = verdict.records.iter().map(|record| record.breaks.len()).sum();
    let figures = format!(
        "{} acts, {} messages, {breaks} breaks, quiet after {:.1} s, {:.1} s in all",
        script.acts.len(),
        verdict.messages(),
        outcome.quiet_after.as_secs_f64(),
        outcome.took.as_secs_f64(),
    );
    if verdict.is_kept() {
        (format!("seed {seed} kept: {figures}"), None)
    } else {
        let first = verdict.violations.first().map(ToString::to_string);
        let first = first.or_else(|| verdict.complaints.first().cloned()).unwrap_or_default();
        (format!("seed {seed} BROKEN: {first}; {figures}"), Some(format!("{}\n{script}", verdict.explain())))
    }
}

/// The seeds that the file tells of.
fn done(log: &Path) -> HashSet<u64> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("seed ")?.split(' ').next()?.parse().ok()).collect()
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    let given = std::env::var(name).ok().filter(|given| !given.is_empty());
    given.map_or(Some(default), |given| given.parse().ok()).unwrap_or_else(|| panic!("{name} can't be read"))
}
