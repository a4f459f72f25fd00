//! Where a request came from, seen through the proxies that are trusted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use http::HeaderMap;
use http::request::Parts;

use crate::Proxies;

/// The client behind a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The right-most hop that is not a trusted proxy.
    pub address: IpAddr,
    /// Whether the client's own connection was encrypted, as a trusted proxy tells.
    pub is_tls: bool,
}

impl Peer {
    /// Who sent a request that `serve` (or axum with connect info) took in.
    #[must_use]
    pub fn of_request(parts: &Parts, trusted: &Proxies) -> Self {
        Self::of(socket(parts), &parts.headers, trusted)
    }

    /// Whether a trusted proxy has brought the request. It can take it elsewhere when it is refused here.
    #[must_use]
    pub fn is_proxied(parts: &Parts, trusted: &Proxies) -> bool {
        trusted.contain(socket(parts).to_canonical()) && parts.headers.contains_key("x-forwarded-for")
    }

    fn of(socket: IpAddr, headers: &HeaderMap, trusted: &Proxies) -> Self {
        let socket = socket.to_canonical();
        if !trusted.contain(socket) {
            return Self { address: socket, is_tls: false };
        }
        let proto = last(headers, "x-forwarded-proto");
        Self {
            address: forwarded_for(headers, trusted).unwrap_or(socket),
            is_tls: proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
        }
    }

    /// What limits count by. A whole IPv6 /64 is one: anybody who has one address of it has them all.
    #[must_use]
    pub fn limit_key(&self) -> String {
        match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }
}

/// Who is at the other end. Without a socket (a request made inside the process) it is this machine.
fn socket(parts: &Parts) -> IpAddr {
    let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    socket.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip())
}

/// Walks `X-Forwarded-For` from the right, past trusted proxies. What stands left of the first untrusted hop was
/// written by that hop, who may claim anything.
fn forwarded_for(headers: &HeaderMap, trusted: &Proxies) -> Option<IpAddr> {
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    let mut nearest = None;
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(hop.trim()) else { break };
        nearest = Some(address);
        if !trusted.contain(address) {
            break;
        }
    }
    nearest
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(socket: &str, forwarded: &[&str], trusted: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        Peer::of(socket.parse().unwrap(), &headers, &trusted.parse().unwrap()).address.to_string()
    }

    #[test]
    fn nobody_is_believed_by_default() {
        assert_eq!(seen("9.9.9.9", &["1.1.1.1"], ""), "9.9.9.9");
        assert_eq!(seen("9.9.9.9", &["1.1.1.1"], "10.0.0.0/8"), "9.9.9.9");
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_client() {
        let trusted = "10.0.0.0/8,::1";
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], trusted), "1.1.1.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "1.1.1.1:99, 10.0.0.2"], trusted), "1.1.1.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, garbage, 10.0.0.2"], trusted), "10.0.0.2");
        assert_eq!(seen("::1", &["[2001:db8::1]:443"], trusted), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &[], trusted), "10.0.0.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["1.1.1.1"], trusted), "1.1.1.1");
    }

    #[test]
    fn only_a_trusted_proxy_may_say_that_it_was_tls() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        let trusted: Proxies = "10.0.0.1".parse().unwrap();
        assert!(Peer::of("10.0.0.1".parse().unwrap(), &headers, &trusted).is_tls);
        assert!(!Peer::of("10.0.0.2".parse().unwrap(), &headers, &trusted).is_tls);
    }

    #[test]
    fn only_what_a_trusted_proxy_forwards_has_come_through_one() {
        let is_proxied = |socket: &str, forwarded: Option<&str>, trusted: &str| {
            let mut request = http::Request::new(());
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(socket.parse().unwrap(), 9)));
            if let Some(forwarded) = forwarded {
                request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
            }
            Peer::is_proxied(&request.into_parts().0, &trusted.parse().unwrap())
        };
        assert!(is_proxied("10.0.0.1", Some("1.1.1.1"), "10.0.0.0/8"));
        assert!(is_proxied("::ffff:10.0.0.1", Some("1.1.1.1"), "10.0.0.0/8"));
        assert!(!is_proxied("10.0.0.1", None, "10.0.0.0/8"), "it asks for itself");
        assert!(!is_proxied("10.0.0.1", Some("1.1.1.1"), ""));
        assert!(!is_proxied("9.9.9.9", Some("1.1.1.1"), "10.0.0.0/8"));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let key = |address: &str| Peer { address: address.parse().unwrap(), is_tls: false }.limit_key();
        assert_eq!(key("2001:db8:1:2:3::4"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::"), key("2001:db8:1:3::"));
        assert_eq!(key("1.2.3.4"), "1.2.3.4");
    }
}
