//! A running StreamIt: one program, or many.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use futures_util::future::{join_all, try_join_all};
use streamit_client::Http;
use tempfile::TempDir;

use crate::{Program, guard, postgres, program, redis, until};

/// How many lines of a program's log explain a failure.
const LAST_WORDS: usize = 60;

/// What a system is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One program with everything in it.
    Standalone,
    /// Several of each, PostgreSQL and Redis.
    Cluster {
        /// Replicas of the api.
        apis: usize,
        /// Realtime nodes.
        nodes: usize,
    },
}

/// A system in the making.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) engine: Engine,
    pub(crate) env: Vec<(String, String)>,
    has_keys: bool,
}

impl Plan {
    /// The standalone program on a new data directory.
    #[must_use]
    pub fn standalone() -> Self {
        Self::of(Engine::Standalone)
    }

    /// A cluster with a database and a Redis of its own.
    #[must_use]
    pub fn cluster(apis: usize, nodes: usize) -> Self {
        Self::of(Engine::Cluster { apis, nodes })
    }

    fn of(engine: Engine) -> Self {
        // Each person has an address of their own, told as a proxy would: limits per address must not make tests
        // depend on each other.
        Self { engine, env: Vec::new(), has_keys: false }
            .env("STREAMIT_TRUSTED_PROXIES", "127.0.0.1")
            .env("RUST_BACKTRACE", "1")
    }

    /// Whether rates, budgets and caps hold: `on` or `off`.
    #[must_use]
    pub fn limits(self, limits: &str) -> Self {
        self.env("STREAMIT_LIMITS", limits)
    }

    /// Sets an option of all programs, by its environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the standalone program find the keys that a cluster has, instead of making one.
    #[must_use]
    pub fn with_keys(self) -> Self {
        Self { has_keys: true, ..self }
    }

