//! What can be asked for.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use url::{Host, Url};

/// Measures a running StreamIt. Start the server with STREAMIT_LIMITS=off.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 110)]
pub struct Args {
    /// Where to.
    #[command(flatten)]
    pub target: Target,
    /// What to measure.
    #[command(subcommand)]
    pub scenario: Scenario,
}

/// The server to measure, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The HTTP address of the api or the standalone program.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8000")]
    pub url: String,
    /// A WebSocket address, if not the same; several are used in turn.
    #[arg(long, global = true)]
    pub ws: Vec<String>,
    /// A server process on this machine, to read memory and CPU time of; repeatable.
    #[arg(long, global = true)]
    pub pid: Vec<u32>,
    /// How many people come at the same time.
    #[arg(long, global = true, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub at_once: u16,
    /// How long to wait for any single answer.
    #[arg(long, global = true, default_value = "30s", value_parser = seconds)]
    pub patience: Duration,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Allow a host that is not this machine. Loading somebody else's server is an attack.
    #[arg(long, global = true)]
    pub yes_this_is_mine: bool,
}

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub enum Scenario {
    /// Memory for each joined connection that does nothing.
    Idle(Idle),
    /// Latency, losses and order at a fixed rate.
    Fanout(Fanout),
    /// Readers who take one byte a second, in a room where others watch: what the others notice.
    Slow(Slow),
    /// Many connections at the same moment: all come in, or are told when to, and who is in already notices nothing.
    Storm(Storm),
    /// Half of a room drops while as many come: health, and who is there in the end.
    Churn(Churn),
    /// Clients that stop reading and answering without going: when they are given up.
    HalfOpen(HalfOpen),
    /// Kills one of several nodes (its `--pid`) under load: when its clients are back on the others.
    Crash(Crash),
    /// Thousands of handshakes a byte at a time, and people who flood, both at once: what rooms notice that do neither.
    Siege(Siege),
}

/// Many connections that do nothing.
#[derive(Clone, Debug, clap::Args)]
pub struct Idle {
    /// How many connections, one guest each.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: u32,
    /// How many of them share a room.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub room_size: u32,
    /// How long they stay before memory is read again.
    #[arg(long, default_value = "5s", value_parser = seconds)]
    pub hold: Duration,
}

/// A fixed rate in each room.
#[derive(Clone, Debug, clap::Args)]
pub struct Fanout {
    /// How many rooms.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rooms: u32,
    /// How many people in each, the one who sends included.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub members: u32,
    /// What is sent.
    #[arg(long, value_enum, default_value_t = What::Chat)]
    pub what: What,
    /// How often, each second in each room.
    #[arg(long, default_value_t = 2.0)]
    pub rate: f64,
    /// For how long it is measured.
    #[arg(long, default_value = "10s", value_parser = seconds)]
    pub duration: Duration,
    /// For how long it is sent before that.
    #[arg(long, default_value = "2s", value_parser = seconds)]
    pub warmup: Duration,
    /// For how long, after the last was due, to wait for what is still on its way.
    #[arg(long, default_value = "10s", value_parser = seconds)]
    pub stragglers: Duration,
}

/// Readers who take one byte a second.
#[derive(Clone, Debug, clap::Args)]
pub struct Slow {
    /// How many read as they should, in one room.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub members: u32,
    /// How many are slow.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub slow: u32,
    /// How many messages of 250 characters are said each second.
    #[arg(long, default_value_t = 10.0)]
    pub rate: f64,
    /// How often it is measured without and with them.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub pairs: u32,
    /// For how long it is measured without them, each time. With them it lasts until they are let go.
    #[arg(long, default_value = "20s", value_parser = seconds)]
    pub calm: Duration,
}

/// Many connections at the same moment.
#[derive(Clone, Debug, clap::Args)]
pub struct Storm {
    /// How many come, one guest each.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: u32,
    /// How many of them share a room.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub room_size: u32,
    /// How many rooms, of as many people, are there already. In half of them they talk, in half the host seeks.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub established: u32,
    /// How often, each second in each of these rooms.
    #[arg(long, default_value_t = 5.0)]
    pub rate: f64,
    /// How long it may take until all are in.
    #[arg(long, default_value = "60s", value_parser = seconds)]
    pub within: Duration,
}

/// Half of a room drops while as many come.
#[derive(Clone, Debug, clap::Args)]
pub struct Churn {
    /// How many drop, and how many come.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub members: u32,
    /// How many messages are said each second.
    #[arg(long, default_value_t = 2.0)]
    pub rate: f64,
    /// How long it may take until all are in and the list is right.
    #[arg(long, default_value = "60s", value_parser = seconds)]
    pub within: Duration,
}

/// Clients that stop reading and answering.
#[derive(Clone, Debug, clap::Args)]
pub struct HalfOpen {
    /// How many.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// How long after their last sign of life they must be gone.
    #[arg(long, default_value = "65s", value_parser = seconds)]
    pub within: Duration,
}

