//! Real load balancers, with the configurations that are shipped in `deploy/balancer`. Nothing in these is changed but
//! addresses, and the directory for what a balancer writes; a change that finds nothing to change is an error.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use streamit_client::Http;

use crate::system::random;
use crate::{Program, guard, until};

/// How many lines of its log explain a failure.
const LAST_WORDS: usize = 40;
/// Replicas that the shipped configurations name.
const APIS: usize = 2;
const NODES: usize = 3;

/// Which balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// nginx, open source.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy.
    Envoy,
}

impl Kind {
    fn file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Envoy => "envoy.yaml",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Nginx => "STREAMIT_TEST_NGINX",
            Self::Haproxy => "STREAMIT_TEST_HAPROXY",
            Self::Envoy => "STREAMIT_TEST_ENVOY",
        }
    }

    /// How an address of a program is written in the file.
    fn names(self, host: &str, port: u16) -> String {
        match self {
            Self::Nginx => format!("server {host}:{port} "),
            Self::Haproxy => format!(" {host}:{port} check"),
            Self::Envoy => format!("address: {host}, port_value: {port} }}"),
        }
    }

    /// What else must be changed: where it listens, where it is looked at, and where it writes.
    fn own(self, front: SocketAddr, inner: SocketAddr, directory: &Path) -> Vec<(&'static str, String)> {
        let (front_ip, front_port, inner_ip) = (front.ip(), front.port(), inner.ip());
        let directory = format!("{}/", directory.display());
        match self {
            Self::Nginx => vec![
                ("listen 8080;", format!("listen {front};")),
                ("listen 127.0.0.1:8081;", format!("listen {inner};")),
                ("/tmp/", directory),
            ],
            Self::Haproxy => vec![
                ("bind :8080", format!("bind {front}")),
                ("bind 127.0.0.1:8081", format!("bind {inner}")),
                ("/tmp/", directory),
            ],
            Self::Envoy => vec![
                (
                    "address: 0.0.0.0, port_value: 8080",
                    format!("address: {front_ip}, port_value: {front_port}"),
                ),
                ("address: 127.0.0.1, port_value: 8081", format!("address: {inner_ip}, port_value: 8081")),
            ],
        }
    }
}

/// Where the programs of a cluster and its balancer listen: addresses of the loopback that nobody else uses, with the
/// ports that are shipped, so that what is started again is found where it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places([u8; 2]);

impl Places {
    pub(crate) fn new() -> Self {
        let [a, b, ..] = *random().as_bytes();
        // Far from 127.0.0.1, where everything else is.
        Self([16 + a % 224, b])
    }

    fn at(self, host: u8, port: u16) -> SocketAddr {
        let Self([a, b]) = self;
        (Ipv4Addr::new(127, a, b, host), port).into()
    }

    /// Where the `i`-th api serves HTTP.
    pub(crate) fn api(self, i: usize) -> SocketAddr {
        self.at(11 + number(i), 8000)
    }

    /// Where the `i`-th node serves WebSockets.
    pub(crate) fn node(self, i: usize) -> SocketAddr {
        self.at(21 + number(i), 8001)
    }

    fn number(self) -> u16 {
        u16::from_be_bytes(self.0)
    }

    fn front(self) -> SocketAddr {
        self.at(10, 8080)
    }

    fn inner(self) -> SocketAddr {
        self.at(10, 8081)
    }
}

fn number(i: usize) -> u8 {
    u8::try_from(i).expect("a cluster of a test is small")
}

/// A balancer that runs.
#[derive(Debug)]
pub struct Balancer {
    kind: Kind,
    front: SocketAddr,
    directory: PathBuf,
    base_id: String,
    /// The last is the one that takes connections; Envoy starts another one to take on a new file.
    processes: Mutex<Vec<Program>>,
}

impl Balancer {
    /// Starts one in front of two apis and three nodes that listen at those places.
    pub(crate) async fn start(kind: Kind, places: &Places, home: &Path) -> Result<Self, String> {
        let directory = home.join("balancer");
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/balancer").join(kind.file());
        let mut text =
            fs::read_to_string(&shipped).map_err(|error| format!("{}: {error}", shipped.display()))?;
        let apis = (0..APIS).map(|i| (format!("api{}", i + 1), 8000, places.api(i)));
        let nodes = (0..NODES).map(|i| (format!("realtime{}", i + 1), 8001, places.node(i)));
        for (host, port, place) in apis.chain(nodes) {
            let from = kind.names(&host, port);
            change(&mut text, &from, &from.replace(&host, &place.ip().to_string()))?;
        }
        for (from, to) in kind.own(places.front(), places.inner(), &directory) {
            change(&mut text, from, &to)?;
        }
        fs::write(directory.join(kind.file()), text).map_err(|error| error.to_string())?;

        let base_id = places.number().to_string();
        let (front, processes) = (places.front(), Mutex::default());
        let balancer = Self { kind, front, directory, base_id, processes };
        balancer.launch()?;
        balancer.serves().await?;
        Ok(balancer)
    }

