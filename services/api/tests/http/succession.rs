//! Whose a room is while its host stays away, and afterwards.

use serde_json::json;
use streamit_bus::{Entry, EntryKey};
use streamit_domain::room::{FOREVER, Life, Role};
use streamit_domain::{ConnectionId, Incarnation, UserId};
use streamit_storage::{outbox, participants, rooms};
use streamit_wire::v1;

use crate::grpc::connect;
use crate::support::{Person, Room, START, World, background, eventually, next_facts, stored};

pub(crate) fn key(person: &Person) -> EntryKey {
    let connection = ConnectionId(person.id.0.as_u128() as u64);
    EntryKey { incarnation: Incarnation(uuid::Uuid::from_u128(1)), connection }
}

/// Connects; a second passes, so that nobody comes at the same moment.
pub(crate) async fn enter(world: &World, room: &Room, person: &Person) -> u64 {
    let entry = Entry { key: key(person), user: person.id, name: "x".into() };
    let (change, _) = world.rooms.enter(room.id, &[entry], 0).await.unwrap();
    world.advance(1);
    change.version
}

pub(crate) async fn leave(world: &World, room: &Room, person: &Person) -> u64 {
    world.rooms.leave(room.id, &[key(person)], 0).await.unwrap().version
}

/// A node's word about the host, or about the one to whom the room goes back.
pub(crate) async fn report(world: &World, room: &Room, host: &Person, roster_version: u64, is_back: bool) {
    let fence = stored(world, room).await.fence;
    let (room, host) = (room.id.as_bytes().to_vec(), host.id.as_bytes().to_vec());
    let report = v1::HostReport { room, host, fence, roster_version, is_back };
    let request = v1::ReportHostsRequest { reports: vec![report] };
    connect(world).await.report_hosts(request).await.unwrap();
}

async fn set(world: &World, room: &Room, by: &Person, what: &str) {
    let body = json!({"room_id": room.id, "on_host_lost": what});
    let set = world.post("/api/rooms/settings/").by(by).json(body).send().await;
    assert_eq!((set.status, set.text("on_host_lost").as_str()), (200, what));
}

/// A room from which its host is lost, with Bo and Cy in it, Bo first.
struct Lost {
    world: World,
    room: Room,
    ana: Person,
    bo: Person,
    cy: Person,
}

async fn lost(setting: &str) -> Lost {
    let world = World::new().await;
    let (ana, bo, cy) = (world.guest("Ana").await, world.guest("Bo").await, world.guest("Cy").await);
    let room = world.public_room(&ana).await;
    set(&world, &room, &ana, setting).await;
    for person in [&ana, &bo, &cy] {
        world.join(&room, person, "APPROVED").await;
        enter(&world, &room, person).await;
    }
    let seen = leave(&world, &room, &ana).await;
    report(&world, &room, &ana, seen, false).await;
    Lost { world, room, ana, bo, cy }
}

impl Lost {
    /// Waits until this one is host.
    async fn is_hosted_by(&self, host: &Person) -> rooms::Room {
        eventually("somebody else is host", || async {
            let room = stored(&self.world, &self.room).await;
            (room.host == host.id).then_some(room)
        })
        .await
    }

    /// Lets the grace pass, and waits until this one is host.
    async fn passes_to(&self, host: &Person) -> rooms::Room {
        self.world.advance(31);
        self.is_hosted_by(host).await
    }

    async fn goes_back_to(&self) -> Option<UserId> {
        stored(&self.world, &self.room).await.lost_host
    }
}

#[tokio::test]
async fn an_empty_room_waits_for_its_host_until_the_deadline_and_sleeps() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let (gone, back, quick) =
        (world.public_room(&ana).await, world.public_room(&ana).await, world.public_room(&ana).await);
    for room in [&gone, &back, &quick] {
        report(&world, room, &ana, 10, false).await;
        assert_eq!(stored(&world, room).await.host_deadline.unwrap().0, START + 30_000);
    }
    report(&world, &gone, &bo, 11, true).await;
    report(&world, &gone, &ana, 9, true).await;
    assert!(stored(&world, &gone).await.host_deadline.is_some(), "not the host, and older news");
    report(&world, &quick, &ana, 11, true).await;
    assert_eq!(stored(&world, &quick).await.host_deadline, None);
    enter(&world, &back, &ana).await;
    let _background = background(&world);
    // Past the deadline, and past the time in which absence proves nothing.
    world.advance(31);
    eventually("the host of one room is back", || async {
        stored(&world, &back).await.host_deadline.is_none().then_some(())
    })
    .await;
    let asleep = eventually("the other room waits on without end", || async {
        Some(stored(&world, &gone).await).filter(|room| room.host_deadline == Some(FOREVER))
    })
    .await;
    assert_eq!((asleep.host, asleep.facts_version), (ana.id, 3));

    // Who has been in it for long, and who is asked about, says nothing; that somebody is there does.
    world.join(&gone, &bo, "APPROVED").await;
    enter(&world, &gone, &bo).await;
    let rooms = vec![gone.id.as_bytes().to_vec()];
    client.versions(v1::VersionsRequest { rooms }).await.unwrap();
    let awake = eventually("somebody came, and the host did not", || async {
        Some(stored(&world, &gone).await).filter(|room| room.host == bo.id)
    })
    .await;
    assert_eq!((awake.lost_host, awake.fence, awake.host_deadline), (Some(ana.id), 2, None));
}

