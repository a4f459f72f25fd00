//! Keeping order: what a host decides holds on every node at once, whoever comes back however he likes.

use std::time::Duration;

use serde_json::{Value, json};
use streamit_client::{Event, Named, Options, ReportReason, Which};
use streamit_e2e::{Answer, Person, Room, Seat, System, on_both};
use tokio::time::Instant;

on_both! {
    crate::SYSTEMS;
    what_a_muted_person_says_reaches_nobody_from_that_moment_on,
    a_banned_guest_stays_out_under_a_new_name,
    a_slow_room_is_slow_in_every_tab_and_on_every_node,
    a_locked_chat_and_a_locked_room_hold_everywhere,
    blocked_words_reach_nobody,
    an_erased_message_vanishes_everywhere,
    all_that_somebody_said_vanishes_and_who_was_away_is_told,
    cohosts_keep_order_over_the_websocket,
}

const SOON: Duration = Duration::from_millis(500);

/// The same person with another account: a guest from the same address.
async fn again(system: &System, person: &Person, name: &str) -> Person {
    let request = system.http(0).request("POST", "/api/auth/guest/");
    let request = request.header("x-forwarded-for", &person.address.to_string());
    let account =
        request.json(&json!({"display_name": name})).send().await.unwrap().ok().unwrap().read().unwrap();
    system.person(account, person.address, 0)
}

/// A seat on each node.
async fn on_each_node(room: &Room, person: &Person) -> Vec<Seat> {
    let mut seats = Vec::new();
    for node in 0..3 {
        seats.push(room.join_on(node, person).await);
    }
    seats
}

async fn set(room: &Room, settings: Value) {
    room.host_does("settings", settings).await;
}

/// Says something and gives what comes of it: the code of a refusal, or nothing when it was said.
async fn says(seat: &mut Seat, text: &str) -> Option<String> {
    let id = format!("said-{}", crate::fresh());
    seat.send(&json!({"type": "CHAT_MESSAGE", "message": text, "client_id": id})).await;
    seat.waits("an answer", |event| match event {
        Event::ChatMessage(said) if said.client_id.as_deref() == Some(&id) => Some(None),
        Event::Error(refusal) if refusal.client_id.as_deref() == Some(&id) => {
            Some(Some(refusal.code.clone()))
        }
        _ => None,
    })
    .await
}

async fn what_a_muted_person_says_reaches_nobody_from_that_moment_on(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut seats = on_each_node(&room, &ana).await;
    let mut tabs = on_each_node(&room, &bo).await;
    for round in 0..30 {
        ana.http().mute(room.id, bo.id()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(round % 2)).await; // at once, and 1 ms after
        for tab in &mut tabs {
            assert_eq!(says(tab, "muted").await.as_deref(), Some("MUTED"), "round {round}");
        }
        ana.http().unmute(room.id, bo.id()).await.unwrap();
        let said = format!("free {round}");
        // A node may need a moment to hear that he may speak again.
        while says(&mut tabs[0], &said).await.is_some() {}
    }
    for seat in &mut seats {
        let heard = seat.hears_until("free 29").await;
        assert!(heard.iter().all(|message| message.message != "muted"), "{heard:?}");
    }
    let kept = ana.http().messages(&room.code, None).await.unwrap();
    assert!(kept.iter().all(|message| message.message != "muted"));
}

async fn a_banned_guest_stays_out_under_a_new_name(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut tabs = on_each_node(&room, &bo).await;
    ana.http().ban(room.id, bo.id()).await.unwrap();
    let answered = Instant::now();
    for tab in &mut tabs {
        assert_eq!(tab.is_closed_within(answered, SOON).await.code, 4010);
    }
    host.sees_go("Bo").await;
    for node in 0..3 {
        // A new tab, and a new account.
        assert!(room.try_sit(node, &bo, Options::default()).await.is_err());
        let other = again(system, &bo, &format!("Not Bo {node}")).await;
        other.does("join", &json!({"code": room.code})).await.is_refused(403, "BANNED");
        assert!(room.try_sit(node, &other, Options::default()).await.is_err());
    }
    // Others are welcome.
    room.join_on(1, &system.guest("Cy").await).await;
    host.sees_come("Cy").await;
}

