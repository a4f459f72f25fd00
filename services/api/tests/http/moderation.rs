//! What hosts do: about people, settings and what is being watched.

use serde_json::json;
use streamit_domain::room::FOREVER;
use streamit_wire::v1;

use streamit_api::config::Public;

use crate::grpc::{append, connect, draft};
use crate::support::{Person, Room, World, next, next_facts};

/// A room of Ana's that Bo is in.
async fn ana_and_bo(world: &World) -> (Person, Person, Room) {
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    (ana, bo, room)
}

async fn rejoin(world: &World, room: &Room, person: &Person) -> (u16, String) {
    let reply = world.post("/api/rooms/join/").by(person).json(json!({"code": room.code})).send().await;
    (reply.status, reply.text("code"))
}

#[tokio::test]
async fn only_the_host_acts_and_not_against_himself() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let cy = world.guest("Cy").await;
    world.join(&room, &cy, "APPROVED").await;
    for action in ["approve", "reject", "kick", "ban", "unban", "mute", "unmute", "transfer"] {
        assert_eq!(world.act(action, &room, &bo, &cy).await, (403, "HOST_ONLY".into()), "{action}");
    }
    for action in ["kick", "ban", "mute"] {
        assert_eq!(world.act(action, &room, &ana, &ana).await, (403, "FORBIDDEN".into()), "{action}");
    }
    let nobody = world.guest("Nobody").await;
    for action in ["approve", "kick", "ban", "mute", "transfer"] {
        assert_eq!(world.act(action, &room, &ana, &nobody).await, (404, "NOT_FOUND".into()), "{action}");
    }
    let unknown = json!({"room_id": "018f0000-0000-7000-8000-000000000000", "user_id": bo.id});
    world.post("/api/rooms/kick/").by(&ana).json(unknown).send().await.refused(404, "ROOM_NOT_FOUND");
    let by_code = json!({"code": room.code.to_lowercase(), "user_id": cy.id});
    assert_eq!(world.post("/api/rooms/mute/").by(&ana).json(by_code).send().await.status, 200);
}

#[tokio::test]
async fn a_kick_holds_for_ten_minutes_and_is_told_at_once() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    assert_eq!(world.act("kick", &room, &ana, &bo).await.0, 200);
    let facts = next_facts(&mut news).await;
    assert_eq!((facts.version, facts.base, facts.people.len()), (2, 1, 1));
    assert_eq!(
        (facts.people[0].standing, facts.people[0].removed_version),
        (v1::Standing::Kicked as i32, 2),
        "connections admitted before are void"
    );
    assert_eq!(rejoin(&world, &room, &bo).await, (403, "KICKED".into()));
    world.advance(300);
    assert_eq!(world.act("kick", &room, &ana, &bo).await.0, 200, "again changes nothing");
    assert_eq!(world.act("ban", &room, &ana, &bo).await.0, 200);
    assert_eq!(world.act("unban", &room, &ana, &bo).await.0, 200, "to which the kick comes back");
    world.advance(299);
    assert_eq!(rejoin(&world, &room, &bo).await, (403, "KICKED".into()));
    world.advance(1);
    assert_eq!(rejoin(&world, &room, &bo).await.0, 200);
    let mut standing = v1::Standing::Kicked as i32;
    while standing != v1::Standing::Approved as i32 {
        standing = next_facts(&mut news).await.people[0].standing;
    }
}

#[tokio::test]
async fn a_ban_holds_until_it_is_taken_back() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    assert_eq!(world.act("ban", &room, &ana, &bo).await.0, 200);
    world.advance(1_000_000);
    let ana = login_again(&world, &ana).await;
    let bo = login_again(&world, &bo).await;
    assert_eq!(rejoin(&world, &room, &bo).await, (403, "BANNED".into()));
    assert_eq!(world.act("kick", &room, &ana, &bo).await.0, 200, "a kick does not soften a ban");
    let leave = world.post("/api/rooms/leave/").by(&bo).json(json!({"room_id": room.id})).send().await;
    assert_eq!(leave.status, 200, "nor does leaving");
    assert_eq!(rejoin(&world, &room, &bo).await, (403, "BANNED".into()));
    assert_eq!(world.act("unban", &room, &ana, &bo).await.0, 200);
    assert_eq!(world.act("unban", &room, &ana, &bo).await.0, 200);
    assert_eq!(rejoin(&world, &room, &bo).await.0, 200);
}

