//! Hosts who are away, and rooms that pass on meanwhile and go back.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::room::{Life, Role, lost_after};
use streamit_domain::{RoomId, Timestamp, UserId};
use uuid::Uuid;

use super::{Room, RoomRow, lock, raise_fence, room_columns, version};
use crate::batch::{self, Hex};
use crate::engine::Sql;
use crate::{Read, Result, Tx, outbox, row};

/// A node saw the host's last connection end, or the host come back; or the one to whom the room goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostReport {
    /// The room.
    pub room: RoomId,
    /// Whom the report is about; ignored unless that is the host, or the one to whom the room goes back.
    pub host: UserId,
    /// The fence the node holds. It may be behind: a co-host who was made meanwhile raised it, and the host is away all
    /// the same. A fence that the room never had is ignored.
    pub fence: u64,
    /// The roster version at which it was seen; ignored unless it is newer than the last report's about the host, or than
    /// the one at which the room passed on. Of two words of one version the one that he is gone counts: he may have come
    /// while the store was away, and left before it knew him. Whoever decides in the end looks again.
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
    lost_host_id: Option<Uuid>,
    lost_host_roster_version: Option<i64>,
}

impl WaitRow {
    /// Takes a report in. Tells whether facts change by it; nothing when it is to be ignored.
    fn hear(&mut self, report: &HostReport, now: Timestamp) -> Option<bool> {
        let seen = row::to_i64(report.roster_version);
        let is_news = |before: Option<i64>| {
            before.is_none_or(|before| before < seen || (before == seen && !report.is_back))
        };
        if self.host_fence < row::to_i64(report.fence) {
            return None;
        }
        if report.host.0 == self.host_id && is_news(self.host_lost_roster_version) {
            let before = self.host_deadline;
            self.host_lost_roster_version = Some(seen);
            self.host_deadline = match (report.is_back, before) {
                (true, _) => None,
                (false, Some(deadline)) => Some(deadline),
                (false, None) => Some(now.0.saturating_add(self.host_grace_seconds.saturating_mul(1_000))),
            };
            return Some(before.is_some() != self.host_deadline.is_some());
        }
        let is_lost_host = report.is_back && self.lost_host_id == Some(report.host.0);
        if is_lost_host && is_news(self.lost_host_roster_version) {
            self.host_id = report.host.0;
            self.host_fence += 1;
            self.host_deadline = None;
            self.host_lost_roster_version = Some(seen);
            self.lost_host_id = None;
            self.lost_host_roster_version = None;
            return Some(true);
        }
        None
    }
}

#[derive(Serialize)]
struct Wait {
    room: Hex,
    host: Hex,
    fence: i64,
    deadline: Option<i64>,
    roster_version: Option<i64>,
    lost_host: Option<Hex>,
    lost_at: Option<i64>,
    /// What to add to the facts version: 1 when they change, 0 when there is just a newer report.
    step: i64,
}

/// What reports about hosts came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The rooms whose facts changed, with their new versions.
    pub changed: Vec<(RoomId, u64)>,
    /// The rooms that went back to their hosts.
    pub returned: Vec<Returned>,
}

/// A room that went back to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Which.
    pub room: RoomId,
    /// Who had it meanwhile.
    pub from: UserId,
    /// Whose it is again.
    pub host: UserId,
}

