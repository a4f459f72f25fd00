//! What staff does to accounts, beyond what [`users`](crate::users) and [`sessions`](crate::sessions) do anyway.

use sqlx::FromRow;
use streamit_domain::{DisplayName, RoomId, Timestamp, UserId};
use uuid::Uuid;

use crate::engine::Sql;
use crate::users::{User, UserRow};
use crate::{Result, Tx, row};

/// Two accounts, the one that acts and the one that it acts on, which keep their rights until this transaction ends. What
/// two superusers do to each other at the same time thus happens one after the other.
///
/// # Errors
/// When the database fails.
pub async fn lock_pair(tx: &mut Tx, actor: UserId, target: UserId) -> Result<(Option<User>, Option<User>)> {
    const SQL: Sql = sql! {
        postgres: "SELECT id, email, display_name, password_hash, is_guest, is_staff, is_superuser, is_active, created_at
            FROM users WHERE id IN ($1, $2) ORDER BY id FOR NO KEY UPDATE",
        sqlite: "SELECT id, email, display_name, password_hash, is_guest, is_staff, is_superuser, is_active, created_at
            FROM users WHERE id IN ($1, $2) ORDER BY id",
    };
    let rows = fetch_all!(tx, UserRow, SQL, actor.0, target.0)?;
    let users: Vec<User> = rows.into_iter().map(User::try_from).collect::<Result<_>>()?;
    let find = |id: UserId| users.iter().find(|user| user.id == id).cloned();
    Ok((find(actor), find(target)))
}

/// Gives or takes the right to use the panel, and to do everything there. Says whether there is such an account.
///
/// # Errors
/// When the database fails.
pub async fn set_rights(tx: &mut Tx, id: UserId, is_staff: bool, is_superuser: bool) -> Result<bool> {
    const SQL: &str = "UPDATE users SET is_staff = $2, is_superuser = $3 WHERE id = $1 AND NOT is_guest";
    Ok(execute!(tx, SQL, id.0, is_staff, is_superuser)? > 0)
}

#[derive(FromRow)]
struct ChangedRow {
    id: Uuid,
    facts_version: i64,
}

/// Forgets who somebody is: address, password, name, and what was kept of their devices; in rooms and beside what they
/// said, they are `name` from now on. The account is switched off. Gives the open rooms whose facts changed by that, with
/// their new versions. End the sessions in the same transaction.
///
/// # Errors
/// When the database fails.
pub async fn anonymise(
    tx: &mut Tx,
    id: UserId,
    name: &DisplayName,
    now: Timestamp,
) -> Result<Vec<(RoomId, u64)>> {
    // The rooms first, in the order of their ids, then their people: as everywhere.
    const LOCK: Sql = sql! {
        postgres: "SELECT r.id FROM rooms r WHERE r.life = 'ACTIVE'
                AND r.id IN (SELECT p.room_id FROM participants p WHERE p.user_id = $1)
            ORDER BY r.id FOR NO KEY UPDATE",
        sqlite: "SELECT r.id FROM rooms r WHERE r.life = 'ACTIVE'
                AND r.id IN (SELECT p.room_id FROM participants p WHERE p.user_id = $1)
            ORDER BY r.id",
    };
    const ROOMS: &str = "
        UPDATE rooms SET facts_version = facts_version + 1
        WHERE life = 'ACTIVE' AND id IN (SELECT p.room_id FROM participants p WHERE p.user_id = $1)
        RETURNING id, facts_version";
    const PEOPLE: &str = "
        UPDATE participants SET display_name = $2, name_key = $3, network = NULL,
            changed_version = (SELECT r.facts_version FROM rooms r WHERE r.id = participants.room_id)
        WHERE user_id = $1";
    const MESSAGES: &str = "
        UPDATE messages SET name = $2
        WHERE user_id = $1 AND room_id IN (SELECT p.room_id FROM participants p WHERE p.user_id = $1)";
    const SESSIONS: &str = "UPDATE sessions SET user_agent = NULL, address = NULL WHERE user_id = $1";
    const PANEL: &str = "UPDATE panel_sessions SET user_agent = NULL, address = NULL WHERE user_id = $1";
    const USER: &str = "
        UPDATE users SET email = NULL, password_hash = NULL, display_name = $2, is_staff = FALSE,
            is_superuser = FALSE, is_active = FALSE, anonymised_at = $3
        WHERE id = $1";
    let _: Vec<(Uuid,)> = fetch_all!(tx, (Uuid,), LOCK, id.0)?;
    let rooms = fetch_all!(tx, ChangedRow, ROOMS, id.0)?;
    // A key that no name has: whoever calls himself so must not keep anybody from being forgotten.
    let key = format!("\u{1}{}", id.0);
    execute!(tx, PEOPLE, id.0, name.as_str(), key)?;
    execute!(tx, MESSAGES, id.0, name.as_str())?;
    execute!(tx, SESSIONS, id.0)?;
    execute!(tx, PANEL, id.0)?;
    // Last: who joins a room meanwhile holds its lock and wants to see this row.
    execute!(tx, USER, id.0, name.as_str(), now.0)?;
    rooms
        .into_iter()
        .map(|room| Ok((RoomId(room.id), row::to_u64(room.facts_version, "rooms.facts_version")?)))
        .collect()
}
