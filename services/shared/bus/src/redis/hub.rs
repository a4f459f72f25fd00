//! Who listens to what on this node, and what the subscription connection has to do about it.
//!
//! The hub holds what is *wanted*; the link reconciles the server with it, one bulk command at a time. All feeds of
//! one room share one subscription.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use streamit_domain::RoomId;
use tokio::sync::{Notify, oneshot};

use super::{codec, keys};
use crate::subscription::Feed;
use crate::{Error, Notice, Subscription};

/// Something to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    /// What concerns every node.
    All,
    /// News of a room.
    Room(RoomId),
}

impl Topic {
    pub(super) fn channel(self) -> String {
        match self {
            Self::All => keys::ALL.to_owned(),
            Self::Room(room) => keys::news(room),
        }
    }

    fn of(channel: &[u8]) -> Option<Self> {
        if channel == keys::ALL.as_bytes() {
            return Some(Self::All);
        }
        keys::room_of_news(channel).map(Self::Room)
    }
}

/// How the subscription connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// On its way, for the first time or after a loss.
    Connecting,
    /// All that was wanted when it came up is subscribed.
    Up,
    /// The last attempt failed; another will follow.
    Away,
    /// The bus has ended.
    Closed,
}

pub(super) struct Hub {
    state: Mutex<State>,
    work: Notify,
    doubts: AtomicU64,
    next_id: AtomicU64,
}

struct State {
    link: Link,
    topics: HashMap<Topic, Listeners>,
    /// Topics that the link has to look at. At most one of each there is, so bounded by them.
    dirty: HashSet<Topic>,
}

struct Listeners {
    feeds: Vec<(u64, Feed)>,
    status: Status,
    /// Those who wait for the server's confirmation.
    waiting: Vec<oneshot::Sender<()>>,
}

/// What the server knows of a topic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Not (certainly) subscribed.
    Wanted,
    /// Subscribed on the connection of now.
    Live,
    /// Being unsubscribed.
    Leaving,
}

impl Listeners {
    const fn new(status: Status) -> Self {
        Self { feeds: Vec::new(), status, waiting: Vec::new() }
    }
}

/// What the link has to do next.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) join: Vec<Topic>,
    pub(super) leave: Vec<Topic>,
}

impl Hub {
    pub(super) fn new() -> Arc<Self> {
        let state = State { link: Link::Connecting, topics: HashMap::new(), dirty: HashSet::new() };
        Arc::new(Self {
            state: Mutex::new(state),
            work: Notify::new(),
            doubts: AtomicU64::new(0),
            next_id: AtomicU64::new(0),
        })
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.lock().link == Link::Up
    }

