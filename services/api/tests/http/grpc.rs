//! What realtime nodes ask over gRPC.

use std::collections::BTreeSet;

use serde_json::json;
use streamit_api::config::Public;
use streamit_domain::{Playback, Timestamp};
use streamit_wire::v1::authority_client::AuthorityClient;
use streamit_wire::{Claims, v1};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request};

use crate::support::{Person, Room, World, next, next_facts};

pub(crate) type Client = AuthorityClient<Channel>;

/// A node's way to the api.
pub(crate) async fn connect(world: &World) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        Server::builder().add_routes(world.api.grpc()).serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serving);
    AuthorityClient::connect(format!("http://{address}")).await.unwrap()
}

/// The session that a person's token names.
fn session(person: &Person) -> Vec<u8> {
    use base64::Engine;
    let payload = person.token.split('.').nth(1).unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: Claims = serde_json::from_slice(&json).unwrap();
    claims.sid.as_bytes().to_vec()
}

fn admission(code: &str, person: &Person) -> v1::Admission {
    v1::Admission { code: code.into(), user: person.id.as_bytes().to_vec(), session: session(person) }
}

pub(crate) fn draft(room: &Room, person: &Person, text: &str, key: &str) -> v1::ChatDraft {
    v1::ChatDraft {
        room: room.id.as_bytes().to_vec(),
        user: person.id.as_bytes().to_vec(),
        text: text.into(),
        key: key.into(),
        key_is_client_id: true,
    }
}

pub(crate) async fn append(client: &mut Client, drafts: Vec<v1::ChatDraft>) -> Vec<v1::Appended> {
    client.append(v1::AppendRequest { drafts }).await.unwrap().into_inner().results
}

#[tokio::test]
async fn admissions_are_refused_in_the_order_of_the_contract() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let (ana, bo, cy) = (world.guest("Ana").await, world.guest("Bo").await, world.guest("Cy").await);
    let (dee, eve) = (world.guest("Dee").await, world.guest("Eve").await);
    let room = world.room(&ana, json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    for person in [&bo, &cy, &dee] {
        world.join(&room, person, "PENDING").await;
    }
    for action in ["approve", "ban"] {
        assert_eq!(world.act(action, &room, &ana, &cy).await.0, 200);
    }
    assert_eq!(world.act("approve", &room, &ana, &bo).await.0, 200);
    world.post("/api/auth/logout/").by(&eve).send().await;
    let gone = world.public_room(&ana).await;
    world.post("/api/rooms/delete/").by(&ana).json(json!({"room_id": gone.id})).send().await;

    let stolen = v1::Admission { session: session(&bo), ..admission(&room.code, &ana) };
    let asked = vec![
        admission(&room.code.to_lowercase(), &bo),
        admission("ZZZZZ9", &eve),
        admission("ZZZZZ9", &bo),
        admission("nonsense", &bo),
        admission("nonsense", &eve),
        admission(&room.code, &cy),
        admission(&room.code, &dee),
        admission(&room.code, &ana),
        admission(&gone.code, &ana),
        stolen,
        v1::Admission::default(),
    ];
    let results = client.admit(v1::AdmitRequest { admissions: asked }).await.unwrap().into_inner().results;
    let words: Vec<&str> = results.iter().map(|admitted| admitted.error.as_str()).collect();
    assert_eq!(
        words,
        [
            "",
            "SESSION_REVOKED",
            "ROOM_NOT_FOUND",
            "ROOM_NOT_FOUND",
            "SESSION_REVOKED",
            "BANNED",
            "NOT_APPROVED",
            "",
            "ROOM_CLOSED",
            "SESSION_REVOKED",
            "UNAUTHENTICATED"
        ]
    );
    assert_eq!((results[0].name.as_str(), results[0].room.as_slice()), ("Bo", &room.id.as_bytes()[..]));
    assert_eq!(results[0].facts_version, 7, "as all of the above left it");
}

