//! Many connections at the same moment: all come in, or are told when to, and who is in already notices nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::args::{Storm, Target, What};
use crate::beat::{Beat, Outcome};
use crate::crowd;
use crate::door::{Entries, come_in};
use crate::health::{self, Answers};
use crate::histogram::{Histogram, Quantiles};
use crate::line::{Heard, Line, Seat};
use crate::report::{Promise, Table};

/// What established members' 99th percentile must stay below, in microseconds.
const BOUND_US: u64 = 250_000;
/// For how long it is measured before.
const CALM: Duration = Duration::from_secs(5);
/// A small crowd is in before anything was due.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long everybody stays once all are in.
const AFTER: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many came.
    pub connections: u32,
    /// How they came in.
    pub entries: Entries,
    /// From the first moment until each was in, whatever they were told on the way.
    pub in_after_us: Quantiles,
    /// Of those who were in, how many were thrown out again before the end.
    pub thrown_out: u64,
    /// Latency of chat for those who were there, before.
    pub chat_before_us: Quantiles,
    /// Latency of chat for those who were there, until all were in.
    pub chat_us: Quantiles,
    /// Latency of playback for those who were there, before.
    pub playback_before_us: Quantiles,
    /// Latency of playback for those who were there, until all were in.
    pub playback_us: Quantiles,
    /// The load on those who were there.
    pub load: Outcome,
    /// What the servers said of their health.
    pub health: Answers,
}

/// Gathers everybody, measures those who are there, lets the others come at once.
///
/// # Errors
/// When the crowd can't be gathered.
pub async fn run(target: &Target, wanted: &Storm) -> anyhow::Result<Report> {
    let size = wanted.room_size as usize;
    let newcomers = wanted.connections as usize;
    let mut sizes = vec![size; wanted.established as usize + newcomers / size];
    if !newcomers.is_multiple_of(size) {
        sizes.push(newcomers % size);
    }
    let rooms = crowd::gather(target, &sizes).await?;
    let mut seats = crowd::seats(target, &rooms)?;
    let coming = seats.split_off(wanted.established as usize).concat();

    let (mut voices, mut lines) = (Vec::new(), Vec::new());
    for (room, seats) in seats.iter().enumerate() {
        // Chat goes by the api and is stored; a seek goes by the store that nodes share.
        let what = if room % 2 == 0 { What::Chat } else { What::Playback };
        let sitting = crowd::sit(target, seats).await?;
        voices.extend(sitting.first().map(|(line, _)| (line.voice(), what)));
        lines.extend(sitting.into_iter().map(|(line, welcome)| (room, line, welcome)));
    }
    let mut beat = Beat::start(voices, wanted.rate, "The quick brown fox jumps over the lazy dog")?;
    for (room, line, welcome) in lines {
        beat.listen(line, beat.ear(room, welcome.since.seq));
    }
    let before = beat.windows.open();
    sleep(CALM).await;

    let probes = health::watch(target)?;
    let during = beat.windows.open();
    let (start, wanted_within) = (Instant::now(), wanted.within);
    let in_after = Arc::new(Histogram::default());
    let entries = Arc::new(Mutex::new(Entries::default()));
    let rush = {
        let (in_after, entries) = (in_after.clone(), entries.clone());
        move |seat: Seat| {
            let (in_after, entries, deadline) = (in_after.clone(), entries.clone(), start + wanted_within);
            async move {
                let entry = come_in(&seat, 0, None, deadline).await;
                entries.lock().unwrap_or_else(PoisonError::into_inner).add(&entry);
                let (line, _) = entry.line?;
                in_after.record(entry.at - start);
                Some(line)
            }
        }
    };
    let (all_in, is_over) = (CancellationToken::new(), CancellationToken::new());
    let crowd = thread::spawn({
        let (all_in, is_over) = (all_in.clone(), is_over.clone());
        move || come_at_once(coming, rush, &all_in, &is_over)
    });
    all_in.cancelled().await;
    sleep(SHORTEST.saturating_sub(start.elapsed())).await;
    beat.windows.close();
    sleep(AFTER).await;
    is_over.cancel();
    let thrown_out = tokio::task::spawn_blocking(|| crowd.join()).await?;
    let thrown_out = thrown_out.map_err(|_| anyhow::anyhow!("those who came at once failed"))??;
    let health = probes.stop().await?;
    let latencies = beat.windows.clone();
    let load = beat.stop().await?;
    let entries = entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Report {
        connections: wanted.connections,
        entries,
        in_after_us: in_after.quantiles(),
        thrown_out,
        chat_before_us: latencies.latency(before, What::Chat),
        chat_us: latencies.latency(during, What::Chat),
        playback_before_us: latencies.latency(before, What::Playback),
        playback_us: latencies.latency(during, What::Playback),
        load,
        health,
    })
}

