//! The open connections of a node, found by whose they are and where they come from.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use streamit_domain::{ConnectionId, SessionId, Timestamp, UserId};

use crate::outbox::{Close, Outbox};

/// Connections of one user on one node.
pub const PER_USER: usize = 20;
/// Connections of one address on one node.
pub const PER_ADDRESS: usize = 1_000;
const SHARDS: usize = 64;

/// What waits to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages.
    pub frames: usize,
    /// Bytes.
    pub bytes: usize,
    /// Bytes for the one for whom the most waits.
    pub most_bytes: usize,
}

struct Open {
    connection: ConnectionId,
    session: SessionId,
    outbox: Arc<Outbox>,
}

/// All of them. No lock is over more than a part.
pub struct Connections {
    users: [Mutex<HashMap<UserId, Vec<Open>>>; SHARDS],
    addresses: [Mutex<HashMap<String, usize>>; SHARDS],
    random: RandomState,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            users: std::array::from_fn(|_| Mutex::default()),
            addresses: std::array::from_fn(|_| Mutex::default()),
            random: RandomState::new(),
        }
    }
}

/// Which connections of a user are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those of one session.
    One(SessionId),
    /// Those of each session that was opened up to this moment of room time.
    Until(Timestamp),
}

impl Connections {
    fn shard(&self, key: impl Hash) -> usize {
        (self.random.hash_one(key) % SHARDS as u64) as usize
    }

    /// Counts a connection of an address; `None` when it has as many as it may.
    #[must_use]
    pub fn open_from(self: &Arc<Self>, address: String, limited: bool) -> Option<FromAddress> {
        let shard = self.shard(&address);
        let mut counts = self.addresses[shard].lock();
        let count = counts.entry(address.clone()).or_insert(0);
        if limited && *count >= PER_ADDRESS {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(FromAddress { all: self.clone(), address })
    }

    /// Enters a connection of a user, so that it can be found when the session ends; `None` when the user has as many
    /// as he may.
    #[must_use]
    pub fn open_of(
        self: &Arc<Self>,
        user: UserId,
        session: SessionId,
        connection: ConnectionId,
        outbox: Arc<Outbox>,
        limited: bool,
    ) -> Option<OfUser> {
        let mut users = self.users[self.shard(user)].lock();
        let open = users.entry(user).or_default();
        if limited && open.len() >= PER_USER {
            return None;
        }
        open.push(Open { connection, session, outbox });
        drop(users);
        Some(OfUser { all: self.clone(), user, connection })
    }

    /// Ends the connections of a user: those of one session, or of all that were opened up to a moment. (Revocations are
    /// told again for a while, and who has logged in since is not meant.)
    pub fn revoke(&self, user: UserId, which: Which, close: &Close) {
        let users = self.users[self.shard(user)].lock();
        for open in users.get(&user).into_iter().flatten() {
            let is_meant = match which {
                Which::One(session) => session == open.session,
                Which::Until(moment) => open.session.created_at() <= moment,
            };
            if is_meant {
                open.outbox.close(close.clone());
            }
        }
    }

    /// What waits to be written to all of them.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let mut all = Waiting::default();
        for shard in &self.users {
            for open in shard.lock().values().flatten() {
                let (frames, bytes) = open.outbox.waiting();
                all.frames += frames;
                all.bytes += bytes;
                all.most_bytes = all.most_bytes.max(bytes);
            }
        }
        all
    }

    /// How many connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.users.iter().map(|shard| shard.lock().values().map(Vec::len).sum::<usize>()).sum()
    }

    /// Every connection's number and queue.
    #[must_use]
    pub fn all(&self) -> Vec<(ConnectionId, Arc<Outbox>)> {
        let of = |shard: &Mutex<HashMap<UserId, Vec<Open>>>| -> Vec<_> {
            shard.lock().values().flatten().map(|open| (open.connection, open.outbox.clone())).collect()
        };
        self.users.iter().flat_map(of).collect()
    }
}

