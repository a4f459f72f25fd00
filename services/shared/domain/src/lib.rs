//! The rules of StreamIt, as pure functions over values.
//!
//! Who may join, what a name may be, where a film stands now, when somebody talks too fast: each question is
//! answered here and nowhere else, by code that can be read and tested without a server. The other crates
//! fetch values, ask a question of this one, and store or send the answer.
//!
//! Nothing here awaits, reads a clock, opens a socket or knows the shape of a message: functions that depend
//! on time take `now`. To add a rule, add a function or a type to the module that names its subject, with a
//! test beside it.

pub mod account;
pub mod audit;
pub mod chat;
pub mod id;
pub mod name;
pub mod playback;
pub mod rate;
pub mod readiness;
pub mod report;
pub mod room;
pub mod staff;
pub mod time;
pub mod words;

pub use id::{ConnectionId, Incarnation, RoomId, SessionId, UserId};
pub use name::DisplayName;
pub use playback::Playback;
pub use room::RoomCode;
pub use time::{MediaTime, Timestamp};

/// Why a value from outside was refused: a sentence for the person who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
