//! What every answer tells the browser that gets it: the one place for it, around all routes of a program.
//!
//! A handler that needs something else (the watch page its policy, a file that may be kept) sets that header itself;
//! what is here only fills in what is missing.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::{Peer, Proxies};

/// What an answer has unless it says otherwise. Most are JSON, which is nothing to be shown, to be embedded or to be kept.
///
/// `Cross-Origin-Resource-Policy` does not keep the pages of allowed origins from calling: it is about what is embedded
/// without asking (`no-cors`), not about what asks by CORS (Fetch standard, "cross-origin resource policy check").
const DEFAULTS: [(HeaderName, &str); 7] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// For a year browsers come by TLS alone. Not `includeSubDomains`: hosts below ours are the operator's, not ours, and one
/// without TLS would be lost to everybody who has been here. Who wants it says so in the proxy, where TLS ends.
const TLS_ONLY: &str = "max-age=31536000";

/// Puts the headers around all routes of `router`. Over plain HTTP nothing is said of TLS (RFC 6797, 7.2): whether it was
/// used is what a trusted proxy tells.
pub fn with_headers(router: Router, trusted: &Proxies) -> Router {
    router.layer(from_fn_with_state(Arc::new(trusted.clone()), add))
}

async fn add(State(trusted): State<Arc<Proxies>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_tls = Peer::of_request(&parts, &trusted).is_tls;
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    if is_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    }
    if is_upgrade {
        return response; // there is nothing to show, and thousands may come at once
    }
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn told(path: &str, proto: Option<&str>, trusted: &str) -> Response {
        let router = Router::new()
            .route("/plain", get(|| async { "" }))
            .route("/own", get(|| async { [(CONTENT_SECURITY_POLICY, "own"), (CACHE_CONTROL, "public")] }))
            .route("/upgrade", get(|| async { StatusCode::SWITCHING_PROTOCOLS }));
        let router = with_headers(router, &trusted.parse().unwrap());
        let mut request = Request::builder().uri(path);
        if let Some(proto) = proto {
            request = request.header("x-forwarded-proto", proto);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_answer_has_them_and_a_handlers_own_word_stands() {
        for (path, status) in [("/plain", 200), ("/nothing", 404)] {
            let reply = told(path, None, "").await;
            assert_eq!(reply.status(), status);
            for (name, value) in DEFAULTS {
                assert_eq!(reply.headers()[&name], value, "{path}");
            }
        }
        let own = told("/own", None, "").await;
        assert_eq!(own.headers()[CONTENT_SECURITY_POLICY], "own");
        assert_eq!(own.headers()[CACHE_CONTROL], "public");
        assert_eq!(own.headers()[X_FRAME_OPTIONS], "DENY");
        assert!(told("/upgrade", None, "").await.headers().get(X_FRAME_OPTIONS).is_none());
    }

    #[tokio::test]
    async fn tls_is_asked_for_from_now_on_only_where_a_trusted_proxy_says_that_it_was_used() {
        for (proto, trusted, expected) in [
            (Some("https"), "127.0.0.1", Some(TLS_ONLY)),
            (Some("http"), "127.0.0.1", None),
            (None, "127.0.0.1", None),
            (Some("https"), "", None),
            (Some("https"), "10.0.0.1", None),
        ] {
            for path in ["/plain", "/nothing", "/upgrade"] {
                let reply = told(path, proto, trusted).await;
                let said =
                    reply.headers().get(STRICT_TRANSPORT_SECURITY).map(|value| value.to_str().unwrap());
                assert_eq!(said, expected, "{path} {proto:?} trusting {trusted:?}");
            }
        }
    }
}
