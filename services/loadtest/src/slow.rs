//! Readers who take one byte a second, in a room where others watch: what the others notice of it.
//!
//! The same people are in the room all the time, and read as everybody does. Then they slow down, until the server lets
//! them go; then they read what is left, come back, and resume. The latency of the others before and while they are slow
//! is one pair; the change is the median of all pairs. How much two equal runs differ on this machine is measured with
//! the runs before: a change within that says nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{interval, interval_at, sleep, timeout, timeout_at};

use crate::args::{Slow, Target, What};
use crate::beat::{Beat, Counts, Ear, Outcome, WindowId};
use crate::door::come_in;
use crate::histogram::Quantiles;
use crate::line::{End, Heard, Line, Seat, Since};
use crate::report::{Promise, Table};
use crate::told::Told;
use crate::{crowd, process};

/// How much later the others may have things, as a share.
const BOUND: f64 = 0.1;
/// What the server may keep for each, in KiB.
const KEPT_KIB: f64 = 64.0;
/// Of fewer than these, what each costs can't be told from what the process does otherwise.
const ENOUGH: u32 = 100;
/// How long a message is. At ten a second, what somebody misses until he is let go is less than what can be resumed.
const TEXT: usize = 250;
/// One byte each.
const SIP: Duration = Duration::from_secs(1);
/// How long it may take until they are let go: the kernel's buffers have to fill, then 20 s begin.
const LET_GO: Duration = Duration::from_secs(120);
/// How long reading what is left may take.
const DRAIN: Duration = Duration::from_secs(10);
/// How long coming back may take.
const COME_BACK: Duration = Duration::from_secs(60);
/// Between the steps of a pair.
const REST: Duration = Duration::from_secs(1);

/// What slow readers do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// As everybody.
    Read,
    /// One byte a second.
    Sip,
    /// All that is left, and back again.
    Return,
    /// Nothing more.
    Stop,
}

/// What became of the slow ones, each time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fates {
    /// How their connections ended: the close code, or what was the matter.
    pub ended: BTreeMap<String, u64>,
    /// Whose connection was still open.
    pub kept: u64,
    /// Who came back and went on where he had been.
    pub resumed: u64,
    /// Who came back to something else.
    pub not_resumed: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Readers as they should be.
    pub members: u32,
    /// Slow ones.
    pub slow: u32,
    /// Messages a second.
    pub rate: f64,
    /// Latency of the others before.
    pub before_us: Vec<Quantiles>,
    /// Latency of the others meanwhile.
    pub during_us: Vec<Quantiles>,
    /// The median of the changes of p99, as a share.
    pub change: f64,
    /// The median of how much p99 of two equal runs differs, as a share.
    pub spread: f64,
    /// How long it took until they were let go, in seconds, each time.
    pub let_go_s: Vec<f64>,
    /// How much more resident memory the servers had meanwhile for each slow reader, at most, in KiB.
    pub kib_each: f64,
    /// How much more the kernel kept meanwhile in all TCP connections of this machine for each slow reader, at most, in
    /// KiB: what the servers had sent and nobody took.
    pub kernel_kib_each: f64,
    /// What became of them.
    pub fates: Fates,
    /// The load on the others.
    pub load: Outcome,
}

/// What all slow readers share.
struct Shared {
    step: watch::Receiver<Step>,
    fates: Mutex<Fates>,
    finished: watch::Sender<u32>,
}

