//! What operators are told in figures: all of it is documented, and what is documented is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;
use streamit_client::Http;
use streamit_e2e::{Plan, Program, RawSocket, Seat, System, until};
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
        let told = self.kinds.keys().filter(|name| *name != "target_info");
        let unknown: Vec<_> = told.filter(|name| !known.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "told, and not documented: {unknown:?}");
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

    fn holds_none_of(&self, secrets: &[String]) {
        for secret in secrets {
            assert!(!secret.is_empty() && !self.text.contains(secret.as_str()), "{secret} is told");
        }
    }
}

/// A little of everything. Two people are still there when it has happened; gives what must not be told.
async fn evening(system: &System) -> (Vec<Seat>, Vec<String>) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut guest = room.join_on(0, &bo).await;
    host.play(Some(5.0)).await;
    guest.sees("the film", |state| state.is_playing).await;
    for text in ["hello", "and again"] {
        guest.say(text).await;
        host.hears(text).await;
    }
    guest.send(&json!({"type": "SYNC_CHECK", "client_time": 100.0})).await;
    guest.gets("SYNC_CORRECTION").await;
    guest.send_text("nonsense").await;
    guest.gets("ERROR").await;
    let cy = system.guest("Cy").await;
    room.join_on(0, &cy).await.leaves().await;
    host.sees_go("Cy").await;

    // Who has no token does not get in, however he asks, and neither does who names no room.
    let mut refused = RawSocket::open(&system.ws(0), &format!("/ws/room/{}/", room.code)).await;
    assert_eq!(refused.closed().await, Some(4001));
    let path = format!("/ws/room/ZZZZZZZZ/?token={}", cy.token());
    assert_eq!(RawSocket::open(&system.ws(0), &path).await.closed().await, Some(4002));
    let unknown = ana.does("join", &json!({"code": "ZZZZZZZZ"})).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());

    // One too many.
    let email = system.fresh_email();
    let wrong = json!({"email": email, "password": "not the right one"});
    for n in 0..11 {
        let answer = cy.http().raw("POST", "/api/auth/login/", Some(&wrong)).await.unwrap();
        assert_eq!(answer.status, if n < 10 { 401 } else { 429 });
    }
    let secrets = [
        room.code.clone(),
        room.id.to_string(),
        ana.id().to_string(),
        bo.id().to_string(),
        ana.token().to_owned(),
        email,
        "and again".into(),
        "not the right one".into(),
        "ZZZZZZZZ".into(),
    ];
    (vec![host, guest], secrets.into())
}

/// Waits until a program tells this: what happens on the way out of a call is told a moment later.
async fn tells(program: &Program, what: &str, is_so: impl Fn(&Told) -> bool) -> Told {
    let told = until(what, async || {
        let told = scrape(program).await;
        is_so(&told).then_some(told)
    });
    match told.await {
        Ok(told) => told,
        Err(why) => panic!("{why}\n{}", scrape(program).await.text),
    }
}

#[track_caller]
fn is_of_the_api(told: &Told) {
    let is = |name, labels: &[(&str, &str)], value: f64| {
        assert!((told.value(name, labels) - value).abs() < 1e-9, "{name} {labels:?}\n{}", told.text);
    };
    is("streamit_ready", &[], 1.0);
    is("streamit_logins_total", &[("result", "failure")], 10.0);
    is("streamit_limits_refused_total", &[("limit", "login")], 1.0);
    is("streamit_limits_refused_total", &[], 1.0);
    is("streamit_append_batch_messages_sum", &[], 2.0);
    is("streamit_passwords_duration_seconds_count", &[("step", "hash")], 11.0);
    let logins = [("http_route", "/api/auth/login/"), ("http_request_method", "POST")];
    let of = |status| [logins[0], logins[1], ("http_response_status_code", status)];
    is("http_server_request_duration_seconds_count", &of("401"), 10.0);
    is("http_server_request_duration_seconds_count", &of("429"), 1.0);
    is("db_client_connection_timeouts_total", &[], 0.0);
    assert!(told.value("db_client_connection_count", &[]) >= 1.0);
    let admit = [("rpc_method", "streamit.v1.Authority/Admit"), ("rpc_response_status_code", "OK")];
    assert!(told.value("rpc_server_call_duration_seconds_count", &admit) >= 3.0);
}

#[track_caller]
fn is_of_a_node(told: &Told) {
    let is = |name, labels: &[(&str, &str)], value: f64| {
        assert!((told.value(name, labels) - value).abs() < 1e-9, "{name} {labels:?}\n{}", told.text);
    };
    is("streamit_ready", &[], 1.0);
    is("streamit_connections", &[], 2.0);
    is("streamit_members", &[], 2.0);
    is("streamit_rooms", &[], 1.0);
    is("streamit_connections_opened_total", &[], 3.0);
    is("streamit_connections_closed_total", &[("code", "1000")], 1.0);
    is("streamit_connections_rejected_total", &[("reason", "token")], 1.0);
    is("streamit_connections_rejected_total", &[("reason", "room")], 1.0);
    is("streamit_connections_rejected_total", &[], 2.0);
    is("streamit_handshake_duration_seconds_count", &[("phase", "total")], 3.0);
    is("streamit_resumes_total", &[], 3.0);
    is("streamit_messages_received_total", &[("type", "CHAT_MESSAGE")], 2.0);
    is("streamit_messages_received_total", &[("type", "PLAY")], 1.0);
    is("streamit_messages_received_total", &[("type", "invalid")], 1.0);
    is("streamit_client_drift_seconds_count", &[], 1.0);
    is("streamit_drain_state", &[], 0.0);
    is("streamit_faults_total", &[], 0.0);
    is("streamit_authority_replicas", &[("state", "up")], 1.0);
}

fn went(told: &Told) -> bool {
    told.value("streamit_connections", &[]) < 2.5
}

#[tokio::test]
async fn a_cluster_tells_all_that_is_documented_and_nothing_else() {
    let plan = Plan::cluster(1, 1).env("STREAMIT_METRICS_LISTEN", "127.0.0.1:0");
    plan.run(async |system| {
        let (_seats, secrets) = evening(system).await;

        let told = tells(&system.node(0), "that one has left", went).await;
        let tables = [&every()[..], &node(), streamit_bus::metrics::METRICS].concat();
        told.is_as_documented(&tables);
        told.holds_none_of(&secrets);
        is_of_a_node(&told);
        let up = told.value("streamit_redis_up", &[]);
        assert!(up > 0.5 && told.value("streamit_redis_probes_total", &[("result", "answered")]) >= 1.0);

        let told = scrape(&system.api(0)).await;
        let tables = [&every()[..], streamit_api::metrics::METRICS, streamit_bus::metrics::METRICS].concat();
        told.is_as_documented(&tables);
        told.holds_none_of(&secrets);
        is_of_the_api(&told);
    })
    .await;
}

#[tokio::test]
async fn the_standalone_program_tells_both_parts() {
    let plan = Plan::standalone().env("STREAMIT_METRICS_LISTEN", "127.0.0.1:0");
    plan.run(async |system| {
        let (_seats, secrets) = evening(system).await;

        let told = tells(&system.node(0), "that one has left", went).await;
        told.is_as_documented(&[&every()[..], &node(), streamit_api::metrics::METRICS].concat());
        told.holds_none_of(&secrets);
        is_of_a_node(&told);
        is_of_the_api(&told);
    })
    .await;
}