    /// Starts it and waits until all of it is ready.
    ///
    /// # Panics
    /// When it can't be started; with the logs.
    pub async fn start(self) -> System {
        self.try_start().await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Starts it and waits until all of it is ready.
    ///
    /// # Errors
    /// When it can't be started; with the logs.
    pub async fn try_start(self) -> Result<System, String> {
        let home = TempDir::with_prefix("streamit-e2e-").map_err(|error| error.to_string())?;
        guard::remove_at_end(home.path());
        match self.engine {
            Engine::Standalone => self.start_standalone(home).await,
            Engine::Cluster { apis, nodes } => self.start_cluster(home, apis, nodes).await,
        }
    }

    async fn start_standalone(self, home: TempDir) -> Result<System, String> {
        let data = home.path().join("data").display().to_string();
        if self.has_keys {
            signing_keys(&home.path().join("data/keys"))?;
        }
        // What the plan says comes last, and so wins.
        let defaults = Self { env: Vec::new(), ..self.clone() };
        let mut env = defaults.env("STREAMIT_LISTEN", "127.0.0.1:0").env("STREAMIT_DATA_DIR", &data);
        env.env.extend(self.env);
        let started = Program::start::<&str>("streamit", &program("streamit"), &[], &env.env, home.path());
        let address = started.printed("listening http://").await?;
        let served = Served::new(started, address);
        served.is_ready().await?;
        Ok(System(Arc::new(Inner {
            apis: vec![served],
            nodes: Vec::new(),
            redis: None,
            grpc: None,
            database: None,
            door: None,
            home,
        })))
    }

    async fn start_cluster(self, home: TempDir, apis: usize, nodes: usize) -> Result<System, String> {
        let keys = home.path().join("keys");
        signing_keys(&keys)?;
        let (api, realtime) = (program("streamit-api"), program("streamit-realtime"));
        let database = postgres::database().await?;
        let (redis, redis_url) = redis::start(home.path()).await?;

        let env = self.env("REDIS_URL", &redis_url).env("STREAMIT_LISTEN", "127.0.0.1:0");
        let of_api = env
            .clone()
            .env("DATABASE_URL", &database)
            .env("STREAMIT_SIGNING_KEYS", &keys.display().to_string())
            .env("STREAMIT_GRPC_LISTEN", "127.0.0.1:0");
        let migrated = Program::start("migrate", &api, &["migrate"], &of_api.env, home.path()).ended().await;
        if !migrated.is_success() {
            return Err(format!("migrate ended with {}:\n{}", migrated.status, migrated.stderr));
        }

        let scheme =
            if env.env.iter().any(|(name, _)| name == "STREAMIT_GRPC_TLS_CERT") { "https" } else { "http" };
        let start_api = async |i: usize| {
            let process = Program::start::<&str>(&format!("api-{i}"), &api, &[], &of_api.env, home.path());
            let grpc = process.printed("listening grpc://").await?;
            let address = process.printed("listening http://").await?;
            Ok::<_, String>((Served::new(process, address), format!("{scheme}://{grpc}")))
        };
        let (apis, grpc): (Vec<_>, Vec<_>) =
            try_join_all((0..apis).map(start_api)).await?.into_iter().unzip();

        let start_node = async |i: usize| {
            let name = format!("node-{i}");
            let env = env.clone().env("STREAMIT_API_GRPC", &grpc.join(",")).env("STREAMIT_NODE_ID", &name);
            let process = Program::start::<&str>(&name, &realtime, &[], &env.env, home.path());
            let address = process.printed("listening http://").await?;
            Ok::<_, String>(Served::new(process, address))
        };
        let nodes = try_join_all((0..nodes).map(start_node)).await?;
        try_join_all(apis.iter().chain(&nodes).map(Served::is_ready)).await?;
        let (redis, grpc) = (Some((Arc::new(redis), redis_url)), Some(grpc.join(",")));
        Ok(System(Arc::new(Inner { apis, nodes, redis, database: Some(database), grpc, door: None, home })))
    }
}

/// The key that signs tokens, and one that is known as well but does not sign before it is ten minutes old.
const KEYS: [&str; 2] = ["test", "unused"];

/// Makes a directory with keys that sign tokens.
///
/// # Errors
/// When it can't be written.
pub(crate) fn signing_keys(directory: &Path) -> Result<(), String> {
    KEYS.iter().try_for_each(|id| signing_key(directory, id))
}

fn signing_key(directory: &Path, id: &str) -> Result<(), String> {
    let mut seed = [0; 32];
    let (first, second) = seed.split_at_mut(16);
    // The randomness of a version 4 UUID's 122 bits, twice: enough for a key that lives for minutes.
    first.copy_from_slice(random().as_bytes());
    second.copy_from_slice(random().as_bytes());
    let pem =
        SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    let file = directory.join(format!("{id}.pem"));
    let write = || {
        fs::create_dir_all(directory)?;
        fs::write(&file, pem.as_bytes())?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))
    };
    write().map_err(|error| format!("{}: {error}", file.display()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a key must differ from run to run; nothing is injected into tests"
)]
pub(crate) fn random() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// A program and where it serves.
#[derive(Debug)]
pub(crate) struct Served {
    process: RwLock<Arc<Program>>,
    address: String,
}

impl Served {
    /// This program serves there.
    pub(crate) fn new(process: Program, address: String) -> Self {
        Self { process: RwLock::new(Arc::new(process)), address }
    }

    /// Another program serves there from now on. The one before has ended.
    pub(crate) fn is_now(&self, process: Program) {
        *self.process.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(process);
    }

    fn process(&self) -> Arc<Program> {
        self.process.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn is_ready(&self) -> Result<(), String> {
        let http = Http::new(&format!("http://{}", self.address)).map_err(|error| error.to_string())?;
        let process = self.process();
        let what = format!("{} to be ready", process.name());
        let ready = until(&what, async || match process.status() {
            Some(status) => Some(Err(format!("{} ended with {status}", process.name()))),
            None => {
                let answer = http.raw("GET", "/readyz", None).await;
                answer.is_ok_and(|answer| answer.status == 200).then_some(Ok(()))
            }
        });
        let told = |why: String| format!("{why}\n{}", process.log());
        ready.await.map_err(told)?.map_err(told)
    }
}

/// A running StreamIt. Its processes end with the last clone, or with the tests.
#[derive(Clone, Debug)]
pub struct System(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    apis: Vec<Served>,
    nodes: Vec<Served>,
    redis: Option<(Arc<Program>, String)>,
    database: Option<String>,
    grpc: Option<String>,
    /// The one address at which people find all of it.
    door: Option<String>,
    home: TempDir,
}

impl System {
    /// A cluster that somebody else has put together. Its Redis and its database are theirs.
    /// People find it at the `door`, if there is one, else each program at its own address.
    pub(crate) fn of(apis: Vec<Served>, nodes: Vec<Served>, door: Option<String>, home: TempDir) -> Self {
        Self(Arc::new(Inner { apis, nodes, redis: None, database: None, grpc: None, door, home }))
    }

