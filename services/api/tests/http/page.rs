//! The watch page: what browsers are given, and what they are told about it.

use std::collections::BTreeSet;

use axum::http::Method;
use streamit_api::config::Public;

use crate::support::{Reply, World};

const FILM: &str = "/sample.mp4";

/// What is served, and as what.
const FILES: [(&str, &str); 9] = [
    ("/", "text/html; charset=utf-8"),
    ("/r/ABC234", "text/html; charset=utf-8"),
    ("/r/ABC234/", "text/html; charset=utf-8"),
    ("/page/style.css", "text/css; charset=utf-8"),
    ("/page/watch.js", "text/javascript; charset=utf-8"),
    ("/streamit.js", "text/javascript; charset=utf-8"),
    ("/favicon.svg", "image/svg+xml"),
    ("/robots.txt", "text/plain; charset=utf-8"),
    (FILM, "video/mp4"),
];

fn tag(reply: &Reply) -> String {
    reply.header("etag").unwrap_or_default().to_owned()
}

/// What lies between each `before` and the next double or single quote.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(['"', '\'']).next()).collect()
}

#[tokio::test]
async fn each_file_is_served_as_what_it_is_and_asked_for_once() {
    let world = World::new().await;
    for (path, kind) in FILES {
        let reply = world.get(path).send().await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)), "{path}");
        assert!(!reply.bytes.is_empty(), "{path}");
        assert_eq!(reply.header("content-length"), Some(reply.bytes.len().to_string().as_str()), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        let keep = reply.header("cache-control").unwrap();
        assert!(if path == FILM { keep.contains("max-age=") } else { keep != "no-store" }, "{path}: {keep}");

        let tag = tag(&reply);
        assert!(tag.len() > 8 && tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        let again = world.get(path).header("if-none-match", &tag).send().await;
        assert_eq!((again.status, again.bytes.len()), (304, 0), "{path}");
        assert_eq!((again.header("etag"), again.header("cache-control")), (Some(tag.as_str()), Some(keep)));
        let other = world.get(path).header("if-none-match", "\"other\"").send().await;
        assert_eq!((other.status, &other.bytes), (200, &reply.bytes), "{path}");
    }
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let world = World::new().await;
    for (path, _) in FILES {
        let whole = world.get(path).send().await;
        let head = world.ask(Method::HEAD, path).header("range", "bytes=0-1").send().await;
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}: a range is of what GET sends");
        for name in ["content-length", "content-type", "etag"] {
            assert_eq!(head.header(name), whole.header(name), "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let reply = world.ask(method, path).send().await;
            reply.refused(405, "METHOD_NOT_ALLOWED");
            assert_eq!(reply.header("allow"), Some("GET,HEAD"), "{path}");
        }
    }
    for path in [
        "/index.html",
        "/page/",
        "/page/index.html",
        "/page/page.rs",
        "/r/",
        "/r/ABC234/x",
        "/page/../page.rs",
    ] {
        world.get(path).send().await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_player_gets_the_part_of_the_film_that_it_wants() {
    let world = World::new().await;
    let whole = world.get(FILM).send().await;
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let (film, tag) = (&whole.bytes, tag(&whole));
    let length = film.len();

    for (range, part) in [
        ("bytes=0-".to_owned(), 0..length),
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=1000-1999".to_owned(), 1_000..2_000),
        ("bytes=-500".to_owned(), length - 500..length),
        (format!("bytes={}-", length - 1), length - 1..length),
        (format!("bytes=5-{}", length * 2), 5..length),
    ] {
        let reply = world.get(FILM).header("range", &range).header("if-range", &tag).send().await;
        let place = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        assert_eq!((reply.status, reply.header("content-range")), (206, Some(place.as_str())), "{range}");
        assert!(reply.bytes == film[part], "{range}: other bytes");
        assert_eq!(reply.header("etag"), Some(tag.as_str()));
        assert_eq!(reply.header("content-length"), Some(reply.bytes.len().to_string().as_str()));
    }

    for (range, if_range) in [("bytes=0-1,3-4", tag.as_str()), ("bytes=x", &tag), ("bytes=0-1", "\"old\"")] {
        let reply = world.get(FILM).header("range", range).header("if-range", if_range).send().await;
        assert_eq!((reply.status, reply.header("content-range")), (200, None), "{range}");
        assert!(reply.bytes == film, "{range}: not the whole");
    }

    let beyond = world.get(FILM).header("range", &format!("bytes={length}-")).send().await;
    let nowhere = format!("bytes */{length}");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(nowhere.as_str())));
    assert_eq!((beyond.bytes.len(), beyond.header("cache-control")), (0, Some("no-store")));

    let known = world.get(FILM).header("range", "bytes=0-1").header("if-none-match", &tag).send().await;
    assert_eq!(known.status, 304, "who has all of it needs no part");
}

