//! A bus that works until a fault is put into it.

use std::backtrace::Backtrace;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use streamit_bus::{
    BookChange, Cas, Entry, EntryKey, Error, Expect, LiveVersions, Online, Rooms, Roster, RosterChange,
    SharedRooms, Subscription, Told,
};
use streamit_domain::readiness::{GaveUp, Readiness};
use streamit_domain::{Incarnation, Playback, RoomId, Timestamp, UserId};
use streamit_wire::v1;

/// Where it panics next, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// In the room's own task, when it changes the film.
    SetPlayback,
    /// In the room's own task, when somebody enters.
    Enter,
    /// In the task of the connection that sends something.
    Connection,
    /// In the work behind the connections.
    Refresh,
}

/// The bus below, and what is wrong with it.
pub(crate) struct FaultyRooms {
    below: SharedRooms,
    next: Mutex<Option<Fault>>,
    /// How often versions were asked for.
    pub(crate) refreshes: AtomicU64,
}

impl FaultyRooms {
    pub(crate) fn over(below: SharedRooms) -> Arc<Self> {
        Arc::new(Self { below, next: Mutex::new(None), refreshes: AtomicU64::new(0) })
    }

    pub(crate) fn break_at(&self, fault: Fault) {
        *self.next.lock() = Some(fault);
    }

    /// Whether the fault that was put in has come up.
    pub(crate) fn has_broken(&self) -> bool {
        self.next.lock().is_none()
    }

    fn at(&self, fault: Fault) {
        let is_now = {
            let mut next = self.next.lock();
            let is_now = *next == Some(fault);
            if is_now {
                *next = None;
            }
            is_now
        };
        assert!(!is_now, "a fault that the test put in");
    }
}

#[async_trait]
impl Rooms for FaultyRooms {
    fn now(&self) -> Timestamp {
        let is_wanted = *self.next.lock() == Some(Fault::Connection);
        // Rooms ask for the time too, so it is looked who asks.
        if is_wanted && Backtrace::force_capture().to_string().contains("socket::Socket::feed") {
            self.at(Fault::Connection);
        }
        self.below.now()
    }

    fn is_healthy(&self) -> bool {
        self.below.is_healthy()
    }

    fn doubts(&self) -> u64 {
        self.below.doubts()
    }

    fn jumped(&self) -> Duration {
        self.below.jumped()
    }

    async fn subscribe(&self, room: RoomId) -> Result<Subscription, Error> {
        self.below.subscribe(room).await
    }

    async fn subscribe_all(&self) -> Result<Subscription, Error> {
        self.below.subscribe_all().await
    }

    async fn publish(&self, room: RoomId, event: &v1::Event) -> Result<(), Error> {
        self.below.publish(room, event).await
    }

    async fn publish_all(&self, event: &v1::Event) -> Result<u64, Error> {
        self.below.publish_all(event).await
    }

    async fn playback(&self, room: RoomId) -> Result<Option<Playback>, Error> {
        self.below.playback(room).await
    }

    async fn set_playback(&self, room: RoomId, expect: Expect, next: &Playback) -> Result<Cas, Error> {
        self.at(Fault::SetPlayback);
        self.below.set_playback(room, expect, next).await
    }

    async fn raise_fence(&self, room: RoomId, fence: u64) -> Result<(), Error> {
        self.below.raise_fence(room, fence).await
    }

    async fn enter(
        &self,
        room: RoomId,
        entries: &[Entry],
        seen: u64,
    ) -> Result<(RosterChange, Roster), Error> {
        self.at(Fault::Enter);
        self.below.enter(room, entries, seen).await
    }

    async fn leave(&self, room: RoomId, keys: &[EntryKey], seen: u64) -> Result<RosterChange, Error> {
        self.below.leave(room, keys, seen).await
    }

    async fn mark_gone(&self, room: RoomId, keys: &[(EntryKey, Timestamp)]) -> Result<(), Error> {
        self.below.mark_gone(room, keys).await
    }

    async fn prune(&self, room: RoomId, dead: &[Incarnation], seen: u64) -> Result<RosterChange, Error> {
        self.below.prune(room, dead, seen).await
    }

    async fn roster(&self, room: RoomId) -> Result<Roster, Error> {
        self.below.roster(room).await
    }

    async fn report_ready(
        &self,
        room: RoomId,
        words: &[(UserId, Readiness)],
        gave_up: Option<GaveUp>,
        seen: u64,
    ) -> Result<BookChange, Error> {
        self.below.report_ready(room, words, gave_up, seen).await
    }

    async fn refresh(
        &self,
        node: Incarnation,
        rooms: &[(RoomId, Option<Duration>)],
    ) -> Result<Vec<LiveVersions>, Error> {
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        self.at(Fault::Refresh);
        self.below.refresh(node, rooms).await
    }

    async fn online(&self, rooms: &[(RoomId, Option<UserId>)]) -> Result<Vec<Online>, Error> {
        self.below.online(rooms).await
    }

    async fn beat(&self, incarnation: Incarnation, status: &v1::NodeStatus) -> Result<(), Error> {
        self.below.beat(incarnation, status).await
    }

    async fn rest(&self, incarnation: Incarnation) -> Result<(), Error> {
        self.below.rest(incarnation).await
    }

    async fn nodes(&self) -> Result<Vec<Incarnation>, Error> {
        self.below.nodes().await
    }

    async fn beats(&self, incarnations: &[Incarnation]) -> Result<Vec<Option<u64>>, Error> {
        self.below.beats(incarnations).await
    }

    async fn statuses(&self) -> Result<Vec<Told>, Error> {
        self.below.statuses().await
    }
}
