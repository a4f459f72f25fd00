//! What the sweeper looks for: hosts that are away, rooms that nobody visits, films that run with nobody there.

use sqlx::FromRow;
use streamit_domain::{Playback, RoomId, Timestamp};
use uuid::Uuid;

use super::playback::PlaybackRow;
use super::{Room, RoomRow, room_columns, version};
use crate::{Read, Result, Tx, row};

/// Sets or clears the deadline of a room's host, if `fence` is still the room's. Gives the new facts version;
/// nothing when the fence is another or the room has ended.
///
/// # Errors
/// When the database fails.
pub async fn set_host_deadline(
    tx: &mut Tx,
    room: RoomId,
    fence: u64,
    deadline: Option<Timestamp>,
) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE rooms SET host_deadline = $3, facts_version = facts_version + 1
        WHERE id = $1 AND host_fence = $2 AND life = 'ACTIVE' RETURNING facts_version";
    version(fetch_optional!(tx, (i64,), SQL, room.0, row::to_i64(fence), deadline.map(|at| at.0))?)
}

/// Rooms whose host's deadline has passed, the longest waiting first.
///
/// # Errors
/// When the database fails.
pub async fn due_deadlines(read: &mut Read, now: Timestamp, limit: u32) -> Result<Vec<Room>> {
    const SQL: &str = concat!(
        "SELECT ",
        room_columns!(),
        " FROM rooms r WHERE r.host_deadline IS NOT NULL AND r.host_deadline <= $1 AND r.life = 'ACTIVE'
          ORDER BY r.host_deadline LIMIT $2",
    );
    let rows = fetch_all!(read, RoomRow, SQL, now.0, i64::from(limit))?;
    rows.into_iter().map(Room::try_from).collect()
}

/// Open rooms that nobody has been in since `before`, the longest empty first.
///
/// # Errors
/// When the database fails.
pub async fn stale_active(read: &mut Read, before: Timestamp, limit: u32) -> Result<Vec<Room>> {
    const SQL: &str = concat!(
        "SELECT ",
        room_columns!(),
        " FROM rooms r WHERE r.life = 'ACTIVE' AND r.last_active_at < $1 ORDER BY r.last_active_at LIMIT $2",
    );
    let rows = fetch_all!(read, RoomRow, SQL, before.0, i64::from(limit))?;
    rows.into_iter().map(Room::try_from).collect()
}

/// Open rooms that have been empty for as many days as their settings allow.
///
/// # Errors
/// When the database fails.
pub async fn expired(read: &mut Read, now: Timestamp, limit: u32) -> Result<Vec<Room>> {
    // The first comparison lets the index leave out all that were visited within a day, the shortest expiry.
    const SQL: &str = concat!(
        "SELECT ",
        room_columns!(),
        " FROM rooms r WHERE r.life = 'ACTIVE' AND r.last_active_at <= $1 - 86400000
            AND r.last_active_at <= $1 - r.expiry_days * 86400000
          ORDER BY r.last_active_at LIMIT $2",
    );
    let rows = fetch_all!(read, RoomRow, SQL, now.0, i64::from(limit))?;
    rows.into_iter().map(Room::try_from).collect()
}

#[derive(FromRow)]
struct PlayingRow {
    id: Uuid,
    last_active_at: i64,
    #[sqlx(flatten)]
    playback: PlaybackRow,
}

/// Open rooms whose saved playback runs, with when somebody was last there, in the order of their ids; `after` is
/// the last one that was seen.
///
/// # Errors
/// When the database fails.
pub async fn playing(
    read: &mut Read,
    after: Option<RoomId>,
    limit: u32,
) -> Result<Vec<(RoomId, Timestamp, Playback)>> {
    const SQL: &str = "
        SELECT id, last_active_at, playback_fence, playback_version, playback_playing, playback_time, playback_at,
            playback_rate
        FROM rooms WHERE playback_playing AND life = 'ACTIVE' AND id > $1 ORDER BY id LIMIT $2";
    let after = after.map_or(Uuid::nil(), |room| room.0);
    let mut playing = Vec::new();
    for row in fetch_all!(read, PlayingRow, SQL, after, i64::from(limit))? {
        if let Some(playback) = row.playback.read()? {
            playing.push((RoomId(row.id), Timestamp(row.last_active_at), playback));
        }
    }
    Ok(playing)
}
