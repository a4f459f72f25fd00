//! An api that is told to stop.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use streamit_api::config::Drain;
use streamit_wire::v1;
use streamit_wire::v1::authority_client::AuthorityClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::grpc::draft;
use crate::support::{World, eventually};

/// The first line of an answer on a connection of its own; nothing when there is no connection to be had.
async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let ask = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.lines().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_so_goes_on_serving_and_then_sends_nodes_elsewhere() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let (http, grpc) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (http_address, grpc_address) = (http.local_addr().unwrap(), grpc.local_addr().unwrap());
    let drain = Drain { unready: Duration::from_secs(2), deadline: Duration::from_secs(20) };
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (api, stop) = (world.api.clone(), stop.clone());
        async move { api.serve(http, grpc, drain, stop).await }
    });
    eventually("it is ready", || async {
        get(http_address, "/readyz").await.filter(|line| line.contains("200"))
    })
    .await;
    let channel = Channel::from_shared(format!("http://{grpc_address}")).unwrap().connect().await.unwrap();
    let mut node = AuthorityClient::new(channel.clone());
    let mut health = HealthClient::new(channel);
    let asked = HealthCheckRequest { service: "streamit.v1.Authority".into() };
    let status = health.check(asked.clone()).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
    // A connection of a balancer, kept for the next request.
    let mut kept = TcpStream::connect(http_address).await.unwrap();

    stop.cancel();
    let told = Instant::now();
    let not_ready = eventually("it is not ready", || async {
        get(http_address, "/readyz").await.filter(|line| !line.contains("200"))
    })
    .await;
    assert!(not_ready.contains("503"), "{not_ready}");
    let status = health.check(asked).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
    // All is served all the same, also to who comes only now.
    assert!(get(http_address, "/livez").await.unwrap().contains("200"));
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    // A node that talks all the time is answered until it can't connect any more, which is no answer that was lost.
    let mut seq = 0;
    let refused = loop {
        let drafts = vec![draft(&room, &ana, "hi", &format!("k{seq}"))];
        match node.append(v1::AppendRequest { drafts }).await {
            Ok(stored) => {
                seq += 1;
                assert_eq!(stored.into_inner().results[0].message.as_ref().unwrap().seq, seq);
            }
            Err(status) => break status,
        }
    };
    // Cancelled: it waited in this client while the connection ended, and was never sent. Internal: the goodbye of the
    // connection overtook it. A node takes all of them to mean that the replica can't be reached, and asks another one.
    let is_gone = matches!(refused.code(), Code::Unavailable | Code::Cancelled | Code::Internal);
    assert!(is_gone, "{refused}");
    assert!(told.elapsed() >= drain.unready && seq > 0);
    assert!(get(http_address, "/livez").await.is_none(), "nobody listens any more");
    serving.await.unwrap().unwrap();
    assert!(told.elapsed() < drain.unready + Duration::from_secs(5), "{:?}", told.elapsed());
}