#[tokio::test]
async fn what_is_said_at_once_is_stored_together_in_one_order() {
    let world = World::new().await;
    let client = connect(&world).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let mut people = vec![ana];
    for name in ["Bo", "Cy", "Dee", "Eve", "Fay", "Gus", "Hal"] {
        let person = world.guest(name).await;
        world.join(&room, &person, "APPROVED").await;
        people.push(person);
    }
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let senders = people.iter().map(|person| {
        let (mut client, room) = (client.clone(), room.clone());
        async move {
            let mut seqs = Vec::new();
            for i in 0..25 {
                let said = draft(&room, person, &format!("message {i}"), &format!("k{i}"));
                let stored = append(&mut client, vec![said]).await.remove(0);
                seqs.push(stored.message.unwrap().seq);
            }
            assert!(seqs.is_sorted(), "each sender's order is kept");
            seqs
        }
    });
    let seqs: BTreeSet<u64> = futures_util::future::join_all(senders).await.into_iter().flatten().collect();
    assert_eq!(seqs, (1..=200).collect::<BTreeSet<_>>(), "no holes, nothing twice");

    let mut told = Vec::new();
    while told.len() < 200 {
        if let Some(v1::event::Kind::Chat(chat)) = next(&mut news).await.kind {
            assert_eq!(chat.epoch, 1);
            told.extend(chat.messages.into_iter().map(|message| message.seq));
        }
    }
    assert_eq!(told, (1..=200).collect::<Vec<_>>(), "told in order");

    let mut client = client;
    let range = |after, before, limit, newest| v1::HistoryRequest {
        room: room.id.as_bytes().to_vec(),
        after,
        before,
        limit,
        newest,
    };
    let history = client.history(range(150, 0, 500, false)).await.unwrap().into_inner();
    assert_eq!((history.messages.len(), history.head, history.kept_from), (50, 200, 1));
    let newest = client.history(range(0, 100, 10, true)).await.unwrap().into_inner();
    assert_eq!((newest.messages[0].seq, newest.messages[9].seq), (90, 99));
    let missing = v1::HistoryRequest { room: vec![7; 16], ..range(0, 0, 1, false) };
    let status = client.history(missing).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "ROOM_NOT_FOUND"));

    let path = format!("/api/rooms/{}/messages/", room.code);
    let page = world.get(&format!("{path}?before=6&limit=3")).by(&people[0]).send().await;
    let seqs: Vec<u64> =
        page.body["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect();
    assert_eq!((seqs, &page.body["has_more"]), (vec![3, 4, 5], &json!(true)));
    let first = world.get(&format!("{path}?before=3")).by(&people[0]).send().await;
    assert_eq!(first.body["has_more"], json!(false));
    let last = world.get(&path).by(&people[0]).send().await;
    assert_eq!(last.body["messages"].as_array().unwrap().len(), 50);
    assert_eq!(last.body["messages"][49]["seq"], json!(200));
    for field in ["user", "user_id", "message", "created_at", "client_id"] {
        assert!(last.body["messages"][0][field].is_string(), "{field}");
    }
    let outsider = world.guest("Out").await;
    world.get(&path).by(&outsider).send().await.refused(403, "NOT_APPROVED");
}

#[tokio::test]
async fn one_message_that_cannot_be_stored_takes_no_other_with_it() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let (room, quiet) = (world.public_room(&ana).await, world.public_room(&ana).await);
    let off = json!({"room_id": quiet.id, "is_chat_enabled": false});
    assert_eq!(world.post("/api/rooms/settings/").by(&ana).json(off).send().await.status, 200);
    let nowhere = Room { id: streamit_domain::RoomId(uuid::Uuid::from_u128(9)), ..room.clone() };
    let drafts = vec![
        draft(&room, &ana, "one", "a"),
        draft(&room, &bo, "not in", "a"),
        draft(&quiet, &ana, "hush", "a"),
        draft(&nowhere, &ana, "hello?", "a"),
        draft(&room, &ana, "  ", "b"),
        draft(&room, &ana, "no key", ""),
        draft(&room, &ana, "one, again", "a"),
        draft(&room, &ana, "two", "c"),
    ];
    let results = append(&mut client, drafts).await;
    let words: Vec<&str> = results.iter().map(|appended| appended.error.as_str()).collect();
    assert_eq!(words, ["", "NOT_APPROVED", "CHAT_DISABLED", "ROOM_NOT_FOUND", "INVALID", "INVALID", "", ""]);
    let stored = |i: usize| results[i].message.as_ref().map(|m| (m.seq, m.text.as_str()));
    assert_eq!((stored(0), stored(6), stored(7)), (Some((1, "one")), Some((1, "one")), Some((2, "two"))));
    assert_eq!((results[0].repeated_key, results[6].repeated_key), (false, true));

    world.join(&room, &bo, "APPROVED").await;
    assert_eq!(world.act("mute", &room, &ana, &bo).await.0, 200);
    assert_eq!(append(&mut client, vec![draft(&room, &bo, "mmm", "m")]).await[0].error, "MUTED");
    world.store.close().await;
    let drafts = vec![draft(&room, &ana, "now?", "d")];
    let status = client.append(v1::AppendRequest { drafts }).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "TRY_AGAIN"),
        "another replica is asked"
    );
}

