//! [`Rooms`] in one process.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use streamit_domain::readiness::{GaveUp, Readiness};
use streamit_domain::{Incarnation, Playback, RoomId, Timestamp, UserId};
use streamit_telemetry::SharedClock;
use streamit_wire::v1;

use super::roster::Members;
use crate::clock::RoomClock;
use crate::subscription::Feed;
use crate::{
    BookChange, Cas, Entry, EntryKey, Error, Expect, Lifetimes, LiveVersions, NODES_LISTED, Notice, Online,
    Rooms, Roster, RosterChange, Subscription, Told,
};

/// Rooms are spread over this many locks, so that one busy room stops few others.
const SHARDS: usize = 64;
/// How often a shard is searched for what has expired.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How often the process clock is looked at for room time.
const LOOK_EVERY: i64 = 1_000;

/// Live state and news of rooms in this process. Several nodes of one process may share it.
pub struct MemoryRooms {
    process: SharedClock,
    clock: RoomClock,
    looked_at: AtomicU64,
    lifetimes: Lifetimes,
    hasher: RandomState,
    shards: Arc<Vec<Mutex<Shard>>>,
    everybody: Arc<Mutex<Vec<Listener>>>,
    leases: Mutex<HashMap<Incarnation, Lease>>,
    next_listener: AtomicU64,
}

#[derive(Default)]
struct Shard {
    rooms: HashMap<RoomId, Room>,
    swept_at: Timestamp,
}

/// Everything of one room. Dropped when all of it has expired and nobody listens.
#[derive(Default)]
struct Room {
    play: Play,
    play_ends: Timestamp,
    members: Option<Members>,
    members_end: Timestamp,
    listeners: Vec<Listener>,
}

#[derive(Default, PartialEq)]
struct Play {
    fence: Option<u64>,
    state: Option<Playback>,
    refreshed_at: Option<Timestamp>,
    round_trip: Option<RoundTrip>,
}

/// The longest round trip of a room's members, as a node told it.
#[derive(Clone, Copy, PartialEq)]
struct RoundTrip {
    took: Duration,
    told_by: Incarnation,
    told_at: Timestamp,
}

struct Listener {
    id: u64,
    feed: Feed,
}

struct Lease {
    beats: u64,
    beaten_at: Timestamp,
    ends: Timestamp,
    status: v1::NodeStatus,
}

impl MemoryRooms {
    /// Empty rooms whose time is that of `clock`.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self::with_lifetimes(clock, Lifetimes::default())
    }

    /// The same, forgetting earlier or later.
    #[must_use]
    pub fn with_lifetimes(clock: SharedClock, lifetimes: Lifetimes) -> Self {
        Self {
            clock: RoomClock::new(clock.monotonic(), clock.now_micros()),
            process: clock,
            looked_at: AtomicU64::new(0),
            lifetimes,
            hasher: RandomState::new(),
            shards: Arc::new((0..SHARDS).map(|_| Mutex::default()).collect()),
            everybody: Arc::default(),
            leases: Mutex::default(),
            next_listener: AtomicU64::new(0),
        }
    }

    fn shard(&self, room: RoomId) -> usize {
        usize::try_from(self.hasher.hash_one(room) % SHARDS as u64).unwrap_or(0)
    }

    /// Works on one room, which is there afterwards, as of now: what has expired is gone.
    fn with<T>(&self, room: RoomId, work: impl FnOnce(&mut Room, Timestamp) -> T) -> T {
        let now = self.now();
        let mut shard = self.shards[self.shard(room)].lock();
        shard.sweep(now);
        let room = shard.rooms.entry(room).or_default();
        room.expire(now);
        work(room, now)
    }

    /// Looks at one room; asking about a room that is not there makes none.
    fn look<T: Default>(&self, room: RoomId, work: impl FnOnce(&mut Room, Timestamp) -> T) -> T {
        let now = self.now();
        let mut shard = self.shards[self.shard(room)].lock();
        shard.rooms.get_mut(&room).map_or_else(T::default, |room| {
            room.expire(now);
            work(room, now)
        })
    }

    /// Changes the roster of one room, if there is one, and announces what came of it.
    fn change(
        &self,
        room: RoomId,
        work: impl FnOnce(&mut Members, Timestamp) -> RosterChange,
    ) -> RosterChange {
        self.look(room, |room, now| {
            let change = room.members.as_mut().map(|members| work(members, now));
            change.map_or_else(RosterChange::default, |change| room.announce(change))
        })
    }
}

