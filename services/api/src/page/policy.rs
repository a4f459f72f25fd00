//! What the page may do in a browser, and where it finds the WebSocket.

use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderName, HeaderValue};
use url::{Host, Url};

/// What nobody on this page needs. Only names that browsers know: they complain about others.
const FEATURES: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The headers of the page, besides those of every answer. One of them is `Referrer-Policy: no-referrer`, since the
/// page's address holds the room's code: calls by `fetch` and WebSockets say their `Origin` all the same, and forms,
/// which would not, are not sent.
pub(super) fn headers(websocket: Option<&Url>) -> [(HeaderName, HeaderValue); 2] {
    let policy = HeaderValue::from_str(&policy(websocket)).expect("hosts and ports are fit for a header");
    [
        (CONTENT_SECURITY_POLICY, policy),
        (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(FEATURES)),
    ]
}

/// The headers of the film: any player may show it, and a browser that opens it by itself is one.
pub(super) fn film() -> [(HeaderName, HeaderValue); 2] {
    let text = HeaderValue::from_static;
    [
        (CONTENT_SECURITY_POLICY, text("default-src 'none'; media-src 'self'; frame-ancestors 'none'")),
        (HeaderName::from_static("cross-origin-resource-policy"), text("cross-origin")),
    ]
}

/// The content security policy: scripts and styles only from here, none in the page; films from anywhere. Text is never
/// made into markup (`trusted-types 'none'`: `innerHTML` and its like throw), so that no name and no message can be.
fn policy(websocket: Option<&Url>) -> String {
    // `'self'` stands for WebSockets of the same host and port, too (Chromium 71, Firefox 50, Safari 15.5).
    let elsewhere = websocket.map(|url| format!(" {}", source(url))).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         media-src 'self' https: http: blob:; connect-src 'self'{elsewhere}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// A WebSocket's host as the policy writes it. A policy has no way to write an IPv6 address, only the scheme.
fn source(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(_) | Host::Ipv4(_)) => format!("{}://{}", url.scheme(), url.authority()),
        Some(Host::Ipv6(_)) | None => format!("{}:", url.scheme()),
    }
}

/// Tells the page where the WebSocket is.
pub(super) fn meta(url: &Url) -> String {
    let mut content = String::new();
    for char in url.as_str().trim_end_matches('/').chars() {
        match char {
            '&' => content.push_str("&amp;"),
            '<' => content.push_str("&lt;"),
            '>' => content.push_str("&gt;"),
            '"' => content.push_str("&quot;"),
            char => content.push(char),
        }
    }
    format!(r#"<meta name="streamit-ws" content="{content}">"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_websocket_is_allowed_by_host_and_port_alone() {
        for (url, source_of) in [
            ("ws://localhost:8001", "ws://localhost:8001"),
            ("wss://live.example.org/", "wss://live.example.org"),
            ("wss://live.example.org:443/some;script-src,*", "wss://live.example.org"),
            ("ws://[::1]:8001", "ws:"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(source(&url), source_of);
            assert!(policy(Some(&url)).contains(&format!("; connect-src 'self' {source_of}; ")), "{url}");
            headers(Some(&url));
        }
        assert!(policy(None).contains("; connect-src 'self'; "));
    }

    #[test]
    fn the_page_is_told_the_address_and_nothing_else() {
        for (url, content) in [
            ("ws://localhost:8001", "ws://localhost:8001"),
            ("wss://live.example.org:443/a/", "wss://live.example.org/a"),
            ("ws://x/a&b\"><script>", "ws://x/a&amp;b%22%3E%3Cscript%3E"),
        ] {
            let meta = meta(&Url::parse(url).unwrap());
            assert_eq!(meta, format!(r#"<meta name="streamit-ws" content="{content}">"#));
        }
    }
}
