//! `streamit-realtime`: one node of a cluster.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use streamit_realtime::config::Config;
use streamit_telemetry::{Entropy, Program, SystemClock, SystemEntropy, healthcheck, init, run, shutdown};

/// Holds the WebSockets of StreamIt. Any number of nodes serve the same rooms.
#[derive(Parser)]
#[command(name = "streamit-realtime", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: Config,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until it is told to stop. What is done when no command is named.
    Serve,
    /// Asks a running node on the configured address whether it lives.
    Healthcheck,
}

fn main() -> ExitCode {
    let Cli { command, config } = Cli::parse();
    run(async {
        match command.unwrap_or(Command::Serve) {
            Command::Healthcheck => healthcheck(config.listen).await,
            Command::Serve => serve(config).await,
        }
    })
}

async fn serve(mut config: Config) -> anyhow::Result<()> {
    config.check()?;
    let name = config.node_id.get_or_insert_with(|| format!("realtime-{:08x}", SystemEntropy.u32()));
    let is_scraped = config.metrics.address().is_some();
    let telemetry = init(Program::new("streamit-realtime", name).serving(is_scraped))?;
    let stop = shutdown::signal()?;
    let listener = streamit_edge::listen(config.listen)
        .await
        .with_context(|| format!("STREAMIT_LISTEN (--listen): {} can't be listened on", config.listen))?;
    let address = listener.local_addr()?;
    let scraped = match telemetry.scrape() {
        Some(scrape) => streamit_edge::metrics(config.metrics, move || scrape.text()).await?,
        None => None,
    };
    let realtime =
        streamit_realtime::connect(&config, SystemClock::shared(), SystemEntropy::shared()).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening http://{address}")?;
    if let Some(address) = scraped {
        writeln!(out, "listening metrics://{address}")?;
    }
    out.flush()?;
    drop(out);
    let done = streamit_realtime::run(realtime, listener, config.drain(), stop.first, stop.second).await;
    telemetry.shutdown();
    done
}
