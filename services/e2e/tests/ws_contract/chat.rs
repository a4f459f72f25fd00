//! Chat: what is said is said once, to everybody, in one order.

use futures_util::future::join_all;
use serde_json::json;
use streamit_client::Event;
use streamit_e2e::{System, on_both};

use crate::count;

on_both! {
    crate::SYSTEMS;
    a_message_reaches_everybody_with_all_its_fields,
    a_message_is_trimmed_and_at_most_500_characters,
    a_repeated_client_id_is_answered_to_the_sender_alone,
    a_client_id_is_one_persons_own,
    six_messages_in_three_seconds_cost_ten,
    a_room_that_shouts_all_at_once_is_slowed_down_and_nobody_is_thrown_out,
    chat_that_is_switched_off_is_off_for_everybody,
    who_is_muted_is_told_so,
}

async fn a_message_reaches_everybody_with_all_its_fields(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut seats = [room.join_on(0, &ana).await, room.join_on(1, &bo).await, room.join_on(2, &ana).await];

    seats[1].line.sender().chat("what a <b>film</b> 🎬", Some("m-1")).await.unwrap();
    seats[0].say("indeed").await;

    let mut lists = Vec::new();
    for seat in &mut seats {
        lists.push(seat.hears_many(2).await);
    }
    assert!(lists.iter().all(|list| *list == lists[0]), "{lists:?}");
    let mut list = lists.remove(0);
    assert_eq!(list.iter().map(|said| said.seq).collect::<Vec<_>>(), [1, 2]);
    list.sort_by_key(|said| said.user != "Bo");
    let (film, indeed) = (&list[0], &list[1]);
    assert_eq!((film.message.as_str(), film.user_id), ("what a <b>film</b> 🎬", Some(bo.id())));
    assert_eq!((film.client_id.as_deref(), indeed.client_id.as_deref()), (Some("m-1"), None));
    assert_eq!((indeed.user.as_str(), indeed.user_id), ("Ana", Some(ana.id())));
    let is_utc = |at: &str| at.len() > 18 && at.as_bytes()[10] == b'T' && at.ends_with('Z');
    assert!(is_utc(&film.created_at), "{}", film.created_at);
}

async fn a_message_is_trimmed_and_at_most_500_characters(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;

    ana.say("  hi\n\t").await;
    ana.hears("hi").await;
    let long = "é🎬".repeat(250);
    ana.say(&long).await;
    ana.hears(&long).await;
    for wrong in ["x".repeat(501), String::new(), " \n ".to_owned(), "a\u{0}b".to_owned()] {
        ana.line.sender().chat(&wrong, Some("mine")).await.unwrap();
        assert_eq!(ana.is_told("INVALID").await.client_id.as_deref(), Some("mine"));
    }
    let id = "x".repeat(64);
    ana.line.sender().chat("last", Some(&id)).await.unwrap();
    assert_eq!(ana.hears("last").await.client_id, Some(id));
}