    /// Whether it is many programs.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        !self.0.nodes.is_empty()
    }

    /// How many replicas of the api there are.
    #[must_use]
    pub fn apis(&self) -> usize {
        self.0.apis.len()
    }

    /// How many realtime nodes there are. The standalone program is one.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.nodes.len().max(1)
    }

    /// A way to ask the `i`-th api, counted round and round. WebSockets of the handle go to the `i`-th node. Each call
    /// gives connections of its own: they belong to the test's runtime.
    #[must_use]
    pub fn http(&self, i: usize) -> Http {
        Http::new(&self.http_base(i)).expect("an address is a URL").with_ws(&self.ws(i))
    }

    /// The same, with cookies.
    #[must_use]
    pub fn browser(&self, i: usize) -> Http {
        Http::with_cookie_jar(&self.http_base(i)).expect("an address is a URL").with_ws(&self.ws(i))
    }

    fn http_base(&self, i: usize) -> String {
        let api = &self.0.apis[i % self.0.apis.len()].address;
        format!("http://{}", self.0.door.as_ref().unwrap_or(api))
    }

    /// Where the WebSockets of the `i`-th node are, counted round and round.
    #[must_use]
    pub fn ws(&self, i: usize) -> String {
        format!("ws://{}", self.0.door.as_ref().unwrap_or(&self.served_node(i).address))
    }

    pub(crate) fn served_node(&self, i: usize) -> &Served {
        let nodes = if self.is_cluster() { &self.0.nodes } else { &self.0.apis };
        &nodes[i % nodes.len()]
    }

    /// The process of the `i`-th node.
    #[must_use]
    pub fn node(&self, i: usize) -> Arc<Program> {
        self.served_node(i).process()
    }

    /// The process of the `i`-th api.
    #[must_use]
    pub fn api(&self, i: usize) -> Arc<Program> {
        self.served_api(i).process()
    }

    pub(crate) fn served_api(&self, i: usize) -> &Served {
        &self.0.apis[i % self.0.apis.len()]
    }

    /// The URL of its database, when it is a server.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.0.database.as_deref()
    }

    /// The URL of its Redis, when it has one.
    #[must_use]
    pub fn redis(&self) -> Option<&str> {
        self.0.redis.as_ref().map(|(_, url)| url.as_str())
    }

    /// Where realtime nodes reach its apis, as they are told; nothing when that is inside one program.
    #[must_use]
    pub fn grpc(&self) -> Option<&str> {
        self.0.grpc.as_deref()
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.0.home.path()
    }

    /// All its processes.
    pub fn programs(&self) -> impl Iterator<Item = Arc<Program>> {
        let served = self.0.apis.iter().chain(&self.0.nodes).map(Served::process);
        served.chain(self.0.redis.as_ref().map(|(program, _)| program.clone()))
    }

    /// How long each log is now.
    pub(crate) fn marks(&self) -> Vec<usize> {
        self.programs().map(|program| program.log_length()).collect()
    }

    /// Prints what was logged after the marks, and who has ended.
    pub(crate) fn explain(&self, marks: &[usize]) {
        for (program, mark) in self.programs().zip(marks) {
            let log = program.log_after(*mark);
            let ended = program.status().map(|status| format!(", which ended with {status}"));
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
            println!("---- log of {}{}", program.name(), ended.unwrap_or_default());
            println!("{}", last.join("\n"));
        }
    }
}

impl System {
    /// Waits until all its programs that still run are ready.
    ///
    /// # Panics
    /// When one is not.
    pub async fn is_ready(&self) {
        let running =
            self.0.apis.iter().chain(&self.0.nodes).filter(|served| served.process().status().is_none());
        for ready in join_all(running.map(Served::is_ready)).await {
            ready.unwrap_or_else(|why| panic!("{why}"));
        }
    }
}
