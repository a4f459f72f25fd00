//! Every call that takes a body, with every body that it can't take.

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::World;

/// Each call with a body that is right as far as its types go, and whether it may be empty.
fn calls() -> Vec<(&'static str, Value)> {
    let room = json!("018f0000-0000-7000-8000-000000000000");
    let person = json!({"room_id": room, "user_id": room});
    let of_room = json!({"room_id": room});
    let mut calls = vec![
        ("auth/register", json!({"email": "a@b.c", "password": "12345678", "display_name": "Ana"})),
        ("auth/login", json!({"email": "a@b.c", "password": "12345678"})),
        ("auth/guest", json!({"display_name": "Ana"})),
        ("auth/refresh", json!({"refresh_token": "x"})),
        ("rooms/create", json!({"is_private": false})),
        ("rooms/join", json!({"code": "ABC123", "password": "x"})),
        ("rooms/mute", json!({"room_id": room, "user_id": room, "seconds": 5})),
        ("rooms/cohost", json!({"room_id": room, "user_id": room, "on": true})),
        ("rooms/leave", of_room.clone()),
        ("rooms/delete", of_room),
        (
            "rooms/settings",
            json!({
                "room_id": room, "is_chat_enabled": true, "host_grace_seconds": 30, "on_host_lost": "wait",
                "expiry_days": 7, "sync_threshold_ms": 2000,
                "readiness": "soft", "drift_enter_ms": 60, "drift_leave_ms": 20, "drift_seek_ms": 1200,
                "is_locked": true, "is_chat_locked": true, "slow_mode_seconds": 5, "blocked_words": ["x"],
            }),
        ),
        ("rooms/erase", json!({"room_id": room, "seq": 1})),
        ("rooms/report", json!({"room_id": room, "user_id": room, "seq": 1, "reason": "SPAM", "note": "x"})),
        ("rooms/source", json!({"room_id": room, "url": "https://e.org/x", "title": "A film"})),
        ("rooms/source", json!({"room_id": room, "provider": "p", "video_id": "v"})),
    ];
    for action in ["approve", "reject", "kick", "ban", "unban", "unmute", "transfer"] {
        let path: &'static str = Box::leak(format!("rooms/{action}").into_boxed_str());
        calls.push((path, person.clone()));
    }
    calls
}

#[tokio::test]
async fn no_malformed_body_is_ever_more_than_bad_input() {
    let world = World::unlimited().await;
    let ana = world.guest("Ana").await;
    let deep = "[".repeat(20_000);
    let long_name = format!("{{\"{}\":1}}", "n".repeat(60_000));
    for (call, good) in calls() {
        let path = format!("/api/{call}/");
        let post = |content_type: &'static str, body: Vec<u8>| {
            world.post(&path).by(&ana).body(content_type, Body::from(body)).send()
        };
        // Not an object at all.
        for body in [
            "[]",
            "null",
            "true",
            "5",
            "1e999",
            "\"text\"",
            "[{}]",
            "{",
            "}",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":1}{}",
            "{\"a\":1,\"a\":2}",
            "NaN",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
            "\u{FEFF}{}",
            "undefined",
            " ",
            "\0",
            "<xml/>",
            "a=b",
            deep.as_str(),
        ] {
            let reply = post("application/json", body.into()).await;
            assert_eq!(reply.status, 400, "{call} {body:.40}: {}", reply.text);
            reply.refused(400, "INVALID_JSON");
        }
        post("application/json", b"{\"a\":\"\xff\xfe\"}".to_vec()).await.refused(400, "INVALID_JSON");
        // An object that only this api does not understand is an object without what it wants.
        assert!(post("application/json", long_name.clone().into()).await.status < 500, "{call}");
        // Another content type, and too much of it.
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
            post(content_type, good.to_string().into()).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        }
        let large = format!("{{\"code\":\"{}\"}}", "x".repeat(70_000));
        post("application/json", large.into()).await.refused(413, "TOO_LARGE");
        // Each field of a wrong type.
        for field in good.as_object().unwrap().keys() {
            for wrong in [json!([]), json!({}), json!(1.5), json!(-1), json!(true), json!("\u{0}"), json!("")]
            {
                // What is right for the field, or as good as absent.
                let fits = good[field].is_boolean() && wrong.is_boolean();
                let ignored =
                    matches!((*field).as_str(), "password") && call == "rooms/join" && wrong.is_string();
                // Nothing may be said that is in no list.
                let is_list = field == "blocked_words" && wrong.is_array();
                if fits || ignored || is_list {
                    continue;
                }
                let mut body = good.clone();
                body[field] = wrong.clone();
                let reply = post("application/json", body.to_string().into()).await;
                let status = match (call, field.as_str(), wrong.is_string()) {
                    // Any text may be tried to log in or to find a room with.
                    ("auth/login", _, true) | ("auth/refresh", _, true) if wrong != json!("") => 401,
                    ("rooms/join", "code", true) if wrong != json!("") => 404,
                    _ => 400,
                };
                assert_eq!(reply.status, status, "{call} {field}={wrong}: {}", reply.text);
                if status == 400 {
                    reply.refused(400, "INVALID");
                    assert!(
                        reply.body["fields"][field].is_string(),
                        "{call} {field}={wrong}: {}",
                        reply.text
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn calls_that_need_nothing_take_an_empty_body() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    assert_eq!(world.post("/api/rooms/create/").by(&ana).send().await.status, 201);
    assert_eq!(world.post("/api/auth/logout/").by(&ana).send().await.status, 200);
    let reply = world.post("/api/auth/guest/").send().await;
    reply.refused(400, "INVALID");
    assert_eq!(reply.text("error"), "Display name required");
}

#[tokio::test]
async fn nobody_unknown_gets_as_far_as_the_body() {
    let world = World::new().await;
    for (call, _) in calls().iter().filter(|(call, _)| call.starts_with("rooms/")) {
        world
            .post(&format!("/api/{call}/"))
            .body("text/plain", "[")
            .send()
            .await
            .refused(401, "UNAUTHENTICATED");
    }
}
