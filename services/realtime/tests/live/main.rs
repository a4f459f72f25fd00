//! What an operator sees of a cluster, and what he may ask of it: two real nodes and a real api, on both buses.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

use std::sync::Arc;
use std::time::Duration;

use streamit_api::live::{Inspection, Live, Stage};
use streamit_api::{Api, Deps, identity};
use streamit_bus::memory::{MemoryQuota, MemoryRooms};
use streamit_bus::redis::{RedisOptions, RedisRooms};
use streamit_bus::{Entry, EntryKey, SharedRooms};
use streamit_client::{Account, Connection, Entry as EntryMode, Http, Options};
use streamit_domain::{ConnectionId, Incarnation, RoomId, UserId};
use streamit_realtime::Realtime;
use streamit_realtime::authority::Authority;
use streamit_realtime::config::Public;
use streamit_storage::{Options as StoreOptions, Store};
use streamit_telemetry::{SystemClock, SystemEntropy};
use streamit_wire::Code;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use uuid::Uuid;

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An api, and nodes that are called `a`, `b` and so on with a suffix of this test's own.
struct World {
    live: Live,
    rooms: SharedRooms,
    http: Http,
    /// Each node's name, and where its WebSockets are.
    nodes: Vec<(String, String)>,
    _dir: TempDir,
    _stop: tokio_util::sync::DropGuard,
}

impl World {
    /// With a node on each of these buses; the api is on the first.
    async fn new(buses: Vec<SharedRooms>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
        let url = format!("sqlite://{}", dir.path().join("streamit.db").display());
        let store = Store::connect(&url, StoreOptions::default()).await.unwrap();
        store.migrate(|bytes| entropy.fill(bytes)).await.unwrap();
        let keys = dir.path().join("keys");
        identity::keys::generate(&keys, "first", &*entropy).unwrap();
        let rooms = buses[0].clone();
        let keys = identity::Keys::open(keys, &store, rooms.now()).await.unwrap();
        let quota = Arc::new(MemoryQuota::new(clock.clone()));
        let (clock_of_api, entropy_of_api) = (clock.clone(), entropy.clone());
        let deps =
            Deps { store, rooms: rooms.clone(), quota, keys, clock: clock_of_api, entropy: entropy_of_api };
        let api = Api::new(streamit_api::config::Public::default(), deps).unwrap();

        let calls = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", calls.local_addr().unwrap())).unwrap();
        let serving = Server::builder().add_routes(api.grpc());
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(calls)));
        let suffix = entropy.u32();
        let mut nodes = Vec::new();
        for (bus, letter) in buses.into_iter().zip('a'..) {
            let authority = Authority::new(vec![("api".into(), endpoint.connect_lazy())], None).unwrap();
            let name = format!("{letter}-{suffix:08x}");
            let (clock, entropy) = (clock.clone(), entropy.clone());
            let realtime = Realtime::new(&Public::default(), name.clone(), authority, bus, clock, entropy);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            nodes.push((name, format!("ws://{}", listener.local_addr().unwrap())));
            tokio::spawn(streamit_edge::serve(listener, realtime.http(), stop.clone()));
            let stop = stop.clone();
            tokio::spawn(async move { realtime.background(stop).await });
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = Http::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(streamit_edge::serve(listener, api.http(), stop.clone()));
        let world = Self { live: api.live(), rooms, http, nodes, _dir: dir, _stop: stop.drop_guard() };
        world.see(|nodes| nodes == world.nodes.len(), "the nodes").await;
        world
    }

    async fn in_memory(nodes: usize) -> Self {
        let rooms: SharedRooms = Arc::new(MemoryRooms::new(SystemClock::shared()));
        Self::new(vec![rooms; nodes]).await
    }

    async fn on_redis(nodes: usize) -> Self {
        let url = std::env::var("STREAMIT_TEST_REDIS")
            .expect("STREAMIT_TEST_REDIS must name a Redis; `make test` starts one and sets it");
        let mut buses: Vec<SharedRooms> = Vec::new();
        for _ in 0..nodes {
            let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
            let options = RedisOptions::default();
            let rooms = RedisRooms::connect(&url, options, clock, entropy, CancellationToken::new()).await;
            buses.push(Arc::new(rooms.unwrap()));
        }
        Self::new(buses).await
    }

    /// Waits until so many of this world's nodes are listed.
    async fn see(&self, wanted: impl Fn(usize) -> bool, what: &str) {
        let seen = async {
            loop {
                let nodes = self.live.nodes().await.unwrap();
                let own = nodes.iter().filter(|node| self.nodes.iter().any(|(name, _)| *name == node.name));
                if wanted(own.count()) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(PATIENCE, seen).await.is_ok(), "waited in vain for {what}");
    }

    /// A public room, and its host.
    async fn room(&self) -> (Account, RoomId, String) {
        let host = self.http.guest("Ana").await.unwrap();
        let room = self.http.as_user(&host).create_room(EntryMode::Public).await.unwrap();
        (host, RoomId(room.room_id), room.code)
    }

    async fn sit(&self, node: usize, code: &str, who: &Account) -> Connection {
        self.http.as_user(who).join(code, None).await.unwrap();
        let ws = &self.nodes[node].1;
        Connection::join(ws, code, &who.access_token, Options::default()).await.unwrap().0
    }

    /// Looks into a room until it is as wanted.
    async fn look(&self, room: RoomId, wanted: impl Fn(&Inspection) -> bool) -> Inspection {
        let mut last = None;
        let looked = async {
            loop {
                let seen = self.live.inspect(room).await.unwrap();
                if wanted(&seen) {
                    return seen;
                }
                last = Some(seen);
            }
        };
        let looked = timeout(PATIENCE, looked).await;
        looked.unwrap_or_else(|_| panic!("looked in vain, at last at {last:#?}"))
    }
}