#[tokio::test]
async fn who_was_there_longest_is_host_after_the_grace_and_the_owner_again_when_she_returns() {
    let party = lost("promote").await;
    let (world, room) = (&party.world, &party.room);
    let before = stored(world, room).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let _background = background(world);

    let passed = party.passes_to(&party.bo).await;

    assert_eq!((passed.fence, passed.facts_version), (before.fence + 1, before.facts_version + 1));
    assert_eq!(next_facts(&mut news).await.version, passed.facts_version, "every node hears of it");
    assert_eq!(world.act("mute", room, &party.bo, &party.cy).await.0, 200, "he may what a host may");
    assert_eq!(world.act("mute", room, &party.ana, &party.cy).await, (403, "HOST_ONLY".into()));
    let body = json!({"room_id": room.id});
    world.post("/api/rooms/leave/").by(&party.bo).json(body).send().await.refused(409, "CONFLICT");
    assert_eq!(world.act("kick", room, &party.bo, &party.ana).await.0, 403, "the one who opened it");

    let seen = enter(world, room, &party.ana).await;
    report(world, room, &party.ana, seen, true).await;

    let back = stored(world, room).await;
    assert_eq!((back.host, back.lost_host, back.fence), (party.ana.id, None, passed.fence + 1));
    report(world, room, &party.ana, seen, true).await;
    assert_eq!(stored(world, room).await, back, "once");
    eventually("live state was told of every fence", || async {
        let mut read = world.store.read().await.unwrap();
        outbox::due(&mut read, world.rooms.now(), 10).await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cohost_comes_before_who_was_there_longer_and_is_cohost_again_afterwards() {
    let party = lost("promote").await;
    let (world, room) = (&party.world, &party.room);
    let body = json!({"room_id": room.id, "user_id": party.cy.id, "on": true});
    let cohost = world.post("/api/rooms/cohost/").by(&party.ana).json(body).send().await;
    assert_eq!(cohost.status, 200);
    let _background = background(world);
    party.passes_to(&party.cy).await;
    let seen = enter(world, room, &party.ana).await;
    report(world, room, &party.ana, seen, true).await;
    assert_eq!(stored(world, room).await.host, party.ana.id);
    let entry =
        participants::get(&mut world.store.read().await.unwrap(), room.id, party.cy.id).await.unwrap();
    assert_eq!(entry.unwrap().role, Role::Cohost);
}

#[tokio::test]
async fn a_return_that_no_node_told_of_is_made_good() {
    let party = lost("promote").await;
    let _background = background(&party.world);
    party.passes_to(&party.bo).await;
    enter(&party.world, &party.room, &party.ana).await;
    let back = party.is_hosted_by(&party.ana).await;
    assert_eq!((back.lost_host, back.fence), (None, 3));
}

#[tokio::test]
async fn a_chain_passes_on_and_goes_back_to_the_first() {
    let party = lost("promote").await;
    let (world, room) = (&party.world, &party.room);
    let _background = background(world);
    party.passes_to(&party.bo).await;
    let seen = leave(world, room, &party.bo).await;
    report(world, room, &party.bo, seen, false).await;
    enter(world, room, &party.cy).await; // else nobody keeps the roster from running out
    party.passes_to(&party.cy).await;
    assert_eq!(party.goes_back_to().await, Some(party.ana.id));
    let seen = enter(world, room, &party.bo).await;
    report(world, room, &party.bo, seen, true).await;
    assert_eq!(stored(world, room).await.host, party.cy.id, "it never was his to get back");
    let seen = enter(world, room, &party.ana).await;
    report(world, room, &party.ana, seen, true).await;
    assert_eq!(stored(world, room).await.host, party.ana.id);
}

#[tokio::test]
async fn what_is_handed_over_by_hand_does_not_go_back() {
    let party = lost("promote").await;
    let (world, room) = (&party.world, &party.room);
    assert_eq!(world.act("transfer", room, &party.ana, &party.cy).await.0, 200);
    let seen = enter(world, room, &party.ana).await;
    report(world, room, &party.ana, seen, true).await;
    let kept = stored(world, room).await;
    assert_eq!((kept.host, kept.lost_host), (party.cy.id, None));
    let body = json!({"room_id": room.id});
    let deleted = world.post("/api/rooms/delete/").by(&party.ana).json(body).send().await;
    assert_eq!(deleted.status, 200, "whoever opened it may still end it");
}

#[tokio::test]
async fn who_has_the_room_for_somebody_can_neither_give_it_away_nor_end_it() {
    let party = lost("promote").await;
    let (world, room) = (&party.world, &party.room);
    let _background = background(world);
    party.passes_to(&party.bo).await;
    let body = json!({"room_id": room.id});
    world.post("/api/rooms/delete/").by(&party.bo).json(body).send().await.refused(403, "FORBIDDEN");
    assert_eq!(world.act("transfer", room, &party.bo, &party.cy).await.0, 200);
    assert_eq!(party.goes_back_to().await, Some(party.ana.id));
    let seen = enter(world, room, &party.ana).await;
    report(world, room, &party.ana, seen, true).await;
    let back = stored(world, room).await;
    assert_eq!((back.host, back.lost_host), (party.ana.id, None));
}

#[tokio::test]
async fn who_has_the_room_for_somebody_can_not_lock_them_out_though_they_did_not_open_it() {
    let party = lost("promote").await;
    let (world, room) = (&party.world, &party.room);
    assert_eq!(world.act("transfer", room, &party.ana, &party.bo).await.0, 200);
    let seen = leave(world, room, &party.bo).await;
    report(world, room, &party.bo, seen, false).await;
    enter(world, room, &party.cy).await;
    let _background = background(world);
    party.passes_to(&party.cy).await;
    for action in ["kick", "ban", "mute"] {
        assert_eq!(
            world.act(action, room, &party.cy, &party.bo).await,
            (403, "FORBIDDEN".into()),
            "{action}"
        );
    }
    let seen = enter(world, room, &party.bo).await;
    report(world, room, &party.bo, seen, true).await;
    assert_eq!(stored(world, room).await.host, party.bo.id);
}

#[tokio::test]
async fn who_leaves_for_good_gets_nothing_back() {
    let party = lost("promote").await;
    let (world, room) = (&party.world, &party.room);
    let _background = background(world);
    party.passes_to(&party.bo).await;
    let body = json!({"room_id": room.id});
    assert_eq!(world.post("/api/rooms/leave/").by(&party.ana).json(body).send().await.status, 200);
    assert_eq!(party.goes_back_to().await, None);
}

#[tokio::test]
async fn a_room_that_is_to_close_without_its_host_closes() {
    let party = lost("close").await;
    let mut news = party.world.rooms.subscribe(party.room.id).await.unwrap();
    let _background = background(&party.world);
    party.world.advance(31);
    let closed = eventually("the room closes", || async {
        Some(stored(&party.world, &party.room).await).filter(|room| room.life == Life::Closed)
    })
    .await;
    assert_eq!((closed.host, closed.host_deadline), (party.ana.id, None));
    let facts = next_facts(&mut news).await;
    assert_eq!((facts.version, facts.life()), (closed.facts_version, v1::Life::Closed));
    let join = party.world.post("/api/rooms/join/").by(&party.bo).json(json!({"code": party.room.code}));
    join.send().await.refused(404, "ROOM_CLOSED");
}

#[tokio::test]
async fn a_room_that_is_to_wait_waits_also_for_a_host_who_was_appointed_while_away() {
    let party = lost("wait").await;
    let (world, room) = (&party.world, &party.room);
    let di = world.guest("Di").await;
    world.join(room, &di, "APPROVED").await;
    assert_eq!(world.act("transfer", room, &party.ana, &di).await.0, 200);
    assert_eq!(stored(world, room).await.host_deadline, None, "that nobody sees him is for nodes to say");
    let roster = world.rooms.roster(room.id).await.unwrap().version;
    report(world, room, &di, roster, false).await;
    let waiting = stored(world, room).await;
    report(world, room, &party.ana, roster + 1, true).await;
    assert_eq!(stored(world, room).await, waiting, "not of the host before");

    let _background = background(world);
    world.advance(31);
    eventually("the grace has passed", || async {
        (stored(world, room).await.host_deadline == Some(FOREVER)).then_some(())
    })
    .await;
    assert_eq!(stored(world, room).await.host, di.id);
    report(world, room, &di, roster + 2, true).await;
    assert_eq!(stored(world, room).await.host_deadline, None, "whenever he comes");
}