/// The same session with a new access token.
async fn login_again(world: &World, person: &Person) -> Person {
    let body = json!({"refresh_token": person.refresh});
    Person::of(&world.post("/api/auth/refresh/").json(body).send().await)
}

#[tokio::test]
async fn a_mute_may_have_an_end() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let body = json!({"room_id": room.id, "user_id": bo.id, "seconds": 60});
    assert_eq!(world.post("/api/rooms/mute/").by(&ana).json(body).send().await.status, 200);
    assert_eq!(next_facts(&mut news).await.people[0].muted_until, crate::support::START + 60_000);
    assert_eq!(world.act("mute", &room, &ana, &bo).await.0, 200);
    assert_eq!(next_facts(&mut news).await.people[0].muted_until, FOREVER.0);
    assert_eq!(world.act("unmute", &room, &ana, &bo).await.0, 200);
    assert_eq!(next_facts(&mut news).await.people[0].muted_until, 0);
}

#[tokio::test]
async fn a_room_changes_hands_under_a_new_fence() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    assert_eq!(world.act("transfer", &room, &ana, &bo).await.0, 200);
    let facts = next_facts(&mut news).await;
    assert_eq!(
        (facts.host.as_slice(), facts.host_name.as_str(), facts.fence),
        (&bo.id.as_bytes()[..], "Bo", 2)
    );
    assert_eq!(world.act("mute", &room, &ana, &bo).await, (403, "HOST_ONLY".into()));
    assert_eq!(world.act("kick", &room, &bo, &ana).await, (403, "FORBIDDEN".into()), "the one who opened it");
    let leave = |by| world.post("/api/rooms/leave/").by(by).json(json!({"room_id": room.id})).send();
    leave(&bo).await.refused(409, "CONFLICT");
    assert_eq!(leave(&ana).await.body, json!({"left": true}));
    assert_eq!(world.act("transfer", &room, &bo, &ana).await, (409, "CONFLICT".into()), "she is not in");
    let delete = world.post("/api/rooms/delete/").by(&ana).json(json!({"room_id": room.id})).send().await;
    assert_eq!(delete.status, 200, "still hers to delete");
}

#[tokio::test]
async fn a_co_host_is_made_and_unmade_and_lost_with_a_kick() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let cohost = |on| {
        let body = json!({"room_id": room.id, "user_id": bo.id, "on": on});
        world.post("/api/rooms/cohost/").by(&ana).json(body).send()
    };
    assert_eq!(cohost(json!(true)).await.body, json!({"cohost": true}));
    let facts = next_facts(&mut news).await;
    assert_eq!((facts.people[0].role, facts.fence), (v1::Role::Cohost as i32, 2));
    assert_eq!(cohost(json!(true)).await.status, 200);
    assert_eq!(world.act("kick", &room, &ana, &bo).await.0, 200);
    let facts = next_facts(&mut news).await;
    assert_eq!((facts.people[0].role, facts.fence), (v1::Role::Viewer as i32, 3));
    assert_eq!(cohost(json!(true)).await.status, 409);
    cohost(json!("yes")).await.refused(400, "INVALID");
    cohost(json!(null)).await.refused(400, "INVALID");
}

