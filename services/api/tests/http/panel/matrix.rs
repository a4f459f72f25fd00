//! Every route with every rank: who gets what.

use axum::http::Method;
use serde_json::json;

use super::{Desk, Rank, desk, form};
use crate::support::World;

/// What is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A page for all staff.
    Page,
    /// Something that is asked about first, for all staff.
    Act,
    /// The same, for superusers.
    SuperAct,
}

use Kind::{Act, Page, SuperAct};

/// Each route with what it is; `{}` stand for things that exist.
const ROUTES: &[(&str, Kind)] = &[
    ("/admin/", Page),
    ("/admin/users/", Page),
    ("/admin/users/{user}/", Page),
    ("/admin/users/{user}/rooms/", Page),
    ("/admin/users/{user}/deactivate/", Act),
    ("/admin/users/{user}/activate/", Act),
    ("/admin/users/{user}/end-sessions/", Act),
    ("/admin/users/{user}/password/", Act),
    ("/admin/users/{user}/anonymise/", Act),
    ("/admin/users/{user}/rights/", SuperAct),
    ("/admin/users/{staff}/deactivate/", SuperAct),
    ("/admin/users/{staff}/end-sessions/", SuperAct),
    ("/admin/users/{staff}/password/", SuperAct),
    ("/admin/users/{staff}/anonymise/", SuperAct),
    ("/admin/rooms/", Page),
    ("/admin/rooms/{room}/", Page),
    ("/admin/rooms/{room}/live/", Page),
    ("/admin/rooms/{room}/people/", Page),
    ("/admin/rooms/{room}/people/{user}/", Page),
    ("/admin/rooms/{room}/people/{user}/host/", Act),
    ("/admin/rooms/{room}/people/{user}/mute/", Act),
    ("/admin/rooms/{room}/people/{user}/unmute/", Act),
    ("/admin/rooms/{room}/people/{user}/kick/", Act),
    ("/admin/rooms/{room}/people/{user}/ban/", Act),
    ("/admin/rooms/{room}/people/{user}/unban/", Act),
    ("/admin/rooms/{room}/people/{user}/erase/", Act),
    ("/admin/rooms/{room}/close/", Act),
    ("/admin/rooms/{room}/chat-off/", Act),
    ("/admin/rooms/{room}/chat-on/", Act),
    ("/admin/messages/", Page),
    ("/admin/sessions/", Page),
    ("/admin/bans/", Page),
    ("/admin/bans/?kind=networks", Page),
    ("/admin/reports/", Page),
    ("/admin/nodes/", Page),
    ("/admin/audit/", Page),
    ("/admin/audit/export.csv", Page),
    ("/admin/audit/export.jsonl", Page),
];

/// A path with things that exist in place of their names.
async fn filled(world: &World, path: &str) -> String {
    let host = world.guest("Host").await;
    let guest = world.guest("Ana").await;
    let staff = super::account(world, "colleague@example.org", Rank::Staff).await;
    let room = world.room(&host, json!({})).await;
    world.join(&room, &guest, "APPROVED").await;
    path.replace("{user}", &guest.id.to_string())
        .replace("{staff}", &staff.to_string())
        .replace("{room}", &room.id.to_string())
}

#[tokio::test]
async fn each_route_is_for_whom_it_is_meant_and_for_nobody_else() {
    let world = World::unlimited().await;
    let staff = desk(&world, "staff@example.org", Rank::Staff).await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    // Somebody who was staff, and a cookie that never was one.
    let former = desk(&world, "former@example.org", Rank::Staff).await;
    super::set_rank(&world, former.id, Rank::Nobody).await;
    let forged = Desk { id: former.id, cookie: "streamit_panel=forged".to_owned() };
    for (route, kind) in ROUTES {
        let path = filled(&world, route).await;
        for nobody in [&former, &forged] {
            let reply = nobody.get(&world, &path).await;
            assert_eq!(reply.status, 303, "{route}");
            assert!(reply.header("location").unwrap().starts_with("/admin/login/"), "{route}");
            let reply =
                form(&world, &path, &[("reason", "because")]).header("cookie", &nobody.cookie).send().await;
            assert!(matches!(reply.status, 303 | 405), "{route}: {}", reply.status);
            if reply.status == 303 {
                assert_eq!(reply.header("location"), Some("/admin/login/"), "{route}");
            }
        }
        let for_staff = matches!(kind, Page | Act);
        let reply = staff.get(&world, &path).await;
        assert_eq!(reply.status, if for_staff { 200 } else { 403 }, "{route} for staff: {}", reply.text);
        let reply = root.get(&world, &path).await;
        assert_eq!(reply.status, 200, "{route} for superusers: {}", reply.text);
        if *kind == Page {
            let reply = root.post(&world, &path, &[]).await;
            assert_eq!(reply.status, 405, "{route}");
            assert!(reply.header("allow").unwrap().contains("GET"), "{route}");
            assert!(reply.text.contains("<!DOCTYPE html>"), "{route}");
        }
    }
}

