//! Taking messages back. A tombstone stays in each one's place. Erasures of a room are numbered, so that who missed the
//! news of one can ask for what was erased since.

use streamit_domain::{RoomId, Timestamp, UserId};

use super::{Message, MessageRow};
use crate::engine::Sql;
use crate::{Error, Read, Result, Tx, row};

/// Of how many of a room's last messages tombstones are told. Nodes keep no more.
const TOLD: u64 = 500;

/// What is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// One message.
    One(u64),
    /// Everything that somebody said.
    AllOf(UserId),
}

/// Messages that were taken back together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The number of this erasure: one more than the last one's.
    pub number: u64,
    /// How many messages it took.
    pub count: u64,
    /// What is left of those among the room's last 500, oldest first.
    pub tombstones: Vec<Message>,
    /// The room's epoch.
    pub epoch: u64,
}

/// Takes messages back. Nothing when there is none of them that was not taken back before.
///
/// # Errors
/// When the database fails.
pub async fn erase(tx: &mut Tx, room: RoomId, which: Which, now: Timestamp) -> Result<Option<Erasure>> {
    // The head's lock first: no message gets in between, and erasures are numbered one after the other.
    const HEAD: Sql = sql! {
        postgres: "SELECT h.head, h.erasures, r.epoch FROM chat_heads h JOIN rooms r ON r.id = h.room_id
            WHERE h.room_id = $1 FOR UPDATE OF h",
        sqlite: "SELECT h.head, h.erasures, r.epoch FROM chat_heads h JOIN rooms r ON r.id = h.room_id
            WHERE h.room_id = $1",
    };
    const ONE: &str = "
        UPDATE messages SET body = NULL, erased_at = $2, erasure = $3
        WHERE room_id = $1 AND seq = $4 AND erased_at IS NULL";
    const ALL_OF: &str = "
        UPDATE messages SET body = NULL, erased_at = $2, erasure = $3
        WHERE room_id = $1 AND user_id = $4 AND erased_at IS NULL";
    const COUNT: &str = "UPDATE chat_heads SET erasures = $2 WHERE room_id = $1";
    let Some((head, last, epoch)) = fetch_optional!(tx, (i64, i64, i64), HEAD, room.0)? else {
        return Ok(None);
    };
    let number = last + 1;
    let count = match which {
        Which::One(seq) => execute!(tx, ONE, room.0, now.0, number, row::to_i64(seq))?,
        Which::AllOf(user) => execute!(tx, ALL_OF, room.0, now.0, number, user.0)?,
    };
    if count == 0 {
        return Ok(None);
    }
    execute!(tx, COUNT, room.0, number)?;
    let from = row::to_u64(head, "chat_heads.head")?.saturating_sub(TOLD) + 1;
    let last = row::to_u64(last, "chat_heads.erasures")?;
    let tombstones = tombstones(tx, room, last, from).await?;
    Ok(Some(Erasure { number: last + 1, count, tombstones, epoch: row::to_u64(epoch, "rooms.epoch")? }))
}

/// What was erased in a room after an erasure, among the messages from `from` on: all tombstones, the number of the
/// last erasure, and the room's epoch. Nothing when there is no such room.
///
/// # Errors
/// When the database fails.
pub async fn erased_since(
    read: &mut Read,
    room: RoomId,
    after: u64,
    from: u64,
) -> Result<Option<(Vec<Message>, u64, u64)>> {
    const HEAD: &str = "
        SELECT h.erasures, r.epoch FROM chat_heads h JOIN rooms r ON r.id = h.room_id WHERE h.room_id = $1";
    // The number first: what is erased meanwhile is told early, and again with the next.
    let Some((erasures, epoch)) = fetch_optional!(read, (i64, i64), HEAD, room.0)? else {
        return Ok(None);
    };
    let tombstones = tombstones(read, room, after, from).await?;
    let erasures = row::to_u64(erasures, "chat_heads.erasures")?;
    Ok(Some((tombstones, erasures, row::to_u64(epoch, "rooms.epoch")?)))
}

async fn tombstones(read: &mut Read, room: RoomId, after: u64, from: u64) -> Result<Vec<Message>> {
    const SQL: &str = "
        SELECT seq, user_id, name, body, key, key_is_client_id, created_at FROM messages
        WHERE room_id = $1 AND erasure > $2 AND seq >= $3 ORDER BY seq DESC LIMIT $4";
    let (after, from) = (row::to_i64(after), row::to_i64(from));
    let rows = fetch_all!(read, MessageRow, SQL, room.0, after, from, row::to_i64(TOLD))?;
    let messages: Result<Vec<Message>, Error> = rows.into_iter().rev().map(Message::try_from).collect();
    messages
}