/// Takes in what nodes report about hosts: sets or clears the deadlines of their rooms, and gives a room back to whom
/// it was lost by, with a new fence. Gives the rooms whose facts changed, with their new versions. A fixed number of
/// statements, however many reports.
///
/// # Errors
/// When the database fails.
pub async fn report_hosts(tx: &mut Tx, reports: &[HostReport], now: Timestamp) -> Result<Heard> {
    const LOCK: Sql = sql! {
        postgres: "SELECT id, host_id, host_fence, host_grace_seconds, host_deadline, host_lost_roster_version,
                lost_host_id, lost_host_roster_version
            FROM rooms
            WHERE life = 'ACTIVE' AND id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))
            ORDER BY id FOR NO KEY UPDATE",
        sqlite: "SELECT id, host_id, host_fence, host_grace_seconds, host_deadline, host_lost_roster_version,
                lost_host_id, lost_host_roster_version
            FROM rooms
            WHERE life = 'ACTIVE' AND id IN (SELECT unhex(value) FROM json_each($1))",
    };
    const UPDATE: Sql = sql! {
        postgres: "UPDATE rooms SET host_id = w.host, host_fence = w.fence, host_deadline = w.deadline,
                host_lost_roster_version = w.roster_version, lost_host_id = w.lost_host,
                lost_host_roster_version = w.lost_at, facts_version = facts_version + w.step
            FROM json_to_recordset($1::JSON) AS w(room UUID, host UUID, fence BIGINT, deadline BIGINT,
                roster_version BIGINT, lost_host UUID, lost_at BIGINT, step BIGINT)
            WHERE rooms.id = w.room
            RETURNING rooms.id, facts_version",
        sqlite: "UPDATE rooms SET host_id = unhex(w.value ->> 'host'), host_fence = w.value ->> 'fence',
                host_deadline = w.value ->> 'deadline', host_lost_roster_version = w.value ->> 'roster_version',
                lost_host_id = unhex(w.value ->> 'lost_host'), lost_host_roster_version = w.value ->> 'lost_at',
                facts_version = facts_version + (w.value ->> 'step')
            FROM json_each($1) w
            WHERE rooms.id = unhex(w.value ->> 'room')
            RETURNING rooms.id, facts_version",
    };
    if reports.is_empty() {
        return Ok(Heard::default());
    }
    let ids = batch::ids(reports.iter().map(|report| report.room.0))?;
    let rows = fetch_all!(tx, WaitRow, LOCK, ids)?;
    let mut rooms: BTreeMap<Uuid, WaitRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let fences: BTreeMap<Uuid, i64> = rooms.values().map(|room| (room.id, room.host_fence)).collect();
    let hosts: BTreeMap<Uuid, Uuid> = rooms.values().map(|room| (room.id, room.host_id)).collect();
    let mut heard: BTreeMap<Uuid, bool> = BTreeMap::new();
    for report in reports {
        let Some(room) = rooms.get_mut(&report.room.0) else { continue };
        if let Some(is_change) = room.hear(report, now) {
            *heard.entry(room.id).or_default() |= is_change;
        }
    }
    if heard.is_empty() {
        return Ok(Heard::default());
    }
    let returned = rooms.values().filter_map(|room| {
        let from = UserId(*hosts.get(&room.id)?);
        (from.0 != room.host_id).then_some(Returned {
            room: RoomId(room.id),
            from,
            host: UserId(room.host_id),
        })
    });
    let returned = returned.collect();
    let waits: Vec<Wait> = rooms
        .values()
        .filter_map(|room| heard.get(&room.id).map(|is_change| room.wait(*is_change)))
        .collect();
    let rows = fetch_all!(tx, (Uuid, i64), UPDATE, batch::json(&waits)?)?;
    let raised: Vec<&Wait> = waits.iter().filter(|w| fences.get(&w.room.0) != Some(&w.fence)).collect();
    if !raised.is_empty() {
        outbox::insert_fences(tx, &batch::json(&raised)?, now).await?;
    }
    let mut changed = Vec::with_capacity(rows.len());
    for (id, version) in rows {
        if heard.get(&id).is_some_and(|is_change| *is_change) {
            changed.push((RoomId(id), row::to_u64(version, "rooms.facts_version")?));
        }
    }
    Ok(Heard { changed, returned })
}

impl WaitRow {
    fn wait(&self, is_change: bool) -> Wait {
        Wait {
            room: Hex(self.id),
            host: Hex(self.host_id),
            fence: self.host_fence,
            deadline: self.host_deadline,
            roster_version: self.host_lost_roster_version,
            lost_host: self.lost_host_id.map(Hex),
            lost_at: self.lost_host_roster_version,
            step: i64::from(is_change),
        }
    }
}

