//! What an operator can set. The api's options hold for the WebSocket too: it is one origin.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use streamit_edge::Metrics;

/// Everything the program needs to know.
#[derive(Args, Clone, Debug)]
pub(crate) struct Config {
    /// Where it serves.
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Where it keeps its data.
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// How long a stop may take, in seconds: a tenth of it unready but serving, three quarters of it closing
    /// connections, each at its own moment, then out.
    #[arg(
        long,
        env = "STREAMIT_DRAIN_SECONDS",
        value_name = "SECONDS",
        default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(0..=3600)
    )]
    pub(crate) drain_seconds: u16,
    /// Where metrics are served.
    #[command(flatten)]
    pub(crate) metrics: Metrics,
    /// The rest.
    #[command(flatten)]
    pub(crate) public: streamit_api::config::Public,
}

/// Where the program serves.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Listen {
    /// Where HTTP and WebSockets are served; port 0 takes any free one.
    #[arg(long, env = "STREAMIT_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
}

/// Where the program keeps its data.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataDir {
    /// Directory of the database and the signing key; made if it is missing, for this user alone.
    #[arg(long, env = "STREAMIT_DATA_DIR", value_name = "DIRECTORY", default_value = "./data")]
    data_dir: PathBuf,
}

impl DataDir {
    /// The directory, made if it was missing.
    pub(crate) fn make(&self) -> anyhow::Result<&Path> {
        let dir = &self.data_dir;
        private_dir(dir).with_context(|| {
            format!(
                "STREAMIT_DATA_DIR (--data-dir) must be a directory that can be written; {}",
                dir.display()
            )
        })?;
        Ok(dir)
    }

    /// The directory of signing keys inside it.
    pub(crate) fn keys(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The database inside it, as a URL.
    pub(crate) fn database(&self) -> anyhow::Result<String> {
        let path = std::path::absolute(self.data_dir.join("streamit.db"))?;
        let path = path.to_str().context("STREAMIT_DATA_DIR (--data-dir) must be UTF-8")?;
        Ok(format!("sqlite://{path}"))
    }
}

/// Makes a directory for this user alone, unless it is there.
pub(crate) fn private_dir(dir: &Path) -> anyhow::Result<()> {
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Err(_) if dir.is_dir() => Ok(()),
        made => {
            made?;
            ensure!(dir.is_dir(), "not a directory");
            Ok(())
        }
    }
}
