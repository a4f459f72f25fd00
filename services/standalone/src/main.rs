//! `streamit`: all of StreamIt in one process, on SQLite and an in-process bus. What a newcomer gets from `cargo run`.
//!
//! It is the cluster's code: the api and one realtime node, which speak gRPC to each other over a pipe in memory. Only
//! the bus is another one, and the database a file.

mod config;
mod program;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use streamit_api::admin::{self, Account};
use streamit_telemetry::{Entropy, Program, SystemClock, SystemEntropy, healthcheck, init, run, shutdown};

use config::{Config, DataDir, Listen};

/// Watch films together: all of StreamIt in one program.
#[derive(Parser)]
#[command(name = "streamit", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: Box<Config>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until it is told to stop. What is done when no command is named.
    Serve(Box<Config>),
    /// Makes the data directory and brings the database's schema up to date. Serving does so by itself.
    Migrate(DataDir),
    /// Makes an account that may do everything, or raises one to that.
    Createsuperuser {
        #[command(flatten)]
        data: DataDir,
        #[command(flatten)]
        account: Account,
    },
    /// Asks a running program whether it lives.
    Healthcheck(Listen),
}

fn main() -> ExitCode {
    // The database holds hashes of passwords, and keys: what is made here is for this user alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    run(work(Cli::parse()))
}

async fn work(cli: Cli) -> anyhow::Result<()> {
    let command = cli.command.unwrap_or(Command::Serve(cli.config));
    let instance = SystemEntropy.uuid_v4().to_string();
    let program = Program::new("streamit", &instance);
    let telemetry = init(match &command {
        Command::Serve(config) => program.serving(config.metrics.address().is_some()),
        _ => program,
    })?;
    let done = match command {
        Command::Serve(config) => Box::pin(program::serve(*config, &telemetry, &shutdown::signal()?)).await,
        Command::Migrate(data) => migrate(&data).await,
        Command::Createsuperuser { data, account } => createsuperuser(&data, account).await,
        Command::Healthcheck(Listen { listen }) => healthcheck(listen).await,
    };
    telemetry.shutdown();
    done
}

async fn migrate(data: &DataDir) -> anyhow::Result<()> {
    program::open_store(data).await?.close().await;
    tracing::info!("the database is up to date");
    Ok(())
}

async fn createsuperuser(data: &DataDir, account: Account) -> anyhow::Result<()> {
    let superuser = account.complete()?;
    let store = program::open_store(data).await?;
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let id = admin::create_superuser(&store, superuser, &clock, &entropy).await?;
    store.close().await;
    program::say(&format!("superuser {id}\n"))
}
