//! The audit log: who did what, when, to whom, from where. Rows are added, read, and forgotten when they are old; the
//! database refuses to change one.
//!
//! Ids sort by time, so they are the key by which lists are paged. People are named by id alone: anonymising a person
//! needs no change here.

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::audit::{Action, ActorKind};
use streamit_domain::{DisplayName, RoomId, Timestamp, UserId};
use uuid::Uuid;

use crate::batch::{self, Hex};
use crate::engine::Sql;
use crate::{Error, Read, Result, Tx, row};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its own name; of version 7, so that ids sort by time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: Action,
    /// What the one who did it is.
    pub actor_kind: ActorKind,
    /// Who did it; nobody when the service did, or nobody is known.
    pub actor: Option<UserId>,
    /// In which room.
    pub room: Option<RoomId>,
    /// To whom.
    pub target: Option<UserId>,
    /// From where, as [`streamit_domain::audit::truncated`] leaves it.
    pub address: Option<String>,
    /// What was before, in JSON.
    pub before: Option<String>,
    /// And after.
    pub after: Option<String>,
    /// Why, in the words of who did it.
    pub reason: Option<String>,
    /// The request that did it, as logs name it.
    pub request_id: Option<String>,
}

#[derive(Serialize)]
struct Insert<'a> {
    id: Hex,
    at: i64,
    action: &'static str,
    actor_kind: &'static str,
    actor: Option<Hex>,
    room: Option<Hex>,
    target: Option<Hex>,
    address: Option<&'a str>,
    before: Option<&'a str>,
    after: Option<&'a str>,
    reason: Option<&'a str>,
    request_id: Option<&'a str>,
}

/// Adds rows, with one statement. In a room or about a person that does not exist a row is left out, since nodes may tell
/// of what a restored database does not know; says how many went in.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, records: &[Record]) -> Result<u64> {
    const SQL: Sql = sql! {
        postgres: "INSERT INTO audit_log (id, at, action, actor_kind, actor_id, room_id, target_id, address, before, after,
                reason, request_id)
            SELECT a.id, a.at, a.action, a.actor_kind, a.actor, a.room, a.target, a.address, a.before, a.after, a.reason,
                a.request_id
            FROM json_to_recordset($1::JSON) AS a(id UUID, at BIGINT, action TEXT, actor_kind TEXT, actor UUID,
                room UUID, target UUID, address TEXT, before TEXT, after TEXT, reason TEXT, request_id TEXT)
            WHERE (a.room IS NULL OR EXISTS (SELECT 1 FROM rooms r WHERE r.id = a.room))
                AND (a.actor IS NULL OR EXISTS (SELECT 1 FROM users u WHERE u.id = a.actor))
                AND (a.target IS NULL OR EXISTS (SELECT 1 FROM users u WHERE u.id = a.target))
            ON CONFLICT (id) DO NOTHING",
        sqlite: "INSERT INTO audit_log (id, at, action, actor_kind, actor_id, room_id, target_id, address, before, after,
                reason, request_id)
            SELECT unhex(a.value ->> 'id'), a.value ->> 'at', a.value ->> 'action', a.value ->> 'actor_kind',
                unhex(a.value ->> 'actor'), unhex(a.value ->> 'room'), unhex(a.value ->> 'target'),
                a.value ->> 'address', a.value ->> 'before', a.value ->> 'after', a.value ->> 'reason',
                a.value ->> 'request_id'
            FROM json_each($1) a
            WHERE (a.value ->> 'room' IS NULL
                    OR EXISTS (SELECT 1 FROM rooms r WHERE r.id = unhex(a.value ->> 'room')))
                AND (a.value ->> 'actor' IS NULL
                    OR EXISTS (SELECT 1 FROM users u WHERE u.id = unhex(a.value ->> 'actor')))
                AND (a.value ->> 'target' IS NULL
                    OR EXISTS (SELECT 1 FROM users u WHERE u.id = unhex(a.value ->> 'target')))
            ON CONFLICT (id) DO NOTHING",
    };
    if records.is_empty() {
        return Ok(0);
    }
    let rows: Vec<Insert<'_>> = records
        .iter()
        .map(|record| Insert {
            id: Hex(record.id),
            at: record.at.0,
            action: record.action.as_str(),
            actor_kind: record.actor_kind.as_str(),
            actor: record.actor.map(|user| Hex(user.0)),
            room: record.room.map(|room| Hex(room.0)),
            target: record.target.map(|user| Hex(user.0)),
            address: record.address.as_deref(),
            before: record.before.as_deref(),
            after: record.after.as_deref(),
            reason: record.reason.as_deref(),
            request_id: record.request_id.as_deref(),
        })
        .collect();
    execute!(tx, SQL, batch::json(&rows)?)
}

/// Which rows to read; what is not said does not matter. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this room.
    pub room: Option<RoomId>,
    /// Only what this person did.
    pub actor: Option<UserId>,
    /// Only what was done to this person.
    pub target: Option<UserId>,
    /// Only these; empty: all.
    pub actions: Vec<Action>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

/// A row with the names that people have now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The row.
    pub record: Record,
    /// What the one who did it is called.
    pub actor_name: Option<DisplayName>,
    /// What the one it was done to is called.
    pub target_name: Option<DisplayName>,
    /// What people type to find the room.
    pub room_code: Option<String>,
}

#[derive(FromRow)]
struct EntryRow {
    id: Uuid,
    at: i64,
    action: String,
    actor_kind: String,
    actor_id: Option<Uuid>,
    room_id: Option<Uuid>,
    target_id: Option<Uuid>,
    address: Option<String>,
    before: Option<String>,
    after: Option<String>,
    reason: Option<String>,
    request_id: Option<String>,
    actor_name: Option<String>,
    target_name: Option<String>,
    room_code: Option<String>,
}