/// Locks a room that waits for its host, if nothing about that has changed since it was looked at: of several replicas
/// that decide the same, one does.
///
/// # Errors
/// When the database fails.
pub async fn lock_as_seen(tx: &mut Tx, seen: &Room) -> Result<Option<Room>> {
    let is_same = |now: &Room| {
        let what = |room: &Room| (room.fence, room.host, room.lost_host, room.host_deadline, room.settings);
        now.life == Life::Active && now.host_deadline.is_some() && what(now) == what(seen)
    };
    Ok(lock(tx, seen.id).await?.filter(is_same))
}

/// Which of these people are approved in the room, and whether they are co-hosts.
///
/// # Errors
/// When the database fails.
pub async fn candidates(
    read: &mut Read,
    room: RoomId,
    users: impl IntoIterator<Item = UserId>,
) -> Result<Vec<(UserId, Role)>> {
    const SQL: Sql = sql! {
        postgres: "SELECT user_id, role FROM participants WHERE room_id = $1 AND standing = 'APPROVED'
            AND user_id IN (SELECT value::UUID FROM json_array_elements_text($2::JSON))",
        sqlite: "SELECT user_id, role FROM participants WHERE room_id = $1 AND standing = 'APPROVED'
            AND user_id IN (SELECT unhex(value) FROM json_each($2))",
    };
    let users = batch::ids(users.into_iter().map(|user| user.0))?;
    let rows = fetch_all!(read, (Uuid, String), SQL, room.0, users)?;
    rows.into_iter().map(|(user, role)| Ok((UserId(user), row::role(&role)?))).collect()
}

/// Makes `next`, who is approved and in the roster at `roster_version`, host of a locked room whose host is lost and will
/// get it back. Gives the new facts version; nothing when there is no such participant. A co-host who is made host this
/// way is co-host again afterwards.
///
/// # Errors
/// When the database fails.
pub async fn pass_on(
    tx: &mut Tx,
    room: &Room,
    next: UserId,
    roster_version: u64,
    now: Timestamp,
) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE rooms SET facts_version = facts_version + 1, host_id = $2, host_deadline = NULL,
            host_lost_roster_version = $4, lost_host_id = $3, lost_host_roster_version = $4
        WHERE id = $1 AND EXISTS (SELECT 1 FROM participants p
            WHERE p.room_id = $1 AND p.user_id = $2 AND p.standing = 'APPROVED')
        RETURNING facts_version";
    let lost = lost_after(room.host, room.lost_host, next).map(|user| user.0);
    let seen = row::to_i64(roster_version);
    let passed = version(fetch_optional!(tx, (i64,), SQL, room.id.0, next.0, lost, seen)?)?;
    if passed.is_some() {
        raise_fence(tx, room.id, now).await?;
    }
    Ok(passed)
}

/// Rooms that pass on once somebody is there, and in which somebody was after `since`; the last visited first.
///
/// # Errors
/// When the database fails.
pub async fn asleep(read: &mut Read, since: Timestamp, limit: u32) -> Result<Vec<Room>> {
    // The numbers and words are those of the index, so that the rooms nobody comes to any more cost nothing.
    const SQL: &str = concat!(
        "SELECT ",
        room_columns!(),
        " FROM rooms r WHERE r.host_deadline = 253402300799000 AND r.on_host_lost = 'PROMOTE' AND r.life = 'ACTIVE'
            AND r.last_active_at > $1
          ORDER BY r.last_active_at DESC LIMIT $2",
    );
    let rows = fetch_all!(read, RoomRow, SQL, since.0, i64::from(limit))?;
    rows.into_iter().map(Room::try_from).collect()
}

/// Open rooms that go back to somebody when they return, in the order of their ids; `after` is the last one that was
/// seen.
///
/// # Errors
/// When the database fails.
pub async fn passed_on(read: &mut Read, after: Option<RoomId>, limit: u32) -> Result<Vec<Room>> {
    const SQL: &str = concat!(
        "SELECT ",
        room_columns!(),
        " FROM rooms r WHERE r.lost_host_id IS NOT NULL AND r.life = 'ACTIVE' AND r.id > $1 ORDER BY r.id LIMIT $2",
    );
    let after = after.map_or(Uuid::nil(), |room| room.0);
    let rows = fetch_all!(read, RoomRow, SQL, after, i64::from(limit))?;
    rows.into_iter().map(Room::try_from).collect()
}
