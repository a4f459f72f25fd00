//! A steady load on a crowd, and how long it takes to reach everybody while something else happens.
//!
//! In each room the host says something, or seeks, at a fixed rate. A message counts from the moment it was *due*, and for the
//! window of time in which it was due, however late it comes: a server that stalls does not look better for it. Every
//! member also counts the messages themselves: chat has no holes and no repeats.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::args::What;
use crate::histogram::{Histogram, Quantiles};
use crate::line::{Heard, Line, Voice};
use crate::told::Told;

/// Messages that may wait for a room's sender. It only falls behind when the server no longer reads.
const BEHIND: usize = 1_024;
/// Everybody is ready a moment before the first message is due.
const LEAD: Duration = Duration::from_millis(200);
/// How long to wait for what is still on its way at the end.
const STRAGGLERS: Duration = Duration::from_secs(10);

/// When what is due: message `k` of room `r` at `start + r's share of the period + k periods`.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    period: Duration,
    rooms: usize,
}

impl Pace {
    fn due(&self, room: usize, k: u64) -> Instant {
        let phase = self.period.mul_f64(room as f64 / self.rooms as f64);
        self.start + phase + self.period.mul_f64(k as f64)
    }
}

/// Spans of time, and the latency of what was due in each.
#[derive(Debug, Default)]
pub struct Windows(RwLock<Vec<Window>>);

#[derive(Debug)]
struct Window {
    from: Instant,
    to: Option<Instant>,
    chat: Histogram,
    playback: Histogram,
}

impl Window {
    fn latency(&self, what: What) -> &Histogram {
        match what {
            What::Chat => &self.chat,
            What::Playback => &self.playback,
        }
    }
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowId(usize);

impl Windows {
    /// Begins one now. The one before is over, if it was not.
    pub fn open(&self) -> WindowId {
        self.close();
        let mut windows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        windows.push(Window {
            from: Instant::now(),
            to: None,
            chat: Histogram::default(),
            playback: Histogram::default(),
        });
        WindowId(windows.len() - 1)
    }

    /// What is due from now on counts for none, until the next one begins.
    pub fn close(&self) {
        let mut windows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = windows.last_mut() {
            last.to.get_or_insert_with(Instant::now);
        }
    }

    /// The latency of what was due in a window. Complete once the load has stopped.
    #[must_use]
    pub fn latency(&self, id: WindowId, what: What) -> Quantiles {
        let windows = self.0.read().unwrap_or_else(PoisonError::into_inner);
        windows.get(id.0).map(|window| window.latency(what).quantiles()).unwrap_or_default()
    }

    fn record(&self, what: What, due: Instant, now: Instant) {
        let windows = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let window = windows.iter().rev().find(|window| window.from <= due);
        if let Some(window) = window.filter(|window| window.to.is_none_or(|to| due < to)) {
            window.latency(what).record(now.saturating_duration_since(due));
        }
    }
}

/// What a member takes note of.
#[derive(Clone, Debug)]
pub struct Ear {
    room: usize,
    pace: Pace,
    windows: Arc<Windows>,
    last: Option<u64>,
    /// What was found so far.
    pub heard: Counts,
}

/// What all members found together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages that came.
    pub received: u64,
    /// Messages that were missing before one that came.
    pub lost: u64,
    /// Messages that came again, or too late.
    pub repeated: u64,
    /// Members whose connection ended.
    pub ended: u64,
}

impl Counts {
    /// Adds what others found.
    pub fn add(&mut self, more: &Self) {
        self.received += more.received;
        self.lost += more.lost;
        self.repeated += more.repeated;
        self.ended += more.ended;
    }

    /// Whether everything came once, and nobody was thrown out.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.lost + self.repeated + self.ended == 0
    }
}

impl Ear {
    /// What somebody comes back with: the last message before a history that continues there.
    pub fn resumed(&mut self, seqs: &[u64]) {
        for seq in seqs {
            self.number(*seq);
        }
    }

    /// The number of the last message.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Takes in a frame, for its latency; gives the number in the load of what it tells, if it is one of it.
    pub fn take(&mut self, told: &Told<'_>, now: Instant) -> Option<u64> {
        self.count(told);
        let (what, k) = match &*told.kind {
            "CHAT_MESSAGE" => (What::Chat, told.client_id.as_deref()?.parse().ok()?),
            "PLAYBACK_STATE" => (What::Playback, told.time?.round() as u64),
            _ => return None,
        };
        self.windows.record(what, self.pace.due(self.room, k), now);
        Some(k)
    }

