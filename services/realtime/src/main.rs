//! `streamit-realtime`: one node of a cluster.

#![expect(clippy::print_stdout, reason = "tells on one line where it listens")]

use clap::{Parser, Subcommand};
use streamit_realtime::config::Config;
use streamit_telemetry::{SystemClock, SystemEntropy, healthcheck, init, shutdown};
use tokio::net::TcpListener;

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
    /// Serves (the default).
    Serve,
    /// Asks a running node on the configured address whether it lives; fails if not.
    Healthcheck,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, config } = Cli::parse();
    match command.unwrap_or(Command::Serve) {
        Command::Healthcheck => healthcheck(config.listen).await,
        Command::Serve => {
            config.check()?;
            let guard = init("streamit-realtime")?;
            let stop = shutdown::signal()?;
            let listener = TcpListener::bind(config.listen).await?;
            println!("listening http://{}", listener.local_addr()?);
            let served = streamit_realtime::run(
                config,
                listener,
                SystemClock::shared(),
                SystemEntropy::shared(),
                stop.first,
                stop.second,
            )
            .await;
            drop(guard);
            served
        }
    }
}