#[tokio::test]
async fn a_banned_guest_stays_out_under_another_name_and_others_do_not() {
    let proxy = Public { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Public::default() };
    let world = World::with(proxy).await;
    let from = |address: &'static str, name: &'static str| {
        let world = &world;
        async move {
            let ask = world.post("/api/auth/guest/").header("x-forwarded-for", address);
            Person::of(&ask.json(json!({"display_name": name})).send().await)
        }
    };
    let join = |person: Person, address: &'static str, code: String| {
        let ask = world.post("/api/rooms/join/").by(&person).header("x-forwarded-for", address);
        let ask = ask.json(json!({"code": code}));
        async move {
            let reply = ask.send().await;
            (reply.status, reply.text("code"))
        }
    };
    const HOME: &str = "203.0.113.7";
    let (ana, bo) = (from("198.51.100.1", "Ana").await, from(HOME, "Bo").await);
    let (room, other) = (world.public_room(&ana).await, world.public_room(&ana).await);
    let flatmate = from(HOME, "Flatmate").await;
    for person in [&bo, &flatmate] {
        assert_eq!(join(person.clone(), HOME, room.code.clone()).await.0, 200);
    }
    assert_eq!(world.act("ban", &room, &ana, &bo).await.0, 200);

    let again = from(HOME, "Bo again").await;
    let banned = (403, "BANNED".to_owned());
    assert_eq!(join(again.clone(), HOME, room.code.clone()).await, banned);
    assert_eq!(join(flatmate, HOME, room.code.clone()).await.0, 200, "who was in stays in");
    assert_eq!(join(again.clone(), "203.0.113.8", room.code.clone()).await.0, 200, "another address");
    assert_eq!(join(from(HOME, "Cy").await, HOME, other.code.clone()).await.0, 200, "another room");
    let account = json!({"email": "di@e.org", "password": "correct horse", "display_name": "Di"});
    let di = world.post("/api/auth/register/").header("x-forwarded-for", HOME).json(account).send().await;
    // Nor may who has an account come back as a guest.
    let (cat, away) = (Person::of(&di), "192.0.2.9");
    assert_eq!(join(cat.clone(), away, room.code.clone()).await.0, 200, "accounts answer for themselves");
    assert_eq!(world.act("ban", &room, &ana, &cat).await.0, 200);
    let guest = from("192.0.2.10", "Di in disguise").await;
    assert_eq!(join(guest.clone(), "192.0.2.10", room.code.clone()).await.0, 200, "elsewhere");
    let disguised = from(away, "Di").await;
    assert_eq!(
        join(disguised, away, room.code.clone()).await,
        banned,
        "where he joined counts, not where he logged in"
    );
    // IPv6: everybody who has one address of a /64 has them all.
    let ed = from("2001:db8:0:1::5", "Ed").await;
    assert_eq!(join(ed.clone(), "2001:db8:0:1::5", room.code.clone()).await.0, 200);
    assert_eq!(world.act("ban", &room, &ana, &ed).await.0, 200);
    let ed_again = from("2001:db8:0:1:ffff::9", "Ed again").await;
    assert_eq!(join(ed_again, "2001:db8:0:1:ffff::9", room.code.clone()).await, banned);

    let late = from(HOME, "Late").await;
    assert_eq!(join(late.clone(), HOME, room.code.clone()).await, banned);
    for person in [&bo, &cat] {
        assert_eq!(world.act("unban", &room, &ana, person).await.0, 200);
    }
    assert_eq!(join(late, HOME, room.code.clone()).await.0, 200, "the ban's end is the network's");
    assert_eq!(world.act("ban", &room, &ana, &bo).await.0, 200);
    world.advance(24 * 3600);
    let next_day = from(HOME, "Next day").await;
    assert_eq!(join(next_day, HOME, room.code.clone()).await.0, 200, "a day is enough");
}

#[tokio::test]
async fn a_locked_room_takes_nobody_new() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let lock = |on| {
        world.post("/api/rooms/settings/").by(&ana).json(json!({"room_id": room.id, "is_locked": on})).send()
    };
    assert_eq!(lock(true).await.body["is_locked"], json!(true));
    let cy = world.guest("Cy").await;
    assert_eq!(rejoin(&world, &room, &cy).await, (403, "ROOM_LOCKED".into()));
    assert_eq!(rejoin(&world, &room, &bo).await.0, 200, "who is in comes in again");
    assert_eq!(rejoin(&world, &room, &ana).await.0, 200);
    assert_eq!(lock(false).await.status, 200);
    assert_eq!(rejoin(&world, &room, &cy).await.0, 200);
}

#[tokio::test]
async fn a_name_is_a_word_too() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let words = json!({"room_id": room.id, "blocked_words": ["spoil*", "bo"]});
    assert_eq!(world.post("/api/rooms/settings/").by(&ana).json(words).send().await.status, 200);
    let spoiler = world.guest("Sp\u{f6}iler").await;
    assert_eq!(rejoin(&world, &room, &spoiler).await, (403, "WORD_BLOCKED".into()));
    assert_eq!(rejoin(&world, &room, &bo).await.0, 200, "who is in stays in");
}

