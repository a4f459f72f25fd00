//! The live rooms of a node.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use streamit_domain::RoomId;
use tokio::sync::mpsc;

use super::Node;
use crate::room::effect::Input;
use crate::room::shell;

/// Rooms are looked up when somebody joins, so a few shards are enough to keep joins out of each other's way.
const SHARDS: usize = 64;

type Shard = Mutex<HashMap<RoomId, Live>>;

/// A live room, as others see it.
#[derive(Debug)]
struct Live {
    inbox: mpsc::Sender<Input>,
    /// How long round trips to its members here take; the store is told.
    round_trip: Option<Duration>,
    /// How many people are in it here.
    people: usize,
}

/// Where each room is reached.
#[derive(Debug)]
pub struct Registry([Shard; SHARDS]);

impl Default for Registry {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Shard::default()))
    }
}

impl Registry {
    fn shard(&self, room: RoomId) -> &Shard {
        // Ids end in random bits.
        &self.0[usize::from(room.as_bytes()[15]) % SHARDS]
    }

    /// The room's inbox; the room is opened if it is not live here.
    pub fn get_or_open(&self, node: &Arc<Node>, room: RoomId) -> mpsc::Sender<Input> {
        match self.shard(room).lock().entry(room) {
            Entry::Occupied(live) => live.get().inbox.clone(),
            Entry::Vacant(free) => {
                let (sender, inbox) = mpsc::channel(shell::WAITING);
                node.background.spawn(shell::run(node.clone(), room, inbox));
                free.insert(Live { inbox: sender.clone(), round_trip: None, people: 0 });
                sender
            }
        }
    }

    /// The room's inbox, if it is live here.
    #[must_use]
    pub fn get(&self, room: RoomId) -> Option<mpsc::Sender<Input>> {
        self.shard(room).lock().get(&room).map(|live| live.inbox.clone())
    }

    /// Notes how long round trips to the members of a live room take.
    pub fn note_round_trip(&self, room: RoomId, took: Option<Duration>) {
        if let Some(live) = self.shard(room).lock().get_mut(&room) {
            live.round_trip = took;
        }
    }

    /// How long round trips to the members of a room take, if it is live here and knows.
    #[must_use]
    pub fn round_trip(&self, room: RoomId) -> Option<Duration> {
        self.shard(room).lock().get(&room)?.round_trip
    }

    /// Forgets a room whose task ends. From now on its inbox takes nothing; what is in it can be taken out.
    pub fn retire(&self, room: RoomId, inbox: &mut mpsc::Receiver<Input>) {
        let mut shard = self.shard(room).lock();
        shard.remove(&room);
        inbox.close();
    }

    /// Forgets a room whose task has ended without a word.
    pub fn forget_dead(&self, room: RoomId) {
        let mut shard = self.shard(room).lock();
        if shard.get(&room).is_some_and(|live| live.inbox.is_closed()) {
            shard.remove(&room);
        }
    }

    /// Notes how many people are in a room here.
    pub fn note_people(&self, room: RoomId, people: usize) {
        if let Some(live) = self.shard(room).lock().get_mut(&room) {
            live.people = people;
        }
    }

    /// How many people are here, over all rooms.
    #[must_use]
    pub fn people(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().values().map(|live| live.people).sum::<usize>()).sum()
    }

    /// How many rooms are live.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().len()).sum()
    }

    /// All live rooms.
    #[must_use]
    pub fn list(&self) -> Vec<(RoomId, mpsc::Sender<Input>)> {
        self.0
            .iter()
            .flat_map(|shard| {
                shard.lock().iter().map(|(id, live)| (*id, live.inbox.clone())).collect::<Vec<_>>()
            })
            .collect()
    }
}
