//! How often somebody may try, and that guesses do not lock out whom they are about.

use serde_json::{Value, json};
use streamit_api::config::Public;

use crate::support::{Reply, World};

/// A world that believes what its proxy says of addresses.
async fn behind_a_proxy() -> World {
    World::with(Public { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Public::default() }).await
}

async fn post(world: &World, from: &str, path: &str, body: Value) -> Reply {
    world.post(path).header("x-forwarded-for", from).json(body).send().await
}

async fn login(world: &World, email: &str, password: &str, from: &str) -> Reply {
    post(world, from, "/api/auth/login/", json!({"email": email, "password": password})).await
}

async fn register(world: &World, email: &str, from: &str) {
    let body = json!({"email": email, "password": "correct horse", "display_name": "Ana"});
    let made = post(world, from, "/api/auth/register/", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

/// Guesses at an account from one address after the other, until one is refused; gives how many were not.
async fn guess_from_everywhere(world: &World, email: &str) -> (usize, Reply) {
    for n in 0..200 {
        let guess = login(world, email, "guess", &format!("198.51.100.{n}")).await;
        if guess.status != 401 {
            return (n, guess);
        }
        guess.refused(401, "INVALID_CREDENTIALS");
    }
    panic!("nobody was ever refused")
}

/// What a client can tell one refusal from another by.
fn seen(reply: &Reply) -> (u16, String, Vec<(String, String)>) {
    let headers = reply.headers.iter().filter(|(name, _)| name.as_str() != "x-request-id");
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    (reply.status, reply.text.clone(), headers)
}

#[tokio::test]
async fn an_account_is_tried_ten_times_a_minute_from_one_address_in_any_spelling() {
    let world = behind_a_proxy().await;
    for n in 0..10 {
        let email = if n % 2 == 0 { "ana@example.org" } else { "ANA@Example.org" };
        login(&world, email, "guess", "1.1.1.1").await.refused(401, "INVALID_CREDENTIALS");
    }
    let eleventh = login(&world, "ana@example.org", "guess", "1.1.1.1").await;
    eleventh.refused(429, "RATE_LIMITED");
    assert_eq!(eleventh.header("retry-after"), Some("6"));
    assert_eq!(login(&world, "bo@example.org", "guess", "1.1.1.1").await.status, 401, "another account");
    assert_eq!(login(&world, "ana@example.org", "guess", "2.2.2.2").await.status, 401, "another address");
    world.advance(6);
    assert_eq!(login(&world, "ana@example.org", "guess", "1.1.1.1").await.status, 401);
}

#[tokio::test]
async fn an_address_logs_in_sixty_times_a_minute_whatever_the_account() {
    let world = behind_a_proxy().await;
    for n in 0..60 {
        assert_eq!(login(&world, &format!("{n}@example.org"), "guess", "1.1.1.1").await.status, 401);
    }
    let next = login(&world, "60@example.org", "guess", "1.1.1.1").await;
    next.refused(429, "RATE_LIMITED");
    assert_eq!(next.header("retry-after"), Some("1"));
    assert_eq!(login(&world, "60@example.org", "guess", "2.2.2.2").await.status, 401);
    let body = json!({"email": "new@example.org", "password": "correct horse", "display_name": "Ana"});
    post(&world, "1.1.1.1", "/api/auth/register/", body).await.refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn guesses_from_everywhere_share_sixty_a_minute_and_do_not_lock_the_owner_out() {
    let world = behind_a_proxy().await;
    register(&world, "ana@example.org", "203.0.113.7").await;
    world.advance(6); // registering has counted, too

    let (guesses, refused) = guess_from_everywhere(&world, "ana@example.org").await;

    assert_eq!(guesses, 60);
    refused.refused(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // The right password does not help where she has never been: it may have been guessed.
    login(&world, "ana@example.org", "correct horse", "192.0.2.1").await.refused(429, "RATE_LIMITED");
    let owner = login(&world, "ana@example.org", "correct horse", "203.0.113.7").await;
    assert_eq!(owner.status, 200, "{}", owner.text);
    // At home there are ten tries as everywhere.
    for _ in 0..9 {
        login(&world, "ana@example.org", "guess", "203.0.113.7").await.refused(401, "INVALID_CREDENTIALS");
    }
    login(&world, "ana@example.org", "correct horse", "203.0.113.7").await.refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn an_owner_who_has_logged_out_gets_in_from_home_while_others_guess() {
    let world = behind_a_proxy().await;
    register(&world, "ana@example.org", "2001:db8:1:2::7").await;
    let there = login(&world, "ana@example.org", "correct horse", "2001:db8:1:2::8").await;
    world.post("/api/auth/logout/").bearer(&there.text("access_token")).send().await;

    guess_from_everywhere(&world, "ana@example.org").await;

    // The day after, the same network has given her another address.
    let owner = login(&world, "ana@example.org", "correct horse", "2001:db8:1:2:ffff::9").await;
    assert_eq!(owner.status, 200, "{}", owner.text);
    login(&world, "ana@example.org", "correct horse", "2001:db8:1:3::9").await.refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn limits_do_not_tell_which_accounts_exist() {
    let world = behind_a_proxy().await;
    register(&world, "ana@example.org", "203.0.113.7").await;
    world.advance(1);
    let mut told = Vec::new();
    for email in ["ana@example.org", "nobody@example.org", "not an address"] {
        let (guesses, refused) = guess_from_everywhere(&world, email).await;
        told.push((guesses, seen(&refused)));
        world.advance(60);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}

#[tokio::test]
async fn an_address_brings_a_hundred_and_twenty_guests_a_minute() {
    let world = behind_a_proxy().await;
    let guest = |from: &'static str| post(&world, from, "/api/auth/guest/", json!({"display_name": "Ana"}));
    for _ in 0..120 {
        assert_eq!(guest("3.3.3.3").await.status, 200);
    }
    let next = guest("3.3.3.3").await;
    next.refused(429, "RATE_LIMITED");
    assert_eq!(next.header("retry-after"), Some("1"));
    assert_eq!(guest("4.4.4.4").await.status, 200);
}

#[tokio::test]
async fn codes_guessed_all_at_once_are_counted_one_by_one() {
    let world = World::new().await;
    let (ana, eve) = (world.guest("Ana").await, world.guest("Eve").await);
    let room = world.room(&ana, json!({"is_private": true, "entry_mode": "APPROVAL"})).await;
    let door = |code: String| world.get(&format!("/api/rooms/{code}/door/")).by(&eve).send();
    // A real code is no guess, however often it is used.
    for _ in 0..100 {
        assert_eq!(door(room.code.clone()).await.status, 200);
    }
    for n in 0..59 {
        door(format!("ZZ{n:04}")).await.refused(404, "ROOM_NOT_FOUND");
    }
    // One is left, and many ask at the same moment: most for nothing, and some for the room.
    let codes = (0..100).map(|n| if n % 2 == 0 { room.code.clone() } else { format!("YY{n:04}") });
    let answers = futures_util::future::join_all(codes.map(door)).await;
    let count = |status| answers.iter().filter(|reply| reply.status == status).count();
    assert_eq!(count(404), 1, "the one that was left");
    assert!(count(200) < 10, "{} learnt of the room for nothing", count(200));
    let after = door(room.code.clone()).await;
    after.refused(429, "RATE_LIMITED");
    assert!(after.header("retry-after").is_some());
}

#[tokio::test]
async fn what_is_told_to_everybody_and_written_down_has_its_pace() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let mut opened = 0;
    let refused = loop {
        let reply = world.post("/api/rooms/create/").by(&ana).json(json!({})).send().await;
        if reply.status != 201 {
            break reply;
        }
        opened += 1;
    };
    assert_eq!(opened, 20);
    refused.refused(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), Some("3"));

    let room = world.public_room(&bo).await;
    let set = |on: bool| {
        let body = json!({"room_id": room.id, "is_locked": on});
        world.post("/api/rooms/settings/").by(&bo).json(body).send()
    };
    let mut changes = 0;
    while set(changes % 2 == 0).await.status == 200 {
        changes += 1;
    }
    assert_eq!(changes, 120);
    let come_and_go = async |path: &str| {
        let body = json!({"room_id": room.id, "code": room.code});
        world.post(&format!("/api/rooms/{path}/")).by(&ana).json(body).send().await.status
    };
    world.advance(60);
    assert_eq!(set(false).await.status, 200);
    let mut moves = 0;
    while come_and_go(if moves % 2 == 0 { "join" } else { "leave" }).await == 200 {
        moves += 1;
    }
    assert_eq!(moves, 60);
}