/// Brings everybody in, on a thread of its own: thousands of handshakes must not stand in the way of those who measure.
/// Cancels `all_in` when nobody is at the door any more, and stays until `is_over`. Returns how many were thrown out
/// again.
fn come_at_once<F>(
    coming: Vec<Seat>,
    rush: impl Fn(Seat) -> F,
    all_in: &CancellationToken,
    is_over: &CancellationToken,
) -> anyhow::Result<u64>
where
    F: Future<Output = Option<Line>> + Send + 'static,
{
    let _in_any_case = all_in.clone().drop_guard();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut entering, mut inside) = (JoinSet::new(), JoinSet::new());
        for seat in coming {
            entering.spawn(rush(seat));
        }
        while let Some(entered) = entering.join_next().await {
            if let Some(line) = entered? {
                inside.spawn(stay(line));
            }
        }
        all_in.cancel();
        is_over.cancelled().await;
        Ok(std::iter::from_fn(|| inside.try_join_next()).count() as u64)
    })
}

/// Ends when the line does.
pub(crate) async fn stay(mut line: Line) {
    while let Heard::Text(_) = line.next().await {}
}

impl Table for Report {
    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![("came at once".to_owned(), self.connections.to_string())];
        rows.extend(self.entries.rows());
        rows.push(("in after".to_owned(), self.in_after_us.to_string()));
        rows.push(("thrown out again".to_owned(), self.thrown_out.to_string()));
        let of = |quantiles: &Quantiles| format!("{quantiles} ({} deliveries)", quantiles.count);
        rows.push(("established: chat before".to_owned(), of(&self.chat_before_us)));
        rows.push(("established: chat meanwhile".to_owned(), of(&self.chat_us)));
        rows.push(("established: playback before".to_owned(), of(&self.playback_before_us)));
        rows.push(("established: playback meanwhile".to_owned(), of(&self.playback_us)));
        let counts = self.load.counts;
        rows.push((
            "lost, repeated, thrown out".to_owned(),
            format!("{}, {}, {}", counts.lost, counts.repeated, counts.ended),
        ));
        rows.extend(self.health.rows());
        rows
    }
}

impl Promise for Report {
    fn about(&self) -> String {
        format!("{} connections at once", self.connections)
    }

    fn figures(&self) -> String {
        let ms = |us: u64| us as f64 / 1_000.0;
        format!(
            "all in after {:.1} s, {} told to come back ({} times); established members' p99: chat {:.0} ms (before {:.0} ms), \
             playback {:.0} ms (before {:.0} ms)",
            ms(self.in_after_us.max) / 1_000.0,
            self.entries.told_people,
            self.entries.told,
            ms(self.chat_us.p99),
            ms(self.chat_before_us.p99),
            ms(self.playback_us.p99),
            ms(self.playback_before_us.p99),
        )
    }

    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if !self.entries.all_in() {
            broken.push(format!("{} never came in", self.connections - self.entries.inside as u32));
        }
        let failed: u64 = self.entries.failed.values().sum();
        if failed > 0 {
            broken.push(format!("{failed} tries failed without a word"));
        }
        for (what, p99) in [("chat", self.chat_us.p99), ("playback", self.playback_us.p99)] {
            if p99 >= BOUND_US {
                broken.push(format!("established members' p99 of {what} is {} ms", p99 / 1_000));
            }
        }
        if self.thrown_out > 0 || !self.load.counts.is_sound() || self.load.not_sent > 0 {
            broken.push("somebody was thrown out or missed something".to_owned());
        }
        broken
    }
}
