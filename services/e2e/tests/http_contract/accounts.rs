//! `/api/auth/`: coming in, going, and the tokens in between.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use streamit_e2e::{Answer, PASSWORD, System, on_both};
use uuid::Uuid;

on_both! {
    crate::SYSTEMS;
    a_guest_comes_in_by_a_name_alone,
    a_name_is_1_to_50_characters_without_tricks,
    an_account_is_made_once_whatever_the_case_of_its_email,
    a_wrong_password_and_an_unknown_email_get_the_same_answer,
    a_wrong_password_and_an_unknown_email_take_the_same_time,
    logging_out_always_succeeds_and_ends_the_session,
    a_refresh_gives_new_tokens_and_the_used_one_still_answers,
    who_shows_nothing_or_nonsense_is_not_known,
    the_public_keys_are_published,
}

async fn a_guest_comes_in_by_a_name_alone(system: &System) {
    let came = system.post("/api/auth/guest/", &json!({"display_name": "  Ana  "})).await.is(200);

    assert_eq!(came["display_name"], "Ana");
    assert_eq!(came["is_guest"], true);
    came["id"].as_str().unwrap().parse::<Uuid>().unwrap();
    let token = came["access_token"].as_str().unwrap();
    // Known to every replica at once.
    for i in 0..system.apis() {
        let me = system.http(i).with_token(token).me().await.unwrap();
        assert_eq!(
            (me.id.to_string(), me.display_name.as_str()),
            (came["id"].as_str().unwrap().into(), "Ana")
        );
    }
}

async fn a_name_is_1_to_50_characters_without_tricks(system: &System) {
    let guest = async |body: Value| system.post("/api/auth/guest/", &body).await;
    for missing in [json!({}), json!({"display_name": ""}), json!({"display_name": " \t "})] {
        let body = guest(missing).await.is_refused(400, "INVALID");
        assert_eq!(body["error"], "Display name required");
    }
    for wrong in ["x".repeat(51), "a\u{202e}b".into(), "a\u{0}b".into(), "a\nb".into(), "a\u{2066}x".into()] {
        let body = guest(json!({"display_name": wrong})).await.is_refused(400, "INVALID");
        assert!(body["fields"]["display_name"].is_string(), "{wrong:?}: {body}");
    }
    for name in ["é".repeat(50), "O'Neill <b>".into(), "日本".into(), "👩‍👩‍👧".into()] {
        assert_eq!(guest(json!({"display_name": name})).await.is(200)["display_name"], name);
    }
}

async fn an_account_is_made_once_whatever_the_case_of_its_email(system: &System) {
    let email = system.fresh_email();
    let body = |email: &str| json!({"email": email, "password": PASSWORD, "display_name": "Ana"});

    let made = system.post("/api/auth/register/", &body(&email)).await.is(201);
    assert_eq!((&made["is_guest"], &made["display_name"]), (&json!(false), &json!("Ana")));
    system.post("/api/auth/register/", &body(&email.to_uppercase())).await.is_refused(409, "EMAIL_TAKEN");

    let login = json!({"email": email.to_uppercase(), "password": PASSWORD});
    let came = system.post("/api/auth/login/", &login).await.is(200);
    assert_eq!(came["id"], made["id"]);
    let me = system.http(1).with_token(came["access_token"].as_str().unwrap()).me().await.unwrap();
    assert_eq!(me.rest["email"], email);

    for (field, wrong) in [("email", "nobody"), ("password", "short"), ("display_name", "")] {
        let mut body = body(&system.fresh_email());
        body[field] = wrong.into();
        let refused = system.post("/api/auth/register/", &body).await.is_refused(400, "INVALID");
        assert!(refused["fields"][field].is_string(), "{refused}");
    }
}

async fn a_wrong_password_and_an_unknown_email_get_the_same_answer(system: &System) {
    let email = system.fresh_email();
    let account = json!({"email": email, "password": PASSWORD, "display_name": "Ana"});
    system.post("/api/auth/register/", &account).await.is(201);
    let login = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        system.post("/api/auth/login/", &body).await.is_refused(401, "INVALID_CREDENTIALS")
    };

    let wrong = login(&email, "not this one").await;
    let unknown = login(&system.fresh_email(), PASSWORD).await;

    assert_eq!(wrong["error"], "Invalid credentials");
    assert_eq!(wrong, unknown);
    assert_eq!(login("not an email", PASSWORD).await, wrong);
}

