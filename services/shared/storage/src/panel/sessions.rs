//! Logins to the panel. They are apart from those of viewers: shorter, and good for nothing else.

use std::time::Duration;

use sqlx::FromRow;
use streamit_domain::{SessionId, Timestamp, UserId};
use uuid::Uuid;

use crate::users::{User, UserRow};
use crate::{Read, Result, Tx};

/// How long after its last request a login ends.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long after it began it ends in any case.
pub const LONGEST: Duration = Duration::from_secs(8 * 3600);

/// A new login to the panel.
#[derive(Clone, Debug)]
pub struct NewPanelSession<'a> {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// The hash of the cookie's value.
    pub cookie_hash: &'a [u8],
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
    /// Where it came from, truncated.
    pub address: Option<&'a str>,
    /// Since when.
    pub created_at: Timestamp,
}

/// Keeps a new login.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, session: &NewPanelSession<'_>) -> Result<()> {
    const SQL: &str = "
        INSERT INTO panel_sessions (id, user_id, cookie_hash, user_agent, address, created_at, seen_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $7)";
    execute!(
        tx,
        SQL,
        session.id.0,
        session.user.0,
        session.cookie_hash,
        session.user_agent,
        session.address,
        session.created_at.0,
        session.created_at.plus(LONGEST).0,
    )?;
    Ok(())
}

#[derive(FromRow)]
struct LiveRow {
    session_id: Uuid,
    seen_at: i64,
    #[sqlx(flatten)]
    user: UserRow,
}

/// A login to the panel that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanelSession {
    /// Which.
    pub id: SessionId,
    /// When it was last used.
    pub seen_at: Timestamp,
    /// Whose.
    pub user: User,
}

/// The login whose cookie this is, if it holds at `now`: not ended, used lately, and its owner is staff still.
///
/// # Errors
/// When the database fails.
pub async fn by_cookie(read: &mut Read, hash: &[u8], now: Timestamp) -> Result<Option<PanelSession>> {
    const SQL: &str = "
        SELECT s.id AS session_id, s.seen_at,
            u.id, u.email, u.display_name, u.password_hash, u.is_guest, u.is_staff, u.is_superuser, u.is_active,
            u.created_at
        FROM panel_sessions s JOIN users u ON u.id = s.user_id
        WHERE s.cookie_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND s.seen_at > $3
            AND u.is_active AND u.is_staff";
    let row = fetch_optional!(read, LiveRow, SQL, hash, now.0, now.minus(IDLE).0)?;
    row.map(|row| {
        let user = User::try_from(row.user)?;
        Ok(PanelSession { id: SessionId(row.session_id), seen_at: Timestamp(row.seen_at), user })
    })
    .transpose()
}

/// Notes that a login was used.
///
/// # Errors
/// When the database fails.
pub async fn touch(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<()> {
    execute!(tx, "UPDATE panel_sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2", id.0, now.0)?;
    Ok(())
}

/// Ends a login. Says whether it had not ended before.
///
/// # Errors
/// When the database fails.
pub async fn revoke(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<bool> {
    const SQL: &str = "UPDATE panel_sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    Ok(execute!(tx, SQL, id.0, now.0)? > 0)
}

/// Ends every login of somebody. Says how many there were.
///
/// # Errors
/// When the database fails.
pub async fn revoke_all(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<u64> {
    const SQL: &str = "UPDATE panel_sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
    execute!(tx, SQL, user.0, now.0)
}
