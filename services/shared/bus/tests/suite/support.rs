//! Buses to test, servers to break, and how to wait.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use streamit_bus::memory::{MemoryQuota, MemoryRooms};
use streamit_bus::redis::{BadUrl, RedisOptions, RedisRooms};
use streamit_bus::{
    Entry, EntryKey, Lifetimes, LiveVersions, Notice, Rooms, RosterChange, SharedQuota, SharedRooms,
    Subscription,
};
use streamit_domain::playback::Version;
use streamit_domain::{ConnectionId, Incarnation, MediaTime, Playback, RoomId, Timestamp, UserId};
use streamit_telemetry::{Entropy, SystemClock, SystemEntropy};
use streamit_wire::v1;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes two tests of each function: one on the memory, one on Redis.
macro_rules! both_buses {
    ($($(#[$meta:meta])* async fn $name:ident($bus:ident: Bus) $body:block)+) => { $(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn test($bus: Bus) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_memory() {
                test(Bus::in_memory()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_redis() {
                test(Bus::on_redis().await).await;
            }
        }
    )+ };
}

/// Two nodes of one cluster.
pub(crate) struct Bus {
    pub(crate) rooms: SharedRooms,
    pub(crate) other: SharedRooms,
    pub(crate) quota: SharedQuota,
}

/// Short enough to wait for, long enough for a busy machine not to miss.
pub(crate) const LIFETIMES: Lifetimes = Lifetimes {
    lease: Duration::from_millis(1_500),
    roster: Duration::from_millis(1_500),
    playback: Duration::from_secs(60),
};

impl Bus {
    pub(crate) fn in_memory() -> Self {
        let rooms = Arc::new(MemoryRooms::with_lifetimes(SystemClock::shared(), LIFETIMES));
        Self { other: rooms.clone(), rooms, quota: Arc::new(MemoryQuota::new(SystemClock::shared())) }
    }

    pub(crate) async fn on_redis() -> Self {
        let url = std::env::var("STREAMIT_TEST_REDIS")
            .expect("STREAMIT_TEST_REDIS must name a Redis; `make test` starts one and sets it");
        let options = RedisOptions { lifetimes: LIFETIMES, deadline: PATIENCE, ..RedisOptions::default() };
        let rooms = node_with(&url, options).await;
        let other = Arc::new(node_with(&url, options).await);
        Self { quota: Arc::new(rooms.quota()), other, rooms: Arc::new(rooms) }
    }
}

/// A node that notices trouble within a fraction of a second.
pub(crate) async fn alert_node(url: &str) -> RedisRooms {
    let options = RedisOptions {
        probe_every: Duration::from_millis(100),
        deadline: Duration::from_millis(500),
        backoff: Duration::from_millis(20),
        longest_backoff: Duration::from_millis(200),
        lifetimes: LIFETIMES,
        ..RedisOptions::default()
    };
    node_with(url, options).await
}

pub(crate) async fn node_with(url: &str, options: RedisOptions) -> RedisRooms {
    connect(url, options, CancellationToken::new()).await.expect("the address is well formed")
}

pub(crate) async fn connect(
    url: &str,
    options: RedisOptions,
    shutdown: CancellationToken,
) -> Result<RedisRooms, BadUrl> {
    RedisRooms::connect(url, options, SystemClock::shared(), SystemEntropy::shared(), shutdown).await
}

/// A Redis of this test's own, gone when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_on(free_port()).await
    }

    /// Starts a server on a port that was free a moment ago, as soon as it is.
    pub(crate) async fn start_on(port: u16) -> Self {
        let mut server = Self { child: spawn(port), port };
        until("the server listens", async || {
            if server.child.try_wait().unwrap().is_some() {
                server.child = spawn(port);
            }
            // Somebody may answer there; it has to be this one.
            let Ok(client) = redis::Client::open(server.url()) else { return false };
            let Ok(mut operator) = client.get_multiplexed_async_connection().await else { return false };
            let info: String = redis::cmd("INFO").arg("server").query_async(&mut operator).await.unwrap();
            info.contains(&format!("process_id:{}\r\n", server.child.id()))
        })
        .await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection that stands for an operator.
    pub(crate) async fn operator(&self) -> redis::aio::MultiplexedConnection {
        operator(&self.url()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn operator(url: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.expect("the server answers")
}

fn spawn(port: u16) -> Child {
    let binary = std::env::var("STREAMIT_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
    Command::new(&binary)
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()])
        // What a replica is brought up with is gone again, and was nowhere in the source.
        .args(["--repl-diskless-sync-delay", "0", "--rdb-del-sync-files", "yes"])
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("can't start {binary} ({error}); `make test` finds or fetches one"))
}

/// A port that nobody uses now. Below those that the system hands out by itself: a client that knocks at one of
/// those again and again may end up connected to itself, and keep the server from coming back.
pub(crate) fn free_port() -> u16 {
    let draw = || 16_000 + u16::try_from(SystemEntropy.u32() % 16_000).unwrap_or(0);
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(draw).find(is_free).expect("some port is free")
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

pub(crate) fn id() -> Uuid {
    SystemEntropy.uuid_v4()
}

pub(crate) fn room() -> RoomId {
    RoomId(id())
}

pub(crate) fn user() -> UserId {
    UserId(id())
}

pub(crate) fn life() -> Incarnation {
    Incarnation(id())
}

pub(crate) fn entry(life: Incarnation, connection: u64, user: UserId, name: &str) -> Entry {
    Entry {
        key: EntryKey { incarnation: life, connection: ConnectionId(connection) },
        user,
        name: name.to_owned(),
    }
}

/// A state whose digits would not survive carelessness.
pub(crate) fn state(fence: u64, number: u64) -> Playback {
    Playback {
        version: Version { fence, number },
        is_playing: true,
        held_until: None,
        time: MediaTime::try_from(0.1 + 0.2).unwrap(),
        at: Timestamp(1_700_000_000_123),
        rate: 1.25,
    }
}

/// An event that can be told from others.
pub(crate) fn news(id: u64) -> v1::Event {
    v1::Event {
        kind: Some(v1::event::Kind::Revoked(v1::Revocation { id, ..Default::default() })),
        ..v1::Event::default()
    }
}

/// What a node of this name may say of itself.
pub(crate) fn says(name: &str) -> v1::NodeStatus {
    v1::NodeStatus {
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        rooms: 3,
        ..v1::NodeStatus::default()
    }
}

pub(crate) fn id_of(notice: &Notice) -> Option<u64> {
    match notice {
        Notice::Event(event) => match &event.kind {
            Some(v1::event::Kind::Revoked(revoked)) => Some(revoked.id),
            _ => None,
        },
        _ => None,
    }
}

/// The next notice, which must come.
pub(crate) async fn hear(subscription: &mut Subscription) -> Notice {
    let next = tokio::time::timeout(PATIENCE, subscription.next());
    next.await.expect("news must come").expect("the bus must go on")
}

/// The next notice, which must be a change of the roster.
pub(crate) async fn hear_change(subscription: &mut Subscription) -> RosterChange {
    match hear(subscription).await {
        Notice::Roster(change) => (*change).clone(),
        other => panic!("expected a change of the roster, heard {other:?}"),
    }
}

/// What the store says of a room to a node that knows of no round trip.
pub(crate) async fn refresh(rooms: &dyn Rooms, room: RoomId) -> LiveVersions {
    rooms.refresh(life(), &[(room, None)]).await.unwrap()[0]
}

/// Checks that nothing has been announced in `room` so far: an event published now is the next thing to come.
pub(crate) async fn nothing_heard(rooms: &SharedRooms, room: RoomId, subscription: &mut Subscription) {
    let mark = u64::from(SystemEntropy.u32());
    rooms.publish(room, &news(mark)).await.unwrap();
    let notice = hear(subscription).await;
    assert_eq!(id_of(&notice), Some(mark), "something was announced: {notice:?}");
}

/// Waits until a notice says that the subscription was made anew.
pub(crate) async fn hear_renewed(subscription: &mut Subscription) {
    while !matches!(hear(subscription).await, Notice::Renewed) {}
}

/// The names of a list of users, sorted.
pub(crate) fn names<'a>(all: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let mut names: Vec<_> = all.into_iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Holds a node to being healthy again.
pub(crate) async fn healthy(rooms: &dyn Rooms) {
    until("the bus is healthy", async || rooms.is_healthy()).await;
}

/// Publishes until `heard` hears it.
pub(crate) async fn news_comes_through(rooms: &RedisRooms, heard: &mut Subscription, room: RoomId) {
    rooms.publish(room, &news(4711)).await.unwrap();
    while id_of(&hear(heard).await) != Some(4711) {}
}