    pub(super) fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Acquire)
    }

    /// News may have been missed by everybody here.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
    }

    /// Listens to `topic`; returns when the server has confirmed it.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        topic: Topic,
        deadline: Duration,
    ) -> Result<Subscription, Error> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (feed, subscription) = Subscription::new(Leave { hub: Arc::downgrade(self), topic, id });
        let Some(confirmation) = self.add(topic, id, feed) else { return Ok(subscription) };
        match tokio::time::timeout(deadline, confirmation).await {
            Ok(Ok(())) => Ok(subscription),
            _ => Err(Error::Away(None)),
        }
    }

    /// Adds a feed. Returns what to wait for, or nothing when the topic is live already.
    fn add(&self, topic: Topic, id: u64, feed: Feed) -> Option<oneshot::Receiver<()>> {
        let (confirm, confirmation) = oneshot::channel();
        let mut state = self.state.lock();
        if matches!(state.link, Link::Away | Link::Closed) {
            return Some(confirmation); // whose sender is dropped: no use in waiting
        }
        let listeners = state.topics.entry(topic).or_insert(Listeners::new(Status::Wanted));
        listeners.feeds.push((id, feed));
        if listeners.status == Status::Live {
            return None;
        }
        listeners.waiting.push(confirm);
        state.dirty.insert(topic);
        drop(state);
        self.work.notify_one();
        Some(confirmation)
    }

    fn remove(&self, topic: Topic, id: u64) {
        let mut state = self.state.lock();
        let Some(listeners) = state.topics.get_mut(&topic) else { return };
        listeners.feeds.retain(|(other, _)| *other != id);
        listeners.waiting.retain(|waiting| !waiting.is_closed());
        if !listeners.feeds.is_empty() {
            return;
        }
        if state.link == Link::Away {
            state.topics.remove(&topic);
            return;
        }
        state.dirty.insert(topic);
        drop(state);
        self.work.notify_one();
    }

    /// Hands over what came on a channel.
    pub(super) fn deliver(&self, channel: &[u8], payload: &[u8]) {
        let Some(topic) = Topic::of(channel) else { return };
        let Some(notice) = codec::notice(payload) else {
            tracing::debug!("skipped news that this release does not understand");
            return;
        };
        let state = self.state.lock();
        if let Some(listeners) = state.topics.get(&topic) {
            for (_, feed) in &listeners.feeds {
                feed.push(notice.clone());
            }
        }
    }

    /// Waits until there may be something to do.
    pub(super) async fn has_work(&self) {
        self.work.notified().await;
    }

    /// What changed since the last call. What waits together is done together.
    pub(super) fn take_work(&self) -> Work {
        let mut state = self.state.lock();
        let mut work = Work::default();
        for topic in std::mem::take(&mut state.dirty) {
            let Some(listeners) = state.topics.get_mut(&topic) else { continue };
            match (listeners.feeds.is_empty(), listeners.status) {
                (false, Status::Wanted) => work.join.push(topic),
                (true, Status::Live) => {
                    listeners.status = Status::Leaving;
                    work.leave.push(topic);
                }
                (true, Status::Wanted) => {
                    state.topics.remove(&topic);
                }
                (false, Status::Live) | (_, Status::Leaving) => {}
            }
        }
        work
    }

    /// The server has confirmed these.
    pub(super) fn joined(&self, topics: &[Topic]) {
        let mut state = self.state.lock();
        for topic in topics {
            let listeners = state.topics.entry(*topic).or_insert(Listeners::new(Status::Wanted));
            listeners.status = Status::Live;
            for waiting in listeners.waiting.drain(..) {
                let _ = waiting.send(());
            }
            if listeners.feeds.is_empty() {
                state.dirty.insert(*topic);
            }
        }
        self.continue_with(&state);
    }

    /// The server has forgotten these.
    pub(super) fn left(&self, topics: &[Topic]) {
        let mut state = self.state.lock();
        for topic in topics {
            let Some(listeners) = state.topics.get_mut(topic) else { continue };
            if listeners.feeds.is_empty() {
                state.topics.remove(topic);
            } else {
                listeners.status = Status::Wanted;
                state.dirty.insert(*topic);
            }
        }
        self.continue_with(&state);
    }

    fn continue_with(&self, state: &State) {
        if !state.dirty.is_empty() {
            self.work.notify_one();
        }
    }

    /// A connection was made that knows nothing yet. Returns all that it has to join.
    pub(super) fn begin(&self) -> Vec<Topic> {
        let mut state = self.state.lock();
        state.link = Link::Connecting;
        state.dirty.clear();
        state.topics.retain(|_, listeners| !listeners.feeds.is_empty());
        for listeners in state.topics.values_mut() {
            listeners.status = Status::Wanted;
        }
        state.topics.keys().copied().collect()
    }

    /// The connection has joined all that [`Hub::begin`] named. What happened before was not heard.
    pub(super) fn up(&self, is_first: bool) {
        let mut state = self.state.lock();
        state.link = Link::Up;
        if is_first {
            return;
        }
        for listeners in state.topics.values() {
            for (_, feed) in &listeners.feeds {
                feed.push(Notice::Renewed);
            }
        }
        drop(state);
        self.doubt();
    }

    /// The connection is gone; another attempt is made at once.
    pub(super) fn lost(&self) {
        let mut state = self.state.lock();
        state.link = Link::Connecting;
        for listeners in state.topics.values_mut() {
            listeners.status = Status::Wanted;
        }
    }

    /// An attempt failed: whoever waits need not wait longer.
    pub(super) fn away(&self) {
        let mut state = self.state.lock();
        state.link = Link::Away;
        state.topics.retain(|_, listeners| {
            listeners.waiting.clear();
            !listeners.feeds.is_empty()
        });
    }

    /// The bus has ended: every subscription does.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.link = Link::Closed;
        state.topics.clear();
        state.dirty.clear();
    }

    #[cfg(test)]
    fn topics(&self) -> usize {
        self.state.lock().topics.len()
    }
}

