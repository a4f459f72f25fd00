//! What is measured of Redis.
//!
//! The bus inside a process has nothing to measure: its calls take no time, and it is never away.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};
use streamit_telemetry::metrics::{Counters, Metric};

const OPERATION: Metric = Metric::seconds(
    "db.client.operation.duration",
    "how long a call to Redis took, waiting for a connection included; `db_operation_name` is a command, or a script in \
     small letters",
)
.by(&["db.system.name", "db.operation.name"]);
const RECONNECTS: Metric = Metric::counter(
    "streamit.redis.reconnects",
    "{connection}",
    "connections that were made in place of one that failed: `commands` or `subscription`",
)
.by(&["line"]);
const PROBES: Metric = Metric::counter(
    "streamit.redis.probes",
    "{probe}",
    "numbers that the process sends to itself every second: `answered` when one came back over the subscription, else \
     `lost`",
)
.by(&["result"]);
const PROBE: Metric =
    Metric::seconds("streamit.redis.probe.duration", "how long such a number was under way");
pub(crate) const UP: Metric =
    Metric::gauge("streamit.redis.up", "{state}", "1 when Redis answers and the subscription lives");
pub(crate) const CLOCK_OFFSET: Metric = Metric::gauge(
    "streamit.clock.offset",
    "s",
    "room time, which is the clock of Redis, less the clock of this machine",
);

/// What is measured of Redis.
pub const METRICS: &[Metric] = &[OPERATION, RECONNECTS, PROBES, PROBE, UP, CLOCK_OFFSET];

/// What is recorded into.
#[derive(Debug)]
pub(crate) struct Instruments {
    operation: Histogram<f64>,
    reconnects: Counters,
    probes: Counters,
    probe: Histogram<f64>,
    system: KeyValue,
}

/// Which connection it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Line {
    Commands,
    Subscription,
}

impl Instruments {
    pub(crate) fn new() -> Arc<Self> {
        let meter = global::meter("streamit");
        Arc::new(Self {
            operation: OPERATION.records(&meter),
            reconnects: RECONNECTS.adds_by(&meter, &["commands", "subscription"]),
            probes: PROBES.adds_by(&meter, &["answered", "lost"]),
            probe: PROBE.records(&meter),
            system: KeyValue::new("db.system.name", "redis"),
        })
    }

    pub(crate) fn asked(&self, operation: &'static str, took: Duration) {
        let operation = KeyValue::new("db.operation.name", operation);
        self.operation.record(took.as_secs_f64(), &[self.system.clone(), operation]);
    }

    pub(crate) fn reconnected(&self, line: Line) {
        self.reconnects.add(
            1,
            match line {
                Line::Commands => "commands",
                Line::Subscription => "subscription",
            },
        );
    }

    pub(crate) fn probe_answered(&self, took: Option<Duration>) {
        self.probes.add(1, "answered");
        if let Some(took) = took {
            self.probe.record(took.as_secs_f64(), &[]);
        }
    }

    pub(crate) fn probes_lost(&self, count: u64) {
        if count > 0 {
            self.probes.add(count, "lost");
        }
    }
}