impl Shard {
    fn sweep(&mut self, now: Timestamp) {
        if now.since(self.swept_at) < SWEEP_EVERY {
            return;
        }
        self.swept_at = now;
        self.rooms.retain(|_, room| {
            room.expire(now);
            !room.is_empty()
        });
        self.rooms.shrink_to(self.rooms.len() * 2);
    }
}

impl Room {
    fn expire(&mut self, now: Timestamp) {
        if self.members_end <= now {
            self.members = None;
        }
        if self.play_ends <= now {
            self.play = Play::default();
        }
    }

    fn is_empty(&self) -> bool {
        self.members.is_none() && self.play == Play::default() && self.listeners.is_empty()
    }

    fn tell(&self, notice: &Notice) {
        tell(&self.listeners, notice);
    }

    /// Announces a change of the roster, if it is one, and tells it.
    fn announce(&self, change: RosterChange) -> RosterChange {
        if change.version != change.previous && !self.listeners.is_empty() {
            self.tell(&Notice::Roster(Arc::new(change.clone())));
        }
        change
    }

    fn refreshed(&mut self, now: Timestamp, lifetimes: &Lifetimes) {
        self.members_end = now.plus(lifetimes.roster);
        self.play.refreshed_at = Some(now);
        self.play_ends = now.plus(lifetimes.playback);
    }

    /// The longest round trip, if somebody has told it lately.
    fn round_trip(&self, now: Timestamp, lifetimes: &Lifetimes) -> Option<RoundTrip> {
        self.play.round_trip.filter(|longest| now.since(longest.told_at) < lifetimes.roster)
    }

    /// Takes in what `told_by` tells, if it is longer than what is known or of the same node.
    fn learn_round_trip(
        &mut self,
        told_by: Incarnation,
        took: Option<Duration>,
        now: Timestamp,
        lifetimes: &Lifetimes,
    ) {
        let others = self.round_trip(now, lifetimes).filter(|longest| longest.told_by != told_by);
        let own = took.map(|took| RoundTrip { took, told_by, told_at: now });
        let is_longer = |other: &RoundTrip| took.is_none_or(|took| other.took > took);
        self.play.round_trip = others.filter(is_longer).or(own);
    }
}

fn tell(listeners: &[Listener], notice: &Notice) {
    for listener in listeners {
        listener.feed.push(notice.clone());
    }
}

/// Ends the subscription to a room when dropped.
struct LeaveRoom {
    shards: Weak<Vec<Mutex<Shard>>>,
    shard: usize,
    room: RoomId,
    id: u64,
}

impl Drop for LeaveRoom {
    fn drop(&mut self) {
        let Some(shards) = self.shards.upgrade() else { return };
        let mut shard = shards[self.shard].lock();
        if let Some(room) = shard.rooms.get_mut(&self.room) {
            room.listeners.retain(|listener| listener.id != self.id);
            if room.is_empty() {
                shard.rooms.remove(&self.room);
            }
        }
    }
}

/// Ends the subscription to what concerns every node when dropped.
struct LeaveAll {
    everybody: Weak<Mutex<Vec<Listener>>>,
    id: u64,
}

impl Drop for LeaveAll {
    fn drop(&mut self) {
        if let Some(everybody) = self.everybody.upgrade() {
            everybody.lock().retain(|listener| listener.id != self.id);
        }
    }
}

#[async_trait]
impl Rooms for MemoryRooms {
    fn now(&self) -> Timestamp {
        let at = self.process.monotonic();
        let now = self.clock.now(at);
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        let next = i64::try_from(looked_at).unwrap_or(0).saturating_add(LOOK_EVERY);
        if now.0 < next {
            return now;
        }
        self.looked_at.store(u64::try_from(now.0).unwrap_or(0), Ordering::Relaxed);
        self.clock.look(at, at, self.process.now_micros());
        self.clock.now(at)
    }