impl TryFrom<EntryRow> for Entry {
    type Error = Error;

    fn try_from(row: EntryRow) -> Result<Self> {
        let name = |name: Option<String>| name.map(|name| row::name(&name, "users.display_name")).transpose();
        Ok(Self {
            actor_name: name(row.actor_name)?,
            target_name: name(row.target_name)?,
            room_code: row.room_code,
            record: Record {
                id: row.id,
                at: Timestamp(row.at),
                action: row.action.parse().map_err(|_| Error::Corrupt("audit_log.action"))?,
                actor_kind: row.actor_kind.parse().map_err(|_| Error::Corrupt("audit_log.actor_kind"))?,
                actor: row.actor_id.map(UserId),
                room: row.room_id.map(RoomId),
                target: row.target_id.map(UserId),
                address: row.address,
                before: row.before,
                after: row.after,
                reason: row.reason,
                request_id: row.request_id,
            },
        })
    }
}

/// What [`EntryRow`] reads, and the part of the condition that all lists share. The id is the key of the page.
macro_rules! entries {
    ($key:literal, $side:literal, $order:literal) => {
        sql! {
            postgres: concat!(
                "SELECT a.id, a.at, a.action, a.actor_kind, a.actor_id, a.room_id, a.target_id, a.address, a.before,
                    a.after, a.reason, a.request_id, u.display_name AS actor_name, t.display_name AS target_name,
                    r.code AS room_code
                 FROM audit_log a LEFT JOIN users u ON u.id = a.actor_id LEFT JOIN users t ON t.id = a.target_id
                 LEFT JOIN rooms r ON r.id = a.room_id
                 WHERE ", $key, " AND a.id ", $side, " $2 AND a.id >= $3 AND a.id < $4
                    AND ($5 = '[]' OR a.action IN (SELECT value FROM json_array_elements_text($5::JSON)))
                    AND ($6::UUID IS NULL OR a.target_id = $6) AND ($7::UUID IS NULL OR a.actor_id = $7)
                 ORDER BY a.id ", $order, " LIMIT $8"
            ),
            sqlite: concat!(
                "SELECT a.id, a.at, a.action, a.actor_kind, a.actor_id, a.room_id, a.target_id, a.address, a.before,
                    a.after, a.reason, a.request_id, u.display_name AS actor_name, t.display_name AS target_name,
                    r.code AS room_code
                 FROM audit_log a LEFT JOIN users u ON u.id = a.actor_id LEFT JOIN users t ON t.id = a.target_id
                 LEFT JOIN rooms r ON r.id = a.room_id
                 WHERE ", $key, " AND a.id ", $side, " $2 AND a.id >= $3 AND a.id < $4
                    AND ($5 = '[]' OR a.action IN (SELECT value FROM json_each($5)))
                    AND ($6 IS NULL OR a.target_id = $6) AND ($7 IS NULL OR a.actor_id = $7)
                 ORDER BY a.id ", $order, " LIMIT $8"
            ),
        }
    };
}

/// One statement for each way in, so that each finds its index.
struct Ways {
    of_room: Sql,
    of_actor: Sql,
    of_target: Sql,
    all: Sql,
}

macro_rules! ways {
    ($side:literal, $order:literal) => {
        Ways {
            of_room: entries!("a.room_id = $1", $side, $order),
            of_actor: entries!("a.actor_id = $1", $side, $order),
            of_target: entries!("a.target_id = $1", $side, $order),
            all: entries!("a.id <> $1", $side, $order),
        }
    };
}
/// Rows that fit, the newest first; `before` is the id of the last one that was shown.
///
/// # Errors
/// When the database fails.
pub async fn list(read: &mut Read, filter: &Filter, before: Option<Uuid>, limit: u32) -> Result<Vec<Entry>> {
    const SQL: Ways = ways!("<", "DESC");
    page(read, SQL, filter, before.unwrap_or(Uuid::max()), limit).await
}

/// Rows that fit and are newer than that with the id `after`, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_newer(read: &mut Read, filter: &Filter, after: Uuid, limit: u32) -> Result<Vec<Entry>> {
    const SQL: Ways = ways!(">", "ASC");
    page(read, SQL, filter, after, limit).await
}

async fn page(read: &mut Read, ways: Ways, filter: &Filter, beside: Uuid, limit: u32) -> Result<Vec<Entry>> {
    let (sql, key) = match filter {
        Filter { room: Some(room), .. } => (ways.of_room, room.0),
        Filter { actor: Some(actor), .. } => (ways.of_actor, actor.0),
        Filter { target: Some(target), .. } => (ways.of_target, target.0),
        _ => (ways.all, Uuid::nil()),
    };
    let words: Vec<&str> = filter.actions.iter().map(|action| action.as_str()).collect();
    let rows = fetch_all!(
        read,
        EntryRow,
        sql,
        key,
        beside,
        filter.since.map_or(Uuid::nil(), first_id),
        filter.until.map_or(Uuid::max(), first_id),
        batch::json(&words)?,
        filter.target.map(|user| user.0),
        filter.actor.map(|user| user.0),
        i64::from(limit),
    )?;
    rows.into_iter().map(Entry::try_from).collect()
}

/// The lowest id that sorts by time (UUID version 7, RFC 9562, section 5.7) of this moment.
pub(crate) fn first_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from(at.0.max(0).unsigned_abs()) << 80)
}

/// Forgets rows from before `before`, at most `limit`; says how many went.
///
/// # Errors
/// When the database fails.
pub async fn purge(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64> {
    const SQL: &str = "
        DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 ORDER BY at LIMIT $2)";
    execute!(tx, SQL, before.0, i64::from(limit))
}
