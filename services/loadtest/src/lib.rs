//! Measures a running StreamIt from outside, with the client that everybody else uses.
//!
//! - [`idle`]: how much memory of the server a joined connection costs that does nothing.
//! - [`fanout`]: how long it takes from the moment something *should* have been sent until each member of the
//!   room has it, at a fixed rate, and whether anything was lost, doubled or reordered on the way.
//! - [`slow`], [`storm`], [`churn`], [`half_open`], [`crash`], [`siege`]: what others notice when many misbehave, come, go, fall
//!   silent, or lose their node. Each holds a server to a promise, prints a line `guarantee: …`, and fails when the
//!   promise is broken. Their crowds come on bare lines ([`mod@line`]), which are cheap and can be slow.
//!
//! A run gathers a crowd ([`crowd`]): guests in public rooms, one guest for each connection. Servers limit that, so
//! start the one to be measured with `STREAMIT_LIMITS=off`. Everything is bounded: people, rates, durations and
//! each wait. Hosts other than this machine are refused unless the operator says that they are theirs.

pub mod args;
pub mod beat;
pub mod churn;
pub mod crash;
pub mod crowd;
pub mod door;
pub mod fanout;
pub mod half_open;
pub mod health;
pub mod histogram;
pub mod idle;
pub mod line;
pub mod process;
pub mod report;
pub mod siege;
pub mod slow;
pub mod storm;
pub mod told;

use args::{Args, Scenario};

/// Runs what was asked for, and writes the result to `out`.
///
/// # Errors
/// When the target may not be loaded, does not answer, or the crowd can't be gathered.
pub async fn run(args: Args, out: &mut (impl std::io::Write + Send)) -> anyhow::Result<()> {
    args.target.check()?;
    match args.scenario {
        Scenario::Idle(wanted) => {
            let result = idle::run(&args.target, &wanted).await?;
            report::write(out, args.target.json, &result)
        }
        Scenario::Fanout(wanted) => {
            let result = fanout::run(&args.target, &wanted).await?;
            report::write(out, args.target.json, &result)?;
            // After the report: it says what went wrong.
            anyhow::ensure!(result.is_sound(), "not everything arrived once and in order");
            Ok(())
        }
        Scenario::Slow(wanted) => {
            report::hold(out, args.target.json, &slow::run(&args.target, &wanted).await?)
        }
        Scenario::Storm(wanted) => {
            report::hold(out, args.target.json, &storm::run(&args.target, &wanted).await?)
        }
        Scenario::Churn(wanted) => {
            report::hold(out, args.target.json, &churn::run(&args.target, &wanted).await?)
        }
        Scenario::HalfOpen(wanted) => {
            report::hold(out, args.target.json, &half_open::run(&args.target, &wanted).await?)
        }
        Scenario::Crash(wanted) => {
            report::hold(out, args.target.json, &crash::run(&args.target, &wanted).await?)
        }
        Scenario::Siege(wanted) => {
            report::hold(out, args.target.json, &siege::run(&args.target, &wanted).await?)
        }
    }
}
