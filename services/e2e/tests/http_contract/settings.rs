//! The room itself: what it tells about itself, its settings, what is watched, and its end.

use serde_json::{Value, json};
use streamit_e2e::{Answer, System, on_both};

on_both! {
    crate::SYSTEMS;
    a_room_tells_what_it_is,
    any_of_the_settings_can_be_changed_by_the_host,
    what_is_watched_is_an_address_or_a_provider_and_its_id,
    a_deleted_room_is_gone_for_everybody,
    the_list_of_people_is_for_members,
}

async fn a_room_tells_what_it_is(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.password_room().await;
    room.admit(&bo).await;

    for path in [format!("/api/rooms/{}/detail/", room.code), format!("/api/rooms/{}/", room.code)] {
        let detail = bo.reads(&path).await.is(200);
        for (field, value) in [
            ("room_id", json!(room.id)),
            ("code", json!(room.code)),
            ("is_active", json!(true)),
            ("is_private", json!(true)),
            ("entry_mode", json!("PASSWORD")),
            ("is_chat_enabled", json!(true)),
            ("host", json!("Ana")),
            ("host_id", json!(ana.id())),
            ("video_provider", Value::Null),
            ("video_id", Value::Null),
            ("is_host", json!(false)),
        ] {
            assert_eq!(detail[field], value, "{field}");
        }
        assert!(detail["state"].is_string() && detail["created_at"].as_str().unwrap().ends_with('Z'));
        assert!(!detail.to_string().contains(room.password.as_deref().unwrap()), "shown only once");
    }
    bo.reads("/api/rooms/000000/").await.is_refused(404, "ROOM_NOT_FOUND");
}

async fn any_of_the_settings_can_be_changed_by_the_host(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;

    ana.http().settings(room.id, &json!({"is_chat_enabled": false})).await.unwrap();
    assert!(!bo.http_at(1).detail(&room.code).await.unwrap().is_chat_enabled);
    let all = ana.http().settings(room.id, &json!({"host_grace_seconds": 5})).await.unwrap();
    assert_eq!((&all["host_grace_seconds"], &all["is_chat_enabled"]), (&json!(5), &json!(false)));

    let change = |field: &str, value: Value| json!({"room_id": room.id, field: value});
    bo.does("settings", &change("is_chat_enabled", json!(true))).await.is_refused(403, "HOST_ONLY");
    for (field, wrong) in [
        ("is_chat_enabled", json!("false")),
        ("is_chat_enabled", json!(0)),
        ("host_grace_seconds", json!(4)),
        ("host_grace_seconds", json!(301)),
        ("host_grace_seconds", json!(5.5)),
        ("host_grace_seconds", json!("30")),
        ("on_host_lost", json!("explode")),
    ] {
        let refused = ana.does("settings", &change(field, wrong.clone())).await.is_refused(400, "INVALID");
        assert!(refused["fields"][field].is_string(), "{field} = {wrong}: {refused}");
    }
    assert!(!bo.http().detail(&room.code).await.unwrap().is_chat_enabled);
}

async fn what_is_watched_is_an_address_or_a_provider_and_its_id(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;

    let film = json!({"room_id": room.id, "url": "https://example.org/film.mp4", "title": "A film"});
    let said = ana.does("source", &film).await.is(200);
    assert_eq!((&said["room_id"], &said["url"]), (&json!(room.id), &film["url"]));
    let provider = json!({"room_id": room.id, "provider": "tube", "video_id": "abc"});
    let said = ana.does("source", &provider).await.is(200);
    assert_eq!((&said["video_provider"], &said["video_id"]), (&json!("tube"), &json!("abc")));
    let detail = bo.http_at(1).detail(&room.code).await.unwrap();
    assert_eq!((&detail.rest["video_provider"], &detail.rest["video_id"]), (&json!("tube"), &json!("abc")));

    bo.does("source", &film).await.is_refused(403, "HOST_ONLY");
    for wrong in [
        json!({}),
        json!({"url": "javascript:alert(1)"}),
        json!({"url": "film.mp4"}),
        json!({"url": 7}),
        json!({"url": format!("https://example.org/{}", "x".repeat(5_000))}),
        json!({"url": "https://example.org/", "title": "x".repeat(5_000)}),
        json!({"provider": "tube"}),
    ] {
        let mut body = wrong;
        body["room_id"] = json!(room.id);
        ana.does("source", &body).await.is_refused(400, "INVALID");
    }
}

async fn a_deleted_room_is_gone_for_everybody(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;
    let body = json!({"room_id": room.id});

    bo.does("delete", &body).await.is_refused(403, "HOST_ONLY");
    assert!(room.listed().await.is_some());
    ana.does("delete", &body).await.is(200);

    for person in [&ana, &bo] {
        assert_eq!(person.does("join", &json!({"code": room.code})).await.refusal()["code"], "ROOM_CLOSED");
        for call in ["", "detail/", "messages/", "participants/"] {
            let answer = person.reads(&format!("/api/rooms/{}/{call}", room.code)).await;
            assert_eq!(answer.status, 404, "{call}: {}", answer.text());
            answer.refusal();
        }
    }
    assert!(room.listed().await.is_none());
    ana.does("settings", &json!({"room_id": room.id, "is_chat_enabled": true})).await.refusal();
}

async fn the_list_of_people_is_for_members(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.approval_room().await;
    bo.http().join(&room.code, None).await.unwrap();
    let paths = [
        format!("/api/rooms/participants/?room_id={}", room.id),
        format!("/api/rooms/{}/participants/", room.code),
    ];

    for path in &paths {
        bo.reads(path).await.is_refused(403, "NOT_APPROVED");
        let list = ana.reads(path).await.is(200);
        let list = list.as_array().unwrap();
        assert_eq!(list.len(), 2);
        let of = |id: uuid::Uuid| list.iter().find(|person| person["id"] == json!(id)).unwrap();
        let (host, guest) = (of(ana.id()), of(bo.id()));
        assert_eq!(
            (&host["status"], &host["is_host"], &host["is_guest"]),
            (&json!("APPROVED"), &json!(true), &json!(false))
        );
        assert_eq!(
            (&guest["status"], &guest["is_host"], &guest["is_guest"]),
            (&json!("PENDING"), &json!(false), &json!(true))
        );
        assert_eq!((&host["display_name"], &host["online"]), (&json!("Ana"), &json!(false)));
    }
    ana.reads("/api/rooms/participants/").await.is_refused(400, "INVALID");
    ana.reads("/api/rooms/participants/?room_id=7").await.is_refused(400, "INVALID");

    let _seat = room.sit(0, &ana, streamit_client::Options::default()).await;
    let list = ana.reads(&paths[0]).await.is(200);
    let host = list.as_array().unwrap().iter().find(|person| person["is_host"] == json!(true)).unwrap();
    assert_eq!(host["online"], true);
}