async fn a_slow_room_is_slow_in_every_tab_and_on_every_node(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut tabs = on_each_node(&room, &bo).await;
    set(&room, json!({"slow_mode_seconds": 3600})).await;
    assert_eq!(says(&mut tabs[0], "one").await, None);
    for tab in &mut tabs {
        assert_eq!(says(tab, "two").await.as_deref(), Some("SLOW_MODE"));
    }
    let mut back = room.sit(2, &bo, Options::default()).await;
    back.send(&json!({"type": "CHAT_MESSAGE", "message": "three"})).await;
    let told = back.is_told("SLOW_MODE").await;
    assert!(told.retry_in_ms.is_some_and(|wait| wait > 3_500_000 && wait <= 3_600_000), "{told:?}");
    for n in 0..3 {
        assert_eq!(says(&mut host, &format!("host {n}")).await, None);
    }
    set(&room, json!({"slow_mode_seconds": 0})).await;
    assert_eq!(says(&mut back, "free").await, None);
}

async fn a_locked_chat_and_a_locked_room_hold_everywhere(system: &System) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut bo_sits = room.join_on(1, &bo).await;
    let mut cohost = room.join_on(2, &cy).await;
    ana.http().cohost(room.id, cy.id(), true).await.unwrap();

    set(&room, json!({"is_chat_locked": true, "is_locked": true})).await;
    assert_eq!(says(&mut bo_sits, "no").await.as_deref(), Some("CHAT_LOCKED"));
    assert_eq!(says(&mut cohost, "yes").await, None);
    assert_eq!(says(&mut host, "yes").await, None);
    assert_eq!(bo_sits.welcome.participants.is_chat_locked, Some(false), "as it was when he came");
    let di = system.guest("Di").await;
    for i in 0..system.apis() {
        let refused = di.http_at(i).join(&room.code, None).await.unwrap_err();
        assert_eq!(refused.api().unwrap().code, "ROOM_LOCKED");
    }
    bo_sits.leaves().await;
    room.join_on(0, &bo).await; // who was in comes back
    set(&room, json!({"is_locked": false})).await;
    room.join_on(1, &di).await;
}

async fn blocked_words_reach_nobody(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut bo_sits = room.join_on(1, &bo).await;
    let set_to = room.host_does("settings", json!({"blocked_words": ["spoil*", "the end"]})).await;
    assert_eq!(set_to["blocked_words"], json!(["spoil*", "the end"]));
    for text in ["a SPOILER", "sp\u{f6}iler", "s\u{200b}poilers!", "The... End"] {
        assert_eq!(says(&mut bo_sits, text).await.as_deref(), Some("WORD_BLOCKED"), "{text:?}");
    }
    assert_eq!(says(&mut bo_sits, "the happy end").await, None);
    assert_eq!(host.hears_until("the happy end").await.len(), 1);
}

/// Waits for the news that these were erased, on all seats, until half a second after `since`.
async fn all_see_erased(seats: &mut [Seat], since: Instant, seqs: &[u64]) {
    for seat in seats {
        for wanted in seqs {
            seat.waits("a message to vanish", |event| match event {
                Event::MessageErased(erased) if erased.seq == *wanted => Some(()),
                _ => None,
            })
            .await;
        }
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    }
}

async fn an_erased_message_vanishes_everywhere(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut seats = on_each_node(&room, &ana).await;
    let mut bo_sits = room.join_on(1, &bo).await;
    bo_sits.say("oops").await;
    bo_sits.say("fine").await;
    for seat in &mut seats {
        seat.hears("fine").await;
    }

    assert_eq!(ana.http().erase(room.id, Which::Message(1)).await.unwrap(), 1);
    all_see_erased(&mut seats, Instant::now(), &[1]).await;
    for node in 0..3 {
        let late = room.join_on(node, &system.guest("Late").await).await;
        let shown: Vec<_> =
            late.welcome.history.messages.iter().map(|m| (m.seq, m.message.clone())).collect();
        assert_eq!(shown, [(1, String::new()), (2, "fine".to_owned())]);
    }
    // Whoever sends it again gets the tombstone, and so does nobody else.
    bo.does("erase", &json!({"room_id": room.id, "seq": 2})).await.is(200);
    all_see_erased(&mut seats, Instant::now(), &[2]).await;
}

