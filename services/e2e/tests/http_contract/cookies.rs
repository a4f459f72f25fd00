//! The session cookie: how it is set, what it is good for, and that other sites can't use it.

use serde_json::json;
use streamit_client::{Request, Response};
use streamit_e2e::{Answer, System, fresh_address, on_both};

on_both! {
    crate::SYSTEMS;
    coming_in_sets_a_cookie_that_scripts_and_other_sites_cant_use,
    the_cookie_alone_is_enough,
    other_sites_cant_act_with_the_cookie,
    a_valid_bearer_wins_over_the_cookie,
    an_expired_bearer_falls_back_to_the_cookie_of_the_same_user_only,
    logging_out_takes_the_cookie_away,
}

/// A guest as a browser has it: `name=value` of the session cookie, and the id.
async fn browser_guest(system: &System, name: &str) -> (String, String, String) {
    let came = system.post("/api/auth/guest/", &json!({"display_name": name})).await;
    let cookie = came.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let body = came.is(200);
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    (cookie, text("id"), text("access_token"))
}

fn create(system: &System, cookie: &str) -> Request {
    system.http(0).request("POST", "/api/rooms/create/").header("cookie", cookie)
}

async fn coming_in_sets_a_cookie_that_scripts_and_other_sites_cant_use(system: &System) {
    let guest = async |proto: Option<&str>| {
        let request = system.http(0).request("POST", "/api/auth/guest/");
        let request = request.header("x-forwarded-for", &fresh_address().to_string());
        let request = match proto {
            Some(proto) => request.header("x-forwarded-proto", proto),
            None => request,
        };
        let answer = request.json(&json!({"display_name": "Ana"})).send().await.unwrap();
        assert_eq!(answer.status, 200);
        answer.header("set-cookie").unwrap().to_lowercase()
    };
    for plain in [guest(None).await, guest(Some("http")).await] {
        let parts: Vec<&str> = plain.split(';').map(str::trim).collect();
        for part in ["httponly", "samesite=lax", "path=/"] {
            assert!(parts.contains(&part), "{plain} lacks {part}");
        }
        assert!(!parts.contains(&"secure"), "{plain}");
    }
    // Over TLS, as the proxy that is trusted tells.
    assert!(guest(Some("https")).await.split(';').any(|part| part.trim() == "secure"));
}

async fn the_cookie_alone_is_enough(system: &System) {
    let browser = system.browser(0);
    let request = browser.request("POST", "/api/auth/guest/");
    let request = request.header("x-forwarded-for", &fresh_address().to_string());
    let came = request.json(&json!({"display_name": "Ana"})).send().await.unwrap().is(200);

    assert_eq!(browser.me().await.unwrap().id.to_string(), came["id"]);
    browser.raw("POST", "/api/rooms/create/", Some(&json!({}))).await.unwrap().is(201);
}

async fn other_sites_cant_act_with_the_cookie(system: &System) {
    let (cookie, _, token) = browser_guest(system, "Ana").await;
    let own = system.http(0).base().to_owned();
    let other_port = "http://127.0.0.1:1";
    let send = async |request: Request| -> Response { request.json(&json!({})).send().await.unwrap() };

    send(create(system, &cookie)).await.is(201);
    send(create(system, &cookie).header("origin", &own)).await.is(201);
    send(create(system, &cookie).header("sec-fetch-site", "same-origin")).await.is(201);
    for origin in ["https://evil.example", "null", other_port] {
        send(create(system, &cookie).header("origin", origin)).await.is_refused(403, "CROSS_SITE");
    }
    send(create(system, &cookie).header("sec-fetch-site", "cross-site")).await.is_refused(403, "CROSS_SITE");
    // A bearer is nothing that a browser sends by itself.
    send(create(system, &cookie).header("origin", "https://evil.example").bearer(&token)).await.is(201);
    // And reading is safe.
    let read = system.http(0).request("GET", "/api/auth/me/").header("cookie", &cookie);
    read.header("origin", "https://evil.example").send().await.unwrap().is(200);
}

async fn a_valid_bearer_wins_over_the_cookie(system: &System) {
    let (cookie, ana, _) = browser_guest(system, "Ana").await;
    let (_, bo, token) = browser_guest(system, "Bo").await;
    let me = || system.http(0).request("GET", "/api/auth/me/").header("cookie", &cookie);

    assert_eq!(me().send().await.unwrap().is(200)["id"], ana);
    assert_eq!(me().bearer(&token).send().await.unwrap().is(200)["id"], bo);
}

async fn an_expired_bearer_falls_back_to_the_cookie_of_the_same_user_only(system: &System) {
    let (cookie, ana, token) = browser_guest(system, "Ana").await;
    let (_, _, others) = browser_guest(system, "Bo").await;
    let me = || system.http(0).request("GET", "/api/auth/me/").header("cookie", &cookie);

    assert_eq!(me().bearer(&system.expired(&token)).send().await.unwrap().is(200)["id"], ana);
    me().bearer(&system.expired(&others)).send().await.unwrap().is_refused(401, "UNAUTHENTICATED");
}

async fn logging_out_takes_the_cookie_away(system: &System) {
    let (cookie, ..) = browser_guest(system, "Ana").await;
    let logout = || system.http(0).request("POST", "/api/auth/logout/").header("cookie", &cookie);

    logout().header("origin", "https://evil.example").send().await.unwrap().is_refused(403, "CROSS_SITE");
    let out = logout().send().await.unwrap();

    let cleared = out.header("set-cookie").unwrap().to_lowercase();
    assert!(cleared.contains("max-age=0") || cleared.contains("expires=thu, 01 jan 1970"), "{cleared}");
    assert_eq!(out.is(200), json!({"success": true}));
    let me = system.http(1).request("GET", "/api/auth/me/").header("cookie", &cookie);
    me.send().await.unwrap().is_refused(401, "UNAUTHENTICATED");
}
