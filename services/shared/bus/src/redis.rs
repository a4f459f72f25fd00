//! On Redis (7.0 or later, or Valkey), for a cluster.
//!
//! A process holds a pool of connections for calls, one connection for its subscriptions (`link.rs`) and one for
//! leases and probes (`line.rs`), so that neither a busy pool nor a flood of news makes a living node look dead.
//! Whatever must be one step is a Lua script (`redis/*.lua`); what a key or channel is called stands in `keys.rs`.
//! Nothing is kept there for ever, and nothing there is the only copy of anything.

mod ask;
mod codec;
mod hub;
mod keys;
mod line;
mod link;
mod pool;
mod probe;
mod quota;
mod role;
mod rooms;
mod script;
mod words;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use streamit_telemetry::{SharedClock, SharedEntropy};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::hub::Hub;
use self::line::Line;
use self::pool::Pool;
use self::probe::{Echo, Pulse};
use crate::Lifetimes;
use crate::clock::RoomClock;
use crate::memory::MemoryQuota;
use crate::metrics::{self, Instruments};

pub use self::quota::RedisQuota;

/// How Redis is used.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// Most connections for calls.
    pub pool_size: usize,
    /// How long any call may take, waiting for a connection included.
    pub deadline: Duration,
    /// How often the store is probed and its clock is read. Three probes that do not come back mean that the subscription
    /// is to be made anew.
    pub probe_every: Duration,
    /// The same while the store does not answer, or news does not come through. Shorter, so that its return is noticed
    /// at once; a probe costs next to nothing.
    pub probe_while_away: Duration,
    /// The pause before the first new attempt to subscribe; it doubles with each failure ...
    pub backoff: Duration,
    /// ... up to this. Half of each pause is drawn, so that nodes do not come all at once.
    pub longest_backoff: Duration,
    /// How long things are kept.
    pub lifetimes: Lifetimes,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            pool_size: 16,
            deadline: Duration::from_secs(1),
            probe_every: Duration::from_secs(1),
            probe_while_away: Duration::from_millis(500),
            backoff: Duration::from_millis(50),
            // Each attempt is one connection, and each node makes its own at its own moment: no storm comes of it.
            longest_backoff: Duration::from_millis(500),
            lifetimes: Lifetimes::default(),
        }
    }
}

/// Why an address of a Redis was refused. Holds no part of it, since it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("not the address of a Redis (redis://[user:password@]host[:port][/db], or rediss:// for TLS): {0}")]
pub struct BadUrl(String);

/// Live state and news of rooms on Redis.
pub struct RedisRooms {
    options: RedisOptions,
    pool: Arc<Pool>,
    line: Arc<Line>,
    hub: Arc<Hub>,
    pulse: Arc<Pulse>,
    room_clock: Arc<RoomClock>,
    process_clock: SharedClock,
    /// The number of the next beat. Starts at the time, so that a restart does not repeat one.
    beats: AtomicU64,
    /// Stops the tasks behind this when it is dropped.
    _tasks: DropGuard,
}

impl RedisRooms {
    /// Connects to the Redis at `url`, until `shutdown`: then every subscription ends. When nobody answers there,
    /// this comes up all the same, unhealthy, and goes on trying.
    ///
    /// # Errors
    /// Only when `url` can't be the address of a Redis.
    pub async fn connect(
        url: &str,
        options: RedisOptions,
        clock: SharedClock,
        entropy: SharedEntropy,
        shutdown: CancellationToken,
    ) -> Result<Self, BadUrl> {
        let bad = |error: redis::RedisError| BadUrl(error.to_string());
        let info = connection_info(url).map_err(bad)?;
        let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let subscriber = Client::open(info.clone().set_redis_settings(resp3)).map_err(bad)?;
        let metrics = Instruments::new();
        let pool = Arc::new(Pool::new(info.clone(), &options, metrics.clone()).map_err(bad)?);
        let line = Arc::new(Line::new(Client::open(info).map_err(bad)?, options.deadline, metrics.clone()));

        let now = clock.now_micros();
        let room_clock = Arc::new(RoomClock::new(clock.monotonic(), now));
        let hub = Hub::new();
        let echo = Echo::new(entropy.uuid_v4(), metrics.clone());
        let pulse = Pulse::new(hub.clone(), echo.clone());
        observe(&pulse, &room_clock, &clock);
        let tasks = shutdown.child_token();

        let keeper = link::Keeper {
            client: subscriber,
            hub: hub.clone(),
            echo,
            options,
            metrics,
            entropy,
            shutdown: tasks.clone(),
        };
        let prober = probe::Prober {
            line: line.clone(),
            pool: pool.clone(),
            pulse: pulse.clone(),
            room_clock: room_clock.clone(),
            process_clock: clock.clone(),
            options,
            shutdown: tasks.clone(),
        };
        let (subscribed, is_subscribed) = oneshot::channel();
        let (probed, is_probed) = oneshot::channel();
        tokio::spawn(keeper.run(subscribed));
        tokio::spawn(prober.run(probed));
        // With a living Redis both have come to an end within milliseconds, and the first call finds all in place.
        let _ = tokio::time::timeout(options.deadline * 2, async { tokio::join!(is_subscribed, is_probed) })
            .await;

        Ok(Self {
            options,
            pool,
            line,
            hub,
            pulse,
            room_clock,
            process_clock: clock,
            beats: AtomicU64::new(u64::try_from(now).unwrap_or(0)),
            _tasks: tasks.drop_guard(),
        })
    }

    /// Limits counted on the same Redis, over the same connections.
    #[must_use]
    pub fn quota(&self) -> RedisQuota {
        RedisQuota {
            pool: self.pool.clone(),
            pulse: self.pulse.clone(),
            alone: MemoryQuota::new(self.process_clock.clone()),
        }
    }
}

/// Tells whenever somebody looks, for as long as there is something to tell of.
fn observe(pulse: &Arc<Pulse>, room_clock: &Arc<RoomClock>, process_clock: &SharedClock) {
    let meter = opentelemetry::global::meter("streamit");
    let pulse = Arc::downgrade(pulse);
    metrics::UP.observes(&meter, move |up| {
        if let Some(pulse) = pulse.upgrade() {
            up.observe(f64::from(u8::from(pulse.is_healthy())), &[]);
        }
    });
    let (room_clock, process_clock) = (Arc::downgrade(room_clock), process_clock.clone());
    metrics::CLOCK_OFFSET.observes(&meter, move |offset| {
        if let Some(room_clock) = room_clock.upgrade() {
            let room = room_clock.now_micros(process_clock.monotonic());
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53 microseconds")]
            let seconds = (room - process_clock.now_micros()) as f64 / 1e6;
            offset.observe(seconds, &[]);
        }
    });
}

fn connection_info(url: &str) -> redis::RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        // Whoever came first has chosen for the process. If nobody has, and a dependency brings a second provider
        // one day, rustls would not choose but panic.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    // Small requests that wait for each other's acknowledgement would cost 40 ms now and then.
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_tcp_settings(tcp))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for RedisRooms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisRooms").finish_non_exhaustive()
    }
}