async fn all_that_somebody_said_vanishes_and_who_was_away_is_told(system: &System) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    let mut host = vec![room.join_on(0, &ana).await];
    let mut bo_sits = room.join_on(1, &bo).await;
    let mut cy_sits = room.join_on(2, &cy).await;
    for text in ["one", "two", "three"] {
        bo_sits.say(text).await;
    }
    cy_sits.hears("three").await;
    host[0].hears("three").await;
    drop(cy_sits);

    // One may have seen enough to tell of it before it is gone.
    let about = Some(Which::Message(2));
    cy.http().report(room.id, about, ReportReason::Spam, Some("Three in a row")).await.unwrap();
    assert_eq!(ana.http().erase(room.id, Which::AllOf(bo.id())).await.unwrap(), 3);
    all_see_erased(&mut host, Instant::now(), &[1, 2, 3]).await;
    let options = Options { since: Some(3), ..Options::default() };
    let mut back = room.sit(2, &cy, options).await;
    assert!(back.welcome.history.messages.is_empty());
    let mut gone = Vec::new();
    while gone.len() < 3 {
        let seq = back.waits("what vanished meanwhile", |event| match event {
            Event::MessageErased(erased) => Some(erased.seq),
            _ => None,
        });
        gone.push(seq.await);
    }
    assert_eq!(gone, [1, 2, 3]);
}

async fn cohosts_keep_order_over_the_websocket(system: &System) {
    let (ana, bo, cy) = (system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.public_room().await;
    let mut host = room.join_on(0, &ana).await;
    let mut cohost = room.join_on(1, &bo).await;
    let mut cy_sits = room.join_on(2, &cy).await;
    ana.http().cohost(room.id, bo.id(), true).await.unwrap();
    for (kind, about) in [("KICK_USER", ana.id()), ("MUTE_USER", ana.id()), ("UNMUTE_USER", bo.id())] {
        // A node may hear of the new co-host a moment later.
        let mut told = String::from("HOST_ONLY");
        while told == "HOST_ONLY" {
            cohost.send(&json!({"type": kind, "user_id": about})).await;
            told = cohost
                .waits("a refusal", |event| match event {
                    Event::Error(refusal) => Some(refusal.code.clone()),
                    _ => None,
                })
                .await;
        }
        assert_eq!(told, "FORBIDDEN", "{kind}");
    }
    cohost.send(&json!({"type": "BAN_USER", "user_id": cy.id()})).await;
    assert_eq!(cy_sits.is_closed().await.code, 4010);
    host.sees_go("Cy").await;
    let banned = bo.http().bans(&room.code).await.unwrap();
    assert_eq!(banned.iter().map(|person| person.id).collect::<Vec<_>>(), [cy.id()]);
    let audit = ana.http().audit(&room.code, None, Some("moderation.banned")).await.unwrap();
    let [entry] = &audit.entries[..] else { panic!("{audit:?}") };
    let name = |who: &Option<Named>| who.as_ref().and_then(|who| who.name.clone()).unwrap_or_default();
    assert_eq!((&*name(&entry.actor), &*name(&entry.target)), ("Bo", "Cy"));
    let before = ana.http().audit(&room.code, Some(entry.id), None).await.unwrap();
    assert!(before.entries.iter().all(|other| other.action != "moderation.banned"), "{before:?}");
    cohost.send(&json!({"type": "UNBAN_USER", "user_id": cy.id()})).await;
    streamit_e2e::until("the ban to be lifted", async || cy.http().join(&room.code, None).await.ok())
        .await
        .unwrap();
}
