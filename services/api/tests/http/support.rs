//! An api to ask, and short ways of asking it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use streamit_api::config::Public;
use streamit_api::{Api, Deps, identity};
use streamit_bus::memory::{MemoryQuota, MemoryRooms};
use streamit_bus::{Notice, SharedRooms, Subscription};
use streamit_domain::{RoomId, Timestamp, UserId};
use streamit_storage::{Options, Store, rooms};
use streamit_telemetry::{ManualClock, SharedEntropy, SystemEntropy};
use streamit_wire::v1;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

/// When these stories begin.
pub(crate) const START: i64 = 1_800_000_000_000;
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An api with everything it needs.
pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) rooms: SharedRooms,
    pub(crate) store: Store,
    /// Moves only when told.
    pub(crate) clock: Arc<ManualClock>,
    router: Router,
    _dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Public::default()).await
    }

    /// Without limits, for crowds.
    pub(crate) async fn unlimited() -> Self {
        Self::with(Public { limits: streamit_edge::Limits::Off, ..Public::default() }).await
    }

    pub(crate) async fn with(config: Public) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("streamit.db").display());
        Self::on(config, &url, dir).await
    }

    /// On this database. What else there is goes into `dir`.
    pub(crate) async fn on(config: Public, url: &str, dir: TempDir) -> Self {
        let entropy: SharedEntropy = SystemEntropy::shared();
        let clock = ManualClock::at_ms(START);
        let store =
            Store::connect(url, Options { acquire_timeout: PATIENCE, ..Options::default() }).await.unwrap();
        store.migrate(|bytes| entropy.fill(bytes)).await.unwrap();
        let keys = dir.path().join("keys");
        identity::keys::generate(&keys, "first", &*entropy).unwrap();
        let keys = identity::Keys::open(keys, &store, Timestamp(START)).await.unwrap();
        let rooms: SharedRooms = Arc::new(MemoryRooms::new(clock.clone()));
        let deps = Deps {
            store: store.clone(),
            rooms: rooms.clone(),
            quota: Arc::new(MemoryQuota::new(clock.clone())),
            keys,
            clock: clock.clone(),
            entropy,
        };
        let api = Api::new(config, deps).unwrap();
        let router = api.http();
        Self { api, rooms, store, clock, router, _dir: dir }
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        Ask { world: self, request }
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask<'_> {
        self.ask(Method::POST, path)
    }

    /// Somebody who came as a guest.
    pub(crate) async fn guest(&self, name: &str) -> Person {
        let reply = self.post("/api/auth/guest/").json(json!({"display_name": name})).send().await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        Person::of(&reply)
    }

    /// A room opened by `host`, with what its creation answered.
    pub(crate) async fn room(&self, host: &Person, body: Value) -> Room {
        let reply = self.post("/api/rooms/create/").by(host).json(body).send().await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        Room {
            id: reply.body["room_id"].as_str().unwrap().parse().unwrap(),
            code: reply.text("code"),
            password: reply.body["room_password"].as_str().map(str::to_owned),
        }
    }

    pub(crate) async fn public_room(&self, host: &Person) -> Room {
        self.room(host, json!({})).await
    }

    /// Joins; panics unless that is answered with `status`.
    pub(crate) async fn join(&self, room: &Room, person: &Person, status: &str) {
        let reply = self.post("/api/rooms/join/").by(person).json(json!({"code": room.code})).send().await;
        assert_eq!((reply.status, reply.text("status").as_str()), (200, status), "{}", reply.body);
    }

    /// Does something about a person; gives the status and the code of a refusal.
    pub(crate) async fn act(&self, action: &str, room: &Room, by: &Person, about: &Person) -> (u16, String) {
        let body = json!({"room_id": room.id, "user_id": about.id});
        let reply = self.post(&format!("/api/rooms/{action}/")).by(by).json(body).send().await;
        (reply.status, reply.text("code"))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// Somebody with a session.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) token: String,
    pub(crate) refresh: String,
    pub(crate) cookie: String,
}

impl Person {
    pub(crate) fn of(reply: &Reply) -> Self {
        Self {
            id: reply.body["id"].as_str().unwrap().parse().unwrap(),
            token: reply.text("access_token"),
            refresh: reply.text("refresh_token"),
            cookie: reply.cookie().unwrap_or_default(),
        }
    }
}

/// A room.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) id: RoomId,
    pub(crate) code: String,
    pub(crate) password: Option<String>,
}

/// A request under construction.
pub(crate) struct Ask<'a> {
    world: &'a World,
    request: Request<Body>,
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    pub(crate) fn by(self, person: &Person) -> Self {
        self.bearer(&person.token)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn cookie(self, person: &Person) -> Self {
        let cookie = person.cookie.clone();
        self.header("cookie", &cookie)
    }

    pub(crate) fn json(self, body: impl Into<Value>) -> Self {
        self.body("application/json", body.into().to_string())
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Body>) -> Self {
        if !content_type.is_empty() {
            self.request.headers_mut().insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        *self.request.body_mut() = body.into();
        self
    }

    pub(crate) async fn send(self) -> Reply {
        let response = self.world.router.clone().oneshot(self.request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap_or_default();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status: status.as_u16(), headers, bytes, text, body }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    /// The same as text; empty when it is none.
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Reply {
    /// The text of a field; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The session cookie as it is sent back.
    pub(crate) fn cookie(&self) -> Option<String> {
        let set = self.headers.get(SET_COOKIE)?.to_str().ok()?;
        Some(set.split(';').next()?.to_owned())
    }

    /// Panics unless this is a refusal in the contract's form.
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.text("code").as_str()), (status, code), "{}", self.text);
        let object = self.body.as_object().unwrap();
        assert!(!self.text("error").is_empty(), "{}", self.text);
        assert!(
            object.keys().all(|key| ["error", "code", "fields"].contains(&key.as_str())),
            "{}",
            self.text
        );
        assert!(StatusCode::from_u16(status).is_ok_and(|status| !status.is_success()));
        if status == 429 {
            let wait = self.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
            assert!(wait.is_some_and(|wait| wait >= 1), "when to come back: {:?}", self.headers);
        }
    }
}

/// The next facts that a room's nodes are told.
pub(crate) async fn next_facts(news: &mut Subscription) -> v1::Facts {
    loop {
        match next(news).await.kind {
            Some(v1::event::Kind::Facts(facts)) => return facts,
            _ => continue,
        }
    }
}

/// The next event.
pub(crate) async fn next(news: &mut Subscription) -> v1::Event {
    loop {
        let notice = tokio::time::timeout(PATIENCE, news.next()).await.expect("news should come");
        match notice.expect("the bus lives") {
            Notice::Event(event) => return (*event).clone(),
            Notice::Lost => panic!("news was lost"),
            _ => continue,
        }
    }
}

/// Asks again and again until the answer is the one that must come.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("it never came to this: {what}"))
}

/// The api's background work, which ends with this.
pub(crate) fn background(world: &World) -> DropGuard {
    let (api, stop) = (world.api.clone(), CancellationToken::new());
    let stopped = stop.clone();
    tokio::spawn(async move { api.background(stopped).await });
    stop.drop_guard()
}

/// A room as the database has it.
pub(crate) async fn stored(world: &World, room: &Room) -> rooms::Room {
    rooms::by_id(&mut world.store.read().await.unwrap(), room.id).await.unwrap().unwrap()
}
