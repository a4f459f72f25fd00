//! A fixed rate in each room: how long until everybody has it, and did everything come once and in order.
//!
//! Latency counts from the moment a message was *due*, not from when it was sent: a server that stalls also
//! stalls the sender, and must not look better for it. One thread keeps the time for all rooms (the timer of the
//! async runtime rounds to milliseconds, which is as long as what is measured) and hands each due message
//! to its room's sender.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use streamit_client::{Error, Event, Frame, Receiver, Sender};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::args::{Fanout, Target, What};
use crate::crowd;
use crate::histogram::{Histogram, Quantiles};
use crate::process;
use crate::report::Table;

/// Messages that may wait for a room's sender. It only falls behind when the server no longer reads.
const BEHIND: usize = 1_024;
/// More than this in one room is not a measurement any more.
const MOST: u64 = 1_000_000;
/// Everybody is ready a moment before the first message is due.
const LEAD: Duration = Duration::from_millis(200);

/// When what is due: message `k` of room `r` at `start + r's share of the period + k periods`.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Instant,
    period: Duration,
    rooms: u32,
    /// Messages before this one warm up and are not measured.
    first_measured: u64,
    /// How many there are in each room.
    messages: u64,
    /// How long, after the last was due, to wait for what is still on its way.
    stragglers: Duration,
}

impl Schedule {
    fn due(&self, room: usize, k: u64) -> Instant {
        let phase = self.period.mul_f64(room as f64 / f64::from(self.rooms));
        self.start + phase + self.period.mul_f64(k as f64)
    }

    fn end(&self) -> Instant {
        self.start + self.period.mul_f64(self.messages as f64)
    }

    fn measured_from(&self) -> Instant {
        self.start + self.period.mul_f64(self.first_measured as f64)
    }
}

/// What one reader saw.
#[derive(Debug, Default)]
struct Seen {
    received: u64,
    last: Option<u64>,
    out_of_order: u64,
    duplicates: u64,
    refused: BTreeMap<String, u64>,
    closed: Option<u16>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was sent.
    pub what: What,
    /// In how many rooms.
    pub rooms: u32,
    /// To how many people each.
    pub members: u32,
    /// How often, each second in each room.
    pub rate: f64,
    /// Messages sent, the warm-up included.
    pub sent: u64,
    /// Messages that the senders had no room for any more: the server did not keep up.
    pub not_sent: u64,
    /// Deliveries that should have been, of what was sent.
    pub expected: u64,
    /// Deliveries that were.
    pub received: u64,
    /// Deliveries that never came. Playback states may be left out for a newer one; chat may not.
    pub lost: u64,
    /// Deliveries that came again.
    pub duplicates: u64,
    /// Deliveries that came after a later one, or left a hole in the numbers.
    pub out_of_order: u64,
    /// `ERROR`s by code.
    pub refused: BTreeMap<String, u64>,
    /// Connections that the server closed, by code.
    pub closed: BTreeMap<u16, u64>,
    /// From due to received, in microseconds, without the warm-up.
    pub latency_us: Quantiles,
    /// Deliveries a second while it was measured.
    pub deliveries_per_second: f64,
    /// CPU of each named process while it was measured, in cores.
    pub server_cores: BTreeMap<u32, f64>,
    /// CPU of this tool, in cores; it shares the machine.
    pub own_cores: f64,
}

impl Report {
    /// Whether everything that had to arrive did, once and in order.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let complete = self.lost == 0 || self.what == What::Playback;
        complete
            && self.not_sent == 0
            && self.duplicates == 0
            && self.out_of_order == 0
            && self.closed.is_empty()
    }
}

