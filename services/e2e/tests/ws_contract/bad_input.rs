//! Bad input never closes a connection, however often it comes; only size and frame rate do.

use serde_json::json;
use streamit_client::{CloseReason, Event, Options};
use streamit_e2e::{RawSocket, Room, Seat, System, on_both};

use crate::count;

on_both! {
    crate::SYSTEMS;
    what_makes_no_sense_is_answered_to_the_sender_and_nothing_else_happens,
    a_time_is_a_finite_number_from_zero_on,
    binary_frames_and_broken_text_are_answered,
    a_message_over_16_kib_closes_with_1009,
    flooding_closes_with_4104,
    pings_are_no_flood,
}

/// What a client may send by mistake or by malice, and the code it is told.
const NONSENSE: &[(&str, &str)] = &[
    ("", "INVALID_JSON"),
    (" ", "INVALID_JSON"),
    ("nope", "INVALID_JSON"),
    ("{", "INVALID_JSON"),
    ("{\"type\":\"PLAY\"", "INVALID_JSON"),
    ("{\"type\":\"PLAY\"}}", "INVALID_JSON"),
    ("{'type':'PLAY'}", "INVALID_JSON"),
    ("{\"type\":\"PLAY\",\"time\":NaN}", "INVALID_JSON"),
    ("{\"type\":\"PLAY\",\"time\":Infinity}", "INVALID_JSON"),
    ("{\"type\":\"PLAY\",\"time\":-Infinity}", "INVALID_JSON"),
    ("[]", "INVALID"),
    ("[{\"type\":\"PLAY\"}]", "INVALID"),
    ("null", "INVALID"),
    ("true", "INVALID"),
    ("3", "INVALID"),
    ("\"PLAY\"", "INVALID"),
    ("{}", "INVALID"),
    ("{\"type\":null}", "INVALID"),
    ("{\"type\":3}", "INVALID"),
    ("{\"type\":[\"PLAY\"]}", "INVALID"),
    ("{\"type\":\"\"}", "UNKNOWN_TYPE"),
    ("{\"type\":\"DANCE\"}", "UNKNOWN_TYPE"),
    ("{\"type\":\"play\"}", "UNKNOWN_TYPE"),
    ("{\"type\":\"USER_JOINED\",\"user\":\"Ana\"}", "UNKNOWN_TYPE"),
    ("{\"type\":\"CHAT_MESSAGE\"}", "INVALID"),
    ("{\"type\":\"CHAT_MESSAGE\",\"message\":null}", "INVALID"),
    ("{\"type\":\"CHAT_MESSAGE\",\"message\":7}", "INVALID"),
    ("{\"type\":\"CHAT_MESSAGE\",\"message\":[\"hi\"]}", "INVALID"),
    ("{\"type\":\"CHAT_MESSAGE\",\"message\":\"  \"}", "INVALID"),
    ("{\"type\":\"CHAT_MESSAGE\",\"message\":\"a\\u0000b\"}", "INVALID"),
    ("{\"type\":\"CHAT_MESSAGE\",\"message\":\"hi\",\"client_id\":7}", "INVALID"),
    ("{\"type\":\"CHAT_MESSAGE\",\"message\":\"hi\",\"client_id\":\"\"}", "INVALID"),
    ("{\"type\":\"CHAT_MESSAGE\",\"message\":\"hi\",\"client_id\":{}}", "INVALID"),
    ("{\"type\":\"SEEK\"}", "INVALID"),
    ("{\"type\":\"PING\"}", "INVALID"),
    ("{\"type\":\"PING\",\"t0\":\"1\"}", "INVALID"),
    ("{\"type\":\"PING\",\"t0\":null}", "INVALID"),
    ("{\"type\":\"SYNC_CHECK\"}", "INVALID"),
    ("{\"type\":\"SYNC_CHECK\",\"client_time\":\"now\"}", "INVALID"),
    ("{\"type\":\"SYNC_CHECK\",\"client_time\":-1}", "INVALID"),
    ("{\"type\":\"KICK_USER\"}", "INVALID"),
    ("{\"type\":\"KICK_USER\",\"user_id\":7}", "INVALID"),
    ("{\"type\":\"BAN_USER\",\"user_id\":\"Bo\"}", "INVALID"),
    ("{\"type\":\"MUTE_USER\",\"user_id\":null}", "INVALID"),
];

/// Sends it and gives the code of the ERROR that comes back, before anything else does.
async fn answer(seat: &mut Seat, text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    seat.send_text(text).await;
    let event = seat.waits(&format!("an answer to {shown:?}"), |event| Some(event.clone())).await;
    let Event::Error(refusal) = event else { panic!("{shown:?} is answered with {event:?}") };
    assert!(!refusal.message.trim().is_empty(), "{shown:?} tells people nothing");
    refusal.code
}

/// A host who takes part in nothing, and somebody who sends nonsense.
async fn two_seats(system: &System) -> (Room, Seat, Seat) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(1, &ana).await;
    let bo = room.join_on(0, &bo).await;
    host.sees_come("Bo").await;
    (room, host, bo)
}

