//! The WebSocket service of StreamIt: holds connections, keeps nothing.
//!
//! A client's message takes this way: [`socket`] reads bytes, [`ws`] makes messages of them, [`session`] says what to
//! do, [`room`] (one task per live room) does it, with the shared store ([`streamit_bus`]) or the api ([`authority`]),
//! and puts one encoded frame into every member's [`outbox`], which the members' socket loops write.
//!
//! Any node serves any room. What a node knows of a room is a copy with versions; [`node::repair`] compares them with
//! their homes. The crate must not know SQL. To add a message: `wire::frame`, then the room's part that it concerns.

pub mod app;
pub mod authority;
pub mod config;
pub mod door;
pub mod drain;
pub mod metrics;
pub mod node;
pub mod outbox;
pub mod room;
pub mod session;
pub mod socket;
pub mod token;
pub mod traffic;
pub mod upgrade;
pub mod ws;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use streamit_bus::SharedRooms;
use streamit_bus::redis::{RedisOptions, RedisRooms};
use streamit_edge::Limits;
use streamit_telemetry::{SharedClock, SharedEntropy};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use app::App;
use authority::Authority;
use authority::names::LookUps;
use config::{Config, Drain, Public, Reach};
use node::steady::steadily;
use node::{Node, Parts, lease, repair};

/// How often the api's public keys are read.
const KEYS: Duration = Duration::from_secs(60);
/// When they are read again if the api is away.
const KEYS_AGAIN: Duration = Duration::from_millis(500);
/// How long all that is still to be said and saved may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(800);

/// A node with its HTTP end: what the standalone program puts beside the api.
#[derive(Clone, Debug)]
pub struct Realtime {
    app: App,
}

impl Realtime {
    /// A node that serves rooms of `bus` by the word of `api`.
    #[must_use]
    pub fn new(
        config: &Public,
        name: String,
        api: Authority,
        bus: SharedRooms,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Self {
        let limits = config.limits == Limits::On;
        if !limits {
            tracing::warn!("STREAMIT_LIMITS is off: no rate, budget or cap holds");
        }
        let node = Node::new(Parts { name, limits, clock, entropy, api }, bus);
        metrics::observe(&node);
        node.health.check("keys"); // not ready before they were read: an api that does not let it in may never give them
        let app = App {
            node,
            allowed_origins: config.allowed_origins.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
        };
        Self { app }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.app.node
    }

    /// The WebSocket's routes.
    pub fn sockets(&self) -> axum::Router {
        self.app.sockets()
    }

    /// All routes of a node of its own.
    pub fn http(&self) -> axum::Router {
        self.app.http()
    }

    /// Does what goes on behind the connections (leases, repair, saving) until `stop`, then flushes.
    pub async fn background(&self, stop: CancellationToken) {
        let node = &self.app.node;
        tokio::join!(
            steadily("keys", &node.metrics, &stop, || keys(node, &stop)),
            steadily("lease", &node.metrics, &stop, || lease::run(node.clone(), stop.clone())),
            steadily("repair", &node.metrics, &stop, || repair::run(node.clone(), stop.clone())),
            steadily("news", &node.metrics, &stop, || repair::listen(node.clone(), stop.clone())),
            steadily("saving", &node.metrics, &stop, || node.behind.run(stop.clone())),
        );
    }

    /// Closes all connections, each at its own moment, or all at once on `hurry`.
    pub async fn drain(&self, plan: Drain, hurry: &CancellationToken) {
        let node = &self.app.node;
        tokio::select! {
            () = drain::drain(node, plan) => {}
            () = hurry.cancelled() => {
                tracing::warn!("told again to stop: leaving now");
                drain::hurry(node).await;
            }
        }
    }
}

/// Reads the api's public keys until `stop`, so that the first clients need not wait, and a key that was withdrawn is not
/// believed for long. An unknown key is asked for at any time.
async fn keys(node: &Node, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let pause = match node.keys.refresh(&node.api).await {
            Ok(()) => {
                node.health.check("keys").set(true);
                KEYS
            }
            Err(()) => KEYS_AGAIN,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The api's replicas, those that are listed and those that are found behind names.
///
/// # Errors
/// When an address can't be one, or what is said of TLS or the token can't be used.
fn authority(config: &Config) -> anyhow::Result<Authority> {
    let (mut channels, mut names) = (Vec::new(), Vec::new());
    for api in config.reaches()? {
        match api {
            Reach::At(api) => channels.push((api.uri().to_string(), patient(*api).connect_lazy())),
            Reach::Behind(name) => names.push(name),
        }
    }
    Ok(Authority::new(channels, config.grpc_token()?)?.watch().follow(names, &LookUps::default()))
}

/// How connections to a replica are made and kept.
fn patient(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(Duration::from_secs(1))
        .tcp_nodelay(true)
        // A connection whose peer vanished without a word is given up and made anew, so that the way back is found.
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true)
}

/// Connects to what a node of a cluster needs. A Redis or an api that is away is waited for while serving.
///
/// # Errors
/// When the configuration is wrong.
pub async fn connect(
    config: &Config,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> anyhow::Result<Realtime> {
    config.check()?;
    let api = authority(config)?;
    let bus = RedisRooms::connect(
        config.redis_url()?,
        RedisOptions::default(),
        clock.clone(),
        entropy.clone(),
        // The last words of a stop still need it; it ends with the node.
        CancellationToken::new(),
    )
    .await
    .context("REDIS_URL (--redis-url) can't be used")?;
    let name = config.node_id.clone().unwrap_or_else(|| format!("realtime-{:08x}", entropy.u32()));
    Ok(Realtime::new(&config.public, name, api, Arc::new(bus), clock, entropy))
}

/// Serves a node until `shutdown` fires, then drains; `hurry` cuts the drain short. It is out `LAST_WORDS` after the
/// drain's deadline at the latest, half a second later than that when told to hurry.
///
/// # Errors
/// When it could serve no more, which is a fault inside: better to be gone than to be there and deaf.
pub async fn run(
    realtime: Realtime,
    listener: TcpListener,
    drain: Drain,
    shutdown: CancellationToken,
    hurry: CancellationToken,
) -> anyhow::Result<()> {
    let (stop, behind) = (CancellationToken::new(), CancellationToken::new());
    // Here and not where the node is made: beside an api, readiness is the program's and told there.
    let node = Arc::downgrade(realtime.node());
    let is_staying = move || node.upgrade().is_some_and(|node| !node.is_draining());
    realtime.node().health.observe(&opentelemetry::global::meter("streamit"), is_staying);
    let mut background = tokio::spawn({
        let (realtime, behind) = (realtime.clone(), behind.clone());
        async move { realtime.background(behind).await }
    });
    let mut serving = tokio::spawn(streamit_edge::serve(listener, realtime.http(), stop.clone()));
    tracing::info!(node.name = realtime.node().name, "serving");

    tokio::select! {
        () = shutdown.cancelled() => {}
        ended = &mut serving => bail!("what takes connections has ended: {ended:?}"),
        ended = &mut background => bail!("what goes on behind the connections has ended: {ended:?}"),
    }
    realtime.drain(drain, &hurry).await;
    let background = async {
        behind.cancel();
        let _ = background.await;
    };
    let serving = async {
        stop.cancel();
        let _ = serving.await;
    };
    drain::last_words(realtime.node(), Instant::now() + LAST_WORDS, background, serving).await;
    Ok(())
}