#[tokio::test]
async fn messages_are_taken_back_by_their_author_and_those_in_charge() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let cy = world.guest("Cy").await;
    world.join(&room, &cy, "APPROVED").await;
    let mut client = connect(&world).await;
    for n in 0..4 {
        append(
            &mut client,
            vec![draft(&room, &bo, "x", &format!("b{n}")), draft(&room, &ana, "x", &format!("a{n}"))],
        )
        .await;
    }
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let erase = |by: &Person, mut body: serde_json::Value| {
        body["room_id"] = json!(room.id);
        world.post("/api/rooms/erase/").by(by).json(body).send()
    };
    let next = async |news: &mut _| match next(news).await.kind {
        Some(v1::event::Kind::Erased(erased)) => {
            (erased.number, erased.tombstones.iter().map(|message| message.seq).collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    };
    erase(&cy, json!({"seq": 1})).await.refused(403, "HOST_ONLY");
    assert_eq!(erase(&bo, json!({"seq": 1})).await.body, json!({"erased": 1}));
    assert_eq!(next(&mut news).await, (1, vec![1]));
    assert_eq!(erase(&bo, json!({"seq": 1})).await.body, json!({"erased": 0}), "again changes nothing");
    assert_eq!(erase(&ana, json!({"user_id": bo.id})).await.body, json!({"erased": 3}));
    assert_eq!(next(&mut news).await, (2, vec![3, 5, 7]));
    erase(&ana, json!({"seq": 99})).await.refused(404, "NOT_FOUND");
    let cohost = json!({"room_id": room.id, "user_id": cy.id, "on": true});
    assert_eq!(world.post("/api/rooms/cohost/").by(&ana).json(cohost).send().await.status, 200);
    erase(&cy, json!({"seq": 2})).await.refused(403, "FORBIDDEN");
    for bad in [
        json!({}),
        json!({"seq": 0}),
        json!({"seq": 1, "user_id": bo.id}),
        json!({"seq": "1"}),
        json!({"user_id": "x"}),
    ] {
        erase(&ana, bad).await.refused(400, "INVALID");
    }
    let stranger = world.guest("Stranger").await;
    erase(&stranger, json!({"seq": 1})).await.refused(403, "NOT_APPROVED");
    let history = world.get(&format!("/api/rooms/{}/messages/", room.code)).by(&bo).send().await;
    let erased: Vec<_> =
        history.body["messages"].as_array().unwrap().iter().map(|m| m["erased"] == json!(true)).collect();
    assert_eq!(erased, [true, false, true, false, true, false, true, false]);
}

#[tokio::test]
async fn reports_are_for_those_who_were_there() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let mut client = connect(&world).await;
    append(&mut client, vec![draft(&room, &bo, "ugly", "k")]).await;
    let report = |by: &Person, mut body: serde_json::Value| {
        body["room_id"] = json!(room.id);
        world.post("/api/rooms/report/").by(by).json(body).send()
    };
    let first = report(&ana, json!({"seq": 1, "reason": "ABUSE"})).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = report(&ana, json!({"user_id": bo.id, "seq": 1, "reason": "SPAM"})).await;
    assert_eq!(again.body, first.body, "the same again, while it is open");
    assert_eq!(report(&bo, json!({"reason": "OTHER", "note": "cold in here"})).await.status, 201);
    for bad in [
        json!({}),
        json!({"reason": "BORING"}),
        json!({"reason": "OTHER"}),
        json!({"reason": "SPAM", "note": " "}),
        json!({"reason": "SPAM", "note": "x".repeat(1_001)}),
        json!({"reason": "SPAM", "user_id": 5}),
    ] {
        report(&ana, bad).await.refused(400, "INVALID");
    }
    report(&ana, json!({"seq": 9, "reason": "SPAM"})).await.refused(404, "NOT_FOUND");
    report(&ana, json!({"seq": 1, "user_id": ana.id, "reason": "SPAM"})).await.refused(404, "NOT_FOUND");
    let stranger = world.guest("Stranger").await;
    report(&stranger, json!({"reason": "SPAM"})).await.refused(403, "NOT_APPROVED");
    report(&ana, json!({"user_id": stranger.id, "reason": "SPAM"})).await.refused(404, "NOT_FOUND");
    for _ in 0..10 {
        report(&bo, json!({"reason": "SPAM"})).await;
    }
    report(&bo, json!({"reason": "SPAM"})).await.refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn settings_change_one_by_one_and_are_told() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let set = |by, mut body: serde_json::Value| {
        body["room_id"] = json!(room.id);
        world.post("/api/rooms/settings/").by(by).json(body).send()
    };
    set(&bo, json!({"is_chat_enabled": false})).await.refused(403, "HOST_ONLY");
    let reply = set(&ana, json!({"is_chat_enabled": false})).await;
    assert_eq!((reply.status, &reply.body["is_chat_enabled"]), (200, &json!(false)));
    assert!(!next_facts(&mut news).await.settings.unwrap().is_chat_enabled);
    assert_eq!(set(&ana, json!({"is_chat_enabled": false})).await.status, 200, "the same again is no news");
    let body = json!({"host_grace_seconds": 5, "on_host_lost": "wait", "expiry_days": 30, "sync_threshold_ms": 500,
            "readiness": "strict", "drift_enter_ms": 80, "drift_leave_ms": 30, "drift_seek_ms": 900});
    assert_eq!(set(&ana, body).await.body["host_grace_seconds"], json!(5));
    let facts = next_facts(&mut news).await;
    let settings = facts.settings.unwrap();
    assert_eq!((facts.version, settings.expiry_days), (3, 30));
    assert_eq!((settings.readiness(), settings.drift.unwrap().leave_ms), (v1::ReadinessMode::Strict, 30));
    for body in [
        json!({"host_grace_seconds": 4}),
        json!({"host_grace_seconds": 301}),
        json!({"on_host_lost": "panic"}),
        json!({"expiry_days": 0}),
        json!({"sync_threshold_ms": 49}),
        json!({"readiness": "STRICT"}),
        json!({"drift_seek_ms": 80}),
        json!({"drift_leave_ms": 80}),
        json!({"drift_enter_ms": 1_000}),
        json!({"slow_mode_seconds": 3_601}),
        json!({"is_locked": "yes"}),
        json!({"blocked_words": "spoiler"}),
        json!({"blocked_words": [1]}),
        json!({"blocked_words": ["*"]}),
    ] {
        set(&ana, body).await.refused(400, "INVALID");
    }
}

