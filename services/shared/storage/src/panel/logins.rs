//! Sessions of viewers, as a list.

use sqlx::FromRow;
use streamit_domain::{DisplayName, SessionId, Timestamp, UserId};
use uuid::Uuid;

use super::users::ids;
use super::{Mark, Marked, Page, Paged, Window, paged};
use crate::{Read, Result, row};

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// What they are called.
    pub name: DisplayName,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when, unless it is extended.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
}

impl Login {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }
}

impl Marked for Login {
    fn mark(&self) -> Mark {
        Mark { at: self.created_at.0, id: self.id.0, number: 0 }
    }
}

#[derive(FromRow)]
struct LoginRow {
    id: Uuid,
    user_id: Uuid,
    display_name: String,
    user_agent: Option<String>,
    created_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
}

impl TryFrom<LoginRow> for Login {
    type Error = crate::Error;

    fn try_from(row: LoginRow) -> Result<Self> {
        Ok(Self {
            id: SessionId(row.id),
            user: UserId(row.user_id),
            name: row::name(&row.display_name, "users.display_name")?,
            user_agent: row.user_agent,
            created_at: Timestamp(row.created_at),
            expires_at: Timestamp(row.expires_at),
            revoked_at: row::time(row.revoked_at),
        })
    }
}

/// What [`LoginRow`] reads.
macro_rules! select_logins {
    ($condition:literal) => {
        concat!(
            "SELECT s.id, s.user_id, u.display_name, s.user_agent, s.created_at, s.expires_at, s.revoked_at \
             FROM sessions s JOIN users u ON u.id = s.user_id WHERE ",
            $condition
        )
    };
}

/// Sessions of somebody or of all, sorted by when they were opened; with `live_at` only those that hold then.
///
/// # Errors
/// When the database fails.
pub async fn list(
    read: &mut Read,
    user: Option<UserId>,
    live_at: Option<Timestamp>,
    window: Window,
) -> Result<Page<Login>> {
    const OF_USER: Paged = paged! {
        both: select_logins!("s.user_id = $4 AND ($5 = 0 OR s.revoked_at IS NULL AND s.expires_at > $5)"),
        by: "s.created_at", "s.id"
    };
    const ALL: Paged = paged! {
        both: select_logins!("s.id <> $4 AND ($5 = 0 OR s.revoked_at IS NULL AND s.expires_at > $5)"),
        by: "s.created_at", "s.id"
    };
    let (sql, mark, limit) = window.step(if user.is_some() { OF_USER } else { ALL });
    let (user, live) = (ids(user.map(|user| user.0)), live_at.map_or(0, |now| now.0));
    let rows = fetch_all!(read, LoginRow, sql, mark.at, mark.id, limit, user, live)?;
    Ok(window.page(rows.into_iter().map(Login::try_from).collect::<Result<_>>()?))
}

/// One session.
///
/// # Errors
/// When the database fails.
pub async fn one(read: &mut Read, id: SessionId) -> Result<Option<Login>> {
    const SQL: &str = select_logins!("s.id = $1");
    fetch_optional!(read, LoginRow, SQL, id.0)?.map(Login::try_from).transpose()
}