#[tokio::test]
async fn the_page_may_load_nothing_but_its_own_and_films() {
    let world = World::new().await;
    let page = world.get("/r/ABC234").send().await;
    let policy = page.header("content-security-policy").unwrap();
    let directives: BTreeSet<_> = policy.split("; ").collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "media-src 'self' https: http: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(directives.contains(directive), "{policy} lacks {directive}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
    assert!(page.header("permissions-policy").unwrap().contains("camera=()"));
    assert_eq!(page.header("set-cookie"), None);
}

#[tokio::test]
async fn the_page_obeys_its_own_policy_and_refers_to_what_is_there() {
    let world = World::new().await;
    let page = world.get("/").send().await.text;
    let opened: Vec<&str> = page.split("<script").skip(1).collect();
    assert!(!opened.is_empty());
    for script in opened {
        assert!(script.split('>').next().unwrap().contains("src="), "an inline script");
        assert!(script.split_once('>').unwrap().1.starts_with("</script>"), "an inline script");
    }
    assert!(!page.contains("<style") && !page.contains(" style="), "an inline style");
    assert!(!page.contains("javascript:"));
    let tags = page.split('<').filter_map(|tag| tag.split('>').next());
    let mut attributes = tags.flat_map(str::split_whitespace);
    assert_eq!(attributes.find(|word| word.starts_with("on") && word.contains("=\"")), None);

    // Every file is reached from the page, through the modules.
    let links = quoted(&page, "href=\"").into_iter().chain(quoted(&page, "src=\""));
    let mut left: Vec<String> = links.filter(|link| !link.starts_with('#')).map(str::to_owned).collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = left.pop() {
        assert!(path.starts_with('/'), "{path} would be looked for beside /r/");
        if !seen.insert(path.clone()) {
            continue;
        }
        let reply = world.get(&path).send().await;
        assert_eq!(reply.status, 200, "{path} is referred to");
        if path.ends_with(".js") {
            let code: String =
                reply.text.lines().filter(|line| !line.trim_start().starts_with(['*', '/'])).collect();
            let imports =
                [" from '", " from \"", "import '", "import \""].map(|before| quoted(&code, before));
            for name in imports.into_iter().flatten().filter(|name| name.starts_with(['.', '/'])) {
                let folder = path.rsplit_once('/').unwrap().0;
                left.push(name.strip_prefix("./").map_or(name.to_owned(), |name| format!("{folder}/{name}")));
            }
        }
    }
    for path in ["/page/watch.js", "/page/style.css", "/streamit.js"] {
        assert!(seen.contains(path), "nothing refers to {path}");
    }
}

#[tokio::test]
async fn a_websocket_elsewhere_is_told_to_the_page_and_allowed() {
    let url = "wss://live.example.org:8443/a&b/".parse().unwrap();
    let world = World::with(Public { public_ws_url: Some(url), ..Public::default() }).await;
    let page = world.get("/").send().await;
    let meta = r#"<meta name="streamit-ws" content="wss://live.example.org:8443/a&amp;b">"#;
    assert!(page.text.contains(meta), "{}", page.text);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("connect-src 'self' wss://live.example.org:8443;"), "{policy}");

    let usual = World::new().await.get("/").send().await;
    assert!(usual.text.contains(r#"<meta name="streamit-ws" content="">"#));
    assert_ne!(tag(&page), tag(&usual), "who has the one page must not go on using it for the other");
}
