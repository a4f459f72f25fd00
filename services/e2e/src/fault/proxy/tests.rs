use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;

const SOON: Duration = Duration::from_secs(5);
const NOT: Duration = Duration::from_millis(150);

/// A server that says back what it hears, after the number of those who have come.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn proxied() -> (Proxy, TcpStream) {
    let proxy = Proxy::start(Some(echo().await)).await.unwrap();
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    (proxy, client)
}

async fn says(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
}

async fn hears(client: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(SOON, client.read_exact(&mut heard)).await.expect("an answer").unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

async fn hears_nothing(client: &mut TcpStream) {
    let mut byte = [0];
    assert!(timeout(NOT, client.read(&mut byte)).await.is_err(), "something came: {byte:?}");
}

async fn is_ended(client: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(SOON, client.read(&mut byte)).await.expect("an end");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn bytes_pass_both_ways_and_an_end_is_handed_on() {
    let (proxy, mut client) = proxied().await;
    says(&mut client, "hello").await;
    hears(&mut client, "hello").await;
    assert_eq!(proxy.link().open(), 1);
    client.shutdown().await.unwrap();
    is_ended(&mut client).await;
    drop(client);
    let gone = async {
        while proxy.link().open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, gone).await.expect("it is forgotten");
}

#[tokio::test]
async fn what_is_slow_takes_long_and_stays_in_order() {
    let (proxy, mut client) = proxied().await;
    proxy.link().slow(Duration::from_millis(100), Duration::from_millis(20));
    let start = Instant::now();
    for word in ["one ", "two ", "three"] {
        says(&mut client, word).await;
        tokio::task::yield_now().await;
    }
    hears(&mut client, "one two three").await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_millis(600), "delays add up: {took:?}");
}

#[tokio::test]
async fn what_is_blocked_arrives_when_that_is_over() {
    let (proxy, mut client) = proxied().await;
    says(&mut client, "before").await;
    hears(&mut client, "before").await;
    proxy.link().block_up();
    says(&mut client, "while").await;
    hears_nothing(&mut client).await;
    proxy.link().heal();
    hears(&mut client, "while").await;
    proxy.link().block_down();
    says(&mut client, "again").await;
    hears_nothing(&mut client).await;
    // Also for those who come meanwhile: they are let in, and nobody answers.
    let mut late = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut late, "late").await;
    hears_nothing(&mut late).await;
    proxy.link().heal();
    hears(&mut client, "again").await;
    hears(&mut late, "late").await;
}

#[tokio::test]
async fn a_cut_ends_what_is_open_and_severed_is_what_stays_so() {
    let (proxy, mut client) = proxied().await;
    says(&mut client, "hello").await;
    hears(&mut client, "hello").await;
    proxy.link().cut();
    is_ended(&mut client).await;
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut next, "again").await;
    hears(&mut next, "again").await;
    proxy.link().sever();
    is_ended(&mut next).await;
    is_ended(&mut TcpStream::connect(proxy.address()).await.unwrap()).await;
    proxy.link().heal();
    let mut last = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut last, "healed").await;
    hears(&mut last, "healed").await;
    // All ends with the proxy.
    drop(proxy);
    is_ended(&mut last).await;
}

#[tokio::test]
async fn a_blocked_connection_can_be_cut_and_its_answer_never_comes() {
    let (proxy, mut client) = proxied().await;
    proxy.link().block_down();
    says(&mut client, "lost").await;
    hears_nothing(&mut client).await;
    proxy.link().cut();
    is_ended(&mut client).await;
}

#[tokio::test]
async fn who_is_stranded_stays_so_and_who_comes_later_is_served() {
    let (proxy, mut client) = proxied().await;
    says(&mut client, "hello").await;
    hears(&mut client, "hello").await;
    proxy.link().strand();
    says(&mut client, "anybody?").await;
    proxy.link().heal();
    hears_nothing(&mut client).await;
    let mut late = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut late, "late").await;
    hears(&mut late, "late").await;
    proxy.link().cut();
    is_ended(&mut client).await;
}

#[tokio::test]
async fn a_narrow_line_drips() {
    let (proxy, mut client) = proxied().await;
    proxy.link().narrow(1_000);
    let start = Instant::now();
    says(&mut client, &"x".repeat(300)).await;
    hears(&mut client, &"x".repeat(300)).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn the_target_may_move() {
    let (proxy, mut client) = proxied().await;
    says(&mut client, "hello").await;
    hears(&mut client, "hello").await;
    proxy.leads_to(None);
    is_ended(&mut TcpStream::connect(proxy.address()).await.unwrap()).await;
    says(&mut client, "still here").await;
    hears(&mut client, "still here").await;
    proxy.leads_to(Some(echo().await));
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut next, "elsewhere").await;
    hears(&mut next, "elsewhere").await;
}

#[tokio::test]
async fn subscriptions_have_weather_of_their_own() {
    let (proxy, mut calls) = proxied().await;
    let mut news = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut calls, "PING").await;
    hears(&mut calls, "PING").await;
    // In two parts, after something else.
    let words = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*2\r\n$9\r\nSUBSC";
    says(&mut news, words).await;
    hears(&mut news, words).await;
    assert_eq!((proxy.lane(Lane::Calls).open(), proxy.lane(Lane::News).open()), (2, 0));
    says(&mut news, "RIBE\r\n").await;
    hears(&mut news, "RIBE\r\n").await;
    assert_eq!((proxy.lane(Lane::Calls).open(), proxy.lane(Lane::News).open()), (1, 1));

    proxy.lane(Lane::News).block();
    says(&mut news, "x").await;
    hears_nothing(&mut news).await;
    says(&mut calls, "PING").await;
    hears(&mut calls, "PING").await;
    proxy.lane(Lane::News).sever();
    is_ended(&mut news).await;
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut again, "*2\r\n$9\r\nSUBSCRIBE\r\n").await;
    is_ended(&mut again).await;
    says(&mut calls, "PING").await;
    hears(&mut calls, "PING").await;
}

#[tokio::test]
async fn a_thousand_connections_are_nothing() {
    let (proxy, _) = proxied().await;
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        clients.push(TcpStream::connect(proxy.address()).await.unwrap());
    }
    for client in &mut clients {
        says(client, "hello").await;
    }
    for client in &mut clients {
        hears(client, "hello").await;
    }
    assert!(proxy.link().open() >= 1_000);
    proxy.link().cut();
    for client in &mut clients {
        is_ended(client).await;
    }
}
