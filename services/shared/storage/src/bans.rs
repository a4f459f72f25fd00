//! Where people who were banned from a room came from. A guest has no account to be banned by, so for a while new
//! guests from there stay out as well. Networks are keyed hashes of addresses, made by the caller.

use streamit_domain::{RoomId, Timestamp, UserId};

use crate::{Read, Result, Tx};

/// Keeps new guests out of a room who come from where this person's live sessions were opened, or from where they last
/// joined the room, until `until`.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    tx: &mut Tx,
    room: RoomId,
    person: UserId,
    until: Timestamp,
    now: Timestamp,
) -> Result<()> {
    const SQL: &str = "
        INSERT INTO room_bans (room_id, network, user_id, created_at, until)
        SELECT CAST($1 AS UUID), f.network, CAST($2 AS UUID), CAST($3 AS BIGINT), CAST($4 AS BIGINT)
        FROM (SELECT s.address AS network FROM sessions s
                WHERE s.user_id = $2 AND s.address IS NOT NULL AND s.expires_at > $3
            UNION SELECT p.network FROM participants p
                WHERE p.room_id = $1 AND p.user_id = $2 AND p.network IS NOT NULL) f
        ON CONFLICT (room_id, network, user_id) DO UPDATE SET until = excluded.until";
    // SQLite would make a number of what is cast to UUID.
    const LITE: &str = "
        INSERT INTO room_bans (room_id, network, user_id, created_at, until)
        SELECT $1, f.network, $2, $3, $4
        FROM (SELECT s.address AS network FROM sessions s
                WHERE s.user_id = $2 AND s.address IS NOT NULL AND s.expires_at > $3
            UNION SELECT p.network FROM participants p
                WHERE p.room_id = $1 AND p.user_id = $2 AND p.network IS NOT NULL) f WHERE TRUE
        ON CONFLICT (room_id, network, user_id) DO UPDATE SET until = excluded.until";
    let sql = sql! { postgres: SQL, sqlite: LITE };
    execute!(tx, sql, room.0, person.0, now.0, until.0)?;
    Ok(())
}

/// Notes from where somebody joins a room. It is no fact, and nobody is told.
///
/// # Errors
/// When the database fails.
pub async fn note_network(tx: &mut Tx, room: RoomId, user: UserId, network: &str) -> Result<()> {
    const SQL: &str = "UPDATE participants SET network = $3 WHERE room_id = $1 AND user_id = $2";
    execute!(tx, SQL, room.0, user.0, network)?;
    Ok(())
}

/// Lets guests from there in again.
///
/// # Errors
/// When the database fails.
pub async fn lift(tx: &mut Tx, room: RoomId, guest: UserId) -> Result<()> {
    const SQL: &str = "DELETE FROM room_bans WHERE room_id = $1 AND user_id = $2";
    execute!(tx, SQL, room.0, guest.0)?;
    Ok(())
}

/// Whether guests who come from `network` have to stay out of a room.
///
/// # Errors
/// When the database fails.
pub async fn covers(read: &mut Read, room: RoomId, network: &str, now: Timestamp) -> Result<bool> {
    const SQL: crate::engine::Sql = sql! {
        postgres: "SELECT 1::BIGINT FROM room_bans WHERE room_id = $1 AND network = $2 AND until > $3 LIMIT 1",
        sqlite: "SELECT 1 FROM room_bans WHERE room_id = $1 AND network = $2 AND until > $3 LIMIT 1",
    };
    Ok(fetch_optional!(read, (i64,), SQL, room.0, network, now.0)?.is_some())
}

/// Forgets what is over.
///
/// # Errors
/// When the database fails.
pub async fn purge(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    execute!(tx, "DELETE FROM room_bans WHERE until <= $1", now.0)
}
