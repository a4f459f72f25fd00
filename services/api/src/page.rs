//! The watch page and all that it is made of. Everything is inside the binary, so that there is nothing to install
//! beside it and nothing to be found missing.
//!
//! To add a file: put it into `page/`, and a line into [`FILES`].

mod policy;
mod range;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sha2::{Digest, Sha256};
use url::Url;

use self::range::Wanted;
use crate::app::App;

const HTML: &str = "text/html; charset=utf-8";
pub(crate) const CSS: &str = "text/css; charset=utf-8";
pub(crate) const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";
const FILM: &str = "video/mp4";

/// Asked for again each time, and answered with 304 until there is a new release: page, style and scripts always fit
/// together and the server.
const FRESH: &str = "no-cache";
/// Kept for a day: what is hardly ever another one.
const KEPT: &str = "public, max-age=86400";

/// A file that is served as it is.
struct File {
    path: &'static str,
    kind: &'static str,
    keep: &'static str,
    bytes: &'static [u8],
}

/// A file of the folder `page/`, under its name there.
macro_rules! part {
    ($name:literal, $kind:ident) => {
        File {
            path: concat!("/page/", $name),
            kind: $kind,
            keep: FRESH,
            bytes: include_bytes!(concat!("page/", $name)),
        }
    };
}

/// All files but the page itself.
static FILES: &[File] = &[
    part!("style.css", CSS),
    part!("chat.js", SCRIPT),
    part!("dom.js", SCRIPT),
    part!("film.js", SCRIPT),
    part!("gone.js", SCRIPT),
    part!("message.js", SCRIPT),
    part!("notices.js", SCRIPT),
    part!("order.js", SCRIPT),
    part!("panel.js", SCRIPT),
    part!("people.js", SCRIPT),
    part!("person.js", SCRIPT),
    part!("question.js", SCRIPT),
    part!("record.js", SCRIPT),
    part!("report.js", SCRIPT),
    part!("rules.js", SCRIPT),
    part!("settings.js", SCRIPT),
    part!("share.js", SCRIPT),
    part!("steps.js", SCRIPT),
    part!("store.js", SCRIPT),
    part!("view-enter.js", SCRIPT),
    part!("view-room.js", SCRIPT),
    part!("voice.js", SCRIPT),
    part!("watch.js", SCRIPT),
    part!("whoami.js", SCRIPT),
    part!("icon.svg", SVG),
    File {
        path: "/streamit.js",
        kind: SCRIPT,
        keep: FRESH,
        bytes: include_bytes!("../../../clients/javascript/streamit.js"),
    },
    File { path: "/favicon.svg", kind: SVG, keep: KEPT, bytes: include_bytes!("page/icon.svg") },
    File { path: "/robots.txt", kind: TEXT, keep: KEPT, bytes: include_bytes!("page/robots.txt") },
    File { path: "/sample.mp4", kind: FILM, keep: KEPT, bytes: include_bytes!("page/sample.mp4") },
];

/// The page. The same for every room: it learns from its address which one is meant.
const PAGE: &str = include_str!("page/index.html");
/// Where the page says how the WebSocket is reached; empty: where the page itself came from.
const WEBSOCKET: &str = r#"<meta name="streamit-ws" content="">"#;

/// The page under each of its addresses, and its files.
pub(crate) fn router(websocket: Option<&Url>) -> Router<App> {
    let page = Served::page(websocket);
    let mut router = Router::new();
    for path in ["/", "/r/{code}", "/r/{code}/"] {
        router = router.route(path, serve(page.clone()));
    }
    for file in FILES {
        router = router.route(file.path, serve(Served::file(file)));
    }
    router
}

/// Serves a file from elsewhere in the crate, as those of the page are.
pub(crate) fn file(kind: &'static str, bytes: &'static [u8]) -> MethodRouter<App> {
    serve(Served::file(&File { path: "", kind, keep: FRESH, bytes }))
}

fn serve(served: Arc<Served>) -> MethodRouter<App> {
    get(move |method: Method, asked: HeaderMap| async move { served.answer(&method, &asked) })
}

