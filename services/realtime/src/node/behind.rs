//! What a node tells the api a little later, and again until it has heard: playback (at most a second late), hosts that
//! went or came back, and what was seen of rooms of which the database may have lost something.
//!
//! Only the newest of each matters, so what waits is bounded by the number of rooms.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use streamit_domain::{Playback, RoomId};
use streamit_wire::v1;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;
use crate::room::effect::Away;

/// How long playback is gathered before it is saved.
const GATHER: Duration = Duration::from_millis(400);
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How many rooms travel in one call.
const MAX_BATCH: usize = 512;

/// How many commands wait to be written down, and how many of them travel in one call. Of more, the oldest are given up
/// and counted: the api being away for long must cost no memory.
const MAX_ACTS: usize = 4_096;
const ACTS_AT_ONCE: usize = 512;

/// The newest of what the api has not heard yet.
#[derive(Debug)]
pub struct Behind {
    api: Authority,
    playback: Mutex<HashMap<RoomId, Playback>>,
    acts: Mutex<Acts>,
    more: Arc<Notify>,
    hosts: Reports<v1::HostReport>,
    losses: Reports<v1::Seen>,
}

/// Commands that are to be written down.
#[derive(Debug, Default)]
struct Acts {
    waiting: VecDeque<v1::PlaybackAct>,
    lost: u64,
}

impl Acts {
    fn add(&mut self, act: v1::PlaybackAct) {
        self.waiting.push_back(act);
        if self.waiting.len() > MAX_ACTS {
            self.waiting.pop_front();
            self.lost += 1;
        }
    }

    fn take(&mut self) -> (Vec<v1::PlaybackAct>, u64) {
        let count = self.waiting.len().min(ACTS_AT_ONCE);
        (self.waiting.drain(..count).collect(), std::mem::take(&mut self.lost))
    }

    /// Puts back what was not heard, in its order, as far as there is room.
    fn put_back(&mut self, acts: Vec<v1::PlaybackAct>, lost: u64) {
        self.lost += lost;
        for act in acts.into_iter().rev() {
            if self.waiting.len() < MAX_ACTS {
                self.waiting.push_front(act);
            } else {
                self.lost += 1;
            }
        }
    }
}

/// Reports that wait, the newest of each key: of a room, or of a room and a person.
#[derive(Debug)]
struct Reports<T> {
    waiting: Mutex<HashMap<Vec<u8>, T>>,
    more: Notify,
}

impl<T> Default for Reports<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), more: Notify::new() }
    }
}

impl Behind {
    pub(super) fn new(api: Authority) -> Self {
        Self {
            api,
            playback: Mutex::default(),
            acts: Mutex::default(),
            more: Arc::default(),
            hosts: Reports::default(),
            losses: Reports::default(),
        }
    }