async fn people_on_two_nodes_are_seen(world: World) {
    let (ana, room, code) = world.room().await;
    let bo = world.http.guest("Bo").await.unwrap();
    let mut host = world.sit(0, &code, &ana).await;
    let guest = world.sit(1, &code, &bo).await;
    host.sender().chat("not a word of this", None).await.unwrap();
    host.sender().play(Some(60.0)).await.unwrap();
    host.sender().sync_check(500.0).await.unwrap();
    let said = |event: &streamit_client::Event| matches!(event, streamit_client::Event::SyncCorrection(_));
    host.expect("the correction", |event| said(event).then_some(())).await.unwrap();

    // Who does not read does not answer a ping either.
    for mut line in [host, guest] {
        tokio::spawn(async move { while line.next_event(PATIENCE).await.is_ok() {} });
    }
    // Each is pinged within a second; and what is on its way to the other node is there soon.
    let seen = world
        .look(room, |seen| {
            let members = || seen.nodes.iter().flat_map(|node| &node.members);
            members().count() == 2
                && members().all(|member| member.round_trip.is_some())
                && seen.nodes.iter().all(|node| node.lag.is_none())
                && seen.homes.chat_head == 1
                && seen.film.is_some_and(|film| film.is_running())
        })
        .await;
    let names: Vec<_> = seen.nodes.iter().map(|node| node.node.as_str()).collect();
    assert_eq!(names, [&world.nodes[0].0, &world.nodes[1].0]);
    assert!(seen.silent.is_empty());
    let of = |node: usize| &seen.nodes[node].members[0];
    assert_eq!((of(0).name.as_str(), of(1).name.as_str()), ("Ana", "Bo"));
    assert!(seen.nodes.iter().all(|node| (node.connections, node.members.len()) == (1, 1)));
    let here = |node| of(node).stage == Stage::Live && of(node).chat_lag == 0 && of(node).since.is_some();
    assert!(here(0) && here(1));
    assert!(of(0).drift_ms.is_some_and(|ms| ms > 300_000), "{:?}", of(0).drift_ms);
    assert_eq!(of(1).drift_ms, None);

    assert!(seen.position.secs() >= 60.0);
    assert_eq!((seen.online, seen.people.len()), (2, 2));
    assert_eq!((seen.people[0].name.as_str(), seen.people[0].connections), ("Ana", 1));
    assert!(!seen.people[0].is_going);
    let kinds = |kind: &str| seen.events.iter().filter(|event| event.kind == kind).count();
    assert_eq!(kinds("opened"), 2, "{:?}", seen.events);
    assert!(kinds("playing") == 1 && kinds("chat") == 1, "what both saw is told once: {:?}", seen.events);
    assert!(seen.events.is_sorted_by(|one, next| one.at >= next.at));
    assert!(!format!("{seen:?}").contains("not a word"));
}

