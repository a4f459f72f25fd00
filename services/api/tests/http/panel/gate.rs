//! Who comes in, for how long, and whose forms count.

use streamit_domain::audit::Action;
use streamit_storage::audit::{self, Filter};

use super::{PASSWORD, REASON, Rank, account, cookie, desk, form, set_rank, tries};
use crate::support::World;

#[tokio::test]
async fn staff_comes_in_and_whoever_is_none_gets_the_answer_to_a_wrong_password() {
    let world = World::new().await;
    account(&world, "staff@example.org", Rank::Staff).await;
    account(&world, "root@example.org", Rank::Superuser).await;
    account(&world, "viewer@example.org", Rank::Nobody).await;
    for email in ["staff@example.org", "ROOT@example.org"] {
        let reply = tries(&world, email, PASSWORD).await;
        assert_eq!((reply.status, reply.header("location")), (303, Some("/admin/")));
        let set = reply.header("set-cookie").unwrap();
        assert!(set.contains("; Path=/admin/; Max-Age=28800; HttpOnly; SameSite=Strict"), "{set}");
    }
    let wrong = tries(&world, "staff@example.org", "wrong horse battery").await;
    for (email, password) in
        [("viewer@example.org", PASSWORD), ("nobody@example.org", PASSWORD), ("not an address", PASSWORD)]
    {
        let reply = tries(&world, email, password).await;
        assert_eq!((reply.status, reply.cookie()), (401, None), "{email}");
        assert_eq!(reply.text.replace(email, ""), wrong.text.replace("staff@example.org", ""), "{email}");
        assert!(reply.text.contains("Wrong email or password"));
        assert!(!reply.text.contains(password));
    }
    let mut read = world.store.read().await.unwrap();
    let written = audit::list(&mut read, &Filter::default(), None, 100).await.unwrap();
    let count = |action| written.iter().filter(|entry| entry.record.action == action).count();
    assert_eq!((count(Action::PanelLoggedIn), count(Action::PanelLoginFailed)), (2, 4));
}

#[tokio::test]
async fn the_panel_leads_to_its_login_and_back() {
    let world = World::new().await;
    let reply = world.get("/admin/users/?q=ana&kind=guest").send().await;
    let place = "/admin/login/?next=%2Fadmin%2Fusers%2F%3Fq%3Dana%26kind%3Dguest";
    assert_eq!((reply.status, reply.header("location")), (303, Some(place)));
    let login = world.get(place).send().await;
    assert_eq!(login.status, 200);
    assert!(
        login.text.contains(r#"name="next" value="/admin/users/?q=ana&amp;kind=guest""#),
        "{}",
        login.text
    );
    account(&world, "root@example.org", Rank::Superuser).await;
    let fields = [("email", "root@example.org"), ("password", PASSWORD), ("next", "https://evil.example/")];
    let reply = form(&world, "/admin/login/", &fields).send().await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/admin/")));
    for path in ["/admin", "/admin/users"] {
        let reply = world.get(path).send().await;
        assert_eq!(reply.header("location"), Some(format!("{path}/").as_str()), "{path}");
    }
}

#[tokio::test]
async fn a_login_ends_when_it_is_not_used_and_at_last_in_any_case() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    world.advance(29 * 60);
    assert_eq!(root.get(&world, "/admin/").await.status, 200);
    world.advance(29 * 60);
    // What a page does by itself keeps no login alive.
    let alone =
        world.get("/admin/").header("cookie", &root.cookie).header("x-panel-refresh", "1").send().await;
    assert_eq!(alone.status, 200);
    world.advance(60);
    assert_eq!(root.get(&world, "/admin/").await.status, 303, "half an hour after the last request");

    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    for _ in 0..23 {
        world.advance(20 * 60);
        assert_eq!(root.get(&world, "/admin/").await.status, 200);
    }
    world.advance(20 * 60);
    assert_eq!(root.get(&world, "/admin/").await.status, 303, "eight hours after it began");
}

#[tokio::test]
async fn a_login_ends_with_the_rights_of_its_owner() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    for (deed, fields) in [
        ("deactivate", vec![]),
        ("rights", vec![("rank", "none")]),
        ("password", vec![]),
        ("end-sessions", vec![]),
        ("anonymise", vec![("sure", "anonymise")]),
    ] {
        let other = desk(&world, &format!("{deed}@example.org"), Rank::Staff).await;
        assert_eq!(other.get(&world, "/admin/").await.status, 200, "{deed}");
        let path = format!("/admin/users/{}/{deed}/", other.id);
        let reply = root.post(&world, &path, &fields).await;
        assert!(matches!(reply.status, 200 | 303), "{deed}: {}", reply.text);
        assert_eq!(other.get(&world, "/admin/").await.status, 303, "{deed}");
        set_rank(&world, other.id, Rank::Staff).await;
        assert_eq!(other.get(&world, "/admin/").await.status, 303, "{deed}: and stays ended");
    }
}

