//! A PostgreSQL of a cluster's own, which may be stopped, killed, and put back to what it was.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, io};

use tokio::process::Command;

use crate::redis::free_port;
use crate::{Program, until};

/// A server with a data directory of its own. What is committed is on disk: nothing of that is switched off.
#[derive(Debug)]
pub struct Postgres {
    binaries: PathBuf,
    home: PathBuf,
    user: Option<(u32, u32)>,
    running: Option<(Program, u16)>,
    starts: u32,
}

/// All that a server had at one moment.
#[derive(Debug)]
pub struct Snapshot(PathBuf);

impl Postgres {
    /// Makes one in `home`, and starts it.
    ///
    /// # Errors
    /// When there is no PostgreSQL, or it does not start.
    pub async fn start(home: &Path) -> Result<Self, String> {
        let binaries: PathBuf = std::env::var_os("STREAMIT_TEST_POSTGRES_BIN")
            .ok_or("STREAMIT_TEST_POSTGRES_BIN must name a directory; `make test` finds one and sets it")?
            .into();
        let user = unprivileged().map_err(|error| error.to_string())?;
        let mut server = Self { binaries, home: home.to_owned(), user, running: None, starts: 0 };
        server.make().await?;
        server.again().await?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.home.join("postgres")
    }

    async fn make(&self) -> Result<(), String> {
        let data = self.data();
        let prepared = || {
            // It walks through, and can't look around.
            fs::set_permissions(&self.home, fs::Permissions::from_mode(0o711))?;
            fs::create_dir(&data)?;
            fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
            self.user.map_or(Ok(()), |(user, group)| chown(&data, Some(user), Some(group)))
        };
        prepared().map_err(|error: io::Error| format!("{}: {error}", data.display()))?;
        let data = data.display().to_string();
        let args = ["-D", &data, "-U", "streamit", "-E", "UTF8", "--locale=C", "--no-sync", "--auth=trust"];
        let made = Program::start_as(self.user, "initdb", &self.binaries.join("initdb"), &args, &self.home);
        let made = made.ended().await;
        if made.is_success() { Ok(()) } else { Err(format!("initdb: {}", made.stderr)) }
    }

    /// Starts it again, on any port, and waits until it takes connections.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn again(&mut self) -> Result<(), String> {
        /// A port found free may be taken a moment later.
        const ATTEMPTS: usize = 5;
        let data = self.data();
        for _ in 0..ATTEMPTS {
            self.starts += 1;
            let port = free_port().map_err(|error| error.to_string())?;
            let (port_text, data_text) = (port.to_string(), data.display().to_string());
            let args = [
                "-D",
                &data_text,
                "-p",
                &port_text,
                "--listen_addresses=127.0.0.1",
                "--unix_socket_directories=",
                "--max_connections=100",
                "--shared_buffers=16MB",
                "--timezone=UTC",
            ];
            let name = format!("postgres.{}", self.starts);
            let server =
                Program::start_as(self.user, &name, &self.binaries.join("postgres"), &args, &self.home);
            let ready = until("PostgreSQL to be ready", async || match server.status() {
                Some(_) => Some(false),
                None => is_ready(&data, server.pid()).then_some(true),
            });
            if ready.await? {
                self.running = Some((server, port));
                return Ok(());
            }
        }
        Err("PostgreSQL does not start".to_owned())
    }

    /// Where it listens; nothing while it is down.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.running.as_ref().map(|(_, port)| SocketAddr::from(([127, 0, 0, 1], *port)))
    }

    /// Stops it as an operator would who does not wait for clients.
    ///
    /// # Panics
    /// When it does not stop.
    pub async fn stop(&mut self) {
        if let Some((server, _)) = self.running.take() {
            server.signal("INT");
            server.ended().await;
        }
    }

    /// Ends it as a crash would: what is not on disk is lost.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn crash(&mut self) {
        if let Some((server, _)) = self.running.take() {
            server.signal("QUIT");
            server.ended().await;
        }
    }

    /// Keeps a copy of all it has. It must be down.
    ///
    /// # Errors
    /// When it can't be copied.
    pub async fn snapshot(&self) -> Result<Snapshot, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let copy = self.home.join(format!("snapshot-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        copy_all(&self.data(), &copy).await?;
        Ok(Snapshot(copy))
    }

    /// Has again what it had then, and nothing else. It must be down.
    ///
    /// # Errors
    /// When it can't be copied.
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<(), String> {
        fs::remove_dir_all(self.data()).map_err(|error| error.to_string())?;
        copy_all(&snapshot.0, &self.data()).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        /// Its own children and shared memory go with it when it may end by itself.
        const LIMIT: Duration = Duration::from_secs(3);
        let Some((server, _)) = &self.running else { return };
        if server.status().is_some() {
            return;
        }
        server.signal("QUIT");
        let start = std::time::Instant::now();
        while server.status().is_none() && start.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

async fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().await;
    match copied {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cp ended with {status}")),
        Err(error) => Err(error.to_string()),
    }
}

/// PostgreSQL does not run as root: whom it runs as then.
fn unprivileged() -> io::Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let nobody = accounts.lines().find_map(|line| {
        let mut fields = line.strip_prefix("nobody:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    nobody.map(Some).ok_or_else(|| io::Error::other("there is no account `nobody` for PostgreSQL to run as"))
}

/// What the server itself writes when it takes connections.
fn is_ready(data: &Path, pid: u32) -> bool {
    let status = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = status.lines();
    lines.next().is_some_and(|first| first.trim() == pid.to_string())
        && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}