    fn jumped(&self) -> Duration {
        self.clock.jumped()
    }

    fn is_healthy(&self) -> bool {
        true
    }

    fn doubts(&self) -> u64 {
        // Nothing is missed in here, but a jump of the clock is to be looked at by every room.
        u64::try_from(self.clock.jumped().as_micros()).unwrap_or(u64::MAX)
    }

    async fn subscribe(&self, room: RoomId) -> Result<Subscription, Error> {
        let id = self.next_listener.fetch_add(1, Ordering::Relaxed);
        let shard = self.shard(room);
        let shards = Arc::downgrade(&self.shards);
        let (feed, subscription) = Subscription::new(LeaveRoom { shards, shard, room, id });
        self.with(room, |room, _| room.listeners.push(Listener { id, feed }));
        Ok(subscription)
    }

    async fn subscribe_all(&self) -> Result<Subscription, Error> {
        let id = self.next_listener.fetch_add(1, Ordering::Relaxed);
        let (feed, subscription) =
            Subscription::new(LeaveAll { everybody: Arc::downgrade(&self.everybody), id });
        self.everybody.lock().push(Listener { id, feed });
        Ok(subscription)
    }

    async fn publish(&self, room: RoomId, event: &v1::Event) -> Result<(), Error> {
        let notice = Notice::Event(Arc::new(event.clone()));
        self.look(room, |room, _| room.tell(&notice));
        Ok(())
    }

    async fn publish_all(&self, event: &v1::Event) -> Result<u64, Error> {
        let notice = Notice::Event(Arc::new(event.clone()));
        let everybody = self.everybody.lock();
        tell(&everybody, &notice);
        Ok(everybody.len() as u64)
    }

    async fn playback(&self, room: RoomId) -> Result<Option<Playback>, Error> {
        Ok(self.look(room, |room, _| room.play.state))
    }

    async fn set_playback(&self, room: RoomId, expect: Expect, next: &Playback) -> Result<Cas, Error> {
        let holds = expect.fence.unwrap_or(next.version.fence);
        Ok(self.with(room, |room, now| {
            match room.play.fence {
                None if !expect.confirmed => return Cas::Unknown,
                Some(fence) if holds < fence => return Cas::Fenced(fence),
                _ => {}
            }
            if expect.only_if_empty && room.members.as_ref().is_some_and(|members| members.online() > 0) {
                return Cas::NotEmpty;
            }
            if let Some(stored) = room.play.state
                && Some(stored.version) != expect.version
            {
                return Cas::Conflict(stored);
            }
            room.play.fence = Some(holds);
            room.play.state = Some(*next);
            room.play_ends = now.plus(self.lifetimes.playback);
            room.tell(&Notice::Event(Arc::new(crate::playback_event(next, now))));
            Cas::Stored
        }))
    }

    async fn raise_fence(&self, room: RoomId, fence: u64) -> Result<(), Error> {
        self.with(room, |room, now| {
            room.play.fence = room.play.fence.max(Some(fence));
            room.play_ends = now.plus(self.lifetimes.playback);
        });
        Ok(())
    }

    async fn enter(
        &self,
        room: RoomId,
        entries: &[Entry],
        seen: u64,
    ) -> Result<(RosterChange, Roster), Error> {
        Ok(self.with(room, |room, now| {
            room.refreshed(now, &self.lifetimes);
            let members = room.members.get_or_insert_default();
            let change = members.enter(entries, seen, now);
            let snapshot = members.snapshot();
            (room.announce(change), snapshot)
        }))
    }

    async fn leave(&self, room: RoomId, keys: &[EntryKey], seen: u64) -> Result<RosterChange, Error> {
        Ok(self.change(room, |members, now| members.leave(keys, seen, now)))
    }

    async fn mark_gone(&self, room: RoomId, keys: &[(EntryKey, Timestamp)]) -> Result<(), Error> {
        self.look(room, |room, _| room.members.as_mut().map(|members| members.mark_gone(keys)));
        Ok(())
    }

    async fn prune(&self, room: RoomId, dead: &[Incarnation], seen: u64) -> Result<RosterChange, Error> {
        Ok(self.change(room, |members, now| members.prune(dead, seen, now)))
    }

