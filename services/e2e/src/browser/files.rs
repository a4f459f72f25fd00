//! A server of files, for pages that are not part of a running system.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request is a few hundred bytes.
const LONGEST: usize = 16 * 1024;
/// The browser that asks is on this machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// Serves a directory, and pages that are handed in, until it is dropped.
#[derive(Debug)]
pub struct Files {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Content {
    root: PathBuf,
    page: String,
}

/// A place to serve files at, whose address others may have to know before.
#[derive(Debug)]
pub struct Place {
    listener: TcpListener,
    address: SocketAddr,
}

impl Place {
    /// Takes a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn take() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// The origin of what will be served here.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves what is in `root`, and `page` as `/`.
    #[must_use]
    pub fn serve(self, root: &Path, page: &str) -> Files {
        let Self { listener, address } = self;
        let content = Arc::new(Content { root: root.to_owned(), page: page.to_owned() });
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let content = content.clone();
                // A browser that goes away in the middle is nobody's concern.
                tokio::spawn(tokio::time::timeout(DEADLINE, async move { content.answer(client).await }));
            }
        });
        Files { address, serving }
    }
}

impl Files {
    /// Where it serves, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Content {
    async fn answer(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") && request.len() < LONGEST {
            if client.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let request = String::from_utf8_lossy(&request);
        let path = request.split_whitespace().nth(1).unwrap_or_default();
        let found = self.find(path.split('?').next().unwrap_or_default());
        let (status, kind, body) = found.unwrap_or(("404 Not Found", "text/plain", Vec::new()));
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        client.write_all(head.as_bytes()).await?;
        client.write_all(&body).await?;
        client.shutdown().await
    }

    fn find(&self, path: &str) -> Option<(&'static str, &'static str, Vec<u8>)> {
        if path == "/" {
            return Some(("200 OK", "text/html; charset=utf-8", self.page.clone().into_bytes()));
        }
        // Every browser asks for one.
        if path == "/favicon.ico" {
            return Some(("204 No Content", "image/x-icon", Vec::new()));
        }
        let relative = Path::new(path.trim_start_matches('/'));
        let stays_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        let kind = match relative.extension()?.to_str()? {
            "html" => "text/html; charset=utf-8",
            "js" | "mjs" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "json" => "application/json",
            "mp4" => "video/mp4",
            _ => "application/octet-stream",
        };
        let body = std::fs::read(self.root.join(relative)).ok().filter(|_| stays_inside)?;
        Some(("200 OK", kind, body))
    }
}
