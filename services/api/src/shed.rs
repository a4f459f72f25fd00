//! Asking a realtime node to put a share of its connections out, so that they spread over more nodes.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use secrecy::SecretString;
use streamit_bus::Rooms;
use streamit_bus::redis::{RedisOptions, RedisRooms};
use streamit_edge::SecretFile;
use streamit_telemetry::{SystemClock, SystemEntropy};
use streamit_wire::v1;
use tokio_util::sync::CancellationToken;

use crate::config;

/// How often it is said before it is given up, each time for as long as Redis may take.
const TRIES: u32 = 3;
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);
/// The longest window. (Nodes shorten what is longer.)
const LONGEST: Duration = Duration::from_secs(600);

/// Whom to ask for how much.
#[derive(Args, Debug)]
pub struct Shed {
    /// The node, by its name in logs (`STREAMIT_NODE_ID`). Required.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    node: String,
    /// How many of a hundred connections are put out, 1 to 100. Required.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    percent: u32,
    /// Over how long, up to 10m: each connection is closed at its own moment.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = window)]
    over: Duration,
    /// The Redis that all services share: `redis://` or `rediss://`. Required.
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    redis_url: Option<SecretString>,
    /// A file that holds the URL of Redis, instead.
    #[arg(long, env = "REDIS_URL_FILE", value_name = "PATH", default_value = "", hide_default_value = true)]
    redis_url_file: SecretFile,
}

fn window(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str = "must be a duration up to 10m, such as 15s";
    let window = humantime::parse_duration(text).map_err(|_| ALLOWED.to_owned())?;
    if window <= LONGEST { Ok(window) } else { Err(ALLOWED.to_owned()) }
}

/// Tells all nodes; the one that is meant acts. Returns how many heard it.
///
/// # Errors
/// When Redis can't be reached, or nobody listens.
pub async fn shed(shed: &Shed) -> anyhow::Result<u64> {
    let entropy = SystemEntropy::shared();
    let event = v1::event::Kind::Shed(v1::Shed {
        id: entropy.uuid_v4().as_bytes().to_vec(),
        node: shed.node.clone(),
        percent: shed.percent,
        window_ms: u32::try_from(shed.over.as_millis())?,
    });
    let event = v1::Event { traceparent: String::new(), kind: Some(event) };
    let url = config::redis_url(shed.redis_url.as_ref(), &shed.redis_url_file)?;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let rooms = RedisRooms::connect(url, RedisOptions::default(), SystemClock::shared(), entropy, stop)
        .await
        .context("REDIS_URL can't be used")?;
    let mut told = rooms.publish_all(&event).await;
    for _ in 1..TRIES {
        if told.is_ok() {
            break;
        }
        tokio::time::sleep(AGAIN).await;
        told = rooms.publish_all(&event).await; // heard twice, it is done once
    }
    let heard = told.context("REDIS_URL can't be reached")?;
    ensure!(heard > 0, "no realtime node listens on this Redis");
    Ok(heard)
}
