//! What the programs say of themselves while they serve.

use std::process::Stdio;

use serde_json::json;
use streamit_client::{Connection, Error, Http, Options, Response};
use streamit_e2e::{Answer, Plan};

use crate::Desk;

async fn check(http: &Http, path: &str) -> Response {
    http.raw("GET", path, None).await.unwrap()
}

#[tokio::test]
async fn each_program_tells_its_health() {
    Plan::cluster(1, 1)
        .run(async |system| {
            let api = system.http(0);
            let node = Http::new(&system.ws(0).replace("ws://", "http://")).unwrap();
            for http in [&api, &node] {
                check(http, "/livez").await.is(200);
                check(http, "/readyz").await.is(200);
            }
            check(&api, "/api/health/").await.is(200);
        })
        .await;
    Plan::standalone()
        .run(async |system| {
            for path in ["/livez", "/readyz", "/api/health/"] {
                check(&system.http(0), path).await.is(200);
            }
        })
        .await;
}

#[tokio::test]
async fn limits_that_are_off_are_warned_of() {
    for (limits, warned) in [("off", true), ("on", false)] {
        Plan::standalone()
            .limits(limits)
            .run(async |system| {
                let log = system.node(0).log();
                assert_eq!(log.contains("STREAMIT_LIMITS"), warned, "{log}");
            })
            .await;
    }
}

#[tokio::test]
async fn each_request_is_a_line_in_the_log_with_id_route_status_and_duration() {
    Plan::standalone()
        .run(async |system| {
            let ana = system.guest("Ana").await;
            let room = ana.public_room().await;
            let request = ana.http().request("GET", &format!("/api/rooms/{}/", room.code));
            let answer = request.header("x-request-id", "my-request-1").send().await.unwrap();
            assert_eq!(answer.header("x-request-id"), Some("my-request-1"));
            answer.is(200);
            let line = streamit_e2e::until("the line", async || {
                let log = system.node(0).log();
                log.lines().find(|line| line.contains("my-request-1")).map(str::to_owned)
            })
            .await
            .unwrap();
            for word in ["/api/rooms/{code}/", "200", "duration_ms", "GET"] {
                assert!(line.contains(word), "{line} lacks {word}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_newcomer_can_paste_what_the_standalone_program_prints() {
    Plan::standalone()
        .run(async |system| {
            let printed = system.node(0).stdout();
            let lines: Vec<&str> =
                printed.lines().map(str::trim).filter(|line| line.contains("curl ")).collect();
            assert_eq!(lines.len(), 2, "{printed}");
            let pasted = tokio::process::Command::new("sh")
                .args(["-c", &lines.join("\n")])
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .output()
                .await
                .unwrap();
            let shown = String::from_utf8_lossy(&pasted.stdout);
            for kind in ["ROOM_PARTICIPANTS", "CHAT_HISTORY", "PLAYBACK_STATE"] {
                assert!(shown.contains(kind), "{shown} {}", String::from_utf8_lossy(&pasted.stderr));
            }
        })
        .await;
}

#[tokio::test]
async fn an_allowed_origin_may_call_and_connect() {
    const FRIEND: &str = "https://friend.example";
    let plans = [Plan::standalone(), Plan::cluster(1, 1)];
    for plan in plans {
        plan.env("STREAMIT_ALLOWED_ORIGINS", "https://other.example,https://friend.example")
            .run(async |system| {
                let ana = system.guest("Ana").await;
                let room = ana.public_room().await;
                let from = async |origin: &str| {
                    let options = Options { origin: Some(origin.to_owned()), ..Options::default() };
                    room.try_sit(0, &ana, options).await
                };
                from(FRIEND).await.unwrap();
                assert!(matches!(from("https://foe.example").await, Err(Error::UpgradeRefused(403))));

                let came = system.post("/api/auth/guest/", &json!({"display_name": "Bo"})).await;
                let cookie = came.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
                let create = async |origin: &str| {
                    let request =
                        system.http(0).request("POST", "/api/rooms/create/").header("cookie", &cookie);
                    request.header("origin", origin).json(&json!({})).send().await.unwrap()
                };
                create(FRIEND).await.is(201);
                create("https://foe.example").await.is_refused(403, "CROSS_SITE");
            })
            .await;
    }
}

#[tokio::test]
async fn tokens_last_as_long_as_they_are_told_to() {
    Plan::standalone()
        .env("STREAMIT_ACCESS_TTL", "90m")
        .run(async |system| {
            let ana = system.guest("Ana").await;
            let mut lasts = 0;
            let _ = system.resigned(ana.token(), |claims| {
                lasts = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
            });
            assert_eq!(lasts, 90 * 60);
        })
        .await;
}

#[tokio::test]
async fn a_node_that_shows_the_wrong_token_is_not_let_in() {
    Plan::cluster(1, 1)
        .env("STREAMIT_GRPC_TOKEN", "the right one")
        .run(async |system| {
            let desk = Desk::new();
            let ana = system.guest("Ana").await;
            let room = ana.public_room().await;
            room.join_on(0, &ana).await.leaves().await;
            for token in ["the wrong one", ""] {
                let env = [
                    ("STREAMIT_LISTEN", "127.0.0.1:0"),
                    ("REDIS_URL", system.redis().unwrap()),
                    ("STREAMIT_API_GRPC", system.grpc().unwrap()),
                    ("STREAMIT_GRPC_TOKEN", token),
                ];
                let node = desk.start("streamit-realtime", &env);
                let Ok(address) = node.printed("listening http://").await else { continue };
                let ws = format!("ws://{address}");
                let mut line =
                    Connection::open(&ws, &room.code, ana.token(), Options::default()).await.unwrap();
                // It can't check the token, which may well be good.
                assert_eq!(line.closed().await.unwrap().code, 1013);
            }
        })
        .await;
}