    /// Keeps a room's playback in the database, soon.
    pub fn save(&self, room: RoomId, state: Playback) {
        let mut waiting = self.playback.lock();
        let kept = waiting.entry(room).or_insert(state);
        if state.version > kept.version {
            *kept = state;
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Has a command written down, soon.
    pub fn note(&self, act: v1::PlaybackAct) {
        self.acts.lock().add(act);
        self.more.notify_one();
    }

    /// Tells the api that a host went or came back.
    pub fn report(&self, report: v1::HostReport) {
        let version = report.roster_version;
        // One may go as the other comes back, to whom the room goes back.
        let key = [report.room.as_slice(), &report.host].concat();
        self.hosts.add(key, report, |known| known.roster_version > version);
    }

    /// Tells the api what was seen of a room.
    pub fn report_loss(&self, seen: v1::Seen) {
        let epoch = seen.epoch;
        self.losses.add(seen.room.clone(), seen, |known| known.epoch > epoch);
    }

    /// Works until `stop`, then writes what still waits, once.
    pub async fn run(&self, stop: CancellationToken) {
        let hosts = self.hosts.tell(&stop, |reports: Vec<v1::HostReport>| async move {
            let room = reports.first().map(|report| report.room.clone()).unwrap_or_default();
            let call = self.api.call(&room, |mut client| {
                let request = v1::ReportHostsRequest { reports: reports.clone() };
                async move { client.report_hosts(request).await }
            });
            call.await.map(drop)
        });
        let losses = self.losses.tell(&stop, |rooms: Vec<v1::Seen>| async move {
            let room = rooms.first().map(|seen| seen.room.clone()).unwrap_or_default();
            let call = self.api.call(&room, |mut client| {
                let request = v1::ReportLossRequest { rooms: rooms.clone() };
                async move { client.report_loss(request).await }
            });
            call.await.map(drop)
        });
        tokio::join!(self.save_all(&stop), Box::pin(hosts), Box::pin(losses));
    }

    async fn save_all(&self, stop: &CancellationToken) {
        loop {
            let is_work = !self.playback.lock().is_empty() || !self.acts.lock().waiting.is_empty();
            let stopping = until(&self.more, stop, is_work).await;
            if !stopping {
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    () = stop.cancelled() => {}
                }
            }
            let batch: Vec<(RoomId, Playback)> = {
                let mut waiting = self.playback.lock();
                let some: Vec<RoomId> = waiting.keys().take(MAX_BATCH).copied().collect();
                some.into_iter().filter_map(|room| waiting.remove_entry(&room)).collect()
            };
            let (acts, acts_lost) = self.acts.lock().take();
            if batch.is_empty() && acts.is_empty() {
                if stopping {
                    return;
                }
                continue;
            }
            let rooms: Vec<v1::SavedPlayback> = batch
                .iter()
                .map(|(room, state)| v1::SavedPlayback {
                    room: room.as_bytes().to_vec(),
                    playback: Some(state.into()),
                })
                .collect();
            let key = rooms.first().map(|saved| saved.room.as_slice()).unwrap_or_default();
            let call = self.api.call(key, |mut client| {
                let request = v1::SavePlaybackRequest { rooms: rooms.clone(), acts: acts.clone(), acts_lost };
                async move { client.save_playback(request).await }
            });
            if call.await.is_err() {
                for (room, state) in batch {
                    self.save(room, state);
                }
                self.acts.lock().put_back(acts, acts_lost);
                if stopping {
                    return;
                }
                pause(stop).await;
            }
        }
    }
}

impl<T: Clone> Reports<T> {
    /// Adds a report, unless the one that waits is newer.
    fn add(&self, key: Vec<u8>, report: T, is_newer: impl FnOnce(&T) -> bool) {
        let mut waiting = self.waiting.lock();
        if !waiting.get(&key).is_some_and(is_newer) {
            waiting.insert(key, report);
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Tells what waits, a batch at a time. What was not heard is told again.
    async fn tell<F>(&self, stop: &CancellationToken, call: impl Fn(Vec<T>) -> F)
    where
        F: Future<Output = Result<(), Away>>,
    {
        loop {
            let is_work = !self.waiting.lock().is_empty();
            let stopping = until(&self.more, stop, is_work).await;
            let batch: Vec<(Vec<u8>, T)> = {
                let mut waiting = self.waiting.lock();
                let some: Vec<Vec<u8>> = waiting.keys().take(MAX_BATCH).cloned().collect();
                some.iter().filter_map(|key| waiting.remove_entry(key)).collect()
            };
            if batch.is_empty() {
                if stopping {
                    return;
                }
                continue;
            }
            let reports = batch.iter().map(|(_, report)| report.clone()).collect();
            if call(reports).await.is_err() {
                {
                    let mut waiting = self.waiting.lock();
                    for (key, report) in batch {
                        waiting.entry(key).or_insert(report); // whatever came meanwhile is newer
                    }
                }
                if stopping {
                    return;
                }
                pause(stop).await;
            }
        }
    }
}

/// Waits for work, unless there is some. Returns whether it is time to stop.
async fn until(more: &Notify, stop: &CancellationToken, is_work: bool) -> bool {
    if stop.is_cancelled() {
        return true;
    }
    if !is_work {
        tokio::select! {
            () = more.notified() => {}
            () = stop.cancelled() => return true,
        }
    }
    false
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(RETRY) => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(version: u64) -> v1::PlaybackAct {
        v1::PlaybackAct { version, ..v1::PlaybackAct::default() }
    }

    #[test]
    fn commands_wait_in_order_and_those_given_up_are_counted() {
        let mut acts = Acts::default();
        (0..MAX_ACTS as u64 + 10).for_each(|version| acts.add(act(version)));
        let (told, lost) = acts.take();
        assert_eq!((told.len(), told[0].version, lost), (ACTS_AT_ONCE, 10, 10));
        // Not heard, while as many came again but for one place.
        (0..ACTS_AT_ONCE as u64 - 1).for_each(|version| acts.add(act(100_000 + version)));
        acts.put_back(told, lost);
        assert_eq!((acts.waiting.len(), acts.lost), (MAX_ACTS, 10 + ACTS_AT_ONCE as u64 - 1));
        assert_eq!(acts.waiting[0].version, 10 + ACTS_AT_ONCE as u64 - 1, "the newest of them is kept");
    }
}
