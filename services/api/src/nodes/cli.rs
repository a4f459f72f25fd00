//! The same on a terminal: `nodes`, `shed`, `drain`, `resume`.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use secrecy::SecretString;
use streamit_bus::Rooms;
use streamit_bus::redis::{RedisOptions, RedisRooms};
use streamit_edge::SecretFile;
use streamit_telemetry::{SystemClock, SystemEntropy};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{LONGEST, Node, Order, Refused};
use crate::config;

const AWAY: &str = "REDIS_URL can't be reached";

/// Where nodes are found.
#[derive(Args, Debug)]
pub struct Redis {
    /// The Redis that all services share: `redis://` or `rediss://`. Required.
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    redis_url: Option<SecretString>,
    /// A file that holds the URL of Redis, instead.
    #[arg(long, env = "REDIS_URL_FILE", value_name = "PATH", default_value = "", hide_default_value = true)]
    redis_url_file: SecretFile,
}

/// Which node is meant.
#[derive(Args, Debug)]
pub struct Which {
    /// The node, by its name in logs (`STREAMIT_NODE_ID`). Required.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    node: String,
    #[command(flatten)]
    redis: Redis,
}

/// Whom to ask for how much.
#[derive(Args, Debug)]
pub struct Shed {
    #[command(flatten)]
    which: Which,
    /// How many of a hundred connections are put out, 1 to 100. Required.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    percent: u32,
    /// Over how long, up to 10m: each connection is closed at its own moment.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = window)]
    over: Duration,
}

/// Whom to ask to put everybody out.
#[derive(Args, Debug)]
pub struct Drain {
    #[command(flatten)]
    which: Which,
    /// Over how long, up to 10m: each connection is closed at its own moment.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = window)]
    over: Duration,
}

fn window(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str = "must be a duration up to 10m, such as 15s";
    let window = humantime::parse_duration(text).map_err(|_| ALLOWED.to_owned())?;
    if window <= LONGEST { Ok(window) } else { Err(ALLOWED.to_owned()) }
}

/// Has a node put a share of its connections out. Returns how many nodes heard it.
///
/// # Errors
/// When Redis can't be reached, or the order is refused.
pub async fn shed(shed: &Shed) -> anyhow::Result<u64> {
    tell(&shed.which, Order::Shed(shed.percent, shed.over)).await
}

/// Has a node put everybody out and take nobody. Returns how many nodes heard it.
///
/// # Errors
/// When Redis can't be reached, or the order is refused.
pub async fn drain(drain: &Drain) -> anyhow::Result<u64> {
    tell(&drain.which, Order::Drain(drain.over)).await
}

/// Has a node take people again. Returns how many nodes heard it.
///
/// # Errors
/// When Redis can't be reached, or the order is refused.
pub async fn resume(which: &Which) -> anyhow::Result<u64> {
    tell(which, Order::Resume).await
}

/// The nodes, as a table with a line for each.
///
/// # Errors
/// When Redis can't be reached.
pub async fn table(redis: &Redis) -> anyhow::Result<String> {
    let (rooms, _stop) = connect(redis).await?;
    Ok(draw(&super::list(&rooms).await.context(AWAY)?, &rooms))
}

async fn tell(which: &Which, order: Order) -> anyhow::Result<u64> {
    let (rooms, _stop) = connect(&which.redis).await?;
    let heard = match super::tell(&rooms, &SystemEntropy, &which.node, order).await {
        Err(Refused::Away(error)) => Err(error).context(AWAY)?,
        told => told?,
    };
    ensure!(heard > 0, "no realtime node listens on this Redis");
    Ok(heard)
}

async fn connect(redis: &Redis) -> anyhow::Result<(RedisRooms, DropGuard)> {
    let url = config::redis_url(redis.redis_url.as_ref(), &redis.redis_url_file)?;
    let stop = CancellationToken::new();
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let rooms = RedisRooms::connect(url, RedisOptions::default(), clock, entropy, stop.clone())
        .await
        .context("REDIS_URL can't be used")?;
    Ok((rooms, stop.drop_guard()))
}

fn draw(nodes: &[Node], rooms: &dyn Rooms) -> String {
    let head = ["name", "version", "connections", "rooms", "joining", "draining", "up", "memory"];
    let mut lines = vec![head.map(str::to_owned)];
    for node in nodes {
        let up = node.started.map(|started| Duration::from_secs(rooms.now().since(started).as_secs()));
        let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        lines.push([
            or_none(&node.name),
            or_none(&node.version),
            node.connections.to_string(),
            node.rooms.to_string(),
            node.joining.to_string(),
            if node.is_draining { "yes" } else { "no" }.to_owned(),
            up.map_or_else(|| "-".to_owned(), |up| humantime::format_duration(up).to_string()),
            node.memory.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut table = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        table.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use streamit_bus::memory::MemoryRooms;
    use streamit_domain::Incarnation;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_node_and_columns_that_align() {
        let rooms = MemoryRooms::new(SystemClock::shared());
        let node = |name: &str, connections| Node {
            name: name.to_owned(),
            incarnation: Incarnation(Uuid::nil()),
            version: "1.2.3".to_owned(),
            connections,
            rooms: 2,
            joining: 0,
            is_draining: name.is_empty(),
            beaten: Duration::ZERO,
            started: (!name.is_empty()).then(|| rooms.now().minus(Duration::from_secs(3_725))),
            memory: Some(5 << 20),
        };
        assert_eq!(
            draw(&[node("", 12_345), node("realtime-one", 7)], &rooms),
            "name          version  connections  rooms  joining  draining  up        memory\n\
             -             1.2.3    12345        2      0        yes       -         5 MiB\n\
             realtime-one  1.2.3    7            2      0        no        1h 2m 5s  5 MiB\n"
        );
        assert_eq!(draw(&[], &rooms).lines().count(), 1);
    }
}