#[tokio::test]
async fn nothing_is_done_without_a_reason_or_by_staff_that_may_not() {
    let world = World::unlimited().await;
    let staff = desk(&world, "staff@example.org", Rank::Staff).await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    for (route, kind) in ROUTES.iter().filter(|(_, kind)| matches!(kind, Act | SuperAct)) {
        let path = filled(&world, route).await;
        let token = root.token(&world).await;
        for reason in ["", "  ", "ab", &"x".repeat(501)] {
            let fields = [
                ("token", token.as_str()),
                ("reason", reason),
                ("sure", "anonymise"),
                ("rank", "none"),
                ("seconds", "600"),
            ];
            let reply = form(&world, &path, &fields).header("cookie", &root.cookie).send().await;
            assert_eq!(reply.status, 400, "{route}: {}", reply.text);
            assert!(reply.text.contains("Say why"), "{route}");
        }
        if *kind == SuperAct {
            let reply = staff.post(&world, &path, &[("rank", "superuser"), ("sure", "anonymise")]).await;
            assert_eq!(reply.status, 403, "{route}");
        }
    }
    let mut read = world.store.read().await.unwrap();
    let filter = streamit_storage::audit::Filter { actor: Some(root.id), ..Default::default() };
    let written = streamit_storage::audit::list(&mut read, &filter, None, 100).await.unwrap();
    assert_eq!(written.len(), 1, "the login alone: {written:?}");
}

#[tokio::test]
async fn what_is_refused_is_told_as_a_page() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    for path in [
        "/admin/nothing/",
        "/admin/users/x/",
        "/admin/users/00000000-0000-0000-0000-000000000000/",
        "/admin/rooms/%FF/",
        "/admin/nothing.css",
        "/admin/reports/00000000-0000-0000-0000-000000000000/",
        "/admin/sessions/00000000-0000-0000-0000-000000000000/end/",
    ] {
        let reply = root.get(&world, path).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.text.contains("<h1>Not found</h1>"), "{path}: {}", reply.text);
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    }
    let large = "x".repeat(70_000);
    let reply = form(&world, "/admin/login/", &[("email", &large)]).send().await;
    assert_eq!(reply.status, 413);
    assert!(reply.text.contains("<h1>Too large</h1>"));
    let reply = world.post("/admin/login/").json(json!({"email": "x"})).send().await;
    assert_eq!(reply.status, 415);
    let reply = world.ask(Method::PUT, "/admin/login/").send().await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET,HEAD,POST")));

    world.store.close().await;
    let reply = root.get(&world, "/admin/").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert!(reply.text.contains("does not answer"), "{}", reply.text);
    assert!(reply.text.contains(reply.header("x-request-id").unwrap()), "{}", reply.text);
}

#[tokio::test]
async fn each_answer_says_what_a_browser_may_do_with_it() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    for path in ["/admin/", "/admin/login/", "/admin/nothing/", "/admin/style.css", "/admin/panel.js"] {
        let reply = root.get(&world, path).await;
        let policy = reply.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "script-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"), "{path}");
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        let kept = reply.header("cache-control").unwrap();
        assert_eq!(kept, if path.contains('.') { "no-cache" } else { "no-store" }, "{path}");
        for inline in ["<style", "style=", "onclick=", "<script>"] {
            assert!(!reply.text.contains(inline), "{path}: {inline}");
        }
    }
}
