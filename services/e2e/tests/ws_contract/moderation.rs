//! What the host does about people, over the WebSocket.

use std::time::Duration;

use serde_json::json;
use streamit_client::Options;
use streamit_e2e::{System, on_both};
use tokio::time::Instant;
use uuid::Uuid;

on_both! {
    crate::SYSTEMS;
    the_host_kicks_over_the_websocket,
    the_host_bans_over_the_websocket,
    the_host_mutes_over_the_websocket,
    only_the_host_acts_on_people,
    more_than_20_connections_of_one_person_are_too_many,
}

const SOON: Duration = Duration::from_millis(500);

async fn removes(system: &System, kind: &str, close: u16, code: &str) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut tabs = Vec::new();
    for node in 0..3 {
        tabs.push(room.join_on(node, &bo).await);
    }

    let start = Instant::now();
    host.send(&json!({"type": kind, "user_id": bo.id()})).await;

    for tab in &mut tabs {
        assert_eq!(tab.is_closed_within(start, SOON).await.code, close);
    }
    host.sees_go("Bo").await;
    let refused = bo.http().join(&room.code, None).await.unwrap_err();
    assert_eq!(refused.api().unwrap().code, code);
    assert!(room.try_sit(1, &bo, Options::default()).await.is_err());
}

async fn the_host_kicks_over_the_websocket(system: &System) {
    removes(system, "KICK_USER", 4011, "KICKED").await;
}

async fn the_host_bans_over_the_websocket(system: &System) {
    removes(system, "BAN_USER", 4010, "BANNED").await;
}

async fn the_host_mutes_over_the_websocket(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut bo_sits = room.join_on(1, &bo).await;
    bo_sits.say("hello").await;
    host.hears("hello").await;

    host.send(&json!({"type": "MUTE_USER", "user_id": bo.id()})).await;
    streamit_e2e::until("the mute to be known", async || {
        let list = ana.http().participants(room.id).await.unwrap();
        list.iter().any(|person| person.id == bo.id() && person.rest["muted"] == json!(true)).then_some(())
    })
    .await
    .unwrap();

    bo_sits.say("hello?").await;
    bo_sits.is_told("MUTED").await;
}

async fn only_the_host_acts_on_people(system: &System) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut bo = room.join_on(1, &bo).await;
    let mut cy_sits = room.join_on(2, &cy).await;

    for kind in ["KICK_USER", "BAN_USER", "MUTE_USER"] {
        bo.send(&json!({"type": kind, "user_id": cy.id()})).await;
        bo.is_told("HOST_ONLY").await;
        host.send(&json!({"type": kind, "user_id": Uuid::nil()})).await;
        host.is_told("NOT_FOUND").await;
    }
    cy_sits.say("still here").await;
    host.hears("still here").await;
}

async fn more_than_20_connections_of_one_person_are_too_many(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut tabs = Vec::new();
    for _ in 0..20 {
        tabs.push(room.join_on(0, &ana).await);
    }

    let mut one_more = room.knock(0, &ana, Options::default()).await.unwrap();
    let reason = one_more.closed().await.unwrap();
    assert_eq!(reason.code, 4105);
    assert!(reason.retry_in_ms.is_some_and(|wait| wait > 0), "{reason}");

    tabs.pop().unwrap().leaves().await;
    streamit_e2e::until("a place to be free again", async || {
        room.try_sit(0, &ana, Options::default()).await.ok()
    })
    .await
    .unwrap();
    // The others never noticed.
    tabs[0].say("fine").await;
    tabs[18].hears("fine").await;
}
