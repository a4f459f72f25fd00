//! The program as whoever starts and stops it meets it.

#![expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn command(dir: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamit"));
    command.env_clear().env("STREAMIT_DATA_DIR", dir.join("data")).env("STREAMIT_LISTEN", listen);
    command
}

/// A running program. Killed when dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(dir: &Path) -> Self {
        let mut child = command(dir, "127.0.0.1:0")
            .env("STREAMIT_DRAIN_SECONDS", "3600")
            .stdout(Stdio::piped())
            .stderr(File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        // The first line is for programs; what people are to open comes below.
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = told.next().unwrap();
        let address = line.strip_prefix("listening http://").expect("the line").to_owned();
        let page = format!("open http://{address}/ in a browser");
        assert!(told.any(|line| line.contains(&page)), "nobody is told to {page}");
        Self { child, address }
    }

    /// The status and the body of an answer.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn told_to_stop(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.expect("every Unix has kill").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn from_the_word_to_stop_on_it_serves_but_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Running::start(dir.path());
    let (status, body) = program.get("/readyz");
    assert_eq!(status, 200, "{body}");

    program.told_to_stop();

    let begun = std::time::Instant::now();
    let body = loop {
        match program.get("/readyz") {
            (503, body) => break body,
            (status, body) => assert!(begun.elapsed() < PATIENCE, "still {status}: {body}"),
        }
    };
    assert!(body.contains(r#""not draining":false"#), "{body}");
    assert_eq!(program.get("/livez").0, 200);
    assert_eq!(program.get("/api/rooms/public/").0, 200);

    program.told_to_stop(); // again: now
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn why_it_did_not_start_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let ended = command(dir.path(), &address).env("RUST_BACKTRACE", "1").output().unwrap();

    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && ended.stdout.is_empty(), "{told}");
    assert!(told.starts_with("error: STREAMIT_LISTEN (--listen): ") && told.contains(&address), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
