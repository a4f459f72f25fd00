//! What clients may rely on, through a balancer: sizes, refusals in their form, close codes, the film, whose page it is.

use std::net::SocketAddr;

use streamit_client::{Connection, Error, Event, Options, Response};
use streamit_e2e::balancer::Kind;
use streamit_e2e::fault::Cluster;
use streamit_e2e::{Answer, RawSocket, System};

use crate::{behind_each, plan};

behind_each! { the_contract_holds_behind_it, what_a_balancer_must_say_itself_has_the_form_of_all_refusals }

async fn the_contract_holds_behind_it(kind: Kind) {
    let cluster = Cluster::behind(kind, plan("off")).await;
    let (system, front) = (&cluster.system, cluster.balancer().address());
    calls(system).await;
    film_and_page(system).await;
    sockets(system, front).await;
    refusals(system, front).await;
}

async fn get(system: &System, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = system.http(0).request("GET", path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

async fn calls(system: &System) {
    // What programs tell each other is not for everybody.
    for inside in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(system, inside, &[]).await.status, 404, "{inside}");
    }
    get(system, "/api/health/", &[]).await.is(200);
    get(system, "/api/nothing/", &[]).await.is_refused(404, "NOT_FOUND");
    get(system, "/admin/login/", &[]).await.header("content-type").expect("a page");

    // No size that the api takes is refused on the way, and its own words about larger ones arrive.
    let long = "x".repeat(15 * 1024);
    get(system, "/api/health/", &[("x-padding", &long), ("x-more", &long)]).await.is(200);
    let post = async |bytes: usize| {
        let body = format!(r#"{{"display_name":"Ana","padding":"{}"}}"#, "x".repeat(bytes));
        system
            .http(0)
            .request("POST", "/api/auth/guest/")
            .body("application/json", body)
            .send()
            .await
            .unwrap()
    };
    assert_eq!(post(60 * 1024).await.status, 200);
    post(100 * 1024).await.is_refused(413, "TOO_LARGE");

    // The client's own id of a request is kept if it is fit for a log.
    let id = async |mine: &str| {
        let answer = get(system, "/api/health/", &[("x-request-id", mine)]).await;
        answer.header("x-request-id").unwrap_or_default().to_owned()
    };
    assert_eq!(id("a-b_c.1").await, "a-b_c.1");
    let other = id("no such id!").await;
    assert!(!other.is_empty() && other != "no such id!", "{other}");
}

async fn film_and_page(system: &System) {
    let page = get(system, "/", &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        page.header("content-security-policy").is_some()
            && page.header("server").is_none_or(|s| !s.contains('/'))
    );
    let film = get(system, "/sample.mp4", &[]).await;
    let middle = get(system, "/sample.mp4", &[("range", "bytes=100000-199999")]).await;
    assert_eq!((film.status, middle.status), (200, 206));
    assert_eq!(film.body[100_000..200_000], middle.body[..]);
}

async fn sockets(system: &System, front: SocketAddr) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.password_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        viewers.push(room.join_on(0, &bo).await);
    }
    host.seek(42.0).await;
    for viewer in &mut viewers {
        viewer.sees("the seek", |state| (state.time - 42.0).abs() < 0.001).await;
    }
    let long = "ü".repeat(500);
    host.say("hello").await;
    host.say(&long).await;
    for viewer in &mut viewers {
        viewer.hears("hello").await;
        viewer.hears(&long).await;
    }
    viewers[0].seek(1.0).await;
    viewers[0].is_told("HOST_ONLY").await;
    viewers[0].send_text("no json").await;
    viewers[0].is_told("INVALID_JSON").await;
    host.line.events_until_pong().await.unwrap();

    // A browser's page of this origin may, another's may not; and cookies go over the same origin.
    let from = async |origin: String| {
        let options = Options { origin: Some(origin), ..Options::default() };
        room.try_sit(0, &bo, options).await.map(|_| ())
    };
    from(format!("http://{front}")).await.unwrap();
    assert!(matches!(from("http://elsewhere.example".to_owned()).await, Err(Error::UpgradeRefused(403))));

    // Resuming: exactly what came after.
    let last = viewers.pop().unwrap().line.close().await;
    assert!(last.is_ok(), "{last:?}");
    host.say("while you were away").await;
    host.hears("while you were away").await;
    let mut line =
        Connection::open(&system.ws(0), &room.code, bo.token(), Options::resume(2, None)).await.unwrap();
    let welcome = line.welcome().await.unwrap();
    let missed: Vec<&str> = welcome.history.messages.iter().map(|said| said.message.as_str()).collect();
    assert_eq!((welcome.history.resumed, missed), (true, vec!["while you were away"]));
    // What the server ends is told to the client with its code.
    room.host_does("kick", serde_json::json!({"user_id": bo.id()})).await;
    assert_eq!(line.closed().await.unwrap().code, 4011);
}

async fn refusals(system: &System, front: SocketAddr) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let base = system.ws(0);
    let code = async |room: &str, token: &str| match Connection::join(&base, room, token, Options::default())
        .await
    {
        Err(Error::Closed(reason)) => reason.code,
        other => panic!("{other:?} instead of a close"),
    };
    assert_eq!(code(&room.code, "nonsense").await, 4001);
    assert_eq!(code("ZZZZZ0", ana.token()).await, 4002);
    let stranger = system.guest("Stranger").await;
    assert_eq!(code(&room.code, stranger.token()).await, 4003);
    // Too large a message has a code of its own.
    let mut seat = room.join_on(0, &ana).await;
    seat.send_text(&"x".repeat(20 * 1024)).await;
    loop {
        match seat.line.next_event(streamit_e2e::PATIENCE).await {
            Ok(Event::Error(_)) | Ok(_) => {}
            Err(Error::Closed(reason)) => {
                assert_eq!(reason.code, 1009);
                break;
            }
            Err(other) => panic!("{other:?} instead of 1009"),
        }
    }
    // What is no WebSocket is told so, in the form of all refusals.
    let path = format!("/ws/room/{}/", room.code);
    get(system, &path, &[]).await.is_refused(426, "UPGRADE_REQUIRED");
    let h2c = [&*format!("GET {path} HTTP/1.1"), "connection: upgrade", "upgrade: h2c"];
    let (_, head) = RawSocket::ask(&format!("ws://{front}"), &h2c).await;
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
}

async fn what_a_balancer_must_say_itself_has_the_form_of_all_refusals(kind: Kind) {
    let cluster = Cluster::behind(kind, plan("off")).await;
    for api in 0..cluster.apis() {
        cluster.kill_api(api);
    }
    for node in 0..cluster.nodes() {
        cluster.kill_node(node);
    }
    for path in ["/api/health/", "/ws/room/ABC123/"] {
        let answer = get(&cluster.system, path, &[]).await;
        answer.is_refused(503, "TRY_AGAIN");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}
