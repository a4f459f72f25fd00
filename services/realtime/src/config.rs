//! What an operator can set. Every option is a flag and an environment variable; a wrong value is told with the
//! option's name and what is allowed, before anything binds.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::authority::names::Name;
use anyhow::{Context, bail, ensure};
use clap::Args;
use http::Uri;
use secrecy::{ExposeSecret, SecretString};
use streamit_edge::{Limits, Metrics, Origins, Proxies, SecretFile, pem};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// How long a replica may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// Everything a node of a cluster needs to know.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where WebSockets are served; port 0 takes any free one.
    #[arg(long, env = "STREAMIT_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8001")]
    pub listen: SocketAddr,
    /// Where the api's replicas are reached (gRPC): `http://` or `https://`, separated by commas. With `dns+` before
    /// it, each address of the name is a replica, and it is looked up again and again.
    #[arg(
        long,
        env = "STREAMIT_API_GRPC",
        value_name = "URLS",
        default_value = "http://127.0.0.1:50051",
        value_delimiter = ','
    )]
    pub api_grpc: Vec<String>,
    /// Authorities (PEM) that have signed the certificates of `https://` replicas. By default those that the system trusts.
    #[arg(long, env = "STREAMIT_API_CA", value_name = "PATH")]
    pub api_ca: Option<OsString>,
    /// The certificate (PEM, with its chain) that this node shows `https://` replicas, if they ask for one.
    #[arg(long, env = "STREAMIT_API_CERT", value_name = "PATH")]
    pub api_cert: Option<OsString>,
    /// The private key of that certificate (PEM).
    #[arg(long, env = "STREAMIT_API_KEY", value_name = "PATH")]
    pub api_key: Option<OsString>,
    /// The Redis that all services share: `redis://` or `rediss://`. Required.
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,
    /// A file that holds the URL of Redis, instead.
    #[arg(long, env = "REDIS_URL_FILE", value_name = "PATH", default_value = "", hide_default_value = true)]
    pub redis_url_file: SecretFile,
    /// What this node shows the api. Required unless every api is on loopback.
    #[arg(long, env = "STREAMIT_GRPC_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub grpc_token: Option<SecretString>,
    /// A file that holds that token, instead.
    #[arg(
        long,
        env = "STREAMIT_GRPC_TOKEN_FILE",
        value_name = "PATH",
        default_value = "",
        hide_default_value = true
    )]
    pub grpc_token_file: SecretFile,
    /// What this node is called in logs and metrics. By default a random name.
    #[arg(long, env = "STREAMIT_NODE_ID", value_name = "NAME")]
    pub node_id: Option<String>,
    /// How long a stop may take, in seconds: a tenth of it unready but serving, three quarters of it closing
    /// connections, each at its own moment, then out.
    #[arg(
        long,
        env = "STREAMIT_DRAIN_SECONDS",
        value_name = "SECONDS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(0..=3600)
    )]
    pub drain_seconds: u16,
    /// Where metrics are served.
    #[command(flatten)]
    pub metrics: Metrics,
    /// The part that does not depend on how the node is deployed.
    #[command(flatten)]
    pub public: Public,
}

/// How WebSockets are served, wherever that is.
#[derive(Args, Clone, Debug, Default)]
pub struct Public {
    /// Origins whose pages may connect, besides the node's own; separated by commas.
    #[arg(long, env = "STREAMIT_ALLOWED_ORIGINS", value_name = "ORIGINS", default_value = "")]
    pub allowed_origins: Origins,
    /// Proxies whose `X-Forwarded-For` is believed: addresses or CIDRs, separated by commas.
    #[arg(long, env = "STREAMIT_TRUSTED_PROXIES", value_name = "CIDRS", default_value = "")]
    pub trusted_proxies: Proxies,
    /// Whether rates, budgets and caps hold. `off` is for load tests.
    #[arg(long, env = "STREAMIT_LIMITS", value_name = "on|off", default_value = "on")]
    pub limits: Limits,
}

impl Config {
    /// Checks what one option alone can't tell.
    ///
    /// # Errors
    /// Names the option and what is allowed.
    pub fn check(&self) -> anyhow::Result<()> {
        self.redis_url()?;
        let apis = self.apis()?;
        ensure!(
            self.grpc_token()?.is_some() || apis.iter().all(Api::is_local),
            "STREAMIT_GRPC_TOKEN (--grpc-token) is required, since STREAMIT_API_GRPC names an api that is not on loopback"
        );
        self.reaches()?;
        Ok(())
    }

