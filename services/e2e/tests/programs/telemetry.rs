//! What a collector sees of an evening: whole traces over all programs, metrics, logs; and nothing that is secret.

use std::time::{Duration, Instant};

use serde_json::json;
use streamit_client::PlaybackState;
use streamit_e2e::collector::{Collector, Span};
use streamit_e2e::{Plan, System, until};
use tokio::net::TcpListener;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// The spans of one trace, once they are as they should be.
async fn trace(
    collector: &Collector,
    what: &str,
    root: impl Fn(&Span) -> bool,
    is_whole: impl Fn(&[Span]) -> bool,
) -> Vec<Span> {
    let found = until(what, async || {
        let all = collector.spans();
        all.iter().filter(|span| root(span)).find_map(|root| {
            let spans: Vec<Span> = all.iter().filter(|span| span.trace == root.trace).cloned().collect();
            is_whole(&spans).then_some(spans)
        })
    });
    found.await.unwrap_or_else(|why| panic!("{why}\n{}", told(&collector.spans())))
}

fn told(spans: &[Span]) -> String {
    let line = |span: &Span| {
        format!(
            "{:02x?} {} {} {:02x?} < {:02x?}\n",
            &span.trace[..3],
            span.instance,
            span.name,
            span.id,
            span.parent
        )
    };
    spans.iter().map(line).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[track_caller]
fn the<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = named(spans, name);
    assert_eq!(found.len(), 1, "{name}:\n{}", told(spans));
    found[0]
}

#[track_caller]
fn is_part_of(span: &Span, whole: &Span) {
    assert_eq!(span.parent, whole.id, "{} is a part of {}", span.name, whole.name);
}

/// Each node took the news in once, however many people it told: as a part of, and linked to, what was sent.
#[track_caller]
fn is_delivered(spans: &[Span], sent: &Span) {
    assert_eq!(sent.kind, PRODUCER);
    let mut nodes: Vec<&str> = Vec::new();
    for taken in named(spans, "process room") {
        is_part_of(taken, sent);
        assert_eq!(taken.links, [(sent.trace.clone(), sent.id.clone())]);
        assert_eq!(taken.kind, CONSUMER);
        nodes.push(&taken.instance);
    }
    nodes.sort_unstable();
    assert_eq!(nodes, ["node-0", "node-1"], "{}", told(spans));
}

fn is_delivered_twice(spans: &[Span]) -> bool {
    named(spans, "process room").len() == 2
}

