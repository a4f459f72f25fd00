//! The realtime nodes of an installation, and what an operator may ask of them.
//!
//! Nodes say with each beat how they are; an order is told to all of them, and the one that is meant follows it. So a
//! running api, which has live state in hand, and a command on a terminal, which has but its address, do the same.

pub mod cli;

use std::collections::BTreeMap;
use std::time::Duration;

use streamit_bus::{Error, Rooms};
use streamit_domain::{Incarnation, Timestamp};
use streamit_telemetry::Entropy;
use streamit_wire::v1;

/// How often an order is told before it is given up, each time for as long as live state may take.
const TRIES: u32 = 3;
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);
/// The longest time over which connections are closed. (Nodes shorten what is longer.)
pub const LONGEST: Duration = Duration::from_secs(600);
/// The usual one.
pub const WINDOW: Duration = Duration::from_secs(15);

/// A realtime node, as it said of itself a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name in logs (`STREAMIT_NODE_ID`); empty if it is of a release that tells nothing of itself.
    pub name: String,
    /// Its present life.
    pub incarnation: Incarnation,
    /// Its release.
    pub version: String,
    /// Open connections.
    pub connections: u64,
    /// Live rooms.
    pub rooms: u64,
    /// Connections that are being admitted, or wait for that.
    pub joining: u64,
    /// Whether it takes nobody: it was told to drain, or stops.
    pub is_draining: bool,
    /// How long ago it said so.
    pub beaten: Duration,
    /// Room time at which it began; `None` if it did not tell.
    pub started: Option<Timestamp>,
    /// Resident memory in bytes; `None` if it did not tell.
    pub memory: Option<u64>,
}

/// What a node is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Put so many of a hundred connections out, within this time.
    Shed(u32, Duration),
    /// Put everybody out within this time and take nobody any more.
    Drain(Duration),
    /// Take people again.
    Resume,
}

/// Why an order was not given.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No living node is called so.
    #[error("no node is called {0}; there are: {1}")]
    Unknown(String, String),
    /// Its people would have nowhere to go.
    #[error("there is no other node that could take its people over")]
    Alone,
    /// Nobody can be told.
    #[error("live state can't be reached")]
    Away(#[from] Error),
}

/// Every node that lives, by name.
///
/// # Errors
/// When live state can't be reached.
pub async fn list(rooms: &dyn Rooms) -> Result<Vec<Node>, Error> {
    let mut told = rooms.statuses().await?;
    let now = rooms.now();
    // A node that was paused has begun a new life, and the lease of the old one may not have run out yet.
    told.sort_by_key(|told| told.at);
    let mut all = BTreeMap::new();
    for told in told {
        let status = told.status;
        let nameless = status.name.is_empty().then_some(told.incarnation);
        let node = Node {
            incarnation: told.incarnation,
            version: status.version,
            connections: status.connections,
            rooms: status.rooms,
            joining: status.joining,
            is_draining: status.is_draining,
            beaten: now.since(told.at),
            started: (status.started_at != 0).then_some(Timestamp(status.started_at)),
            memory: (status.memory != 0).then_some(status.memory),
            name: status.name.clone(),
        };
        all.insert((status.name, status.started_at, nameless), node);
    }
    Ok(all.into_values().collect())
}

/// Gives a node an order; what comes of it is seen in [`list`]. Returns how many nodes heard it.
///
/// # Errors
/// When there is no such node, when its people would have nowhere to go, or when nobody can be told.
pub async fn tell(
    rooms: &dyn Rooms,
    entropy: &dyn Entropy,
    node: &str,
    order: Order,
) -> Result<u64, Refused> {
    check(&list(rooms).await?, node, order)?;
    let id = entropy.uuid_v4().as_bytes().to_vec();
    let event = v1::Event { kind: Some(kind(id, node.to_owned(), order)), ..v1::Event::default() };
    let mut told = rooms.publish_all(&event).await;
    for _ in 1..TRIES {
        if told.is_ok() {
            break;
        }
        tokio::time::sleep(AGAIN).await;
        told = rooms.publish_all(&event).await; // heard twice, it is followed once
    }
    Ok(told?)
}

