//! The `healthcheck` command of every program: asks a running one whether it lives. An image can call it
//! without having a shell or curl inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(3);

/// An answer of ours is far shorter; whatever talks more than this is something else.
const MAX_ANSWER: u64 = 4096;

/// Asks `GET /livez` of the program that listens on `addr`. An unspecified address (`0.0.0.0`, `[::]`), as a
/// program is told to listen on, means this machine.
///
/// # Errors
/// When nothing answers within three seconds, or the answer is not 200.
pub async fn healthcheck(addr: SocketAddr) -> anyhow::Result<()> {
    let addr = reachable(addr);
    ensure!(addr.port() != 0, "port 0 stands for any port: name the one to ask");
    let status = timeout(DEADLINE, ask(addr))
        .await
        .with_context(|| format!("{addr} did not answer within {} s", DEADLINE.as_secs()))??;
    ensure!(status.split(' ').nth(1) == Some("200"), "{addr} answered `{status}`");
    Ok(())
}

async fn ask(addr: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(addr).await.with_context(|| format!("nothing listens on {addr}"))?;
    let request = format!("GET /livez HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // A status line is all that is needed: don't wait for an end that a keep-alive server never sends.
    while !answer.contains(&b'\n') {
        if (&mut stream).take(MAX_ANSWER).read_buf(&mut answer).await? == 0
            || answer.len() as u64 >= MAX_ANSWER
        {
            break;
        }
    }
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with `answer`; gives what was asked.
    async fn server(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (addr, asked)
    }

    #[tokio::test]
    async fn a_program_that_answers_is_alive() {
        let (addr, asked) = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let any: SocketAddr = ([0, 0, 0, 0], addr.port()).into();
        healthcheck(any).await.unwrap();
        assert!(asked.await.unwrap().starts_with("GET /livez HTTP/1.1\r\n"));
    }

    #[tokio::test]
    async fn any_other_answer_is_told() {
        let (addr, _) = server("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        let error = healthcheck(addr).await.unwrap_err().to_string();
        assert!(error.contains("503"), "{error}");
        let (addr, _) = server("").await;
        assert!(healthcheck(addr).await.is_err());
    }

    #[tokio::test]
    async fn silence_on_the_port_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let error = healthcheck(addr).await.unwrap_err().to_string();
        assert!(error.contains("nothing listens"), "{error}");
        assert!(healthcheck("127.0.0.1:0".parse().unwrap()).await.is_err());
    }
}
