//! The shared store: the real in-process one, under a clock that is set, with a door that can be shut.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use streamit_bus::memory::MemoryRooms;
use streamit_bus::{Cas, Error, Expect, LiveVersions, Rooms, Subscription};
use streamit_domain::{Incarnation, Playback, Timestamp};
use streamit_telemetry::ManualClock;
use streamit_wire::v1;

use crate::world::ROOM;

/// The store, or what stands in for it after a loss.
pub(crate) struct Store {
    clock: Arc<ManualClock>,
    rooms: MemoryRooms,
    /// Until when nobody reaches it.
    pub(crate) away_until: u64,
    /// Counts losses: subscriptions of a former life hear nothing.
    pub(crate) life: u32,
    /// How far room time jumped in former lives.
    jumped: Duration,
    /// Playback when the fence is sabotaged: compared by version alone.
    unfenced: Option<Option<Playback>>,
    /// All states that were stored, in order.
    pub(crate) stored: Vec<Playback>,
    /// How many commands were refused for an old fence.
    pub(crate) fenced: u64,
    /// All holds, in order.
    pub(crate) holds: Vec<Held>,
    /// The fences that were raised, each with how many states had been stored by then.
    pub(crate) fences: Vec<(u64, usize)>,
}

/// A film that waits for somebody's player.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) until: Timestamp,
    pub(crate) ended: Option<Timestamp>,
}

/// The outcome of a call that is ready at once.
pub(crate) fn done<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("a store in memory answers at once")
}

impl Store {
    pub(crate) fn new(clock: Arc<ManualClock>, is_fenced: bool) -> Self {
        Self {
            rooms: MemoryRooms::new(clock.clone()),
            clock,
            away_until: 0,
            life: 0,
            jumped: Duration::ZERO,
            unfenced: (!is_fenced).then_some(None),
            stored: Vec::new(),
            holds: Vec::new(),
            fenced: 0,
            fences: Vec::new(),
        }
    }

    /// Everything in it is lost.
    pub(crate) fn lose(&mut self) {
        self.jumped = self.jumped();
        self.rooms = MemoryRooms::new(self.clock.clone());
        self.life += 1;
        if let Some(state) = &mut self.unfenced {
            *state = None;
        }
    }

    /// The calls that need no care here.
    pub(crate) fn rooms(&self) -> &MemoryRooms {
        &self.rooms
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.rooms.now()
    }

    /// How far room time has jumped.
    pub(crate) fn jumped(&self) -> Duration {
        self.jumped + self.rooms.jumped()
    }

    pub(crate) fn subscribe(&self) -> Result<Subscription, Error> {
        done(self.rooms.subscribe(ROOM))
    }

    pub(crate) fn publish(&self, kind: v1::event::Kind) {
        let event = v1::Event { kind: Some(kind), ..v1::Event::default() };
        let _ = done(self.rooms.publish(ROOM, &event));
    }

    pub(crate) fn raise_fence(&mut self, fence: u64) {
        let _ = done(self.rooms.raise_fence(ROOM, fence));
        self.fences.push((fence, self.stored.len()));
    }

    pub(crate) fn playback(&self) -> Result<Option<Playback>, Error> {
        match self.unfenced {
            Some(state) => Ok(state),
            None => done(self.rooms.playback(ROOM)),
        }
    }

    pub(crate) fn set_playback(&mut self, expect: Expect, next: &Playback) -> Result<Cas, Error> {
        let result = match &mut self.unfenced {
            None => done(self.rooms.set_playback(ROOM, expect, next))?,
            Some(Some(stored)) if Some(stored.version) != expect.version => Cas::Conflict(*stored),
            Some(state) => {
                *state = Some(*next);
                self.publish(v1::event::Kind::Playback(next.into()));
                Cas::Stored
            }
        };
        match result {
            Cas::Stored => {
                self.note_hold(next);
                self.stored.push(*next);
            }
            Cas::Fenced(_) => self.fenced += 1,
            _ => {}
        }
        Ok(result)
    }

    /// A film that is held goes on being so, or that ends.
    fn note_hold(&mut self, next: &Playback) {
        let now = self.now();
        let last = self.holds.last_mut().filter(|held| held.ended.is_none());
        match (last, next.held_until) {
            (Some(held), Some(until)) if held.until == until => {}
            (Some(held), _) => held.ended = Some(now),
            (None, _) => {}
        }
        if let Some(until) = next.held_until
            && self.holds.last().is_none_or(|held| held.ended.is_some())
        {
            self.holds.push(Held { until, ended: None });
        }
    }

    pub(crate) fn refresh(
        &self,
        node: Incarnation,
        round_trip: Option<Duration>,
    ) -> Result<LiveVersions, Error> {
        let mut versions =
            done(self.rooms.refresh(node, &[(ROOM, round_trip)]))?.first().copied().unwrap_or_default();
        if let Some(state) = self.unfenced {
            versions.playback = state.map(|state| state.version);
        }
        Ok(versions)
    }
}