#[tokio::test]
async fn whoever_logs_out_is_out() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let reply = root.post(&world, "/admin/logout/", &[]).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/admin/login/")));
    assert!(reply.header("set-cookie").unwrap().starts_with("streamit_panel=; Path=/admin/; Max-Age=0;"));
    assert_eq!(root.get(&world, "/admin/").await.status, 303);
}

#[tokio::test]
async fn a_form_counts_only_with_the_token_of_its_login_and_from_the_panel_itself() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let other = desk(&world, "other@example.org", Rank::Superuser).await;
    let (token, foreign) = (root.token(&world).await, other.token(&world).await);
    let guest = world.guest("Ana").await;
    let path = format!("/admin/users/{}/deactivate/", guest.id);
    for token in ["", "x", foreign.as_str()] {
        let fields = [("token", token), ("reason", REASON)];
        let reply = form(&world, &path, &fields).header("cookie", &root.cookie).send().await;
        assert_eq!(reply.status, 403, "{token}");
        assert!(reply.text.contains("<h1>Not allowed</h1>"));
    }
    let fields = [("reason", REASON)];
    assert_eq!(form(&world, &path, &fields).header("cookie", &root.cookie).send().await.status, 403);

    let body = format!("token={token}&reason=because");
    let send = |origin: &'static str, site: &'static str| {
        let ask = world.post(&path).body("application/x-www-form-urlencoded", body.clone());
        let ask = ask.header("host", "watch.example").header("cookie", &root.cookie);
        let ask = if origin.is_empty() { ask } else { ask.header("origin", origin) };
        if site.is_empty() { ask } else { ask.header("sec-fetch-site", site) }
    };
    for (origin, site) in [
        ("https://evil.example", ""),
        ("null", ""),
        ("", "cross-site"),
        ("", "same-site"),
        ("https://api.watch.example", "same-site"),
    ] {
        assert_eq!(send(origin, site).send().await.status, 403, "{origin} {site}");
    }
    assert!(super::stored(&world, guest.id).await.is_active);
    assert_eq!(send("https://watch.example", "same-origin").send().await.status, 303);
    assert!(!super::stored(&world, guest.id).await.is_active);
}

#[tokio::test]
async fn not_even_an_allowed_origin_reads_the_panel_or_logs_in_to_it() {
    let config = streamit_api::config::Public {
        allowed_origins: "https://friend.example".parse().unwrap(),
        ..streamit_api::config::Public::default()
    };
    let world = World::with(config).await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let reply = world
        .get("/admin/")
        .header("cookie", &root.cookie)
        .header("origin", "https://friend.example")
        .send()
        .await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    let fields = "email=root%40example.org&password=correct+horse+battery";
    let ask = world.post("/admin/login/").body("application/x-www-form-urlencoded", fields);
    let reply = ask.header("host", "watch.example").header("origin", "https://friend.example").send().await;
    assert_eq!((reply.status, reply.cookie()), (403, None));
}

#[tokio::test]
async fn the_session_of_a_viewer_is_no_login_and_the_other_way_round() {
    let world = World::new().await;
    let id = account(&world, "root@example.org", Rank::Superuser).await;
    let body = serde_json::json!({"email": "root@example.org", "password": PASSWORD});
    let viewer = world.post("/api/auth/login/").json(body).send().await;
    assert_eq!(viewer.status, 200, "{}", viewer.text);
    let with = |name: &str, value: &str| world.get("/admin/").header("cookie", &format!("{name}={value}"));
    let secret = viewer.cookie().unwrap().split_once('=').unwrap().1.to_owned();
    assert_eq!(with("streamit_session", &secret).send().await.status, 303);
    assert_eq!(with("streamit_panel", &secret).send().await.status, 303);
    let token = viewer.text("access_token");
    assert_eq!(world.get("/admin/").bearer(&token).send().await.status, 303);

    let panel = cookie(&tries(&world, "root@example.org", PASSWORD).await);
    let secret = panel.split_once('=').unwrap().1;
    for name in ["streamit_session", "streamit_panel"] {
        let me = world.get("/api/auth/me/").header("cookie", &format!("{name}={secret}")).send().await;
        assert_eq!(me.status, 401, "{name} of {id}");
    }
}

#[tokio::test]
async fn who_tries_too_often_waits_and_reads_so_on_a_page() {
    let world = World::new().await;
    account(&world, "root@example.org", Rank::Superuser).await;
    let mut last = tries(&world, "root@example.org", "wrong horse").await;
    for _ in 0..20 {
        if last.status == 429 {
            break;
        }
        assert_eq!(last.status, 401);
        last = tries(&world, "root@example.org", "wrong horse").await;
    }
    assert_eq!(last.status, 429);
    let wait: u64 = last.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(
        last.text.contains("<h1>Too many tries</h1>") && last.text.contains(&format!("Try again in {wait}"))
    );
}
