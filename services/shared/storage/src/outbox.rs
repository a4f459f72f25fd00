//! What has to be told to others after a commit, kept until it was. An entry is written by the transaction that
//! makes it necessary, so neither can happen without the other.

use sqlx::FromRow;
use streamit_domain::{RoomId, Timestamp};
use uuid::Uuid;

use crate::{Read, Result, Tx, batch, row};

/// A room's fence that the room's live state has to learn. Telling it twice is harmless: the higher one stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The entry.
    pub id: u64,
    /// Which room.
    pub room: RoomId,
    /// The fence of those who may control its playback.
    pub fence: u64,
    /// How often telling it has failed.
    pub attempts: u32,
    /// Since when it waits.
    pub created_at: Timestamp,
}

#[derive(FromRow)]
struct FenceRow {
    id: i64,
    room_id: Uuid,
    fence: i64,
    attempts: i64,
    created_at: i64,
}

/// Writes the room's present fence down.
pub(crate) async fn insert_fence(tx: &mut Tx, room: RoomId, fence: u64, now: Timestamp) -> Result<()> {
    const SQL: &str = "
        INSERT INTO outbox (kind, room_id, fence, created_at, next_at) VALUES ('fence', $1, $2, $3, $3)";
    execute!(tx, SQL, room.0, row::to_i64(fence), now.0)?;
    Ok(())
}

/// Writes down the fences of a batch: a JSON list of objects with `room` and `fence`.
pub(crate) async fn insert_fences(tx: &mut Tx, fences: &str, now: Timestamp) -> Result<()> {
    const SQL: crate::engine::Sql = sql! {
        postgres: "INSERT INTO outbox (kind, room_id, fence, created_at, next_at)
            SELECT 'fence', s.room, s.fence, $2, $2
            FROM json_to_recordset($1::JSON) AS s(room UUID, fence BIGINT)",
        sqlite: "INSERT INTO outbox (kind, room_id, fence, created_at, next_at)
            SELECT 'fence', unhex(value ->> 'room'), value ->> 'fence', $2, $2 FROM json_each($1)",
    };
    execute!(tx, SQL, fences, now.0)?;
    Ok(())
}

/// What is to be told by `now`, the longest waiting first. Several replicas may get the same entries.
///
/// # Errors
/// When the database fails.
pub async fn due(read: &mut Read, now: Timestamp, limit: u32) -> Result<Vec<Fence>> {
    const SQL: &str = "
        SELECT id, room_id, fence, attempts, created_at FROM outbox
        WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2";
    fetch_all!(read, FenceRow, SQL, now.0, i64::from(limit))?
        .into_iter()
        .map(|row| {
            Ok(Fence {
                id: row::to_u64(row.id, "outbox.id")?,
                room: RoomId(row.room_id),
                fence: row::to_u64(row.fence, "outbox.fence")?,
                attempts: row::to_u32(row.attempts, "outbox.attempts")?,
                created_at: Timestamp(row.created_at),
            })
        })
        .collect()
}

/// How many entries wait to be told, and since when the oldest of them does.
///
/// # Errors
/// When the database fails.
pub async fn waiting(read: &mut Read) -> Result<(u64, Option<Timestamp>)> {
    const SQL: &str = "SELECT count(*), min(created_at) FROM outbox";
    let (count, oldest) = fetch_one!(read, (i64, Option<i64>), SQL)?;
    Ok((row::to_u64(count, "outbox count")?, oldest.map(Timestamp)))
}

/// These were told.
///
/// # Errors
/// When the database fails.
pub async fn done(tx: &mut Tx, ids: &[u64]) -> Result<()> {
    const SQL: crate::engine::Sql = sql! {
        postgres: "DELETE FROM outbox
            WHERE id IN (SELECT value::BIGINT FROM json_array_elements_text($1::JSON))",
        sqlite: "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each($1))",
    };
    execute!(tx, SQL, batch::json(ids)?)?;
    Ok(())
}

/// These could not be told; try again at `next_at`.
///
/// # Errors
/// When the database fails.
pub async fn postpone(tx: &mut Tx, ids: &[u64], next_at: Timestamp) -> Result<()> {
    const SQL: crate::engine::Sql = sql! {
        postgres: "UPDATE outbox SET attempts = attempts + 1, next_at = $2
            WHERE id IN (SELECT value::BIGINT FROM json_array_elements_text($1::JSON))",
        sqlite: "UPDATE outbox SET attempts = attempts + 1, next_at = $2
            WHERE id IN (SELECT value FROM json_each($1))",
    };
    execute!(tx, SQL, batch::json(ids)?, next_at.0)?;
    Ok(())
}
