//! What is written down, and who may read it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use streamit_domain::audit::{Action, ActorKind};
use streamit_domain::{RoomId, Timestamp};
use streamit_storage::audit::{self, Filter, Record};
use streamit_wire::v1;

use crate::grpc::{append, connect, draft};
use crate::succession::{enter, leave, report};
use crate::support::{Person, Room, START, World, background, eventually, stored};

async fn written(world: &World, filter: Filter) -> Vec<Record> {
    let mut read = world.store.read().await.unwrap();
    let entries = audit::list(&mut read, &filter, None, 1_000).await.unwrap();
    entries.into_iter().map(|entry| entry.record).collect()
}

async fn of_room(world: &World, room: RoomId, action: Action) -> Vec<Record> {
    written(world, Filter { room: Some(room), actions: vec![action], ..Filter::default() }).await
}

async fn set(world: &World, path: &str, by: &Person, room: &Room, mut body: Value) -> u16 {
    body["room_id"] = json!(room.id);
    world.post(&format!("/api/rooms/{path}/")).by(by).json(body).send().await.status
}

fn account(name: &str) -> Value {
    json!({"email": format!("{name}@example.org"), "password": "correct horse", "display_name": name})
}

/// Everything that leads to a row, but for what staff does.
async fn an_eventful_evening(world: &World) {
    let ana = Person::of(&world.post("/api/auth/register/").json(account("ana")).send().await);
    let login = json!({"email": "ana@example.org", "password": "correct horse"});
    let again = Person::of(&world.post("/api/auth/login/").json(login).send().await);
    let wrong = json!({"email": "ana@example.org", "password": "wrong horse"});
    world.post("/api/auth/login/").json(wrong).send().await.refused(401, "INVALID_CREDENTIALS");
    assert_eq!(world.post("/api/auth/logout/").by(&again).send().await.status, 200);
    let thief = world.guest("Thief").await;
    let refresh = || world.post("/api/auth/refresh/").json(json!({"refresh_token": thief.refresh})).send();
    assert_eq!(refresh().await.status, 200);
    world.advance(31);
    refresh().await.refused(401, "SESSION_REVOKED");

    let (bo, cy) = (world.guest("Bo").await, world.guest("Cy").await);
    let room = world.room(&ana, json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    world.join(&room, &bo, "PENDING").await;
    assert_eq!(world.act("approve", &room, &ana, &bo).await.0, 200);
    world.join(&room, &cy, "PENDING").await;
    assert_eq!(world.act("reject", &room, &ana, &cy).await.0, 200);
    let closed = world.room(&ana, json!({"is_private": true, "entry_mode": "PASSWORD"})).await;
    let guess = json!({"code": closed.code, "password": "guess"});
    world.post("/api/rooms/join/").by(&bo).json(guess).send().await.refused(403, "INVALID_ROOM_PASSWORD");
    assert_eq!(set(world, "delete", &ana, &closed, json!({})).await, 200);

    let (room, di) = (world.public_room(&ana).await, world.guest("Di").await);
    for person in [&bo, &cy, &di] {
        world.join(&room, person, "APPROVED").await;
    }
    assert_eq!(
        set(world, "settings", &ana, &room, json!({"slow_mode_seconds": 0, "is_locked": true})).await,
        200
    );
    assert_eq!(set(world, "settings", &ana, &room, json!({"blocked_words": ["spoil*"]})).await, 200);
    assert_eq!(
        set(world, "source", &ana, &room, json!({"url": "https://e.org/f.mp4?sig=secret"})).await,
        200
    );
    let cohost = |on: bool| set(world, "cohost", &ana, &room, json!({"user_id": cy.id, "on": on}));
    assert_eq!((cohost(true).await, cohost(false).await), (200, 200));
    for action in ["mute", "unmute", "kick", "ban", "unban"] {
        assert_eq!(world.act(action, &room, &ana, &bo).await.0, 200, "{action}");
    }
    let mut client = connect(world).await;
    append(&mut client, vec![draft(&room, &di, "oops", "k")]).await;
    let reported = json!({"seq": 1, "reason": "ABUSE"});
    assert_eq!(set(world, "report", &cy, &room, reported).await, 201);
    assert_eq!(set(world, "erase", &ana, &room, json!({"seq": 1})).await, 200);
    client
        .save_playback(v1::SavePlaybackRequest { acts: vec![play(&room, &ana)], ..Default::default() })
        .await
        .unwrap();
    assert_eq!(set(world, "leave", &di, &room, json!({})).await, 200);
    assert_eq!(world.act("transfer", &room, &ana, &cy).await.0, 200);
}

fn play(room: &Room, user: &Person) -> v1::PlaybackAct {
    v1::PlaybackAct {
        id: uuid::Builder::from_unix_timestamp_millis(START as u64, &[7; 10]).into_uuid().as_bytes().to_vec(),
        room: room.id.as_bytes().to_vec(),
        user: user.id.as_bytes().to_vec(),
        deed: v1::PlaybackDeed::Play as i32,
        time: 42.5,
        at: START,
        version: 7,
    }
}

/// Rooms that pass on, go back, and expire.
async fn a_night_without_people(world: &World) {
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    for person in [&ana, &bo] {
        enter(world, &room, person).await;
    }
    let seen = leave(world, &room, &ana).await;
    report(world, &room, &ana, seen, false).await;
    let sweeping = background(world);
    world.advance(31);
    eventually("the room passes on", || async { (stored(world, &room).await.host == bo.id).then_some(()) })
        .await;
    let seen = enter(world, &room, &ana).await;
    report(world, &room, &ana, seen, true).await;
    assert_eq!(stored(world, &room).await.host, ana.id);
    for person in [&ana, &bo] {
        leave(world, &room, person).await;
    }
    drop(sweeping);
    let _sweeping = background(world); // whose first round looks for rooms that nobody visits
    world.clock.advance(Duration::from_secs(8 * 24 * 3600));
    eventually("the room expires", || async {
        (stored(world, &room).await.life == streamit_domain::room::Life::Expired).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_that_matters_happens_without_a_row() {
    let world = World::new().await;
    an_eventful_evening(&world).await;
    a_night_without_people(&world).await;
    let rows = written(&world, Filter::default()).await;
    let seen: BTreeSet<Action> = rows.iter().map(|row| row.action).collect();
    // What staff does is asked for where the panel is tested.
    let wanted = Action::ALL.iter().copied().filter(|action| !action.as_str().starts_with("staff."));
    let missing: Vec<_> = wanted.filter(|action| !seen.contains(action)).collect();
    assert!(missing.is_empty(), "no row tells of {missing:?}");

    for row in &rows {
        let is_system = row.actor_kind == ActorKind::System;
        let is_stranger = row.actor_kind == ActorKind::Unknown;
        assert_eq!(row.actor.is_none(), is_system || is_stranger, "{row:?}");
        let comes_from_a_request = !is_system && row.action != Action::Playback;
        assert_eq!(row.address.as_deref(), comes_from_a_request.then_some("127.0.0.0/24"), "{row:?}");
        assert_eq!(row.request_id.is_some(), comes_from_a_request, "{row:?}");
        assert!(!format!("{row:?}").contains("secret"), "{row:?}");
    }
}

#[tokio::test]
async fn a_row_tells_who_did_what_to_whom_and_what_was_before() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    let body = json!({"room_id": room.id, "user_id": bo.id, "seconds": 60});
    let mute = world.post("/api/rooms/mute/").by(&ana).header("x-request-id", "r-42").json(body);
    assert_eq!(mute.send().await.status, 200);
    assert_eq!(set(&world, "settings", &ana, &room, json!({"slow_mode_seconds": 5})).await, 200);
    assert_eq!(set(&world, "settings", &ana, &room, json!({"slow_mode_seconds": 5})).await, 200);

    let row = of_room(&world, room.id, Action::Muted).await.remove(0);
    assert_eq!((row.actor_kind, row.actor, row.target), (ActorKind::Guest, Some(ana.id), Some(bo.id)));
    assert_eq!((row.at, row.request_id.as_deref()), (Timestamp(START), Some("r-42")));
    let json = |text: &Option<String>| serde_json::from_str::<Value>(text.as_deref().unwrap()).unwrap();
    assert_eq!(json(&row.before)["muted_until"], json!(null));
    assert_eq!(json(&row.after)["muted_until"], json!(START + 60_000));
    let rows = of_room(&world, room.id, Action::SettingsChanged).await;
    assert_eq!(rows.len(), 1, "what changed nothing is no row");
    assert_eq!(json(&rows[0].before), json!({"slow_mode_seconds": 0}), "only what was changed");
    assert_eq!(json(&rows[0].after), json!({"slow_mode_seconds": 5}));
}

#[tokio::test]
async fn hosts_read_of_their_room_and_nobody_else_does() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    let path = format!("/api/rooms/{}/audit/", room.code);
    world.advance(1);
    world.join(&room, &bo, "APPROVED").await;
    for _ in 0..3 {
        world.advance(1); // ids sort by time, and those of one moment by chance
        assert_eq!(world.act("mute", &room, &ana, &bo).await.0, 200);
        world.advance(1);
        assert_eq!(world.act("unmute", &room, &ana, &bo).await.0, 200);
    }
    let report = json!({"user_id": ana.id, "reason": "SPAM"});
    assert_eq!(set(&world, "report", &bo, &room, report).await, 201);

    let all = world.get(&path).by(&ana).send().await;
    assert_eq!((all.status, &all.body["has_more"]), (200, &json!(false)));
    let actions: Vec<&str> =
        all.body["entries"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions.len(), 8, "{actions:?}");
    assert_eq!(actions[7], "room.created");
    assert!(!actions.contains(&"moderation.reported"), "who reports is staff's to know");
    assert!(!all.text.contains("127.0.0"), "from where is staff's to know");
    assert_eq!(all.body["entries"][0]["actor"]["name"], json!("Ana"));

    let mut paged = Vec::new();
    let mut before = String::new();
    loop {
        let page = world.get(&format!("{path}?limit=3{before}")).by(&ana).send().await;
        let entries = page.body["entries"].as_array().unwrap().clone();
        before = format!("&before={}", entries.last().unwrap()["id"].as_str().unwrap());
        paged.extend(entries);
        if page.body["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(json!(paged), all.body["entries"]);
    let muted = world.get(&format!("{path}?action=moderation.muted")).by(&ana).send().await;
    assert_eq!(muted.body["entries"].as_array().unwrap().len(), 3);
    for bad in ["action=account.login", "action=x", "before=1", "limit=0"] {
        world.get(&format!("{path}?{bad}")).by(&ana).send().await.refused(400, "INVALID");
    }
    world.get(&path).by(&bo).send().await.refused(403, "HOST_ONLY");
    world.get(&path).send().await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn refusals_are_written_down_but_do_not_fill_the_log() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    assert_eq!(set(&world, "settings", &ana, &room, json!({"is_locked": true})).await, 200);
    for _ in 0..30 {
        let join = world.post("/api/rooms/join/").by(&bo).json(json!({"code": room.code})).send().await;
        join.refused(403, "ROOM_LOCKED");
    }
    assert_eq!(of_room(&world, room.id, Action::Refused).await.len(), 10);
}

#[tokio::test]
async fn playback_told_twice_is_one_row_and_of_what_nobody_knows_none() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let mut client = connect(&world).await;
    let nowhere = v1::PlaybackAct { room: vec![9; 16], id: vec![9; 16], ..play(&room, &ana) };
    let unread = v1::PlaybackAct { id: vec![1], ..play(&room, &ana) };
    for _ in 0..2 {
        let acts = vec![play(&room, &ana), nowhere.clone(), unread.clone()];
        client
            .save_playback(v1::SavePlaybackRequest { acts, acts_lost: 3, ..Default::default() })
            .await
            .unwrap();
    }
    let rows = of_room(&world, room.id, Action::Playback).await;
    assert_eq!(rows.len(), 1);
    let after: Value = serde_json::from_str(rows[0].after.as_deref().unwrap()).unwrap();
    assert_eq!(after, json!({"command": "PLAY", "time": 42.5, "version": 7}));
}
