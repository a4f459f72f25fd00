//! Pages of other sites.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Uri};
use url::Url;

use crate::Origins;

/// Whether a request may come from where it says: from no page at all (tools send no `Origin`), from a page of an
/// allowed origin, or from one of the very host and port that it was sent to.
#[must_use]
pub fn is_allowed(parts: &Parts, allowed: &Origins) -> bool {
    match parts.headers.get(ORIGIN).map(|origin| origin.to_str()) {
        None => true,
        Some(Err(_)) => false,
        Some(Ok(origin)) => allowed.contains(origin) || is_same(origin, &parts.headers, &parts.uri),
    }
}

/// Whether host and port of `origin` are those that the request was sent to.
fn is_same(origin: &str, headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.or_else(|| uri.authority().map(|authority| authority.as_str())) else {
        return false;
    };
    let Ok(origin) = Url::parse(origin) else { return false };
    // Read under the origin's scheme, so that a default port is the same written or not.
    let Ok(ours) = Url::parse(&format!("{}://{host}", origin.scheme())) else { return false };
    origin.has_host()
        && (origin.host(), origin.port_or_known_default()) == (ours.host(), ours.port_or_known_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(headers: &[(&str, &str)]) -> bool {
        let mut request = http::Request::builder().uri("/api/x/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        is_allowed(&parts, &"https://friend.example".parse().unwrap())
    }

    #[test]
    fn other_sites_are_told_apart_by_host_and_port() {
        let host = ("host", "watch.example");
        assert!(allowed(&[host]));
        for origin in ["https://watch.example", "https://watch.example:443", "https://friend.example"] {
            assert!(allowed(&[host, ("origin", origin)]), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "",
            "https://watch.example.evil.example",
            "https://watch.example:444",
        ] {
            assert!(!allowed(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!allowed(&[("origin", "https://evil.example")]), "no host to compare with");
        assert!(allowed(&[("host", "localhost:8000"), ("origin", "http://localhost:8000")]));
        assert!(!allowed(&[("host", "localhost:8000"), ("origin", "http://localhost")]));
    }
}
