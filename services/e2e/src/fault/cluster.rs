//! The real programs, with a proxy on every line.

mod start;

use std::net::SocketAddr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;
use url::Url;

use self::start::{Api, Database, Node};
use super::{Lane, Link, Postgres, redis_says};
use crate::balancer::{Balancer, Kind};
use crate::{Ended, Plan, Program, System, redis, until};

/// How many lines of each log explain a failure.
const LAST_WORDS: usize = 40;

/// A cluster whose lines and processes can be made to fail.
///
/// Its [`System`] is what people use; every address there is that of a proxy, and stays the same when a program is
/// started again.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the directory goes with the system, and PostgreSQL works in it.
    balancer: Option<Balancer>,
    postgres: Option<Mutex<Postgres>>,
    database_url: Url,
    redis: Mutex<Option<(Program, SocketAddr)>>,
    /// The programs, as people see them.
    pub system: System,
    nodes: Vec<Node>,
    apis: Vec<Api>,
    starts: AtomicUsize,
    /// Of all programs that were ever started: what their logs are called.
    names: std::sync::Mutex<Vec<String>>,
}

impl Cluster {
    /// Starts a planned cluster, with a database on the PostgreSQL that all tests share.
    ///
    /// # Panics
    /// When it can't be started; with the logs.
    pub async fn start(plan: Plan) -> Self {
        start::start(plan, Database::Shared, None).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Starts a planned cluster with a PostgreSQL of its own, which may then be stopped.
    ///
    /// # Panics
    /// When it can't be started; with the logs.
    pub async fn with_postgres(plan: Plan) -> Self {
        start::start(plan, Database::Own, None).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Starts a planned cluster behind a balancer, which is all that people see of it.
    ///
    /// # Panics
    /// When it can't be started; with the logs.
    pub async fn behind(kind: Kind, plan: Plan) -> Self {
        start::start(plan, Database::Shared, Some(kind)).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// The balancer in front of it.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn balancer(&self) -> &Balancer {
        self.balancer.as_ref().expect("the cluster was started behind a balancer")
    }

    /// How many realtime nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// How many replicas of the api there are.
    #[must_use]
    pub fn apis(&self) -> usize {
        self.apis.len()
    }
}

/// The lines.
impl Cluster {
    /// From clients to a node.
    #[must_use]
    pub fn clients(&self, node: usize) -> Link {
        self.nodes[node].front.link()
    }

    /// From a node to Redis: what it asks.
    #[must_use]
    pub fn redis_calls(&self, node: usize) -> Link {
        self.nodes[node].redis.lane(Lane::Calls)
    }

    /// From a node to Redis: what it is told.
    #[must_use]
    pub fn redis_news(&self, node: usize) -> Link {
        self.nodes[node].redis.lane(Lane::News)
    }

    /// From a node to an api.
    #[must_use]
    pub fn authority(&self, node: usize, api: usize) -> Link {
        self.nodes[node].apis[api].link()
    }

    /// Has the WebSockets that an api's pages open from now on lead to a node, as a load balancer would. At first they
    /// lead to the node of the api's own number.
    pub fn leads_sockets(&self, api: usize, node: usize) {
        self.apis[api].sockets.leads_to(Some(self.nodes[node].front.address()));
    }

    /// From people to an api, over HTTP.
    #[must_use]
    pub fn http(&self, api: usize) -> Link {
        self.apis[api].front.link()
    }

    /// From an api to Redis: what it asks and announces.
    #[must_use]
    pub fn api_redis(&self, api: usize) -> Link {
        self.apis[api].redis.lane(Lane::Calls)
    }

    /// From an api to PostgreSQL.
    #[must_use]
    pub fn database(&self, api: usize) -> Link {
        self.apis[api].database.link()
    }

    /// Every line between two programs, with what it is called.
    #[must_use]
    pub fn inner_links(&self) -> Vec<(String, Link)> {
        let mut links = Vec::new();
        for node in 0..self.nodes() {
            links.push((format!("node {node} to redis, calls"), self.redis_calls(node)));
            links.push((format!("node {node} to redis, news"), self.redis_news(node)));
            for api in 0..self.apis() {
                links.push((format!("node {node} to api {api}"), self.authority(node, api)));
            }
        }
        for api in 0..self.apis() {
            links.push((format!("api {api} to redis"), self.api_redis(api)));
            links.push((format!("api {api} to postgres"), self.database(api)));
        }
        links
    }

    /// Fair weather on every line.
    pub fn heal(&self) {
        let fronts = (0..self.nodes()).map(|node| self.clients(node));
        let http = (0..self.apis()).map(|api| self.http(api));
        let inner = self.inner_links().into_iter().map(|(_, link)| link);
        for link in fronts.chain(http).chain(inner) {
            link.heal();
        }
    }
}

/// Starts a program as an orchestrator does: what ends because something that it needs is away is started again.
async fn again_and_again(launch: impl AsyncFn() -> Result<Program, String>) -> Result<Program, String> {
    const PAUSE: Duration = Duration::from_millis(200);
    let mut why = String::new();
    let started = until("a program to start", async || match launch().await {
        Ok(program) => Some(program),
        Err(error) => {
            why = error;
            tokio::time::sleep(PAUSE).await;
            None
        }
    });
    started.await.map_err(|late| format!("{late}: {why}"))
}

/// The processes.
impl Cluster {
    /// Ends a node at once, as a power cut would.
    pub fn kill_node(&self, node: usize) {
        self.nodes[node].front.leads_to(None);
        self.system.node(node).kill();
    }

    /// Asks a node to stop, and waits until it has; how it ended.
    ///
    /// # Panics
    /// When it does not.
    pub async fn stop_node(&self, node: usize) -> Ended {
        let process = self.system.node(node);
        process.terminate();
        let ended = process.ended().await;
        self.nodes[node].front.leads_to(None);
        ended
    }

    /// Starts a node again, whose process has ended, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_node(&self, node: usize) {
        let launch = async || {
            let name = self.next_name(&format!("node-{node}"));
            start::launch_node(&self.nodes[node], &name, self.system.home()).await
        };
        let served = self.system.served_node(node);
        served.is_now(again_and_again(launch).await.unwrap_or_else(|why| panic!("{why}")));
        served.is_ready().await.unwrap_or_else(|why| panic!("{why}"));
    }

    /// Asks an api to stop, and waits until it has; how it ended.
    ///
    /// # Panics
    /// When it does not.
    pub async fn stop_api(&self, api: usize) -> Ended {
        let process = self.system.api(api);
        process.terminate();
        let ended = process.ended().await;
        self.apis[api].front.leads_to(None);
        for node in &self.nodes {
            node.apis[api].leads_to(None);
        }
        ended
    }

    /// Ends an api at once.
    pub fn kill_api(&self, api: usize) {
        self.apis[api].front.leads_to(None);
        for node in &self.nodes {
            node.apis[api].leads_to(None);
        }
        self.system.api(api).kill();
    }

    /// Starts an api again, whose process has ended. It may take a while until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_api(&self, api: usize) {
        let launch = async || {
            let name = self.next_name(&format!("api-{api}"));
            start::launch_api(api, &self.apis[api], &self.nodes, &name, self.system.home()).await
        };
        let started = again_and_again(launch).await.unwrap_or_else(|why| panic!("{why}"));
        self.system.served_api(api).is_now(started);
    }

