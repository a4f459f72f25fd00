//! A host who stays away: somebody else is host until she returns, or the room closes.

use serde_json::json;
use streamit_client::{Event, Options};
use streamit_e2e::{Person, Room, Seat, System, on_both};

on_both! {
    crate::SYSTEMS;
    after_the_grace_somebody_else_is_host_until_she_returns,
    a_cohost_is_host_before_who_was_there_longer,
    a_room_may_close_without_its_host,
}

/// A room that waits for five seconds, and those in it, the one who opened it last.
async fn room(system: &System, on_host_lost: &str) -> (Room, Seat, Seat, Seat, [Person; 2]) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    room.host_does("settings", json!({"host_grace_seconds": 5, "on_host_lost": on_host_lost})).await;
    let host = room.join_on(0, &ana).await;
    let bo_sits = room.join_on(1, &bo).await;
    let cy_sits = room.join_on(2, &cy).await;
    (room, bo_sits, cy_sits, host, [bo, cy])
}

async fn hears_of_host(seat: &mut Seat, next: &Person) {
    let Event::HostChanged(told) = seat.gets("HOST_CHANGED").await else { unreachable!() };
    assert_eq!((told.host_id, &told.host), (next.id(), &next.account.display_name));
    let Event::RoomParticipants(list) = seat.gets("ROOM_PARTICIPANTS").await else { unreachable!() };
    assert_eq!(list.host.as_ref(), Some(&next.account.display_name), "the list follows");
}

async fn after_the_grace_somebody_else_is_host_until_she_returns(system: &System) {
    let (room, mut bo, mut cy, host, [bo_is, cy_is]) = room(system, "promote").await;
    host.leaves().await;
    bo.gets("HOST_DISCONNECTED").await;

    for seat in [&mut bo, &mut cy] {
        hears_of_host(seat, &bo_is).await;
    }
    bo.play(Some(10.0)).await;
    cy.sees("the film of the next host", |state| state.is_playing).await;
    cy.pause(None).await;
    cy.is_told("HOST_ONLY").await;
    cy.send(&json!({"type": "KICK_USER", "user_id": bo_is.id()})).await;
    cy.is_told("HOST_ONLY").await;

    let mut host = room.sit(2, &room.host, Options::default()).await;
    assert_eq!(host.welcome.participants.host.as_deref(), Some("Bo"), "until it is known that she is back");
    for seat in [&mut bo, &mut cy, &mut host] {
        hears_of_host(seat, &room.host).await;
    }
    host.pause(Some(20.0)).await;
    bo.sees("her pause", |state| !state.is_playing && (state.time - 20.0).abs() < 0.001).await;
    bo.play(None).await;
    bo.is_told("HOST_ONLY").await;
    let detail = cy_is.http().detail(&room.code).await.unwrap();
    assert_eq!(detail.host_id, Some(room.host.id()));
}

async fn a_cohost_is_host_before_who_was_there_longer(system: &System) {
    let (room, mut bo, mut cy, host, [_, cy_is]) = room(system, "promote").await;
    room.host_does("cohost", json!({"user_id": cy_is.id(), "on": true})).await;
    host.leaves().await;
    for seat in [&mut bo, &mut cy] {
        hears_of_host(seat, &cy_is).await;
    }
    let _host = room.sit(0, &room.host, Options::default()).await;
    hears_of_host(&mut bo, &room.host).await;
    cy.seek(30.0).await;
    bo.sees("what a co-host may still do", |state| (state.time - 30.0).abs() < 0.001).await;
}

async fn a_room_may_close_without_its_host(system: &System) {
    let (room, mut bo, mut cy, host, [bo_is, _]) = room(system, "close").await;
    host.leaves().await;
    for seat in [&mut bo, &mut cy] {
        seat.gets("ROOM_DELETED").await;
        assert_eq!(seat.is_closed().await.code, 4005);
    }
    let refused = room.try_sit(0, &bo_is, Options::default()).await;
    assert!(matches!(refused, Err(streamit_client::Error::Closed(reason)) if reason.code == 4005));
}