/// A node is killed.
#[derive(Clone, Debug, clap::Args)]
pub struct Crash {
    /// How many rooms, each spread over all nodes.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rooms: u32,
    /// How many people in each.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub members: u32,
    /// How many messages are said in each room each second.
    #[arg(long, default_value_t = 2.0)]
    pub rate: f64,
    /// Which node is killed: the n-th `--ws` and `--pid`, from 0.
    #[arg(long, default_value_t = 0)]
    pub node: usize,
    /// How soon 99 of 100 must be back.
    #[arg(long, default_value = "5s", value_parser = seconds)]
    pub within: Duration,
}

/// People who mean harm. The nodes must have their limits on.
#[derive(Clone, Debug, clap::Args)]
pub struct Siege {
    /// How many rooms are measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rooms: u32,
    /// How many people are in each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub members: u32,
    /// How many messages are said in each room each second. More than 1.6 would be stopped by the limits.
    #[arg(long, default_value_t = 1.5)]
    pub rate: f64,
    /// How many send their request a byte at a time.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub slow: u32,
    /// How long they wait between two bytes.
    #[arg(long, default_value = "1s", value_parser = seconds)]
    pub byte_every: Duration,
    /// How many say more than they may.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub flooders: u32,
    /// How often it is measured without and with them.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub pairs: u32,
    /// For how long it is measured without them, and then with them, each time.
    #[arg(long, default_value = "20s", value_parser = seconds)]
    pub calm: Duration,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Chat messages: stored, numbered, all must arrive.
    Chat,
    /// Seeks of the host: to a slow reader, a newer state may stand for an older one.
    Playback,
}

const LONGEST: Duration = Duration::from_secs(3_600);

fn seconds(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > LONGEST { Err("at most 1h".to_owned()) } else { Ok(duration) }
}

impl Target {
    /// Refuses hosts that nobody has said to own.
    ///
    /// # Errors
    /// When an address is not one, or not of this machine.
    pub fn check(&self) -> anyhow::Result<()> {
        for address in std::iter::once(&self.url).chain(&self.ws) {
            let url = Url::parse(address).with_context(|| format!("`{address}` is not an address"))?;
            let host = url.host().with_context(|| format!("`{address}` names no host"))?;
            ensure!(
                is_loopback(&host) || self.yes_this_is_mine,
                "{host} is not this machine; if you may load it, say --yes-this-is-mine"
            );
        }
        Ok(())
    }

    /// Where connection `index` goes.
    #[must_use]
    pub fn ws_of(&self, index: usize) -> Option<&str> {
        (!self.ws.is_empty()).then(|| self.ws[index % self.ws.len()].as_str())
    }

    /// Where connection `index` comes from: on the loopback, each thousand from an address of its own, so that
    /// neither ports nor a limit on connections from one address run out.
    #[must_use]
    pub fn source_of(&self, index: usize) -> Option<IpAddr> {
        const EACH: usize = 1_000;
        let address = self.ws_of(index).unwrap_or(&self.url);
        let host = Url::parse(address).ok()?.host().map(|host| host.to_owned())?;
        let Host::Ipv4(to) = host else { return None };
        let last = u8::try_from(index / EACH % 250).ok()?;
        (to.is_loopback() && last > 0).then(|| Ipv4Addr::new(127, 0, 0, 1 + last).into())
    }
}

fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(arguments: &[&str]) -> Target {
        let idle = ["streamit-loadtest", "idle"].iter().chain(arguments);
        Args::try_parse_from(idle).unwrap().target
    }

    #[test]
    fn only_this_machine_may_be_loaded_unless_somebody_answers_for_it() {
        assert!(target(&[]).check().is_ok());
        assert!(target(&["--url", "http://[::1]:1", "--ws", "ws://localhost:2"]).check().is_ok());
        let other = ["--ws", "ws://films.example"];
        assert!(target(&other).check().unwrap_err().to_string().contains("films.example"));
        assert!(target(&["--ws", "ws://films.example", "--yes-this-is-mine"]).check().is_ok());
        assert!(target(&["--url", "nonsense"]).check().is_err());
    }

    #[test]
    fn many_connections_come_from_several_addresses() {
        let target = target(&[]);
        assert_eq!(target.source_of(999), None);
        assert_eq!(target.source_of(1_000), Some("127.0.0.2".parse().unwrap()));
        assert_eq!(target.source_of(14_999), Some("127.0.0.15".parse().unwrap()));
    }

    #[test]
    fn what_has_no_bound_is_refused() {
        for bad in [["--connections", "0"], ["--connections", "1000000"], ["--hold", "2days"]] {
            assert!(
                Args::try_parse_from(["streamit-loadtest", "idle"].iter().chain(&bad)).is_err(),
                "{bad:?}"
            );
        }
    }
}
