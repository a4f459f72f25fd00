//! What every process tells of itself and of its runtime.

use std::fs;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use rustix::process::{Resource, getrlimit};
use tokio::runtime::Handle;

use super::Metric;
use crate::counted::Delivery;
use crate::health::Health;

const CPU: Metric = Metric::counter("process.cpu.time", "s", "processor time used");
const MEMORY: Metric = Metric::gauge("process.memory.usage", "By", "memory that is resident");
const DESCRIPTORS: Metric =
    Metric::gauge("process.open_file_descriptor.count", "{descriptor}", "file descriptors in use");
const DESCRIPTOR_LIMIT: Metric =
    Metric::gauge("process.open_file_descriptor.limit", "{descriptor}", "how many may be");
const UPTIME: Metric = Metric::gauge("process.uptime", "s", "for how long it runs");
const WORKERS: Metric = Metric::gauge("tokio.workers", "{thread}", "threads that run tasks");
const TASKS: Metric = Metric::gauge("tokio.tasks.alive", "{task}", "tasks that have not ended");
const QUEUE: Metric =
    Metric::gauge("tokio.queue.depth", "{task}", "tasks that wait in the shared queue for a thread");
const BUSY: Metric =
    Metric::counter("tokio.worker.busy_time", "s", "time that all threads together were busy");
const PARKS: Metric =
    Metric::counter("tokio.worker.park_count", "{time}", "how often a thread had nothing to do");
const READY: Metric =
    Metric::gauge("streamit.ready", "{state}", "what `/readyz` answers: 1 when work may be sent here");
const DROPPED: Metric = Metric::counter(
    "streamit.telemetry.dropped",
    "{item}",
    "spans, log records and exports of metrics that the collector did not take, or that a full queue had no room for",
)
.by(&["signal"]);

/// What every process tells of itself.
pub const PROCESS: &[Metric] =
    &[CPU, MEMORY, DESCRIPTORS, DESCRIPTOR_LIMIT, UPTIME, WORKERS, TASKS, QUEUE, BUSY, PARKS];
/// What every program tells of its readiness and its telemetry.
pub const TELEMETRY: &[Metric] = &[READY, DROPPED];

/// Begins to tell. Needs a runtime.
pub(crate) fn observe(meter: &Meter, deliveries: Vec<Delivery>) {
    let started = std::time::Instant::now();
    CPU.observes_total(meter, |cpu| cpu_seconds().into_iter().for_each(|secs| cpu.observe(secs, &[])));
    MEMORY.observes(meter, |memory| {
        resident().into_iter().for_each(|bytes| memory.observe(bytes as f64, &[]));
    });
    DESCRIPTORS.observes(meter, |count| {
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            count.observe(open.count() as f64, &[]);
        }
    });
    DESCRIPTOR_LIMIT.observes(meter, |limit| {
        if let Some(soft) = getrlimit(Resource::Nofile).current {
            limit.observe(soft as f64, &[]);
        }
    });
    UPTIME.observes(meter, move |uptime| uptime.observe(started.elapsed().as_secs_f64(), &[]));
    DROPPED.observes_total(meter, move |dropped| {
        for delivery in &deliveries {
            dropped.observe(delivery.lost() as f64, &[KeyValue::new("signal", delivery.signal())]);
        }
    });
    let runtime = Handle::current().metrics();
    let of = || runtime.clone();
    WORKERS.observes(meter, {
        let runtime = of();
        move |workers| workers.observe(runtime.num_workers() as f64, &[])
    });
    TASKS.observes(meter, {
        let runtime = of();
        move |tasks| tasks.observe(runtime.num_alive_tasks() as f64, &[])
    });
    QUEUE.observes(meter, {
        let runtime = of();
        move |queue| queue.observe(runtime.global_queue_depth() as f64, &[])
    });
    BUSY.observes_total(meter, {
        let runtime = of();
        move |busy| {
            let all = (0..runtime.num_workers()).map(|n| runtime.worker_total_busy_duration(n));
            busy.observe(all.sum::<std::time::Duration>().as_secs_f64(), &[]);
        }
    });
    PARKS.observes_total(meter, move |parks| {
        let all = (0..runtime.num_workers()).map(|n| runtime.worker_park_count(n));
        parks.observe(all.sum::<u64>() as f64, &[]);
    });
}

impl Health {
    /// Tells whether the process is ready, from now on. `is_staying` says no when it is on its way out.
    pub fn observe(&self, meter: &Meter, is_staying: impl Fn() -> bool + Send + Sync + 'static) {
        let health = self.clone();
        READY.observes(meter, move |ready| {
            ready.observe(f64::from(u8::from(health.ready() && is_staying())), &[]);
        });
    }
}

/// The memory of this process that is resident, in bytes, where the system tells it (Linux).
#[must_use]
pub fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1_024)
}

/// User and system time of this process, as `proc(5)` has it: fields 14 and 15 of `stat`, in ticks. The name of the
/// program, field 2, may hold blanks, and ends with the last parenthesis.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_told() {
        assert!(resident().unwrap() > 1024 * 1024);
        let begin = std::time::Instant::now();
        while begin.elapsed().as_millis() < 30 {}
        assert!(cpu_seconds().unwrap() > 0.0);
    }
}