    /// Takes in a frame, but not when it came.
    pub fn count(&mut self, told: &Told<'_>) {
        if let Some(seq) = told.seq.filter(|_| told.kind == "CHAT_MESSAGE") {
            self.number(seq);
        }
    }

    fn number(&mut self, seq: u64) {
        match self.last {
            Some(last) if seq <= last => {
                self.heard.repeated += 1;
                return;
            }
            Some(last) => self.heard.lost += seq - last - 1,
            None => {}
        }
        self.heard.received += 1;
        self.last = Some(seq);
    }
}

/// A load that goes on until it is stopped.
#[derive(Debug)]
pub struct Beat {
    /// Where its latency is kept.
    pub windows: Arc<Windows>,
    pace: Pace,
    stop: Arc<AtomicBool>,
    timekeeper: JoinHandle<u64>,
    senders: JoinSet<u64>,
    readers: JoinSet<Counts>,
    /// How many messages there were in each room, once that is known.
    end: watch::Sender<Option<u64>>,
    sent: Arc<AtomicU64>,
}

/// How a load went.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outcome {
    /// Messages that were sent, in all rooms.
    pub sent: u64,
    /// Messages that the senders had no room for: the server did not keep up.
    pub not_sent: u64,
    /// What members found.
    pub counts: Counts,
}

impl Beat {
    /// Begins: in each room its voice says `text`, or seeks, so often a second.
    ///
    /// # Errors
    /// When the rate makes no sense.
    pub fn start(voices: Vec<(Voice, What)>, rate: f64, text: &str) -> anyhow::Result<Self> {
        ensure!(rate.is_finite() && rate > 0.0, "--rate must be above 0");
        let period = Duration::from_secs_f64(1.0 / rate);
        let pace = Pace { start: Instant::now() + LEAD, period, rooms: voices.len() };
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (mut senders, mut queues) = (JoinSet::new(), Vec::new());
        for (voice, what) in voices {
            let (queue, due) = mpsc::channel(BEHIND);
            queues.push(queue);
            senders.spawn(send(voice, what, due, text.to_owned(), sent.clone()));
        }
        let stopped = stop.clone();
        let timekeeper = thread::spawn(move || keep_time(pace, &queues, &stopped));
        let (readers, end) = (JoinSet::new(), watch::Sender::new(None));
        Ok(Self { windows: Arc::default(), pace, stop, timekeeper, senders, readers, end, sent })
    }

    /// An ear for somebody in this room who has all messages until `since`.
    #[must_use]
    pub fn ear(&self, room: usize, since: u64) -> Ear {
        let (pace, windows) = (self.pace, self.windows.clone());
        Ear { room, pace, windows, last: Some(since), heard: Counts::default() }
    }

    /// Somebody who does nothing but listen.
    pub fn listen(&mut self, line: Line, ear: Ear) {
        self.readers.spawn(listen(line, ear, self.end.subscribe(), None));
    }

    /// Somebody who also counts who is there, and found so many when he came.
    pub fn count(&mut self, line: Line, ear: Ear, online: u64) -> watch::Receiver<u64> {
        let (tell, told) = watch::channel(online);
        self.readers.spawn(listen(line, ear, self.end.subscribe(), Some(tell)));
        told
    }

    /// Somebody who listens in a way of his own. He must end by himself once [`Beat::stop`] was called.
    pub fn listen_with(&mut self, listening: impl Future<Output = Counts> + Send + 'static) {
        self.readers.spawn(listening);
    }

    /// Tells how many messages there were in each room, when that is known.
    #[must_use]
    pub fn end(&self) -> watch::Receiver<Option<u64>> {
        self.end.subscribe()
    }

    /// How many messages were sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends the load and waits until everybody has everything, or can't hope for it any more.
    ///
    /// # Errors
    /// When a part of this tool failed.
    pub async fn stop(self) -> anyhow::Result<Outcome> {
        let Self { stop, timekeeper, mut senders, mut readers, end, .. } = self;
        stop.store(true, Ordering::Relaxed);
        let rounds = tokio::task::spawn_blocking(|| timekeeper.join()).await?;
        let not_sent = rounds.map_err(|_| anyhow::anyhow!("the timekeeper failed"))?;
        let mut sent = Vec::new();
        while let Some(of_room) = senders.join_next().await {
            sent.push(of_room?);
        }
        // All rooms had the same number of turns, but a sender may have fallen behind.
        end.send_replace(Some(sent.iter().copied().max().unwrap_or(0)));
        let mut counts = Counts::default();
        let all = async {
            while let Some(heard) = readers.join_next().await {
                counts.add(&heard?);
            }
            anyhow::Ok(())
        };
        timeout(2 * STRAGGLERS, all).await.context("the members did not end")??;
        Ok(Outcome { sent: sent.iter().sum(), not_sent, counts })
    }
}