fn check(nodes: &[Node], name: &str, order: Order) -> Result<(), Refused> {
    // One that tells no name may be the one that is meant.
    if !nodes.iter().any(|node| node.name == name || node.name.is_empty()) {
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Refused::Unknown(name.to_owned(), names));
    }
    let is_there = |node: &Node| node.name != name && !node.is_draining;
    if order != Order::Resume && !nodes.iter().any(is_there) {
        return Err(Refused::Alone);
    }
    Ok(())
}

fn kind(id: Vec<u8>, node: String, order: Order) -> v1::event::Kind {
    use v1::event::Kind;
    let millis = |window: Duration| u32::try_from(window.min(LONGEST).as_millis()).unwrap_or(u32::MAX);
    match order {
        Order::Shed(percent, over) => {
            Kind::Shed(v1::Shed { id, node, percent: percent.min(100), window_ms: millis(over) })
        }
        Order::Drain(over) => Kind::Drain(v1::Drain { id, node, window_ms: millis(over) }),
        Order::Resume => Kind::Resume(v1::Resume { id, node }),
    }
}

#[cfg(test)]
mod tests {
    use streamit_bus::memory::MemoryRooms;
    use streamit_telemetry::{SystemClock, SystemEntropy};
    use uuid::Uuid;

    use super::*;

    const DRAIN: Order = Order::Drain(WINDOW);

    async fn say(rooms: &MemoryRooms, life: u128, name: &str, is_draining: bool) {
        let status =
            v1::NodeStatus { name: name.to_owned(), started_at: 1, is_draining, ..v1::NodeStatus::default() };
        rooms.beat(Incarnation(Uuid::from_u128(life)), &status).await.unwrap();
    }

    async fn ask(rooms: &MemoryRooms, node: &str, order: Order) -> Result<u64, Refused> {
        tell(rooms, &SystemEntropy, node, order).await
    }

    #[tokio::test]
    async fn an_order_reaches_a_node_that_is_there_and_whose_people_have_somewhere_to_go() {
        let rooms = MemoryRooms::new(SystemClock::shared());
        let _node = rooms.subscribe_all().await.unwrap();
        assert!(matches!(ask(&rooms, "a", DRAIN).await, Err(Refused::Unknown(..))));
        say(&rooms, 1, "a", false).await;
        for order in [DRAIN, Order::Shed(10, WINDOW)] {
            assert!(matches!(ask(&rooms, "a", order).await, Err(Refused::Alone)), "{order:?}");
        }
        assert_eq!(ask(&rooms, "a", Order::Resume).await.unwrap(), 1);
        say(&rooms, 2, "b", true).await;
        assert!(matches!(ask(&rooms, "a", DRAIN).await, Err(Refused::Alone)), "the other one takes nobody");
        say(&rooms, 2, "b", false).await;
        assert_eq!(ask(&rooms, "a", DRAIN).await.unwrap(), 1);
        let unknown = ask(&rooms, "c", DRAIN).await.unwrap_err().to_string();
        assert!(unknown.contains("no node is called c; there are: a, b"), "{unknown}");
        say(&rooms, 3, "", false).await;
        assert!(ask(&rooms, "c", DRAIN).await.is_ok(), "a node of an older release may be meant");
    }

    #[tokio::test]
    async fn a_node_in_a_new_life_is_listed_once() {
        let rooms = MemoryRooms::new(SystemClock::shared());
        say(&rooms, 1, "a", false).await;
        let before = rooms.now();
        while rooms.now() == before {
            tokio::task::yield_now().await;
        }
        say(&rooms, 2, "a", false).await;
        let nodes = list(&rooms).await.unwrap();
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes[0].incarnation, Incarnation(Uuid::from_u128(2)));
        assert!(nodes[0].beaten < Duration::from_secs(5));
    }
}
