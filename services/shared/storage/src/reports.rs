//! What people reported: somebody, something said, or a room. Staff decides about each.

use std::fmt;

use sqlx::FromRow;
use streamit_domain::report::{Reason, State};
use streamit_domain::{DisplayName, RoomId, Timestamp, UserId};
use uuid::Uuid;

use crate::engine::Sql;
use crate::{Error, Read, Result, Tx, row};

/// A report to be kept.
#[derive(Clone)]
pub struct NewReport {
    /// Its id, of version 7.
    pub id: Uuid,
    /// Where it happened.
    pub room: RoomId,
    /// Who reports it.
    pub reporter: UserId,
    /// About whom; nobody when it is about the room.
    pub user: Option<UserId>,
    /// About which message.
    pub seq: Option<u64>,
    /// Why.
    pub reason: Reason,
    /// In their own words.
    pub note: Option<String>,
    /// Now.
    pub created_at: Timestamp,
}

impl fmt::Debug for NewReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What people write does not belong into a log.
        f.debug_struct("NewReport").field("id", &self.id).field("room", &self.room).finish_non_exhaustive()
    }
}

/// Keeps a report, with what the message says now. Somebody who reports the same again while it is open changes nothing:
/// gives the id of the one that is kept.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, report: &NewReport) -> Result<Uuid> {
    const SAME: &str = "
        SELECT id FROM reports WHERE reporter_id = $1 AND room_id = $2 AND state = 'OPEN'
            AND COALESCE(user_id, reporter_id) = COALESCE($3, reporter_id) AND COALESCE(seq, 0) = $4";
    const SQL: &str = "
        INSERT INTO reports (id, room_id, reporter_id, user_id, seq, quote, reason, note, created_at)
        VALUES ($1, $2, $3, $4, $5, (SELECT body FROM messages WHERE room_id = $2 AND seq = $5), $6, $7, $8)";
    let (room, reporter, user) = (report.room.0, report.reporter.0, report.user.map(|user| user.0));
    let seq = report.seq.map(row::to_i64);
    if let Some((id,)) = fetch_optional!(tx, (Uuid,), SAME, reporter, room, user, seq.unwrap_or(0))? {
        return Ok(id);
    }
    let (reason, note) = (report.reason.as_str(), report.note.as_deref());
    execute!(tx, SQL, report.id, room, reporter, user, seq, reason, note, report.created_at.0)?;
    Ok(report.id)
}

/// A report as staff sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub id: Uuid,
    /// Where.
    pub room: RoomId,
    /// What people type to find it.
    pub room_code: String,
    /// Who reported it.
    pub reporter: UserId,
    /// What they are called.
    pub reporter_name: DisplayName,
    /// About whom.
    pub user: Option<UserId>,
    /// What they are called.
    pub user_name: Option<DisplayName>,
    /// About which message.
    pub seq: Option<u64>,
    /// What that said then.
    pub quote: Option<String>,
    /// Why.
    pub reason: Reason,
    /// In the reporter's words.
    pub note: Option<String>,
    /// Whether it was decided about.
    pub state: State,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who decided.
    pub handled_by: Option<UserId>,
    /// When.
    pub handled_at: Option<Timestamp>,
    /// And why so.
    pub resolution: Option<String>,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(FromRow)]
struct ReportRow {
    id: Uuid,
    room_id: Uuid,
    room_code: String,
    reporter_id: Uuid,
    reporter_name: String,
    user_id: Option<Uuid>,
    user_name: Option<String>,
    seq: Option<i64>,
    quote: Option<String>,
    reason: String,
    note: Option<String>,
    state: String,
    created_at: i64,
    handled_by: Option<Uuid>,
    handled_at: Option<i64>,
    resolution: Option<String>,
}

impl TryFrom<ReportRow> for Report {
    type Error = Error;

