//! A panic stays where it is: in one connection, one room, one piece of work; and the room after it sees out who does not
//! return. A real node, with a real api and a bus that a fault can be put into.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod bus;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::{Fault, FaultyRooms};
use futures_util::FutureExt;
use streamit_api::{Api, Deps, identity};
use streamit_bus::memory::{MemoryQuota, MemoryRooms};
use streamit_client::{Account, CloseReason, Connection, Entry, Event, Http, Options};
use streamit_realtime::Realtime;
use streamit_realtime::authority::Authority;
use streamit_realtime::config::Public;
use streamit_storage::{Options as StoreOptions, Store};
use streamit_telemetry::{SystemClock, SystemEntropy};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};

/// How soon everybody must know: far below every deadline for what hangs.
const SOON: Duration = Duration::from_secs(3);
/// How long what takes its time may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node and an api on one address.
struct World {
    rooms: Arc<FaultyRooms>,
    realtime: Realtime,
    http: Http,
    ws: String,
    _dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
        let url = format!("sqlite://{}", dir.path().join("streamit.db").display());
        let store = Store::connect(&url, StoreOptions::default()).await.unwrap();
        store.migrate(|bytes| entropy.fill(bytes)).await.unwrap();
        let rooms = FaultyRooms::over(Arc::new(MemoryRooms::new(clock.clone())));
        let keys = dir.path().join("keys");
        identity::keys::generate(&keys, "first", &*entropy).unwrap();
        let keys = identity::Keys::open(keys, &store, streamit_bus::Rooms::now(&*rooms)).await.unwrap();
        let deps = Deps {
            store,
            rooms: rooms.clone(),
            quota: Arc::new(MemoryQuota::new(clock.clone())),
            keys,
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let api = Api::new(streamit_api::config::Public::default(), deps).unwrap();

        let calls = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", calls.local_addr().unwrap())).unwrap();
        let serving = Server::builder().add_routes(api.grpc());
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(calls)));
        let authority = Authority::new(vec![("api".into(), endpoint.connect_lazy())], None).unwrap();
        let realtime =
            Realtime::new(&Public::default(), "node".into(), authority, rooms.clone(), clock, entropy);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let all = api.http().merge(realtime.sockets());
        tokio::spawn(streamit_edge::serve(listener, all, CancellationToken::new()));
        tokio::spawn({
            let realtime = realtime.clone();
            async move { realtime.background(CancellationToken::new()).await }
        });
        let http = Http::new(&format!("http://{address}")).unwrap();
        Self { rooms, realtime, http, ws: format!("ws://{address}"), _dir: dir }
    }

    async fn guest(&self, name: &str) -> Account {
        self.http.guest(name).await.unwrap()
    }

    async fn room(&self, host: &Account) -> String {
        self.http.as_user(host).create_room(Entry::Public).await.unwrap().code
    }

    /// Sits down in a room that may be entered by anybody.
    async fn sit(&self, code: &str, who: &Account) -> Connection {
        self.http.as_user(who).join(code, None).await.unwrap();
        Connection::join(&self.ws, code, &who.access_token, Options::default()).await.unwrap().0
    }

    /// Waits until so many connections are counted: who is out may still have to answer a close.
    async fn counts(&self, connections: usize) {
        let counted = async {
            while self.realtime.node().connections.count() != connections {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let now = || self.realtime.node().connections.count();
        assert!(timeout(SOON, counted).await.is_ok(), "{} are counted, not {connections}", now());
    }
}

async fn closed(line: &mut Connection) -> CloseReason {
    timeout(SOON, line.closed()).await.expect("an end in time").unwrap()
}

async fn says(line: &mut Connection, text: &str) {
    line.sender().chat(text, None).await.unwrap();
    hears(line, text).await;
}

async fn hears(line: &mut Connection, text: &str) {
    let said = |event: &Event| matches!(event, Event::ChatMessage(said) if said.message == text);
    line.expect(text, |event| said(event).then_some(())).await.unwrap();
}

#[tokio::test]
async fn a_fault_in_a_room_ends_that_room_alone_and_it_opens_anew() {
    let world = World::new().await;
    let (ana, bo, cy) = (world.guest("Ana").await, world.guest("Bo").await, world.guest("Cy").await);
    let (code, elsewhere) = (world.room(&ana).await, world.room(&cy).await);
    let mut seats = [world.sit(&code, &ana).await, world.sit(&code, &bo).await];
    let mut neighbour = world.sit(&elsewhere, &cy).await;
    says(&mut seats[1], "before").await;

    world.rooms.break_at(Fault::SetPlayback);
    seats[0].sender().play(Some(1.0)).await.unwrap();

    for seat in &mut seats {
        let reason = closed(seat).await;
        assert!(reason.code == 4101 && reason.retry_in_ms.is_some(), "{reason}");
    }
    assert!(world.rooms.has_broken());
    let since = Options::resume(0, None);
    let (mut back, welcome) = Connection::join(&world.ws, &code, &bo.access_token, since).await.unwrap();
    assert_eq!(welcome.history.messages.len(), 1, "all that was said is there");
    says(&mut back, "after").await;
    says(&mut neighbour, "nothing happened here").await;
    world.counts(2).await;
    // Ana stays away: she is seen out, and nothing else is told of anybody.
    let first = back.expect("somebody to come or go", |event| match event {
        Event::UserLeft(person) | Event::UserJoined(person) => Some((person.user.clone(), event.clone())),
        _ => None,
    });
    let (who, event) = timeout(PATIENCE, first).await.expect("no ghost").unwrap();
    assert!(who == "Ana" && matches!(event, Event::UserLeft(_)), "{event:?}");
}

#[tokio::test]
async fn who_does_not_come_back_to_a_room_that_failed_is_no_ghost_although_nobody_opens_it() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let code = world.room(&ana).await;
    let mut seat = world.sit(&code, &ana).await;
    let room = world.realtime.node().rooms.list()[0].0;

    world.rooms.break_at(Fault::SetPlayback);
    seat.sender().play(Some(1.0)).await.unwrap();
    let _ = closed(&mut seat).await;

    let gone = async {
        while !streamit_bus::Rooms::roster(&*world.rooms, room).await.unwrap().entries.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the entry to go");
}

#[tokio::test]
async fn who_is_about_to_come_in_when_a_room_fails_is_told_so_at_once() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let code = world.room(&ana).await;

    world.rooms.break_at(Fault::Enter);
    let mut line = Connection::open(&world.ws, &code, &ana.access_token, Options::default()).await.unwrap();

    assert_eq!(closed(&mut line).await.code, 4101);
    let mut back = world.sit(&code, &ana).await;
    says(&mut back, "in").await;
    world.counts(1).await;
}

