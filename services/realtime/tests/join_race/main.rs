//! Somebody comes into a room that the node has to open first, while others go on talking: whatever is said between the
//! subscription, the reading and the answer is seen exactly once. A real node with its real rooms, an api that is slow to
//! read, and time that stands still until everybody waits for it.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod api;

use std::sync::Arc;
use std::time::Duration;

use api::Api;
use serde_json::Value;
use streamit_bus::SharedRooms;
use streamit_bus::memory::MemoryRooms;
use streamit_domain::{RoomId, SessionId, UserId};
use streamit_realtime::authority::Authority;
use streamit_realtime::node::{Node, Parts};
use streamit_realtime::outbox::Outbox;
use streamit_realtime::room::effect::{Gone, Input, Joiner};
use streamit_realtime::ws;
use streamit_telemetry::{Clock, SeededEntropy, SharedClock};
use streamit_wire::v1;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// How many joins race, unless `STREAMIT_SEEDS` says otherwise.
const TRIALS: u64 = 2_000;
/// How long anything may take, in a time that passes at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time of the runtime, which a test holds still.
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now_micros(&self) -> i64 {
        1_700_000_000_000_000 + i64::try_from(self.0.elapsed().as_micros()).unwrap()
    }

    fn monotonic(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

fn message(seq: u64) -> v1::ChatMessage {
    v1::ChatMessage {
        seq,
        user: Uuid::from_u128(1).as_bytes().to_vec(),
        name: "Ana".into(),
        text: format!("message {seq}"),
        created_at: 1_700_000_000_000,
        ..v1::ChatMessage::default()
    }
}

/// Stores messages and announces each after it was stored, as the api does.
async fn talk(api: Api, rooms: SharedRooms, room: RoomId, pauses: Vec<Duration>) {
    for pause in pauses {
        sleep(pause).await;
        let said = api.with(room, |chat| {
            let said = message(chat.messages.len() as u64 + 1);
            chat.messages.push(said.clone());
            said
        });
        let chat = v1::Chat { epoch: 1, messages: vec![said] };
        let event = v1::Event { kind: Some(v1::event::Kind::Chat(chat)), ..v1::Event::default() };
        rooms.publish(room, &event).await.unwrap();
    }
}

/// The numbers of the messages that a frame shows.
fn seqs(frame: &Value) -> Vec<u64> {
    let seq = |message: &Value| message["seq"].as_u64().unwrap();
    match frame["type"].as_str().unwrap() {
        "CHAT_HISTORY" => frame["messages"].as_array().unwrap().iter().map(seq).collect(),
        "CHAT_MESSAGE" => vec![seq(frame)],
        _ => Vec::new(),
    }
}

/// Joins, and reads until all `count` messages have been seen.
async fn watch(node: &Arc<Node>, room: RoomId, count: u64) -> Vec<u64> {
    let outbox = Arc::new(Outbox::default());
    outbox.heard(node.now().up);
    let joiner = Joiner {
        connection: node.next_connection(),
        user: UserId(Uuid::from_u128(2)),
        session: SessionId(Uuid::from_u128(2)),
        name: "Bo".into(),
        admitted: 1,
        resume: None,
        outbox: outbox.clone(),
    };
    let connection = joiner.connection;
    let inbox = node.join(room, joiner).await.unwrap();
    let mut seen = Vec::new();
    while (seen.len() as u64) < count {
        let work = outbox.take();
        assert_eq!(work.close, None);
        let frames =
            work.frames.iter().map(|frame| serde_json::from_str::<Value>(ws::json_of(frame)).unwrap());
        seen.extend(frames.flat_map(|frame| seqs(&frame)));
        if work.joined {
            inbox.send(Input::Flushed(connection)).await.unwrap();
        }
        if work.frames.is_empty() && timeout(PATIENCE, outbox.wait()).await.is_err() {
            break; // nothing more comes
        }
    }
    inbox.send(Input::Gone(connection, Gone::Now)).await.unwrap();
    let last = outbox.take();
    seen.extend(
        last.frames.iter().flat_map(|frame| seqs(&serde_json::from_str(ws::json_of(frame)).unwrap())),
    );
    seen
}

#[tokio::test(start_paused = true)]
async fn what_is_said_while_a_room_is_opened_is_seen_exactly_once() {
    let clock: SharedClock = Arc::new(RuntimeClock(Instant::now()));
    let (api, entropy) = (Api::default(), SeededEntropy::shared(1));
    let rooms: SharedRooms = Arc::new(MemoryRooms::new(clock.clone()));
    let authority = Authority::new(vec![("api".into(), api.channel())], None).unwrap();
    let parts = Parts {
        name: "node".into(),
        limits: false,
        clock,
        entropy: SeededEntropy::shared(2),
        api: authority,
    };
    let node = Node::new(parts, rooms.clone());
    let below = |end: u32| Duration::from_millis(u64::from(entropy.u32() % end));

    let trials = std::env::var("STREAMIT_SEEDS").map_or(TRIALS, |count| count.parse().unwrap());
    let mut raced = 0;
    for trial in 0..trials {
        let room = RoomId(Uuid::from_u128(0x1_0000 + u128::from(trial)));
        let earlier = entropy.u32() % 5;
        api.with(room, |chat| {
            chat.messages = (1..=u64::from(earlier)).map(message).collect();
            (chat.before, chat.after) = (below(40), below(40));
        });
        let pauses: Vec<Duration> = (0..1 + entropy.u32() % 12).map(|_| below(15)).collect();
        let count = u64::from(earlier) + pauses.len() as u64;
        let talking = talk(api.clone(), rooms.clone(), room, pauses);
        let (seen, ()) = tokio::join!(watch(&node, room, count), talking);
        assert_eq!(seen, (1..=count).collect::<Vec<_>>(), "trial {trial}");
        let read = api.with(room, |chat| chat.read.take()).unwrap() as u64;
        raced += u64::from(read > u64::from(earlier) && read < count);
    }
    assert!(raced > trials / 2, "only {raced} rooms were read in the middle of what was said");
}
