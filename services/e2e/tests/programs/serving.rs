//! What the programs say of themselves while they serve.

use std::process::Stdio;

use streamit_client::Http;
use streamit_e2e::{Answer, Plan};

#[tokio::test]
async fn each_program_tells_its_health() {
    let check = async |http: &Http, path: &str| http.raw("GET", path, None).await.unwrap();
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
