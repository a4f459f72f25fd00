//! Putting a cluster together.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use futures_util::future::try_join_all;
use tempfile::TempDir;
use url::Url;

use super::{Cluster, again_and_again};
use crate::balancer::{Balancer, Kind, Places};
use crate::fault::{Postgres, Proxy};
use crate::system::{Engine, Served, signing_keys};
use crate::{Plan, Program, System, guard, postgres, program, redis};

/// What a realtime node is started with, and the proxies around it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) env: Vec<(String, String)>,
    pub(super) front: Proxy,
    pub(super) redis: Proxy,
    pub(super) apis: Vec<Proxy>,
}

/// The same of an api.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) env: Vec<(String, String)>,
    pub(super) front: Proxy,
    /// Where its pages find WebSockets, whichever nodes there are.
    pub(super) sockets: Proxy,
    pub(super) redis: Proxy,
    pub(super) database: Proxy,
}

/// Whose PostgreSQL a cluster uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Database {
    /// A database on the one that all tests share.
    Shared,
    /// A server that this cluster alone has.
    Own,
}

pub(super) async fn start(plan: Plan, database: Database, behind: Option<Kind>) -> Result<Cluster, String> {
    let places = behind.is_some().then(Places::new);
    let Engine::Cluster { apis, nodes } = plan.engine else {
        return Err("the standalone program has no lines to break".to_owned());
    };
    let home = TempDir::with_prefix("streamit-fault-").map_err(|error| error.to_string())?;
    guard::remove_at_end(home.path());
    let keys = home.path().join("keys");
    signing_keys(&keys)?;
    let (server, port) = redis::start_as("redis", home.path()).await?;
    let redis_at = SocketAddr::from(([127, 0, 0, 1], port));
    let (postgres, database_url) = match database {
        Database::Shared => (None, postgres::database().await?),
        Database::Own => {
            let own = Postgres::start(home.path()).await?;
            let address = own.address().ok_or("PostgreSQL is down")?;
            (Some(own), format!("postgres://streamit@{address}/postgres"))
        }
    };
    let database_url = Url::parse(&database_url).map_err(|error| error.to_string())?;

    let env = plan.env("STREAMIT_LISTEN", "127.0.0.1:0").env("STREAMIT_GRPC_LISTEN", "127.0.0.1:0");
    let plan_api = async |i: usize| {
        let (redis, database) =
            (proxy(Some(redis_at)).await?, proxy(Some(address_of(&database_url)?)).await?);
        let (front, sockets) = (proxy(None).await?, proxy(None).await?);
        let env = env
            .clone()
            .env("STREAMIT_PUBLIC_WS_URL", &format!("ws://{}", sockets.address()))
            .env("REDIS_URL", &format!("redis://{}", redis.address()))
            .env("DATABASE_URL", &with_address(&database_url, database.address())?)
            .env("STREAMIT_SIGNING_KEYS", &keys.display().to_string());
        let env = match &places {
            // Pages find the nodes where they came from, and the balancer finds the api again when it was restarted.
            Some(places) => {
                env.env("STREAMIT_PUBLIC_WS_URL", "").env("STREAMIT_LISTEN", &places.api(i).to_string())
            }
            None => env,
        };
        Ok::<_, String>(Api { env: env.env, front, sockets, redis, database })
    };
    let apis = try_join_all((0..apis).map(plan_api)).await?;
    // Pages come from the apis' addresses, and may open WebSockets to any node.
    let origins: Vec<String> = apis.iter().map(|api| format!("http://{}", api.front.address())).collect();
    let plan_node = async |i: usize| {
        let (front, redis) = (proxy(None).await?, proxy(Some(redis_at)).await?);
        let apis = try_join_all(apis.iter().map(async |_| proxy(None).await)).await?;
        let grpc: Vec<String> = apis.iter().map(|api| format!("http://{}", api.address())).collect();
        let env = env
            .clone()
            .env("REDIS_URL", &format!("redis://{}", redis.address()))
            .env("STREAMIT_API_GRPC", &grpc.join(","))
            .env("STREAMIT_ALLOWED_ORIGINS", &origins.join(","))
            .env("STREAMIT_NODE_ID", &format!("node-{i}"));
        let env = match &places {
            Some(places) => {
                env.env("STREAMIT_ALLOWED_ORIGINS", "").env("STREAMIT_LISTEN", &places.node(i).to_string())
            }
            None => env,
        };
        Ok::<_, String>(Node { env: env.env, front, redis, apis })
    };
    let nodes = try_join_all((0..nodes).map(plan_node)).await?;

    let first = apis.first().ok_or("a cluster has an api")?;
    let migrate = Program::start("migrate", &program("streamit-api"), &["migrate"], &first.env, home.path());
    let migrated = migrate.ended().await;
    if !migrated.is_success() {
        return Err(format!("migrate ended with {}:\n{}", migrated.status, migrated.stderr));
    }
    let start_api = async |i: usize| {
        let launch = async || launch_api(i, &apis[i], &nodes, &format!("api-{i}"), home.path()).await;
        let process = again_and_again(launch).await?;
        Ok::<_, String>(Served::new(process, apis[i].front.address().to_string()))
    };
    let served_apis = try_join_all((0..apis.len()).map(start_api)).await?;
    let start_node = async |i: usize| {
        let process = launch_node(&nodes[i], &format!("node-{i}"), home.path()).await?;
        Ok::<_, String>(Served::new(process, nodes[i].front.address().to_string()))
    };
    let served_nodes = try_join_all((0..nodes.len()).map(start_node)).await?;
    try_join_all(served_apis.iter().chain(&served_nodes).map(Served::is_ready)).await?;

    for (api, node) in apis.iter().zip(nodes.iter().cycle()) {
        api.sockets.leads_to(Some(node.front.address()));
    }

    let balancer = match (behind, places) {
        (Some(kind), Some(places)) => Some(Balancer::start(kind, &places, home.path()).await?),
        _ => None,
    };
    let door = balancer.as_ref().map(|balancer| balancer.address().to_string());
    let names = (0..apis.len()).map(|i| format!("api-{i}"));
    let names = names.chain((0..nodes.len()).map(|i| format!("node-{i}"))).collect();
    Ok(Cluster {
        balancer,
        system: System::of(served_apis, served_nodes, door, home),
        nodes,
        apis,
        redis: tokio::sync::Mutex::new(Some((server, redis_at))),
        postgres: postgres.map(tokio::sync::Mutex::new),
        database_url,
        starts: AtomicUsize::new(1),
        names: Mutex::new(names),
    })
}

