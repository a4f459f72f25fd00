//! The direction to the server.

use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::connection::ended_by;
use crate::error::Error;

/// The direction to the server.
#[derive(Debug)]
pub struct Sender {
    pub(crate) sink: SplitSink<WebSocketStream<TcpStream>, Message>,
}

impl Sender {
    /// Says something. With a `client_id` (at most 64 characters) it can be sent again without being said twice.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection has ended; so for all of these.
    pub async fn chat(&mut self, message: &str, client_id: Option<&str>) -> Result<(), Error> {
        let mut frame = json!({"type": "CHAT_MESSAGE", "message": message});
        if let Some(id) = client_id {
            frame["client_id"] = id.into();
        }
        self.json(&frame).await
    }

    /// Starts the film, here or where it stands (host).
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn play(&mut self, time: Option<f64>) -> Result<(), Error> {
        self.command("PLAY", time).await
    }

    /// Stops the film, here or where it stands (host).
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn pause(&mut self, time: Option<f64>) -> Result<(), Error> {
        self.command("PAUSE", time).await
    }

    /// Goes to a position, running or stopped as before (host).
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn seek(&mut self, time: f64) -> Result<(), Error> {
        self.command("SEEK", Some(time)).await
    }

    /// Asks for the room's clock; see [`crate::RoomClock::t0`].
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn ping(&mut self, t0: f64) -> Result<(), Error> {
        self.json(&json!({"type": "PING", "t0": t0})).await
    }

    /// Tells where one is, in seconds; a correction comes back when that is too far off.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn sync_check(&mut self, client_time: f64) -> Result<(), Error> {
        self.json(&json!({"type": "SYNC_CHECK", "client_time": client_time})).await
    }

    /// Tells that one's player could run on from where the room is, maybe with its position in seconds. Worth saying when
    /// a film is loaded, when a player that had run dry goes on, and anew after each connect.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn ready(&mut self, position: Option<f64>) -> Result<(), Error> {
        self.player("READY", position).await
    }

    /// Tells that one's player has run dry or is still loading.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn buffering(&mut self, position: Option<f64>) -> Result<(), Error> {
        self.player("BUFFERING", position).await
    }

    async fn player(&mut self, kind: &str, position: Option<f64>) -> Result<(), Error> {
        let mut frame = json!({"type": kind});
        if let Some(position) = position {
            frame["position"] = position.into();
        }
        self.json(&frame).await
    }

    async fn command(&mut self, kind: &str, time: Option<f64>) -> Result<(), Error> {
        let mut frame = json!({"type": kind});
        if let Some(time) = time {
            frame["time"] = time.into();
        }
        self.json(&frame).await
    }

    /// Sends any JSON.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn json(&mut self, frame: &Value) -> Result<(), Error> {
        self.text(frame.to_string()).await
    }

    /// Sends any text.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.message(Message::text(text.into())).await
    }

    /// Sends a binary frame, which the contract has no use for.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn binary(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        self.message(Message::Binary(bytes.into())).await
    }

    /// Sends a close frame. The end comes from the receiver.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        self.message(Message::Close(Some(frame))).await
    }

    async fn message(&mut self, message: Message) -> Result<(), Error> {
        self.sink.send(message).await.map_err(|error| Error::Closed(ended_by(&error)))
    }
}
