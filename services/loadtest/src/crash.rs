//! One of several nodes is killed under load: when its clients are back on the others, and what they and everybody else
//! missed or heard of it.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::args::{Crash, Target, What};
use crate::beat::{Beat, Counts, Ear, Outcome};
use crate::crowd;
use crate::door::{Entries, come_in};
use crate::histogram::{Histogram, Quantiles};
use crate::line::{Heard, Line, Seat, Since, Welcome};
use crate::report::{Promise, Table};
use crate::told::Told;

/// For how long it is measured before.
const CALM: Duration = Duration::from_secs(5);
/// How long it is watched: longer than the grace of who is missing, and than the 6 s after which a node is dead.
const AFTER: Duration = Duration::from_secs(15);
/// Who is not back by then does not come back.
const DEADLINE: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many were connected, in all.
    pub clients: u64,
    /// How many of them to the node that was killed.
    pub victims: u64,
    /// How they came back.
    pub entries: Entries,
    /// From the kill until each was back, with what he had missed.
    pub back_us: Quantiles,
    /// How soon 99 of 100 must be, in seconds.
    pub within_s: f64,
    /// How many came back to something else than where they had been.
    pub not_resumed: u64,
    /// How often anybody was told that somebody came or left, after the kill.
    pub noise: u64,
    /// Latency of those on the other nodes before.
    pub before_us: Quantiles,
    /// Latency of those on the other nodes in the 15 s after.
    pub after_us: Quantiles,
    /// What everybody heard.
    pub load: Outcome,
}

/// What all clients share.
#[derive(Debug, Default)]
struct Shared {
    /// When the node was killed.
    killed: OnceLock<Instant>,
    entries: Mutex<Entries>,
    back: Histogram,
    not_resumed: AtomicU64,
    noise: AtomicU64,
    /// Somebody is back, or has given up.
    settled: Notify,
}

/// Gathers the rooms, kills the node, and waits until its clients are back.
///
/// # Errors
/// When the crowd can't be gathered or the node can't be killed.
pub async fn run(target: &Target, wanted: &Crash) -> anyhow::Result<Report> {
    ensure!(target.ws.len() > 1, "at least two nodes, please: --ws and --pid for each");
    ensure!(target.pid.len() == target.ws.len(), "each --ws needs the --pid of its process");
    let pid = *target.pid.get(wanted.node).context("--node names none of them")?;
    let rooms = crowd::gather(target, &vec![wanted.members as usize; wanted.rooms as usize]).await?;
    let mut seats = crowd::seats(target, &rooms)?;
    for host in seats.iter_mut().filter_map(|room| room.first_mut()) {
        // Who speaks is on another node: what he says is what the others may miss.
        host.first = if host.first == wanted.node { (host.first + 1) % target.ws.len() } else { host.first };
    }

    let shared = Arc::new(Shared::default());
    let (mut voices, mut members) = (Vec::new(), Vec::new());
    for (room, seats) in seats.into_iter().enumerate() {
        let lines = crowd::sit(target, &seats).await?;
        voices.extend(lines.first().map(|(line, _)| (line.voice(), What::Chat)));
        members.extend(seats.into_iter().zip(lines).map(|(seat, line)| (room, seat, line)));
    }
    let clients = members.len() as u64;
    let victims = members.iter().filter(|(_, seat, _)| seat.first == wanted.node).count() as u64;
    let mut beat = Beat::start(voices, wanted.rate, "The quick brown fox jumps over the lazy dog")?;
    for (room, seat, (line, welcome)) in members {
        let ear = beat.ear(room, welcome.since.seq);
        let was_on_it = seat.first == wanted.node;
        let (epoch, shared) = (welcome.since.epoch, shared.clone());
        let member = Member { seat, ear, epoch, shared, was_on_it, expects_cut: was_on_it };
        beat.listen_with(member.watch(line, beat.end()));
    }
    let before = beat.windows.open();
    sleep(CALM).await;

    let after = beat.windows.open();
    shared.killed.get_or_init(Instant::now);
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    ensure!(killed.is_ok_and(|status| status.success()), "process {pid} can't be killed");
    let start = Instant::now();
    while settled(&shared) < victims && start.elapsed() < DEADLINE + CALM {
        tokio::select! {
            () = shared.settled.notified() => {}
            () = sleep(CALM) => {}
        }
    }
    sleep(AFTER.saturating_sub(start.elapsed())).await;
    let latencies = beat.windows.clone();
    let load = beat.stop().await?;
    let entries = shared.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Report {
        clients,
        victims,
        entries,
        back_us: shared.back.quantiles(),
        within_s: wanted.within.as_secs_f64(),
        not_resumed: shared.not_resumed.load(Ordering::Relaxed),
        noise: shared.noise.load(Ordering::Relaxed),
        before_us: latencies.latency(before, What::Chat),
        after_us: latencies.latency(after, What::Chat),
        load,
    })
}

