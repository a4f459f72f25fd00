//! Opening rooms and getting into them.

use serde_json::{Value, json};
use streamit_client::Status;
use streamit_e2e::{Answer, System, on_both};
use uuid::Uuid;

on_both! {
    crate::SYSTEMS;
    a_room_is_public_unless_it_says_otherwise,
    a_private_room_needs_a_known_entry_mode,
    anybody_known_joins_a_public_room_any_number_of_times,
    a_room_is_found_by_its_code_in_lower_case,
    an_unknown_code_is_not_found_and_a_missing_one_is_asked_for,
    a_password_is_needed_once,
    who_asks_to_come_in_waits_for_the_host,
    only_the_host_decides_who_comes_in,
    who_was_turned_away_may_ask_again,
    joining_at_once_from_many_tabs_makes_one_member,
    the_second_bob_gets_a_number,
}

async fn a_room_is_public_unless_it_says_otherwise(system: &System) {
    let ana = system.guest("Ana").await;
    for body in
        [json!({}), json!({"is_private": false}), json!({"is_private": false, "entry_mode": "WHATEVER"})]
    {
        let room = ana.does("create", &body).await.is(201);
        room["room_id"].as_str().unwrap().parse::<Uuid>().unwrap();
        assert_eq!((&room["is_private"], &room["entry_mode"]), (&json!(false), &Value::Null));
        assert!(room.get("room_password").is_none());
        let code = room["code"].as_str().unwrap();
        assert!(code.len() == 6 && code.bytes().any(|c| c.is_ascii_digit()), "{code}");
        assert!(code.bytes().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()), "{code}");
    }
    system.post("/api/rooms/create/", &json!({})).await.is_refused(401, "UNAUTHENTICATED");
}

async fn a_private_room_needs_a_known_entry_mode(system: &System) {
    let ana = system.user("Ana").await;
    for mode in [None, Some(Value::Null), Some(json!("")), Some(json!("OPEN")), Some(json!("password"))] {
        let mut body = json!({"is_private": true});
        if let Some(mode) = mode {
            body["entry_mode"] = mode;
        }
        let refused = ana.does("create", &body).await.is_refused(400, "INVALID");
        assert_eq!(refused["error"], "Invalid entry_mode for private room", "{body}");
    }
    let room = ana.does("create", &json!({"is_private": true, "entry_mode": "PASSWORD"})).await.is(201);
    assert_eq!((&room["is_private"], &room["entry_mode"]), (&json!(true), &json!("PASSWORD")));
    assert!(room["room_password"].as_str().unwrap().len() >= 8);
    let room = ana.does("create", &json!({"is_private": true, "entry_mode": "APPROVAL"})).await.is(201);
    assert_eq!(room["entry_mode"], "APPROVAL");
    assert!(room.get("room_password").is_none());
}

async fn anybody_known_joins_a_public_room_any_number_of_times(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    for i in 0..3 {
        let joined = bo.http_at(i).join(&room.code, None).await.unwrap();
        assert_eq!((joined.room_id, joined.code.as_str()), (room.id, room.code.as_str()));
        assert_eq!((joined.status, joined.is_host), (Status::Approved, false));
    }
    let host = ana.http().join(&room.code, None).await.unwrap();
    assert_eq!((host.status, host.is_host), (Status::Approved, true));
    let body = json!({"code": room.code});
    system.post("/api/rooms/join/", &body).await.is_refused(401, "UNAUTHENTICATED");
}

async fn a_room_is_found_by_its_code_in_lower_case(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let typed = room.code.to_lowercase();

    assert_eq!(bo.http().join(&typed, None).await.unwrap().code, room.code);
    assert_eq!(bo.http().detail(&typed).await.unwrap().room_id, room.id);
    assert!(bo.http().messages(&typed, None).await.unwrap().is_empty());
}

async fn an_unknown_code_is_not_found_and_a_missing_one_is_asked_for(system: &System) {
    let bo = system.guest("Bo").await;
    for code in ["000000", "ABCDEF", "nothing at all", "🎬", "A1"] {
        bo.does("join", &json!({"code": code})).await.is_refused(404, "ROOM_NOT_FOUND");
    }
    for body in [json!({}), json!({"code": ""}), json!({"code": "  "})] {
        let refused = bo.does("join", &body).await.is_refused(400, "INVALID");
        assert_eq!(refused["error"], "Room code required");
    }
}

