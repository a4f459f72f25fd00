//! Options that every program with a public end has, and reads in the same way.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use url::Url;

/// Whether rates, budgets and caps hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Limits {
    /// They do.
    #[default]
    On,
    /// They don't: for load tests.
    Off,
}

/// Where metrics are served.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Metrics {
    /// Where `GET /metrics` (Prometheus) is served, for operators only: it asks nobody who they are. Nowhere by default.
    #[arg(
        long,
        env = "STREAMIT_METRICS_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "",
        hide_default_value = true
    )]
    metrics_listen: Address,
}

impl Metrics {
    /// Where, if anywhere.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.metrics_listen.0
    }
}

/// An address, or none when the text is empty, as files of settings give what they leave out.
#[derive(Clone, Copy, Debug, Default)]
struct Address(Option<SocketAddr>);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| "must be ADDRESS:PORT".to_owned())
    }
}

/// A list of origins, as browsers send them (`https://example.org`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Whether `origin` (a header's value) is in the list.
    #[must_use]
    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }
}

impl FromStr for Origins {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        entries(list)
            .map(|entry| {
                let wrong = || {
                    format!(
                        "STREAMIT_ALLOWED_ORIGINS lists origins like https://example.org, without a path; `{entry}` is none"
                    )
                };
                let url = Url::parse(entry).map_err(|_| wrong())?;
                let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
                if !matches!(url.scheme(), "http" | "https") || !bare || !url.username().is_empty() {
                    return Err(wrong());
                }
                Ok(url.origin().ascii_serialization())
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// A list of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Whether `address` lies in one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl FromStr for Proxies {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        entries(list)
            .map(|entry| {
                let alone = entry.parse::<IpAddr>().map(IpNet::from);
                alone.or_else(|_| entry.parse::<IpNet>()).map_err(|_| {
                    format!(
                        "STREAMIT_TRUSTED_PROXIES lists addresses or CIDRs like 10.0.0.0/8; `{entry}` is none"
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_may_be_empty_and_are_compared_as_browsers_write_them() {
        assert_eq!("".parse::<Origins>().unwrap(), Origins::default());
        let origins: Origins = "https://A.example:443, http://b.example:81".parse().unwrap();
        assert!(origins.contains("https://a.example") && origins.contains("http://b.example:81"));
        assert!(!origins.contains("http://a.example") && !origins.contains("null"));
        assert!("https://a.b/path".parse::<Origins>().is_err() && "a.b".parse::<Origins>().is_err());
        let proxies: Proxies = "10.0.0.0/8,::1".parse().unwrap();
        assert!(proxies.contain("10.2.3.4".parse().unwrap()) && proxies.contain("::1".parse().unwrap()));
        assert!(!proxies.contain("11.0.0.1".parse().unwrap()));
        assert!("10.0.0.0/99".parse::<Proxies>().is_err());
    }
}