#[tokio::test]
async fn what_is_watched_is_an_address_or_a_providers_id() {
    let world = World::new().await;
    let (ana, bo, room) = ana_and_bo(&world).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let set = |by, mut body: serde_json::Value| {
        body["room_id"] = json!(room.id);
        world.post("/api/rooms/source/").by(by).json(body).send()
    };
    let reply = set(&ana, json!({"url": "https://e.org/film.mp4", "title": "A film"})).await;
    assert_eq!((reply.status, reply.text("url").as_str()), (200, "https://e.org/film.mp4"));
    let source = next_facts(&mut news).await.source.unwrap();
    assert_eq!(
        (source.url.as_deref(), source.title.as_deref()),
        (Some("https://e.org/film.mp4"), Some("A film"))
    );

    let reply = set(&ana, json!({"provider": "tube", "video_id": "42"})).await;
    assert_eq!((reply.text("video_provider"), reply.text("video_id")), ("tube".into(), "42".into()));
    assert_eq!(next_facts(&mut news).await.source.unwrap().url, None);
    let detail = world.get(&format!("/api/rooms/{}/", room.code)).by(&bo).send().await;
    assert_eq!((detail.text("video_provider"), detail.text("video_id")), ("tube".into(), "42".into()));
    let listed = world.get("/api/rooms/public/").send().await;
    assert_eq!(listed.body[0]["video_id"], json!("42"));

    set(&bo, json!({"url": "https://e.org/film.mp4"})).await.refused(403, "HOST_ONLY");
    for body in
        [json!({}), json!({"title": "x"}), json!({"provider": "tube"}), json!({"url": "javascript:alert(1)"})]
    {
        set(&ana, body).await.refused(400, "INVALID");
    }
}
