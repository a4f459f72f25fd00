//! Nodes and rooms as they are right now, and the log of all that staff does.

use std::collections::BTreeSet;

use serde_json::json;
use streamit_bus::Notice;
use streamit_domain::Incarnation;
use streamit_domain::audit::Action;
use streamit_storage::audit::{self, Filter};
use streamit_wire::v1;

use super::lists::says;
use super::{PASSWORD, Rank, account, desk, tries};
use crate::support::{START, World, next};

/// A node that beats, and does nothing else.
async fn beats(world: &World, number: u128, name: &str, is_draining: bool) {
    let status = v1::NodeStatus {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        connections: 1_234,
        rooms: 56,
        is_draining,
        started_at: START,
        memory: 300 << 20,
        ..v1::NodeStatus::default()
    };
    world.rooms.beat(Incarnation(uuid::Uuid::from_u128(number)), &status).await.unwrap();
}

#[tokio::test]
async fn nodes_are_shown_as_they_say_they_are_and_told_what_staff_asks() {
    let world = World::new().await;
    let staff = desk(&world, "staff@example.org", Rank::Staff).await;
    assert!(staff.page(&world, "/admin/nodes/").await.contains("No node lives"));
    beats(&world, 1, "<one>", false).await;
    let page = staff.page(&world, "/admin/nodes/").await;
    assert!(page.contains("the only one") && !page.contains("/drain/"), "{page}");
    beats(&world, 2, "two", true).await;
    beats(&world, 3, "three", false).await;
    let page = staff.page(&world, "/admin/nodes/").await;
    for shown in [
        "&lt;one&gt;",
        "1,234",
        "300 MiB",
        "Draining",
        "/admin/nodes/%3Cone%3E/drain/",
        "/admin/nodes/two/resume/",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("/admin/nodes/two/drain/") && !page.contains("/admin/nodes/three/resume/"));
    assert!(staff.page(&world, "/admin/").await.contains("3,702"), "all connections together");

    let mut news = world.rooms.subscribe_all().await.unwrap();
    let shed = [("percent", "30"), ("seconds", "60")];
    assert_eq!(staff.does(&world, "/admin/nodes/%3Cone%3E/shed/", &shed).await, "/admin/nodes/?done=shed");
    match next(&mut news).await.kind {
        Some(v1::event::Kind::Shed(shed)) => {
            assert_eq!((shed.node.as_str(), shed.percent, shed.window_ms), ("<one>", 30, 60_000));
        }
        other => panic!("{other:?}"),
    }
    staff.does(&world, "/admin/nodes/three/drain/", &[]).await;
    assert!(
        matches!(next(&mut news).await.kind, Some(v1::event::Kind::Drain(drain)) if drain.node == "three")
    );
    staff.does(&world, "/admin/nodes/two/resume/", &[]).await;
    assert!(
        matches!(next(&mut news).await.kind, Some(v1::event::Kind::Resume(resume)) if resume.node == "two")
    );

    for fields in [
        [("percent", "0"), ("seconds", "60")],
        [("percent", "101"), ("seconds", "60")],
        [("percent", "5"), ("seconds", "1")],
    ] {
        assert_eq!(staff.post(&world, "/admin/nodes/three/shed/", &fields).await.status, 400);
    }
    assert_eq!(staff.get(&world, "/admin/nodes/four/drain/").await.status, 404);
    assert_eq!(staff.get(&world, "/admin/nodes/three/explode/").await.status, 404);
    beats(&world, 3, "three", true).await;
    let alone = staff.post(&world, "/admin/nodes/%3Cone%3E/drain/", &[]).await;
    assert_eq!(alone.status, 409, "{}", alone.text);
    let page = staff.page(&world, "/admin/audit/?action=staff.node_shed").await;
    assert!(page.contains("&quot;percent&quot;:30"), "{page}");
    let mut read = world.store.read().await.unwrap();
    let filter = Filter { actions: vec![Action::NodeDrained], ..Filter::default() };
    let drained = audit::list(&mut read, &filter, None, 10).await.unwrap();
    let failed =
        |entry: &audit::Entry| entry.record.after.as_ref().is_some_and(|after| after.contains("CONFLICT"));
    assert_eq!(drained.len(), 3, "what was done, what was asked, and that it could not be");
    assert_eq!(drained.iter().filter(|entry| failed(entry)).count(), 1);
}