#[tokio::test]
async fn a_fault_in_a_connection_ends_that_connection_alone_and_its_room_hears_of_it() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let code = world.room(&ana).await;
    let (mut host, mut other) = (world.sit(&code, &ana).await, world.sit(&code, &bo).await);
    world.counts(2).await;

    world.rooms.break_at(Fault::Connection);
    let _ = other.sender().chat("never said", None).await;

    let _ = closed(&mut other).await; // whatever the socket could still say
    assert!(world.rooms.has_broken());
    let gone = host.expect("Bo to go", |event| match event {
        Event::UserLeft(person) => Some(person.user.clone()),
        _ => None,
    });
    assert_eq!(timeout(PATIENCE, gone).await.unwrap().unwrap(), "Bo");
    world.counts(1).await; // its places are free again
    says(&mut host, "on we go").await;
    let mut back = world.sit(&code, &bo).await;
    says(&mut back, "me too").await;
}

#[tokio::test]
async fn a_fault_behind_the_connections_does_not_end_what_is_done_there() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let code = world.room(&ana).await;
    let mut host = world.sit(&code, &ana).await;

    world.rooms.break_at(Fault::Refresh);
    let asked_again = async {
        while !world.rooms.has_broken() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let broken_at = world.rooms.refreshes.load(Ordering::SeqCst);
        while world.rooms.refreshes.load(Ordering::SeqCst) == broken_at {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, asked_again).await.expect("versions are compared again");
    says(&mut host, "nobody noticed").await;
}

/// A room knows what one before it has left by the numbers of connections (`room/recovery.rs`).
#[tokio::test]
async fn who_waits_at_the_door_is_numbered_when_he_comes_in() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let code = world.room(&ana).await;
    let node = world.realtime.node();
    let mut turns = Vec::new();
    while let Some(Ok(turn)) = node.door.enter(node.now().up, 0).now_or_never() {
        turns.push(turn);
    }
    let line = Connection::open(&world.ws, &code, &ana.access_token, Options::default()).await.unwrap();
    let meanwhile = node.next_connection();
    drop(turns);

    let of_ana = async {
        loop {
            if let Some((room, _)) = node.rooms.list().first() {
                let roster = streamit_bus::Rooms::roster(&*world.rooms, *room).await.unwrap();
                if let Some(key) = roster.entries.keys().next() {
                    return key.connection;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, of_ana).await.expect("Ana in the room") > meanwhile);
    drop(line);
}
