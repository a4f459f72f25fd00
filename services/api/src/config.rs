//! What an operator can set. Every option is a flag and an environment variable; a wrong value is told with the
//! option's name and what is allowed, before anything binds.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use streamit_edge::{Limits, Metrics, Origins, Proxies, SecretFile, pem};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use url::Url;

use crate::retention::Retention;

/// How long a node may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Everything the api of a cluster needs to know.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where HTTP is served; port 0 takes any free one.
    #[arg(long, env = "STREAMIT_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Where the realtime nodes reach this api (gRPC); port 0 takes any free one.
    #[arg(
        long,
        env = "STREAMIT_GRPC_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:50051"
    )]
    pub grpc_listen: SocketAddr,
    /// Where metrics are served.
    #[command(flatten)]
    pub metrics: Metrics,
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The Redis that all services share: `redis://` or `rediss://`. Required.
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,
    /// A file that holds the URL of Redis, instead.
    #[arg(long, env = "REDIS_URL_FILE", value_name = "PATH", default_value = "", hide_default_value = true)]
    pub redis_url_file: SecretFile,
    /// Directory of Ed25519 private keys (PKCS#8 PEM, `*.pem`), the same for all replicas. The file name without
    /// `.pem` is the key's id; the last name signs once it has been published for 10 minutes. Required.
    #[arg(long, env = "STREAMIT_SIGNING_KEYS", value_name = "DIRECTORY")]
    pub signing_keys: Option<PathBuf>,
    /// How long a stop may take, in seconds: a fifth of it unready but serving, then no longer listening, until what is
    /// under way is finished.
    #[arg(
        long,
        env = "STREAMIT_DRAIN_SECONDS",
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(0..=3600)
    )]
    pub drain_seconds: u16,
    /// The certificate (PEM, with its chain) that this api shows realtime nodes: gRPC then speaks TLS alone.
    #[arg(long, env = "STREAMIT_GRPC_TLS_CERT", value_name = "PATH")]
    pub grpc_tls_cert: Option<OsString>,
    /// The private key of that certificate (PEM).
    #[arg(long, env = "STREAMIT_GRPC_TLS_KEY", value_name = "PATH")]
    pub grpc_tls_key: Option<OsString>,
    /// Authorities (PEM) of realtime nodes: a node must then show a certificate that one of them has signed.
    #[arg(long, env = "STREAMIT_GRPC_CLIENT_CA", value_name = "PATH")]
    pub grpc_client_ca: Option<OsString>,
    /// The part that does not depend on how the api is deployed.
    #[command(flatten)]
    pub public: Public,
}

/// Where the database is.
#[derive(Args, Clone, Debug)]
pub struct Database {
    /// The database: `postgres://...`, or `sqlite://path` for a single api. Required.
    #[arg(long = "database-url", env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub url: Option<SecretString>,
    /// A file that holds the URL of the database, instead.
    #[arg(
        long = "database-url-file",
        env = "DATABASE_URL_FILE",
        value_name = "PATH",
        default_value = "",
        hide_default_value = true
    )]
    pub url_file: SecretFile,
    /// The most connections this process opens to the database.
    #[arg(
        long = "database-connections",
        env = "STREAMIT_DATABASE_CONNECTIONS",
        value_name = "NUMBER",
        default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(2..=1000)
    )]
    pub connections: u32,
}

/// How the api behaves, wherever it runs.
#[derive(Args, Clone, Debug)]
pub struct Public {
    /// Origins whose pages may call this api with the session cookie, besides its own; separated by commas.
    #[arg(long, env = "STREAMIT_ALLOWED_ORIGINS", value_name = "ORIGINS", default_value = "")]
    pub allowed_origins: Origins,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: addresses or CIDRs, separated by commas.
    #[arg(long, env = "STREAMIT_TRUSTED_PROXIES", value_name = "CIDRS", default_value = "")]
    pub trusted_proxies: Proxies,
    /// How long an access token is good for (1m to 30d).
    #[arg(long, env = "STREAMIT_ACCESS_TTL", value_name = "DURATION", default_value = "12h", value_parser = access_ttl)]
    pub access_ttl: Duration,
    /// Whether rates, budgets and caps hold. `off` is for load tests.
    #[arg(long, env = "STREAMIT_LIMITS", value_name = "on|off", default_value = "on")]
    pub limits: Limits,
    /// Where the watch page finds the WebSocket, when that is not its own origin: `ws://` or `wss://`. Empty is unset.
    // Spelled out, so that clap leaves it to `ws_url` whether there is one.
    #[arg(
        long,
        env = "STREAMIT_PUBLIC_WS_URL",
        value_name = "URL",
        default_value = "",
        hide_default_value = true,
        value_parser = ws_url
    )]
    pub public_ws_url: std::option::Option<Url>,
    /// What realtime nodes show to be let in over gRPC. Required unless gRPC listens on loopback only.
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
    /// How long things are kept.
    #[command(flatten)]
    pub retention: Retention,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            allowed_origins: Origins::default(),
            trusted_proxies: Proxies::default(),
            access_ttl: Duration::from_secs(12 * 3600),
            limits: Limits::On,
            public_ws_url: None,
            grpc_token: None,
            retention: Retention::default(),
            grpc_token_file: SecretFile::default(),
        }
    }
}