async fn a_repeated_client_id_is_answered_to_the_sender_alone(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;
    let mut tab = room.join_on(1, &bo).await;
    let mut other_tab = room.join_on(2, &bo).await;

    tab.line.sender().chat("first", Some("c-1")).await.unwrap();
    let first = tab.hears("first").await;
    other_tab.hears("first").await;
    for text in ["first", "another text"] {
        other_tab.line.sender().chat(text, Some("c-1")).await.unwrap();
        assert_eq!(other_tab.hears_many(1).await[0], first);
    }
    tab.say("second").await;

    for seat in [&mut ana, &mut tab, &mut other_tab] {
        seat.hears("second").await;
    }
    let all = bo.http().messages(&room.code, None).await.unwrap();
    assert_eq!(all.iter().map(|said| said.message.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(all[1].seq, 2);
    // Nobody else heard it twice.
    let again = room.join_on(0, &bo).await;
    assert_eq!(again.welcome.history.messages, all);
    assert_eq!(count(&ana.quiet().await, "CHAT_MESSAGE"), 0);
}

async fn a_client_id_is_one_persons_own(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let other_room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;
    let mut bo_here = room.join_on(0, &bo).await;
    let mut bo_there = other_room.join_on(0, &bo).await;

    ana.line.sender().chat("of Ana", Some("1")).await.unwrap();
    bo_here.line.sender().chat("of Bo", Some("1")).await.unwrap();
    bo_there.line.sender().chat("elsewhere", Some("1")).await.unwrap();

    ana.hears("of Bo").await;
    assert_eq!(bo_there.hears("elsewhere").await.seq, 1);
}

async fn six_messages_in_three_seconds_cost_ten(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;
    let mut bo = room.join_on(0, &bo).await;

    for n in 0..7 {
        bo.line.sender().chat(&format!("number {n}"), Some(&format!("id {n}"))).await.unwrap();
    }

    for n in [5, 6] {
        let told = bo.is_told("RATE_LIMITED").await;
        assert_eq!(told.client_id, Some(format!("id {n}")));
        let wait = told.retry_in_ms.unwrap();
        assert!((8_000..=10_000).contains(&wait), "{wait}");
    }
    assert_eq!(ana.hears_until("number 4").await.len(), 5);
    // Others are not held up, and nobody else is told.
    ana.say("and now?").await;
    let heard = bo.hears_until("and now?").await;
    assert!(heard.iter().all(|said| said.message != "number 5"));
    assert_eq!(count(&ana.quiet().await, "ERROR"), 0);
}

async fn a_room_that_shouts_all_at_once_is_slowed_down_and_nobody_is_thrown_out(system: &System) {
    const PEOPLE: usize = 60;
    const EACH: usize = 5;
    // The room's burst, and what its rate adds in the moments this takes.
    const BURST: usize = 200;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let people = join_all((0..PEOPLE).map(|_| system.guest("Fan"))).await;
    // All on one node, since a node keeps the budget of its part of the room.
    let mut seats = join_all(people.iter().map(|person| room.join_on(0, person))).await;

    let answers = join_all(seats.iter_mut().map(async |seat| {
        for n in 0..EACH {
            seat.line.sender().chat("goal!", Some(&format!("{n}"))).await.unwrap();
        }
        let own = seat.welcome.participants.you.as_ref().unwrap().id;
        let (mut said, mut refused) = (0, 0);
        seat.waits("an answer to each message", |event| {
            match event {
                Event::ChatMessage(message) => said += usize::from(message.user_id == Some(own)),
                Event::Error(told) => {
                    assert_eq!(told.code, "RATE_LIMITED");
                    assert!(told.retry_in_ms.is_some_and(|wait| wait > 0), "{told:?}");
                    refused += 1;
                }
                _ => {}
            }
            (said + refused == EACH).then_some(())
        })
        .await;
        said
    }))
    .await;

    let said: usize = answers.iter().sum();
    assert!(said >= BURST, "only {said} passed");
    assert!(said < PEOPLE * EACH, "all passed");
    let history = people[0].http().messages(&room.code, None).await.unwrap();
    assert_eq!(history.last().unwrap().seq, said as u64);
}

async fn chat_that_is_switched_off_is_off_for_everybody(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut seats = [room.join_on(0, &ana).await, room.join_on(1, &bo).await];

    room.host_does("settings", json!({"is_chat_enabled": false})).await;
    for seat in &mut seats {
        let is_off = |event: &Event| match event {
            Event::RoomUpdated(changed) => changed.is_chat_enabled,
            _ => None,
        };
        assert!(!seat.waits("chat to be switched off", is_off).await);
        seat.line.sender().chat("anybody?", Some("x")).await.unwrap();
        let told = seat.is_told("CHAT_DISABLED").await;
        assert_eq!(told.message, "Chat is disabled in this room");
        assert_eq!(told.client_id.as_deref(), Some("x"));
    }

    room.host_does("settings", json!({"is_chat_enabled": true})).await;
    for seat in &mut seats {
        seat.gets("ROOM_UPDATED").await;
    }
    seats[1].say("at last").await;
    assert_eq!(seats[0].hears("at last").await.seq, 1);
}

async fn who_is_muted_is_told_so(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut ana_sits = room.join_on(0, &ana).await;
    let mut tabs = [room.join_on(1, &bo).await, room.join_on(2, &bo).await];

    ana.http().mute(room.id, bo.id()).await.unwrap();
    for tab in &mut tabs {
        tab.say("hello?").await;
        tab.is_told("MUTED").await;
    }
    ana.http().unmute(room.id, bo.id()).await.unwrap();

    // The news may take a moment to come to his node.
    let speaks = streamit_e2e::until("his voice to be back", async || {
        tabs[0].say("hello!").await;
        tabs[0]
            .waits("an answer", |event| match event {
                Event::ChatMessage(said) => Some(Some(said.seq)),
                Event::Error(refusal) if refusal.code == "MUTED" => Some(None),
                _ => None,
            })
            .await
    });
    assert_eq!(speaks.await.unwrap(), 1, "nothing was said while he was muted");
    ana_sits.hears("hello!").await;
}
