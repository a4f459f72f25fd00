//! Logins: sessions, the refresh tokens that extend them, and the log of what was revoked.

use std::time::Duration;

use sqlx::FromRow;
use streamit_domain::account::Email;
use streamit_domain::{SessionId, Timestamp, UserId};
use uuid::Uuid;

use crate::users::{User, UserRow};
use crate::{Read, Result, Tx, row};

/// One login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when, unless it is extended.
    pub expires_at: Timestamp,
}

/// A new login.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// The hash of the cookie's value, if a cookie was set.
    pub cookie_hash: Option<&'a [u8]>,
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
    /// Where it came from, hashed.
    pub address: Option<&'a str>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

#[derive(FromRow)]
struct LiveRow {
    session_id: Uuid,
    session_created_at: i64,
    expires_at: i64,
    #[sqlx(flatten)]
    user: UserRow,
}

impl LiveRow {
    fn into_pair(self) -> Result<(Session, User)> {
        let user = User::try_from(self.user)?;
        let session = Session {
            id: SessionId(self.session_id),
            user: user.id,
            created_at: Timestamp(self.session_created_at),
            expires_at: Timestamp(self.expires_at),
        };
        Ok((session, user))
    }
}

/// Keeps a new login.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, session: &NewSession<'_>) -> Result<()> {
    const SQL: &str = "
        INSERT INTO sessions (id, user_id, cookie_hash, user_agent, address, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    execute!(
        tx,
        SQL,
        session.id.0,
        session.user.0,
        session.cookie_hash,
        session.user_agent,
        session.address,
        session.created_at.0,
        session.expires_at.0,
    )?;
    Ok(())
}

/// The session and its user, if it holds at `now`: not revoked, not expired, and the user not banned.
///
/// # Errors
/// When the database fails.
pub async fn live(read: &mut Read, id: SessionId, now: Timestamp) -> Result<Option<(Session, User)>> {
    const SQL: &str = "
        SELECT s.id AS session_id, s.created_at AS session_created_at, s.expires_at,
            u.id, u.email, u.display_name, u.password_hash, u.is_guest, u.is_staff, u.is_superuser, u.is_active,
            u.created_at
        FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.is_active";
    fetch_optional!(read, LiveRow, SQL, id.0, now.0)?.map(LiveRow::into_pair).transpose()
}

/// The session whose cookie this is, as [`live`].
///
/// # Errors
/// When the database fails.
pub async fn by_cookie(read: &mut Read, hash: &[u8], now: Timestamp) -> Result<Option<(Session, User)>> {
    const SQL: &str = "
        SELECT s.id AS session_id, s.created_at AS session_created_at, s.expires_at,
            u.id, u.email, u.display_name, u.password_hash, u.is_guest, u.is_staff, u.is_superuser, u.is_active,
            u.created_at
        FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.cookie_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.is_active";
    fetch_optional!(read, LiveRow, SQL, hash, now.0)?.map(LiveRow::into_pair).transpose()
}

/// Whether the account of `email` has a session from this (hashed) address, or had one that, had it not been ended,
/// would still hold. An account that does not exist has none.
///
/// # Errors
/// When the database fails.
pub async fn has_been_at(read: &mut Read, email: &Email, address: &str, now: Timestamp) -> Result<bool> {
    const SQL: &str = "
        SELECT EXISTS (
            SELECT 1 FROM users u JOIN sessions s ON s.user_id = u.id
            WHERE u.email = $1 AND s.address = $2 AND s.expires_at > $3
        )";
    let (has,) = fetch_one!(read, (bool,), SQL, email.as_str(), address, now.0)?;
    Ok(has)
}

/// Moves the end of a session further away; never nearer.
///
/// # Errors
/// When the database fails.
pub async fn extend(tx: &mut Tx, id: SessionId, expires_at: Timestamp) -> Result<()> {
    const SQL: &str = "
        UPDATE sessions SET expires_at = $2 WHERE id = $1 AND expires_at < $2 AND revoked_at IS NULL";
    execute!(tx, SQL, id.0, expires_at.0)?;
    Ok(())
}

/// Ends a session. Gives the id of its entry in the log of revocations, or nothing when it had ended before.
///
/// # Errors
/// When the database fails.
pub async fn revoke(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING user_id";
    match fetch_optional!(tx, (Uuid,), SQL, id.0, now.0)? {
        Some((user,)) => log(tx, UserId(user), Some(id), now).await.map(Some),
        None => Ok(None),
    }
}

/// Ends every session of a user. Gives the id of the one entry in the log of revocations that says so.
///
/// # Errors
/// When the database fails.
pub async fn revoke_all(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<u64> {
    const SQL: &str = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
    execute!(tx, SQL, user.0, now.0)?;
    log(tx, user, None, now).await
}

async fn log(tx: &mut Tx, user: UserId, session: Option<SessionId>, now: Timestamp) -> Result<u64> {
    const SQL: &str = "
        INSERT INTO revocations (user_id, session_id, created_at) VALUES ($1, $2, $3) RETURNING id";
    let (id,) = fetch_one!(tx, (i64,), SQL, user.0, session.map(|id| id.0), now.0)?;
    row::to_u64(id, "revocations.id")
}

/// How long a used refresh token still answers: two tabs may use it at once.
pub const REFRESH_GRACE: Duration = Duration::from_secs(30);

/// What a refresh token was good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Not used before; it is now.
    Fresh(Session, User),
    /// Used less than [`REFRESH_GRACE`] ago: another tab was faster. Answer it all the same.
    Grace(Session, User),
    /// Used longer ago: somebody else has it. The session should end.
    Reused(SessionId),
    /// Never given out, expired, or its session is over.
    Unknown,
}

