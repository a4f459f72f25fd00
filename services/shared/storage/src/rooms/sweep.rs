//! What the sweeper looks for, and the deadlines it decides: hosts that are away, rooms that nobody visits, films
//! that run with nobody there.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::{Playback, RoomId, Timestamp, UserId};
use uuid::Uuid;

use super::playback::PlaybackRow;
use super::{Room, RoomRow, room_columns, version};
use crate::batch::{self, Hex};
use crate::engine::Sql;
use crate::{Read, Result, Tx, row};

/// A node saw the host's last connection end, or the host come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostReport {
    /// The room.
    pub room: RoomId,
    /// Whom the report is about; ignored when that is no longer the host.
    pub host: UserId,
    /// The fence the node holds. It may be behind: a co-host who was made meanwhile raised it, and the host is away all
    /// the same. A fence that the room never had is ignored.
    pub fence: u64,
    /// The roster version at which it was seen; ignored unless it is newer than the last report's.
    pub roster_version: u64,
    /// Came back, rather than went.
    pub is_back: bool,
}

#[derive(FromRow)]
struct WaitRow {
    id: Uuid,
    host_id: Uuid,
    host_fence: i64,
    host_grace_seconds: i64,
    host_deadline: Option<i64>,
    host_lost_roster_version: Option<i64>,
}

#[derive(Serialize)]
struct Wait {
    room: Hex,
    roster_version: i64,
    deadline: Option<i64>,
    /// What to add to the facts version: 1 when the deadline came or went, 0 when there is just a newer report.
    step: i64,
}

/// Takes in what nodes report about hosts, and sets or clears the deadlines of their rooms. Gives the rooms whose
/// facts changed, with their new versions. Two statements, however many reports.
///
/// # Errors
/// When the database fails.
pub async fn report_hosts(tx: &mut Tx, reports: &[HostReport], now: Timestamp) -> Result<Vec<(RoomId, u64)>> {
    const LOCK: Sql = sql! {
        postgres: "SELECT id, host_id, host_fence, host_grace_seconds, host_deadline, host_lost_roster_version
            FROM rooms
            WHERE life = 'ACTIVE' AND id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))
            ORDER BY id FOR NO KEY UPDATE",
        sqlite: "SELECT id, host_id, host_fence, host_grace_seconds, host_deadline, host_lost_roster_version
            FROM rooms
            WHERE life = 'ACTIVE' AND id IN (SELECT unhex(value) FROM json_each($1))",
    };
    const UPDATE: Sql = sql! {
        postgres: "UPDATE rooms SET host_deadline = w.deadline, host_lost_roster_version = w.roster_version,
                facts_version = facts_version + w.step
            FROM json_to_recordset($1::JSON) AS w(room UUID, roster_version BIGINT, deadline BIGINT, step BIGINT)
            WHERE rooms.id = w.room
            RETURNING rooms.id, facts_version",
        sqlite: "UPDATE rooms SET host_deadline = w.value ->> 'deadline',
                host_lost_roster_version = w.value ->> 'roster_version',
                facts_version = facts_version + (w.value ->> 'step')
            FROM json_each($1) w
            WHERE rooms.id = unhex(w.value ->> 'room')
            RETURNING rooms.id, facts_version",
    };
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    let ids = batch::ids(reports.iter().map(|report| report.room.0))?;
    let rows = fetch_all!(tx, WaitRow, LOCK, ids)?;
    let mut rooms: BTreeMap<Uuid, WaitRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let mut waits: BTreeMap<Uuid, Wait> = BTreeMap::new();
    for report in reports {
        let Some(room) = rooms.get_mut(&report.room.0) else { continue };
        let seen = row::to_i64(report.roster_version);
        let is_stale = room.host_lost_roster_version.is_some_and(|before| before >= seen);
        if is_stale || room.host_id != report.host.0 || room.host_fence < row::to_i64(report.fence) {
            continue;
        }
        let before = room.host_deadline;
        room.host_lost_roster_version = Some(seen);
        room.host_deadline = match (report.is_back, before) {
            (true, _) => None,
            (false, Some(deadline)) => Some(deadline),
            (false, None) => Some(now.0.saturating_add(room.host_grace_seconds.saturating_mul(1_000))),
        };
        let wait = waits.entry(room.id).or_insert(Wait {
            room: Hex(room.id),
            roster_version: seen,
            deadline: None,
            step: 0,
        });
        wait.roster_version = seen;
        wait.deadline = room.host_deadline;
        wait.step = wait.step.max(i64::from(before.is_some() != room.host_deadline.is_some()));
    }
    if waits.is_empty() {
        return Ok(Vec::new());
    }
    let update: Vec<&Wait> = waits.values().collect();
    let rows = fetch_all!(tx, (Uuid, i64), UPDATE, batch::json(&update)?)?;
    let mut changed = Vec::with_capacity(rows.len());
    for (id, version) in rows {
        if waits.get(&id).is_some_and(|wait| wait.step > 0) {
            changed.push((RoomId(id), row::to_u64(version, "rooms.facts_version")?));
        }
    }
    Ok(changed)
}

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

/// Decides a deadline that has passed: of several replicas one gets the new facts version, the others nothing.
/// `next` is the deadline from now on ([`FOREVER`](streamit_domain::room::FOREVER): the room waits on).
///
/// # Errors
/// When the database fails.
pub async fn claim_deadline(
    tx: &mut Tx,
    room: RoomId,
    fence: u64,
    now: Timestamp,
    next: Option<Timestamp>,
) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE rooms SET host_deadline = $4, facts_version = facts_version + 1
        WHERE id = $1 AND host_fence = $2 AND host_deadline <= $3 AND life = 'ACTIVE' RETURNING facts_version";
    let fence = row::to_i64(fence);
    version(fetch_optional!(tx, (i64,), SQL, room.0, fence, now.0, next.map(|at| at.0))?)
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