async fn a_password_is_needed_once(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.password_room().await;
    let password = room.password.as_deref().unwrap();
    let join = async |password: Option<&str>| {
        let mut body = json!({"code": room.code});
        if let Some(password) = password {
            body["password"] = password.into();
        }
        bo.does("join", &body).await
    };

    for wrong in [None, Some(""), Some("wrong"), Some(&password[1..])] {
        let refused = join(wrong).await.is_refused(403, "INVALID_ROOM_PASSWORD");
        assert_eq!(refused["error"], "Invalid room password");
    }
    bo.reads(&format!("/api/rooms/{}/", room.code)).await.is_refused(403, "NOT_APPROVED");
    assert_eq!(join(Some(password)).await.is(200)["status"], "APPROVED");
    assert_eq!(join(None).await.is(200)["status"], "APPROVED");
    assert_eq!(ana.http().join(&room.code, None).await.unwrap().status, Status::Approved);
}

async fn who_asks_to_come_in_waits_for_the_host(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.approval_room().await;
    for i in 0..2 {
        assert_eq!(bo.http_at(i).join(&room.code, None).await.unwrap().status, Status::Pending);
    }
    let seen = ana.http().participants(room.id).await.unwrap();
    let asks = seen.iter().find(|person| person.id == bo.id()).unwrap();
    assert_eq!((asks.status, asks.display_name.as_str()), (Status::Pending, "Bo"));
    bo.reads(&format!("/api/rooms/{}/messages/", room.code)).await.is_refused(403, "NOT_APPROVED");

    let body = json!({"room_id": room.id, "user_id": bo.id()});
    for _ in 0..2 {
        assert_eq!(ana.does("approve", &body).await.is(200), json!({"approved": true}));
    }

    assert_eq!(bo.http().join(&room.code, None).await.unwrap().status, Status::Approved);
}

async fn only_the_host_decides_who_comes_in(system: &System) {
    let (ana, bo, cy) = (system.user("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.approval_room().await;
    room.admit(&bo).await;
    cy.http().join(&room.code, None).await.unwrap();
    let body = json!({"room_id": room.id, "user_id": cy.id()});

    for other in [&bo, &cy] {
        let refused = other.does("approve", &body).await.is_refused(403, "HOST_ONLY");
        assert_eq!(refused["error"], "Only host can approve");
        other.does("reject", &body).await.is_refused(403, "HOST_ONLY");
    }
    system.post("/api/rooms/approve/", &body).await.is_refused(401, "UNAUTHENTICATED");
    for (field, value) in [("room_id", json!("7")), ("user_id", json!("x")), ("user_id", json!(7))] {
        let mut body = body.clone();
        body[field] = value;
        ana.does("approve", &body).await.is_refused(400, "INVALID");
    }
    let nowhere = json!({"room_id": Uuid::nil(), "user_id": cy.id()});
    ana.does("approve", &nowhere).await.is_refused(404, "ROOM_NOT_FOUND");
    let nobody = json!({"room_id": room.id, "user_id": Uuid::nil()});
    assert_eq!(ana.does("approve", &nobody).await.status, 404);
}

async fn who_was_turned_away_may_ask_again(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.approval_room().await;
    bo.http().join(&room.code, None).await.unwrap();

    ana.http().reject(room.id, bo.id()).await.unwrap();
    let seen = ana.http().participants(room.id).await.unwrap();
    assert!(seen.iter().all(|person| person.id != bo.id()));

    assert_eq!(bo.http().join(&room.code, None).await.unwrap().status, Status::Pending);
    ana.http().approve(room.id, bo.id()).await.unwrap();
    assert_eq!(bo.http().join(&room.code, None).await.unwrap().status, Status::Approved);
}

async fn joining_at_once_from_many_tabs_makes_one_member(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;

    let tabs = futures_util::future::join_all((0..8).map(|i| bo.http_at(i).join(&room.code, None))).await;

    assert!(
        tabs.iter().all(|tab| tab.as_ref().is_ok_and(|joined| joined.status == Status::Approved)),
        "{tabs:?}"
    );
    let seen = ana.http().participants(room.id).await.unwrap();
    assert_eq!(seen.iter().filter(|person| person.id == bo.id()).count(), 1);
    assert_eq!(seen.len(), 2);
}

async fn the_second_bob_gets_a_number(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut names = Vec::new();
    for name in ["Bob", "Bob", "BOB", "Ana"] {
        let person = system.guest(name).await;
        let seat = room.join_on(names.len(), &person).await;
        names.push(seat.welcome.participants.you.clone().unwrap().name);
        // Whoever comes again has the name of before.
        let again = room.join_on(0, &person).await;
        assert_eq!(again.welcome.participants.you.unwrap().name, *names.last().unwrap());
    }
    assert_eq!(names, ["Bob", "Bob (2)", "BOB (3)", "Ana (2)"]);
}
