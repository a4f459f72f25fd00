//! Clients that stop reading and answering, while their sockets stay open: when they are given up.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::time::sleep;

use crate::args::{HalfOpen, Target, What};
use crate::beat::Beat;
use crate::report::{Promise, Table};
use crate::{crowd, process};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);
/// How much longer than promised it is looked, to tell how long it takes.
const MORE: Duration = Duration::from_secs(30);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many fell silent.
    pub connections: u32,
    /// How soon they must be gone, in seconds.
    pub within_s: f64,
    /// How long after its last sign of life the last of them was told to have left, in seconds; none when it never was.
    pub left_s: Option<f64>,
    /// How long after its last sign of life the first was.
    pub first_left_s: Option<f64>,
    /// How long it took until the servers' processes had closed as many files as clients had fallen silent; none when they
    /// never had, or no process was named.
    pub closed_s: Option<f64>,
    /// How many processes that was counted of.
    pub processes: usize,
}

/// Gathers a room, lets all but the host fall silent, and waits until they are gone.
///
/// # Errors
/// When the crowd can't be gathered.
pub async fn run(target: &Target, wanted: &HalfOpen) -> anyhow::Result<Report> {
    let silent = wanted.connections as usize;
    let rooms = crowd::gather(target, &[1 + silent]).await?;
    let seats = crowd::seats(target, &rooms)?.remove(0);
    let (host, welcome) = crowd::sit(target, &seats[..1]).await?.pop().context("a room has a host")?;
    // Slow enough to fill nothing: this is about silence.
    let mut beat = Beat::start(vec![(host.voice(), What::Chat)], 0.5, "still here")?;
    let online = beat.count(host, beat.ear(0, welcome.since.seq), welcome.online);
    // Nobody has said anything since the request to come in.
    let mut lines: Vec<_> = stream::iter(&seats[1..])
        .map(async |seat| {
            let spoke = Instant::now();
            let taken = seat.take(0, None).await;
            let (line, _) =
                taken.map_err(|end| anyhow::anyhow!("somebody did not get in: {}", end.name()))?;
            anyhow::Ok((spoke, line))
        })
        .buffer_unordered(usize::from(target.at_once))
        .try_collect()
        .await?;
    lines.sort_by_key(|(spoke, _)| *spoke);
    let files = open_files(target)?;

    // Whoever came first may go first: the n-th to go was silent at least since the n-th came.
    let (mut left_s, mut first_left_s, mut closed_s) = (Ages::default(), None, Ages::default());
    let begun = Instant::now();
    while begun.elapsed() < wanted.within + MORE {
        let left = silent.saturating_sub((*online.borrow() as usize).saturating_sub(1));
        // The counting of joins may lag behind at first; nobody is given up so early.
        if begun.elapsed() > wanted.within / 2 {
            left_s.gone(left, &lines);
            if left > 0 {
                first_left_s.get_or_insert(lines[0].0.elapsed().as_secs_f64());
            }
        }
        if !target.pid.is_empty() {
            closed_s.gone(files.saturating_sub(open_files(target)?).min(silent), &lines);
        }
        if left_s.gone == silent && (closed_s.gone == silent || target.pid.is_empty()) {
            break;
        }
        sleep(LOOK).await;
    }
    beat.stop().await?;
    drop(lines);
    Ok(Report {
        connections: wanted.connections,
        within_s: wanted.within.as_secs_f64(),
        left_s: left_s.longest(silent),
        first_left_s,
        closed_s: closed_s.longest(silent),
        processes: target.pid.len(),
    })
}

fn open_files(target: &Target) -> anyhow::Result<usize> {
    target.pid.iter().map(|pid| process::open_files(*pid)).sum()
}

/// How long those had been silent who went.
#[derive(Debug, Default)]
struct Ages {
    gone: usize,
    longest: Duration,
}

impl Ages {
    /// By now, so many are gone.
    fn gone<T>(&mut self, gone: usize, came: &[(Instant, T)]) {
        for (spoke, _) in came.iter().take(gone).skip(self.gone) {
            self.longest = self.longest.max(spoke.elapsed());
        }
        self.gone = self.gone.max(gone);
    }

    fn longest(&self, all: usize) -> Option<f64> {
        (self.gone == all).then_some(self.longest.as_secs_f64())
    }
}

fn seconds(time: Option<f64>) -> String {
    time.map_or("never".to_owned(), |time| format!("{time:.1} s"))
}

impl Table for Report {
    fn rows(&self) -> Vec<(String, String)> {
        vec![
            ("fell silent".to_owned(), self.connections.to_string()),
            ("the first told to have left after".to_owned(), seconds(self.first_left_s)),
            ("the last told to have left after".to_owned(), seconds(self.left_s)),
            ("their sockets closed after".to_owned(), seconds(self.closed_s)),
        ]
    }
}

impl Promise for Report {
    fn about(&self) -> String {
        format!("{} half-open clients", self.connections)
    }

    fn figures(&self) -> String {
        format!(
            "gone for the others after {}, slots freed after {}",
            seconds(self.left_s),
            seconds(self.closed_s)
        )
    }

    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.left_s.is_none_or(|left| left > self.within_s) {
            broken.push(format!("told to have left after {}", seconds(self.left_s)));
        }
        if self.processes > 0 && self.closed_s.is_none_or(|closed| closed > self.within_s) {
            broken.push(format!("slots freed after {}", seconds(self.closed_s)));
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_to_go_was_silent_since_the_nth_came() {
        let now = Instant::now();
        let came = [10, 8, 1].map(|ago| (now.checked_sub(Duration::from_secs(ago)).unwrap(), ()));
        let mut ages = Ages::default();
        ages.gone(0, &came);
        ages.gone(2, &came[..]);
        assert!(ages.longest(3).is_none());
        ages.gone(3, &came);
        let longest = ages.longest(3).unwrap();
        assert!((10.0..11.0).contains(&longest), "{longest}");
    }
}
