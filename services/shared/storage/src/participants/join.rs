//! Coming into a room, by any number of people and tabs at once.

use std::collections::HashSet;

use streamit_domain::room::Standing;
use streamit_domain::{DisplayName, RoomId, Timestamp, UserId};

use super::{Change, Participant, bump, changed, get, locked};
use crate::engine::Sql;
use crate::{Conflict, Error, Read, Result, Tx, batch};

/// How often a name may be snatched away before we give up. After the first time contenders stand in line, so
/// only newcomers on their own first try can still be faster.
const TRIES: u32 = 32;

/// How many numbered names are looked at in one go, at first.
const FIRST_NAMES: u32 = 64;

/// Puts somebody into a room as `standing` ([`Standing::Approved`] or [`Standing::Pending`]), called `name` or, when
/// somebody has that name, `name` with a number. Doing it again changes nothing, however many do it at once, and
/// an entry keeps its name. Who was in before (left, rejected, a kick that is over) comes back, which is a change
/// of facts.
///
/// The caller has decided that they may ([`streamit_domain::room::join`]). What was decided against them in the
/// meantime stands: somebody banned, or kicked until after `now`, is given back as such, and who is approved
/// already is not asked to wait again. So look at the entry's standing.
///
/// Nothing in the same transaction may lock the room after this.
///
/// # Errors
/// [`Conflict::Name`] when others were faster with every name, or when the database fails.
pub async fn upsert_join(
    tx: &mut Tx,
    room: RoomId,
    user: UserId,
    name: &DisplayName,
    standing: Standing,
    now: Timestamp,
) -> Result<Change> {
    if let Some(entry) = get(tx, room, user).await? {
        return rejoin(tx, entry, standing, now).await;
    }
    // Asking to come in is a fact (the host is told), and facts take the room's lock first.
    let mut is_locked = false;
    let mut version = 0;
    if standing != Standing::Approved {
        if let Some(entry) = locked(tx, room, user).await? {
            return rejoin(tx, entry, standing, now).await;
        }
        version = bump(tx, room).await?;
        is_locked = true;
    }
    for _ in 0..TRIES {
        let free = free_name(tx, room, name).await?;
        if insert(tx, room, user, &free, standing, version, now).await? {
            let entry = changed(tx, room, user).await?.ok_or(Error::Corrupt("participants.room_id"))?;
            return Ok(Change { facts_changed: version > 0, ..entry });
        }
        // Either another tab of the same person was faster, or another person with the same name.
        let entry = if is_locked { get(tx, room, user).await? } else { locked(tx, room, user).await? };
        is_locked = true;
        if let Some(entry) = entry {
            return rejoin(tx, entry, standing, now).await;
        }
    }
    Err(Error::Conflict(Conflict::Name))
}

/// What joining means for somebody who has an entry.
async fn rejoin(tx: &mut Tx, entry: Participant, standing: Standing, now: Timestamp) -> Result<Change> {
    const SQL: &str = "
        UPDATE participants SET standing = $3, kicked_until = NULL, changed_version = $4,
            joined_at = CASE WHEN $3 = 'APPROVED' THEN COALESCE(joined_at, $5) ELSE joined_at END
        WHERE room_id = $1 AND user_id = $2";
    if stays(&entry, standing, now) {
        return Ok(Change { participant: entry, facts_changed: false });
    }
    let (room, user) = (entry.room, entry.user);
    // Under the lock it may be different: look again.
    let entry = locked(tx, room, user).await?.ok_or(Error::Corrupt("participants.user_id"))?;
    if stays(&entry, standing, now) {
        return Ok(Change { participant: entry, facts_changed: false });
    }
    let version = bump(tx, room).await?;
    execute!(tx, SQL, room.0, user.0, standing.as_str(), version, now.0)?;
    changed(tx, room, user).await?.ok_or(Error::Corrupt("participants.user_id"))
}

/// Whether the entry is as it should be already, or must not be touched by a join.
fn stays(entry: &Participant, standing: Standing, now: Timestamp) -> bool {
    match entry.standing {
        Standing::Approved | Standing::Banned => true,
        Standing::Kicked => entry.kicked_until.is_some_and(|until| until > now),
        other => other == standing,
    }
}

/// Puts a new entry in. False when the person has one by now, or the name is taken.
async fn insert(
    tx: &mut Tx,
    room: RoomId,
    user: UserId,
    name: &DisplayName,
    standing: Standing,
    version: i64,
    now: Timestamp,
) -> Result<bool> {
    // PostgreSQL waits here for whoever is inserting the same entry or name, and then knows.
    const SQL: &str = "
        INSERT INTO participants
            (room_id, user_id, display_name, name_key, standing, changed_version, created_at, joined_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $5 = 'APPROVED' THEN $7 END)
        ON CONFLICT DO NOTHING";
    let word = standing.as_str();
    Ok(execute!(tx, SQL, room.0, user.0, name.as_str(), name.key(), word, version, now.0)? > 0)
}

/// The first of "Bob", "Bob (2)", "Bob (3)".. that nobody in the room has. One statement, unless more than
/// [`FIRST_NAMES`] people share the name; then each further one looks at four times as many.
async fn free_name(read: &mut Read, room: RoomId, base: &DisplayName) -> Result<DisplayName> {
    const SQL: Sql = sql! {
        postgres: "SELECT name_key FROM participants
            WHERE room_id = $1 AND name_key IN (SELECT value FROM json_array_elements_text($2::JSON))",
        sqlite: "SELECT name_key FROM participants
            WHERE room_id = $1 AND name_key IN (SELECT value FROM json_each($2))",
    };
    let (mut from, mut count) = (1_u32, FIRST_NAMES);
    while let Some(to) = from.checked_add(count) {
        let names: Vec<DisplayName> = (from..to).map(|n| base.numbered(n)).collect();
        let keys: Vec<String> = names.iter().map(DisplayName::key).collect();
        let taken = fetch_all!(read, (String,), SQL, room.0, batch::json(&keys)?)?;
        let taken: HashSet<String> = taken.into_iter().map(|(key,)| key).collect();
        if let Some(free) = names.into_iter().zip(keys).find(|(_, key)| !taken.contains(key)) {
            return Ok(free.0);
        }
        (from, count) = (to, count.saturating_mul(4));
    }
    Err(Error::Conflict(Conflict::Name))
}