    /// Where people find it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.front
    }

    /// Has it take on its file anew, and waits until that is done: what is new is served by another process then.
    ///
    /// # Panics
    /// When it does not.
    pub async fn reload(&self) {
        let before = self.workers();
        match self.kind {
            Kind::Nginx => self.with_last(|process| process.signal("HUP")),
            Kind::Haproxy => self.with_last(|process| process.signal("USR2")),
            Kind::Envoy => self.launch().unwrap_or_else(|why| panic!("{why}")),
        }
        let reloaded = until("new workers of the balancer", async || {
            let is_new = |pid: &u32| !before.contains(pid);
            self.workers().iter().any(is_new).then_some(())
        });
        if let Err(why) = reloaded.await {
            panic!("{why}:\n{}", self.last_words());
        }
        self.serves().await.unwrap_or_else(|why| panic!("{why}"));
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let mut words = String::new();
        for process in self.processes().iter() {
            let log = process.stdout() + &process.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
            let _ = writeln!(words, "---- log of {}\n{}", process.name(), last.join("\n"));
        }
        words
    }

    fn launch(&self) -> Result<(), String> {
        let mut processes = self.processes();
        let binary = std::env::var_os(self.kind.variable()).ok_or_else(|| {
            format!("{} must name the balancer; `make test` finds one and sets it", self.kind.variable())
        })?;
        let file = self.directory.join(self.kind.file()).display().to_string();
        let epoch = processes.len().to_string();
        let args: Vec<&str> = match self.kind {
            // Its workers must come into a directory that only its master's user may enter.
            Kind::Nginx if is_root() => vec!["-c", &file, "-g", "daemon off; user root;"],
            Kind::Nginx => vec!["-c", &file, "-g", "daemon off;"],
            Kind::Haproxy => vec!["-W", "-f", &file],
            Kind::Envoy => {
                // It meets the one before it by this number, and must meet no other's.
                let rest = ["--base-id", &self.base_id, "--restart-epoch", &epoch, "--concurrency", "2"];
                let times = ["--drain-time-s", "600", "--parent-shutdown-time-s", "900"];
                ["-c", &file].into_iter().chain(rest).chain(times).collect()
            }
        };
        let name = format!("balancer.{epoch}");
        let process = Program::start(&name, Path::new(&binary), &args, &[], &self.directory);
        guard::kill_group_at_end(process.pid());
        processes.push(process);
        Ok(())
    }

    /// Waits until it serves both halves.
    async fn serves(&self) -> Result<(), String> {
        let http = Http::new(&format!("http://{}", self.front)).map_err(|error| error.to_string())?;
        let served = until("the balancer to serve", async || {
            let ended = self.with_last(Program::status);
            if let Some(status) = ended {
                return Some(Err(format!("the balancer ended with {status}")));
            }
            let is = async |path, status| {
                http.raw("GET", path, None).await.is_ok_and(|answer| answer.status == status)
            };
            // A WebSocket without an upgrade is refused by the node.
            (is("/api/health/", 200).await && is("/ws/room/ABC123/", 426).await).then_some(Ok(()))
        });
        served.await.and_then(|served| served).map_err(|why| format!("{why}\n{}", self.last_words()))
    }

    /// The processes that serve.
    fn workers(&self) -> Vec<u32> {
        let pid = self.with_last(Program::pid);
        if self.kind == Kind::Envoy {
            return vec![pid];
        }
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    fn with_last<T>(&self, does: impl FnOnce(&Program) -> T) -> T {
        does(self.processes().last().expect("it was started"))
    }

    fn processes(&self) -> std::sync::MutexGuard<'_, Vec<Program>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        for process in self.processes().iter() {
            // Its workers, too: they would outlive it.
            let group = format!("-{}", process.pid());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            guard::spare_group(process.pid());
        }
    }
}

fn change(text: &mut String, from: &str, to: &str) -> Result<(), String> {
    if !text.contains(from) {
        return Err(format!("the shipped configuration has no `{from}`, which the test has to change"));
    }
    *text = text.replace(from, to);
    Ok(())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_more_to_change_is_told() {
        let mut text = "listen 8080;".to_owned();
        change(&mut text, "8080", "1").unwrap();
        assert_eq!(text, "listen 1;");
        assert!(change(&mut text, "8080", "1").unwrap_err().contains("`8080`"));
    }
}
