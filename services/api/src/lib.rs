//! The api: accounts, rooms and everything durable. It alone opens the database.
//!
//! **The path of a call.** [`streamit_edge::serve`] takes the connection; `http::path` makes the path canonical; the
//! layers give the request an id, a log line, a deadline; `http.rs` and `rooms.rs` are the tables of contents. A
//! handler that takes a `Caller` can be reached by nobody unknown, and one that takes `Json<T>` gets a `T` whose
//! fields are values of the domain already. It asks the domain's rules, changes the database in one transaction,
//! and then, never before, tells the realtime nodes (`announce`). Nobody's correctness depends on that being heard:
//! every change has a version, and who missed it asks.
//!
//! **The other side** is gRPC (`grpc.rs`): realtime nodes ask who may enter, append chat, keep playback. Messages
//! are stored by group commit (`grpc/append.rs`).
//!
//! **In the background** (`background.rs`): the outbox tells fences until they are heard, the sweeper decides
//! deadlines and ends rooms nobody visits. Any number of replicas do this side by side; the database decides.
//!
//! To add a call: a file or function under the resource, a line in its table of contents, a row in
//! `tests/http/`. The crate knows no SQL and no Redis.

pub mod admin;
pub mod bodies;
pub mod config;
pub mod identity;
pub mod live;
pub mod metrics;
pub mod nodes;

mod announce;
mod app;
mod audit;
mod auth;
mod background;
mod convert;
mod grpc;
mod health;
mod http;
mod limits;
mod page;
mod panel;
pub mod retention;
mod rooms;
mod staff;
mod sweeper;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use streamit_bus::redis::{RedisOptions, RedisRooms};
use streamit_bus::{SharedQuota, SharedRooms};
use streamit_storage::{Options, Store};
use streamit_telemetry::{Health, SharedClock, SharedEntropy, SystemClock, SystemEntropy};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};
use tonic_health::server::HealthReporter;

use self::app::App;
use self::config::{Config, Drain};

/// How long a stream of a node may last, reflection or a watch of health, say. Calls have a deadline of their own.
const STREAM: Duration = Duration::from_secs(10);
/// How much longer than it should a stop may take when the database and Redis don't answer.
pub const SLACK: Duration = Duration::from_secs(1);

/// What the api needs from outside.
pub struct Deps {
    /// The database, its schema up to date.
    pub store: Store,
    /// Live state and news of rooms.
    pub rooms: SharedRooms,
    /// Counts attempts.
    pub quota: SharedQuota,
    /// The keys that sign access tokens.
    pub keys: identity::Keys,
    /// The time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").field("store", &self.store).field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Connects to everything that the api of a cluster needs.
///
/// # Errors
/// When an option is wrong, or the database, Redis or the signing keys can't be used.
pub async fn deps(config: &Config) -> anyhow::Result<Deps> {
    config.check()?;
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let store = connect(&config.database).await?;
    ensure!(
        store.schema_is_current().await?,
        "the database has not been migrated to this release: run `streamit-api migrate` first"
    );
    // Live state ends when nobody holds it any more: what is under way at a stop still needs it.
    let rooms = RedisRooms::connect(
        config.redis_url()?,
        RedisOptions::default(),
        clock.clone(),
        entropy.clone(),
        CancellationToken::new(),
    )
    .await
    .context("REDIS_URL can't be used")?;
    let quota: SharedQuota = Arc::new(rooms.quota());
    let rooms: SharedRooms = Arc::new(rooms);
    let keys = identity::Keys::open(config.signing_keys()?, &store, rooms.now()).await?;
    Ok(Deps { store, rooms, quota, keys, clock, entropy })
}

/// Connects to the database.
///
/// # Errors
/// When the URL is wrong or nothing answers there.
pub async fn connect(database: &config::Database) -> anyhow::Result<Store> {
    let options = Options { max_connections: database.connections, ..Options::default() };
    Store::connect(database.url()?, options).await.context("DATABASE_URL can't be used")
}

/// A running api: what serves HTTP, what serves gRPC, and what works in the background. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    app: App,
    grpc: Routes,
    tls: Option<ServerTlsConfig>,
    reporter: HealthReporter,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// Puts the parts together. Needs a runtime, since what stores chat runs from now on.
    ///
    /// # Errors
    /// When passwords can't be hashed here.
    pub fn new(config: config::Public, deps: Deps) -> anyhow::Result<Self> {
        if config.limits == streamit_edge::Limits::Off {
            tracing::warn!("STREAMIT_LIMITS is off: nobody is kept from guessing passwords or flooding");
        }
        let app = App::new(config, deps)?;
        metrics::observe(&app);
        let appender = grpc::Appender::start(&app);
        let (grpc, reporter) = grpc::routes(&app, &appender)?;
        Ok(Self { app, grpc, tls: None, reporter })
    }

