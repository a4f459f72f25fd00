//! What a node says of itself with each beat, for operators.

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

/// The memory of this process, in bytes, where the system tells it (Linux).
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_told_in_bytes() {
        assert!(resident().unwrap() > 1024 * 1024);
    }
}
