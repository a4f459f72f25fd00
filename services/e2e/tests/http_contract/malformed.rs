//! Every call with every malformed body that came to mind: always a refusal in the form of all refusals, never a
//! fault of the server, never 422.

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use streamit_client::Response;
use streamit_e2e::{Answer, Person, System, fresh_address, on_both};
use uuid::Uuid;

on_both! {
    crate::SYSTEMS;
    a_body_that_is_no_object_is_bad_input,
    a_field_of_any_wrong_kind_is_bad_input_or_harmless,
    what_is_not_json_by_its_type_is_not_read,
    what_is_too_large_is_refused_and_the_refusal_arrives,
    no_body_at_all_is_an_object_without_fields,
    logging_out_does_not_mind_what_is_sent,
}

/// How many requests are under way at once.
const AT_ONCE: usize = 16;

/// Each call that takes a body, with one that has the right fields. Nothing in it exists, so nothing comes of it.
fn calls() -> Vec<(String, Value)> {
    let (room, user) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut calls = vec![
        ("auth/login", json!({"email": "nobody@example.org", "password": "wrong password"})),
        ("auth/register", json!({"email": "new@example.org", "password": "short", "display_name": "New"})),
        ("auth/guest", json!({"display_name": ""})),
        ("auth/refresh", json!({"refresh_token": "nothing"})),
        ("rooms/create", json!({"is_private": true, "entry_mode": "NOTHING"})),
        ("rooms/join", json!({"code": "000000", "password": "wrong"})),
        ("rooms/leave", json!({"room_id": room, "code": "000000"})),
        ("rooms/delete", json!({"room_id": room})),
        (
            "rooms/settings",
            json!({"room_id": room, "is_chat_enabled": true, "host_grace_seconds": 30,
            "on_host_lost": "wait", "expiry_days": 7, "sync_threshold_ms": 2000,
            "readiness": "soft", "drift_enter_ms": 60, "drift_leave_ms": 20, "drift_seek_ms": 1200,
            "is_locked": true, "is_chat_locked": true, "slow_mode_seconds": 5, "blocked_words": ["x"]}),
        ),
        ("rooms/erase", json!({"room_id": room, "seq": 1})),
        ("rooms/erase", json!({"room_id": room, "user_id": user})),
        ("rooms/report", json!({"room_id": room, "user_id": user, "seq": 1, "reason": "SPAM", "note": "x"})),
        (
            "rooms/source",
            json!({"room_id": room, "url": "https://example.org/", "title": "A film",
            "provider": "tube", "video_id": "abc"}),
        ),
        ("rooms/cohost", json!({"room_id": room, "user_id": user, "on": true})),
        ("rooms/mute", json!({"room_id": room, "user_id": user, "seconds": 60})),
    ];
    for action in ["approve", "reject", "kick", "ban", "unban", "unmute", "transfer"] {
        let name: &'static str = match action {
            "approve" => "rooms/approve",
            "reject" => "rooms/reject",
            "kick" => "rooms/kick",
            "ban" => "rooms/ban",
            "unban" => "rooms/unban",
            "unmute" => "rooms/unmute",
            _ => "rooms/transfer",
        };
        calls.push((name, json!({"room_id": room, "user_id": user})));
    }
    calls.into_iter().map(|(call, body)| (format!("/api/{call}/"), body)).collect()
}