/// Hands out each message when it is due; gives how many found no place in their room's queue. A thread of its own,
/// since the timer of the async runtime rounds to milliseconds.
fn keep_time(pace: Pace, queues: &[mpsc::Sender<u64>], stop: &AtomicBool) -> u64 {
    let mut refused = 0;
    for k in 0.. {
        for (room, queue) in queues.iter().enumerate() {
            thread::sleep(pace.due(room, k).saturating_duration_since(Instant::now()));
            refused += u64::from(queue.try_send(k).is_err());
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    refused
}

/// Says what is due; gives how much was said.
async fn send(
    voice: Voice,
    what: What,
    mut due: mpsc::Receiver<u64>,
    text: String,
    all: Arc<AtomicU64>,
) -> u64 {
    let mut sent = 0;
    while let Some(k) = due.recv().await {
        let went = match what {
            What::Chat => voice.chat(&text, &k.to_string()).await,
            What::Playback => voice.seek(k).await,
        };
        if went.is_err() {
            break;
        }
        sent += 1;
        all.fetch_add(1, Ordering::Relaxed);
    }
    sent
}

/// Reads until everything came, the connection ended, or nothing more can be hoped for.
async fn listen(
    mut line: Line,
    mut ear: Ear,
    mut end: watch::Receiver<Option<u64>>,
    online: Option<watch::Sender<u64>>,
) -> Counts {
    let mut last = None;
    loop {
        if last.is_some() && last.map(|k: u64| k + 1) >= *end.borrow_and_update() && end.borrow().is_some() {
            return ear.heard;
        }
        let is_ending = end.borrow().is_some();
        tokio::select! {
            heard = line.next() => match heard {
                Heard::Text(frame) => {
                    if let Some(told) = Told::read(frame) {
                        last = last.max(ear.take(&told, Instant::now()));
                        if let Some(online) = &online {
                            online.send_if_modified(|online| told.count(online));
                        }
                    }
                }
                Heard::End(_) => {
                    ear.heard.ended += 1;
                    return ear.heard;
                }
            },
            _ = end.changed(), if !is_ending => {}
            () = tokio::time::sleep(STRAGGLERS), if is_ending => {
                // What did not come by now is lost: how much, the next would have told.
                ear.heard.lost += 1;
                return ear.heard;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(seq: u64, k: u64) -> String {
        format!(r#"{{"type":"CHAT_MESSAGE","seq":{seq},"message":"m","client_id":"{k}"}}"#)
    }

    fn ear(windows: &Arc<Windows>, ago: Duration) -> Ear {
        let period = Duration::from_millis(100);
        let pace = Pace { start: Instant::now().checked_sub(ago).unwrap(), period, rooms: 1 };
        Ear { room: 0, pace, windows: windows.clone(), last: Some(4), heard: Counts::default() }
    }

    #[test]
    fn holes_and_repeats_are_counted() {
        let mut ear = ear(&Arc::default(), Duration::ZERO);
        for (seq, k) in [(5, 0), (6, 1), (6, 1), (9, 4)] {
            ear.take(&Told::read(said(seq, k).as_bytes()).unwrap(), Instant::now());
        }
        assert_eq!(ear.heard, Counts { received: 3, lost: 2, repeated: 1, ended: 0 });
        ear.resumed(&[10, 11]);
        assert_eq!((ear.last(), ear.heard.received), (Some(11), 5));
    }

    #[test]
    fn what_comes_late_counts_for_the_window_in_which_it_was_due() {
        let windows = Arc::new(Windows::default());
        let first = windows.open();
        let mut ear = ear(&windows, Duration::ZERO);
        let second = windows.open();
        // Due before the second window began, received in it.
        ear.pace.start -= Duration::from_millis(1);
        windows.0.write().unwrap()[0].from -= Duration::from_secs(1);
        ear.take(&Told::read(said(5, 0).as_bytes()).unwrap(), Instant::now());
        ear.take(&Told::read(said(6, 1).as_bytes()).unwrap(), Instant::now());
        assert_eq!(
            (windows.latency(first, What::Chat).count, windows.latency(second, What::Chat).count),
            (1, 1)
        );
        windows.close();
        ear.take(&Told::read(said(7, 90).as_bytes()).unwrap(), Instant::now());
        assert_eq!(
            windows.latency(second, What::Chat).count,
            1,
            "nobody asked for what is due between two windows"
        );
    }
}
