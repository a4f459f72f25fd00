//! What StreamIt promises, whatever dies. Each test makes one fault in a cluster of real programs, measures what its
//! people notice, prints that as one line (`guarantee: <what>: <figures>`), and holds it against the promise.
//! docs/guarantees.md has the table.

mod authority;
mod database;
mod host;
mod kill;
mod pause;
mod readiness;
mod redis;
mod restart;
mod succession;

use std::fmt::Display;
use std::time::Duration;

use streamit_e2e::Plan;

/// How long a drain may take in these tests, in seconds.
const DRAIN_SECONDS: u64 = 4;

/// Whether faults may last as long as the promise says. In CI they are shorter.
fn is_long() -> bool {
    std::env::var_os("STREAMIT_LONG_FAULTS").is_some()
}

/// How long a fault lasts, in seconds: in CI, and when there is time.
fn lasting(short: u64, long: u64) -> Duration {
    Duration::from_secs(if is_long() { long } else { short })
}

/// Three nodes and two apis.
fn plan() -> Plan {
    Plan::cluster(2, 3).limits("off").env("STREAMIT_DRAIN_SECONDS", &DRAIN_SECONDS.to_string())
}

/// Tells what was measured.
#[expect(
    clippy::print_stdout,
    reason = "the figures are what the run is for; the runner hides them unless asked"
)]
fn tell(what: &str, figures: impl Display) {
    println!("guarantee: {what}: {figures}");
}

/// Milliseconds, for people.
fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// Checks that a promise in numbers was kept.
#[track_caller]
fn assert_within(what: &str, measured: Duration, promised: Duration) {
    assert!(measured <= promised, "{what}: {measured:?}, where {promised:?} are promised");
}
