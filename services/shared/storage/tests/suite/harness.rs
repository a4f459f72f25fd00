//! A database for each test, and what tests put into it.

use std::any::Any;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use streamit_domain::room::{Access, DEFAULT_MAX_MEMBERS, Facts, Settings, Standing};
use streamit_domain::{DisplayName, RoomCode, RoomId, SessionId, Timestamp, UserId};
use streamit_storage::participants::{self, Change};
use streamit_storage::rooms::{self, NewRoom, Room};
use streamit_storage::sessions::{self, NewSession};
use streamit_storage::users::{self, NewUser};
use streamit_storage::{Options, Store};
use tokio::sync::OnceCell;
use url::Url;
use uuid::Uuid;

use crate::roles;

/// When tests happen, unless they say otherwise.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// So much later.
pub(crate) fn later(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

/// An id that no other call in this process gives; later ones sort after earlier ones.
pub(crate) fn id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(
        0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(NEXT.fetch_add(1, Ordering::Relaxed)),
    )
}

/// A name.
pub(crate) fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).unwrap()
}

/// The database of one test.
#[derive(Clone)]
pub(crate) struct Db {
    /// What is tested.
    pub(crate) store: Store,
    /// Where it is, for tests that open it once more.
    pub(crate) url: String,
    /// Where it is for the role that owns it; none where there are no roles.
    owner: Option<String>,
}

impl Db {
    async fn open(url: String) -> Self {
        let store = Store::connect(&url, Options::default()).await.unwrap();
        Self { store, url, owner: None }
    }

    /// The database as whoever migrates it sees it. All else is done by the role of the apis, where there are roles.
    pub(crate) async fn as_owner(&self) -> Store {
        match &self.owner {
            Some(url) => Store::connect(url, Options::default()).await.unwrap(),
            None => self.store.clone(),
        }
    }

    /// A guest with this name.
    pub(crate) async fn guest(&self, called: &str) -> UserId {
        let user = NewUser::guest(UserId(id()), name(called), NOW);
        let mut tx = self.store.begin().await.unwrap();
        users::insert(&mut tx, &user).await.unwrap();
        tx.commit().await.unwrap();
        user.id
    }

    /// A session of the user, which lasts for an hour.
    pub(crate) async fn session(&self, user: UserId) -> SessionId {
        let id = SessionId(id());
        let session = NewSession {
            id,
            user,
            cookie_hash: None,
            user_agent: None,
            address: None,
            created_at: NOW,
            expires_at: later(3_600_000),
        };
        let mut tx = self.store.begin().await.unwrap();
        sessions::insert(&mut tx, &session).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// An open room of a new host called Ana.
    pub(crate) async fn room(&self, access: Access) -> Room {
        self.room_at(access, NOW).await
    }

    /// The same, opened at another moment.
    pub(crate) async fn room_at(&self, access: Access, created_at: Timestamp) -> Room {
        let owner = self.guest("Ana").await;
        let room = NewRoom { created_at, ..new_room(owner, access) };
        let mut tx = self.store.begin().await.unwrap();
        rooms::insert(&mut tx, &room).await.unwrap();
        tx.commit().await.unwrap();
        self.reload(room.id).await
    }

    /// The room as it is now.
    pub(crate) async fn reload(&self, room: RoomId) -> Room {
        rooms::by_id(&mut self.store.read().await.unwrap(), room).await.unwrap().unwrap()
    }

    /// Joins, and commits that.
    pub(crate) async fn join(&self, room: RoomId, user: UserId, called: &str, standing: Standing) -> Change {
        self.join_at(room, user, called, standing, NOW).await
    }

    /// The same at another moment.
    pub(crate) async fn join_at(
        &self,
        room: RoomId,
        user: UserId,
        called: &str,
        standing: Standing,
        now: Timestamp,
    ) -> Change {
        let mut tx = self.store.begin().await.unwrap();
        let change =
            participants::upsert_join(&mut tx, room, user, &name(called), standing, now).await.unwrap();
        tx.commit().await.unwrap();
        change
    }

    /// A new guest who is in the room.
    pub(crate) async fn member(&self, room: RoomId, called: &str) -> UserId {
        let user = self.guest(called).await;
        self.join(room, user, called, Standing::Approved).await;
        user
    }

    /// Changes how somebody stands, and commits that. A kick holds for a minute.
    pub(crate) async fn stand(&self, room: RoomId, user: UserId, standing: Standing) -> Change {
        let mut tx = self.store.begin().await.unwrap();
        let until = (standing == Standing::Kicked).then(|| later(60_000));
        let change = participants::set_standing(&mut tx, room, user, standing, until, NOW).await.unwrap();
        tx.commit().await.unwrap();
        change.unwrap()
    }

    /// What is known of the room, with the people changed after `since`.
    pub(crate) async fn facts(&self, room: RoomId, since: u64) -> Facts {
        let mut read = self.store.read().await.unwrap();
        rooms::facts(&mut read, &[(room, since)]).await.unwrap().remove(0).unwrap()
    }
}

/// A code that no other call in this process gives.
pub(crate) fn code() -> RoomCode {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("A{number:05}").parse().unwrap()
}

/// A room that could be opened.
pub(crate) fn new_room(owner: UserId, access: Access) -> NewRoom {
    NewRoom {
        id: RoomId(id()),
        code: code(),
        owner,
        owner_name: name("Ana"),
        access,
        password_mac: (access == Access::Password).then(|| vec![7; 32]),
        settings: Settings::default(),
        max_members: DEFAULT_MAX_MEMBERS,
        created_at: NOW,
    }
}

/// Runs a test on a new SQLite file.
pub(crate) async fn on_sqlite<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Db) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(format!("sqlite://{}", dir.path().join("streamit.db").display())).await;
    db.store.migrate(|bytes| bytes.fill(1)).await.unwrap();
    run(&db, test).await.unwrap_or_else(|panic| resume_unwind(panic));
}