/// Something to be served: its bytes, and the headers that each answer has.
struct Served {
    bytes: Bytes,
    headers: HeaderMap,
    /// Made when it is first asked for: hashing the film takes a moment.
    tag: OnceLock<HeaderValue>,
}

impl Served {
    fn new(kind: &'static str, keep: &'static str, bytes: Bytes) -> Self {
        let text = HeaderValue::from_static;
        let headers =
            [(CONTENT_TYPE, text(kind)), (CACHE_CONTROL, text(keep)), (ACCEPT_RANGES, text("bytes"))];
        Self { bytes, headers: HeaderMap::from_iter(headers), tag: OnceLock::new() }
    }

    fn file(file: &File) -> Arc<Self> {
        let mut served = Self::new(file.kind, file.keep, Bytes::from_static(file.bytes));
        if file.kind == FILM {
            served.headers.extend(policy::film());
        }
        Arc::new(served)
    }

    fn page(websocket: Option<&Url>) -> Arc<Self> {
        let bytes = match websocket {
            None => Bytes::from_static(PAGE.as_bytes()),
            Some(url) => PAGE.replacen(WEBSOCKET, &policy::meta(url), 1).into(),
        };
        let mut page = Self::new(HTML, FRESH, bytes);
        page.headers.extend(policy::headers(websocket));
        Arc::new(page)
    }

    /// The strong tag of these very bytes.
    fn tag(&self) -> &HeaderValue {
        self.tag.get_or_init(|| {
            let digest = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&self.bytes)[..16]);
            HeaderValue::from_str(&format!("\"{digest}\"")).expect("Base64 is fit for a header")
        })
    }

    fn answer(&self, method: &Method, asked: &HeaderMap) -> Response {
        let (tag, length) = (self.tag(), self.bytes.len());
        let mut headers = self.headers.clone();
        headers.insert(ETAG, tag.clone());
        if has(asked, tag) {
            headers.remove(CONTENT_TYPE); // it would be that of an empty body
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        // A range is of what GET would send; other methods know none.
        let wanted = if method == Method::GET { range::wanted(asked, tag, length) } else { Wanted::Whole };
        let (status, place, bytes) = match wanted {
            Wanted::Whole => return (headers, Body::from(self.bytes.clone())).into_response(),
            Wanted::Part(part) => {
                let place = format!("bytes {}-{}/{length}", part.start, part.end - 1);
                (StatusCode::PARTIAL_CONTENT, place, self.bytes.slice(part))
            }
            Wanted::Nothing => {
                headers.remove(CONTENT_TYPE);
                headers.remove(CACHE_CONTROL); // a refusal is not to be kept
                (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{length}"), Bytes::new())
            }
        };
        (status, headers, [(CONTENT_RANGE, place)], Body::from(bytes)).into_response()
    }
}

/// Whether the client has this very thing already (`If-None-Match`).
fn has(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|one| {
        // A proxy that compressed what it passed on makes the tag a weak one.
        one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_place_for_the_address_of_the_websocket() {
        assert_eq!(PAGE.matches(WEBSOCKET).count(), 1);
        assert_eq!(PAGE.matches("streamit-ws").count(), 1);
    }

    #[test]
    fn each_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_served = FILES.iter().any(|file| file.path.ends_with(&format!("/{name}")));
            assert!(
                is_served || name == "index.html" || name.ends_with(".rs"),
                "{name} has no line in FILES"
            );
        }
    }

    #[test]
    fn a_tag_is_recognised_in_a_list() {
        let tag = HeaderValue::from_static("\"a\"");
        let asked =
            |list: &'static str| HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(list))]);
        for list in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(has(&asked(list), &tag), "{list}");
        }
        for list in ["", "a", "\"b\"", "\"ab\"", "W/\"b\""] {
            assert!(!has(&asked(list), &tag), "{list}");
        }
        assert!(!has(&HeaderMap::new(), &tag));
    }
}
