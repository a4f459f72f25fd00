//! Coming in and going.

use serde_json::json;
use streamit_api::config::Public;
use streamit_wire::v1;

use crate::support::{Person, World, next};

#[tokio::test]
async fn a_guest_is_known_by_token_and_by_cookie() {
    let world = World::new().await;
    let reply = world.post("/api/auth/guest/").json(json!({"display_name": "  Ana "})).send().await;
    assert_eq!(reply.status, 200);
    assert_eq!((reply.text("display_name").as_str(), &reply.body["is_guest"]), ("Ana", &json!(true)));
    let set_cookie = reply.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set_cookie.contains(part), "{set_cookie}");
    }
    assert!(!set_cookie.contains("Secure"), "{set_cookie}");

    let ana = Person::of(&reply);
    for known in [world.get("/api/auth/me/").by(&ana), world.get("/api/auth/me/").cookie(&ana)] {
        let me = known.send().await;
        assert_eq!((me.status, me.text("id")), (200, ana.id.to_string()), "{}", me.text);
    }
    world.get("/api/auth/me/").send().await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn names_are_checked() {
    let world = World::new().await;
    let guest = |body| world.post("/api/auth/guest/").json(body).send();
    for body in [json!({}), json!({"display_name": "  "}), json!({"display_name": null})] {
        let reply = guest(body).await;
        reply.refused(400, "INVALID");
        assert_eq!(reply.text("error"), "Display name required");
        assert_eq!(reply.body["fields"]["display_name"], "Display name required");
    }
    for name in ["x".repeat(51), "a\u{202E}b".into(), "a\u{0}b".into()] {
        guest(json!({"display_name": name})).await.refused(400, "INVALID");
    }
}

#[tokio::test]
async fn an_account_logs_in_whatever_the_case_of_its_address() {
    let world = World::new().await;
    let register = |email: &str| {
        let body = json!({"email": email, "password": "correct horse", "display_name": "Ana"});
        world.post("/api/auth/register/").json(body).send()
    };
    let made = register("Ana@Example.org").await;
    assert_eq!((made.status, &made.body["is_guest"]), (201, &json!(false)));
    register("ana@example.ORG").await.refused(409, "EMAIL_TAKEN");

    let login = |email: &str, password: &str| {
        world.post("/api/auth/login/").json(json!({"email": email, "password": password})).send()
    };
    let reply = login("ANA@example.org", "correct horse").await;
    assert_eq!((reply.status, reply.text("id")), (200, made.text("id")));
    let me = world.get("/api/auth/me/").by(&Person::of(&reply)).send().await;
    assert_eq!(me.text("email"), "ana@example.org");

    let wrong = login("ana@example.org", "wrong horse").await;
    for other in [login("nobody@example.org", "wrong horse").await, login("not an address", "x").await] {
        assert_eq!((other.status, &other.text), (wrong.status, &wrong.text), "all the same");
    }
    wrong.refused(401, "INVALID_CREDENTIALS");
    assert_eq!(wrong.text("error"), "Invalid credentials");
}

#[tokio::test]
async fn registration_tells_every_field_that_is_wrong() {
    let world = World::new().await;
    let body = json!({"email": "nobody", "password": "short", "display_name": ""});
    let reply = world.post("/api/auth/register/").json(body).send().await;
    reply.refused(400, "INVALID");
    for field in ["email", "password", "display_name"] {
        assert!(reply.body["fields"][field].is_string(), "{}", reply.text);
    }
}

