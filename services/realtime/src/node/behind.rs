//! What a node tells the api a little later, and again until it has heard: playback (at most a second late) and hosts
//! that went or came back.
//!
//! Only the newest of each matters, so what waits is bounded by the number of rooms.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use streamit_domain::{Playback, RoomId};
use streamit_wire::v1;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;

/// How long playback is gathered before it is saved.
const GATHER: Duration = Duration::from_millis(400);
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How many rooms travel in one call.
const MAX_BATCH: usize = 512;

/// The newest of what the api has not heard yet.
#[derive(Debug)]
pub struct Behind {
    api: Authority,
    playback: Mutex<HashMap<RoomId, Playback>>,
    hosts: Mutex<HashMap<Vec<u8>, v1::HostReport>>,
    more: Arc<Notify>,
    hosts_more: Arc<Notify>,
}

impl Behind {
    pub(super) fn new(api: Authority) -> Self {
        Self {
            api,
            playback: Mutex::default(),
            hosts: Mutex::default(),
            more: Arc::default(),
            hosts_more: Arc::default(),
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

    /// Tells the api that a host went or came back.
    pub fn report(&self, report: v1::HostReport) {
        let mut waiting = self.hosts.lock();
        match waiting.get(&report.room) {
            Some(newer) if newer.roster_version > report.roster_version => {}
            _ => {
                waiting.insert(report.room.clone(), report);
            }
        }
        drop(waiting);
        self.hosts_more.notify_one();
    }

    fn report_again(&self, reports: Vec<v1::HostReport>) {
        let mut waiting = self.hosts.lock();
        for report in reports {
            // Whatever came meanwhile is newer.
            waiting.entry(report.room.clone()).or_insert(report);
        }
    }

    /// Works until `stop`, then writes what still waits, once.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::join!(self.save_all(&stop), self.report_all(&stop));
    }

    async fn save_all(&self, stop: &CancellationToken) {
        loop {
            let is_work = !self.playback.lock().is_empty();
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
            if batch.is_empty() {
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
            let call = self.api.call(&rooms[0].room, |mut client| {
                let request = v1::SavePlaybackRequest { rooms: rooms.clone() };
                async move { client.save_playback(request).await }
            });
            if call.await.is_err() {
                for (room, state) in batch {
                    self.save(room, state);
                }
                if stopping {
                    return;
                }
                pause(stop).await;
            }
        }
    }

    async fn report_all(&self, stop: &CancellationToken) {
        loop {
            let is_work = !self.hosts.lock().is_empty();
            let stopping = until(&self.hosts_more, stop, is_work).await;
            let reports: Vec<v1::HostReport> = {
                let mut waiting = self.hosts.lock();
                let some: Vec<Vec<u8>> = waiting.keys().take(MAX_BATCH).cloned().collect();
                some.iter().filter_map(|room| waiting.remove(room)).collect()
            };
            if reports.is_empty() {
                if stopping {
                    return;
                }
                continue;
            }
            let call = self.api.call(&reports[0].room, |mut client| {
                let request = v1::ReportHostsRequest { reports: reports.clone() };
                async move { client.report_hosts(request).await }
            });
            if call.await.is_err() {
                self.report_again(reports);
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
