//! Metrics: what is measured, how it is made known, and where it can be read.
//!
//! Each part of the system lists what it measures in a table of [`Metric`]s and makes its instruments from it, so that
//! `docs/metrics.md` is the tables ([`document`]) and no more. Names follow the semantic conventions of OpenTelemetry where
//! they have one; units are seconds and bytes; attributes have few values, never a person, a room or a connection.

mod process;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{
    AsyncInstrument, Counter, Histogram, Meter, ObservableCounter, ObservableGauge,
};
use prometheus::{Registry, TextEncoder};

pub(crate) use process::observe;
pub use process::{PROCESS, TELEMETRY, resident};

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Whether anybody will ever look at what is measured. What is measured often need not be, else.
#[must_use]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

pub(crate) fn begin() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// What kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Is now so.
    Gauge,
    /// How values are spread.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Something that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in OpenTelemetry.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: Kind,
    /// Its unit in UCUM: `s`, `By`, `1`, or a thing in braces.
    pub unit: &'static str,
    /// What it says.
    pub about: &'static str,
    /// Its attributes.
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram's buckets.
    pub bounds: &'static [f64],
}

/// Bounds for what takes from a fraction of a millisecond to ten seconds, in seconds. 0.25 is among them, the promise for a
/// delivery.
pub const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds for how many there are of something in one go.
pub const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

impl Metric {
    /// A counter of things.
    #[must_use]
    pub const fn counter(name: &'static str, unit: &'static str, about: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit, about, labels: &[], bounds: &[] }
    }

    /// A value of now.
    #[must_use]
    pub const fn gauge(name: &'static str, unit: &'static str, about: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit, about, labels: &[], bounds: &[] }
    }

    /// A distribution of seconds.
    #[must_use]
    pub const fn seconds(name: &'static str, about: &'static str) -> Self {
        Self { name, kind: Kind::Histogram, unit: "s", about, labels: &[], bounds: SECONDS }
    }

    /// A distribution of counts.
    #[must_use]
    pub const fn counts(name: &'static str, unit: &'static str, about: &'static str) -> Self {
        Self { name, kind: Kind::Histogram, unit, about, labels: &[], bounds: COUNTS }
    }

    /// The same, told apart by these attributes.
    #[must_use]
    pub const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// The counter, to be added to. One without attributes is there from the beginning, as 0: so the first of it shows as
    /// a rise.
    #[must_use]
    pub fn adds(&self, meter: &Meter) -> Counter<u64> {
        let counter = meter.u64_counter(self.name).with_unit(self.unit).with_description(self.about).build();
        if self.labels.is_empty() {
            counter.add(0, &[]);
        }
        counter
    }

    /// The counter with one attribute, all of whose values are known: each is there from the beginning, as 0.
    #[must_use]
    pub fn adds_by(&self, meter: &Meter, values: &[&'static str]) -> Counters {
        let label = self.labels.first().copied().unwrap_or("kind");
        let counters = Counters { counter: self.adds(meter), label };
        for value in values {
            counters.add(0, value);
        }
        counters
    }

    /// The distribution, to be recorded into.
    #[must_use]
    pub fn records(&self, meter: &Meter) -> Histogram<f64> {
        meter
            .f64_histogram(self.name)
            .with_unit(self.unit)
            .with_description(self.about)
            .with_boundaries(self.bounds.to_vec())
            .build()
    }

    /// The value, asked for whenever somebody looks.
    pub fn observes(
        &self,
        meter: &Meter,
        look: impl Fn(&dyn AsyncInstrument<f64>) + Send + Sync + 'static,
    ) -> ObservableGauge<f64> {
        meter
            .f64_observable_gauge(self.name)
            .with_unit(self.unit)
            .with_description(self.about)
            .with_callback(look)
            .build()
    }

    /// The counter, asked for whenever somebody looks.
    pub fn observes_total(
        &self,
        meter: &Meter,
        look: impl Fn(&dyn AsyncInstrument<f64>) + Send + Sync + 'static,
    ) -> ObservableCounter<f64> {
        meter
            .f64_observable_counter(self.name)
            .with_unit(self.unit)
            .with_description(self.about)
            .with_callback(look)
            .build()
    }

    /// Its name as Prometheus has it
    /// (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>).
    #[must_use]
    pub fn exported_name(&self) -> String {
        let mut name = self.name.replace('.', "_");
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        if !name.ends_with(unit) {
            name.push_str(unit);
        }
        if self.kind == Kind::Counter && !name.ends_with("_total") {
            name.push_str("_total");
        }
        name
    }
}

/// A counter for each value of one attribute.
#[derive(Clone, Debug)]
pub struct Counters {
    counter: Counter<u64>,
    label: &'static str,
}

impl Counters {
    /// Adds to the one of `value`, which is one of a few, never anything that somebody made up.
    pub fn add(&self, count: u64, value: &'static str) {
        self.counter.add(count, &[KeyValue::new(self.label, value)]);
    }
}

/// Where `/metrics` is read from.
#[derive(Clone, Debug)]
pub struct Scrape(pub(crate) Registry);

impl Scrape {
    /// Everything that was measured, in the text format of Prometheus.
    #[must_use]
    pub fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.0.gather()).unwrap_or_else(|error| {
            tracing::warn!(%error, "metrics can't be written down");
            String::new()
        })
    }
}

/// The document of these metrics: a table for each program or part.
#[must_use]
pub fn document(parts: &[(&str, &str, &[Metric])]) -> String {
    let mut out = String::from(
        "# Metrics\n\nMade from the tables in the code, by `make metrics`; CI fails when it is out of date. How to get at \
         them: [observability.md](observability.md).\n\nThe first column has the names that Prometheus sees, the last \
         those of OTLP. Histograms end in `_bucket`, `_sum` and `_count`; every series has an `otel_scope_name`, too, which says nothing.\n",
    );
    for (title, about, metrics) in parts {
        let _ = write!(
            out,
            "\n## {title}\n\n{about}\n\n| metric | kind | by | what it says | in OTLP |\n|---|---|---|---|---|\n"
        );
        for metric in *metrics {
            let labels: Vec<String> =
                metric.labels.iter().map(|label| format!("`{}`", label.replace('.', "_"))).collect();
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} | `{}`, {} |",
                metric.exported_name(),
                metric.kind.word(),
                labels.join(", "),
                metric.about.replace('|', "\\|"),
                metric.name,
                metric.unit,
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_names_carry_units_and_totals() {
        let named = |metric: Metric| metric.exported_name();
        assert_eq!(named(Metric::counter("a.b", "{x}", "")), "a_b_total");
        assert_eq!(named(Metric::seconds("a.lag", "")), "a_lag_seconds");
        assert_eq!(named(Metric::gauge("a.memory", "By", "")), "a_memory_bytes");
        assert_eq!(named(Metric::counter("cpu.time", "s", "")), "cpu_time_seconds_total");
    }

    #[test]
    fn the_document_has_a_row_for_each() {
        let metrics = [Metric::counter("a.b", "{x}", "how many").by(&["c.d"])];
        let text = document(&[("Part", "Words.", &metrics)]);
        assert!(text.contains("| `a_b_total` | counter | `c_d` | how many | `a.b`, {x} |"), "{text}");
    }
}