async fn what_makes_no_sense_is_answered_to_the_sender_and_nothing_else_happens(system: &System) {
    let (_room, mut host, mut bo) = two_seats(system).await;
    for (text, code) in NONSENSE {
        assert_eq!(answer(&mut bo, text).await, *code, "{text:?}");
    }
    let deep = format!("{{\"type\":\"PLAY\",\"x\":{}{}}}", "[".repeat(7_000), "]".repeat(7_000));
    assert!(!answer(&mut bo, &deep).await.is_empty());
    assert_eq!(bo.quiet().await, [], "one answer each");

    bo.say("still here").await;
    assert_eq!(host.hears("still here").await.seq, 1);
    assert_eq!(host.quiet().await, []);
}

async fn a_time_is_a_finite_number_from_zero_on(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    for kind in ["PLAY", "PAUSE", "SEEK"] {
        for time in ["null", "-1", "-0.001", "1e999", "-1e999", "\"5\"", "\"\"", "true", "[]", "{}", "[5]"] {
            let code = answer(&mut host, &format!(r#"{{"type":"{kind}","time":{time}}}"#)).await;
            assert!(matches!(code.as_str(), "INVALID" | "INVALID_JSON"), "{kind} {time}: {code}");
        }
    }
    let again = room.join_on(0, &ana).await;
    assert_eq!(again.welcome.playback.version, host.welcome.playback.version, "nothing came of it");
    host.seek(1e6).await;
    host.sees("a position in a very long film", |state| state.time > 9e5).await;
}

async fn binary_frames_and_broken_text_are_answered(system: &System) {
    let (room, mut host, mut bo) = two_seats(system).await;
    for bytes in [Vec::new(), b"{\"type\":\"PLAY\"}".to_vec(), vec![0xff; 1_000]] {
        bo.line.sender().binary(bytes).await.unwrap();
        bo.is_told("BINARY_FRAME").await;
    }
    assert_eq!(count(&bo.quiet().await, "ERROR"), 0);

    let guest = system.guest("Cy").await;
    room.admit(&guest).await;
    let path = format!("/ws/room/{}/?token={}", room.code, guest.token());
    let mut raw = RawSocket::open(&system.ws(0), &path).await;
    raw.read_until(|frame| frame.text().contains("PLAYBACK_STATE")).await;
    raw.frame(0x81, b"{\"type\":\"PLAY\xff\"}").await;
    let told = raw.read_until(|frame| frame.text().contains("\"ERROR\"")).await;
    assert!(told.text().contains("INVALID"), "{}", told.text());
    // In three pieces, with a ping between them.
    raw.frame(0x01, b"{\"type\":\"CHAT_").await;
    raw.frame(0x89, b"are you there?").await;
    raw.frame(0x00, b"MESSAGE\",\"message\":").await;
    raw.frame(0x80, b"\"in pieces\"}").await;
    let pong = raw.read_until(|frame| frame.opcode == 10).await;
    assert_eq!(pong.text(), "are you there?");
    host.hears("in pieces").await;
}

async fn a_message_over_16_kib_closes_with_1009(system: &System) {
    const MOST: usize = 16 << 10;
    let (room, mut host, mut bo) = two_seats(system).await;
    let padded = |length: usize| {
        let bare = json!({"type": "DANCE", "x": ""}).to_string();
        bare.replace("\"\"", &format!("\"{}\"", "x".repeat(length - bare.len())))
    };
    assert_eq!(answer(&mut bo, &padded(MOST)).await, "UNKNOWN_TYPE");
    bo.send_text(&padded(MOST + 1)).await;
    assert_eq!(bo.is_closed().await.code, 1009);
    host.sees_go("Bo").await;

    // A frame that only claims to be large, and one that grows in pieces.
    let guest = system.guest("Cy").await;
    room.admit(&guest).await;
    let path = format!("/ws/room/{}/?token={}", room.code, guest.token());
    let mut claims = RawSocket::open(&system.ws(0), &path).await;
    claims.bytes(&[0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'{']).await;
    assert_eq!(claims.closed().await, Some(1009));
    let mut grows = RawSocket::open(&system.ws(0), &path).await;
    grows.frame(0x01, &[b' '; MOST / 2]).await;
    for _ in 0..3 {
        grows.frame(0x00, &[b' '; MOST / 2]).await;
    }
    assert_eq!(grows.closed().await, Some(1009));
    // Binary frames of that size are no different.
    let mut seat = room.sit(0, &guest, Options::default()).await;
    seat.line.sender().binary(vec![0; MOST + 1]).await.unwrap();
    assert_eq!(seat.is_closed().await.code, 1009);
}

async fn flooding_closes_with_4104(system: &System) {
    let (_room, mut host, mut bo) = two_seats(system).await;
    for _ in 0..200 {
        // Once it is closed, nothing can be sent any more.
        if bo.line.sender().text(r#"{"type":"DANCE"}"#).await.is_err() {
            break;
        }
    }
    let CloseReason { code, retry_in_ms, .. } = bo.is_closed().await;
    assert_eq!(code, 4104);
    assert!(retry_in_ms.is_some_and(|wait| wait > 0), "{retry_in_ms:?}");
    assert_eq!(host.quiet().await, [], "a flood of one is nothing to the others");
}

async fn pings_are_no_flood(system: &System) {
    let (_room, _host, mut bo) = two_seats(system).await;
    for n in 0..150 {
        bo.send_text(&format!(r#"{{"type":"PING","t0":{n}}}"#)).await;
    }
    let pongs = bo.quiet().await;
    assert_eq!(count(&pongs, "PONG"), 150);
    bo.say("and now for something else").await;
    bo.hears("and now for something else").await;
}