/// Stops listening when dropped.
struct Leave {
    hub: Weak<Hub>,
    topic: Topic,
    id: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.remove(self.topic, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Arc<Hub> {
        let hub = Hub::new();
        assert!(hub.begin().is_empty());
        hub.up(true);
        hub
    }

    fn listen(hub: &Arc<Hub>, topic: Topic) -> (Subscription, Option<oneshot::Receiver<()>>) {
        let id = hub.next_id.fetch_add(1, Ordering::Relaxed);
        let (feed, subscription) = Subscription::new(Leave { hub: Arc::downgrade(hub), topic, id });
        let confirmation = hub.add(topic, id, feed);
        (subscription, confirmation)
    }

    #[test]
    fn two_listeners_share_one_subscription_and_the_last_one_ends_it() {
        let hub = hub();
        let (a, wait_a) = listen(&hub, Topic::All);
        let (b, wait_b) = listen(&hub, Topic::All);
        assert_eq!(hub.take_work().join, [Topic::All]);
        hub.joined(&[Topic::All]);
        assert!(wait_a.unwrap().try_recv().is_ok() && wait_b.unwrap().try_recv().is_ok());
        drop(a);
        assert!(hub.take_work().leave.is_empty());
        drop(b);
        assert_eq!(hub.take_work().leave, [Topic::All]);
        hub.left(&[Topic::All]);
        assert_eq!(hub.topics(), 0);
    }

    #[test]
    fn who_comes_while_the_last_one_is_leaving_is_subscribed_again() {
        let hub = hub();
        let (a, _) = listen(&hub, Topic::All);
        hub.take_work();
        hub.joined(&[Topic::All]);
        drop(a);
        assert_eq!(hub.take_work().leave, [Topic::All]);
        let (_b, wait) = listen(&hub, Topic::All);
        let mut wait = wait.expect("the server is about to forget the topic");
        assert!(hub.take_work().join.is_empty(), "not before the server has forgotten it");
        hub.left(&[Topic::All]);
        assert_eq!(hub.take_work().join, [Topic::All]);
        assert!(wait.try_recv().is_err());
        hub.joined(&[Topic::All]);
        assert!(wait.try_recv().is_ok());
    }

    #[test]
    fn who_goes_before_the_confirmation_leaves_nothing_behind() {
        let hub = hub();
        let (a, _) = listen(&hub, Topic::All);
        let work = hub.take_work();
        drop(a);
        hub.joined(&work.join);
        assert_eq!(hub.take_work().leave, [Topic::All]);
        hub.left(&[Topic::All]);
        assert_eq!(hub.topics(), 0);
    }

    #[test]
    fn while_the_store_is_away_nobody_waits_and_nothing_is_kept() {
        let hub = hub();
        let (a, mut wait) = listen(&hub, Topic::All);
        hub.lost();
        hub.away();
        assert_eq!(wait.as_mut().unwrap().try_recv(), Err(oneshot::error::TryRecvError::Closed));
        drop(a);
        assert_eq!(hub.topics(), 0);
        let (_b, mut wait) = listen(&hub, Topic::All);
        assert_eq!(wait.as_mut().unwrap().try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(hub.topics(), 0);
    }

    #[tokio::test]
    async fn after_a_reconnect_everybody_is_told_that_news_was_lost() {
        let hub = hub();
        let (mut a, _) = listen(&hub, Topic::All);
        hub.take_work();
        hub.joined(&[Topic::All]);
        hub.lost();
        assert_eq!(hub.begin(), [Topic::All]);
        hub.joined(&[Topic::All]);
        hub.up(false);
        assert!(matches!(a.next().await, Some(Notice::Renewed)));
        assert_eq!(hub.doubts(), 1);
        hub.close();
        assert!(a.next().await.is_none());
    }
}