fn settled(shared: &Shared) -> u64 {
    let entries = shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
    entries.inside + entries.outside + entries.refused.values().sum::<u64>()
}

struct Member {
    seat: Seat,
    ear: Ear,
    epoch: u64,
    shared: Arc<Shared>,
    /// On the node that is killed.
    was_on_it: bool,
    /// Whether the cut by the kill is still to come.
    expects_cut: bool,
}

impl Member {
    /// Listens, also on the next line when this one is cut by the kill.
    async fn watch(mut self, mut line: Line, mut end: watch::Receiver<Option<u64>>) -> Counts {
        let mut last = None;
        loop {
            let is_ending = end.borrow().is_some();
            if last.is_some() && *end.borrow() <= last.map(|k: u64| k + 1) && is_ending {
                return self.ear.heard;
            }
            let is_cut = tokio::select! {
                heard = line.next() => match heard {
                    Heard::Text(frame) => {
                        if let Some(told) = Told::read(frame) {
                            last = last.max(self.take(&told));
                        }
                        false
                    }
                    Heard::End(_) => true,
                },
                _ = end.changed(), if !is_ending => false,
                () = sleep(CALM), if is_ending => {
                    self.ear.heard.lost += 1;
                    return self.ear.heard;
                }
            };
            if is_cut {
                let killed = self.shared.killed.get().copied().filter(|_| self.expects_cut);
                let back = match killed {
                    Some(killed) => self.come_back(killed).await,
                    None => None,
                };
                let Some(back) = back else {
                    self.ear.heard.ended += 1;
                    return self.ear.heard;
                };
                self.expects_cut = false;
                line = back;
            }
        }
    }

    fn take(&mut self, told: &Told<'_>) -> Option<u64> {
        let is_noise = matches!(&*told.kind, "USER_JOINED" | "USER_LEFT");
        if is_noise && self.shared.killed.get().is_some() {
            self.shared.noise.fetch_add(1, Ordering::Relaxed);
        }
        if self.was_on_it {
            // What the cut cost is told by when they were back.
            self.ear.count(told);
            return told.client_id.as_deref()?.parse().ok();
        }
        self.ear.take(told, Instant::now())
    }

    async fn come_back(&mut self, killed: Instant) -> Option<Line> {
        let since = Since { seq: self.ear.last().unwrap_or(0), epoch: self.epoch };
        // As with a balancer that has noticed: on to the next node.
        let entry = come_in(&self.seat, 1, Some(since), killed + DEADLINE).await;
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner).add(&entry);
        self.shared.settled.notify_one();
        let (line, Welcome { resumed, seqs, .. }) = entry.line?;
        self.shared.back.record(entry.at - killed);
        if !resumed {
            self.shared.not_resumed.fetch_add(1, Ordering::Relaxed);
        }
        self.ear.resumed(&seqs);
        Some(line)
    }
}

impl Table for Report {
    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![(
            "clients".to_owned(),
            format!("{}, {} of them on the node that was killed", self.clients, self.victims),
        )];
        rows.extend(self.entries.rows());
        rows.push(("back after".to_owned(), self.back_us.to_string()));
        rows.push(("not resumed".to_owned(), self.not_resumed.to_string()));
        rows.push(("told of coming and leaving".to_owned(), self.noise.to_string()));
        rows.push(("others before".to_owned(), format!("{} ({})", self.before_us, self.before_us.count)));
        rows.push(("others after".to_owned(), format!("{} ({})", self.after_us, self.after_us.count)));
        let Counts { received, lost, repeated, ended } = self.load.counts;
        rows.push((
            "messages".to_owned(),
            format!("{received} received, {lost} lost, {repeated} repeated, {ended} thrown out"),
        ));
        rows
    }
}

impl Promise for Report {
    fn about(&self) -> String {
        format!("kill -9 of one node with {} of {} clients", self.victims, self.clients)
    }

    fn figures(&self) -> String {
        let Counts { lost, repeated, .. } = self.load.counts;
        format!(
            "back after p50 {:.2} s, p99 {:.2} s, the last {:.2} s; {lost} lost, {repeated} doubled, {} told of coming or leaving",
            self.back_us.p50 as f64 / 1e6,
            self.back_us.p99 as f64 / 1e6,
            self.back_us.max as f64 / 1e6,
            self.noise,
        )
    }

    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.entries.inside < self.victims {
            broken.push(format!("{} never came back", self.victims - self.entries.inside));
        }
        if self.back_us.p99 as f64 / 1e6 > self.within_s {
            broken.push("99 of 100 were not back in time".to_owned());
        }
        if self.not_resumed > 0 {
            broken.push(format!("{} did not resume", self.not_resumed));
        }
        if self.noise > 0 {
            broken.push(format!("{} notices of people who came or left", self.noise));
        }
        if !self.load.counts.is_sound() || self.load.not_sent > 0 {
            broken.push("not everything came once, to everybody".to_owned());
        }
        broken
    }
}
