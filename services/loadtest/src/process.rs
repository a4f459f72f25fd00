//! What Linux tells about a process.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// `/proc` counts CPU time in hundredths of a second, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Resident memory, in KiB.
///
/// # Errors
/// When there is no such process, or this is not Linux.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.with_context(|| format!("process {pid} can't be read"))?;
    resident_of(&status).with_context(|| format!("process {pid} has no memory of its own"))
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU time used so far, of the program and of the kernel on its behalf.
///
/// # Errors
/// When there is no such process, or this is not Linux.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.with_context(|| format!("process {pid} can't be read"))?;
    cpu_of(&stat).with_context(|| format!("process {pid} tells no CPU time"))
}

fn cpu_of(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may hold anything, also spaces and parentheses: count from its end.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

/// How many files, sockets among them, it has open.
///
/// # Errors
/// When there is no such process, or this is not Linux.
pub fn open_files(pid: u32) -> anyhow::Result<usize> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"));
    Ok(files.with_context(|| format!("the open files of process {pid} can't be counted"))?.count())
}

/// What the kernel keeps for all TCP connections of this machine, sent and not acknowledged or received and not read, in
/// KiB.
///
/// # Errors
/// When this is not Linux.
pub fn tcp_kib() -> anyhow::Result<u64> {
    let sockets = fs::read_to_string("/proc/net/sockstat").context("the kernel's sockets can't be read")?;
    tcp_of(&sockets).context("the kernel does not tell what it keeps for TCP")
}

fn tcp_of(sockets: &str) -> Option<u64> {
    /// Of memory, on every machine this is for.
    const PAGE_KIB: u64 = 4;
    let mut fields = sockets.lines().find_map(|line| line.strip_prefix("TCP:"))?.split_whitespace();
    fields.find(|field| *field == "mem")?;
    Some(PAGE_KIB * fields.next()?.parse::<u64>().ok()?)
}

/// How many files this process may have open; none when that can't be told.
#[must_use]
pub fn open_files_limit() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_cpu_time_are_found() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    5120 kB\nThreads:\t1\n"), Some(5_120));
        assert_eq!(resident_of("Name:\tkthreadd\n"), None);
        let sockets = "sockets: used 9\nTCP: inuse 4 orphan 0 tw 0 alloc 5 mem 12\nUDP: inuse 1 mem 3\n";
        assert_eq!(tcp_of(sockets), Some(48));
        let stat = "77 (a (b) c) S 1 77 77 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 1 0 1 2 3";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("77 (x) S 1"), None);
    }
}
