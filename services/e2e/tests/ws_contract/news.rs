//! What HTTP changed is reported on every node within 500 ms.

use std::time::Duration;

use serde_json::json;
use streamit_client::{Entry, Event};
use streamit_e2e::{Room, Seat, System, on_both};
use tokio::time::Instant;

use crate::count;

on_both! {
    crate::SYSTEMS;
    a_change_of_settings_is_reported,
    a_change_of_what_is_watched_is_reported,
    a_change_of_host_is_reported_and_takes_effect,
    who_asks_to_come_in_is_reported_to_the_host_alone,
    a_deleted_room_says_goodbye_and_closes,
    who_leaves_for_good_is_gone_everywhere,
}

/// How long news may take, from the moment the call has been answered.
const SOON: Duration = Duration::from_millis(500);

/// A room with its host on the first node and a guest on each.
async fn full_room(system: &System, entry: Entry) -> (Room, Vec<Seat>) {
    let ana = system.user("Ana").await;
    let room = match entry {
        Entry::Approval => ana.approval_room().await,
        _ => ana.public_room().await,
    };
    let mut seats = vec![room.join_on(0, &ana).await];
    for node in 0..system.nodes() {
        seats.push(room.join_on(node, &system.guest(&format!("Guest {node}")).await).await);
    }
    for seat in &mut seats {
        seat.quiet().await;
    }
    (room, seats)
}

/// Waits for this type on every seat; the events.
async fn all_get(seats: &mut [Seat], kind: &str, since: Instant) -> Vec<Event> {
    let mut events = Vec::new();
    for seat in seats {
        events.push(seat.gets(kind).await);
        let took = since.elapsed();
        assert!(took < SOON, "{} got {kind} after {took:?}", seat.who());
    }
    events
}

async fn a_change_of_settings_is_reported(system: &System) {
    let (room, mut seats) = full_room(system, Entry::Public).await;
    let change = json!({"is_chat_enabled": false, "host_grace_seconds": 60});
    room.host_does("settings", change).await;
    for event in all_get(&mut seats, "ROOM_UPDATED", Instant::now()).await {
        let Event::RoomUpdated(changed) = event else { unreachable!() };
        assert_eq!(changed.is_chat_enabled, Some(false));
    }
    // What was so already is no news.
    room.host_does("settings", json!({"is_chat_enabled": false})).await;
    room.host_does("source", json!({"url": "https://example.org/"})).await;
    for seat in &mut seats {
        seat.gets("SOURCE_CHANGED").await;
        assert_eq!(count(&seat.quiet().await, "ROOM_UPDATED"), 0);
    }
}

async fn a_change_of_what_is_watched_is_reported(system: &System) {
    let (room, mut seats) = full_room(system, Entry::Public).await;
    room.host_does("source", json!({"url": "https://example.org/film.mp4", "title": "A film"})).await;
    for event in all_get(&mut seats, "SOURCE_CHANGED", Instant::now()).await {
        let Event::SourceChanged(source) = event else { unreachable!() };
        assert_eq!(source.0["url"], "https://example.org/film.mp4");
        assert_eq!(source.0["title"], "A film");
    }
    room.host_does("source", json!({"provider": "tube", "video_id": "abc"})).await;
    for event in all_get(&mut seats, "SOURCE_CHANGED", Instant::now()).await {
        let Event::SourceChanged(source) = event else { unreachable!() };
        assert_eq!((&source.0["video_provider"], &source.0["video_id"]), (&json!("tube"), &json!("abc")));
    }
}

async fn a_change_of_host_is_reported_and_takes_effect(system: &System) {
    let (room, mut seats) = full_room(system, Entry::Public).await;
    let heir = seats.last().unwrap().welcome.participants.you.clone().unwrap();

    room.host_does("transfer", json!({"user_id": heir.id})).await;
    for event in all_get(&mut seats, "HOST_CHANGED", Instant::now()).await {
        let Event::HostChanged(changed) = event else { unreachable!() };
        assert_eq!((changed.host, changed.host_id), (heir.name.clone(), heir.id));
    }

    for seat in &mut seats {
        let Event::RoomParticipants(list) = seat.gets("ROOM_PARTICIPANTS").await else { unreachable!() };
        assert_eq!(list.host.as_deref(), Some(heir.name.as_str()));
    }
    seats[0].play(Some(1.0)).await;
    seats[0].is_told("HOST_ONLY").await;
    seats.last_mut().unwrap().play(Some(2.0)).await;
    for seat in &mut seats {
        let state = seat.sees("the new host's command", |state| state.is_playing).await;
        assert!((state.time - 2.0).abs() < 0.001);
    }
}

async fn who_asks_to_come_in_is_reported_to_the_host_alone(system: &System) {
    let (room, mut seats) = full_room(system, Entry::Approval).await;
    let di = system.guest("Di").await;

    di.http().join(&room.code, None).await.unwrap();
    let event = all_get(&mut seats[..1], "JOIN_REQUEST", Instant::now()).await.remove(0);

    let Event::JoinRequest(person) = event else { unreachable!() };
    assert_eq!((person.user.as_str(), person.user_id), ("Di", Some(di.id())));
    seats[0].say("somebody is at the door").await;
    for seat in &mut seats[1..] {
        seat.waits("the host's words", |event| {
            assert_ne!(event.kind(), "JOIN_REQUEST");
            matches!(event, Event::ChatMessage(_)).then_some(())
        })
        .await;
    }
}

async fn a_deleted_room_says_goodbye_and_closes(system: &System) {
    let (room, mut seats) = full_room(system, Entry::Public).await;
    room.host_does("delete", json!({})).await;
    let answered = Instant::now();
    all_get(&mut seats, "ROOM_DELETED", answered).await;
    for seat in &mut seats {
        let reason = seat.is_closed_within(answered, SOON).await;
        assert_eq!(reason.code, 4005);
    }
}

async fn who_leaves_for_good_is_gone_everywhere(system: &System) {
    let ana = system.guest("Ana").await;
    let bo = system.guest("Bo").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut tabs = [room.join_on(1, &bo).await, room.join_on(2, &bo).await];

    bo.http().leave(room.id).await.unwrap();

    let answered = Instant::now();
    for tab in &mut tabs {
        let reason = tab.is_closed_within(answered, SOON).await;
        assert!(matches!(reason.code, 1000 | 4003), "{reason}: gone by his own will");
    }
    host.sees_go("Bo").await;
}
