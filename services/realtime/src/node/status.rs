//! What a node says of itself with each beat, for operators.

use streamit_telemetry::metrics::resident;
use streamit_wire::v1;

use super::Node;

/// How this node is now.
#[must_use]
pub fn status(node: &Node) -> v1::NodeStatus {
    v1::NodeStatus {
        name: node.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        connections: node.connections.count() as u64,
        rooms: node.rooms.count() as u64,
        joining: node.door.count() as u64,
        is_draining: node.is_draining(),
        started_at: node.started_at.0,
        memory: resident().unwrap_or(0),
    }
}
