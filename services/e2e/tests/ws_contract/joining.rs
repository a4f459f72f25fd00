//! The way in: what a join brings, and in which order it is refused.

use serde_json::json;
use streamit_client::{Connection, Event, Options};
use streamit_e2e::{Answer, Person, Room, System, fresh_address, on_both};

use crate::count;

on_both! {
    crate::SYSTEMS;
    three_frames_come_before_anything_else,
    the_others_hear_of_a_joiner_who_does_not_hear_of_himself,
    a_joiner_is_shown_the_last_50_messages_oldest_first,
    without_a_good_token_everything_else_does_not_matter,
    the_room_is_looked_at_before_the_person,
    who_is_not_a_member_is_told_how_he_stands,
    a_session_that_has_ended_opens_no_socket,
    a_room_that_was_deleted_is_closed,
    an_open_socket_does_not_mind_that_its_token_runs_out,
    codes_are_guessed_60_times_a_minute_and_then_rooms_and_no_rooms_look_alike,
}

async fn three_frames_come_before_anything_else(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.password_room().await;
    let mut host = room.join_on(0, &ana).await;

    let mut bo_sits = room.join_on(1, &bo).await; // takes them in order, and nothing else in between

    let people = &bo_sits.welcome.participants;
    assert_eq!(people.protocol, Some(1));
    assert_eq!(people.host.as_deref(), Some("Ana"));
    assert_eq!(people.online, Some(2));
    let mut names = people.participants.clone();
    names.sort();
    assert_eq!(names, ["Ana", "Bo"]);
    let you = people.you.as_ref().unwrap();
    assert_eq!((you.id, you.name.as_str(), you.role.as_str()), (bo.id(), "Bo", "VIEWER"));
    let of_ana = people.members.iter().find(|member| member.id == ana.id()).unwrap();
    assert_eq!((of_ana.name.as_str(), of_ana.role.as_str()), ("Ana", "HOST"));
    let history = &bo_sits.welcome.history;
    assert!(history.messages.is_empty() && history.epoch.is_some() && !history.resumed);
    let playback = &bo_sits.welcome.playback;
    assert!(!playback.is_playing && playback.time.abs() < f64::EPSILON && playback.version < 1 << 53);

    let later = bo_sits.quiet().await;
    assert_eq!(
        count(&later, "CHAT_HISTORY") + count(&later, "PLAYBACK_STATE"),
        0,
        "each once per join: {later:?}"
    );
    assert_eq!(host.welcome.participants.participants, ["Ana"]);
    host.sees_come("Bo").await;
}

async fn the_others_hear_of_a_joiner_who_does_not_hear_of_himself(system: &System) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    let mut on_first = room.join_on(0, &ana).await;
    let mut on_second = room.join_on(1, &bo).await;

    let mut joiner = room.join_on(2, &cy).await;

    for seat in [&mut on_first, &mut on_second] {
        let id = seat
            .waits("Cy to come", |event| match event {
                Event::UserJoined(person) if person.user == "Cy" => person.user_id,
                _ => None,
            })
            .await;
        assert_eq!(id, cy.id());
    }
    assert_eq!(count(&joiner.quiet().await, "USER_JOINED"), 0);
}

async fn a_joiner_is_shown_the_last_50_messages_oldest_first(system: &System) {
    const PEOPLE: usize = 11;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut heard = Vec::new();
    let mut first = room.join_on(0, &ana).await;
    for i in 0..PEOPLE {
        let person = system.guest("Talker").await;
        let mut seat = room.join_on(i, &person).await;
        for n in 0..5 {
            seat.say(&format!("{i}-{n}")).await;
        }
        seat.leaves().await;
    }
    heard.extend(first.hears_many(PEOPLE * 5).await);

    for node in 0..system.nodes() {
        let late = room.join_on(node, &system.guest("Late").await).await;
        assert_eq!(late.welcome.history.messages, heard[heard.len() - 50..]);
        assert!(!late.welcome.history.resumed);
    }
}

/// The code that ends a connection with this query.
async fn refusal(system: &System, node: usize, code: &str, query: &str) -> u16 {
    let url = format!("{}/ws/room/{code}/{query}", system.ws(node));
    let mut line = Connection::open_url(&url, Options::default()).await.expect("the upgrade is accepted");
    let reason = line.closed().await.unwrap();
    assert!(line.receiver().frame().await.is_err());
    reason.code
}