/// Starts an api, and leads there who wants to go there.
pub(super) async fn launch_api(
    i: usize,
    api: &Api,
    nodes: &[Node],
    name: &str,
    home: &Path,
) -> Result<Program, String> {
    let process = Program::start::<&str>(name, &program("streamit-api"), &[], &api.env, home);
    let grpc = listening(&process, "grpc").await?;
    for node in nodes {
        node.apis[i].leads_to(Some(grpc));
    }
    api.front.leads_to(Some(listening(&process, "http").await?));
    Ok(process)
}

/// Starts a node, and leads its clients there.
pub(super) async fn launch_node(node: &Node, name: &str, home: &Path) -> Result<Program, String> {
    let process = Program::start::<&str>(name, &program("streamit-realtime"), &[], &node.env, home);
    node.front.leads_to(Some(listening(&process, "http").await?));
    Ok(process)
}

async fn listening(process: &Program, scheme: &str) -> Result<SocketAddr, String> {
    let address = process.printed(&format!("listening {scheme}://")).await?;
    address.parse().map_err(|_| format!("{} listens at {address}", process.name()))
}

async fn proxy(target: Option<SocketAddr>) -> Result<Proxy, String> {
    Proxy::start(target).await.map_err(|error| error.to_string())
}

fn address_of(url: &Url) -> Result<SocketAddr, String> {
    let addresses = url.socket_addrs(|| Some(5432)).map_err(|error| error.to_string())?;
    addresses.into_iter().next().ok_or_else(|| "the database has no address".to_owned())
}

fn with_address(url: &Url, address: SocketAddr) -> Result<String, String> {
    let mut url = url.clone();
    let changed = url.set_ip_host(address.ip()).and_then(|()| url.set_port(Some(address.port())));
    changed.map(|()| url.into()).map_err(|()| "the database's address can't be changed".to_owned())
}