async fn a_wrong_password_and_an_unknown_email_take_the_same_time(system: &System) {
    let email = system.fresh_email();
    let account = json!({"email": email, "password": PASSWORD, "display_name": "Ana"});
    system.post("/api/auth/register/", &account).await.is(201);
    let takes = async |email: String| {
        let body = json!({"email": email, "password": "not this one"});
        let start = Instant::now();
        system.post("/api/auth/login/", &body).await.is(401);
        start.elapsed()
    };

    // In turn, and the fastest of each: what else the machine does makes single ones slower, never faster.
    let (mut wrong, mut unknown) = (Duration::MAX, Duration::MAX);
    for _ in 0..9 {
        wrong = wrong.min(takes(email.clone()).await);
        unknown = unknown.min(takes(system.fresh_email()).await);
    }

    let (less, more) = (wrong.min(unknown), wrong.max(unknown));
    assert!(more < less * 2, "{wrong:?} for a wrong password, {unknown:?} for an unknown email");
}

async fn logging_out_always_succeeds_and_ends_the_session(system: &System) {
    let ana = system.guest("Ana").await;
    let logout = async |token: Option<&str>| {
        let request = system.http(0).request("POST", "/api/auth/logout/");
        let request = match token {
            Some(token) => request.bearer(token),
            None => request,
        };
        assert_eq!(request.send().await.unwrap().is(200), json!({"success": true}));
    };

    logout(None).await;
    logout(Some("nonsense")).await;
    ana.http().me().await.unwrap();
    logout(Some(ana.token())).await;
    logout(Some(ana.token())).await;

    for i in 0..system.apis() {
        ana.http_at(i).raw("GET", "/api/auth/me/", None).await.unwrap().is_refused(401, "SESSION_REVOKED");
    }
    let refresh = json!({"refresh_token": ana.account.refresh_token});
    assert_eq!(system.post("/api/auth/refresh/", &refresh).await.status, 401);
}

async fn a_refresh_gives_new_tokens_and_the_used_one_still_answers(system: &System) {
    let ana = system.guest("Ana").await;
    let first = ana.account.refresh_token.clone().unwrap();

    let next = system.http(0).refresh(&first).await.unwrap();
    assert_eq!((next.id, next.display_name.as_str(), next.is_guest), (ana.id(), "Ana", true));
    assert_ne!(next.refresh_token, Some(first.clone()));
    // The other tab was a little slower, and asked another replica.
    let other_tab = system.http(1).refresh(&first).await.unwrap();

    for account in [&ana.account, &next, &other_tab] {
        assert_eq!(system.http(0).as_user(account).me().await.unwrap().id, ana.id());
    }
    system.http(1).refresh(&next.refresh_token.unwrap()).await.unwrap();
    let unknown = json!({"refresh_token": "nonsense"});
    system.post("/api/auth/refresh/", &unknown).await.is_refused(401, "UNAUTHENTICATED");
}

async fn who_shows_nothing_or_nonsense_is_not_known(system: &System) {
    let ana = system.guest("Ana").await;
    let me = async |authorization: &str| {
        let request = system.http(0).request("GET", "/api/auth/me/");
        request.header("authorization", authorization).send().await.unwrap()
    };
    system.http(0).raw("GET", "/api/auth/me/", None).await.unwrap().is_refused(401, "UNAUTHENTICATED");
    let token = ana.token();
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split_once('.').unwrap().1);
    let tampered = format!("{rest}.{}{signature}", if signature.starts_with('A') { "B" } else { "A" });
    for wrong in ["", "x", "a.b.c", &unsigned, &tampered, &token[1..], &system.expired(token)] {
        me(&format!("Bearer {wrong}")).await.is_refused(401, "UNAUTHENTICATED");
    }
    let other = system.resigned(token, |claims| claims["sub"] = Uuid::nil().to_string().into());
    assert_eq!(me(&format!("Bearer {other}")).await.status, 401);
    assert_eq!(me(&format!("bearer {token}")).await.is(200)["id"], ana.id().to_string());
}

async fn the_public_keys_are_published(system: &System) {
    for i in 0..system.apis() {
        let keys = system.http(i).raw("GET", "/.well-known/jwks.json", None).await.unwrap().is(200);
        let keys = keys["keys"].as_array().unwrap();
        assert!(!keys.is_empty());
        for key in keys {
            assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
            assert!(key["kid"].is_string() && key["x"].is_string());
            assert!(key.get("d").is_none(), "a private key is published");
        }
    }
}
