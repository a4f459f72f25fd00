//! What all calls have in common.

use axum::http::Method;
use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn each_call_answers_under_every_way_to_write_its_path() {
    let world = World::new().await;
    let ana = world.guest("Ana").await;
    for path in ["/api/auth/me/", "/api/auth/me", "/api/v1/auth/me/", "/api/v1/auth/me"] {
        assert_eq!(world.get(path).by(&ana).send().await.status, 200, "{path}");
    }
    let listing = world.get("/api/v1/rooms/public?limit=1").send().await;
    assert_eq!((listing.status, listing.text.as_str()), (200, "[]"));
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_form_of_every_error() {
    let world = World::new().await;
    for path in ["/nothing", "/r/", "/api/", "/api/nothing/", "/api/v2/auth/me/", "/api/rooms/a/b/c/"] {
        let reply = world.get(path).send().await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
        reply.refused(404, "NOT_FOUND");
    }
    let ana = world.guest("Ana").await;
    for path in ["/api/rooms/%FF/", "/api/rooms/%00/", "/api/rooms/nothing/", "/api/rooms/ABCDEF/messages/"] {
        world.get(path).by(&ana).send().await.refused(404, "ROOM_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let world = World::new().await;
    for (method, path, allow) in [
        (Method::GET, "/api/auth/login/", "POST"),
        (Method::GET, "/api/rooms/create/", "POST"),
        (Method::DELETE, "/api/auth/me/", "GET,HEAD"),
        (Method::PUT, "/api/rooms/ABC123/", "GET,HEAD"),
    ] {
        let reply = world.ask(method, path).send().await;
        reply.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(reply.header("allow"), Some(allow), "{path}");
    }
    let options = world.ask(Method::OPTIONS, "/api/auth/login/").send().await;
    assert_eq!((options.status, options.header("allow")), (204, Some("POST")));
    let head = world.ask(Method::HEAD, "/api/rooms/public/").send().await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn requests_have_an_id() {
    let world = World::new().await;
    let echoed = world.get("/livez").header("x-request-id", "mine-1").send().await;
    assert_eq!(echoed.header("x-request-id"), Some("mine-1"));
    let made = world.get("/nothing").header("x-request-id", "no good").send().await;
    assert_eq!(made.header("x-request-id").map(str::len), Some(36));
    assert_eq!(made.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(made.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn health_is_told_in_three_ways() {
    let world = World::new().await;
    assert_eq!(world.get("/livez").send().await.status, 200);
    let ready = world.get("/readyz").send().await;
    assert_eq!((ready.status, &ready.body["ready"]), (200, &json!(true)), "{}", ready.text);
    let report = world.get("/api/health/").send().await;
    assert_eq!((report.status, report.text("status").as_str()), (200, "ok"));

    world.store.close().await;
    assert_eq!(world.get("/livez").send().await.status, 200, "a restart would not mend the database");
    assert_eq!(world.get("/readyz").send().await.status, 200, "nor would having no replica at all");
    assert_eq!(world.get("/api/health/").send().await.status, 503);
    let reply = world.post("/api/auth/guest/").json(json!({"display_name": "Ana"})).send().await;
    reply.refused(503, "TRY_AGAIN");
    assert_eq!(reply.header("retry-after"), Some("1"));
}