/// Gathers the room, and slows some of it down again and again.
///
/// # Errors
/// When the crowd can't be gathered, or the slow ones are not let go.
pub async fn run(target: &Target, wanted: &Slow) -> anyhow::Result<Report> {
    let others = wanted.members as usize + 1; // and the host
    let rooms = crowd::gather(target, &[others + wanted.slow as usize]).await?;
    let mut seats = crowd::seats(target, &rooms)?.remove(0);
    for seat in &mut seats[others..] {
        seat.is_narrow = true;
    }
    let mut lines = crowd::sit(target, &seats).await?;
    let slow_lines = lines.split_off(others);
    let mut beat =
        Beat::start(vec![(lines[0].0.voice(), What::Chat)], wanted.rate, &"0123456789".repeat(TEXT / 10))?;
    let (host, welcome) = lines.remove(0);
    let mut online = beat.count(host, beat.ear(0, welcome.since.seq), welcome.online);
    for (line, welcome) in lines {
        beat.listen(line, beat.ear(0, welcome.since.seq));
    }
    let (step, steps) = watch::channel(Step::Read);
    let shared = Arc::new(Shared { step: steps, fates: Mutex::default(), finished: watch::Sender::new(0) });
    for (n, (seat, (line, welcome))) in seats.split_off(others).into_iter().zip(slow_lines).enumerate() {
        let ear = beat.ear(0, welcome.since.seq);
        let phase = n as f64 / f64::from(wanted.slow);
        let reader =
            Reader { seat, line: Some(line), ear, epoch: welcome.since.epoch, phase, shared: shared.clone() };
        beat.listen_with(reader.live());
    }

    let mut finished = shared.finished.subscribe();
    let (mut windows, mut let_go_s) = (Vec::new(), Vec::new());
    let (mut kib_each, mut kernel_kib_each) = (0.0_f64, 0.0_f64);
    let each = |before: u64, now: u64| now.saturating_sub(before) as f64 / f64::from(wanted.slow);
    for _ in 0..wanted.pairs {
        timeout(LET_GO, online.wait_for(|online| *online == others as u64 + u64::from(wanted.slow)))
            .await
            .map_err(|_| anyhow::anyhow!("not everybody is counted who is there"))??;
        sleep(REST).await;
        let before = beat.windows.open();
        sleep(wanted.calm).await;

        let (memory, kernel) = (resident(target)?, process::tcp_kib()?);
        step.send_replace(Step::Sip);
        let (during, start) = (beat.windows.open(), Instant::now());
        let mut tick = interval(SIP);
        while *online.borrow_and_update() > others as u64 {
            ensure!(start.elapsed() < LET_GO, "who reads a byte a second is still there after {LET_GO:?}");
            tick.tick().await;
            kib_each = kib_each.max(each(memory, resident(target)?));
            kernel_kib_each = kernel_kib_each.max(each(kernel, process::tcp_kib()?));
        }
        let_go_s.push(start.elapsed().as_secs_f64());
        beat.windows.close();
        windows.push((before, during));

        finished.borrow_and_update();
        shared.finished.send_replace(0);
        step.send_replace(Step::Return);
        timeout(LET_GO, finished.wait_for(|finished| *finished == wanted.slow))
            .await
            .map_err(|_| anyhow::anyhow!("not all slow readers came back"))??;
        step.send_replace(Step::Read);
    }
    step.send_replace(Step::Stop);
    let latencies = beat.windows.clone();
    let load = beat.stop().await?;
    let of = |pick: fn(&(WindowId, WindowId)) -> WindowId| -> Vec<Quantiles> {
        windows.iter().map(|pair| latencies.latency(pick(pair), What::Chat)).collect()
    };
    let (before_us, during_us) = (of(|pair| pair.0), of(|pair| pair.1));
    let fates = shared.fates.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Report {
        members: wanted.members,
        slow: wanted.slow,
        rate: wanted.rate,
        change: median(before_us.iter().zip(&during_us).map(|(before, during)| grown(before, during))),
        spread: median(before_us.windows(2).map(|two| grown(&two[0], &two[1]).abs())),
        before_us,
        during_us,
        let_go_s,
        kib_each,
        kernel_kib_each,
        fates,
        load,
    })
}

