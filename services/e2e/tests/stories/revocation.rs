//! Who must go is gone, on every node, within half a second.

use std::time::Duration;

use serde_json::json;
use streamit_client::Options;
use streamit_e2e::{PASSWORD, Person, Room, Seat, System, on_both, until};
use tokio::time::Instant;

on_both! {
    crate::SYSTEMS;
    who_is_kicked_is_gone_everywhere_at_once,
    who_is_banned_is_gone_everywhere_at_once,
    who_logs_out_is_gone_everywhere_at_once,
    logging_out_here_is_not_logging_out_there,
    a_kick_wins_against_a_join_at_the_same_moment,
    a_logout_wins_against_a_join_at_the_same_moment,
    a_command_is_seen_on_every_node_at_once,
}

const SOON: Duration = Duration::from_millis(500);

/// A host on the first node, and somebody with a tab on each.
async fn room_with(system: &System, person: &Person) -> (Room, Seat, Vec<Seat>) {
    let room = system.guest("Ana").await.public_room().await;
    let host = room.join_on(0, &room.host).await;
    let mut tabs = Vec::new();
    for node in 0..3 {
        tabs.push(room.join_on(node, person).await);
    }
    (room, host, tabs)
}

async fn all_close(tabs: &mut [Seat], answered: Instant, code: u16) {
    for tab in tabs {
        let reason = tab.is_closed_within(answered, SOON).await;
        assert_eq!(reason.code, code);
    }
}

async fn who_is_kicked_is_gone_everywhere_at_once(system: &System) {
    let bo = system.guest("Bo").await;
    let (room, mut host, mut tabs) = room_with(system, &bo).await;
    room.host.http().kick(room.id, bo.id()).await.unwrap();
    all_close(&mut tabs, Instant::now(), 4011).await;
    host.sees_go("Bo").await;
}

async fn who_is_banned_is_gone_everywhere_at_once(system: &System) {
    let bo = system.guest("Bo").await;
    let (room, mut host, mut tabs) = room_with(system, &bo).await;
    room.host.http().ban(room.id, bo.id()).await.unwrap();
    all_close(&mut tabs, Instant::now(), 4010).await;
    host.sees_go("Bo").await;
}

async fn who_logs_out_is_gone_everywhere_at_once(system: &System) {
    let bo = system.guest("Bo").await;
    let (_room, mut host, mut tabs) = room_with(system, &bo).await;
    bo.http().logout().await.unwrap();
    all_close(&mut tabs, Instant::now(), 4011).await;
    host.sees_go("Bo").await;
}

async fn logging_out_here_is_not_logging_out_there(system: &System) {
    let laptop = system.user("Bo").await;
    let email = laptop.http().me().await.unwrap().rest["email"].as_str().unwrap().to_owned();
    let phone = system.http(1).login(&email, PASSWORD).await.unwrap();
    let phone = system.person(phone, laptop.address, 1);
    let (room, mut host, mut laptop_tabs) = room_with(system, &laptop).await;
    let mut phone_tab = room.sit(1, &phone, Options::default()).await;

    laptop.http().logout().await.unwrap();

    all_close(&mut laptop_tabs, Instant::now(), 4011).await;
    phone_tab.say("still here").await;
    host.hears("still here").await;
}

/// Knocks while `end` happens, a little earlier or later each time; whoever comes in has to go.
async fn race(room: &Room, node: usize, person: &Person, end: impl Future<Output = ()>, head_start: u64) {
    let knock = async {
        // Not to wait for anything: to meet the other at each point of its way.
        tokio::time::sleep(Duration::from_millis(head_start % 6)).await;
        room.knock(node, person, Options::default()).await.unwrap()
    };
    let end = async {
        tokio::time::sleep(Duration::from_millis(head_start / 6 * 2)).await;
        end.await;
    };
    let (mut line, ()) = tokio::join!(knock, end);
    let answered = Instant::now();
    let reason = line.closed().await.unwrap();
    assert!(matches!(reason.code, 4001 | 4003 | 4011), "{reason}");
    assert!(answered.elapsed() < SOON, "closed only after {:?}", answered.elapsed());
}

async fn a_kick_wins_against_a_join_at_the_same_moment(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    for n in 0..30 {
        let bo = system.guest("Bo").await;
        room.admit(&bo).await;
        let kick = async { ana.http_at(n).kick(room.id, bo.id()).await.unwrap() };
        race(&room, n, &bo, kick, n as u64).await;
    }
    until("only the host to be there", async || (room.listed().await?.viewers == 1).then_some(()))
        .await
        .unwrap();
    host.say("peace").await;
    host.hears("peace").await;
}

async fn a_logout_wins_against_a_join_at_the_same_moment(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let _host = room.join_on(0, &ana).await;
    for n in 0..30 {
        let bo = system.guest("Bo").await;
        room.admit(&bo).await;
        let logout = async { bo.http_at(n).logout().await.unwrap() };
        race(&room, n, &bo, logout, n as u64).await;
    }
    until("only the host to be there", async || (room.listed().await?.viewers == 1).then_some(()))
        .await
        .unwrap();
}

async fn a_command_is_seen_on_every_node_at_once(system: &System) {
    let bo = system.guest("Bo").await;
    let (room, mut host, mut tabs) = room_with(system, &bo).await;
    room.host_does("cohost", json!({"user_id": bo.id(), "on": true})).await;
    for n in 1..=5 {
        let start = Instant::now();
        host.play(Some(f64::from(n))).await;
        let state = host.sees("the command", |state| (state.time - f64::from(n)).abs() < 0.001).await;
        for tab in &mut tabs {
            assert_eq!(tab.sees("the command", |told| told.version == state.version).await, state);
        }
        assert!(start.elapsed() < SOON, "after {:?}", start.elapsed());
    }
}