/// How a stop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long it goes on serving after it has said that it is not ready, so that balancers and nodes look elsewhere.
    pub unready: Duration,
    /// When it must be out.
    pub deadline: Duration,
}

impl Drain {
    /// A drain that is done within `deadline`; 10 s make 2 s of still serving.
    #[must_use]
    pub fn within(deadline: Duration) -> Self {
        Self { unready: deadline / 5, deadline }
    }
}

impl Config {
    /// How a stop goes.
    #[must_use]
    pub fn drain(&self) -> Drain {
        Drain::within(Duration::from_secs(u64::from(self.drain_seconds)))
    }

    /// Checks what one option alone can't tell.
    ///
    /// # Errors
    /// Names the option and what is allowed.
    pub fn check(&self) -> anyhow::Result<()> {
        self.database.url()?;
        self.redis_url()?;
        self.signing_keys()?;
        ensure!(
            self.public.grpc_token()?.is_some() || self.grpc_listen.ip().is_loopback(),
            "STREAMIT_GRPC_TOKEN (--grpc-token) is required, since STREAMIT_GRPC_LISTEN ({}) is not loopback",
            self.grpc_listen
        );
        if let Some(tls) = self.grpc_tls()? {
            let server = Server::builder().tls_config(tls);
            server
                .map(drop)
                .context("STREAMIT_GRPC_TLS_CERT and STREAMIT_GRPC_TLS_KEY do not fit together")?;
        }
        Ok(())
    }

    /// How gRPC speaks TLS, if it does. An empty variable counts as unset.
    ///
    /// # Errors
    /// When a file can't be read or holds something else, or one option needs another.
    pub fn grpc_tls(&self) -> anyhow::Result<Option<ServerTlsConfig>> {
        const CERT: &str = "STREAMIT_GRPC_TLS_CERT";
        const KEY: &str = "STREAMIT_GRPC_TLS_KEY";
        const CA: &str = "STREAMIT_GRPC_CLIENT_CA";
        let [cert, key, ca] = [&self.grpc_tls_cert, &self.grpc_tls_key, &self.grpc_client_ca].map(set);
        let (cert, key) = match (cert, key, ca) {
            (Some(cert), Some(key), _) => (pem::certificates(cert, CERT)?, pem::private_key(key, KEY)?),
            (None, None, None) => return Ok(None),
            (None, None, Some(_)) => {
                bail!("{CA} needs {CERT} and {KEY}: without TLS nobody shows a certificate")
            }
            _ => bail!("{CERT} and {KEY} are of use only together"),
        };
        let tls =
            ServerTlsConfig::new().identity(Identity::from_pem(cert, key.expose_secret())).timeout(HANDSHAKE);
        let ca = ca.map(|ca| pem::certificates(ca, CA)).transpose()?;
        Ok(Some(match ca {
            Some(ca) => tls.client_ca_root(Certificate::from_pem(ca)),
            None => tls,
        }))
    }

    /// The URL of Redis.
    ///
    /// # Errors
    /// When it is missing or not one.
    pub fn redis_url(&self) -> anyhow::Result<&str> {
        redis_url(self.redis_url.as_ref(), &self.redis_url_file)
    }

    /// The directory of signing keys.
    ///
    /// # Errors
    /// When it is missing or not a directory.
    pub fn signing_keys(&self) -> anyhow::Result<&PathBuf> {
        const ALLOWED: &str =
            "STREAMIT_SIGNING_KEYS (--signing-keys) must be a directory of PKCS#8 Ed25519 PEM files";
        let dir = self.signing_keys.as_ref().context(ALLOWED)?;
        ensure!(dir.is_dir(), "{ALLOWED}; {} is none", dir.display());
        Ok(dir)
    }
}

/// The path that was given, if it was.
fn set(path: &Option<OsString>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.is_empty()).map(Path::new)
}

/// Checks the URL of Redis.
pub(crate) fn redis_url<'a>(url: Option<&'a SecretString>, file: &'a SecretFile) -> anyhow::Result<&'a str> {
    const ALLOWED: &str = "REDIS_URL (--redis-url) must be redis://HOST:PORT or rediss://HOST:PORT";
    let url = file.or(url, "REDIS_URL")?.map(ExposeSecret::expose_secret).context(ALLOWED)?;
    ensure!(url.starts_with("redis://") || url.starts_with("rediss://"), ALLOWED);
    Ok(url)
}

impl Database {
    /// The URL.
    ///
    /// # Errors
    /// When it is missing or of another kind of database.
    pub fn url(&self) -> anyhow::Result<&str> {
        const ALLOWED: &str =
            "DATABASE_URL (--database-url) must be postgres://USER@HOST/DATABASE or sqlite://PATH";
        let url = self.url_file.or(self.url.as_ref(), "DATABASE_URL")?;
        let url = url.map(ExposeSecret::expose_secret).context(ALLOWED)?;
        let known =
            ["postgres://", "postgresql://", "sqlite://"].iter().any(|scheme| url.starts_with(scheme));
        ensure!(known, ALLOWED);
        Ok(url)
    }
}