/// How much more p99 is, as a share.
pub(crate) fn grown(before: &Quantiles, after: &Quantiles) -> f64 {
    after.p99 as f64 / before.p99.max(1) as f64 - 1.0
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

pub(crate) fn resident(target: &Target) -> anyhow::Result<u64> {
    target.pid.iter().map(|pid| process::resident_kib(*pid)).sum()
}

/// One slow reader.
struct Reader {
    seat: Seat,
    line: Option<Line>,
    ear: Ear,
    epoch: u64,
    /// When in a second this one sips, as a share.
    phase: f64,
    shared: Arc<Shared>,
}

impl Reader {
    async fn live(mut self) -> Counts {
        let mut step = self.shared.step.clone();
        loop {
            let now = *step.borrow_and_update();
            match now {
                Step::Stop => return self.ear.heard,
                Step::Return => {
                    self.come_back().await;
                    self.shared.finished.send_modify(|finished| *finished += 1);
                    // Until all are back, this one reads as everybody.
                    self.read_while(&mut step).await;
                }
                Step::Read => self.read_while(&mut step).await,
                Step::Sip => self.sip_while(&mut step).await,
            }
        }
    }

    async fn read_while(&mut self, step: &mut watch::Receiver<Step>) {
        let Some(line) = &mut self.line else {
            let _ = step.changed().await; // an end of all steps is an end, too
            return;
        };
        loop {
            tokio::select! {
                changed = step.changed() => {
                    let _ = changed;
                    return;
                }
                heard = line.next() => match heard {
                    Heard::Text(frame) => note(&mut self.ear, frame),
                    Heard::End(_) => {
                        self.ear.heard.ended += 1;
                        self.line = None;
                        return;
                    }
                }
            }
        }
    }

    async fn sip_while(&mut self, step: &mut watch::Receiver<Step>) {
        // Each in his own moment of the second: a thousand at once would be felt by the others, in this process.
        let mut tick = interval_at((Instant::now() + SIP.mul_f64(self.phase)).into(), SIP);
        loop {
            tokio::select! {
                changed = step.changed() => {
                    let _ = changed;
                    return;
                }
                _ = tick.tick() => {
                    // Whether it is over shows when all is read.
                    let _ = self.line.as_mut().map(Line::sip);
                }
            }
        }
    }

    /// Reads what is left, and goes on from there.
    async fn come_back(&mut self) {
        let deadline = Instant::now() + DRAIN;
        let mut end = None;
        if let Some(line) = &mut self.line {
            loop {
                match timeout_at(deadline.into(), line.next()).await {
                    Ok(Heard::Text(frame)) => note(&mut self.ear, frame),
                    Ok(Heard::End(ended)) => break end = Some(ended),
                    Err(_) => break,
                }
            }
        }
        self.fates(|fates| match &end {
            Some(End { code: None, .. }) => *fates.ended.entry("no code".to_owned()).or_default() += 1,
            Some(end) => *fates.ended.entry(end.name()).or_default() += 1,
            None => fates.kept += 1,
        });
        if let Some(wait) = end.and_then(|end| end.retry_in_ms) {
            sleep(Duration::from_millis(wait)).await;
        }
        let since = Since { seq: self.ear.last().unwrap_or(0), epoch: self.epoch };
        let entry = come_in(&self.seat, 0, Some(since), Instant::now() + COME_BACK).await;
        match entry.line {
            Some((line, welcome)) => {
                let goes_on = welcome.resumed && welcome.seqs.first().is_none_or(|seq| *seq == since.seq + 1);
                self.ear.resumed(&welcome.seqs);
                self.line = Some(line);
                self.fates(|fates| {
                    if goes_on {
                        fates.resumed += 1;
                    } else {
                        fates.not_resumed += 1;
                    }
                });
            }
            None => {
                self.line = None;
                self.fates(|fates| fates.not_resumed += 1);
            }
        }
    }

    fn fates(&self, note: impl FnOnce(&mut Fates)) {
        note(&mut self.shared.fates.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A slow reader's own latency is not measured.
fn note(ear: &mut Ear, frame: &[u8]) {
    if let Some(told) = Told::read(frame) {
        ear.count(&told);
    }
}

impl Table for Report {
    fn rows(&self) -> Vec<(String, String)> {
        let Self { members, slow, rate, .. } = self;
        let mut rows = vec![(
            "load".to_owned(),
            format!("{rate} messages a second to {members}, {slow} of them slow in turn"),
        )];
        for (before, during) in self.before_us.iter().zip(&self.during_us) {
            rows.push(("others before".to_owned(), format!("{before} ({})", before.count)));
            rows.push(("others meanwhile".to_owned(), format!("{during} ({})", during.count)));
        }
        let let_go: Vec<String> = self.let_go_s.iter().map(|s| format!("{s:.0}")).collect();
        rows.push(("let go after".to_owned(), format!("{} s", let_go.join(", "))));
        rows.push((
            "memory for each".to_owned(),
            format!(
                "{:.1} KiB of resident memory of all servers, {:.1} KiB of the kernel's",
                self.kib_each, self.kernel_kib_each
            ),
        ));
        for (how, times) in &self.fates.ended {
            rows.push(("ended".to_owned(), format!("{times}: {how}")));
        }
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
        format!("{} reading 1 byte a second in a room of {}", self.slow, self.members)
    }

    fn figures(&self) -> String {
        let p99 = |all: &[Quantiles]| median(all.iter().map(|one| one.p99 as f64 / 1_000.0));
        let (resumed, times) = (self.fates.resumed, u64::from(self.slow) * self.let_go_s.len() as u64);
        let coded = self.fates.ended.get("4100").copied().unwrap_or(0);
        format!(
            "others' p99 {:.1} ms before, {:.1} ms meanwhile: {:+.0} % (two equal runs differ by {:.0} %); {:.1} KiB for each, \
             {:.1} KiB in the kernel; {coded} of {times} closed 4100, {resumed} resumed",
            p99(&self.before_us),
            p99(&self.during_us),
            self.change * 100.0,
            self.spread * 100.0,
            self.kib_each,
            self.kernel_kib_each,
        )
    }

    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let bound = BOUND.max(self.spread);
        if self.change > bound {
            broken.push(format!(
                "others wait {:.0} % longer, more than {:.0} %",
                self.change * 100.0,
                bound * 100.0
            ));
        }
        if self.slow >= ENOUGH && self.kib_each > KEPT_KIB {
            broken.push(format!("{:.0} KiB are kept for each, more than {KEPT_KIB}", self.kib_each));
        }
        let times = u64::from(self.slow) * self.let_go_s.len() as u64;
        if self.fates.ended.get("4100") != Some(&times) {
            broken.push("not all were closed with 4100".to_owned());
        }
        if self.fates.resumed != times {
            broken.push(format!("{} did not resume", times - self.fates.resumed));
        }
        if !self.load.counts.is_sound() || self.load.not_sent > 0 {
            broken.push("not everything came once, to everybody".to_owned());
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_counts() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0].into_iter()) - 2.5).abs() < f64::EPSILON);
        assert!(median(std::iter::empty()).abs() < f64::EPSILON);
        let at = |p99| Quantiles { p99, ..Quantiles::default() };
        assert!((grown(&at(100), &at(110)) - 0.1).abs() < 1e-9);
    }
}