/// Sends each of the bodies, several at a time, each from an address of its own.
async fn send_all(
    person: &Person,
    requests: Vec<(String, &'static str, Vec<u8>)>,
) -> Vec<(String, Response)> {
    stream::iter(requests)
        .map(async |(path, kind, body)| {
            let shown = format!("{path} {kind} {}", String::from_utf8_lossy(&body[..body.len().min(80)]));
            let request = person.http().request("POST", &path);
            let request = request.header("x-forwarded-for", &fresh_address().to_string()).body(kind, body);
            (shown.clone(), request.send().await.unwrap_or_else(|error| panic!("{shown}: {error}")))
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

async fn a_body_that_is_no_object_is_bad_input(system: &System) {
    let ana = system.guest("Ana").await;
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let deep_field = format!("{{\"code\":{deep}}}");
    let bodies: Vec<Vec<u8>> = [
        " ",
        "[]",
        "[{}]",
        "null",
        "true",
        "3",
        "-0",
        "1e999",
        "\"x\"",
        "{",
        "}",
        "{}}",
        "{} {}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":1,}",
        "not json",
        "<xml/>",
        "a=b&c=d",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\ud800\"}",
        "\u{feff}{}",
        &deep,
        &deep_field,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([b"\xff\xfe".to_vec(), b"{\"a\":\"\xff\"}".to_vec(), b"\0".to_vec(), vec![0; 1000]])
    .collect();
    let mut requests = Vec::new();
    for (path, _) in calls() {
        requests.extend(bodies.iter().map(|body| (path.clone(), "application/json", body.clone())));
    }

    for (what, answer) in send_all(&ana, requests).await {
        // A lone surrogate and a byte order mark may be read leniently; the object then lacks its fields.
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        answer.refusal();
    }
}

async fn a_field_of_any_wrong_kind_is_bad_input_or_harmless(system: &System) {
    let ana = system.guest("Ana").await;
    let values = [
        json!(null),
        json!(true),
        json!(3),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("x"),
        json!("\u{0}"),
        json!("a\u{0}b"),
        json!("\u{202e}"),
        json!("x".repeat(60_000)),
        json!("🎬".repeat(300)),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({"$ne": null}),
        json!("' OR 1=1 --"),
    ];
    let mut requests = Vec::new();
    for (path, body) in calls() {
        for field in body.as_object().unwrap().keys() {
            for value in &values {
                let mut body = body.clone();
                body[field] = value.clone();
                requests.push((path.clone(), "application/json", body.to_string().into_bytes()));
            }
            let mut body = body.clone();
            body.as_object_mut().unwrap().remove(field);
            requests.push((path.clone(), "application/json", body.to_string().into_bytes()));
        }
    }

    for (what, answer) in send_all(&ana, requests).await {
        assert!(
            // Reports are limited for each person.
            matches!(answer.status, 200..=299 | 400 | 401 | 403 | 404 | 409 | 429),
            "{what}: {}",
            answer.status
        );
        if answer.status >= 400 {
            answer.refusal();
        }
        let is_of_wrong_type = [":[", ":{", ":3", ":true"].iter().any(|mark| what.contains(mark));
        if is_of_wrong_type && what.contains("display_name\":") {
            assert_eq!(answer.status, 400, "{what}");
        }
    }
}

async fn what_is_not_json_by_its_type_is_not_read(system: &System) {
    let ana = system.guest("Ana").await;
    let kinds =
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"];
    let mut requests = Vec::new();
    for (path, body) in calls() {
        requests.extend(kinds.map(|kind| (path.clone(), kind, body.to_string().into_bytes())));
    }
    for (what, answer) in send_all(&ana, requests).await {
        assert_eq!(answer.status, 415, "{what}: {}", answer.text());
        answer.is_refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let kinds = ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"];
    let requests = kinds.map(|kind| ("/api/rooms/create/".to_owned(), kind, b"{}".to_vec()));
    for (what, answer) in send_all(&ana, requests.to_vec()).await {
        assert_eq!(answer.status, 201, "{what}: {}", answer.text());
    }
}

async fn what_is_too_large_is_refused_and_the_refusal_arrives(system: &System) {
    let ana = system.guest("Ana").await;
    for size in [80 << 10, 1 << 20, 3 << 20] {
        let body = format!("{{\"display_name\":\"{}\"}}", "x".repeat(size)).into_bytes();
        let requests =
            calls().into_iter().map(|(path, _)| (path, "application/json", body.clone())).collect();
        for (what, answer) in send_all(&ana, requests).await {
            assert_eq!(answer.status, 413, "{size} bytes to {what}: {}", answer.text());
            answer.is_refused(413, "TOO_LARGE");
        }
    }
}

async fn no_body_at_all_is_an_object_without_fields(system: &System) {
    let ana = system.guest("Ana").await;
    for (path, _) in calls() {
        let answer = ana.http().raw("POST", &path, None).await.unwrap();
        if path == "/api/rooms/create/" {
            assert_eq!(answer.is(201)["is_private"], false);
        } else {
            answer.is_refused(400, "INVALID");
        }
    }
}

async fn logging_out_does_not_mind_what_is_sent(system: &System) {
    let ana = system.guest("Ana").await;
    for body in ["", "[]", "nonsense", "{", "{\"all\":true}"] {
        let request = ana.http().request("POST", "/api/auth/logout/").body("application/json", body);
        assert_eq!(request.send().await.unwrap().is(200), json!({"success": true}));
    }
}
