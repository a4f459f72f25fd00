//! Leaving without ending anybody's evening.
//!
//! The node says that it is not ready and goes on serving until balancers have seen it; then each connection is closed
//! with 1012 at its own random moment, told when to come back, and its place in the room is kept until it can have.

use std::sync::Arc;
use std::time::Duration;

use streamit_wire::code::close;
use tokio::time::Instant;

use crate::config::Drain;
use crate::node::Node;
use crate::outbox::Close;

/// The longest a client is told to wait, so that not all come back at once, in milliseconds.
const HINT_MS: u64 = 1_000;
/// Between two rounds of closes.
const ROUND: Duration = Duration::from_millis(50);

/// Puts everybody out. Returns when all connections are closed or the deadline is near.
pub async fn drain(node: &Arc<Node>, plan: Drain) {
    let start = Instant::now();
    node.draining.cancel();
    tracing::info!(connections = node.connections.count(), "draining: not ready, still serving");
    tokio::time::sleep(plan.unready).await;
    node.closing.cancel();

    let spread = u64::try_from(plan.spread.as_millis()).unwrap_or(u64::MAX);
    let mut waiting: Vec<_> = node
        .connections
        .all()
        .into_iter()
        .map(|(_, outbox)| (Duration::from_millis(node.random_below(spread)), outbox))
        .collect();
    waiting.sort_by_key(|(at, _)| *at);
    let closing = Instant::now();
    let mut waiting = waiting.into_iter().peekable();
    while waiting.peek().is_some() {
        while let Some((_, outbox)) = waiting.next_if(|(at, _)| *at <= closing.elapsed()) {
            outbox.close(Close::retry(close::RESTART, 1 + node.random_below(HINT_MS)));
        }
        tokio::time::sleep(ROUND).await;
    }
    // Those who came in just before the door was shut.
    for (_, outbox) in node.connections.all() {
        outbox.close(Close::retry(close::RESTART, 1 + node.random_below(HINT_MS)));
    }
    while node.connections.count() > 0 && start.elapsed() < plan.deadline {
        tokio::time::sleep(ROUND).await;
    }
    tracing::info!(left = node.connections.count(), "drained");
}
