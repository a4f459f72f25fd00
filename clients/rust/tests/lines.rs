//! Connections and sessions against a server that follows a script.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should say where")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use streamit_client::{Advice, Connection, Error, Event, Options, Session, Update};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

type Line = WebSocketStream<TcpStream>;

struct Server(TcpListener);

impl Server {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("ws://{}", listener.local_addr().unwrap());
        (Self(listener), base)
    }

    /// The next connection, and the path it asked for.
    async fn accept(&self) -> (Line, String) {
        let (stream, _) = self.0.accept().await.unwrap();
        let mut path = String::new();
        #[expect(clippy::result_large_err, reason = "the signature is the library's")]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            path = request.uri().to_string();
            Ok(response)
        };
        let line = accept_hdr_async(stream, note).await.unwrap();
        (line, path)
    }
}

async fn send(line: &mut Line, frame: Value) {
    line.send(Message::text(frame.to_string())).await.unwrap();
}

async fn receive(line: &mut Line) -> Value {
    let message = line.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

async fn close(mut line: Line, code: u16, reason: &str) {
    line.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await.unwrap();
    while line.next().await.is_some_and(|message| message.is_ok()) {}
}

fn said(seq: u64, message: &str, client_id: Option<&str>) -> Value {
    json!({"type": "CHAT_MESSAGE", "seq": seq, "user": "Ana", "message": message, "client_id": client_id,
           "created_at": "2026-01-01T00:00:00Z"})
}

async fn welcome(line: &mut Line, messages: &[Value], resumed: bool) {
    send(line, json!({"type": "ROOM_PARTICIPANTS", "participants": ["Ana"], "host": "Ana", "protocol": 1}))
        .await;
    send(line, json!({"type": "CHAT_HISTORY", "messages": messages, "resumed": resumed, "epoch": 7})).await;
    let state =
        json!({"is_playing": false, "time": 0, "server_time": 1, "version": 1, "type": "PLAYBACK_STATE"});
    send(line, state).await;
}

#[tokio::test]
async fn a_close_code_and_its_hint_reach_the_caller() {
    let (server, base) = Server::start().await;
    let client = tokio::spawn(async move {
        let mut line = Connection::open(&base, "ABC123", "t&k=n", Options::resume(4, Some(2))).await.unwrap();
        let refused = line.welcome().await.unwrap_err();
        (refused, line.closed().await.unwrap())
    });
    let (line, path) = server.accept().await;
    assert_eq!(path, "/ws/room/ABC123/?token=t%26k%3Dn&since=4&epoch=2");
    close(line, 1012, r#"{"retry_in_ms":700}"#).await;
    let (refused, again) = client.await.unwrap();
    assert_eq!(refused.close_reason(), Some(&again));
    assert_eq!((again.code, again.retry_in_ms), (1012, Some(700)));
}

#[tokio::test]
async fn waiting_in_vain_tells_what_came_instead() {
    let (server, base) = Server::start().await;
    let options = Options { patience: Duration::from_millis(300), ..Options::default() };
    let client = tokio::spawn(async move {
        let (mut line, _) = Connection::join(&base, "ABC123", "t", options).await.unwrap();
        line.expect("a goodbye", |event| matches!(event, Event::UserLeft(_)).then_some(())).await
    });
    let (mut line, _) = server.accept().await;
    welcome(&mut line, &[], false).await;
    send(&mut line, said(1, "hi", None)).await;
    let error = client.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("a goodbye") && error.contains("CHAT_MESSAGE"), "{error}");
}

#[tokio::test]
async fn what_came_before_a_pong_is_seen() {
    let (server, base) = Server::start().await;
    let client = tokio::spawn(async move {
        let (mut line, _) = Connection::join(&base, "ABC123", "t", Options::default()).await.unwrap();
        line.events_until_pong().await.unwrap()
    });
    let (mut line, _) = server.accept().await;
    welcome(&mut line, &[], false).await;
    send(&mut line, said(1, "hi", None)).await;
    let ping = receive(&mut line).await;
    send(&mut line, json!({"type": "PONG", "t0": ping["t0"], "t1": 1, "t2": 1})).await;
    let kinds: Vec<_> = client.await.unwrap().iter().map(|event| event.kind().to_owned()).collect();
    assert_eq!(kinds, ["CHAT_MESSAGE"]);
}

#[tokio::test]
async fn a_session_resumes_where_it_was_and_says_again_what_was_not_heard() {
    let (server, base) = Server::start().await;
    let client = tokio::spawn(async move {
        let mut session = Session::new(&base, "ABC123", "t");
        let mut seen = Vec::new();
        loop {
            match session.next().await {
                Ok(Update::Joined(welcome)) => {
                    seen.extend(welcome.history.messages.iter().map(|said| said.seq));
                    if seen.len() == 2 {
                        session.chat("lost on the way", "c9").await.unwrap();
                    }
                }
                Ok(Update::Event(Event::ChatMessage(said))) => seen.push(said.seq),
                Ok(_) => {}
                Err(error) => return (seen, error),
            }
        }
    });

    let (mut line, path) = server.accept().await;
    assert!(!path.contains("since"), "{path}");
    welcome(&mut line, &[said(1, "a", None), said(2, "b", None)], false).await;
    assert_eq!(receive(&mut line).await["client_id"], "c9");
    send(&mut line, said(3, "c", None)).await;
    drop(line); // cut, without a word, and before the chat was stored

    let (mut line, path) = server.accept().await;
    assert!(path.ends_with("&since=3&epoch=7"), "{path}");
    welcome(&mut line, &[said(4, "d", None)], true).await;
    let again = receive(&mut line).await;
    assert_eq!((&again["client_id"], &again["message"]), (&json!("c9"), &json!("lost on the way")));
    send(&mut line, said(5, "lost on the way", Some("c9"))).await;
    send(&mut line, said(5, "lost on the way", Some("c9"))).await; // answers to both copies
    close(line, 4100, r#"{"retry_in_ms":1}"#).await;

    let (mut line, path) = server.accept().await;
    assert!(path.ends_with("&since=5&epoch=7"), "{path}");
    welcome(&mut line, &[], true).await;
    send(&mut line, said(6, "e", None)).await;
    close(line, 4011, "").await;

    let (seen, error) = client.await.unwrap();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    let Error::Closed(reason) = error else { panic!("{error}") };
    assert_eq!((reason.code, reason.advice()), (4011, Advice::Stop));
}
