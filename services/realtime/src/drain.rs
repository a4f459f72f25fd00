//! Leaving without ending anybody's evening.
//!
//! The node says that it is not ready and goes on serving until balancers have seen it; then each connection is closed
//! with 1012 at its own random moment, told when to come back, and its place in the room is kept until it can have.
//! Shedding closes a share of the connections in the same way, and the node stays. A node that is told to drain puts
//! everybody out like one that stops, but lives on, idle, until it is told to resume.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use streamit_wire::code::close;
use streamit_wire::v1;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::Drain;
use crate::node::Node;
use crate::outbox::{Close, Outbox};

/// The longest a client is told to wait, so that not all come back at once, in milliseconds.
const HINT_MS: u64 = 1_000;
/// Between two rounds of closes.
const ROUND: Duration = Duration::from_millis(50);
/// How long closes that are all sent at once may take to arrive.
const AT_ONCE: Duration = Duration::from_millis(500);
/// How many orders are remembered, so that one that is heard of twice is followed once.
const REMEMBERED: usize = 16;
/// How long a node that is to drain goes on taking people: until balancers have seen that it is not ready.
const UNREADY: Duration = Duration::from_secs(2);
/// How often a drained node looks for somebody who was let in too late.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// The longest window of an order.
const LONGEST: Duration = Duration::from_secs(600);

/// Puts everybody out. Returns when all connections are closed or the deadline has come.
pub async fn drain(node: &Arc<Node>, plan: Drain) {
    let deadline = Instant::now() + plan.deadline.max(AT_ONCE);
    node.draining.cancel();
    tracing::info!(connections = node.connections.count(), "draining: not ready, still serving");
    sleep(plan.unready).await;
    node.closing.cancel();
    close_within(node, everybody(node), plan.spread).await;
    close_the_rest(node, deadline).await;
}

/// Puts everybody out at once.
pub async fn hurry(node: &Arc<Node>) {
    node.draining.cancel();
    node.closing.cancel();
    close_the_rest(node, Instant::now() + AT_ONCE).await;
}

/// Closes each at its own moment.
async fn close_within(node: &Node, outboxes: Vec<Arc<Outbox>>, spread: Duration) {
    let spread = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
    let moment = |outbox| (Duration::from_millis(node.random_below(spread)), outbox);
    let mut waiting: Vec<_> = outboxes.into_iter().map(moment).collect();
    waiting.sort_by_key(|(at, _)| *at);
    let begun = Instant::now();
    let mut waiting = waiting.into_iter().peekable();
    while waiting.peek().is_some() {
        while let Some((_, outbox)) = waiting.next_if(|(at, _)| *at <= begun.elapsed()) {
            outbox.close(come_back(node));
        }
        sleep(ROUND).await;
    }
}

/// Closes whoever is still here, or comes in through a door that was open a moment ago, until nobody is or the deadline
/// has come; then lets the rooms take in who went.
async fn close_the_rest(node: &Node, deadline: Instant) {
    while Instant::now() < deadline {
        for outbox in everybody(node) {
            outbox.close(come_back(node));
        }
        let is_told = |(_, room): &(_, tokio::sync::mpsc::Sender<_>)| room.capacity() == room.max_capacity();
        if node.connections.count() == 0 && node.rooms.list().iter().all(is_told) {
            break;
        }
        sleep(ROUND).await;
    }
    tracing::info!(left = node.connections.count(), "drained");
}

fn come_back(node: &Node) -> Close {
    Close::retry(close::RESTART, 1 + node.random_below(HINT_MS))
}

/// What is spoken last: who went is written down, what waits is saved, and requests under way are answered, all by
/// `deadline`. What an absent store or api keeps from being said, the node's death says.
pub(crate) async fn last_words(
    node: &Node,
    deadline: Instant,
    background: impl Future<Output = ()>,
    serving: impl Future<Output = ()>,
) {
    node.last_words.close();
    // First, and not for long: once the lease is given up, the others would take who is not marked for gone.
    let half = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    let _ = timeout_at(half, node.last_words.wait()).await;
    if timeout_at(deadline, background).await.is_err() {
        tracing::warn!("left before everything was saved");
    }
    let _ = timeout_at(deadline, serving).await; // what is still open is given up
}

/// What operators asked of this node.
#[derive(Debug, Default)]
pub struct Orders {
    heard: Mutex<VecDeque<Vec<u8>>>,
    standby: Mutex<Standby>,
    changed: Notify,
}

/// Whether a node that goes on living takes people.
#[derive(Debug, Default)]
enum Standby {
    /// It does.
    #[default]
    Serves,
    /// It is to be sent nobody, but does not turn anybody away yet. Cancelled when it is to take people again.
    Unready(CancellationToken),
    /// Those who come are sent elsewhere.
    Shut(CancellationToken),
}

impl Orders {
    /// Whether this order is new.
    fn is_new(&self, id: &[u8]) -> bool {
        let mut heard = self.heard.lock();
        if heard.iter().any(|known| known == id) {
            return false;
        }
        if heard.len() == REMEMBERED {
            heard.pop_front();
        }
        heard.push_back(id.to_vec());
        true
    }

