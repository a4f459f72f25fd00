//! What operators are told in figures: all of it is documented, and what is documented is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;
use streamit_client::Http;
use streamit_e2e::{Plan, Program, System, until};
use streamit_telemetry::metrics::{Kind, Metric, PROCESS, TELEMETRY, document};

/// What shows only when something fails or many come at once; `name{label}` when it is the label that does.
const NEEDS_A_FAULT: &[&str] = &["streamit_frames_dropped_total"];

fn every() -> Vec<Metric> {
    [PROCESS, TELEMETRY].concat()
}

fn node() -> Vec<Metric> {
    [streamit_realtime::metrics::METRICS, streamit_realtime::traffic::METRICS].concat()
}

#[test]
fn the_document_is_what_the_code_measures() {
    let (every, node) = (every(), node());
    let text = document(&[
        ("Every program", "Of the process, its runtime and its telemetry.", &every),
        ("The api", "Told by `streamit-api` and by the standalone program.", streamit_api::metrics::METRICS),
        ("A realtime node", "Told by `streamit-realtime` and by the standalone program.", &node),
        (
            "Redis",
            "Told by the programs of a cluster; the standalone program has no Redis.",
            streamit_bus::metrics::METRICS,
        ),
    ]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("STREAMIT_WRITE_DOCS").is_some_and(|write| write == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/metrics.md is out of date: run `make metrics`");
}

/// A figure with its labels.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What a program tells.
struct Told {
    text: String,
    kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

async fn scrape(program: &Program) -> Told {
    let address = program.printed("listening metrics://").await.unwrap();
    let answer = Http::new(&format!("http://{address}")).unwrap().raw("GET", "/metrics", None).await.unwrap();
    assert_eq!(answer.status, 200);
    read(answer.text())
}

fn read(text: String) -> Told {
    let (mut kinds, mut samples) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            kinds.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') && !line.is_empty() {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').unwrap().split("\",").filter(|label| !label.is_empty());
            let label = |label: &str| {
                let (name, value) = label.split_once("=\"").unwrap();
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            };
            let value = value.parse().unwrap();
            samples.push(Sample { name: name.to_owned(), labels: labels.map(label).collect(), value });
        }
    }
    Told { text, kinds, samples }
}

impl Told {
    /// The sum of all figures of this name that have these labels.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            let label = |(name, value): &(&str, &str)| sample.labels.get(*name).is_some_and(|it| it == value);
            sample.name == name && labels.iter().all(label)
        };
        self.samples.iter().filter(has).map(|sample| sample.value).sum()
    }

    /// Holds it to the tables: nothing else is told, and nothing is missing but what needs a fault.
    fn is_as_documented(&self, metrics: &[Metric]) {
        let known: BTreeMap<String, &Metric> =
            metrics.iter().map(|metric| (metric.exported_name(), metric)).collect();
        assert_eq!(known.len(), metrics.len(), "two of one name");
        for (name, kind) in self.kinds.iter().filter(|(name, _)| *name != "target_info") {
            let metric = known.get(name).unwrap_or_else(|| panic!("{name} is not documented"));
            let documented = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            assert_eq!(kind, documented, "{name}");
        }
        let mut missing: BTreeSet<&str> = known.keys().map(String::as_str).collect();
        for sample in self.samples.iter().filter(|sample| sample.name != "target_info") {
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| known.keys().find(|name| sample.name == format!("{name}{end}")))
                .unwrap_or(&sample.name);
            let metric = known.get(name).unwrap_or_else(|| panic!("{name} is not documented"));
            let labels: BTreeSet<String> =
                sample.labels.keys().filter(|label| *label != "le").cloned().collect();
            let documented: BTreeSet<String> =
                metric.labels.iter().map(|label| label.replace('.', "_")).collect();
            assert_eq!(labels, documented, "{name}");
            missing.remove(name.as_str());
        }
        missing.retain(|name| !NEEDS_A_FAULT.contains(name));
        assert!(missing.is_empty(), "documented, and not told: {missing:?}");
    }

    fn holds_none_of(&self, secrets: &[&str]) {
        for secret in secrets {
            assert!(!secret.is_empty() && !self.text.contains(secret), "{secret} is told");
        }
    }
}

/// A little of everything.
struct Evening {
    system: System,
    secrets: Vec<String>,
}

impl Evening {
    async fn of(system: &System) -> Self {
        let ana = system.user("Ana").await;
        let bo = system.guest("Bo").await;
        let room = ana.public_room().await;
        let mut host = room.join_on(0, &ana).await;
        let mut guest = room.join_on(0, &bo).await;
        host.play(Some(5.0)).await;
        guest.sees("the film", |state| state.is_playing).await;
        guest.say("hello").await;
        host.hears("hello").await;
        guest.send(&json!({"type": "SYNC_CHECK", "client_time": 100.0})).await;
        guest.gets("SYNC_CORRECTION").await;

        let http = system.http(0);
        let wrong = json!({"email": "nobody@example.org", "password": "wrong horse"});
        assert_eq!(http.raw("POST", "/api/auth/login/", Some(&wrong)).await.unwrap().status, 401);
        for status in [404, 404] {
            let call = ana.http().request("GET", "/api/rooms/by-code/ABCDEFGH/").bearer(ana.token());
            assert_eq!(call.send().await.unwrap().status, status);
        }
        let secrets = [&room.code, &room.id.to_string(), &ana.id.to_string(), &bo.id.to_string(), ana.token(), "nobody@example.org", "hello"];
        Self { system: system.clone(), secrets: secrets.map(str::to_owned).to_vec() }
    }
}
