//! How calls are written, and what is said of those that don't exist.

use serde_json::json;
use streamit_e2e::{Answer, System, fresh_address, on_both};

on_both! {
    crate::SYSTEMS;
    a_call_is_written_with_or_without_its_last_slash_and_with_or_without_v1,
    what_does_not_exist_is_told_in_the_form_of_all_refusals,
    the_wrong_method_is_told_with_the_right_ones,
    health_is_told_to_anybody,
    the_watch_page_and_its_film_are_served_to_anybody,
}

async fn a_call_is_written_with_or_without_its_last_slash_and_with_or_without_v1(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    for base in ["/api", "/api/v1"] {
        for slash in ["", "/"] {
            let post = async |call: &str, body: serde_json::Value| {
                let request = ana.http().request("POST", &format!("{base}/{call}{slash}"));
                request
                    .header("x-forwarded-for", &fresh_address().to_string())
                    .json(&body)
                    .send()
                    .await
                    .unwrap()
            };
            post("auth/guest", json!({"display_name": "Bo"})).await.is(200);
            post("rooms/create", json!({})).await.is(201);
            post("rooms/join", json!({"code": room.code})).await.is(200);
            for call in [
                "auth/me".to_owned(),
                "rooms/public".to_owned(),
                format!("rooms/{}", room.code),
                format!("rooms/{}/detail", room.code),
                format!("rooms/{}/messages", room.code),
                format!("rooms/{}/participants", room.code),
            ] {
                ana.reads(&format!("{base}/{call}{slash}")).await.is(200);
            }
            ana.reads(&format!("{base}/rooms/participants{slash}?room_id={}", room.id)).await.is(200);
            ana.reads(&format!("{base}/rooms/{}/messages{slash}?before=x", room.code))
                .await
                .is_refused(400, "INVALID");
        }
    }
}

async fn what_does_not_exist_is_told_in_the_form_of_all_refusals(system: &System) {
    let ana = system.guest("Ana").await;
    for path in [
        "/api/",
        "/api/nothing/",
        "/api/v1/nothing",
        "/api/v2/rooms/public/",
        "/api/auth/",
        "/api/rooms/A1B2C3/nothing/",
        "/api/rooms/create/more/",
        "/nothing",
        "/api/rooms/%ff%fe/",
        "/api/rooms/%00/",
        "/api/rooms/a%2Fb/detail/",
        "/api/rooms/..%2f..%2fetc/",
    ] {
        let answer = ana.reads(path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        answer.refusal();
    }
}

async fn the_wrong_method_is_told_with_the_right_ones(system: &System) {
    let ana = system.guest("Ana").await;
    for (method, path, allowed) in [
        ("GET", "/api/auth/login/", "POST"),
        ("GET", "/api/rooms/join/", "POST"),
        ("PUT", "/api/rooms/create", "POST"),
        ("DELETE", "/api/v1/rooms/delete/", "POST"),
        ("PATCH", "/api/rooms/settings/", "POST"),
        ("POST", "/api/rooms/public/", "GET"),
        ("POST", "/api/auth/me/", "GET"),
        ("POST", "/api/rooms/A1B2C3/messages/", "GET"),
    ] {
        let answer = ana.http().raw(method, path, None).await.unwrap();
        answer.is_refused(405, "METHOD_NOT_ALLOWED");
        let told = answer.header("allow").unwrap_or_default();
        assert!(told.contains(allowed), "{method} {path}: allow {told:?}");
    }
    for method in ["HEAD", "OPTIONS"] {
        let answer = ana.http().raw(method, "/api/rooms/public/", None).await.unwrap();
        assert!(answer.status < 500, "{method}: {}", answer.status);
    }
}

async fn health_is_told_to_anybody(system: &System) {
    for i in 0..system.apis() {
        for path in ["/livez", "/readyz", "/api/health/", "/api/health", "/api/v1/health/"] {
            system.http(i).raw("GET", path, None).await.unwrap().is(200);
        }
    }
}

async fn the_watch_page_and_its_film_are_served_to_anybody(system: &System) {
    for api in 0..system.apis() {
        let http = system.browser(api);
        let page = http.request("GET", "/r/ABC234").send().await.unwrap();
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
        assert!(page.text().contains("streamit-ws"), "{}", page.text());
        for path in ["/streamit.js", "/page/watch.js", "/page/style.css", "/favicon.svg", "/robots.txt"] {
            let file = http.request("GET", path).send().await.unwrap();
            assert_eq!(file.status, 200, "{path}");
            let tag = file.header("etag").unwrap();
            let again = http.request("GET", path).header("if-none-match", tag).send().await.unwrap();
            assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        }
        // A player that seeks: the beginning, then the end.
        for (range, length) in [("bytes=0-1023", 1_024), ("bytes=-4096", 4_096)] {
            let part = http.request("GET", "/sample.mp4").header("range", range).send().await.unwrap();
            assert_eq!((part.status, part.body.len()), (206, length), "{range}");
            assert_eq!(part.header("content-type"), Some("video/mp4"));
        }
        http.request("POST", "/").send().await.unwrap().is_refused(405, "METHOD_NOT_ALLOWED");
    }
}
