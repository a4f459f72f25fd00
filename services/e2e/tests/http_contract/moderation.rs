//! What the host does about people, over HTTP.

use serde_json::json;
use streamit_client::Status;
use streamit_e2e::{Answer, System, on_both};

on_both! {
    crate::SYSTEMS;
    who_was_kicked_stays_out_for_ten_minutes,
    who_was_banned_stays_out_until_the_ban_is_taken_back,
    only_the_host_acts_on_people,
    a_mute_and_a_role_are_seen_in_the_list,
    a_transfer_makes_another_host,
    leaving_is_for_everybody_but_the_host,
    a_pending_person_can_be_banned,
}

async fn who_was_kicked_stays_out_for_ten_minutes(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;

    ana.does("kick", &json!({"room_id": room.id, "user_id": bo.id()})).await.is(200);

    for i in 0..system.apis() {
        let refused = bo.http_at(i).join(&room.code, None).await.unwrap_err();
        let refused = refused.api().unwrap();
        assert_eq!((refused.status, refused.code.as_str()), (403, "KICKED"));
    }
    let seen = ana.http().participants(room.id).await.unwrap();
    assert!(seen.iter().all(|person| person.id != bo.id()));
    // Another room is no concern of this host.
    let elsewhere = system.guest("Cy").await.public_room().await;
    elsewhere.admit(&bo).await;
}

async fn who_was_banned_stays_out_until_the_ban_is_taken_back(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.password_room().await;
    room.admit(&bo).await;
    let body = json!({"room_id": room.id, "user_id": bo.id()});
    let join = json!({"code": room.code, "password": room.password});

    ana.does("ban", &body).await.is(200);
    bo.does("join", &join).await.is_refused(403, "BANNED");
    // A kick does not make a ban shorter, nor does leaving.
    ana.does("kick", &body).await;
    bo.does("leave", &json!({"room_id": room.id})).await;
    bo.does("join", &join).await.is_refused(403, "BANNED");

    ana.does("unban", &body).await.is(200);
    bo.does("join", &json!({"code": room.code})).await.is_refused(403, "INVALID_ROOM_PASSWORD");
    assert_eq!(bo.does("join", &join).await.is(200)["status"], "APPROVED");
}

async fn only_the_host_acts_on_people(system: &System) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;
    room.admit(&cy).await;
    let about = json!({"room_id": room.id, "user_id": cy.id(), "on": true});

    for action in ["kick", "ban", "unban", "mute", "unmute", "transfer", "cohost"] {
        bo.does(action, &about).await.is_refused(403, "HOST_ONLY");
        system.guest("Di").await.does(action, &about).await.is_refused(403, "HOST_ONLY");
        system.post(&format!("/api/rooms/{action}/"), &about).await.is_refused(401, "UNAUTHENTICATED");
    }
    let himself = json!({"room_id": room.id, "user_id": ana.id()});
    for action in ["kick", "ban", "mute"] {
        assert!((400..500).contains(&ana.does(action, &himself).await.status));
    }
    assert_eq!(ana.http().participants(room.id).await.unwrap().len(), 3);
}

async fn a_mute_and_a_role_are_seen_in_the_list(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;
    let listed = async || {
        let list = ana.http().participants(room.id).await.unwrap();
        let bo = list.iter().find(|person| person.id == bo.id()).unwrap().clone();
        assert_eq!((bo.status, bo.is_host), (Status::Approved, false));
        (bo.role.clone(), bo.rest["muted"] == json!(true))
    };
    assert_eq!(listed().await, ("VIEWER".to_owned(), false));

    ana.http().mute(room.id, bo.id()).await.unwrap();
    ana.http().cohost(room.id, bo.id(), true).await.unwrap();
    assert_eq!(listed().await, ("COHOST".to_owned(), true));

    ana.http().unmute(room.id, bo.id()).await.unwrap();
    ana.http().cohost(room.id, bo.id(), false).await.unwrap();
    assert_eq!(listed().await, ("VIEWER".to_owned(), false));
}

async fn a_transfer_makes_another_host(system: &System) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;
    room.admit(&cy).await;

    ana.http().transfer(room.id, bo.id()).await.unwrap();

    let detail = bo.http().detail(&room.code).await.unwrap();
    assert_eq!((detail.host.as_deref(), detail.host_id, detail.is_host), (Some("Bo"), Some(bo.id()), true));
    assert!(!ana.http().detail(&room.code).await.unwrap().is_host);
    let about = json!({"room_id": room.id, "user_id": cy.id()});
    ana.does("kick", &about).await.is_refused(403, "HOST_ONLY");
    bo.does("kick", &about).await.is(200);
    let stranger = system.guest("Di").await;
    let to_stranger = json!({"room_id": room.id, "user_id": stranger.id()});
    assert!((400..500).contains(&bo.does("transfer", &to_stranger).await.status));
}

async fn leaving_is_for_everybody_but_the_host(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;
    let body = json!({"room_id": room.id});

    bo.does("leave", &body).await.is(200);
    bo.does("leave", &body).await.is(200);
    assert_eq!(ana.http().participants(room.id).await.unwrap().len(), 1);
    room.admit(&bo).await;

    ana.does("leave", &body).await.is_refused(409, "CONFLICT");
}

async fn a_pending_person_can_be_banned(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.approval_room().await;
    bo.http().join(&room.code, None).await.unwrap();

    ana.http().ban(room.id, bo.id()).await.unwrap();

    bo.does("join", &json!({"code": room.code})).await.is_refused(403, "BANNED");
    let approve = json!({"room_id": room.id, "user_id": bo.id()});
    assert!((400..500).contains(&ana.does("approve", &approve).await.status));
    bo.does("join", &json!({"code": room.code})).await.is_refused(403, "BANNED");
}