/// Runs a test on a new PostgreSQL database.
pub(crate) async fn on_postgres<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Db) -> F) {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let server = Server::from_env();
    let template = TEMPLATE.get_or_init(|| server.template()).await;
    // Two processes may test on one server.
    let database = format!("streamit_storage_{}_{}", std::process::id(), id().as_u128() as u32);
    server.admin(&format!("CREATE DATABASE {database} TEMPLATE {template} OWNER {}", roles::OWNER)).await;
    let store = Store::connect(&server.url_as(roles::APP, &database), Options::default()).await.unwrap();
    let db = Db { store, url: server.url(&database), owner: Some(server.url_as(roles::OWNER, &database)) };
    let outcome = run(&db, test).await;
    server.admin(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

/// Runs a test to its end, good or bad, so that what was made for it can be taken away.
async fn run<F: Future<Output = ()> + Send + 'static>(
    db: &Db,
    test: impl FnOnce(Db) -> F,
) -> Result<(), Box<dyn Any + Send>> {
    let outcome = tokio::spawn(test(db.clone())).await;
    db.store.close().await;
    outcome.map_err(|error| error.into_panic())
}

/// The PostgreSQL server that tests may make databases on.
struct Server(Url);

impl Server {
    fn from_env() -> Self {
        let Ok(url) = std::env::var("STREAMIT_TEST_POSTGRES") else {
            panic!(
                "STREAMIT_TEST_POSTGRES is not set: run the tests with `make test`, which starts a PostgreSQL, \
                 or name one (the URL of a superuser)"
            );
        };
        Self(Url::parse(&url).expect("STREAMIT_TEST_POSTGRES is a URL"))
    }

    /// As a role of ours.
    fn url_as(&self, role: &str, database: &str) -> String {
        let mut url = Url::parse(&self.url(database)).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(roles::PASSWORD)).unwrap();
        url.into()
    }

    fn url(&self, database: &str) -> String {
        let mut url = self.0.clone();
        url.set_path(database);
        url.into()
    }

    async fn admin(&self, sql: &str) {
        let mut connection =
            PgConnection::connect(self.0.as_str()).await.expect("the PostgreSQL for tests answers");
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The name of a migrated database to copy. It is made by whoever comes first, and made anew when a migration
    /// changed.
    async fn template(&self) -> String {
        let migrator = sqlx::migrate!("../../../migrations/postgres");
        let checksums = migrator.iter().flat_map(|migration| migration.checksum.iter());
        let grants = roles::sql("grants");
        let digest = checksums
            .chain(grants.as_bytes())
            .fold(0_u64, |sum, byte| sum.wrapping_mul(1_099_511_628_211) ^ u64::from(*byte));
        let template = format!("streamit_storage_template_{digest:016x}");
        let building = format!("{template}_building");
        let mut admin =
            PgConnection::connect(self.0.as_str()).await.expect("the PostgreSQL for tests answers");
        // Held until the connection is closed.
        admin.execute("SELECT pg_advisory_lock(7266873)").await.unwrap();
        let there: Option<(i32,)> = sqlx::query_as("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(&template)
            .fetch_optional(&mut admin)
            .await
            .unwrap();
        if there.is_none() {
            admin
                .execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)")))
                .await
                .unwrap();
            for statement in roles::statements("roles", &building) {
                if let Err(error) = admin.execute(AssertSqlSafe(statement.clone())).await {
                    // Roles belong to the server: another test may have made them.
                    let code = error.as_database_error().and_then(|error| error.code());
                    assert_eq!(code.as_deref(), Some("42710"), "{statement}: {error}");
                }
            }
            let owner = self.url_as(roles::OWNER, &building);
            let db = Db::open(owner.clone()).await;
            db.store.migrate(|bytes| bytes.fill(1)).await.unwrap();
            db.store.close().await;
            let mut owner = PgConnection::connect(&owner).await.unwrap();
            for statement in roles::statements("grants", &building) {
                owner.execute(AssertSqlSafe(statement)).await.unwrap();
            }
            owner.close().await.unwrap();
            let rename = format!("ALTER DATABASE {building} RENAME TO {template}");
            admin.execute(AssertSqlSafe(rename)).await.unwrap();
        }
        admin.close().await.unwrap();
        template
    }
}
