//! Who is there: people, not connections, and a blip is not a departure.

use std::time::Duration;

use serde_json::json;
use streamit_client::{Event, Options};
use streamit_e2e::{Seat, System, on_both};
use tokio::time::Instant;

use crate::count;

on_both! {
    crate::SYSTEMS;
    two_tabs_are_one_person,
    a_goodbye_counts_at_once,
    a_cut_line_counts_after_the_grace_and_a_blip_not_at_all,
    a_reload_is_a_blip,
    the_host_going_and_coming_is_told,
    after_the_grace_the_room_waits_for_its_host,
    the_film_stops_when_nobody_is_left,
}

/// The default grace after a cut.
const GRACE: Duration = Duration::from_secs(3);

fn names_gone(events: &[Event]) -> Vec<&str> {
    let gone = events.iter().filter_map(|event| match event {
        Event::UserLeft(person) => Some(person.user.as_str()),
        _ => None,
    });
    gone.collect()
}

/// All that comes until `name` goes, that included.
async fn until_gone(seat: &mut Seat, name: &str) -> Vec<Event> {
    let mut seen = Vec::new();
    seat.waits(&format!("{name} to go"), |event| {
        seen.push(event.clone());
        matches!(event, Event::UserLeft(person) if person.user == name).then_some(())
    })
    .await;
    seen
}

async fn two_tabs_are_one_person(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;

    let first = room.join_on(1, &bo).await;
    let second = room.join_on(2, &bo).await;
    assert_eq!(second.welcome.participants.participants.len(), 2);
    first.leaves().await;
    let mut third = room.join_on(0, &bo).await;
    second.leaves().await;
    third.say("still here").await;
    let mut seen = Vec::new();
    ana.waits("still here", |event| {
        seen.push(event.clone());
        matches!(event, Event::ChatMessage(_)).then_some(())
    })
    .await;
    third.leaves().await;
    seen.extend(until_gone(&mut ana, "Bo").await);
    seen.extend(ana.quiet().await);

    assert_eq!(count(&seen, "USER_JOINED"), 1, "{seen:?}");
    assert_eq!(names_gone(&seen), ["Bo"], "{seen:?}");
}

async fn a_goodbye_counts_at_once(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;
    let bo = room.join_on(1, &bo).await;
    ana.sees_come("Bo").await;

    let start = Instant::now();
    bo.leaves().await;
    ana.sees_go("Bo").await;

    assert!(start.elapsed() < GRACE / 2, "after {:?}", start.elapsed());
}

async fn a_cut_line_counts_after_the_grace_and_a_blip_not_at_all(system: &System) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;
    let bo_sits = room.join_on(1, &bo).await;
    let cy_sits = room.join_on(1, &cy).await;
    ana.sees_come("Bo").await;
    ana.sees_come("Cy").await;

    drop(bo_sits);
    // Back on another node, before the grace is over. Cy, cut later, is not: her grace ends after Bo's would have.
    let _bo_sits = room.sit(2, &bo, Options::default()).await;
    let start = Instant::now();
    drop(cy_sits);
    let mut seen = until_gone(&mut ana, "Cy").await;
    let took = start.elapsed();
    seen.extend(ana.quiet().await);

    assert_eq!(names_gone(&seen), ["Cy"], "{seen:?}");
    assert_eq!(count(&seen, "USER_JOINED"), 0, "{seen:?}");
    assert!(took > GRACE - Duration::from_millis(500) && took < GRACE * 2, "after {took:?}");
}

async fn a_reload_is_a_blip(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;
    let mut bo_sits = room.join_on(1, &bo).await;
    ana.sees_come("Bo").await;

    // What browsers send when a page goes.
    bo_sits.line.sender().close(1001, "").await.unwrap();
    bo_sits.is_closed().await;
    let mut bo_sits = room.sit(1, &bo, Options::default()).await;
    bo_sits.line.sender().close(1001, "").await.unwrap();
    let start = Instant::now();
    let seen = until_gone(&mut ana, "Bo").await;

    assert_eq!(count(&seen, "USER_JOINED"), 0, "{seen:?}");
    assert!(start.elapsed() > GRACE - Duration::from_millis(500), "after {:?}", start.elapsed());
}

async fn the_host_going_and_coming_is_told(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let host = room.join_on(0, &ana).await;
    let mut bo = room.join_on(1, &bo).await;

    host.leaves().await;
    bo.sees_go("Ana").await;
    let Event::HostDisconnected(gone) = bo.gets("HOST_DISCONNECTED").await else { unreachable!() };
    assert_eq!(gone.grace_seconds, 30);

    let mut host = room.sit(2, &ana, Options::default()).await;
    bo.gets("HOST_RECONNECTED").await;
    host.play(Some(1.0)).await;
    bo.sees("the host in control again", |state| state.is_playing).await;
}

async fn after_the_grace_the_room_waits_for_its_host(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.host_does("settings", json!({"host_grace_seconds": 5, "on_host_lost": "wait"})).await;
    let host = room.join_on(0, &ana).await;
    let mut bo_sits = room.join_on(1, &bo).await;

    host.leaves().await;
    let Event::HostDisconnected(gone) = bo_sits.gets("HOST_DISCONNECTED").await else { unreachable!() };
    assert_eq!(gone.grace_seconds, 5);
    let over = bo_sits.clock().await + 6_000;
    bo_sits.waits_until(over).await;

    bo_sits.play(None).await;
    bo_sits.is_told("HOST_ONLY").await;
    let detail = bo.http().detail(&room.code).await.unwrap();
    assert_eq!((detail.host_id, &detail.rest["is_active"]), (Some(ana.id()), &json!(true)));
    let mut host = room.sit(2, &ana, Options::default()).await;
    bo_sits.gets("HOST_RECONNECTED").await;
    host.play(Some(3.0)).await;
    bo_sits.sees("the host in control again", |state| state.is_playing).await;
}

async fn the_film_stops_when_nobody_is_left(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    host.play(Some(100.0)).await;
    let started = host.sees("the film running", |state| state.is_playing).await;
    host.waits_until(started.server_time + 300).await;
    let left = host.clock().await;
    host.leaves().await;

    let stopped = streamit_e2e::until("the film to stop", async || {
        let back = room.sit(1, &ana, Options::default()).await;
        let state = back.welcome.playback;
        back.leaves().await;
        (!state.is_playing).then_some(state)
    });
    let stopped = stopped.await.unwrap();

    let expected = started.position(left as f64);
    // It ran on at most until the departure was noticed.
    assert!(
        stopped.time >= expected - 0.1 && stopped.time < expected + 1.0,
        "{} for {expected}",
        stopped.time
    );
    assert!(stopped.version > started.version);
}
