//! Opening, finding, joining and ending rooms.

use serde_json::json;
use streamit_api::config::Public;
use streamit_domain::{ConnectionId, Incarnation};
use streamit_wire::v1;

use crate::support::{World, next_facts};

#[tokio::test]
async fn a_room_is_what_its_opener_asked_for() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let create = |body| world.post("/api/rooms/create/").by(&ana).json(body).send();

    let public = create(json!({"entry_mode": "whatever"})).await;
    assert_eq!((public.status, &public.body["is_private"]), (201, &json!(false)));
    assert!(public.body["entry_mode"].is_null() && public.body.get("room_password").is_none());
    let code = public.text("code");
    assert!(code.len() == 6 && code.bytes().any(|c| c.is_ascii_digit()), "{code}");
    assert!(code.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()), "{code}");

    let guarded = create(json!({"is_private": true, "entry_mode": "PASSWORD"})).await;
    assert_eq!((guarded.status, guarded.text("entry_mode").as_str()), (201, "PASSWORD"));
    assert_eq!(guarded.text("room_password").len(), 10);
    let asked = create(json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    assert_eq!((asked.status, asked.text("entry_mode").as_str()), (201, "APPROVAL"));
    assert!(asked.body.get("room_password").is_none());

    for entry_mode in [json!(null), json!("password"), json!(""), json!(5), json!(["PASSWORD"])] {
        let reply = create(json!({"is_private": true, "entry_mode": entry_mode})).await;
        reply.refused(400, "INVALID");
        assert_eq!(reply.text("error"), "Invalid entry_mode for private room");
    }
    create(json!({"is_private": "yes"})).await.refused(400, "INVALID");
}

#[tokio::test]
async fn anybody_joins_a_public_room_by_its_code_in_any_case() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    let join = |code: &str| world.post("/api/rooms/join/").by(&bo).json(json!({"code": code})).send();
    for code in [room.code.to_lowercase(), room.code.clone(), format!(" {} ", room.code)] {
        let reply = join(&code).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.body,
            json!({"room_id": room.id, "code": room.code, "status": "APPROVED", "is_host": false})
        );
    }
    let host = world.post("/api/rooms/join/").by(&ana).json(json!({"code": room.code})).send().await;
    assert_eq!(host.body["is_host"], json!(true));
    for code in ["ZZZZZ9", "nonsense", "no such room", "🎬"] {
        join(code).await.refused(404, "ROOM_NOT_FOUND");
    }
    let reply = world.post("/api/rooms/join/").by(&bo).json(json!({})).send().await;
    assert_eq!((reply.status, reply.text("error").as_str()), (400, "Room code required"));
}

#[tokio::test]
async fn a_password_is_asked_for_until_one_is_in() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.room(&ana, json!({"is_private": true, "entry_mode": "PASSWORD"})).await;
    let join = |password| {
        world.post("/api/rooms/join/").by(&bo).json(json!({"code": room.code, "password": password})).send()
    };
    for wrong in [json!(null), json!("wrong"), json!("")] {
        let reply = join(wrong).await;
        reply.refused(403, "INVALID_ROOM_PASSWORD");
        assert_eq!(reply.text("error"), "Invalid room password");
    }
    assert_eq!(join(json!(room.password)).await.text("status"), "APPROVED");
    assert_eq!(join(json!(null)).await.text("status"), "APPROVED", "who is in needs no password again");
}