#[tokio::test]
async fn facts_and_versions_are_told_for_many_rooms_at_once() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let (one, two) = (world.public_room(&ana).await, world.public_room(&ana).await);
    world.join(&one, &bo, "APPROVED").await;
    assert_eq!(world.act("mute", &one, &ana, &bo).await.0, 200);
    let since = |room: &Room, version| v1::FactsSince { room: room.id.as_bytes().to_vec(), version };
    let unknown = v1::FactsSince { room: vec![1; 16], version: 0 };
    let rooms = vec![since(&one, 0), unknown, since(&two, 1), since(&one, 2)];
    let facts = client.facts(v1::FactsRequest { rooms }).await.unwrap().into_inner().facts;
    assert_eq!((facts[0].version, facts[0].people.len(), facts[0].base), (2, 1, 0));
    assert!(facts[1].room.is_empty());
    assert_eq!((facts[2].version, facts[2].code.as_str(), facts[2].base), (1, two.code.as_str(), 1));
    assert_eq!(facts[3].people.len(), 0, "nothing since then");

    append(&mut client, vec![draft(&one, &bo, "x", "a"), draft(&two, &ana, "x", "a")]).await;
    let rooms = vec![one.id.as_bytes().to_vec(), two.id.as_bytes().to_vec(), vec![1; 16]];
    let versions = client.versions(v1::VersionsRequest { rooms }).await.unwrap().into_inner().rooms;
    let of = |room: &Room| versions.iter().find(|v| v.room == room.id.as_bytes()).unwrap();
    assert_eq!(
        (versions.len(), of(&one).facts_version, of(&one).chat_head),
        (2, 2, 0),
        "the muted one was refused"
    );
    assert_eq!((of(&two).facts_version, of(&two).chat_head, of(&two).epoch), (1, 1, 1));
    let bad = v1::VersionsRequest { rooms: vec![vec![1, 2, 3]] };
    assert_eq!(client.versions(bad).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn playback_is_kept_behind_its_home_and_never_goes_back() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let load = v1::LoadPlaybackRequest { room: room.id.as_bytes().to_vec() };
    assert_eq!(client.load_playback(load.clone()).await.unwrap().into_inner().playback, None);
    let newer = v1::Playback::from(&Playback::start(1, Timestamp(5_000)));
    let older = v1::Playback { version: 4_000, ..newer };
    let nonsense = v1::Playback { rate: f64::NAN, version: 9_000, ..newer };
    let saved = |playback: v1::Playback| v1::SavedPlayback {
        room: room.id.as_bytes().to_vec(),
        playback: Some(playback),
    };
    for rooms in [vec![saved(newer)], vec![saved(older), saved(nonsense)]] {
        client.save_playback(v1::SavePlaybackRequest { rooms, ..Default::default() }).await.unwrap();
    }
    assert_eq!(client.load_playback(load).await.unwrap().into_inner().playback, Some(newer));
}

#[tokio::test]
async fn revocations_are_told_after_a_cursor_and_lately_made_ones_again() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    world.post("/api/auth/logout/").by(&ana).send().await;
    let ask = |after| v1::RevocationsRequest { after };
    let first = client.revocations(ask(0)).await.unwrap().into_inner();
    assert_eq!((first.entries.len(), first.entries[0].user.as_slice()), (1, &ana.id.as_bytes()[..]));
    assert_eq!(
        client.revocations(ask(first.head)).await.unwrap().into_inner().entries.len(),
        1,
        "told again"
    );
    world.advance(31);
    assert_eq!(client.revocations(ask(first.head)).await.unwrap().into_inner().entries.len(), 0);
    world.post("/api/auth/logout/").by(&bo).send().await;
    let next = client.revocations(ask(first.head)).await.unwrap().into_inner();
    assert_eq!((next.entries.len(), next.head), (1, first.head + 1));
}

#[tokio::test]
async fn hosts_moderate_over_a_websocket_too() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let request = |actor: &Person, target: &Person, action: v1::ModerationAction| v1::ModerateRequest {
        room: room.id.as_bytes().to_vec(),
        actor: actor.id.as_bytes().to_vec(),
        target: target.id.as_bytes().to_vec(),
        action: action as i32,
        seconds: 0,
    };
    for (asked, word) in [
        (request(&bo, &ana, v1::ModerationAction::Kick), "HOST_ONLY"),
        (request(&ana, &ana, v1::ModerationAction::Kick), "FORBIDDEN"),
        (request(&ana, &bo, v1::ModerationAction::Unspecified), "INVALID"),
        (request(&ana, &bo, v1::ModerationAction::Kick), ""),
    ] {
        assert_eq!(client.moderate(asked).await.unwrap().into_inner().error, word);
    }
    assert_eq!(next_facts(&mut news).await.people[0].standing, v1::Standing::Kicked as i32);
}

#[tokio::test]
async fn only_who_shows_the_token_is_answered() {
    let world = World::with(Public { grpc_token: Some("secret".into()), ..Public::default() }).await;
    let mut client = connect(&world).await;
    assert_eq!(client.keys(v1::KeysRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
    let mut request = Request::new(v1::KeysRequest {});
    request.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());
    let keys = client.keys(request).await.unwrap().into_inner().keys;
    assert_eq!((keys.len(), keys[0].kid.as_str(), keys[0].ed25519.len()), (1, "first", 32));
}