    /// How the api's replicas are reached.
    ///
    /// # Errors
    /// When an address is none, a file can't be read or holds something else, or one option needs another.
    pub fn reaches(&self) -> anyhow::Result<Vec<Reach>> {
        const UNFIT: &str = "STREAMIT_API_CA, STREAMIT_API_CERT and STREAMIT_API_KEY can't be used for https:// in STREAMIT_API_GRPC";
        let apis = self.apis()?;
        let tls = self.tls()?;
        ensure!(
            tls.is_none() || apis.iter().any(Api::is_tls),
            "STREAMIT_API_CA, STREAMIT_API_CERT and STREAMIT_API_KEY are for https:// in STREAMIT_API_GRPC, which has none"
        );
        let tls = tls.unwrap_or_else(|| ClientTlsConfig::new().with_enabled_roots()).timeout(HANDSHAKE);
        let reach = |api: Api| {
            let tls = api.is_tls().then(|| tls.clone());
            let endpoint = match &api {
                Api::At(uri) => match tls {
                    Some(tls) => Endpoint::from(uri.clone()).tls_config(tls),
                    None => Ok(Endpoint::from(uri.clone())),
                },
                Api::Behind { host, port, .. } => {
                    let name = Name::new(host, *port, tls);
                    // Any address will do to see whether one could be reached.
                    name.endpoint((Ipv4Addr::LOCALHOST, *port).into()).context(UNFIT)?;
                    return Ok(Reach::Behind(name));
                }
            };
            Ok(Reach::At(Box::new(endpoint.context(UNFIT)?)))
        };
        apis.into_iter().map(reach).collect()
    }

    /// What is said of TLS, if anything is. An empty variable counts as unset.
    fn tls(&self) -> anyhow::Result<Option<ClientTlsConfig>> {
        const CERT: &str = "STREAMIT_API_CERT";
        const KEY: &str = "STREAMIT_API_KEY";
        let [ca, cert, key] = [&self.api_ca, &self.api_cert, &self.api_key].map(set);
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => {
                let key = pem::private_key(key, KEY)?;
                Some(Identity::from_pem(pem::certificates(cert, CERT)?, key.expose_secret()))
            }
            (None, None) if ca.is_none() => return Ok(None),
            (None, None) => None,
            _ => bail!("{CERT} and {KEY} are of use only together"),
        };
        let tls = match ca {
            Some(ca) => {
                let ca = pem::certificates(ca, "STREAMIT_API_CA")?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca))
            }
            None => ClientTlsConfig::new().with_enabled_roots(),
        };
        Ok(Some(match identity {
            Some(identity) => tls.identity(identity),
            None => tls,
        }))
    }

    /// The URL of Redis.
    ///
    /// # Errors
    /// When it is missing or not one.
    pub fn redis_url(&self) -> anyhow::Result<&str> {
        const ALLOWED: &str = "REDIS_URL (--redis-url) must be redis://HOST:PORT or rediss://HOST:PORT";
        let url = self.redis_url_file.or(self.redis_url.as_ref(), "REDIS_URL")?;
        let url = url.map(ExposeSecret::expose_secret).context(ALLOWED)?;
        ensure!(url.starts_with("redis://") || url.starts_with("rediss://"), ALLOWED);
        Ok(url)
    }

    /// Where the api's replicas are.
    ///
    /// # Errors
    /// When there is none, or one is not a URL.
    pub fn apis(&self) -> anyhow::Result<Vec<Api>> {
        const ALLOWED: &str = "STREAMIT_API_GRPC (--api-grpc) must list http://HOST:PORT or https://HOST:PORT, dns+http://NAME:PORT or dns+https://NAME:PORT, separated by commas";
        let entries = self.api_grpc.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty());
        let apis: Vec<Api> = entries
            .map(|entry| Api::parse(entry).with_context(|| format!("{ALLOWED}; `{entry}` is none")))
            .collect::<anyhow::Result<_>>()?;
        ensure!(!apis.is_empty(), ALLOWED);
        Ok(apis)
    }

    /// The token for the api. An empty variable counts as unset.
    ///
    /// # Errors
    /// When it lies in a file that can't be read, or was given in two ways.
    pub fn grpc_token(&self) -> anyhow::Result<Option<&SecretString>> {
        self.grpc_token_file.or(self.grpc_token.as_ref(), "STREAMIT_GRPC_TOKEN")
    }

    /// How a stop goes.
    #[must_use]
    pub fn drain(&self) -> Drain {
        Drain::within(Duration::from_secs(u64::from(self.drain_seconds)))
    }
}

/// Where replicas of the api are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Api {
    /// One, at this URL.
    At(Uri),
    /// One at each address of a name.
    Behind {
        /// The name.
        host: String,
        /// The port of each.
        port: u16,
        /// Whether they are spoken to over TLS.
        is_tls: bool,
    },
}

impl Api {
    fn parse(entry: &str) -> Option<Self> {
        let uri: Uri = entry.parse().ok()?;
        let host = uri.host().filter(|host| !host.is_empty())?;
        let is_tls = match uri.scheme_str()? {
            "http" | "https" => return Some(Self::At(uri)),
            "dns+http" => false,
            "dns+https" => true,
            _ => return None,
        };
        // An address has no addresses, a path and a password lead nowhere, and DNS tells no port.
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let is_name = host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
        let port = uri.port_u16().filter(|port| *port != 0)?;
        let has_user = uri.authority()?.as_str().contains('@');
        (is_bare && is_name && !has_user).then(|| Self::Behind { host: host.to_owned(), port, is_tls })
    }