    /// Waits until every program that runs is ready.
    ///
    /// # Panics
    /// When one is not.
    pub async fn is_ready(&self) {
        self.system.is_ready().await;
    }

    fn next_name(&self, what: &str) -> String {
        let name = format!("{what}.{}", self.starts.fetch_add(1, Ordering::Relaxed));
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        name
    }

    /// Ends Redis, and all it had is lost.
    pub async fn kill_redis(&self) {
        self.each_redis(None);
        if let Some((server, _)) = self.redis.lock().await.take() {
            server.kill();
        }
    }

    /// Starts an empty Redis.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_redis(&self) {
        let name = self.next_name("redis");
        let (server, port) = redis::start_as(&name, self.system.home()).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        *self.redis.lock().await = Some((server, address));
        self.each_redis(Some(address));
    }

    /// A connection to the database, past every proxy: for what no call can ask or set.
    ///
    /// # Panics
    /// When there is none.
    pub async fn opens_database(&self) -> PgConnection {
        PgConnection::connect(self.database_url.as_str()).await.unwrap()
    }

    fn each_redis(&self, target: Option<SocketAddr>) {
        let proxies = self.nodes.iter().map(|node| &node.redis).chain(self.apis.iter().map(|api| &api.redis));
        for proxy in proxies {
            proxy.leads_to(target);
        }
    }

    /// Tells Redis something, directly.
    ///
    /// # Panics
    /// When it is down or does not answer.
    pub async fn redis_says(&self, command: &str) -> String {
        let address = self.redis.lock().await.as_ref().map(|(_, address)| *address).expect("Redis is there");
        redis_says(address, command).await.unwrap()
    }

    /// Its own PostgreSQL. What is done with it must end in one that runs, or the lines lead nowhere.
    ///
    /// # Panics
    /// When it has none, or `does` fails.
    pub async fn with_database<T>(&self, does: impl AsyncFnOnce(&mut Postgres) -> Result<T, String>) -> T {
        let postgres = self.postgres.as_ref().expect("the cluster was started with a PostgreSQL of its own");
        let mut postgres = postgres.lock().await;
        let done = does(&mut postgres).await.unwrap();
        for api in &self.apis {
            api.database.leads_to(postgres.address());
        }
        done
    }
}

/// What is told of them.
impl Cluster {
    /// How much processor time a node has used.
    ///
    /// # Panics
    /// When its process has ended.
    #[must_use]
    pub fn cpu_of_node(&self, node: usize) -> Duration {
        /// The kernel's, on every machine that Linux runs on today.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.system.node(node).pid())).unwrap();
        // The second field is a name in parentheses and may hold anything.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u32 =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u32>().ok()).sum();
        Duration::from_secs_f64(f64::from(ticks) / TICKS_PER_SECOND)
    }

    /// The last lines of every log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut words = self.balancer.as_ref().map_or_else(String::new, Balancer::last_words);
        for name in names {
            let log = std::fs::read(self.system.home().join(format!("{name}.stderr"))).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
            words += &format!("---- log of {name}\n{}\n", last.join("\n"));
        }
        words
    }
}