/// Keeps the hash of a refresh token.
///
/// # Errors
/// When the database fails.
pub async fn insert_refresh(
    tx: &mut Tx,
    session: SessionId,
    hash: &[u8],
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    const SQL: &str = "
        INSERT INTO refresh_tokens (hash, session_id, issued_at, expires_at) VALUES ($1, $2, $3, $4)";
    execute!(tx, SQL, hash, session.0, now.0, expires_at.0)?;
    Ok(())
}

/// Uses a refresh token. Two callers at once are told apart by the lock of its row.
///
/// # Errors
/// When the database fails.
pub async fn use_refresh(tx: &mut Tx, hash: &[u8], now: Timestamp) -> Result<Refresh> {
    const LOCK: crate::engine::Sql = sql! {
        postgres: "SELECT session_id, used_at FROM refresh_tokens WHERE hash = $1 AND expires_at > $2 FOR UPDATE",
        sqlite: "SELECT session_id, used_at FROM refresh_tokens WHERE hash = $1 AND expires_at > $2",
    };
    const USE: &str = "UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1";
    let Some((session, used_at)) = fetch_optional!(tx, (Uuid, Option<i64>), LOCK, hash, now.0)? else {
        return Ok(Refresh::Unknown);
    };
    let Some((session, user)) = live(tx, SessionId(session), now).await? else {
        return Ok(Refresh::Unknown);
    };
    match used_at {
        None => {
            execute!(tx, USE, hash, now.0)?;
            Ok(Refresh::Fresh(session, user))
        }
        Some(used_at) if now.since(Timestamp(used_at)) < REFRESH_GRACE => Ok(Refresh::Grace(session, user)),
        Some(_) => Ok(Refresh::Reused(session.id)),
    }
}

/// An entry in the log of revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its place in the log.
    pub id: u64,
    /// Whose sessions.
    pub user: UserId,
    /// Which one; none means each that the user had by then.
    pub session: Option<SessionId>,
    /// When.
    pub created_at: Timestamp,
}

#[derive(FromRow)]
struct RevocationRow {
    id: i64,
    user_id: Uuid,
    session_id: Option<Uuid>,
    created_at: i64,
}

/// The most entries that [`revocations_after`] gives at once.
pub const MAX_REVOCATIONS: usize = 1_000;

/// The entries after `after`, and again those made since `since`: an id is drawn before its transaction commits,
/// so a lower one may appear after a higher one. Gives the id to ask from next time, too; it is the highest in
/// the log unless there were more than [`MAX_REVOCATIONS`] entries.
///
/// # Errors
/// When the database fails.
pub async fn revocations_after(
    read: &mut Read,
    after: u64,
    since: Timestamp,
) -> Result<(Vec<Revocation>, u64)> {
    // New ones first, so that a full answer is always a step forward.
    const SQL: &str = "
        SELECT id, user_id, session_id, created_at FROM revocations
        WHERE id > $1 OR created_at >= $2
        ORDER BY CASE WHEN id > $1 THEN 0 ELSE 1 END, id LIMIT $3";
    let head = revocation_head(read).await?;
    let limit = i64::try_from(MAX_REVOCATIONS).unwrap_or(i64::MAX);
    let rows = fetch_all!(read, RevocationRow, SQL, row::to_i64(after), since.0, limit)?;
    let is_full = rows.len() == MAX_REVOCATIONS;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        entries.push(Revocation {
            id: row::to_u64(row.id, "revocations.id")?,
            user: UserId(row.user_id),
            session: row.session_id.map(SessionId),
            created_at: Timestamp(row.created_at),
        });
    }
    let told = entries.iter().map(|entry| entry.id).filter(|id| *id > after).max();
    let next = if is_full { told.unwrap_or(head) } else { told.unwrap_or(head).max(head) };
    entries.sort_unstable_by_key(|entry| entry.id);
    Ok((entries, next))
}

/// The highest id in the log of revocations: where somebody who has nothing to end yet may start. Lower than what
/// was seen before means that the database lost something.
///
/// # Errors
/// When the database fails.
pub async fn revocation_head(read: &mut Read) -> Result<u64> {
    let (head,) = fetch_one!(read, (i64,), "SELECT COALESCE(MAX(id), 0) FROM revocations")?;
    row::to_u64(head, "revocations.id")
}

/// Forgets refresh tokens that expired before `before`, and revocations made before it except the last one (its id
/// tells how far the log has come). Gives how many rows went.
///
/// # Errors
/// When the database fails.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    const TOKENS: &str = "DELETE FROM refresh_tokens WHERE expires_at < $1";
    const REVOCATIONS: &str = "
        DELETE FROM revocations WHERE created_at < $1 AND id < (SELECT MAX(id) FROM revocations)";
    Ok(execute!(tx, TOKENS, before.0)? + execute!(tx, REVOCATIONS, before.0)?)
}