    /// Whether the node was told to drain.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        !matches!(*self.standby.lock(), Standby::Serves)
    }

    /// Whether those who come are sent elsewhere by now.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        matches!(*self.standby.lock(), Standby::Shut(_))
    }

    /// Waits until the node takes people again, or no more. Cancel-safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The node is to be sent nobody; nothing if it is not sent anybody already.
    fn unready(&self) -> Option<CancellationToken> {
        let mut standby = self.standby.lock();
        if !matches!(*standby, Standby::Serves) {
            return None;
        }
        let resumed = CancellationToken::new();
        *standby = Standby::Unready(resumed.clone());
        self.changed.notify_one();
        Some(resumed)
    }

    /// From now on those who come are sent elsewhere, unless the node takes people again.
    fn shut(&self) {
        let mut standby = self.standby.lock();
        if let Standby::Unready(resumed) = &*standby {
            *standby = Standby::Shut(resumed.clone());
        }
    }

    /// The node takes people again. Returns whether it did not.
    fn serve(&self) -> bool {
        let (Standby::Unready(resumed) | Standby::Shut(resumed)) = std::mem::take(&mut *self.standby.lock())
        else {
            return false;
        };
        resumed.cancel();
        self.changed.notify_one();
        true
    }
}

/// Puts everybody out and takes nobody, until it is told otherwise, if it is this node that is meant.
pub fn stand_by(node: &Arc<Node>, wanted: &v1::Drain) {
    if wanted.node != node.name || node.draining.is_cancelled() || !node.orders.is_new(&wanted.id) {
        return;
    }
    let Some(resumed) = node.orders.unready() else { return };
    let window = Duration::from_millis(wanted.window_ms.into()).min(LONGEST);
    tracing::info!(
        connections = node.connections.count(),
        window_ms = wanted.window_ms,
        "draining as asked: not ready, still serving"
    );
    let drained = node.clone();
    node.background.spawn(async move {
        tokio::select! {
            () = resumed.cancelled() => {}
            () = drained.draining.cancelled() => {} // it stops, and puts them out itself
            () = keep_empty(&drained, window) => {}
        }
    });
}

/// Puts everybody out, and whoever comes in through a door that was open a moment ago.
async fn keep_empty(node: &Node, window: Duration) {
    sleep(UNREADY).await;
    node.orders.shut();
    close_within(node, everybody(node), window).await;
    tracing::info!(left = node.connections.count(), "drained as asked: idle until told to resume");
    loop {
        for outbox in everybody(node) {
            outbox.close(come_back(node));
        }
        sleep(STRAGGLERS).await;
    }
}

/// Takes people again, if it is this node that is meant.
pub fn resume(node: &Arc<Node>, wanted: &v1::Resume) {
    if wanted.node == node.name && node.orders.is_new(&wanted.id) && node.orders.serve() {
        tracing::info!("takes people again");
    }
}

fn everybody(node: &Node) -> Vec<Arc<Outbox>> {
    node.connections.all().into_iter().map(|(_, outbox)| outbox).collect()
}

/// Puts a share of the connections out, if it is this node that is meant.
pub fn shed(node: &Arc<Node>, shed: &v1::Shed) {
    if shed.node != node.name || node.is_draining() || !node.orders.is_new(&shed.id) {
        return;
    }
    let mut all: Vec<_> =
        node.connections.all().into_iter().map(|(_, outbox)| (node.random_below(u64::MAX), outbox)).collect();
    all.sort_by_key(|(lot, _)| *lot);
    let percent = usize::try_from(shed.percent.min(100)).unwrap_or(100);
    let count = (all.len() * percent).div_ceil(100);
    let chosen: Vec<_> = all.into_iter().take(count).map(|(_, outbox)| outbox).collect();
    let window = Duration::from_millis(shed.window_ms.into()).min(LONGEST);
    tracing::info!(connections = count, percent, window_ms = shed.window_ms, "shedding");
    let shedding = node.clone();
    node.background.spawn(async move {
        close_within(&shedding, chosen, window).await;
        tracing::info!(connections = count, left = shedding.connections.count(), "shed");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_followed_once_however_often_it_is_heard() {
        let orders = Orders::default();
        assert!(orders.is_new(b"a") && orders.is_new(b"b") && !orders.is_new(b"a"));
        for n in 0..100_u8 {
            assert!(orders.is_new(&[n, n]));
        }
        assert_eq!(orders.heard.lock().len(), REMEMBERED);
    }

    #[test]
    fn a_node_is_unready_before_it_is_shut_and_serves_when_it_resumes() {
        let orders = Orders::default();
        orders.shut();
        assert!(!orders.is_draining() && !orders.is_shut(), "only what drains is shut");
        let resumed = orders.unready().unwrap();
        assert!(orders.is_draining() && !orders.is_shut());
        assert!(orders.unready().is_none(), "once is enough");
        orders.shut();
        assert!(orders.is_draining() && orders.is_shut());
        assert!(orders.serve() && resumed.is_cancelled());
        assert!(!orders.is_draining() && !orders.is_shut() && !orders.serve());
        orders.shut();
        assert!(!orders.is_shut(), "a drain that was called off shuts nothing any more");
    }
}
