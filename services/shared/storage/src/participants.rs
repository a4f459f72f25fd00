//! People in rooms: how they stand, what they are called there, what they may.
//!
//! An entry whose `changed_version` is above 0 is part of the room's facts; a plain join is just a row. Changes of
//! facts take the room's lock first and the entry after it, everywhere in this order.

mod join;

use sqlx::FromRow;
use streamit_domain::room::{Role, Standing};
use streamit_domain::{DisplayName, RoomId, Timestamp, UserId};
use uuid::Uuid;

pub use join::upsert_join;

use crate::engine::Sql;
use crate::{Error, Read, Result, Tx, batch, rooms, row};

/// Somebody's entry in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Where.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// Called so in this room; nobody else is.
    pub name: DisplayName,
    /// How they stand with the room.
    pub standing: Standing,
    /// Viewer or co-host. Who is host is said by the room.
    pub role: Role,
    /// Until when a kick holds.
    pub kicked_until: Option<Timestamp>,
    /// Until when they may not chat.
    pub muted_until: Option<Timestamp>,
    /// The facts version of their last removal.
    pub removed_version: u64,
    /// The facts version at which the entry last changed; 0 when there was never more to say than "joined".
    pub changed_version: u64,
    /// Came without an account.
    pub is_guest: bool,
    /// When they first asked to come in.
    pub created_at: Timestamp,
    /// When they first were in.
    pub joined_at: Option<Timestamp>,
}

/// An entry after a call, and whether the call changed it in a way that others have to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The entry now.
    pub participant: Participant,
    /// The room's facts are at `participant.changed_version` now, one more than before.
    pub facts_changed: bool,
}

#[derive(FromRow)]
pub(crate) struct ParticipantRow {
    room_id: Uuid,
    user_id: Uuid,
    display_name: String,
    standing: String,
    role: String,
    kicked_until: Option<i64>,
    muted_until: Option<i64>,
    removed_version: i64,
    changed_version: i64,
    is_guest: bool,
    created_at: i64,
    joined_at: Option<i64>,
}

/// What [`ParticipantRow`] reads, up to and including FROM.
macro_rules! select_participant {
    () => {
        "SELECT p.room_id, p.user_id, p.display_name, p.standing, p.role, p.kicked_until, p.muted_until, \
         p.removed_version, p.changed_version, u.is_guest, p.created_at, p.joined_at \
         FROM participants p JOIN users u ON u.id = p.user_id "
    };
}

impl TryFrom<ParticipantRow> for Participant {
    type Error = Error;

    fn try_from(row: ParticipantRow) -> Result<Self> {
        Ok(Self {
            room: RoomId(row.room_id),
            user: UserId(row.user_id),
            name: row::name(&row.display_name, "participants.display_name")?,
            standing: row.standing.parse().map_err(|_| Error::Corrupt("participants.standing"))?,
            role: row::role(&row.role)?,
            kicked_until: row::time(row.kicked_until),
            muted_until: row::time(row.muted_until),
            removed_version: row::to_u64(row.removed_version, "participants.removed_version")?,
            changed_version: row::to_u64(row.changed_version, "participants.changed_version")?,
            is_guest: row.is_guest,
            created_at: Timestamp(row.created_at),
            joined_at: row::time(row.joined_at),
        })
    }
}

/// Somebody's entry in a room.
///
/// # Errors
/// When the database fails.
pub async fn get(read: &mut Read, room: RoomId, user: UserId) -> Result<Option<Participant>> {
    const SQL: &str = concat!(select_participant!(), "WHERE p.room_id = $1 AND p.user_id = $2");
    fetch_optional!(read, ParticipantRow, SQL, room.0, user.0)?.map(Participant::try_from).transpose()
}

/// The entries of a room that stand in one of these ways, the oldest first; `after` is `created_at` and `user` of
/// the last one that was shown.
///
/// # Errors
/// When the database fails.
pub async fn list(
    read: &mut Read,
    room: RoomId,
    standings: &[Standing],
    after: Option<(Timestamp, UserId)>,
    limit: u32,
) -> Result<Vec<Participant>> {
    const SQL: Sql = sql! {
        postgres: concat!(
            select_participant!(),
            "WHERE p.room_id = $1 AND (p.created_at, p.user_id) > ($2, $3)
                AND p.standing IN (SELECT value FROM json_array_elements_text($4::JSON))
             ORDER BY p.created_at, p.user_id LIMIT $5"
        ),
        sqlite: concat!(
            select_participant!(),
            "WHERE p.room_id = $1 AND (p.created_at, p.user_id) > ($2, $3)
                AND p.standing IN (SELECT value FROM json_each($4))
             ORDER BY p.created_at, p.user_id LIMIT $5"
        ),
    };
    let (at, id) = after.unwrap_or((Timestamp(i64::MIN), UserId(Uuid::nil())));
    let words: Vec<&str> = standings.iter().map(|standing| standing.as_str()).collect();
    let words = batch::json(&words)?;
    let rows = fetch_all!(read, ParticipantRow, SQL, room.0, at.0, id.0, words, i64::from(limit))?;
    rows.into_iter().map(Participant::try_from).collect()
}