    fn is_tls(&self) -> bool {
        match self {
            Self::At(uri) => uri.scheme_str() == Some("https"),
            Self::Behind { is_tls, .. } => *is_tls,
        }
    }

    /// Whether it is on this machine for sure. What a name leads to is for others to say, but for one.
    fn is_local(&self) -> bool {
        let host = match self {
            Self::At(uri) => uri.host().unwrap_or_default().trim_matches(['[', ']']),
            Self::Behind { host, .. } => host,
        };
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// How replicas of the api are reached.
#[derive(Clone, Debug)]
pub enum Reach {
    /// One of them.
    At(Box<Endpoint>),
    /// Those behind a name.
    Behind(Name),
}

/// The path that was given, if it was.
fn set(path: &Option<OsString>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.is_empty()).map(Path::new)
}

/// How a node goes: unready but serving, then closing connections at their own moments, then out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long it goes on serving after it has said that it is not ready, so that balancers see it.
    pub unready: Duration,
    /// Over how long the closes are spread.
    pub spread: Duration,
    /// When it must be out.
    pub deadline: Duration,
}

impl Drain {
    /// A drain that is done within `deadline`; 20 s make 2 s and 15 s.
    #[must_use]
    pub fn within(deadline: Duration) -> Self {
        Self { unready: deadline / 10, spread: deadline * 3 / 4, deadline }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    fn parse(args: &[&str]) -> Result<Config, String> {
        let args = ["realtime"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| cli.config).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8001");
        assert_eq!(config.apis().unwrap(), [Api::At("http://127.0.0.1:50051".parse().unwrap())]);
        let drain = config.drain();
        assert_eq!((drain.unready.as_secs(), drain.spread.as_secs(), drain.deadline.as_secs()), (2, 15, 20));
    }

    #[test]
    fn a_wrong_value_is_told_with_its_option_and_what_is_allowed() {
        for (args, words) in [
            (&["--listen", "x"][..], "--listen"),
            (&["--drain-seconds=-1"], "--drain-seconds"),
            (&["--drain-seconds", "9999"], "3600"),
            (&["--limits", "some"], "--limits"),
            (&["--allowed-origins", "x"], "STREAMIT_ALLOWED_ORIGINS"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(words), "{error} lacks {words}");
        }
    }

    #[test]
    fn what_is_required_is_asked_for_by_name() {
        let check = |args: &[&str]| parse(args).unwrap().check().map_err(|error| error.to_string());
        assert!(check(&[]).unwrap_err().contains("REDIS_URL"));
        assert!(check(&["--redis-url", "http://x"]).unwrap_err().contains("rediss://"));
        let redis = ["--redis-url", "redis://x"];
        assert!(check(&redis).is_ok());
        let with = |more: &[&str]| check(&[&redis[..], more].concat());
        assert!(with(&["--api-grpc", "ftp://x"]).unwrap_err().contains("STREAMIT_API_GRPC"));
        assert!(with(&["--api-grpc", ","]).unwrap_err().contains("STREAMIT_API_GRPC"));
        assert!(with(&["--api-grpc", "http://api:1"]).unwrap_err().contains("STREAMIT_GRPC_TOKEN"));
        assert!(with(&["--api-grpc", "http://api:1", "--grpc-token", "t"]).is_ok());
        assert!(with(&["--api-grpc", "http://[::1]:1,http://localhost:2"]).is_ok());
        assert!(
            with(&["--api-grpc", "http://[::1]:1,dns+http://api:2"])
                .unwrap_err()
                .contains("STREAMIT_GRPC_TOKEN")
        );
        assert!(with(&["--api-grpc", "dns+http://localhost:2,http://[::1]:1"]).is_ok());
    }

    #[test]
    fn apis_are_listed_or_found_behind_a_name() {
        let apis = |list: &str| parse(&["--api-grpc", list]).unwrap().apis();
        let behind = |host: &str, is_tls| Api::Behind { host: host.to_owned(), port: 50051, is_tls };
        assert_eq!(
            apis("dns+http://api-grpc:50051, http://127.0.0.1:1 ,dns+https://api.example.:50051/").unwrap(),
            [
                behind("api-grpc", false),
                Api::At("http://127.0.0.1:1".parse().unwrap()),
                behind("api.example.", true)
            ]
        );
        for wrong in [
            "dns+http://api",
            "dns+http://api:0",
            "dns+http://api:99999",
            "dns+http://:50051",
            "dns+http://127.0.0.1:1",
            "dns+https://[::1]:1",
            "dns+http://user@api:1",
            "dns+http://api:1/path",
            "dns+http://api:1?query",
            "dns+ftp://api:1",
            "dns://api:1",
            "dns+http//api:1",
        ] {
            let error = apis(wrong).unwrap_err().to_string();
            for word in ["STREAMIT_API_GRPC", "dns+http://NAME:PORT", wrong] {
                assert!(error.contains(word), "{error} lacks {word}");
            }
        }
    }
}
