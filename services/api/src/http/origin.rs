//! Pages of other sites: which may call, and which a browser must not be made to call for.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use streamit_edge::Origins;
use streamit_wire::Code;

use super::error::Result;
use crate::app::App;

/// Refuses an unsafe request for which a browser may have been made to send the session cookie along. Tools send
/// neither header and are served.
pub(crate) fn refuse_cross_site(parts: &Parts, allowed: &Origins) -> Result<()> {
    if parts.method.is_safe() {
        return Ok(());
    }
    let site = parts.headers.get("sec-fetch-site");
    if site.is_some_and(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site")) {
        return Err(Code::CrossSite.into());
    }
    if streamit_edge::is_allowed(parts, allowed) { Ok(()) } else { Err(Code::CrossSite.into()) }
}

/// Lets pages of the allowed origins call with credentials (Fetch standard, CORS protocol), and answers their
/// preflights.
pub(crate) async fn cors(State(app): State<App>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let origin =
        origin.filter(|origin| origin.to_str().is_ok_and(|o| app.config.allowed_origins.contains(o)));
    let Some(origin) = origin else {
        let mut response = next.run(request).await;
        response.headers_mut().append(VARY, HeaderValue::from_static("origin")); // what is kept is kept for this page alone
        return response;
    };

    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    let text = HeaderValue::from_static;
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, text("true"));
    headers.append(VARY, text("origin"));
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, text("GET, POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, text("authorization, content-type, x-request-id"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, text("600"));
    } else {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, text("link, retry-after, x-request-id"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/api/x/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, _) = request.body(axum::body::Body::empty()).unwrap().into_parts();
        refuse_cross_site(&parts, &"https://friend.example".parse().unwrap()).is_err()
    }

    #[test]
    fn other_sites_are_refused_and_tools_are_not() {
        let host = ("host", "watch.example");
        assert!(!refused(Method::POST, &[host]));
        assert!(!refused(Method::POST, &[host, ("origin", "https://watch.example")]));
        assert!(!refused(Method::POST, &[host, ("origin", "https://watch.example:443")]));
        assert!(!refused(Method::POST, &[host, ("origin", "https://friend.example")]));
        assert!(!refused(Method::POST, &[host, ("sec-fetch-site", "same-origin")]));
        assert!(!refused(Method::GET, &[host, ("origin", "https://evil.example")]));
        for origin in [
            "https://evil.example",
            "null",
            "",
            "https://watch.example.evil.example",
            "https://watch.example:444",
        ] {
            assert!(refused(Method::POST, &[host, ("origin", origin)]), "{origin}");
        }
        assert!(refused(Method::POST, &[host, ("sec-fetch-site", "cross-site")]));
        assert!(refused(Method::DELETE, &[("origin", "https://watch.example")]), "no host to compare with");
    }

    #[test]
    fn ports_count() {
        let host = ("host", "localhost:8000");
        assert!(!refused(Method::POST, &[host, ("origin", "http://localhost:8000")]));
        assert!(refused(Method::POST, &[host, ("origin", "http://localhost:3000")]));
        assert!(refused(Method::POST, &[host, ("origin", "http://localhost")]));
    }
}
