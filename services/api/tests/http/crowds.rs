//! Many at once, on SQLite, which has one writer.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::support::{Person, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_hundred_guests_come_thirty_two_at_a_time() {
    let world = World::unlimited().await;
    let ids: BTreeSet<_> = stream::iter(0..300)
        .map(|i| {
            let world = &world;
            async move { world.guest(&format!("Guest {i}")).await.id }
        })
        .buffer_unordered(32)
        .collect()
        .await;
    assert_eq!(ids.len(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_and_forty_join_one_room_at_once() {
    let world = World::unlimited().await;
    let host = world.guest("Host").await;
    let room = world.room(&host, json!({"is_private": true, "entry_mode": "PASSWORD"})).await;
    let people: Vec<Person> =
        stream::iter(0..240).map(|_| async { world.guest("Bob").await }).buffer_unordered(32).collect().await;
    // Everybody twice, as impatient people do.
    let joins = people.iter().chain(&people).map(|person| {
        let body = json!({"code": room.code, "password": room.password});
        world.post("/api/rooms/join/").by(person).json(body).send()
    });
    for reply in futures_util::future::join_all(joins).await {
        assert_eq!((reply.status, reply.text("status").as_str()), (200, "APPROVED"), "{}", reply.text);
    }
    let path = format!("/api/rooms/{}/participants/?limit=500", room.code);
    let reply = world.get(&path).by(&host).send().await;
    let names: BTreeSet<&str> = reply
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|person| person["display_name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 241, "everybody once, each with a name of their own");
    assert!(names.contains("Bob") && names.contains("Bob (240)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_person_joining_from_many_tabs_is_one_participant() {
    let world = World::unlimited().await;
    let (host, bo) = (world.guest("Host").await, world.guest("Bo").await);
    let room = world.room(&host, json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    let joins =
        (0..50).map(|_| world.post("/api/rooms/join/").by(&bo).json(json!({"code": room.code})).send());
    for reply in futures_util::future::join_all(joins).await {
        assert_eq!((reply.status, reply.text("status").as_str()), (200, "PENDING"), "{}", reply.text);
    }
    let path = format!("/api/rooms/participants/?room_id={}", room.id);
    let people = world.get(&path).by(&host).send().await;
    assert_eq!(people.body.as_array().unwrap().len(), 2, "{}", people.text);
}
