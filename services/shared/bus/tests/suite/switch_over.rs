//! A primary that becomes a replica and lives on, with every connection that it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use streamit_bus::redis::{RedisOptions, RedisRooms};
use streamit_bus::{Cas, Expect, Rooms};

use super::proxy::Proxy;
use super::support::*;

/// How long everything may take to be where the name leads, with a probe each second, on a busy machine.
const A_FEW_SECONDS: Duration = Duration::from_secs(5);

/// Two servers, the second of which has what the first one has, and the name that leads to the first one.
struct Pair {
    old: Server,
    new: Server,
    operators: [MultiplexedConnection; 2],
    name: Proxy,
}

impl Pair {
    async fn start() -> Self {
        let (old, new) = (Server::start().await, Server::start().await);
        let operators = [old.operator().await, new.operator().await];
        let name = Proxy::to(old.port).await;
        let mut pair = Self { old, new, operators, name };
        pair.replicate(1, Some(pair.old.port)).await;
        until("the second one has it all", async || {
            let mut operator = pair.operators[1].clone();
            let info: String =
                redis::cmd("INFO").arg("replication").query_async(&mut operator).await.unwrap();
            info.contains("master_link_status:up")
        })
        .await;
        pair
    }

    /// Makes one of the two follow a port, or lead.
    async fn replicate(&mut self, which: usize, port: Option<u16>) {
        let mut command = redis::cmd("REPLICAOF");
        match port {
            Some(port) => command.arg("127.0.0.1").arg(port),
            None => command.arg("NO").arg("ONE"),
        };
        let _: () = command.query_async(&mut self.operators[which]).await.unwrap();
    }

    /// What is to be done when it is planned, as the runbook has it.
    async fn switch_over(&mut self) {
        self.replicate(1, None).await;
        self.name.leads_to(self.new.port);
        self.replicate(0, Some(self.new.port)).await;
    }

    /// The connections of ours that are on one of the two: what each did last.
    async fn ours(&self, which: usize) -> Vec<String> {
        let mut operator = self.operators[which].clone();
        let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut operator).await.unwrap();
        let word = |client: &str, name: &str| {
            client.split(' ').find_map(|word| word.strip_prefix(name).map(str::to_owned)).unwrap_or_default()
        };
        let is_ours = |client: &&str| {
            let flags = word(client, "flags=");
            !flags.contains(['M', 'S']) && word(client, "cmd=") != "client|list"
        };
        list.lines().filter(is_ours).map(|client| word(client, "cmd=")).collect()
    }
}

/// As in a deployment.
async fn node(pair: &Pair) -> Arc<RedisRooms> {
    Arc::new(node_with(&pair.name.url(), RedisOptions::default()).await)
}

/// Publishes without a pause, on several connections, until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn with(rooms: &Arc<RedisRooms>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..4 {
            let (rooms, stop) = (rooms.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    let _ = rooms.publish(room(), &news(1)).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[tokio::test]
async fn a_planned_switch_over_takes_everybody_along() {
    let mut pair = Pair::start().await;
    // One that listens, one that only tells and never rests, one that tells now and then.
    let (listens, tells, seldom) = (node(&pair).await, node(&pair).await, node(&pair).await);
    let room = room();
    let mut heard = listens.subscribe(room).await.unwrap();
    let _busy = Busy::with(&tells);
    news_comes_through(&tells, &mut heard, room).await;
    news_comes_through(&seldom, &mut heard, room).await;
    assert!(pair.ours(0).await.len() >= 8, "{:?}", pair.ours(0).await);
    assert_eq!(pair.ours(1).await, Vec::<String>::new());
    let doubts = listens.doubts();

    pair.switch_over().await;

    let converged = until("nobody is left on the old one", async || pair.ours(0).await.is_empty());
    tokio::time::timeout(A_FEW_SECONDS, converged).await.expect("it takes too long");
    hear_renewed(&mut heard).await;
    for rooms in [&listens, &tells, &seldom] {
        healthy(&**rooms).await;
        news_comes_through(rooms, &mut heard, room).await;
    }
    assert!(listens.doubts() > doubts, "what was said meanwhile is not known");
    let first = Expect { version: None, confirmed: false, only_if_empty: true, fence: Some(1) };
    listens.raise_fence(room, 1).await.unwrap();
    assert_eq!(listens.set_playback(room, first, &state(1, 1)).await.unwrap(), Cas::Stored);
    assert_eq!(pair.ours(0).await, Vec::<String>::new());
}

#[tokio::test]
async fn while_the_name_leads_to_a_replica_nobody_believes_it() {
    let mut pair = Pair::start().await;
    let rooms = node(&pair).await;
    let mut heard = rooms.subscribe(room()).await.unwrap();
    rooms.publish(room(), &news(1)).await.unwrap();

    // The name is late.
    pair.replicate(1, None).await;
    pair.replicate(0, Some(pair.new.port)).await;
    until("it is not healthy", async || !rooms.is_healthy()).await;
    until("what is told is refused, not lost", async || rooms.publish(room(), &news(1)).await.is_err()).await;

    pair.name.leads_to(pair.new.port);
    hear_renewed(&mut heard).await;
    healthy(&*rooms).await;
    let room = room();
    let mut heard = rooms.subscribe(room).await.unwrap();
    news_comes_through(&rooms, &mut heard, room).await;
    until("nobody is left on the old one", async || pair.ours(0).await.is_empty()).await;
}

#[tokio::test]
async fn where_the_probes_go_everything_goes() {
    let mut pair = Pair::start().await;
    let rooms = node(&pair).await;
    let room = room();
    let mut heard = rooms.subscribe(room).await.unwrap();
    let _busy = Busy::with(&rooms);
    news_comes_through(&rooms, &mut heard, room).await;

    // Both lead for a while, and the name has moved. What probes is cut, nothing else is.
    pair.replicate(1, None).await;
    pair.name.leads_to(pair.new.port);
    let mut operator = pair.operators[0].clone();
    until("the probes are on the new one", async || {
        let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut operator).await.unwrap();
        for probe in list.lines().filter(|client| client.contains(" cmd=info ")) {
            let id = probe.split(' ').find_map(|word| word.strip_prefix("id=")).unwrap();
            let mut kill = redis::cmd("CLIENT");
            let _: u64 = kill.arg("KILL").arg("ID").arg(id).query_async(&mut operator).await.unwrap();
        }
        pair.ours(1).await.iter().any(|last| last == "info")
    })
    .await;

    until("nobody is left on the old one", async || pair.ours(0).await.is_empty()).await;
    healthy(&*rooms).await;
    news_comes_through(&rooms, &mut heard, room).await;
}