#[tokio::test]
async fn a_room_is_looked_into_and_a_node_that_is_silent_named() {
    let world = World::new().await;
    let staff = desk(&world, "staff@example.org", Rank::Staff).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let path = format!("/admin/rooms/{}/live/", room.id);
    let page = staff.page(&world, &path).await;
    assert!(page.contains("No node has this room open") && page.contains("Nobody is here"), "{page}");

    let node = Incarnation(uuid::Uuid::from_u128(1));
    beats(&world, 1, "one", false).await;
    let key = streamit_bus::EntryKey { incarnation: node, connection: streamit_domain::ConnectionId(7) };
    let entry = streamit_bus::Entry { key, user: ana.id, name: "<b>Ana".to_owned() };
    world.rooms.enter(room.id, &[entry], 0).await.unwrap();
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let answers = world.rooms.clone();
    let (user, id) = (ana.id, room.id);
    let answering = tokio::spawn(async move {
        loop {
            let Some(Notice::Event(event)) = news.next().await else { continue };
            let Some(v1::event::Kind::Inspect(asked)) = event.kind.clone() else { continue };
            let member = v1::InspectedMember {
                user: user.as_bytes().to_vec(),
                name: "<b>Ana".to_owned(),
                connection: 7,
                since: START,
                round_trip_us: Some(12_300),
                drift_ms: Some(-40),
                frames: 3,
                bytes: 4_096,
                chat_lag: 2,
                stage: v1::Stage::Live.into(),
                ..v1::InspectedMember::default()
            };
            let told = v1::RoomEvent {
                at: START,
                kind: "joined".to_owned(),
                number: 9,
                user: user.as_bytes().to_vec(),
            };
            let inspected = v1::Inspected {
                incarnation: node.0.as_bytes().to_vec(),
                node: "one".to_owned(),
                connections: 1,
                members: vec![member],
                events: vec![told],
                ..v1::Inspected::default()
            };
            let reply_to = streamit_domain::RoomId::from_slice(&asked.reply_to).unwrap();
            let kind = Some(v1::event::Kind::Inspected(inspected));
            answers.publish(reply_to, &v1::Event { kind, ..v1::Event::default() }).await.unwrap();
        }
    });
    let page = staff.page(&world, &path).await;
    for shown in [
        "Members on one",
        "12.3 ms",
        "-40 ms",
        "3 frames, 4,096 bytes",
        "&lt;b&gt;Ana",
        "joined",
        "1 facts",
        "roster",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("<b>Ana"));
    answering.abort();
    assert!(answering.await.is_err());
    let page = staff.page(&world, &path).await;
    assert!(page.contains("did not answer"), "{page}");
    let gone = format!("/admin/rooms/{}/live/", uuid::Uuid::nil());
    assert_eq!(staff.get(&world, &gone).await.status, 404);
    assert_eq!(id, room.id);
}

#[tokio::test]
async fn nothing_that_staff_does_is_left_out_of_the_log() {
    let world = World::unlimited().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    tries(&world, "root@example.org", "wrong horse battery").await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    says(&world, &room, &ana, "anything").await;
    let report = json!({"room_id": room.id, "reason": "SPAM"});
    assert_eq!(world.post("/api/rooms/report/").by(&ana).json(report).send().await.status, 201);
    let queue = root.page(&world, "/admin/reports/").await;
    let (_, rest) = queue.split_once("scope=\"row\"").unwrap();
    let report = rest.split_once("href=\"").unwrap().1.split_once('"').unwrap().0;
    root.does(&world, report, &[("decision", "dismissed")]).await;
    let other = account(&world, "other@example.org", Rank::Staff).await;
    let of = |deed: &str| format!("/admin/users/{other}/{deed}/");
    root.does(&world, &of("rights"), &[("rank", "none")]).await;
    for deed in ["end-sessions", "deactivate", "activate"] {
        root.does(&world, &of(deed), &[]).await;
    }
    assert_eq!(root.post(&world, &of("password"), &[]).await.status, 200);
    root.does(&world, &of("anonymise"), &[("sure", "anonymise")]).await;
    beats(&world, 1, "one", false).await;
    beats(&world, 2, "two", false).await;
    root.does(&world, "/admin/nodes/one/shed/", &[("percent", "1"), ("seconds", "15")]).await;
    root.does(&world, "/admin/nodes/one/drain/", &[]).await;
    root.does(&world, "/admin/nodes/one/resume/", &[]).await;
    root.page(&world, "/admin/audit/").await;
    assert_eq!(root.get(&world, "/admin/audit/export.csv").await.status, 200);
    root.does(&world, "/admin/logout/", &[]).await;

    let mut read = world.store.read().await.unwrap();
    let written = audit::list(&mut read, &Filter::default(), None, 1_000).await.unwrap();
    let found: BTreeSet<&str> = written.iter().map(|entry| entry.record.action.as_str()).collect();
    let wanted = Action::ALL.iter().map(|action| action.as_str()).filter(|word| word.starts_with("staff."));
    let missing: Vec<&str> = wanted.filter(|word| !found.contains(word)).collect();
    assert!(missing.is_empty(), "no row of {missing:?}");
    let secret = written.iter().map(|entry| format!("{entry:?}")).find(|row| row.contains(PASSWORD));
    assert_eq!(secret, None);
}
