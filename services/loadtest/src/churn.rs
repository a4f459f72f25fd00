//! Half of a room drops while as many come: every server says how it is in time, and in the end the room's list is right.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use streamit_client::Http;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::args::{Churn, Target, What};
use crate::beat::{Beat, Counts, Outcome};
use crate::crowd;
use crate::door::{Entries, Entry, come_in};
use crate::health::{self, Answers};
use crate::histogram::Quantiles;
use crate::line::Seat;
use crate::report::{Promise, Table};
use crate::storm::stay;

/// How long before and after it is measured, too.
const CALM: Duration = Duration::from_secs(2);
/// How often the list is read.
const LOOK: Duration = Duration::from_millis(200);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many dropped, and how many came.
    pub members: u32,
    /// How those who came got in.
    pub entries: Entries,
    /// How long it took until the last was in, in seconds.
    pub all_in_s: f64,
    /// How long it took until the api listed exactly those who are there, in seconds; none when it never did.
    pub exact_s: Option<f64>,
    /// How many each node then told a newcomer are there.
    pub told: Vec<u64>,
    /// How many are there.
    pub there: u64,
    /// Latency for the host and those who came, meanwhile.
    pub during_us: Quantiles,
    /// The load on them.
    pub load: Outcome,
    /// What the servers said of their health.
    pub health: Answers,
}

/// Gathers the room, lets half of it drop and others come, and looks who is there.
///
/// # Errors
/// When the crowd can't be gathered.
pub async fn run(target: &Target, wanted: &Churn) -> anyhow::Result<Report> {
    let members = wanted.members as usize;
    let rooms = crowd::gather(target, &[1 + 2 * members]).await?;
    let host_token = rooms[0].tokens[0].clone();
    let mut seats = crowd::seats(target, &rooms)?.remove(0);
    let coming = seats.split_off(1 + members);
    let mut lines = crowd::sit(target, &seats).await?.into_iter();
    let (host, welcome) = lines.next().context("a room has a host")?;
    let mut beat = Beat::start(
        vec![(host.voice(), What::Chat)],
        wanted.rate,
        "The quick brown fox jumps over the lazy dog",
    )?;
    let online = beat.count(host, beat.ear(0, welcome.since.seq), welcome.online);
    let drop_now = CancellationToken::new();
    let mut dropping = JoinSet::new();
    for (line, _) in lines {
        let drop_now = drop_now.clone();
        dropping.spawn(async move { drop_now.run_until_cancelled(stay(line)).await.is_some() });
    }
    let probes = health::watch(target)?;
    sleep(CALM).await;

    let during = beat.windows.open();
    let (start, entries) = (Instant::now(), Arc::new(Mutex::new(Entries::default())));
    drop_now.cancel();
    let deadline = start + wanted.within;
    let mut entering = JoinSet::new();
    for seat in coming.clone() {
        let entries = entries.clone();
        entering.spawn(async move {
            let entry = come_in(&seat, 0, None, deadline).await;
            entries.lock().unwrap_or_else(PoisonError::into_inner).add(&entry);
            entry
        });
    }
    let mut thrown_out = 0;
    while let Some(dropped) = dropping.join_next().await {
        thrown_out += u64::from(dropped?);
    }
    let mut last = start;
    while let Some(entered) = entering.join_next().await {
        let Entry { line: Some((line, welcome)), at, .. } = entered? else { continue };
        last = last.max(at);
        beat.listen(line, beat.ear(0, welcome.since.seq));
    }

    let there = 1 + members as u64;
    let exact_s = exact(target, &rooms[0].code, &host_token, members, deadline).await?;
    let exact_s = exact_s.map(|at| (at - start).as_secs_f64());
    let told = told_by_each_node(target, &coming[0]).await;
    // What members are told above 200 comes once a second.
    let mut online = online;
    let counted = timeout(wanted.within, online.wait_for(|online| *online == there)).await.is_ok();
    sleep(CALM).await;
    beat.windows.close();
    let health = probes.stop().await?;
    let latencies = beat.windows.clone();
    let mut load = beat.stop().await?;
    load.counts.ended += thrown_out;
    let entries = entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Report {
        members: wanted.members,
        entries,
        all_in_s: (last - start).as_secs_f64(),
        exact_s: exact_s.filter(|_| counted),
        told,
        there,
        during_us: latencies.latency(during, What::Chat),
        load,
        health,
    })
}

/// Waits until the api lists exactly the host and those who came as online; gives when it did.
async fn exact(
    target: &Target,
    code: &str,
    host: &str,
    members: usize,
    deadline: Instant,
) -> anyhow::Result<Option<Instant>> {
    let expected: BTreeSet<String> = std::iter::once(crowd::host_name(0))
        .chain((1 + members..1 + 2 * members).map(|place| crowd::guest_name(0, place)))
        .collect();
    let http = Http::new(&target.url)?.with_token(host);
    let room = http.detail(code).await.context("the room can't be read")?.room_id;
    while Instant::now() < deadline {
        let listed = timeout(target.patience, http.participants(room)).await?.context("no list")?;
        let online: BTreeSet<String> =
            listed.into_iter().filter(|person| person.online).map(|person| person.display_name).collect();
        if online == expected {
            return Ok(Some(Instant::now()));
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

/// How many are there, as each node tells somebody who is there on another line already.
async fn told_by_each_node(target: &Target, somebody: &Seat) -> Vec<u64> {
    let mut told = Vec::new();
    for turn in 0..somebody.nodes.len() {
        let entry = come_in(somebody, turn, None, Instant::now() + target.patience).await;
        told.push(entry.line.map_or(0, |(_, welcome)| welcome.online));
    }
    told
}

impl Table for Report {
    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![("dropped, and came".to_owned(), self.members.to_string())];
        rows.extend(self.entries.rows());
        rows.push(("all in after".to_owned(), format!("{:.2} s", self.all_in_s)));
        let exact = self.exact_s.map_or("never".to_owned(), |s| format!("after {s:.2} s"));
        rows.push(("the list was right".to_owned(), exact));
        rows.push(("there, and told by each node".to_owned(), format!("{}, {:?}", self.there, self.told)));
        rows.push(("latency meanwhile".to_owned(), format!("{} ({})", self.during_us, self.during_us.count)));
        let Counts { lost, repeated, ended, .. } = self.load.counts;
        rows.push(("lost, repeated, thrown out".to_owned(), format!("{lost}, {repeated}, {ended}")));
        rows.extend(self.health.rows());
        rows
    }
}

impl Promise for Report {
    fn about(&self) -> String {
        format!("{0} members drop while {0} join", self.members)
    }

    fn figures(&self) -> String {
        let exact = self.exact_s.map_or("never".to_owned(), |s| format!("after {s:.1} s"));
        let health = self.health.latency_us;
        format!(
            "{} health answers, p99 {:.0} ms, longest {:.0} ms; all in after {:.1} s, the roster exact {exact}",
            health.count,
            health.p99 as f64 / 1_000.0,
            health.max as f64 / 1_000.0,
            self.all_in_s,
        )
    }

    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if !self.health.are_in_time() {
            broken.push(format!("{} health answers late, {} missing", self.health.late, self.health.failed));
        }
        if !self.entries.all_in() {
            broken.push("not everybody came in".to_owned());
        }
        if self.exact_s.is_none() || self.told.iter().any(|told| *told != self.there) {
            broken.push("the list was never right everywhere".to_owned());
        }
        if !self.load.counts.is_sound() || self.load.not_sent > 0 {
            broken.push("somebody was thrown out or missed something".to_owned());
        }
        broken
    }
}
