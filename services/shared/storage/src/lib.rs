//! Everything StreamIt keeps for good, and the only code that speaks SQL.
//!
//! [`Store`] is PostgreSQL or SQLite, chosen by the URL. There is one module per aggregate; each names its own
//! tables and gives functions that take a [`Read`] when they only look and a [`Tx`] when they change something.
//! Whoever called [`Store::begin`] calls [`Tx::commit`]; what is dropped without it never happened.
//!
//! ```text
//! let mut tx = store.begin().await?;
//! let Some(room) = rooms::lock(&mut tx, id).await? else { return Err(NotFound) };
//! participants::set_standing(&mut tx, room.id, user, Standing::Banned, None, now).await?;
//! tx.commit().await?;                       // from here on it is true; now tell the others
//! ```
//!
//! **One SQL text for both engines** wherever possible (`$1` parameters, named columns, keyset paging); where the
//! dialects part, both statements stand side by side (`sql!`). Batches travel as one JSON parameter and are
//! answered by a fixed number of statements: there is no query in a loop.
//!
//! **Versions.** What restricts people in a room or tells them what changed is a *fact*. Each change of a fact
//! takes the lock of the room's row first, adds one to `facts_version`, and marks the people it touched, so that
//! [`rooms::facts`] can answer "what changed since". A plain join is no fact. Locks are taken in one order
//! everywhere: the room, then its people; chat has its own row, `chat_heads`.
//!
//! **Rows are private.** Functions give values of `streamit-domain`, or structs of this crate built from them.
//! What can't be read back as such is [`Error::Corrupt`].
//!
//! This crate knows nothing of HTTP, gRPC, Redis or the wall clock: `now` is a parameter. To add a table, add a
//! migration with the same number for both engines, a module here and a test in `tests/suite`, which runs on both.

#[macro_use]
mod engine;

pub mod admissions;
pub mod audit;
pub mod bans;
pub mod chat;
pub mod keys;
pub mod outbox;
pub mod panel;
pub mod participants;
pub mod reports;
pub mod retention;
pub mod rooms;
pub mod sessions;
pub mod staff;
pub mod users;

mod batch;
mod error;
mod load;
mod loan;
mod outage;
mod row;
mod store;

pub use engine::{Read, Tx};
pub use error::{Conflict, Error};
pub use load::Load;
pub use store::{Options, Store};

/// What every function here gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;