async fn without_a_good_token_everything_else_does_not_matter(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;
    ana.http().ban(room.id, bo.id()).await.unwrap();
    let token = bo.token();
    let (rest, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{rest}.{}", "A".repeat(86));

    for code in [room.code.as_str(), "000000", "nonsense"] {
        for query in [
            String::new(),
            "?token=".to_owned(),
            "?token=nonsense".to_owned(),
            format!("?token={forged}"),
            format!("?token={}", system.expired(token)),
            format!("?Token={token}"),
        ] {
            assert_eq!(refusal(system, 0, code, &query).await, 4001, "{code} {query}");
        }
    }
    // A cookie is not enough.
    let came = system.post("/api/auth/guest/", &json!({"display_name": "Cy"})).await;
    let cookie = came.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    came.is(200);
    let options = Options { headers: vec![("cookie".to_owned(), cookie)], ..Options::default() };
    let url = format!("{}/ws/room/{}/", system.ws(0), room.code);
    let mut line = Connection::open_url(&url, options).await.unwrap();
    assert_eq!(line.closed().await.unwrap().code, 4001);
}

async fn the_room_is_looked_at_before_the_person(system: &System) {
    let bo = system.guest("Bo").await;
    for code in
        ["000000", "nonsense", "%F0%9F%8E%AC", "A%00B", "a-very-long-code-that-nobody-could-ever-type"]
    {
        assert_eq!(refusal(system, 1, code, &format!("?token={}", bo.token())).await, 4002, "{code}");
    }
}

async fn knocks(room: &Room, node: usize, person: &Person) -> u16 {
    let mut line = room.knock(node, person, Options::default()).await.expect("the upgrade is accepted");
    line.closed().await.unwrap().code
}

async fn who_is_not_a_member_is_told_how_he_stands(system: &System) {
    let ana = system.user("Ana").await;
    let room = ana.approval_room().await;
    let person = async |name: &str| system.guest(name).await;
    let (stranger, pending, rejected) = (person("S").await, person("P").await, person("R").await);
    let (banned, kicked, left) = (person("B").await, person("K").await, person("L").await);
    for asks in [&pending, &rejected] {
        asks.http().join(&room.code, None).await.unwrap();
    }
    for member in [&banned, &kicked, &left] {
        room.admit(member).await;
    }
    ana.http().reject(room.id, rejected.id()).await.unwrap();
    ana.http().ban(room.id, banned.id()).await.unwrap();
    ana.http().kick(room.id, kicked.id()).await.unwrap();
    left.http().leave(room.id).await.unwrap();

    for node in 0..system.nodes() {
        for person in [&stranger, &pending, &rejected, &left] {
            assert_eq!(knocks(&room, node, person).await, 4003);
        }
        assert_eq!(knocks(&room, node, &banned).await, 4010);
        let code = knocks(&room, node, &kicked).await;
        assert!(matches!(code, 4003 | 4011), "{code}: not a participant, because kicked");
    }
    ana.http().approve(room.id, pending.id()).await.unwrap();
    room.sit(0, &pending, Options::default()).await;
}

async fn a_session_that_has_ended_opens_no_socket(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;
    bo.http().logout().await.unwrap();
    for node in 0..system.nodes() {
        let code = knocks(&room, node, &bo).await;
        assert!(
            matches!(code, 4001 | 4011),
            "{code}: the token is good no more, since its session was revoked"
        );
    }
}

async fn a_room_that_was_deleted_is_closed(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    room.admit(&bo).await;
    ana.http().delete_room(room.id).await.unwrap();
    for person in [&ana, &bo] {
        assert_eq!(knocks(&room, 1, person).await, 4005);
    }
}

async fn an_open_socket_does_not_mind_that_its_token_runs_out(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    // A minute of leeway, and a moment: good now, over in a moment.
    let now = room.join_on(0, &ana).await.clock().await / 1000;
    let short = system.resigned(ana.token(), |claims| claims["exp"] = (now - 57).into());
    let mut options = Options::default();
    options.headers.push(("x-forwarded-for".to_owned(), ana.address.to_string()));
    let (mut line, _) = Connection::join(&system.ws(0), &room.code, &short, options.clone()).await.unwrap();

    // Until it opens no new one any more.
    let refused = streamit_e2e::until("the token to run out", async || {
        let opened = Connection::join(&system.ws(0), &room.code, &short, options.clone()).await;
        opened.err().and_then(|error| error.close_reason().map(|reason| reason.code))
    });
    assert_eq!(refused.await.unwrap(), 4001);
    line.sender().chat("still here", None).await.unwrap();
    line.expect("my own words", |event| matches!(event, Event::ChatMessage(_)).then_some(())).await.unwrap();
}

async fn codes_are_guessed_60_times_a_minute_and_then_rooms_and_no_rooms_look_alike(system: &System) {
    let (ana, bo) = (system.user("Ana").await, system.guest("Bo").await);
    let room = ana.password_room().await;
    let from = fresh_address().to_string();
    let knock = async |who: &Person, code: &str| {
        let headers = vec![("x-forwarded-for".to_owned(), from.clone())];
        let url = format!("{}/ws/room/{code}/?token={}", system.ws(0), who.token());
        Connection::open_url(&url, Options { headers, ..Options::default() }).await.unwrap()
    };
    let mut told = 0;
    for guess in 0..80 {
        match knock(&bo, &format!("0000{guess:02}")).await.closed().await.unwrap().code {
            4002 => told += 1,
            code => assert_eq!(code, 4105),
        }
    }
    assert!((60..77).contains(&told), "{told} of 80 guesses were answered");

    for code in [room.code.as_str(), "000099"] {
        let reason = knock(&bo, code).await.closed().await.unwrap();
        assert!(reason.code == 4105 && reason.retry_in_ms.is_some_and(|wait| wait > 0), "{code}: {reason}");
    }
    // Who belongs to the room comes in, from the same address, too.
    knock(&ana, &room.code).await.welcome().await.unwrap();
}