/// A connection that counts for its address until this is dropped.
pub struct FromAddress {
    all: Arc<Connections>,
    address: String,
}

impl Drop for FromAddress {
    fn drop(&mut self) {
        let mut counts = self.all.addresses[self.all.shard(&self.address)].lock();
        if let Entry::Occupied(mut count) = counts.entry(std::mem::take(&mut self.address)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A connection that is found by its user until this is dropped.
pub struct OfUser {
    all: Arc<Connections>,
    user: UserId,
    connection: ConnectionId,
}

impl OfUser {
    /// The user.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.user
    }
}

impl Drop for OfUser {
    fn drop(&mut self) {
        let mut users = self.all.users[self.all.shard(self.user)].lock();
        if let Entry::Occupied(mut open) = users.entry(self.user) {
            open.get_mut().retain(|open| open.connection != self.connection);
            if open.get().is_empty() {
                open.remove();
            }
        }
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("open", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(n)
    }

    #[test]
    fn a_session_that_ends_closes_its_own_connections_only() {
        let all = Arc::new(Connections::default());
        let (one, two) = (Arc::new(Outbox::default()), Arc::new(Outbox::default()));
        let _a = all.open_of(id(1).into(), id(11).into(), ConnectionId(1), one.clone(), true);
        let _b = all.open_of(id(1).into(), id(12).into(), ConnectionId(2), two.clone(), true);
        all.revoke(id(1).into(), Which::One(id(12).into()), &Close::new(4011, ""));
        assert!(!one.is_closing() && two.is_closing());
        all.revoke(id(1).into(), Which::Until(Timestamp(0)), &Close::new(4011, ""));
        assert!(one.is_closing());
    }

    #[test]
    fn a_login_from_after_all_were_ended_goes_on() {
        let all = Arc::new(Connections::default());
        let (old, new) = (Arc::new(Outbox::default()), Arc::new(Outbox::default()));
        let at = |ms: u64| uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid();
        let _a = all.open_of(id(1).into(), at(1_000).into(), ConnectionId(1), old.clone(), true);
        let _b = all.open_of(id(1).into(), at(1_001).into(), ConnectionId(2), new.clone(), true);
        all.revoke(id(1).into(), Which::Until(Timestamp(1_000)), &Close::new(4011, ""));
        assert!(old.is_closing() && !new.is_closing());
    }

    #[test]
    fn what_waits_for_all_is_summed_up_and_the_most_for_one_is_known() {
        let all = Arc::new(Connections::default());
        let (one, two) = (Arc::new(Outbox::default()), Arc::new(Outbox::default()));
        let _a = all.open_of(id(1).into(), id(11).into(), ConnectionId(1), one.clone(), true);
        let _b = all.open_of(id(2).into(), id(12).into(), ConnectionId(2), two.clone(), true);
        for (outbox, bytes) in [(&one, 10), (&one, 5), (&two, 7)] {
            outbox.join([vec![0; bytes].into()]);
        }
        assert_eq!(all.waiting(), Waiting { frames: 3, bytes: 22, most_bytes: 15 });
    }

    #[test]
    fn caps_count_what_is_open_now() {
        let all = Arc::new(Connections::default());
        let open = |n| all.open_of(id(1).into(), id(2).into(), ConnectionId(n), Arc::default(), true);
        let mut held: Vec<_> = (0..PER_USER as u64).map(|n| open(n).unwrap()).collect();
        assert!(open(99).is_none());
        held.pop();
        assert!(open(100).is_some());
        drop(held);
        assert_eq!(all.count(), 0);
        let slots: Vec<_> = (0..PER_ADDRESS).map(|_| all.open_from("a".into(), true).unwrap()).collect();
        assert!(all.open_from("a".into(), true).is_none());
        assert!(all.open_from("a".into(), false).is_some());
        drop(slots);
        assert!(all.addresses.iter().all(|shard| shard.lock().is_empty()));
    }
}