#[tokio::test]
async fn logging_out_ends_the_session_everywhere_and_always_succeeds() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let mut news = world.rooms.subscribe_all().await.unwrap();
    let reply = world.post("/api/auth/logout/").by(&ana).send().await;
    assert_eq!((reply.status, &reply.body), (200, &json!({"success": true})));
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    let Some(v1::event::Kind::Revoked(revoked)) = next(&mut news).await.kind else { panic!("a revocation") };
    assert_eq!(revoked.user, ana.id.as_bytes());
    assert_eq!(revoked.session.len(), 16);

    world.get("/api/auth/me/").by(&ana).send().await.refused(401, "SESSION_REVOKED");
    world.get("/api/auth/me/").cookie(&ana).send().await.refused(401, "UNAUTHENTICATED");
    assert_eq!(world.post("/api/auth/logout/").cookie(&bo).send().await.status, 200);
    world.get("/api/auth/me/").by(&bo).send().await.refused(401, "SESSION_REVOKED");
    for again in [
        world.post("/api/auth/logout/"),
        world.post("/api/auth/logout/").by(&ana),
        world.post("/api/auth/logout/").bearer("nonsense"),
        world.post("/api/auth/logout/").body("text/plain", "what?"),
    ] {
        assert_eq!(again.send().await.status, 200);
    }
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_stolen_one_ends_the_session() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let refresh = |token: &str| world.post("/api/auth/refresh/").json(json!({"refresh_token": token})).send();
    let next = refresh(&ana.refresh).await;
    assert_eq!((next.status, next.text("id")), (200, ana.id.to_string()));
    assert_ne!(next.text("refresh_token"), ana.refresh);

    world.advance(29);
    assert_eq!(refresh(&ana.refresh).await.status, 200, "two tabs refresh at once");
    world.advance(2);
    refresh(&ana.refresh).await.refused(401, "SESSION_REVOKED");
    refresh(&next.text("refresh_token")).await.refused(401, "UNAUTHENTICATED");
    world.get("/api/auth/me/").by(&Person::of(&next)).send().await.refused(401, "SESSION_REVOKED");
    refresh("nonsense").await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_valid_bearer_wins_and_a_bad_one_is_never_made_up_for() {
    let world = World::new().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let me = |token: &str, cookie: &Person| world.get("/api/auth/me/").bearer(token).cookie(cookie).send();
    assert_eq!(me(&ana.token, &bo).await.text("id"), ana.id.to_string());
    for garbage in ["", "x", "a.b.c", &format!("{}x", ana.token)] {
        me(garbage, &ana).await.refused(401, "UNAUTHENTICATED");
    }

    world.advance(12 * 3600 + 59);
    assert_eq!(world.get("/api/auth/me/").by(&ana).send().await.status, 200, "a minute of leeway");
    world.advance(1);
    world.get("/api/auth/me/").by(&ana).send().await.refused(401, "UNAUTHENTICATED");
    assert_eq!(me(&ana.token, &ana).await.text("id"), ana.id.to_string(), "the cookie is the same person's");
    me(&ana.token, &bo).await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_the_cookie() {
    let world = World::with(Public {
        allowed_origins: "https://friend.example".parse().unwrap(),
        ..Public::default()
    })
    .await;
    let ana = world.guest("Ana").await;
    let create =
        || world.post("/api/rooms/create/").cookie(&ana).header("host", "watch.example").json(json!({}));
    for (name, value) in
        [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
    {
        create().header(name, value).send().await.refused(403, "CROSS_SITE");
    }
    for (name, value) in [
        ("x-tool", "curl sends neither"),
        ("origin", "http://watch.example"),
        ("origin", "https://friend.example"),
        ("sec-fetch-site", "same-origin"),
    ] {
        assert_eq!(create().header(name, value).send().await.status, 201, "{name}: {value}");
    }
    // A token is nothing that a browser sends by itself.
    let by_token = world.post("/api/rooms/create/").by(&ana).header("origin", "https://evil.example");
    assert_eq!(by_token.json(json!({})).send().await.status, 201);
    let logout = world.post("/api/auth/logout/").cookie(&ana).header("sec-fetch-site", "cross-site");
    logout.send().await.refused(403, "CROSS_SITE");
    let safe = world.get("/api/auth/me/").cookie(&ana).header("origin", "https://evil.example");
    assert_eq!(safe.send().await.status, 200);
}

#[tokio::test]
async fn the_cookie_is_secure_where_a_trusted_proxy_says_tls() {
    let world =
        World::with(Public { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Public::default() }).await;
    let guest = world.post("/api/auth/guest/").json(json!({"display_name": "Ana"}));
    let reply = guest.header("x-forwarded-proto", "https").send().await;
    assert!(reply.header("set-cookie").unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn limits_can_be_lifted() {
    let world = World::unlimited().await;
    for _ in 0..150 {
        world.guest("Ana").await;
    }
}

#[tokio::test]
async fn tokens_name_a_published_key() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    let jwks = world.get("/.well-known/jwks.json").send().await;
    let key = &jwks.body["keys"][0];
    assert_eq!(
        (key["kty"].as_str(), key["crv"].as_str(), key["kid"].as_str()),
        (Some("OKP"), Some("Ed25519"), Some("first"))
    );
    assert!(key.get("d").is_none(), "only the public half");
    assert_eq!(ana.token.split('.').count(), 3);
}

#[tokio::test]
async fn a_superuser_made_at_the_terminal_logs_in() {
    use streamit_api::admin::{self, Account};
    use streamit_telemetry::{SharedClock, SystemEntropy};

    let world = World::new().await;
    let account = Account { email: Some("Root@localhost".into()), ..Account::default() };
    let superuser = account.complete_with("a long password".into()).unwrap();
    let clock: SharedClock = world.clock.clone();
    admin::create_superuser(&world.store, superuser, &clock, &SystemEntropy::shared()).await.unwrap();
    let body = json!({"email": "root@localhost", "password": "a long password"});
    let reply = world.post("/api/auth/login/").json(body).send().await;
    assert_eq!((reply.status, reply.text("display_name").as_str()), (200, "Admin"));
    let me = world.get("/api/auth/me/").by(&Person::of(&reply)).send().await;
    assert_eq!(me.body["is_staff"], json!(true));
}