async fn evening(system: &System, collector: &Collector) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut guest = room.join_on(1, &bo).await;
    // Two more on the same node: one span for all of them.
    let (cy, di) = (system.guest("Cy").await, system.guest("Di").await);
    let _others = (room.join_on(1, &cy).await, room.join_on(1, &di).await);

    // A command over the WebSocket, and what becomes of it on the other node.
    host.play(Some(5.0)).await;
    guest.sees("the film", |state| state.is_playing).await;
    let spans =
        trace(collector, "the trace of a command", |span| span.name == "receive PLAY", is_delivered_twice);
    let spans = spans.await;
    let receive = the(&spans, "receive PLAY");
    assert!(receive.parent.is_empty(), "a client's message begins a trace");
    assert_eq!((receive.kind, receive.instance.as_str()), (CONSUMER, "node-0"));
    let sent = the(&spans, "send room");
    is_part_of(sent, receive);
    is_delivered(&spans, sent);

    // Chat goes through the api.
    guest.say("hello").await;
    host.hears("hello").await;
    let is_root = |span: &Span| span.name == "receive CHAT_MESSAGE";
    let spans = trace(collector, "the trace of a message", is_root, |spans| {
        is_delivered_twice(spans)
            && named(spans, "streamit.v1.Authority/Append").len() == 2
            && !named(spans, "append").is_empty()
            && !named(spans, "receive CHAT_MESSAGE").is_empty()
    });
    let spans = spans.await;
    let calls = named(&spans, "streamit.v1.Authority/Append");
    let by_kind = |kind| *calls.iter().find(|span| span.kind == kind).unwrap();
    let (call, answer) = (by_kind(CLIENT), by_kind(SERVER));
    is_part_of(call, the(&spans, "receive CHAT_MESSAGE"));
    is_part_of(answer, call);
    assert_eq!((call.service.as_str(), call.instance.as_str()), ("streamit-realtime", "node-1"));
    assert_eq!(answer.service, "streamit-api");
    is_part_of(the(&spans, "append"), answer);
    let sent = the(&spans, "send room");
    is_part_of(sent, answer);
    is_delivered(&spans, sent);

    // A call over HTTP. What a stranger says of traces is linked, and not followed: not even his wish to be recorded or not.
    let body = json!({"room_id": room.id, "is_locked": true});
    let foreign = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";
    let call = ana.http().request("POST", "/api/rooms/settings/").bearer(ana.token());
    let answer = call.header("traceparent", foreign).json(&body).send().await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    guest.gets("ROOM_UPDATED").await;
    let is_root = |span: &Span| span.name == "POST /api/rooms/settings/";
    let spans = trace(collector, "the trace of a request", is_root, |spans| {
        is_delivered_twice(spans) && spans.iter().any(is_root)
    });
    let spans = spans.await;
    let request = the(&spans, "POST /api/rooms/settings/");
    assert_eq!((request.kind, request.parent.len(), request.service.as_str()), (SERVER, 0, "streamit-api"));
    assert_eq!(request.links.len(), 1);
    assert_eq!(request.links[0].0[..4], [0x01, 0x23, 0x45, 0x67]);
    let sent = the(&spans, "send room");
    is_part_of(sent, request);
    is_delivered(&spans, sent);

    // The way in is a trace of its own, and over when somebody is in.
    let is_root = |span: &Span| span.name == "GET /ws/room/{code}/" && span.instance == "node-1";
    let spans = trace(collector, "the trace of a join", is_root, |spans| {
        named(spans, "streamit.v1.Authority/Admit").iter().any(|span| span.kind == SERVER)
            && spans.iter().any(is_root)
    });
    let spans = spans.await;
    let way_in = the(&spans, "GET /ws/room/{code}/");
    assert!(named(&spans, "streamit.v1.Authority/Admit").iter().any(|span| span.parent == way_in.id));

    // No span of a socket, and none of another's business.
    let names = ["receive ", "send ", "process ", "streamit.v1.", "append", "GET ", "POST "];
    for span in collector.spans() {
        assert!(names.iter().any(|name| span.name.starts_with(name)), "a span called {}", span.name);
        assert!(!span.name.contains(&room.code), "a room's code: {}", span.name);
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_client_over_every_program_to_the_last_node() {
    let collector = Collector::start().await;
    let plan = collector.of(Plan::cluster(2, 2));
    plan.run(async |system| {
        evening(system, &collector).await;

        let both = until("metrics of both programs", async || {
            let metrics = collector.metrics();
            let has = |service: &str, name: &str| metrics.iter().any(|(s, n)| s == service && n == name);
            (has("streamit-api", "process.cpu.time") && has("streamit-realtime", "process.cpu.time"))
                .then_some(())
        });
        both.await.unwrap();
        let traced = until("a line of a log that belongs to a trace", async || {
            let spans = collector.spans();
            let lines = collector.lines();
            let line = lines.iter().find(|line| line.text == "served" && !line.trace.is_empty())?;
            spans.iter().find(|span| span.trace == line.trace).map(|_| ())
        });
        traced.await.unwrap();
        // The same ids are in the log that people read.
        let log = system.api(0).log() + &system.api(1).log();
        assert!(
            log.lines()
                .any(|line| line.contains(r#""message":"served""#) && line.contains(r#""trace_id":""#))
        );
    })
    .await;
}

/// A collector that takes connections, and nothing else.
async fn black_hole() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

#[tokio::test]
async fn a_collector_that_swallows_everything_slows_nobody_down() {
    let (_hole, endpoint) = black_hole().await;
    let plan = Plan::cluster(1, 2)
        .limits("off")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .env("OTEL_TRACES_SAMPLER", "always_on")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .env("STREAMIT_DRAIN_SECONDS", "2");
    plan.run(async |system| {
        let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
        let room = ana.public_room().await;
        let mut host = room.join_on(0, &ana).await;
        let mut guest = room.join_on(1, &bo).await;
        // More than any queue of the exporter takes (2,048): what does not fit is dropped, and nobody waits.
        for n in 0..1_000 {
            host.play(Some(f64::from(n))).await;
            let is_it = |state: &PlaybackState| state.time >= f64::from(n) && state.time < f64::from(n) + 0.9;
            host.sees("the film there", is_it).await;
        }
        host.say("the end").await;
        guest.hears("the end").await;
        assert!(host.quiet().await.iter().all(|event| event.kind() != "ERROR"));
        // And a stop is not held up by what can't be exported.
        let begin = Instant::now();
        for program in [system.node(0), system.node(1), system.api(0)] {
            program.terminate();
            program.ended().await;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    })
    .await;
}

#[tokio::test]
async fn without_a_collector_nothing_is_said_about_it() {
    Plan::standalone()
        .run(async |system| {
            let ana = system.guest("Ana").await;
            let mut seat = ana.public_room().await.join_on(0, &ana).await;
            seat.play(Some(1.0)).await;
            seat.sees("the film", |state| state.is_playing).await;
            let log = system.api(0).log();
            assert!(!log.to_lowercase().contains("otel") && !log.contains("opentelemetry"), "{log}");
            assert!(!log.contains("trace_id"), "{log}");
        })
        .await;
}
