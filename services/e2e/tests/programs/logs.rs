//! Nothing that is secret or said in confidence is ever in a log, at whatever level.

use serde_json::json;
use streamit_client::{Connection, Options};
use streamit_e2e::{Plan, RawSocket, System};

/// Parts of words that were given to the system and must not be found again.
const CANARIES: &[&str] =
    &["canary-password", "canary-guess", "canary-chat", "canary-client-id", "canary-broken", "canary-grpc"];

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
    system.post("/api/auth/login/", &json!({"email": email, "password": "canary-guess-1"})).await;
    system.post("/api/auth/login/", &json!({"email": email, "password": ["canary-guess-2"]})).await;
    system.post("/api/auth/refresh/", &json!({"refresh_token": "canary-guess-3"})).await;
    let http = system.http(0);
    let broken =
        http.request("POST", "/api/auth/login/").body("application/json", "{\"password\":\"canary-broken-1");
    broken.send().await.unwrap();
    let wrong = http.request("GET", "/api/auth/me/").bearer("canary-guess-4");
    wrong.send().await.unwrap();
    http.raw("GET", "/api/rooms/public/?token=canary-guess-5", None).await.unwrap();

    let ana = system.user("Ana").await;
    let bo = system.guest("Bo").await;
    secrets.extend([ana.token().to_owned(), bo.token().to_owned()]);
    let room = ana.password_room().await;
    secrets.push(room.password.clone().unwrap());
    bo.does("join", &json!({"code": room.code, "password": "canary-guess-6"})).await;
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
    plan.env("RUST_LOG", "trace")
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
