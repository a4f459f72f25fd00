//! What was said: numbered from 1 in each room, without holes, each message once.
//!
//! [`append`] takes many messages of many rooms in one transaction. It locks the `chat_heads` rows of its rooms in
//! the order of their ids, so that two batches never wait for each other crosswise, and looks at everything else
//! only then: with the lock in hand, each message stored before is seen, and no other can get the next number.

mod append;
mod erase;

use sqlx::FromRow;
use streamit_domain::{DisplayName, RoomId, Timestamp, UserId};
use uuid::Uuid;

pub use append::{Append, Draft, Outcome, Refusal, append};
pub use erase::{Erasure, Which, erase, erased_since};

use crate::{Error, Read, Result, Tx, row};

/// A message as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number in the room.
    pub seq: u64,
    /// Who said it.
    pub user: UserId,
    /// What they were called then.
    pub name: DisplayName,
    /// What they said; none when it was erased.
    pub text: Option<String>,
    /// The mark the client gave it, if it gave one.
    pub client_id: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl Message {
    /// Whether only its place is left.
    #[must_use]
    pub const fn is_erased(&self) -> bool {
        self.text.is_none()
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What people say does not belong into a log.
        f.debug_struct("Message").field("seq", &self.seq).field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(FromRow)]
struct MessageRow {
    seq: i64,
    user_id: Uuid,
    name: String,
    body: Option<String>,
    key: String,
    key_is_client_id: bool,
    created_at: i64,
}

impl TryFrom<MessageRow> for Message {
    type Error = Error;

    fn try_from(row: MessageRow) -> Result<Self> {
        Ok(Self {
            seq: row::to_u64(row.seq, "messages.seq")?,
            user: UserId(row.user_id),
            name: row::name(&row.name, "messages.name")?,
            text: row.body,
            client_id: row.key_is_client_id.then_some(row.key),
            created_at: Timestamp(row.created_at),
        })
    }
}

/// Which messages of a room to read. The default is all of them, from the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Only messages with a greater number.
    pub after: u64,
    /// And only those with a smaller one.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
    /// If there are more, the last ones rather than the first.
    pub newest: bool,
}

/// A part of what was said in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The messages of the range, oldest first, erased ones as tombstones.
    pub messages: Vec<Message>,
    /// The highest number given out, 0 when nothing was said.
    pub head: u64,
    /// Messages below this number are gone.
    pub kept_from: u64,
    /// Grows when the database lost something.
    pub epoch: u64,
    /// The number of the room's last erasure.
    pub erasures: u64,
}

#[derive(FromRow)]
struct HeadRow {
    head: i64,
    kept_from: i64,
    epoch: i64,
    erasures: i64,
}

/// Reads what was said. Nothing when there is no such room.
///
/// # Errors
/// When the database fails.
pub async fn history(read: &mut Read, room: RoomId, range: Range) -> Result<Option<History>> {
    const HEAD: &str = "
        SELECT h.head, h.kept_from, h.erasures, r.epoch FROM chat_heads h JOIN rooms r ON r.id = h.room_id
        WHERE h.room_id = $1";
    const OLDEST: &str = "
        SELECT seq, user_id, name, body, key, key_is_client_id, created_at FROM messages
        WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4";
    const NEWEST: &str = "
        SELECT seq, user_id, name, body, key, key_is_client_id, created_at FROM messages
        WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4";
    let Some(head) = fetch_optional!(read, HeadRow, HEAD, room.0)? else {
        return Ok(None);
    };
    // Nothing above the head that was read: a message stored since then would contradict it.
    let above = head.head.saturating_add(1);
    let before = range.before.map_or(above, |before| row::to_i64(before).min(above));
    let sql = if range.newest { NEWEST } else { OLDEST };
    let rows =
        fetch_all!(read, MessageRow, sql, room.0, row::to_i64(range.after), before, i64::from(range.limit))?;
    let mut messages: Vec<Message> = rows.into_iter().map(Message::try_from).collect::<Result<_>>()?;
    if range.newest {
        messages.reverse();
    }
    Ok(Some(History {
        messages,
        head: row::to_u64(head.head, "chat_heads.head")?,
        kept_from: row::to_u64(head.kept_from, "chat_heads.kept_from")?,
        epoch: row::to_u64(head.epoch, "rooms.epoch")?,
        erasures: row::to_u64(head.erasures, "chat_heads.erasures")?,
    }))
}

/// Makes messages of a room wait until this transaction ends, and this transaction wait until those under way are stored:
/// what it changes about who may say what then holds for all that come after. Take the room's lock first.
///
/// # Errors
/// When the database fails.
pub async fn hold(tx: &mut Tx, room: RoomId) -> Result<()> {
    const SQL: &str = "SELECT head FROM chat_heads WHERE room_id = $1 FOR UPDATE";
    // SQLite: this transaction is the only one that writes.
    if tx.is_postgres() {
        execute!(tx, SQL, room.0)?;
    }
    Ok(())
}
