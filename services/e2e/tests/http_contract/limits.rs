//! How often somebody may try. Each story has addresses of its own, so none is in another's way.

use std::net::Ipv4Addr;

use futures_util::future::join_all;
use serde_json::{Value, json};
use streamit_client::Response;
use streamit_e2e::{Answer, System, fresh_address, on_both};

on_both! {
    crate::SYSTEMS;
    an_address_brings_120_guests_a_minute,
    an_account_is_tried_10_times_a_minute,
    guesses_from_everywhere_do_not_lock_the_owner_out,
    room_passwords_are_guessed_10_times_a_minute,
    unknown_codes_are_tried_60_times_a_minute,
    an_address_that_no_trusted_proxy_tells_is_not_believed,
}

async fn post(system: &System, i: usize, from: Ipv4Addr, path: &str, body: &Value) -> Response {
    let request = system.http(i).request("POST", path).header("x-forwarded-for", &from.to_string());
    request.json(body).send().await.unwrap()
}

/// Some pass, the rest is limited. A little more passes than the burst, since time goes by meanwhile.
fn assert_limited(answers: &[Response], passed: impl Fn(&Response) -> bool, burst: usize) {
    let through = answers.iter().filter(|answer| passed(answer)).count();
    assert!((burst..burst + burst / 4 + 2).contains(&through), "{through} of {} passed", answers.len());
    for answer in answers.iter().filter(|answer| !passed(answer)) {
        answer.is_refused(429, "RATE_LIMITED");
    }
}

async fn an_address_brings_120_guests_a_minute(system: &System) {
    let (busy, other) = (fresh_address(), fresh_address());
    let body = json!({"display_name": "Ana"});
    let mut answers = Vec::new();
    for batch in 0..10 {
        // Over all replicas together.
        answers.extend(
            join_all((0..16).map(|i| post(system, batch + i, busy, "/api/auth/guest/", &body))).await,
        );
    }
    assert_limited(&answers, |answer| answer.status == 200, 120);
    post(system, 0, other, "/api/auth/guest/", &body).await.is(200);
}

async fn an_account_is_tried_10_times_a_minute(system: &System) {
    let (email, from) = (system.fresh_email(), fresh_address());
    let tries = (0..16).map(async |i| {
        // In any spelling, over all replicas together.
        let email = if i % 2 == 0 { email.clone() } else { email.to_uppercase() };
        let body = json!({"email": email, "password": format!("guess {i}")});
        post(system, i, from, "/api/auth/login/", &body).await
    });
    let answers = join_all(tries).await;
    assert_limited(&answers, |answer| answer.status == 401, 10);
    let body = json!({"email": system.fresh_email(), "password": "guess"});
    post(system, 0, from, "/api/auth/login/", &body).await.is_refused(401, "INVALID_CREDENTIALS");
}

async fn guesses_from_everywhere_do_not_lock_the_owner_out(system: &System) {
    let (email, home) = (system.fresh_email(), fresh_address());
    let account = json!({"email": email, "password": "correct horse", "display_name": "Ana"});
    post(system, 0, home, "/api/auth/register/", &account).await.is(201);
    let mut answers = Vec::new();
    for batch in 0..5 {
        let guesses = (0..16).map(async |i| {
            let body = json!({"email": email, "password": format!("guess {i}")});
            post(system, batch + i, fresh_address(), "/api/auth/login/", &body).await
        });
        answers.extend(join_all(guesses).await);
    }
    // Registering has counted once.
    assert_limited(&answers, |answer| answer.status == 401, 59);
    let body = json!({"email": email, "password": "correct horse"});
    post(system, 1, home, "/api/auth/login/", &body).await.is(200);
}

async fn room_passwords_are_guessed_10_times_a_minute(system: &System) {
    let (ana, bo, cy) = (system.user("Ana").await, system.guest("Bo").await, system.guest("Cy").await);
    let room = ana.password_room().await;
    let mut answers = Vec::new();
    for i in 0..16 {
        answers.push(bo.does("join", &json!({"code": room.code, "password": format!("guess {i}")})).await);
    }
    assert_limited(&answers, |answer| answer.status == 403, 10);
    // Others are not held up by him.
    room.admit(&cy).await;
}

async fn unknown_codes_are_tried_60_times_a_minute(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let bo = system.guest("Bo").await;
    let mut answers = Vec::new();
    for i in 0..80 {
        answers.push(bo.does("join", &json!({"code": format!("0000{i:02}")})).await);
    }
    assert_limited(&answers, |answer| answer.status == 404, 60);
    system.guest("Cy").await.http().join(&room.code, None).await.unwrap();
}

async fn an_address_that_no_trusted_proxy_tells_is_not_believed(system: &System) {
    let (busy, real) = (fresh_address(), fresh_address());
    let body = json!({"display_name": "Ana"});
    let mut answers = Vec::new();
    for batch in 0..9 {
        answers.extend(
            join_all((0..16).map(async |i| {
                // What stands left of the first hop that is not trusted was written by that hop.
                let claimed = format!("10.250.{batch}.{i}, {busy}");
                let request =
                    system.http(i).request("POST", "/api/auth/guest/").header("x-forwarded-for", &claimed);
                request.json(&body).send().await.unwrap()
            }))
            .await,
        );
    }
    assert_limited(&answers, |answer| answer.status == 200, 120);
    post(system, 0, real, "/api/auth/guest/", &body).await.is(200);
}
