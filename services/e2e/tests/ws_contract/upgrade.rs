//! The upgrade itself: who may ask for it, and how.

use streamit_client::{Connection, Error, Options};
use streamit_e2e::{RawSocket, System, on_both};

on_both! {
    crate::SYSTEMS;
    pages_of_other_sites_are_refused_before_the_upgrade,
    the_v1_path_and_a_code_in_lower_case_lead_to_the_same_room,
    what_is_not_a_websocket_is_told_so,
}

async fn pages_of_other_sites_are_refused_before_the_upgrade(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let from = async |origin: &str| {
        let options = Options { origin: Some(origin.to_owned()), ..Options::default() };
        room.try_sit(0, &ana, options).await
    };
    let own = system.ws(0).replace("ws://", "http://");

    from(&own).await.unwrap();
    room.sit(0, &ana, Options::default()).await; // no page at all
    for other in ["https://evil.example", "null", "http://127.0.0.1:1", &format!("{own}.evil.example")] {
        match from(other).await {
            Err(Error::UpgradeRefused(403)) => {}
            other => panic!("{other:?} instead of 403"),
        }
    }
}

async fn the_v1_path_and_a_code_in_lower_case_lead_to_the_same_room(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    for (n, path) in
        [format!("v1/room/{}", room.code), format!("room/{}", room.code.to_lowercase())].iter().enumerate()
    {
        let url = format!("{}/ws/{path}/?token={}", system.ws(1), ana.token());
        let mut line = Connection::open_url(&url, Options::default()).await.unwrap();
        line.welcome().await.unwrap();
        line.sender().chat(&format!("hello {n}"), None).await.unwrap();
        host.hears(&format!("hello {n}")).await;
    }
}

async fn what_is_not_a_websocket_is_told_so(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let path = format!("/ws/room/{}/?token={}", room.code, ana.token());
    let get = format!("GET {path} HTTP/1.1");
    let upgrade = "upgrade: websocket";
    let connection = "connection: upgrade";
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let version = "sec-websocket-version: 13";
    for (lines, status) in [
        (vec![get.as_str()], "426"),
        (vec![&get, upgrade, key, version], "426"),
        (vec![&get, connection, upgrade, version], "4"),
        (vec![&get, connection, upgrade, key, "sec-websocket-version: 8"], "426"),
        (vec![&get, connection, "upgrade: h2c", key, version], "426"),
        (vec![&format!("POST {path} HTTP/1.1"), "content-length: 0"], "405"),
    ] {
        let (_, head) = RawSocket::ask(&system.ws(0), &lines).await;
        let told = head.split(' ').nth(1).unwrap_or_default();
        assert!(told.starts_with(status), "{lines:?}: {head}");
        assert!(!told.starts_with('5') && told != "101", "{lines:?}: {head}");
    }
    let (_, head) = RawSocket::ask(&system.ws(0), &["GET /ws/nothing/ HTTP/1.1"]).await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}