#[tokio::test]
async fn guessing_room_passwords_and_codes_is_slowed_down() {
    let world = World::new().await;
    let (ana, bo, cy) = (world.guest("Ana").await, world.guest("Bo").await, world.guest("Cy").await);
    let room = world.room(&ana, json!({"is_private": true, "entry_mode": "PASSWORD"})).await;
    let join = |by, password| {
        world.post("/api/rooms/join/").by(by).json(json!({"code": room.code, "password": password})).send()
    };
    for _ in 0..10 {
        join(&bo, json!("guess")).await.refused(403, "INVALID_ROOM_PASSWORD");
    }
    let reply = join(&bo, json!(room.password)).await;
    reply.refused(429, "RATE_LIMITED");
    assert_eq!(reply.header("retry-after"), Some("6"));
    assert_eq!(join(&cy, json!(room.password)).await.status, 200, "others may");

    for _ in 0..60 {
        let unknown = world.post("/api/rooms/join/").by(&cy).json(json!({"code": "ZZZZZ9"})).send().await;
        unknown.refused(404, "ROOM_NOT_FOUND");
    }
    assert_eq!(join(&cy, json!(null)).await.status, 200, "who has been there knows of it anyhow");
    let dee = world.guest("Dee").await;
    join(&dee, json!(room.password)).await.refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn looking_for_rooms_is_slowed_down_whichever_call_is_used() {
    let world =
        World::with(Public { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Public::default() }).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    let paths = |code: &str| {
        ["", "detail/", "participants/", "messages/"].map(|what| format!("/api/rooms/{code}/{what}"))
    };
    let bodies = |code: &str| {
        let person = json!({"code": code, "user_id": ana.id, "on": true});
        let mut calls: Vec<_> =
            ["approve", "reject", "kick", "ban", "unban", "mute", "unmute", "transfer", "cohost"]
                .map(|action| (action, person.clone()))
                .into();
        calls.extend(["join", "leave", "delete", "settings"].map(|call| (call, json!({"code": code}))));
        calls.push(("source", json!({"code": code, "url": "https://e.org/"})));
        calls
    };
    let get = |who, path: &str, from: &str| world.get(path).by(who).header("x-forwarded-for", from).send();
    let post = |who, call: &str, body, from: &str| {
        let ask = world.post(&format!("/api/rooms/{call}/")).by(who).header("x-forwarded-for", from);
        ask.json(body).send()
    };

    // Rooms that exist may be asked for as often as one likes, and what is no code is not looked for.
    let detail = format!("/api/rooms/{}/", room.code);
    for _ in 0..80 {
        assert_eq!(get(&bo, &detail, "1.1.1.1").await.status, 200);
    }
    for path in paths("nothing").iter().cycle().take(80) {
        get(&bo, path, "1.1.1.1").await.refused(404, "ROOM_NOT_FOUND");
    }
    for _ in 0..3 {
        for path in paths("ZZZZZ9") {
            get(&bo, &path, "1.1.1.1").await.refused(404, "ROOM_NOT_FOUND");
        }
        for (call, body) in bodies("zzzzz9") {
            post(&bo, call, body, "1.1.1.1").await.refused(404, "ROOM_NOT_FOUND");
        }
    }
    for _ in 0..6 {
        get(&ana, "/api/rooms/ZZZZZ9/", "1.1.1.1").await.refused(404, "ROOM_NOT_FOUND");
    }
    // That was 60. From now on nothing tells a stranger whether a room exists.
    for code in [room.code.as_str(), "ZZZZZ9"] {
        for path in paths(code) {
            let reply = get(&bo, &path, "1.1.1.1").await;
            reply.refused(429, "RATE_LIMITED");
            assert_eq!(reply.header("retry-after"), Some("1"), "{path}");
        }
        for (call, body) in bodies(code) {
            post(&bo, call, body, "1.1.1.1").await.refused(429, "RATE_LIMITED");
        }
    }
    // Whoever belongs to the room goes on, in the same house too, but may not look for others.
    for path in paths(&room.code) {
        assert_eq!(get(&ana, &path, "1.1.1.1").await.status, 200, "{path}");
    }
    let settings = json!({"code": room.code, "is_chat_enabled": false});
    assert_eq!(post(&ana, "settings", settings, "1.1.1.1").await.status, 200);
    get(&ana, "/api/rooms/ZZZZZ9/", "1.1.1.1").await.refused(429, "RATE_LIMITED");
    assert_eq!(get(&bo, &detail, "2.2.2.2").await.status, 200, "from elsewhere strangers may");
    world.advance(1);
    assert_eq!(get(&bo, &detail, "1.1.1.1").await.status, 200, "and here too after a while");
}

#[tokio::test]
async fn whoever_asks_to_come_in_waits_for_the_host() {
    let world = World::new().await;
    let (ana, bo, cy) = (world.guest("Ana").await, world.guest("Bo").await, world.guest("Cy").await);
    let room = world.room(&ana, json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    world.join(&room, &bo, "PENDING").await;
    world.join(&room, &bo, "PENDING").await;
    let facts = next_facts(&mut news).await;
    assert_eq!((facts.version, facts.base), (2, 1), "asking twice is told once");
    assert_eq!(facts.people[0].standing, v1::Standing::Pending as i32);

    let refused =
        world.post("/api/rooms/approve/").by(&bo).json(json!({"room_id": room.id, "user_id": bo.id}));
    let refused = refused.send().await;
    refused.refused(403, "HOST_ONLY");
    assert_eq!(refused.text("error"), "Only host can approve");
    let approve =
        world.post("/api/rooms/approve/").by(&ana).json(json!({"room_id": room.id, "user_id": bo.id}));
    assert_eq!(approve.send().await.body, json!({"approved": true}));
    assert_eq!(next_facts(&mut news).await.people[0].standing, v1::Standing::Approved as i32);
    assert_eq!(world.act("approve", &room, &ana, &bo).await.0, 200, "again");
    world.join(&room, &bo, "APPROVED").await;

    assert_eq!(world.act("approve", &room, &ana, &cy).await, (404, "NOT_FOUND".into()));
    world.join(&room, &cy, "PENDING").await;
    assert_eq!(world.act("reject", &room, &ana, &cy).await.0, 200);
    assert_eq!(world.act("approve", &room, &ana, &cy).await, (409, "CONFLICT".into()));
    world.join(&room, &cy, "PENDING").await;
}

#[tokio::test]
async fn a_room_is_seen_by_those_who_may() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let public = world.public_room(&ana).await;
    for path in
        [format!("/api/rooms/{}/", public.code), format!("/api/rooms/{}/detail", public.code.to_lowercase())]
    {
        let detail = world.get(&path).by(&bo).send().await;
        let shown = &detail.body;
        assert_eq!(detail.status, 200);
        assert_eq!(
            (&shown["state"], &shown["is_active"], &shown["host"]),
            (&json!("ACTIVE"), &json!(true), &json!("Ana"))
        );
        assert_eq!((&shown["host_id"], &shown["is_host"]), (&json!(ana.id), &json!(false)));
        assert_eq!((&shown["is_chat_enabled"], &shown["entry_mode"]), (&json!(true), &json!(null)));
        assert!(shown["created_at"].as_str().unwrap().starts_with("2027-01-15T08:00:00"), "{shown}");
        for field in ["room_id", "code", "is_private", "video_provider", "video_id"] {
            assert!(shown.get(field).is_some(), "{field}");
        }
        assert!(!detail.text.contains("password"));
    }
    let private = world.room(&ana, json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    let path = format!("/api/rooms/{}/detail/", private.code);
    world.get(&path).by(&bo).send().await.refused(403, "NOT_APPROVED");
    world.join(&private, &bo, "PENDING").await;
    world.get(&path).by(&bo).send().await.refused(403, "NOT_APPROVED");
    assert_eq!(world.get(&path).by(&ana).send().await.body["is_host"], json!(true));
    world.get("/api/rooms/ZZZZZ9/").by(&bo).send().await.refused(404, "ROOM_NOT_FOUND");
    world.get(&path).send().await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn participants_are_listed_for_members_and_askers_for_the_host() {
    let world = World::new().await;
    let (ana, bo, cy) = (world.guest("Ana").await, world.guest("Ana").await, world.guest("Cy").await);
    let room = world.room(&ana, json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    world.advance(1);
    world.join(&room, &bo, "PENDING").await;
    assert_eq!(world.act("approve", &room, &ana, &bo).await.0, 200);
    world.advance(1);
    world.join(&room, &cy, "PENDING").await;
    let entry = streamit_bus::Entry {
        key: streamit_bus::EntryKey {
            incarnation: Incarnation(uuid::Uuid::from_u128(7)),
            connection: ConnectionId(1),
        },
        user: bo.id,
        name: "Ana (2)".into(),
    };
    world.rooms.enter(room.id, &[entry], 0).await.unwrap();

    let by_id = format!("/api/rooms/participants/?room_id={}", room.id);
    let by_code = format!("/api/rooms/{}/participants/", room.code);
    for path in [&by_id, &by_code] {
        let list = world.get(path).by(&ana).send().await;
        let seen: Vec<_> = list
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|p| {
                (
                    p["display_name"].as_str().unwrap(),
                    p["status"].as_str().unwrap(),
                    p["role"].as_str().unwrap(),
                    p["online"] == json!(true),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("Ana", "APPROVED", "HOST", false),
                ("Ana (2)", "APPROVED", "VIEWER", true),
                ("Cy", "PENDING", "VIEWER", false)
            ]
        );
        assert_eq!((&list.body[0]["is_host"], &list.body[0]["is_guest"]), (&json!(true), &json!(true)));
        assert_eq!(world.get(path).by(&bo).send().await.body.as_array().unwrap().len(), 2);
        world.get(path).by(&cy).send().await.refused(403, "NOT_APPROVED");
    }
    let page = world.get(&format!("{by_id}&limit=2")).by(&ana).send().await;
    let link = page.header("link").unwrap().to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let rest = world.get(next).by(&ana).send().await;
    assert_eq!((rest.body.as_array().unwrap().len(), rest.header("link")), (1, None), "{link}");
    world.get("/api/rooms/participants/").by(&ana).send().await.refused(400, "INVALID");
    world.get("/api/rooms/participants/?room_id=x").by(&ana).send().await.refused(400, "INVALID");
}

#[tokio::test]
async fn public_rooms_are_listed_newest_first_page_by_page() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(world.public_room(&ana).await.code);
        world.advance(1);
    }
    world.room(&ana, json!({"is_private": true, "entry_mode": "PASSWORD"})).await;
    codes.reverse();

    let (mut seen, mut path, mut pages) = (Vec::new(), "/api/rooms/public/?limit=2".to_owned(), 0);
    loop {
        let page = world.get(&path).send().await;
        for room in page.body.as_array().unwrap() {
            assert_eq!((&room["host"], &room["viewers"]), (&json!("Ana"), &json!(0)));
            assert!(room["created_at"].as_str().unwrap().ends_with('Z'));
            seen.push(room["code"].as_str().unwrap().to_owned());
        }
        pages += 1;
        let Some(link) = page.header("link") else { break };
        path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    assert_eq!((seen, pages), (codes, 3));
    for bad in ["limit=0", "limit=x", "after=x", "after=1.y"] {
        world.get(&format!("/api/rooms/public/?{bad}")).send().await.refused(400, "INVALID");
    }
}

#[tokio::test]
async fn a_deleted_room_is_gone_for_everybody() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let delete = |by| world.post("/api/rooms/delete/").by(by).json(json!({"room_id": room.id})).send();
    delete(&bo).await.refused(403, "HOST_ONLY");
    assert_eq!(delete(&ana).await.body, json!({"deleted": true}));
    assert_eq!(next_facts(&mut news).await.life, v1::Life::Closed as i32);
    delete(&ana).await.refused(404, "ROOM_CLOSED");
    let join = world.post("/api/rooms/join/").by(&bo).json(json!({"code": room.code})).send().await;
    join.refused(404, "ROOM_CLOSED");
    world.get(&format!("/api/rooms/{}/", room.code)).by(&bo).send().await.refused(404, "ROOM_CLOSED");
    assert_eq!(world.get("/api/rooms/public/").send().await.text, "[]");
}

#[tokio::test]
async fn the_door_tells_how_to_come_in_and_how_one_stands() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let path = |room: &crate::support::Room| format!("/api/rooms/{}/door/", room.code.to_lowercase());

    let open = world.public_room(&ana).await;
    let door = world.get(&path(&open)).by(&bo).send().await;
    let nobody =
        json!({"code": open.code, "is_private": false, "entry_mode": null, "status": null, "is_host": false});
    assert_eq!((door.status, door.body), (200, nobody));
    let guarded = world.room(&ana, json!({"is_private": true, "entry_mode": "PASSWORD"})).await;
    assert_eq!(world.get(&path(&guarded)).by(&bo).send().await.body["entry_mode"], "PASSWORD");

    let asked = world.room(&ana, json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    let status = async || world.get(&path(&asked)).by(&bo).send().await.body["status"].clone();
    assert_eq!(status().await, json!(null), "to look is not to ask");
    world.join(&asked, &bo, "PENDING").await;
    assert_eq!(status().await, "PENDING");
    assert_eq!(world.act("reject", &asked, &ana, &bo).await.0, 200);
    assert_eq!(status().await, "REJECTED");
    world.join(&asked, &bo, "PENDING").await;
    assert_eq!(world.act("approve", &asked, &ana, &bo).await.0, 200);
    assert_eq!(status().await, "APPROVED");
    assert_eq!(world.act("kick", &asked, &ana, &bo).await.0, 200);
    assert_eq!(status().await, "KICKED");
    world.advance(600);
    assert_eq!(status().await, json!(null), "he may ask again");

    let host = world.get(&path(&asked)).by(&ana).send().await;
    assert_eq!((&host.body["is_host"], &host.body["status"]), (&json!(true), &json!("APPROVED")));
    world.get("/api/rooms/ZZZZZ9/door/").by(&bo).send().await.refused(404, "ROOM_NOT_FOUND");
    world.get(&path(&open)).send().await.refused(401, "UNAUTHENTICATED");
}