#[tokio::test]
async fn people_on_two_nodes_are_seen_in_one_process() {
    people_on_two_nodes_are_seen(World::in_memory(2).await).await;
}

#[tokio::test]
async fn people_on_two_nodes_are_seen_in_a_cluster() {
    people_on_two_nodes_are_seen(World::on_redis(2).await).await;
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_told_of_in_time() {
    let world = World::in_memory(1).await;
    let (ana, room, code) = world.room().await;
    let _host = world.sit(0, &code, &ana).await;
    let lost = Incarnation(Uuid::from_u128(4_711));
    let key = EntryKey { incarnation: lost, connection: ConnectionId(1) };
    let entry = Entry { key, user: UserId(Uuid::from_u128(1)), name: "Lost".into() };
    world.rooms.enter(room, &[entry], 0).await.unwrap();

    let begun = tokio::time::Instant::now();
    let seen = world.live.inspect(room).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(seen.nodes.len(), 1);
    let silent: Vec<_> = seen.silent.iter().map(|node| (node.incarnation, node.name.clone())).collect();
    assert_eq!(silent, [(lost, None)]);
}

#[tokio::test]
async fn a_room_in_which_nobody_is_can_be_looked_into_and_one_that_is_not_there_is_not_found() {
    let world = World::in_memory(1).await;
    let (_, room, _) = world.room().await;
    let seen = world.live.inspect(room).await.unwrap();
    assert_eq!((seen.online, seen.nodes.len(), seen.silent.len()), (0, 0, 0));
    assert!(seen.homes.facts_version > 0);
    let nowhere = world.live.inspect(RoomId(Uuid::from_u128(4_711))).await;
    assert_eq!(nowhere, Err(Code::RoomNotFound));
}

#[tokio::test]
async fn only_a_few_look_into_rooms_at_once() {
    let world = World::in_memory(1).await;
    let (_, room, _) = world.room().await;
    let looks = futures_util::future::join_all((0..20).map(|_| world.live.inspect(room))).await;
    let (seen, refused): (Vec<_>, Vec<_>) = looks.into_iter().partition(Result::is_ok);
    assert_eq!(seen.len(), 4);
    assert!(refused.into_iter().all(|refused| refused == Err(Code::TryAgain)));
}

#[tokio::test]
async fn a_node_that_is_told_to_drain_shows_it_and_the_last_one_is_not_told() {
    let world = World::in_memory(2).await;
    let [a, b] = [&world.nodes[0].0, &world.nodes[1].0];
    let window = Duration::from_secs(1);
    assert_eq!(world.live.drain("nobody").await, Err(Code::NotFound));
    world.live.drain(a).await.unwrap();
    let is_draining = async |name: &str| {
        let nodes = world.live.nodes().await.unwrap();
        nodes.iter().find(|node| node.name == name).is_some_and(|node| node.is_draining)
    };
    let shown = async |name: &str, wanted: bool| {
        let shown = async {
            while is_draining(name).await != wanted {
                tokio::task::yield_now().await;
            }
        };
        assert!(
            timeout(Duration::from_secs(1), shown).await.is_ok(),
            "shown at once, not with the next beat"
        );
    };
    shown(a, true).await;
    assert_eq!(world.live.drain(b).await, Err(Code::Conflict));
    assert_eq!(world.live.shed(b, 10, window).await, Err(Code::Conflict));
    world.live.resume(a).await.unwrap();
    shown(a, false).await;
    world.live.shed(b, 10, window).await.unwrap();
}