    fn try_from(row: ReportRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            room: RoomId(row.room_id),
            room_code: row.room_code,
            reporter: UserId(row.reporter_id),
            reporter_name: row::name(&row.reporter_name, "users.display_name")?,
            user: row.user_id.map(UserId),
            user_name: row.user_name.map(|name| row::name(&name, "users.display_name")).transpose()?,
            seq: row.seq.map(|seq| row::to_u64(seq, "reports.seq")).transpose()?,
            quote: row.quote,
            reason: row.reason.parse().map_err(|_| Error::Corrupt("reports.reason"))?,
            note: row.note,
            state: row.state.parse().map_err(|_| Error::Corrupt("reports.state"))?,
            created_at: Timestamp(row.created_at),
            handled_by: row.handled_by.map(UserId),
            handled_at: row::time(row.handled_at),
            resolution: row.resolution,
        })
    }
}

macro_rules! select_report {
    () => {
        "SELECT p.id, p.room_id, r.code AS room_code, p.reporter_id, w.display_name AS reporter_name, p.user_id,
            u.display_name AS user_name, p.seq, p.quote, p.reason, p.note, p.state, p.created_at, p.handled_by,
            p.handled_at, p.resolution
         FROM reports p JOIN rooms r ON r.id = p.room_id JOIN users w ON w.id = p.reporter_id
         LEFT JOIN users u ON u.id = p.user_id "
    };
}

/// Which reports to read. The default is all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this room.
    pub room: Option<RoomId>,
    /// Only about this person.
    pub user: Option<UserId>,
}

/// Reports that fit, the newest first; `before` is the id of the last one that was shown.
///
/// # Errors
/// When the database fails.
pub async fn list(read: &mut Read, filter: Filter, before: Option<Uuid>, limit: u32) -> Result<Vec<Report>> {
    const SQL: Sql = sql! {
        postgres: concat!(select_report!(), "
            WHERE p.id < $1 AND ($2 = '' OR p.state = $2) AND ($3::UUID IS NULL OR p.room_id = $3)
                AND ($4::UUID IS NULL OR p.user_id = $4)
            ORDER BY p.id DESC LIMIT $5"),
        sqlite: concat!(select_report!(), "
            WHERE p.id < $1 AND ($2 = '' OR p.state = $2) AND ($3 IS NULL OR p.room_id = $3)
                AND ($4 IS NULL OR p.user_id = $4)
            ORDER BY p.id DESC LIMIT $5"),
    };
    let rows = fetch_all!(
        read,
        ReportRow,
        SQL,
        before.unwrap_or(Uuid::max()),
        filter.state.map_or("", State::as_str),
        filter.room.map(|room| room.0),
        filter.user.map(|user| user.0),
        i64::from(limit),
    )?;
    rows.into_iter().map(Report::try_from).collect()
}

/// One report.
///
/// # Errors
/// When the database fails.
pub async fn get(read: &mut Read, id: Uuid) -> Result<Option<Report>> {
    const SQL: &str = concat!(select_report!(), "WHERE p.id = $1");
    fetch_optional!(read, ReportRow, SQL, id)?.map(Report::try_from).transpose()
}

/// How many reports wait to be decided about.
///
/// # Errors
/// When the database fails.
pub async fn count_open(read: &mut Read) -> Result<u64> {
    let (count,) = fetch_one!(read, (i64,), "SELECT COUNT(*) FROM reports WHERE state = 'OPEN'")?;
    row::to_u64(count, "reports.state")
}

/// Decides about a report. Says whether it was still open.
///
/// # Errors
/// When the database fails.
pub async fn handle(
    tx: &mut Tx,
    id: Uuid,
    state: State,
    by: UserId,
    resolution: &str,
    now: Timestamp,
) -> Result<bool> {
    const SQL: &str = "
        UPDATE reports SET state = $2, handled_by = $3, handled_at = $4, resolution = $5
        WHERE id = $1 AND state = 'OPEN'";
    Ok(execute!(tx, SQL, id, state.as_str(), by.0, now.0, resolution)? > 0)
}

/// Forgets reports that were decided about before `before`, at most `limit`; says how many went.
///
/// # Errors
/// When the database fails.
pub async fn purge(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64> {
    const SQL: &str = "
        DELETE FROM reports WHERE id IN
            (SELECT id FROM reports WHERE state <> 'OPEN' AND handled_at < $1 ORDER BY id LIMIT $2)";
    execute!(tx, SQL, before.0, i64::from(limit))
}