impl Public {
    /// The token of gRPC callers. An empty variable counts as unset.
    ///
    /// # Errors
    /// When it lies in a file that can't be read, or was given in two ways.
    pub fn grpc_token(&self) -> anyhow::Result<Option<&SecretString>> {
        self.grpc_token_file.or(self.grpc_token.as_ref(), "STREAMIT_GRPC_TOKEN")
    }
}

fn access_ttl(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str = "STREAMIT_ACCESS_TTL must be a duration from 1m to 30d, such as 12h";
    let ttl = humantime::parse_duration(text).map_err(|_| ALLOWED.to_owned())?;
    let allowed = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
    if allowed.contains(&ttl) { Ok(ttl) } else { Err(ALLOWED.to_owned()) }
}

/// The address of the WebSocket; none when the text is empty, as files of settings give what they leave out.
fn ws_url(text: &str) -> Result<Option<Url>, String> {
    const ALLOWED: &str = "STREAMIT_PUBLIC_WS_URL must be ws://HOST[:PORT] or wss://HOST[:PORT], with a path before \
                           /ws/ if need be, and no more";
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(text).map_err(|_| ALLOWED.to_owned())?;
    let is_plain = matches!(url.scheme(), "ws" | "wss")
        && (url.username(), url.password()) == ("", None)
        && (url.query(), url.fragment()) == (None, None)
        // In the page's policy that would be any host.
        && !url.authority().contains('*');
    if is_plain { Ok(Some(url)) } else { Err(ALLOWED.to_owned()) }
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
        let args = ["api"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| cli.config).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.grpc_listen.to_string(), "127.0.0.1:50051");
        assert_eq!(config.public.access_ttl, Duration::from_secs(43_200));
        assert_eq!(config.public.limits, Limits::On);
        let drain = config.drain();
        assert_eq!((drain.unready.as_secs(), drain.deadline.as_secs()), (2, 10));
    }

    #[test]
    fn a_wrong_value_is_told_with_its_option_and_what_is_allowed() {
        for (args, words) in [
            (&["--access-ttl", "soon"][..], &["--access-ttl", "STREAMIT_ACCESS_TTL", "12h"][..]),
            (&["--access-ttl", "1s"], &["1m to 30d"]),
            (&["--limits", "maybe"], &["--limits", "on", "off"]),
            (&["--trusted-proxies", "10.0.0.0/99"], &["--trusted-proxies", "CIDR"]),
            (&["--allowed-origins", "example.org"], &["--allowed-origins", "https://example.org"]),
            (&["--allowed-origins", "https://a.b/path"], &["without a path"]),
            (&["--public-ws-url", "http://x"], &["wss://"]),
            (&["--public-ws-url", "wss://ana:secret@x"], &["no more"]),
            (&["--public-ws-url", "wss://x?y"], &["no more"]),
            (&["--public-ws-url", "wss://x#y"], &["no more"]),
            (&["--public-ws-url", "wss://*.example.org"], &["no more"]),
            (&["--public-ws-url", "wss://*"], &["no more"]),
            (&["--listen", "nowhere"], &["--listen"]),
        ] {
            let error = parse(args).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{error} lacks {word}");
            }
        }
    }

    #[test]
    fn an_empty_address_of_the_websocket_is_none() {
        for args in [&[][..], &["--public-ws-url", ""], &["--public-ws-url="]] {
            assert_eq!(parse(args).unwrap().public.public_ws_url, None, "{args:?}");
        }
        let elsewhere = parse(&["--public-ws-url", "wss://live.example.org"]).unwrap().public.public_ws_url;
        assert_eq!(elsewhere.unwrap().as_str(), "wss://live.example.org/");
    }

    #[test]
    fn what_is_required_is_asked_for_by_name() {
        let config = parse(&[]).unwrap();
        assert!(config.check().unwrap_err().to_string().contains("DATABASE_URL"));
        let config = parse(&["--database-url", "mysql://x"]).unwrap();
        assert!(config.check().unwrap_err().to_string().contains("postgres://"));
        let config = parse(&["--database-url", "postgres://x/y", "--redis-url", "http://x"]).unwrap();
        assert!(config.check().unwrap_err().to_string().contains("redis://"));
        let all = ["--database-url", "postgres://x/y", "--redis-url", "redis://x", "--signing-keys", "."];
        parse(&all).unwrap().check().unwrap();
        let open = [&all[..], &["--grpc-listen", "0.0.0.0:1"]].concat();
        assert!(parse(&open).unwrap().check().unwrap_err().to_string().contains("STREAMIT_GRPC_TOKEN"));
        let token = [&open[..], &["--grpc-token", "t"]].concat();
        parse(&token).unwrap().check().unwrap();
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let config =
            parse(&["--database-url", "postgres://u:hunter2@x/y", "--grpc-token", "hunter3"]).unwrap();
        assert!(!format!("{config:?}").contains("hunter"));
    }
}
