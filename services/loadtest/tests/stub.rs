//! The tool against a server that is just real enough to be measured, and can be told to misbehave.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should say where")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::routing::post;
use axum::{Json, Router};
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use streamit_loadtest::args::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

const ID: &str = "018f0000-0000-7000-8000-000000000000";

/// Rooms by path; each holds the members' queues and the number of the last message.
type Rooms = Arc<Mutex<HashMap<String, (u64, Vec<UnboundedSender<String>>)>>>;

/// Starts both halves; gives the arguments that name them. The message with number `lose` reaches nobody.
async fn start(lose: Option<u64>) -> Vec<String> {
    let opened = Arc::new(AtomicUsize::new(0));
    let create = move || async move {
        let code = format!("ROOM{:02}", opened.fetch_add(1, Ordering::Relaxed));
        Json(json!({"room_id": ID, "code": code, "is_private": false, "entry_mode": null}))
    };
    let account = json!({"id": ID, "display_name": "x", "is_guest": true, "access_token": "t"});
    let joined = json!({"room_id": ID, "code": "x", "status": "APPROVED", "is_host": false});
    let app = Router::new()
        .route("/api/auth/guest/", post(move || async move { Json(account) }))
        .route("/api/rooms/create/", post(create))
        .route("/api/rooms/join/", post(move || async move { Json(joined) }));
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ws = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, ws_url) =
        (format!("http://{}", http.local_addr().unwrap()), format!("ws://{}", ws.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(http, app).await });
    tokio::spawn(async move {
        let rooms = Rooms::default();
        while let Ok((stream, _)) = ws.accept().await {
            tokio::spawn(member(stream, rooms.clone(), lose));
        }
    });
    vec!["--url".into(), url, "--ws".into(), ws_url]
}

async fn member(stream: TcpStream, rooms: Rooms, lose: Option<u64>) {
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the signature is the library's")]
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    // Whoever asks for its health is no member.
    let Ok(line) = tokio_tungstenite::accept_hdr_async(stream, note).await else { return };
    let (mut sink, mut stream) = line.split();
    let (queue, mut frames) = unbounded_channel::<String>();
    for frame in [
        json!({"type": "ROOM_PARTICIPANTS", "participants": [], "host": null}),
        json!({"type": "CHAT_HISTORY", "messages": []}),
        json!({"type": "PLAYBACK_STATE", "is_playing": false, "time": 0, "server_time": 0, "version": 0}),
    ] {
        queue.send(frame.to_string()).unwrap();
    }
    rooms.lock().unwrap().entry(path.clone()).or_default().1.push(queue);
    tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            sink.send(Message::text(frame)).await.unwrap();
        }
    });
    while let Some(Ok(Message::Text(text))) = stream.next().await {
        let asked: Value = serde_json::from_str(&text).unwrap();
        let mut rooms = rooms.lock().unwrap();
        let (last, members) = rooms.get_mut(&path).unwrap();
        *last += 1;
        if lose == Some(*last) {
            continue;
        }
        let news = match asked["type"].as_str().unwrap() {
            "SEEK" => json!({"type": "PLAYBACK_STATE", "is_playing": false, "time": asked["time"],
                             "server_time": 0, "version": *last}),
            _ => json!({"type": "CHAT_MESSAGE", "seq": *last, "user": "x", "message": asked["message"],
                        "client_id": asked["client_id"], "created_at": "t"}),
        };
        for queue in members {
            let _ = queue.send(news.to_string());
        }
    }
}

async fn measure(scenario: &[&str], target: Vec<String>) -> (anyhow::Result<()>, String) {
    let arguments = ["streamit-loadtest"].iter().chain(scenario).map(|word| (*word).to_owned());
    let args = Args::parse_from(arguments.chain(target));
    let mut out = Vec::new();
    let result = streamit_loadtest::run(args, &mut out).await;
    (result, String::from_utf8(out).unwrap())
}

const SHORT: [&str; 14] = [
    "fanout",
    "--json",
    "--rooms",
    "2",
    "--members",
    "3",
    "--rate",
    "50",
    "--duration",
    "400ms",
    "--warmup",
    "100ms",
    "--stragglers",
    "500ms",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_nothing_is_sound() {
    for what in ["chat", "playback"] {
        let (result, out) = measure(&[&SHORT[..], &["--what", what]].concat(), start(None).await).await;
        result.unwrap();
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&report["sent"], &report["received"]), (&json!(50), &json!(150)), "{what}: {out}");
        assert_eq!(report["latency_us"]["count"], 120, "the warm-up is not measured: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_is_told() {
    let (result, out) = measure(&SHORT, start(Some(7)).await).await;
    assert!(result.unwrap_err().to_string().contains("not everything"));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["lost"], &report["out_of_order"]), (&json!(6), &json!(6)), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_all_in_before_memory_is_read() {
    let own = std::process::id().to_string();
    let idle = ["idle", "--connections", "25", "--room-size", "10", "--hold", "10ms", "--pid", &own];
    let (result, out) = measure(&idle, start(None).await).await;
    result.unwrap();
    assert!(out.contains("25 in 3 rooms") && out.contains("KiB for each connection"), "{out}");
}

const RUSH: [&str; 12] = [
    "storm",
    "--json",
    "--connections",
    "20",
    "--room-size",
    "5",
    "--established",
    "2",
    "--rate",
    "20",
    "--within",
    "5s",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_in_which_nothing_is_lost_is_told_so() {
    // How fast it is depends on the machine, and so does whether the promise is kept.
    let (_, out) = measure(&RUSH, start(None).await).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&report["entries"]["inside"], &report["entries"]["at_once"]),
        (&json!(20), &json!(20)),
        "{out}"
    );
    assert_eq!((&report["load"]["counts"]["lost"], &report["thrown_out"]), (&json!(0), &json!(0)), "{out}");
    for what in ["chat_us", "playback_us", "chat_before_us", "playback_before_us"] {
        assert!(report[what]["count"].as_u64().unwrap() > 0, "{what}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_lost_in_a_rush_breaks_it() {
    let (result, out) = measure(&RUSH, start(Some(9)).await).await;
    assert!(result.unwrap_err().to_string().contains("missed something"), "{out}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["load"]["counts"]["lost"], 5, "{out}");
}
