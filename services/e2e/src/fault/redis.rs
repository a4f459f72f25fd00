//! Talking to Redis as an operator would.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Says one command, its words separated by spaces, and gives what is answered, as Redis writes it (RESP).
///
/// # Errors
/// When no answer comes.
pub async fn redis_says(server: SocketAddr, command: &str) -> Result<String, String> {
    /// Said afterwards: when its answer is there, all of the other is.
    const MARK: &[u8] = b"$27\r\nthat was all there is to it\r\n";
    const LIMIT: Duration = Duration::from_secs(5);
    let asking = async {
        let mut line = TcpStream::connect(server).await?;
        line.write_all(format!("{command}\r\nECHO \"that was all there is to it\"\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(MARK) {
            if line.read_buf(&mut answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        answer.truncate(answer.len() - MARK.len());
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    match tokio::time::timeout(LIMIT, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("Redis does not answer to {command}: {error}")),
        Err(_) => Err(format!("Redis does not answer to {command} within {LIMIT:?}")),
    }
}