/// Gathers the crowd, sends on schedule, and waits until everybody has everything.
///
/// # Errors
/// When the numbers make no sense or the crowd can't be gathered.
pub async fn run(target: &Target, wanted: &Fanout) -> anyhow::Result<Report> {
    ensure!(wanted.rate.is_finite() && wanted.rate > 0.0, "--rate must be above 0");
    let count = |during: Duration| (during.as_secs_f64() * wanted.rate).ceil() as u64;
    let (warmup, measured) = (count(wanted.warmup), count(wanted.duration));
    ensure!(measured > 0 && warmup + measured <= MOST, "between 1 and {MOST} messages in each room, please");

    let sizes = vec![wanted.members as usize; wanted.rooms as usize];
    let rooms = crowd::gather(target, &sizes).await?;
    let connections = crowd::connect(target, &rooms).await?;
    let schedule = Schedule {
        start: Instant::now() + LEAD,
        period: Duration::from_secs_f64(1.0 / wanted.rate),
        rooms: wanted.rooms,
        first_measured: warmup,
        messages: warmup + measured,
        stragglers: wanted.stragglers,
    };

    let latency = Arc::new(Histogram::default());
    let (mut readers, mut senders, mut queues) = (JoinSet::new(), JoinSet::new(), Vec::new());
    let mut silent = Vec::new(); // a dropped half would not close the line, but a member may not vanish
    for (room, connection) in connections {
        let (sender, receiver) = connection.split();
        readers.spawn(read(receiver, room, wanted.what, schedule, latency.clone()));
        if queues.len() == room {
            let (queue, due) = mpsc::channel(BEHIND);
            queues.push(queue);
            senders.spawn(send(sender, wanted.what, due));
        } else {
            silent.push(sender);
        }
    }

    let timekeeper = std::thread::spawn(move || keep_time(schedule, &queues));
    tokio::time::sleep_until(schedule.measured_from().into()).await;
    let before = cpu(&target.pid)?;
    tokio::time::sleep_until(schedule.end().into()).await;
    let after = cpu(&target.pid)?;

    let not_sent = tokio::task::spawn_blocking(|| timekeeper.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the timekeeper failed"))?;
    let seen = readers.join_all().await;
    let sent: u64 = senders.join_all().await.into_iter().sum();
    drop(silent);

    let cores = |pid: &u32| {
        let used = after.get(pid)?.checked_sub(*before.get(pid)?)?;
        Some(used.as_secs_f64() / (schedule.end() - schedule.measured_from()).as_secs_f64())
    };
    Ok(Report {
        server_cores: target.pid.iter().filter_map(|pid| Some((*pid, cores(pid)?))).collect(),
        own_cores: cores(&std::process::id()).unwrap_or_default(),
        ..summary(wanted, &schedule, sent, not_sent, &seen, &latency)
    })
}

fn summary(
    wanted: &Fanout,
    schedule: &Schedule,
    sent: u64,
    not_sent: u64,
    seen: &[Seen],
    latency: &Histogram,
) -> Report {
    let (mut refused, mut closed) = (BTreeMap::new(), BTreeMap::new());
    for reader in seen {
        for (code, times) in &reader.refused {
            *refused.entry(code.clone()).or_default() += times;
        }
        if let Some(code) = reader.closed {
            *closed.entry(code).or_default() += 1;
        }
    }
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    let (expected, received) = (sent * u64::from(wanted.members), sum(|reader| reader.received));
    let measured = (schedule.end() - schedule.measured_from()).as_secs_f64();
    Report {
        what: wanted.what,
        rooms: wanted.rooms,
        members: wanted.members,
        rate: wanted.rate,
        sent,
        not_sent,
        expected,
        received,
        lost: expected.saturating_sub(received),
        duplicates: sum(|reader| reader.duplicates),
        out_of_order: sum(|reader| reader.out_of_order),
        refused,
        closed,
        latency_us: latency.quantiles(),
        deliveries_per_second: latency.count() as f64 / measured,
        server_cores: BTreeMap::new(),
        own_cores: 0.0,
    }
}

fn cpu(pids: &[u32]) -> anyhow::Result<BTreeMap<u32, Duration>> {
    let own = std::process::id();
    let all = pids.iter().copied().chain([own]);
    all.map(|pid| process::cpu_time(pid).map(|used| (pid, used)))
        .collect::<Result<_, _>>()
        .context("CPU time")
}

/// Hands out each message when it is due; gives how many found no place in their room's queue.
fn keep_time(schedule: Schedule, queues: &[mpsc::Sender<u64>]) -> u64 {
    let mut refused = 0;
    for k in 0..schedule.messages {
        for (room, queue) in queues.iter().enumerate() {
            std::thread::sleep(schedule.due(room, k).saturating_duration_since(Instant::now()));
            refused += u64::from(queue.try_send(k).is_err());
        }
    }
    refused
}

/// Sends what is due; gives how many went out.
async fn send(mut sender: Sender, what: What, mut due: mpsc::Receiver<u64>) -> u64 {
    let mut sent = 0;
    while let Some(k) = due.recv().await {
        let went = match what {
            What::Chat => {
                sender.chat("The quick brown fox jumps over the lazy dog", Some(&k.to_string())).await
            }
            What::Playback => sender.seek(k as f64).await,
        };
        if went.is_err() {
            break;
        }
        sent += 1;
    }
    sent
}

/// Reads until everything came, the connection ended, or nothing more can be hoped for.
async fn read(
    mut receiver: Receiver,
    room: usize,
    what: What,
    schedule: Schedule,
    latency: Arc<Histogram>,
) -> Seen {
    let mut seen = Seen::default();
    let give_up = (schedule.end() + schedule.stragglers).into();
    while seen.received < schedule.messages {
        let frame = match timeout_at(give_up, receiver.frame()).await {
            Ok(Ok(Frame::Text(text))) => text,
            Ok(Err(Error::Closed(reason))) => {
                seen.closed = Some(reason.code);
                break;
            }
            Ok(_) => continue,
            Err(_) => break,
        };
        let now = Instant::now();
        let Some(k) = seen.take(&frame, what) else { continue };
        if k >= schedule.first_measured {
            latency.record(now.saturating_duration_since(schedule.due(room, k)));
        }
        if what == What::Playback && k + 1 == schedule.messages {
            break; // states before it that did not come will not come any more
        }
    }
    seen
}

impl Seen {
    /// Takes in a frame; gives the number of the message, if it is one that is seen for the first time.
    fn take(&mut self, frame: &str, what: What) -> Option<u64> {
        let (number, k) = match (Event::read(frame).ok()?, what) {
            (Event::ChatMessage(said), What::Chat) => (said.seq, said.client_id?.parse().ok()?),
            (Event::PlaybackState(state), What::Playback) => (state.version, state.time.round() as u64),
            (Event::Error(refusal), _) => {
                *self.refused.entry(refusal.code).or_default() += 1;
                return None;
            }
            _ => return None,
        };
        match self.last {
            Some(last) if number == last => {
                self.duplicates += 1;
                return None;
            }
            Some(last) if number < last => self.out_of_order += 1,
            Some(last) if what == What::Chat && number != last + 1 => self.out_of_order += 1,
            _ => {}
        }
        self.last = self.last.max(Some(number));
        self.received += 1;
        Some(k)
    }
}

impl Table for Report {
    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![
            (
                "load".to_owned(),
                format!(
                    "{} rooms of {}, {} {:?} a second in each",
                    self.rooms, self.members, self.rate, self.what
                ),
            ),
            ("sent".to_owned(), format!("{} ({} not: the server did not keep up)", self.sent, self.not_sent)),
            ("deliveries".to_owned(), format!("{} of {}", self.received, self.expected)),
            (
                "lost, doubled, out of order".to_owned(),
                format!("{}, {}, {}", self.lost, self.duplicates, self.out_of_order),
            ),
            ("latency".to_owned(), format!("{} ({} deliveries)", self.latency_us, self.latency_us.count)),
            ("throughput".to_owned(), format!("{:.0} deliveries a second", self.deliveries_per_second)),
        ];
        for (pid, cores) in &self.server_cores {
            rows.push((format!("CPU of {pid}"), format!("{cores:.2} cores")));
        }
        rows.push(("CPU of this tool".to_owned(), format!("{:.2} cores", self.own_cores)));
        for (code, times) in &self.refused {
            rows.push((format!("refused with {code}"), times.to_string()));
        }
        for (code, times) in &self.closed {
            rows.push((format!("closed with {code}"), times.to_string()));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(seq: u64, k: u64) -> String {
        format!(
            r#"{{"type":"CHAT_MESSAGE","seq":{seq},"user":"a","message":"m","created_at":"t","client_id":"{k}"}}"#
        )
    }

    #[test]
    fn holes_repeats_and_swaps_are_noticed() {
        let mut seen = Seen::default();
        let took: Vec<_> = [(5, 0), (6, 1), (6, 1), (8, 3), (7, 2)]
            .iter()
            .map(|(seq, k)| seen.take(&chat(*seq, *k), What::Chat))
            .collect();
        assert_eq!(took, [Some(0), Some(1), None, Some(3), Some(2)]);
        assert_eq!((seen.received, seen.duplicates, seen.out_of_order), (4, 1, 2));
        let error = r#"{"type":"ERROR","message":"slow down","code":"RATE_LIMITED"}"#;
        assert_eq!(seen.take(error, What::Chat), None);
        assert_eq!(seen.refused["RATE_LIMITED"], 1);
    }

    #[test]
    fn a_playback_state_may_be_left_out_but_never_come_back() {
        let state = |version: u64, time: u64| {
            format!(
                r#"{{"type":"PLAYBACK_STATE","is_playing":false,"time":{time}.0,"server_time":1,"version":{version}}}"#
            )
        };
        let mut seen = Seen::default();
        assert_eq!(seen.take(&state(10, 0), What::Playback), Some(0));
        assert_eq!(seen.take(&state(30, 2), What::Playback), Some(2));
        assert_eq!(seen.out_of_order, 0);
        seen.take(&state(20, 1), What::Playback);
        assert_eq!(seen.out_of_order, 1);
    }

    #[test]
    fn rooms_share_the_period_evenly() {
        let start = Instant::now();
        let period = Duration::from_millis(100);
        let schedule =
            Schedule { start, period, rooms: 4, first_measured: 5, messages: 15, stragglers: Duration::ZERO };
        assert_eq!(schedule.due(0, 0), start);
        assert_eq!(schedule.due(1, 2) - start, Duration::from_millis(225));
        assert_eq!(schedule.end() - schedule.measured_from(), Duration::from_secs(1));
    }
}
