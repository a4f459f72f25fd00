//! A client for StreamIt: the HTTP API, the WebSocket of a room, and what a good client does around them.
//! The tests and the load tool of the project use it, and so can a program that watches along: a bot, a
//! bridge, a player.
//!
//! - [`Http`] asks the API: a method per call, and [`Http::raw`] for everything else. A refusal is an
//!   [`ApiError`] with the contract's stable code.
//! - [`Connection`] is one WebSocket: [`Event`]s come in, a [`Sender`] sends. It does nothing by itself.
//! - [`Session`] is what an application wants: it reconnects when it should, resumes where it was, and sends
//!   again what was not yet seen to arrive.
//! - [`RoomClock`] tells the room's time, and with it where the film stands right now.
//!
//! ```no_run
//! use streamit_client::{Connection, Entry, Event, Http, Options};
//!
//! # async fn example() -> Result<(), streamit_client::Error> {
//! let http = Http::new("http://127.0.0.1:8000")?;
//! let ana = http.guest("Ana").await?;
//! let room = http.as_user(&ana).create_room(Entry::Public).await?;
//!
//! let (mut line, welcome) =
//!     Connection::join(http.ws_base(), &room.code, &ana.access_token, Options::default()).await?;
//! assert_eq!(welcome.participants.host.as_deref(), Some("Ana"));
//!
//! line.sender().chat("Is everybody here?", None).await?;
//! let said = line
//!     .expect("my own words", |event| match event {
//!         Event::ChatMessage(message) => Some(message.clone()),
//!         _ => None,
//!     })
//!     .await?;
//! assert_eq!(said.seq, 1);
//!
//! line.sender().play(Some(0.0)).await?;
//! line.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The crate knows the contract and nothing of the server's insides. It speaks plain HTTP and WebSocket;
//! put it behind what ends TLS. To add a call: a method in `calls.rs`; to add a message: a line in `event.rs`.

mod backoff;
mod calls;
mod clock;
mod connection;
mod error;
mod event;
mod http;
mod sender;
mod session;
mod types;

pub use clock::RoomClock;
pub use connection::{Connection, Frame, Options, Receiver, Welcome};
pub use error::{Advice, ApiError, CloseReason, Error};
pub use event::{
    ChatHistory, ChatMessage, Erased, Event, HostChanged, HostDisconnected, Member, Participants, Person,
    PlaybackState, Pong, Readiness, Refusal, Rest, RoomUpdated, SyncCorrection, Waiting,
};
pub use http::{Http, Request, Response};
pub use sender::Sender;
pub use session::{Session, Update};
pub use types::{
    Account, AuditEntry, AuditPage, Banned, Entry, Joined, Me, Named, NewRoom, Page, Participant, PublicRoom,
    ReportReason, RoomDetail, Status, Which,
};
