//! A database that has lost something: it was restored from a backup, or a standby took over that was behind. Rooms
//! that were live meanwhile remember more than is stored.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::{RoomId, Timestamp};
use uuid::Uuid;

use crate::batch::{self, Hex};
use crate::engine::Sql;
use crate::{Result, Tx, outbox, row};

/// The most that a node has seen committed of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The room.
    pub room: RoomId,
    /// The epoch in which all this was seen.
    pub epoch: u64,
    /// The version of the facts.
    pub facts_version: u64,
    /// The highest `seq` of the chat.
    pub chat_head: u64,
    /// When that message was stored, if it is known: another one may have taken its number since.
    pub chat_at: Option<Timestamp>,
    /// The fence.
    pub fence: u64,
}

impl Seen {
    /// Takes in what another node, or the same one later, has seen of the same room.
    fn add(&mut self, other: &Self) {
        if other.epoch > self.epoch {
            *self = *other;
        } else if other.epoch == self.epoch {
            if other.chat_head > self.chat_head {
                (self.chat_head, self.chat_at) = (other.chat_head, other.chat_at);
            }
            self.facts_version = self.facts_version.max(other.facts_version);
            self.fence = self.fence.max(other.fence);
        }
    }
}

#[derive(Serialize)]
struct Ask {
    room: Hex,
    epoch: i64,
    facts_version: i64,
    chat_head: i64,
    chat_at: Option<i64>,
    fence: i64,
}

#[derive(FromRow)]
struct StoredRow {
    id: Uuid,
    epoch: i64,
    facts_version: i64,
    host_fence: i64,
}

#[derive(Serialize)]
struct Raise {
    room: Hex,
    epoch: i64,
    facts_version: i64,
    fence: i64,
}

/// Raises the epoch of each of these rooms of which less is stored than was seen, and lifts its facts version and its
/// fence above what is stored and what was seen, so that all that comes is newer than all that was. Gives those rooms
/// with their new facts versions. Asking twice changes nothing more: the second time, what was seen is of an epoch
/// that is over. A fixed number of statements, however many rooms.
///
/// # Errors
/// When the database fails.
pub async fn raise_epochs(tx: &mut Tx, seen: &[Seen], now: Timestamp) -> Result<Vec<(RoomId, u64)>> {
    let mut by_room: BTreeMap<RoomId, Seen> = BTreeMap::new();
    for one in seen {
        by_room.entry(one.room).and_modify(|known| known.add(one)).or_insert(*one);
    }
    // Mostly nothing is lost, and a node has compared with an answer that crossed a commit: that takes no lock.
    let suspects = behind(tx, by_room.values()).await?;
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let stored = lock(tx, &suspects).await?;
    // Looked at once more, now that nothing can change: a commit may have come in between.
    let lost = behind(tx, suspects.iter().filter_map(|room| by_room.get(room))).await?;
    let mut raises = Vec::with_capacity(lost.len());
    let mut raised = Vec::with_capacity(lost.len());
    for room in lost {
        let (Some(seen), Some(stored)) = (by_room.get(&room), stored.get(&room.0)) else { continue };
        let above = |stored: i64, seen: u64| stored.max(row::to_i64(seen)).saturating_add(1);
        let facts_version = above(stored.facts_version, seen.facts_version);
        raises.push(Raise {
            room: Hex(room.0),
            epoch: above(stored.epoch, seen.epoch),
            facts_version,
            fence: above(stored.host_fence, seen.fence),
        });
        raised.push((room, row::to_u64(facts_version, "rooms.facts_version")?));
    }
    raise(tx, &raises, now).await?;
    Ok(raised)
}

