//! `streamit-loadtest`: see `--help`.

use std::process::ExitCode;

use clap::Parser;
use streamit_loadtest::{args::Args, run};

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a tool for people: its only log is this one line")]
async fn main() -> ExitCode {
    match run(Args::parse(), &mut std::io::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streamit-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
