//! What happens when nobody is there.

use std::time::Duration;

use serde_json::json;
use streamit_bus::{Entry, EntryKey, Expect};
use streamit_domain::playback::Command;
use streamit_domain::room::FOREVER;
use streamit_domain::{ConnectionId, Incarnation, MediaTime, Playback};
use streamit_storage::rooms;
use streamit_wire::v1;
use tokio_util::sync::CancellationToken;

use crate::grpc::connect;
use crate::support::{Person, Room, START, World, eventually, next_facts};

/// The api's background work, which ends with this.
fn background(world: &World) -> tokio_util::sync::DropGuard {
    let (api, stop) = (world.api.clone(), CancellationToken::new());
    let stopped = stop.clone();
    tokio::spawn(async move { api.background(stopped).await });
    stop.drop_guard()
}

async fn stored(world: &World, room: &Room) -> rooms::Room {
    rooms::by_id(&mut world.store.read().await.unwrap(), room.id).await.unwrap().unwrap()
}

async fn enter(world: &World, room: &Room, person: &Person) {
    let key = EntryKey { incarnation: Incarnation(uuid::Uuid::from_u128(1)), connection: ConnectionId(1) };
    let entry = Entry { key, user: person.id, name: "x".into() };
    world.rooms.enter(room.id, &[entry], 0).await.unwrap();
}

fn report(room: &Room, host: &Person, roster_version: u64, is_back: bool) -> v1::ReportHostsRequest {
    under(1, room, host, roster_version, is_back)
}

fn under(
    fence: u64,
    room: &Room,
    host: &Person,
    roster_version: u64,
    is_back: bool,
) -> v1::ReportHostsRequest {
    let report = v1::HostReport {
        room: room.id.as_bytes().to_vec(),
        host: host.id.as_bytes().to_vec(),
        fence,
        roster_version,
        is_back,
    };
    v1::ReportHostsRequest { reports: vec![report] }
}

#[tokio::test]
async fn a_room_waits_for_its_host_until_the_deadline_and_on() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let (gone, back, quick) =
        (world.public_room(&ana).await, world.public_room(&ana).await, world.public_room(&ana).await);
    for room in [&gone, &back, &quick] {
        client.report_hosts(report(room, &ana, 10, false)).await.unwrap();
        assert_eq!(stored(&world, room).await.host_deadline.unwrap().0, START + 30_000);
    }
    client.report_hosts(report(&gone, &bo, 11, true)).await.unwrap();
    client.report_hosts(report(&gone, &ana, 9, true)).await.unwrap();
    assert!(stored(&world, &gone).await.host_deadline.is_some(), "not the host, and older news");
    client.report_hosts(report(&quick, &ana, 11, true)).await.unwrap();
    assert_eq!(stored(&world, &quick).await.host_deadline, None);

    enter(&world, &back, &ana).await;
    let _background = background(&world);
    // Past the deadline, and past the time in which absence proves nothing.
    world.advance(31);
    eventually("the host of one room is back", || async {
        stored(&world, &back).await.host_deadline.is_none().then_some(())
    })
    .await;
    eventually("the other room waits on without end", || async {
        (stored(&world, &gone).await.host_deadline == Some(FOREVER)).then_some(())
    })
    .await;
    let room = stored(&world, &gone).await;
    assert_eq!((room.host, room.facts_version), (ana.id, 3));
}

#[tokio::test]
async fn a_host_who_is_not_there_when_the_room_is_handed_over_is_waited_for() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    enter(&world, &room, &ana).await;
    let roster = world.rooms.roster(room.id).await.unwrap().version;
    assert_eq!(world.act("transfer", &room, &ana, &bo).await.0, 200);
    assert_eq!(stored(&world, &room).await.host_deadline, None, "that nobody sees him is for nodes to say");

    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    client.report_hosts(under(2, &room, &bo, roster, false)).await.unwrap();
    let waiting = stored(&world, &room).await;
    assert_eq!((waiting.host, waiting.host_deadline.unwrap().0), (bo.id, START + 30_000));
    assert_eq!(next_facts(&mut news).await.version, waiting.facts_version, "every node hears of it");
    client.report_hosts(report(&room, &ana, roster + 1, true)).await.unwrap();
    assert_eq!(stored(&world, &room).await.host_deadline, waiting.host_deadline, "not of the host before");

    let _background = background(&world);
    world.advance(31);
    eventually("the grace has passed", || async {
        (stored(&world, &room).await.host_deadline == Some(FOREVER)).then_some(())
    })
    .await;
    client.report_hosts(under(2, &room, &bo, roster + 2, true)).await.unwrap();
    assert_eq!(stored(&world, &room).await.host_deadline, None, "whenever he comes");
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
    client.save_playback(v1::SavePlaybackRequest { rooms: vec![saved] }).await.unwrap();
    world.advance(20);
    world.rooms.refresh(&[room.id]).await.unwrap();
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
