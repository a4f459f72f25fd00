//! What happens when nobody is there.

use std::time::Duration;

use serde_json::json;
use streamit_bus::{Entry, EntryKey, Expect};
use streamit_domain::playback::Command;
use streamit_domain::{ConnectionId, Incarnation, MediaTime, Playback};
use streamit_storage::rooms;
use streamit_wire::v1;

use crate::grpc::connect;
use crate::support::{Person, Room, World, background, eventually, stored};

async fn enter(world: &World, room: &Room, person: &Person) {
    let key = EntryKey { incarnation: Incarnation(uuid::Uuid::from_u128(1)), connection: ConnectionId(1) };
    let entry = Entry { key, user: person.id, name: "x".into() };
    world.rooms.enter(room.id, &[entry], 0).await.unwrap();
}

#[tokio::test]
async fn a_film_stops_where_it_was_when_its_last_node_died() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    enter(&world, &room, &ana).await;
    let now = world.rooms.now();
    let playing = Playback::start(1, now).after(
        Command::Play(Some(MediaTime::try_from(100.0).unwrap())),
        1,
        0,
        now,
        Duration::ZERO,
    );
    let anything = Expect { version: None, confirmed: true, only_if_empty: false, fence: None };
    world.rooms.set_playback(room.id, anything, &playing).await.unwrap();
    let saved = v1::SavedPlayback { room: room.id.as_bytes().to_vec(), playback: Some((&playing).into()) };
    client.save_playback(v1::SavePlaybackRequest { rooms: vec![saved], ..Default::default() }).await.unwrap();
    world.advance(20);
    world.rooms.refresh(Incarnation(uuid::Uuid::from_u128(1)), &[(room.id, None)]).await.unwrap();
    let _background = background(&world);
    world.advance(61);

    let paused = eventually("the film stops", || async {
        world.rooms.playback(room.id).await.unwrap().filter(|playback| !playback.is_playing)
    })
    .await;
    assert!((paused.time.secs() - 120.0).abs() < 1.0, "where it was last seen: {:?}", paused.time);
    eventually("that is kept", || async {
        let mut read = world.store.read().await.unwrap();
        let kept = rooms::load_playback(&mut read, room.id).await.unwrap().unwrap();
        (kept.version == paused.version).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_room_that_nobody_visits_expires() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let (old, kept) = (world.public_room(&ana).await, world.public_room(&ana).await);
    let body = json!({"room_id": kept.id, "expiry_days": 30});
    assert_eq!(world.post("/api/rooms/settings/").by(&ana).json(body).send().await.status, 200);
    let _background = background(&world);
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    eventually("the room expires", || async {
        (stored(&world, &old).await.life == streamit_domain::room::Life::Expired).then_some(())
    })
    .await;
    assert_eq!(stored(&world, &kept).await.life, streamit_domain::room::Life::Active);
    let ana = Person::of(
        &world.post("/api/auth/refresh/").json(json!({"refresh_token": ana.refresh})).send().await,
    );
    let join = world.post("/api/rooms/join/").by(&ana).json(json!({"code": old.code})).send().await;
    join.refused(404, "ROOM_EXPIRED");
    let detail = world.get(&format!("/api/rooms/{}/", old.code)).by(&ana).send().await;
    assert_eq!((detail.text("state").as_str(), &detail.body["is_active"]), ("EXPIRED", &json!(false)));
}

#[tokio::test]
async fn fences_leave_the_outbox_once_they_were_told() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let due = || async {
        let mut read = world.store.read().await.unwrap();
        streamit_storage::outbox::due(&mut read, world.rooms.now(), 10).await.unwrap()
    };
    assert_eq!(due().await.iter().map(|fence| (fence.room, fence.fence)).collect::<Vec<_>>(), [(room.id, 1)]);
    let _background = background(&world);
    eventually("the fence was told", || async { due().await.is_empty().then_some(()) }).await;
    let unconfirmed = Expect { version: None, confirmed: false, only_if_empty: false, fence: None };
    let first = Playback::start(1, world.rooms.now());
    let stored = world.rooms.set_playback(room.id, unconfirmed, &first).await.unwrap();
    assert_eq!(stored, streamit_bus::Cas::Stored, "live state knows the fence without asking");
}