/// Changes how somebody stands: approves, rejects, lets go, kicks (until `kicked_until`), bans (a kick before it is
/// remembered as long), or lifts a ban (to [`Standing::Left`], or to the kick). Removing somebody voids the admissions they have, takes a co-host's role, and with it
/// raises the fence; a room that would have gone back to them no longer does. Nothing when they have no entry. What
/// is so already changes nothing, except that a kick holds anew.
///
/// # Errors
/// When the database fails.
pub async fn set_standing(
    tx: &mut Tx,
    room: RoomId,
    user: UserId,
    standing: Standing,
    kicked_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Change>> {
    const SQL: &str = "
        UPDATE participants SET standing = $3, kicked_until = $4, changed_version = $5,
            removed_version = CASE WHEN $6 THEN $5 ELSE removed_version END,
            role = CASE WHEN $6 THEN 'VIEWER' ELSE role END,
            joined_at = CASE WHEN $3 = 'APPROVED' THEN COALESCE(joined_at, $7) ELSE joined_at END
        WHERE room_id = $1 AND user_id = $2";
    const NO_RETURN: &str = "
        UPDATE rooms SET lost_host_id = NULL, lost_host_roster_version = NULL WHERE id = $1 AND lost_host_id = $2";
    let Some(before) = locked(tx, room, user).await? else {
        return Ok(None);
    };
    let is_same =
        before.standing == standing && (standing != Standing::Kicked || before.kicked_until == kicked_until);
    if is_same {
        return Ok(Some(Change { participant: before, facts_changed: false }));
    }
    let is_removal =
        matches!(standing, Standing::Rejected | Standing::Left | Standing::Kicked | Standing::Banned);
    let version = bump(tx, room).await?;
    let word = standing.as_str();
    let until =
        kicked_until.filter(|_| matches!(standing, Standing::Kicked | Standing::Banned)).map(|at| at.0);
    execute!(tx, SQL, room.0, user.0, word, until, version, is_removal, now.0)?;
    if is_removal {
        execute!(tx, NO_RETURN, room.0, user.0)?;
        if before.role == Role::Cohost {
            rooms::raise_fence(tx, room, now).await?;
        }
    }
    changed(tx, room, user).await
}

/// Keeps somebody from chatting until `until`, or no longer. Nothing when they have no entry.
///
/// # Errors
/// When the database fails.
pub async fn set_mute(
    tx: &mut Tx,
    room: RoomId,
    user: UserId,
    until: Option<Timestamp>,
) -> Result<Option<Change>> {
    const SQL: &str = "
        UPDATE participants SET muted_until = $3, changed_version = $4 WHERE room_id = $1 AND user_id = $2";
    let Some(before) = locked(tx, room, user).await? else {
        return Ok(None);
    };
    if before.muted_until == until {
        return Ok(Some(Change { participant: before, facts_changed: false }));
    }
    let version = bump(tx, room).await?;
    execute!(tx, SQL, room.0, user.0, until.map(|at| at.0), version)?;
    changed(tx, room, user).await
}

/// Makes somebody who is in the room a co-host, or a viewer again, and raises the fence. Nothing when they are not
/// in. The host is made by [`rooms::set_host`]; here it counts as viewer.
///
/// # Errors
/// When the database fails.
pub async fn set_role(
    tx: &mut Tx,
    room: RoomId,
    user: UserId,
    role: Role,
    now: Timestamp,
) -> Result<Option<Change>> {
    const SQL: &str = "
        UPDATE participants SET role = $3, changed_version = $4 WHERE room_id = $1 AND user_id = $2";
    let Some(before) = locked(tx, room, user).await? else {
        return Ok(None);
    };
    if before.standing != Standing::Approved {
        return Ok(None);
    }
    let role = if role == Role::Cohost { Role::Cohost } else { Role::Viewer };
    if before.role == role {
        return Ok(Some(Change { participant: before, facts_changed: false }));
    }
    let version = bump(tx, room).await?;
    execute!(tx, SQL, room.0, user.0, row::role_word(role), version)?;
    rooms::raise_fence(tx, room, now).await?;
    changed(tx, room, user).await
}

/// The entry, under the room's lock: nobody else changes it before this transaction ends.
async fn locked(tx: &mut Tx, room: RoomId, user: UserId) -> Result<Option<Participant>> {
    const SQL: Sql = sql! {
        postgres: "SELECT 1::BIGINT FROM rooms WHERE id = $1 FOR NO KEY UPDATE",
        sqlite: "SELECT 1 FROM rooms WHERE id = $1",
    };
    if fetch_optional!(tx, (i64,), SQL, room.0)?.is_none() {
        return Ok(None);
    }
    get(tx, room, user).await
}

/// The version that the change under way is to have.
async fn bump(tx: &mut Tx, room: RoomId) -> Result<i64> {
    let version = rooms::bump(tx, room).await?.ok_or(Error::Corrupt("participants.room_id"))?;
    Ok(row::to_i64(version))
}

async fn changed(tx: &mut Tx, room: RoomId, user: UserId) -> Result<Option<Change>> {
    let entry = get(tx, room, user).await?;
    Ok(entry.map(|participant| Change { participant, facts_changed: true }))
}
