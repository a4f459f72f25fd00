//! A Redis of a system's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::{Program, until};

/// Starts one on a free port; the process and its URL.
pub(crate) async fn start(directory: &Path) -> Result<(Program, String), String> {
    let (server, port) = start_as("redis", directory).await?;
    Ok((server, format!("redis://127.0.0.1:{port}")))
}

/// Starts one on a free port, whose files are called so; the process and the port.
pub(crate) async fn start_as(name: &str, directory: &Path) -> Result<(Program, u16), String> {
    /// A port found free may be taken a moment later.
    const ATTEMPTS: usize = 5;
    let binary = std::env::var_os("STREAMIT_TEST_REDIS_SERVER")
        .ok_or("STREAMIT_TEST_REDIS_SERVER must name a redis-server; `make test` finds one and sets it")?;
    for _ in 0..ATTEMPTS {
        let port = free_port().map_err(|error| error.to_string())?;
        let args = ["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"];
        let server = Program::start(name, Path::new(&binary), &args, &[], directory);
        let ready = until("an answer of Redis", async || match server.status() {
            Some(_) => Some(false),
            None => answers(port).then_some(true),
        });
        if ready.await? {
            return Ok((server, port));
        }
    }
    Err("Redis found no free port".to_owned())
}

pub(crate) fn free_port() -> std::io::Result<u16> {
    TcpListener::bind("127.0.0.1:0")?.local_addr().map(|address| address.port())
}

fn answers(port: u16) -> bool {
    let Ok(mut line) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0; 5];
    line.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && line.write_all(b"PING\r\n").is_ok()
        && line.read_exact(&mut answer).is_ok()
        && answer == *b"+PONG"
}
