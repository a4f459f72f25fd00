//! What answers tell browsers, and which pages of other origins may call.

use axum::http::Method;
use serde_json::json;
use streamit_api::config::Public;

use crate::support::{Reply, World};

const FRIEND: &str = "https://friend.example";

/// A world whose pages are at home on another origin, too.
async fn with_a_friend() -> World {
    let allowed_origins = format!("{FRIEND}, http://localhost:3000").parse().unwrap();
    World::with(Public { allowed_origins, ..Public::default() }).await
}

/// Answers of every kind: a success, refusals by a handler, by an extractor and by the router, a preflight, health.
async fn answers(world: &World) -> Vec<(&'static str, Reply)> {
    let long = format!("{{\"display_name\":\"{}\"}}", "x".repeat(1 << 20));
    let guest = || world.post("/api/auth/guest/");
    vec![
        ("200", guest().json(json!({"display_name": "Ana"})).send().await),
        ("204", world.ask(Method::OPTIONS, "/api/auth/guest/").send().await),
        ("400", guest().json(json!({})).send().await),
        ("400", guest().body("application/json", "{").send().await),
        ("401", world.get("/api/auth/me/").send().await),
        ("404", world.get("/nothing").send().await),
        ("401", world.get("/api/rooms/%FF/").send().await),
        ("405", world.get("/api/auth/guest/").send().await),
        ("413", guest().body("application/json", long).send().await),
        ("415", guest().body("text/plain", "Ana").send().await),
        ("200", world.get("/livez").send().await),
        ("200", world.get("/.well-known/jwks.json").send().await),
    ]
}

#[tokio::test]
async fn no_answer_is_shown_embedded_sniffed_kept_or_referred_from() {
    let world = World::new().await;
    for (status, reply) in answers(&world).await {
        assert_eq!(reply.status.to_string(), status, "{}", reply.text);
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{status}: {}", reply.text);
        }
        assert!(reply.header("cache-control").is_some(), "{status}");
        assert_eq!(reply.header("strict-transport-security"), None, "it came over plain HTTP");
        assert_eq!(reply.header("server"), None);
    }
}

#[tokio::test]
async fn who_came_by_tls_is_told_to_come_by_nothing_else() {
    let world =
        World::with(Public { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Public::default() }).await;
    for path in ["/", "/livez", "/api/rooms/public/", "/api/auth/me/", "/nothing", "/sample.mp4"] {
        let said = |reply: &Reply| reply.header("strict-transport-security").map(str::to_owned);
        let by_tls = world.get(path).header("x-forwarded-proto", "https").send().await;
        assert_eq!(said(&by_tls).as_deref(), Some("max-age=31536000"), "{path}");
        let plain = world.get(path).header("x-forwarded-proto", "http").send().await;
        assert_eq!(said(&plain), None, "{path}");
    }
    let nobody = World::new().await;
    let claimed = nobody.get("/").header("x-forwarded-proto", "https").send().await;
    assert_eq!(claimed.header("strict-transport-security"), None, "anybody can say that");
}

#[tokio::test]
async fn the_film_may_be_shown_by_any_player() {
    let world = World::new().await;
    let film = world.get("/sample.mp4").header("range", "bytes=0-1").send().await;
    assert_eq!((film.status, film.header("cross-origin-resource-policy")), (206, Some("cross-origin")));
    assert!(film.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_with_credentials_and_read_every_answer() {
    let world = with_a_friend().await;
    for origin in [FRIEND, "http://localhost:3000"] {
        let preflight = world
            .ask(Method::OPTIONS, "/api/rooms/create/")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization, content-type")
            .send()
            .await;
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST"));
        let headers = preflight.header("access-control-allow-headers").unwrap();
        assert!(headers.contains("authorization") && headers.contains("content-type"), "{headers}");

        let guest = world.post("/api/auth/guest/").header("origin", origin);
        let success = guest.json(json!({"display_name": "Ana"})).send().await;
        assert_eq!(success.status, 200);
        let refused = world.get("/api/auth/me/").header("origin", origin).send().await;
        let unknown = world.get("/nothing").header("origin", origin).send().await;
        for reply in [preflight, success, refused, unknown] {
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{}", reply.text);
            assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
            assert_eq!(reply.header("vary"), Some("origin"));
        }
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_told_nothing() {
    let world = with_a_friend().await;
    for origin in [
        "https://evil.example",
        "null",
        "",
        "*",
        "http://friend.example",
        "https://friend.example:444",
        "https://friend.example.evil.example",
        "https://a.friend.example",
        "https://friend.example, https://evil.example",
    ] {
        let preflight = world
            .ask(Method::OPTIONS, "/api/rooms/create/")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .send()
            .await;
        let call = world.get("/api/rooms/public/").header("origin", origin).send().await;
        for reply in [preflight, call] {
            let cors = reply.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(cors, None, "{origin}");
            assert_eq!(reply.header("vary"), Some("origin"), "an answer that is kept is not for all origins");
        }
    }
}