    async fn roster(&self, room: RoomId) -> Result<Roster, Error> {
        Ok(self.look(room, |room, _| room.members.as_ref().map(Members::snapshot)).unwrap_or_default())
    }

    async fn report_ready(
        &self,
        room: RoomId,
        words: &[(UserId, Readiness)],
        gave_up: Option<GaveUp>,
        seen: u64,
    ) -> Result<BookChange, Error> {
        Ok(self.look(room, |room, now| {
            let Some(members) = &mut room.members else { return BookChange::default() };
            let change = members.report_ready(words, gave_up, seen, now);
            if change.version != change.previous && !room.listeners.is_empty() {
                room.tell(&Notice::Book(Arc::new(change.clone())));
            }
            change
        }))
    }

    async fn refresh(
        &self,
        node: Incarnation,
        rooms: &[(RoomId, Option<Duration>)],
    ) -> Result<Vec<LiveVersions>, Error> {
        let refresh = |room: &mut Room, took, now| {
            if room.members.is_some() {
                room.refreshed(now, &self.lifetimes);
                room.learn_round_trip(node, took, now, &self.lifetimes);
            }
            LiveVersions {
                roster: room.members.as_ref().map_or(0, Members::version),
                playback: room.play.state.map(|state| state.version),
                book: room.members.as_ref().map_or(0, Members::book_version),
                round_trip: room.round_trip(now, &self.lifetimes).map(|longest| longest.took),
            }
        };
        let refresh_one = |(room, took): &(RoomId, Option<Duration>)| {
            self.look(*room, |room, now| refresh(room, *took, now))
        };
        Ok(rooms.iter().map(refresh_one).collect())
    }

    async fn online(&self, rooms: &[(RoomId, Option<UserId>)]) -> Result<Vec<Online>, Error> {
        let ask = |room: &mut Room, user: Option<UserId>| Online {
            users: room.members.as_ref().map_or(0, Members::online),
            has_user: room.members.as_ref().zip(user).is_some_and(|(members, user)| members.has(user)),
            refreshed_at: room.play.refreshed_at,
        };
        Ok(rooms.iter().map(|(room, user)| self.look(*room, |room, _| ask(room, *user))).collect())
    }

    async fn beat(&self, incarnation: Incarnation, status: &v1::NodeStatus) -> Result<(), Error> {
        let now = self.now();
        let mut leases = self.leases.lock();
        leases.retain(|_, lease| now.since(lease.beaten_at) < NODES_LISTED);
        let beats = leases.get(&incarnation).map_or(0, |lease| lease.beats) + 1;
        let ends = now.plus(self.lifetimes.lease);
        leases.insert(incarnation, Lease { beats, beaten_at: now, ends, status: status.clone() });
        Ok(())
    }

    async fn rest(&self, incarnation: Incarnation) -> Result<(), Error> {
        if let Some(lease) = self.leases.lock().get_mut(&incarnation) {
            lease.ends = Timestamp::default();
        }
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<Incarnation>, Error> {
        let now = self.now();
        let leases = self.leases.lock();
        let listed = leases.iter().filter(|(_, lease)| now.since(lease.beaten_at) < NODES_LISTED);
        Ok(listed.map(|(incarnation, _)| *incarnation).collect())
    }

    async fn beats(&self, incarnations: &[Incarnation]) -> Result<Vec<Option<u64>>, Error> {
        let now = self.now();
        let leases = self.leases.lock();
        let beats = |id| leases.get(id).filter(|lease| lease.ends > now).map(|lease| lease.beats);
        Ok(incarnations.iter().map(beats).collect())
    }

    async fn statuses(&self) -> Result<Vec<Told>, Error> {
        let now = self.now();
        let leases = self.leases.lock();
        let living = leases.iter().filter(|(_, lease)| lease.ends > now);
        let told = |(incarnation, lease): (&Incarnation, &Lease)| Told {
            incarnation: *incarnation,
            at: lease.beaten_at,
            status: lease.status.clone(),
        };
        Ok(living.map(told).collect())
    }
}

impl std::fmt::Debug for MemoryRooms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryRooms").finish_non_exhaustive()
    }
}
