//! Nothing that is secret or said in confidence is ever in a log, at whatever level, or in the answer of a refusal.

use serde_json::json;
use streamit_client::{Connection, Options, Response};
use streamit_e2e::collector::Collector;
use streamit_e2e::{Plan, RawSocket, System};

/// Parts of words that were given to the system and must not be found again.
const CANARIES: &[&str] =
    &["canary-password", "canary-guess", "canary-chat", "canary-client-id", "canary-broken", "canary-grpc"];

/// Looks whether a refusal says again what it was given: refusals are shown, and end up in the logs of others.
#[track_caller]
fn is_silent(refused: &Response) {
    assert!(refused.status >= 400, "{}", refused.status);
    let said = format!("{:?} {}", refused.headers, refused.text());
    let canary = CANARIES.iter().find(|canary| said.contains(**canary));
    assert!(canary.is_none(), "a refusal says {canary:?}: {said}");
}

/// Does a bit of everything, and gives what else must not be found.
async fn evening(system: &System) -> Vec<String> {
    let mut secrets = Vec::new();
    let email = system.fresh_email();
    let account = json!({"email": email, "password": "canary-password-1", "display_name": "Ana"});
    let made = system.post("/api/auth/register/", &account).await;
    assert_eq!(made.status, 201);
    secrets.push(made.header("set-cookie").unwrap().split(['=', ';']).nth(1).unwrap().to_owned());
    let body = made.json();
    for field in ["access_token", "refresh_token"] {
        secrets.push(body[field].as_str().unwrap().to_owned());
    }
    let http = system.http(0);
    for (path, body) in [
        ("login", json!({"email": email, "password": "canary-guess-1"})),
        ("login", json!({"email": email, "password": ["canary-guess-2"]})),
        ("login", json!({"email": "canary-guess-9", "password": "canary-guess-10"})),
        ("register", json!({"email": email, "password": "canary-password-2", "display_name": "Ana"})),
        ("register", json!({"email": email, "password": "canary-", "display_name": {"canary-guess-11": 1}})),
        ("refresh", json!({"refresh_token": "canary-guess-3"})),
    ] {
        is_silent(&system.post(&format!("/api/auth/{path}/"), &body).await);
    }
    let broken =
        http.request("POST", "/api/auth/login/").body("application/json", "{\"password\":\"canary-broken-1");
    is_silent(&broken.send().await.unwrap());
    let wrong = http.request("POST", "/api/auth/login/").body("text/canary-broken-4", "canary-broken-5");
    is_silent(&wrong.send().await.unwrap());
    let me = || http.request("GET", "/api/auth/me/?token=canary-guess-12");
    is_silent(&me().bearer("canary-guess-4").send().await.unwrap());
    is_silent(&me().header("authorization", "Basic canary-guess-13").send().await.unwrap());
    is_silent(&me().header("cookie", "streamit_session=canary-guess-14").send().await.unwrap());
    is_silent(&http.raw("GET", "/canary-guess-15/?canary-guess-16", None).await.unwrap());
    is_silent(&http.raw("GET", "/api/rooms/canary-guess-17/?password=canary-guess-18", None).await.unwrap());
    http.raw("GET", "/api/rooms/public/?token=canary-guess-5", None).await.unwrap();

    let ana = system.user("Ana").await;
    let bo = system.guest("Bo").await;
    secrets.extend([ana.token().to_owned(), bo.token().to_owned()]);
    let room = ana.password_room().await;
    secrets.push(room.password.clone().unwrap());
    is_silent(&bo.does("join", &json!({"code": room.code, "password": "canary-guess-6"})).await);
    let mut host = room.join_on(0, &ana).await;
    let mut guest = room.join_on(1, &bo).await;
    guest.line.sender().chat("canary-chat-1", Some("canary-client-id-1")).await.unwrap();
    host.hears("canary-chat-1").await;
    guest.send_text("{\"type\":\"CHAT_MESSAGE\",\"message\":\"canary-broken-2").await;
    guest.send_text("{\"type\":\"canary-broken-3\"}").await;
    guest.quiet().await;
    bo.http().messages(&room.code, None).await.unwrap();

    let ws = |token: &str| format!("{}/ws/room/{}/?token={token}", system.ws(0), room.code);
    for token in ["canary-guess-7", "canary.guess.8"] {
        let mut line = Connection::open_url(&ws(token), Options::default()).await.unwrap();
        line.closed().await.unwrap();
    }
    let plain = format!("GET /ws/room/{}/?token={} HTTP/1.1", room.code, ana.token());
    RawSocket::ask(&system.ws(0), &[&plain]).await;
    let on_the_api = format!("GET /ws/room/{}/?token={} HTTP/1.1", room.code, bo.token());
    RawSocket::ask(http.base(), &[&on_the_api]).await;
    bo.http().logout().await.unwrap();
    guest.is_closed().await;
    secrets
}

async fn keeps_secrets(plan: Plan) {
    // All there is, of the libraries, too.
    let collector = Collector::start().await;
    collector
        .of(plan)
        .env("RUST_LOG", "trace")
        .env("STREAMIT_GRPC_TOKEN", "canary-grpc-token")
        .run(async |system| {
            let secrets = evening(system).await;
            // Whatever is logged at the end is looked at, too.
            for program in system.programs() {
                program.terminate();
            }
            for program in system.programs() {
                program.ended().await;
            }
            let mut logged = 0;
            for program in system.programs() {
                let log = program.log() + &program.stdout();
                logged += log.len();
                for secret in CANARIES.iter().copied().chain(secrets.iter().map(String::as_str)) {
                    let line = log.lines().find(|line| line.contains(secret));
                    assert!(line.is_none(), "{} logs {secret}: {}", program.name(), line.unwrap_or_default());
                }
            }
            // Nor in what is exported: traces, metrics, logs.
            for secret in CANARIES.iter().copied().chain(secrets.iter().map(String::as_str)) {
                let (is_there, exported) = collector.has(secret);
                assert!(!is_there, "{secret} is exported");
                assert!(exported > 10_000, "only {exported} bytes were exported");
            }
            assert!(logged > 10_000, "only {logged} bytes were logged: is this the right place to look?");
        })
        .await;
}

#[tokio::test]
async fn the_standalone_program_keeps_secrets() {
    keeps_secrets(Plan::standalone()).await;
}

#[tokio::test]
async fn a_cluster_keeps_secrets() {
    keeps_secrets(Plan::cluster(1, 2).env("STREAMIT_DRAIN_SECONDS", "2")).await;
}