    /// Has [`Api::serve`] speak TLS, and nothing else, over gRPC.
    #[must_use]
    pub fn with_grpc_tls(self, tls: Option<ServerTlsConfig>) -> Self {
        Self { tls, ..self }
    }

    /// All of HTTP: every path, with its layers and fallbacks. Merge only routers into it that have no fallback.
    pub fn http(&self) -> axum::Router {
        http::router(&self.app)
    }

    /// What an operator sees live.
    #[must_use]
    pub fn live(&self) -> live::Live {
        live::Live::of(&self.app)
    }

    /// What `/readyz` answers from. A program that holds more than the api adds checks of its own.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.app.health
    }

    /// Forgets what is older than the configuration says. Done by [`Self::background`] each hour.
    ///
    /// # Errors
    /// When the database fails; nothing is half forgotten.
    pub async fn forget_what_is_old(&self) -> anyhow::Result<()> {
        retention::round(&self.app).await.map_err(|error| anyhow::anyhow!("{}", error.code()))
    }

    /// All gRPC services, for [`Server::add_routes`]: on TCP, or on any stream.
    #[must_use]
    pub fn grpc(&self) -> Routes {
        self.grpc.clone()
    }

    /// Does what has to be done without being asked, until `shutdown`; then finishes what must not be left half
    /// done.
    pub async fn background(&self, shutdown: CancellationToken) {
        // Boxed: all its loops side by side would make every future that awaits this one large.
        Box::pin(background::run(&self.app, &self.reporter, shutdown)).await;
    }

    /// Serves until `shutdown` fires. Then it says that it is not ready, over HTTP and gRPC, and goes on serving until
    /// that has been seen; then it listens no more, has nodes take their calls elsewhere (GOAWAY), and lets what is
    /// under way finish.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn serve(
        &self,
        http: TcpListener,
        grpc: TcpListener,
        drain: Drain,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let staying = self.app.health.check("not draining");
        staying.set(true);
        let stop = CancellationToken::new();
        let leaving = async {
            shutdown.cancelled().await;
            staying.set(false);
            background::stop_serving(&self.reporter).await;
            tracing::info!("draining: not ready, still serving");
            tokio::time::sleep(drain.unready).await;
            stop.cancel();
        };
        let http = streamit_edge::serve(http, self.http(), stop.clone());
        let mut calls = Server::builder();
        if let Some(tls) = self.tls.clone() {
            calls = calls.tls_config(tls).context("gRPC can't speak TLS")?;
        }
        let calls = calls
            .timeout(STREAM)
            .http2_keepalive_interval(Some(Duration::from_secs(10)))
            .add_routes(self.grpc())
            .serve_with_incoming_shutdown(
                TcpIncoming::from(grpc).with_nodelay(Some(true)),
                stop.clone().cancelled_owned(),
            );
        // Nodes keep their connections for ever: after a stop they are waited for only so long.
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(drain.deadline.saturating_sub(drain.unready)).await;
        };
        let calls = async {
            tokio::select! {
                served = calls => served.context("gRPC could not be served"),
                () = patience => Ok(()),
            }
        };
        let ((), (), calls, ()) = tokio::join!(leaving, http, calls, self.background(stop.clone()));
        self.app.store.close().await;
        calls
    }
}

/// Serves until `shutdown` fires, then drains. `main` binds the configured ports; tests bind port 0.
///
/// # Errors
/// When an option is wrong, something needed can't be reached, or a listener fails.
pub async fn run(
    config: Config,
    http: TcpListener,
    grpc: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let deps = deps(&config).await?;
    let (drain, tls) = (config.drain(), config.grpc_tls()?);
    Api::new(config.public, deps)?.with_grpc_tls(tls).serve(http, grpc, drain, shutdown).await
}
