//! A database that was restored to an earlier state, as nodes report it.

use std::time::Duration;

use streamit_bus::{Cas, Expect};
use streamit_domain::playback::Command;
use streamit_domain::{Playback, Timestamp};
use streamit_wire::v1;

use crate::grpc::{Client, append, connect, draft};
use crate::support::{Room, START, World, eventually, next, next_facts};

async fn report(client: &mut Client, seen: v1::Seen) {
    client.report_loss(v1::ReportLossRequest { rooms: vec![seen] }).await.unwrap();
}

/// What a node that has seen all there is would report.
async fn versions(client: &mut Client, room: &Room) -> v1::Seen {
    let rooms = vec![room.id.as_bytes().to_vec()];
    let stored = client.versions(v1::VersionsRequest { rooms }).await.unwrap().into_inner().rooms.remove(0);
    v1::Seen {
        room: stored.room,
        epoch: stored.epoch,
        facts_version: stored.facts_version,
        chat_head: stored.chat_head,
        chat_at: 0,
        fence: stored.fence,
    }
}

#[tokio::test]
async fn a_loss_begins_a_new_epoch_and_every_node_is_told() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    append(&mut client, vec![draft(&room, &ana, "one", "a")]).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let seen = versions(&mut client, &room).await;

    // Nothing is missing: nothing happens, and nobody is told. The next news is that of a message.
    report(&mut client, v1::Seen { chat_head: 0, ..seen.clone() }).await;
    report(&mut client, seen.clone()).await;
    append(&mut client, vec![draft(&room, &ana, "two", "b")]).await;
    assert!(matches!(next(&mut news).await.kind, Some(v1::event::Kind::Chat(chat)) if chat.epoch == 1));

    let lost = v1::Seen { facts_version: seen.facts_version + 4, chat_head: 50, ..seen.clone() };
    report(&mut client, lost.clone()).await;
    let facts = next_facts(&mut news).await;
    assert_eq!((facts.epoch, facts.version, facts.fence), (2, seen.facts_version + 5, seen.fence + 1));

    // Others report the same, and it has been dealt with.
    report(&mut client, lost).await;
    append(&mut client, vec![draft(&room, &ana, "three", "c")]).await;
    let Some(v1::event::Kind::Chat(chat)) = next(&mut news).await.kind else { panic!("told twice") };
    assert_eq!((chat.epoch, chat.messages[0].seq), (2, 3), "chat goes on from what there is");
}

#[tokio::test]
async fn live_state_takes_commands_again_although_it_knew_a_higher_fence() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    // The room had other hosts since the backup; live state has heard of them, the database has not.
    world.rooms.raise_fence(room.id, 7).await.unwrap();
    let seen = versions(&mut client, &room).await;
    let expect = Expect { version: None, confirmed: true, only_if_empty: false, fence: None };
    let play = |fence| {
        let start = Playback::start(fence, Timestamp(START));
        start.after(Command::Play(None), fence, 0, Timestamp(START), Duration::ZERO)
    };
    let refused = world.rooms.set_playback(room.id, expect, &play(seen.fence)).await.unwrap();
    assert_eq!(refused, Cas::Fenced(7));

    report(&mut client, v1::Seen { fence: 7, ..seen }).await;
    let fence = versions(&mut client, &room).await.fence;
    assert_eq!(fence, 8);
    eventually("the fence is told", || async {
        let answer = world.rooms.set_playback(room.id, expect, &play(fence)).await.unwrap();
        (answer == Cas::Stored).then_some(())
    })
    .await;
    let late = world.rooms.set_playback(room.id, expect, &play(7)).await.unwrap();
    assert_eq!(late, Cas::Fenced(8), "who controlled before the loss does so no more");
}

#[tokio::test]
async fn numbers_that_no_room_can_have_are_not_taken_over() {
    let world = World::new().await;
    let mut client = connect(&world).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let seen = versions(&mut client, &room).await;
    report(&mut client, v1::Seen { facts_version: u64::MAX, ..seen.clone() }).await;
    report(&mut client, v1::Seen { room: vec![1, 2, 3], facts_version: 9, ..seen.clone() }).await;
    report(&mut client, v1::Seen { room: vec![7; 16], facts_version: 9, ..seen.clone() }).await;
    assert_eq!(versions(&mut client, &room).await, seen);
}