/// Which of these rooms have less stored than was seen of them.
async fn behind(tx: &mut Tx, seen: impl Iterator<Item = &Seen>) -> Result<Vec<RoomId>> {
    // Of an epoch that is over nothing can be lost any more. A number that another message has now is as lost as one
    // that was never given out.
    const SQL: Sql = sql! {
        postgres: "SELECT r.id FROM json_to_recordset($1::JSON) AS s(room UUID, epoch BIGINT, facts_version BIGINT,
                chat_head BIGINT, chat_at BIGINT, fence BIGINT)
            JOIN rooms r ON r.id = s.room
            JOIN chat_heads h ON h.room_id = r.id
            LEFT JOIN messages m ON m.room_id = r.id AND m.seq = s.chat_head
            WHERE r.epoch < s.epoch OR (r.epoch = s.epoch AND (r.facts_version < s.facts_version
                OR r.host_fence < s.fence OR h.head < s.chat_head OR m.created_at <> s.chat_at))
            ORDER BY r.id",
        sqlite: "SELECT r.id FROM (SELECT unhex(value ->> 'room') AS room, value ->> 'epoch' AS epoch,
                value ->> 'facts_version' AS facts_version, value ->> 'chat_head' AS chat_head,
                value ->> 'chat_at' AS chat_at, value ->> 'fence' AS fence FROM json_each($1)) s
            JOIN rooms r ON r.id = s.room
            JOIN chat_heads h ON h.room_id = r.id
            LEFT JOIN messages m ON m.room_id = r.id AND m.seq = s.chat_head
            WHERE r.epoch < s.epoch OR (r.epoch = s.epoch AND (r.facts_version < s.facts_version
                OR r.host_fence < s.fence OR h.head < s.chat_head OR m.created_at <> s.chat_at))
            ORDER BY r.id",
    };
    let asks: Vec<Ask> = seen
        .map(|seen| Ask {
            room: Hex(seen.room.0),
            epoch: row::to_i64(seen.epoch),
            facts_version: row::to_i64(seen.facts_version),
            chat_head: row::to_i64(seen.chat_head),
            chat_at: seen.chat_at.map(|at| at.0),
            fence: row::to_i64(seen.fence),
        })
        .collect();
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let rows = fetch_all!(tx, (Uuid,), SQL, batch::json(&asks)?)?;
    Ok(rows.into_iter().map(|(id,)| RoomId(id)).collect())
}

/// Keeps facts and chat of these rooms from changing until the transaction ends, and gives what is stored.
async fn lock(tx: &mut Tx, rooms: &[RoomId]) -> Result<BTreeMap<Uuid, StoredRow>> {
    const ROOMS: Sql = sql! {
        postgres: "SELECT id, epoch, facts_version, host_fence FROM rooms
            WHERE id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))
            ORDER BY id FOR NO KEY UPDATE",
        sqlite: "SELECT id, epoch, facts_version, host_fence FROM rooms
            WHERE id IN (SELECT unhex(value) FROM json_each($1))",
    };
    // An append that is under way ends first, in the epoch that is over; the next one sees the new epoch.
    const HEADS: &str = "
        SELECT room_id FROM chat_heads
        WHERE room_id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))
        ORDER BY room_id FOR UPDATE";
    let ids = batch::ids(rooms.iter().map(|room| room.0))?;
    let stored = fetch_all!(tx, StoredRow, ROOMS, &ids)?;
    // SQLite: this transaction is the only one that writes.
    if tx.is_postgres() {
        execute!(tx, HEADS, &ids)?;
    }
    Ok(stored.into_iter().map(|row| (row.id, row)).collect())
}

async fn raise(tx: &mut Tx, raises: &[Raise], now: Timestamp) -> Result<()> {
    const SQL: Sql = sql! {
        postgres: "UPDATE rooms SET epoch = s.epoch, facts_version = s.facts_version, host_fence = s.fence
            FROM json_to_recordset($1::JSON) AS s(room UUID, epoch BIGINT, facts_version BIGINT, fence BIGINT)
            WHERE rooms.id = s.room",
        sqlite: "UPDATE rooms SET epoch = s.value ->> 'epoch', facts_version = s.value ->> 'facts_version',
                host_fence = s.value ->> 'fence'
            FROM json_each($1) s WHERE rooms.id = unhex(s.value ->> 'room')",
    };
    if raises.is_empty() {
        return Ok(());
    }
    let raises = batch::json(raises)?;
    execute!(tx, SQL, &raises)?;
    outbox::insert_fences(tx, &raises, now).await
}
