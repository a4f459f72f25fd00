//! What is known of rooms at a version, for many rooms at once.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::room::{Facts, Person};
use streamit_domain::{RoomId, Timestamp, UserId};
use uuid::Uuid;

use super::{Room, RoomRow, room_columns};
use crate::batch::{self, Hex};
use crate::engine::Sql;
use crate::{Error, Read, Result, row};

#[derive(Serialize)]
struct Ask {
    /// The place in the batch.
    i: usize,
    room: Hex,
    since: i64,
}

#[derive(FromRow)]
struct FactsRow {
    i: i64,
    #[sqlx(flatten)]
    room: RoomRow,
    host_name: String,
}

#[derive(FromRow)]
struct PersonRow {
    i: i64,
    user_id: Uuid,
    display_name: String,
    standing: String,
    role: String,
    muted_until: Option<i64>,
    removed_version: i64,
    changed_version: i64,
}

/// What is known of each room, with the people whose entry changed after the version given with it (0: everybody
/// who has more than a plain join). In the order asked; nothing for a room that does not exist. Two statements,
/// however many rooms.
///
/// # Errors
/// When the database fails.
pub async fn facts(read: &mut Read, rooms: &[(RoomId, u64)]) -> Result<Vec<Option<Facts>>> {
    const ROOMS: Sql = sql! {
        postgres: concat!(
            "SELECT a.i, ", room_columns!(), ", p.display_name AS host_name
             FROM json_to_recordset($1::JSON) AS a(i BIGINT, room UUID)
             JOIN rooms r ON r.id = a.room
             JOIN participants p ON p.room_id = r.id AND p.user_id = r.host_id"
        ),
        sqlite: concat!(
            "SELECT a.value ->> 'i' AS i, ", room_columns!(), ", p.display_name AS host_name
             FROM json_each($1) a
             JOIN rooms r ON r.id = unhex(a.value ->> 'room')
             JOIN participants p ON p.room_id = r.id AND p.user_id = r.host_id"
        ),
    };
    // After the rooms: a change that commits in between is told early here, and again with the next version. The
    // other way round it would be missing. It must not be left out by its version either: what the person's entry
    // said at the room's version is gone, and a ban would look lifted for a moment.
    const PEOPLE: Sql = sql! {
        postgres: "SELECT a.i, p.user_id, p.display_name, p.standing, p.role, p.muted_until, p.removed_version,
                p.changed_version
            FROM json_to_recordset($1::JSON) AS a(i BIGINT, room UUID, since BIGINT)
            JOIN participants p ON p.room_id = a.room AND p.changed_version > a.since",
        sqlite: "SELECT a.value ->> 'i' AS i, p.user_id, p.display_name, p.standing, p.role, p.muted_until,
                p.removed_version, p.changed_version
            FROM json_each($1) a
            JOIN participants p ON p.room_id = unhex(a.value ->> 'room')
                AND p.changed_version > a.value ->> 'since'",
    };
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    let asks: Vec<Ask> = rooms
        .iter()
        .enumerate()
        .map(|(i, (room, since))| Ask { i, room: Hex(room.0), since: row::to_i64(*since) })
        .collect();
    let asks = batch::json(&asks)?;
    let mut answers: Vec<Option<Facts>> = Vec::new();
    answers.resize_with(rooms.len(), || None);
    for row in fetch_all!(read, FactsRow, ROOMS, &asks)? {
        let host_name = row::name(&row.host_name, "participants.display_name")?;
        let room: Room = row.room.try_into()?;
        *place(&mut answers, row.i)? = Some(Facts {
            room: room.id,
            code: room.code,
            version: room.facts_version,
            fence: room.fence,
            epoch: room.epoch,
            life: room.life,
            access: room.access,
            settings: room.settings,
            host: room.host,
            host_name,
            host_deadline: room.host_deadline,
            lost_host: room.lost_host,
            source: room.source,
            max_members: room.max_members,
            people: BTreeMap::new(),
        });
    }
    for row in fetch_all!(read, PersonRow, PEOPLE, &asks)? {
        if let Some(facts) = place(&mut answers, row.i)? {
            facts.people.insert(UserId(row.user_id), row.try_into()?);
        }
    }
    Ok(answers)
}

fn place<T>(answers: &mut [T], i: i64) -> Result<&mut T> {
    usize::try_from(i).ok().and_then(|i| answers.get_mut(i)).ok_or(Error::Corrupt("place in a batch"))
}

impl TryFrom<PersonRow> for Person {
    type Error = Error;

    fn try_from(row: PersonRow) -> Result<Self> {
        Ok(Self {
            name: row::name(&row.display_name, "participants.display_name")?,
            standing: row.standing.parse().map_err(|_| Error::Corrupt("participants.standing"))?,
            role: row::role(&row.role)?,
            muted_until: row.muted_until.map(Timestamp),
            removed_version: row::to_u64(row.removed_version, "participants.removed_version")?,
            changed_version: row::to_u64(row.changed_version, "participants.changed_version")?,
        })
    }
}

/// All versions of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The room.
    pub room: RoomId,
    /// The version of its facts.
    pub facts_version: u64,
    /// Grows when the database lost something.
    pub epoch: u64,
    /// The highest `seq` of its chat.
    pub chat_head: u64,
    /// The fence of those who may control playback.
    pub fence: u64,
    /// The number of the last erasure in its chat.
    pub erasures: u64,
    /// Messages below this one are gone.
    pub kept_from: u64,
}

#[derive(FromRow)]
struct VersionsRow {
    id: Uuid,
    facts_version: i64,
    epoch: i64,
    head: i64,
    host_fence: i64,
    erasures: i64,
    kept_from: i64,
}

/// The versions of these rooms, in no particular order; rooms that do not exist are left out. One statement.
///
/// # Errors
/// When the database fails.
pub async fn versions(read: &mut Read, rooms: &[RoomId]) -> Result<Vec<Versions>> {
    const SQL: Sql = sql! {
        postgres: "SELECT r.id, r.facts_version, r.epoch, r.host_fence, h.head, h.erasures, h.kept_from
            FROM rooms r JOIN chat_heads h ON h.room_id = r.id
            WHERE r.id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))",
        sqlite: "SELECT r.id, r.facts_version, r.epoch, r.host_fence, h.head, h.erasures, h.kept_from
            FROM rooms r JOIN chat_heads h ON h.room_id = r.id
            WHERE r.id IN (SELECT unhex(value) FROM json_each($1))",
    };
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    fetch_all!(read, VersionsRow, SQL, batch::ids(rooms.iter().map(|room| room.0))?)?
        .into_iter()
        .map(|row| {
            Ok(Versions {
                room: RoomId(row.id),
                facts_version: row::to_u64(row.facts_version, "rooms.facts_version")?,
                epoch: row::to_u64(row.epoch, "rooms.epoch")?,
                chat_head: row::to_u64(row.head, "chat_heads.head")?,
                fence: row::to_u64(row.host_fence, "rooms.host_fence")?,
                erasures: row::to_u64(row.erasures, "chat_heads.erasures")?,
                kept_from: row::to_u64(row.kept_from, "chat_heads.kept_from")?,
            })
        })
        .collect()
}
