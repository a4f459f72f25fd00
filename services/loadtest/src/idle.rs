//! How much memory of the server a connection costs that only sits in its room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::Serialize;
use streamit_client::Error;
use tokio::task::JoinSet;

use crate::args::{Idle, Target};
use crate::report::Table;
use crate::{crowd, process};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Connections that were joined.
    pub connections: usize,
    /// Rooms they were in.
    pub rooms: usize,
    /// Connections that the server closed while they sat there; a figure with any of these is worth little.
    pub lost: usize,
    /// How long it took until all were in.
    pub join_ms: u128,
    /// Each process that was named.
    pub processes: Vec<Process>,
}

/// One process of the server.
#[derive(Debug, Serialize)]
pub struct Process {
    /// Which.
    pub pid: u32,
    /// Resident memory with everybody known and nobody connected.
    pub before_kib: u64,
    /// Resident memory with everybody in their rooms.
    pub after_kib: u64,
    /// The difference for each connection.
    pub kib_per_connection: f64,
}

/// Gathers the crowd, reads memory, connects everybody, holds still, and reads memory again.
///
/// # Errors
/// When the crowd can't be gathered or a process can't be read.
pub async fn run(target: &Target, wanted: &Idle) -> anyhow::Result<Report> {
    let (people, size) = (wanted.connections as usize, wanted.room_size as usize);
    let mut sizes = vec![size; people / size];
    if !people.is_multiple_of(size) {
        sizes.push(people % size);
    }
    let rooms = crowd::gather(target, &sizes).await?;

    let before = target.pid.iter().map(|pid| process::resident_kib(*pid)).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let connections = crowd::connect(target, &rooms).await?;
    let join_ms = start.elapsed().as_millis();

    // Reading answers the server's heartbeat, and takes in the news of those who came later.
    let lost = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for (_, connection) in connections {
        let lost = lost.clone();
        readers.spawn(async move {
            let (_sender, mut receiver) = connection.split();
            while !matches!(receiver.frame().await, Err(Error::Closed(_))) {}
            lost.fetch_add(1, Ordering::Relaxed);
        });
    }
    tokio::time::sleep(wanted.hold).await;

    let mut processes = Vec::with_capacity(before.len());
    for (pid, before_kib) in target.pid.iter().copied().zip(before) {
        let after_kib = process::resident_kib(pid)?;
        let grown = after_kib as f64 - before_kib as f64;
        processes.push(Process { pid, before_kib, after_kib, kib_per_connection: grown / people as f64 });
    }
    let lost = lost.load(Ordering::Relaxed);
    Ok(Report { connections: people, rooms: rooms.len(), lost, join_ms, processes })
}

impl Table for Report {
    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![
            ("connections".to_owned(), format!("{} in {} rooms", self.connections, self.rooms)),
            ("all in after".to_owned(), format!("{} ms", self.join_ms)),
            ("lost meanwhile".to_owned(), self.lost.to_string()),
        ];
        for process in &self.processes {
            rows.push((
                format!("memory of {}", process.pid),
                format!(
                    "{:.2} KiB for each connection ({} KiB before, {} KiB after)",
                    process.kib_per_connection, process.before_kib, process.after_kib
                ),
            ));
        }
        rows
    }
}
