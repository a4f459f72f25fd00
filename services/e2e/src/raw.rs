//! A WebSocket without manners: sends bytes that a proper client library refuses to send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::PATIENCE;

/// A connection on which frames are made by hand.
#[derive(Debug)]
pub struct RawSocket {
    stream: TcpStream,
}

/// A frame as it came: its opcode and payload.
#[derive(Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// The code of a close frame.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk::<2>()?;
        (self.opcode == 8).then_some(u16::from_be_bytes(*code))
    }

    /// The payload as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

impl RawSocket {
    /// Sends a request's lines, with the host's, and gives the head of the answer.
    ///
    /// # Panics
    /// When nothing answers.
    pub async fn ask(base: &str, lines: &[&str]) -> (Self, String) {
        Self::ask_on(TcpSocket::new_v4().unwrap(), base, lines).await
    }

    async fn ask_on(socket: TcpSocket, base: &str, lines: &[&str]) -> (Self, String) {
        let host = base.split_once("//").map_or(base, |(_, host)| host);
        let mut stream = socket.connect(host.parse().unwrap()).await.unwrap();
        let request = format!("{}\r\nhost: {host}\r\n\r\n", lines.join("\r\n"));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time") {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        (Self { stream }, String::from_utf8_lossy(&head).into_owned())
    }

    /// Opens a WebSocket at this path.
    ///
    /// # Panics
    /// When the upgrade is refused.
    pub async fn open(base: &str, path: &str) -> Self {
        Self::open_on(TcpSocket::new_v4().unwrap(), base, path).await
    }

    /// The same, with hardly any room for what is not read.
    ///
    /// # Panics
    /// When the upgrade is refused.
    pub async fn open_narrow(base: &str, path: &str) -> Self {
        /// What fits into a packet of a usual network. Of the loopback's packets the kernel would keep megabytes.
        const PACKET: u32 = 1_400;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket2::SockRef::from(&socket).set_tcp_mss(PACKET).unwrap();
        Self::open_on(socket, base, path).await
    }

    async fn open_on(socket: TcpSocket, base: &str, path: &str) -> Self {
        let get = format!("GET {path} HTTP/1.1");
        let lines = [
            &get,
            "connection: Upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let (socket, head) = Self::ask_on(socket, base, &lines).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        socket
    }

    /// Sends one frame, masked with zeros. `first` is its first byte: 0x81 for a whole text.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.bytes(&frame).await;
    }

    /// Sends any bytes. A server that has closed already is noticed by whoever reads.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame; nothing at the end.
    ///
    /// # Panics
    /// When neither comes.
    pub async fn read(&mut self) -> Option<RawFrame> {
        tokio::time::timeout(PATIENCE, self.read_frame()).await.expect("a frame in time").ok()
    }

    /// The next frame that `like` takes. Others are skipped.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn read_until(&mut self, like: impl Fn(&RawFrame) -> bool) -> RawFrame {
        loop {
            let frame = self.read().await.expect("the connection goes on");
            if like(&frame) {
                return frame;
            }
        }
    }

    /// Waits for the end and gives the close code, if one came.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn closed(&mut self) -> Option<u16> {
        while let Some(frame) = self.read().await {
            if frame.opcode == 8 {
                return frame.close_code();
            }
        }
        None
    }

    async fn read_frame(&mut self) -> std::io::Result<RawFrame> {
        let opcode = self.stream.read_u8().await? & 0x0f;
        let length = match self.stream.read_u8().await? & 0x7f {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(1 << 20)];
        self.stream.read_exact(&mut payload).await?;
        Ok(RawFrame { opcode, payload })
    }
}
