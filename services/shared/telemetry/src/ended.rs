//! How a program runs, and how it tells what ended it.

use std::future::Future;
use std::process::ExitCode;

/// Runs a program's work to its end, on a runtime that goes with it: whatever still blocks a thread by then (a name being
/// looked up, say) is not waited for. An error is told in one line on stderr, with its causes and without a backtrace:
/// it is for whoever started the program, not for the log.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     streamit_telemetry::run(work())
/// }
/// # async fn work() -> anyhow::Result<()> { Ok(()) }
/// ```
#[expect(clippy::print_stderr, reason = "what ended the program is for whoever started it, not for the log")]
pub fn run(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let done = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(work);
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, in one line: some libraries write theirs in several.
fn one_line(error: &anyhow::Error) -> String {
    let told = format!("{error:#}");
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_in_one_line() {
        let error = Err::<(), _>(anyhow!("refused\n  (os error 111)")).context("REDIS_URL").unwrap_err();
        assert_eq!(one_line(&error), "REDIS_URL: refused (os error 111)");
    }
}
