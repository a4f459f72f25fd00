//! The api of a cluster: HTTP for clients, gRPC for the realtime nodes.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use streamit_api::config::{Config, Database};
use streamit_api::nodes::cli as nodes;
use streamit_api::{Api, admin};
use streamit_telemetry::{Entropy, Guard, Program, SystemClock, SystemEntropy, shutdown};
use tokio::net::TcpListener;

/// Serves accounts, rooms and everything durable of StreamIt.
#[derive(Parser)]
#[command(name = "streamit-api", version, args_conflicts_with_subcommands = true)]
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
    /// Brings the database's schema up to date.
    Migrate(Database),
    /// Makes an account that may do everything, or raises one to that.
    Createsuperuser {
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        account: admin::Account,
    },
    /// Asks a realtime node to put a share of its connections out: they come back on any node. For after a scale-out.
    Shed(nodes::Shed),
    /// Asks a realtime node to put everybody out and to take nobody until it is told to resume. For before maintenance.
    Drain(nodes::Drain),
    /// Tells a realtime node that was drained to take people again.
    Resume(nodes::Which),
    /// Lists the realtime nodes: how full each is, and whether it takes people.
    Nodes(nodes::Redis),
    /// Asks a running api whether it lives.
    Healthcheck {
        /// Where it serves HTTP.
        #[arg(long, env = "STREAMIT_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
        listen: SocketAddr,
    },
}

fn main() -> ExitCode {
    streamit_telemetry::run(work(Cli::parse()))
}

async fn work(cli: Cli) -> anyhow::Result<()> {
    let command = cli.command.unwrap_or(Command::Serve(cli.config));
    let instance = SystemEntropy.uuid_v4().to_string();
    let program = Program::new("streamit-api", &instance);
    let telemetry = streamit_telemetry::init(match &command {
        Command::Serve(config) => program.serving(config.metrics.address().is_some()),
        _ => program,
    })?;
    let done = match command {
        Command::Serve(config) => serve(*config, &telemetry).await,
        Command::Migrate(database) => migrate(&database).await,
        Command::Createsuperuser { database, account } => createsuperuser(&database, account).await,
        Command::Shed(wanted) => {
            told(nodes::shed(&wanted).await?, "tells in its log how many connections it closes")
        }
        Command::Drain(wanted) => {
            told(nodes::drain(&wanted).await?, "is idle when `nodes` shows that nobody is connected to it")
        }
        Command::Resume(wanted) => told(nodes::resume(&wanted).await?, "takes people again"),
        Command::Nodes(redis) => say(&nodes::table(&redis).await?),
        Command::Healthcheck { listen } => streamit_telemetry::healthcheck(listen).await,
    };
    telemetry.shutdown();
    done
}

async fn serve(config: Config, telemetry: &Guard) -> anyhow::Result<()> {
    config.check()?;
    let stop = shutdown::signal()?;
    let http = streamit_edge::listen(config.listen)
        .await
        .with_context(|| format!("STREAMIT_LISTEN {}", config.listen))?;
    let grpc = TcpListener::bind(config.grpc_listen)
        .await
        .with_context(|| format!("STREAMIT_GRPC_LISTEN {}", config.grpc_listen))?;
    let scraped = match telemetry.scrape() {
        Some(scrape) => streamit_edge::metrics(config.metrics, move || scrape.text()).await?,
        None => None,
    };
    let deps = tokio::select! {
        deps = streamit_api::deps(&config) => deps?,
        () = stop.first.cancelled() => return Ok(()),
    };
    let (drain, tls) = (config.drain(), config.grpc_tls()?);
    let api = Api::new(config.public, deps)?.with_grpc_tls(tls);
    say(&format!("listening http://{}\nlistening grpc://{}\n", http.local_addr()?, grpc.local_addr()?))?;
    if let Some(address) = scraped {
        say(&format!("listening metrics://{address}\n"))?;
    }
    let late = {
        let first = stop.first.clone();
        async move {
            first.cancelled().await;
            tokio::time::sleep(drain.deadline + streamit_api::SLACK).await;
        }
    };
    tokio::select! {
        served = api.serve(http, grpc, drain, stop.first) => served,
        () = stop.second.cancelled() => Ok(()),
        () = late => {
            tracing::warn!("left before everything was finished");
            Ok(())
        }
    }
}

async fn migrate(database: &Database) -> anyhow::Result<()> {
    let store = streamit_api::connect(database).await?;
    let entropy = SystemEntropy::shared();
    store.migrate(|bytes| entropy.fill(bytes)).await?;
    store.close().await;
    tracing::info!("the database is up to date");
    Ok(())
}

async fn createsuperuser(database: &Database, account: admin::Account) -> anyhow::Result<()> {
    let superuser = account.complete()?;
    let store = streamit_api::connect(database).await?;
    let id =
        admin::create_superuser(&store, superuser, &SystemClock::shared(), &SystemEntropy::shared()).await?;
    store.close().await;
    say(&format!("superuser {id}\n"))
}

fn told(heard: u64, then: &str) -> anyhow::Result<()> {
    let nodes = if heard == 1 { "node" } else { "nodes" };
    say(&format!("{heard} {nodes} heard it; the one that is meant {then}\n"))
}

/// Says something to whoever started this program: not a log event.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
