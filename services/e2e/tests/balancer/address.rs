//! Who is calling: the address that the balancer saw, whatever the caller says of himself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use futures_util::future::join_all;
use streamit_client::{CloseReason, Error, Options};
use streamit_e2e::balancer::Kind;
use streamit_e2e::fault::Cluster;
use streamit_e2e::{Person, Room};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::{behind_each, plan};

behind_each! { people_are_counted_by_their_own_address_and_nobody_can_claim_another }

/// On this machine, and nobody else's.
const ONE: Ipv4Addr = Ipv4Addr::new(127, 1, 2, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 1, 2, 4);
/// How many guests an address may bring in a minute.
const GUESTS: usize = 120;
/// How many unknown codes a node lets an address try in a minute.
const GUESSES: usize = 60;

async fn people_are_counted_by_their_own_address_and_nobody_can_claim_another(kind: Kind) {
    let cluster = Cluster::behind(kind, plan("on")).await;
    let front = cluster.balancer().address();

    let ana = cluster.system.guest("Ana").await;
    let room = ana.public_room().await;
    // Each try claims to come from somewhere else.
    let mut statuses = Vec::new();
    for batch in 0..15 {
        let tries = (0..10).map(|i| guest(front, ONE, format!("9.9.{batch}.{i}")));
        statuses.extend(join_all(tries).await);
    }
    let through = statuses.iter().filter(|status| **status == 200).count();
    let of = statuses.len();
    assert!((GUESTS..GUESTS + 20).contains(&through), "{through} of {of} guests came in from one address");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert_eq!(guest(front, OTHER, ONE.to_string()).await, 200, "another address was held liable");

    let mut codes = Vec::new();
    // Each node counts by itself.
    for batch in 0..cluster.nodes() * GUESSES / 10 + 6 {
        let tries = (0..10).map(async |i| guess(&room, &ana, ONE, format!("9.{batch}.9.{i}")).await);
        codes.extend(join_all(tries).await);
    }
    let stopped = codes.iter().filter(|code| **code == 4105).count();
    assert!(stopped > 0, "nobody was stopped: {codes:?}");
    assert!(codes.iter().all(|code| [4002, 4105].contains(code)), "{codes:?}");
    assert_eq!(guess(&room, &ana, OTHER, ONE.to_string()).await, 4002, "another address was held liable");
}

/// Comes as a guest from an address, and claims another; the status of the answer.
async fn guest(front: SocketAddr, from: Ipv4Addr, claimed: String) -> u16 {
    let body = r#"{"display_name":"Bo"}"#;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(front).await.unwrap();
    let request = format!(
        "POST /api/auth/guest/ HTTP/1.1\r\nhost: {front}\r\nx-forwarded-for: {claimed}\r\nforwarded: for={claimed}\r\n\
         x-real-ip: {claimed}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

/// Guesses a room's code over a WebSocket; the close code.
async fn guess(room: &Room, person: &Person, from: Ipv4Addr, claimed: String) -> u16 {
    let mut options = Options { local_addr: Some(IpAddr::V4(from)), ..Options::default() };
    options.headers.push(("x-forwarded-for".to_owned(), claimed));
    let base = room.host.http().ws_base().to_owned();
    let joined = streamit_client::Connection::join(&base, "ZZZZZ0", person.token(), options).await;
    match joined {
        Err(Error::Closed(CloseReason { code, .. })) => code,
        other => panic!("{other:?} for a room that does not exist"),
    }
}
