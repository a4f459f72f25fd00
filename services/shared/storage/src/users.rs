//! Accounts and guests. People are never deleted: what they said and where they were stays consistent.

use std::collections::BTreeSet;

use sqlx::FromRow;
use streamit_domain::account::Email;
use streamit_domain::{DisplayName, Timestamp, UserId};
use uuid::Uuid;

use crate::engine::Sql;
use crate::{Error, Read, Result, Tx, batch, row};

/// Somebody who can be in rooms.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// The address that logs in; none for guests.
    pub email: Option<Email>,
    /// What they like to be called. In a room they may get a number behind it.
    pub display_name: DisplayName,
    /// The hash in PHC form; none for guests.
    pub password_hash: Option<String>,
    /// Came without an account.
    pub is_guest: bool,
    /// May use the admin panel.
    pub is_staff: bool,
    /// May do everything there.
    pub is_superuser: bool,
    /// False: banned from the whole service.
    pub is_active: bool,
    /// Since when.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the address nor the hash belongs into a log.
        f.debug_struct("User").field("id", &self.id).field("is_guest", &self.is_guest).finish_non_exhaustive()
    }
}

/// Somebody new. `email` and `password_hash` are both there (an account) or both absent (a guest).
#[derive(Clone)]
pub struct NewUser {
    /// Who.
    pub id: UserId,
    /// See [`User::email`].
    pub email: Option<Email>,
    /// See [`User::display_name`].
    pub display_name: DisplayName,
    /// See [`User::password_hash`].
    pub password_hash: Option<String>,
    /// See [`User::created_at`].
    pub created_at: Timestamp,
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser").field("id", &self.id).finish_non_exhaustive()
    }
}

impl NewUser {
    /// Comes without an account.
    #[must_use]
    pub const fn guest(id: UserId, display_name: DisplayName, now: Timestamp) -> Self {
        Self { id, email: None, display_name, password_hash: None, created_at: now }
    }

    /// Has an account.
    #[must_use]
    pub const fn account(
        id: UserId,
        email: Email,
        display_name: DisplayName,
        password_hash: String,
        now: Timestamp,
    ) -> Self {
        Self { id, email: Some(email), display_name, password_hash: Some(password_hash), created_at: now }
    }
}

#[derive(FromRow)]
pub(crate) struct UserRow {
    id: Uuid,
    email: Option<String>,
    display_name: String,
    password_hash: Option<String>,
    is_guest: bool,
    is_staff: bool,
    is_superuser: bool,
    is_active: bool,
    created_at: i64,
}

impl TryFrom<UserRow> for User {
    type Error = Error;

    fn try_from(row: UserRow) -> Result<Self> {
        let email = row.email.as_deref().map(Email::parse).transpose();
        Ok(Self {
            id: UserId(row.id),
            email: email.map_err(|_| Error::Corrupt("users.email"))?,
            display_name: row::name(&row.display_name, "users.display_name")?,
            password_hash: row.password_hash,
            is_guest: row.is_guest,
            is_staff: row.is_staff,
            is_superuser: row.is_superuser,
            is_active: row.is_active,
            created_at: Timestamp(row.created_at),
        })
    }
}

/// Keeps somebody new.
///
/// # Errors
/// [`Conflict::Email`](crate::Conflict::Email) when another account has the address.
pub async fn insert(tx: &mut Tx, user: &NewUser) -> Result<()> {
    const SQL: &str = "
        INSERT INTO users (id, email, display_name, password_hash, is_guest, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)";
    execute!(
        tx,
        SQL,
        user.id.0,
        user.email.as_ref().map(Email::as_str),
        user.display_name.as_str(),
        user.password_hash.as_deref(),
        user.email.is_none(),
        user.created_at.0,
    )?;
    Ok(())
}

/// Finds an account by its address.
///
/// # Errors
/// When the database fails.
pub async fn by_email(read: &mut Read, email: &Email) -> Result<Option<User>> {
    const SQL: &str = "
        SELECT id, email, display_name, password_hash, is_guest, is_staff, is_superuser, is_active, created_at
        FROM users WHERE email = $1";
    fetch_optional!(read, UserRow, SQL, email.as_str())?.map(User::try_from).transpose()
}

/// Finds somebody.
///
/// # Errors
/// When the database fails.
pub async fn by_id(read: &mut Read, id: UserId) -> Result<Option<User>> {
    const SQL: &str = "
        SELECT id, email, display_name, password_hash, is_guest, is_staff, is_superuser, is_active, created_at
        FROM users WHERE id = $1";
    fetch_optional!(read, UserRow, SQL, id.0)?.map(User::try_from).transpose()
}

/// Whether an account is still what a password was checked against, and active; it stays so until this transaction ends.
/// Between the check and the session that it leads to, somebody may have replaced the password.
///
/// # Errors
/// When the database fails.
pub async fn is_still(tx: &mut Tx, id: UserId, password_hash: &str) -> Result<bool> {
    const SQL: Sql = sql! {
        postgres: "SELECT 1::BIGINT FROM users WHERE id = $1 AND is_active AND password_hash = $2 FOR SHARE",
        sqlite: "SELECT 1 FROM users WHERE id = $1 AND is_active AND password_hash = $2",
    };
    Ok(fetch_optional!(tx, (i64,), SQL, id.0, password_hash)?.is_some())
}

/// Which of these people came without an account.
///
/// # Errors
/// When the database fails.
pub async fn guests_among(
    read: &mut Read,
    users: impl IntoIterator<Item = UserId>,
) -> Result<BTreeSet<UserId>> {
    const SQL: Sql = sql! {
        postgres: "SELECT id FROM users
            WHERE is_guest AND id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))",
        sqlite: "SELECT id FROM users WHERE is_guest AND id IN (SELECT unhex(value) FROM json_each($1))",
    };
    let rows = fetch_all!(read, (Uuid,), SQL, batch::ids(users.into_iter().map(|user| user.0))?)?;
    Ok(rows.into_iter().map(|(id,)| UserId(id)).collect())
}

/// Makes an account that may do everything, or raises the one that has the address to that: its password and name
/// become the given ones, and a ban ends. Gives its id, which is the old one when the account was there.
///
/// # Errors
/// When `user` has no address, or the database fails.
pub async fn upsert_superuser(tx: &mut Tx, user: &NewUser) -> Result<UserId> {
    const SQL: &str = "
        INSERT INTO users
            (id, email, display_name, password_hash, is_guest, is_staff, is_superuser, created_at)
        VALUES ($1, $2, $3, $4, FALSE, TRUE, TRUE, $5)
        ON CONFLICT (email) DO UPDATE SET
            display_name = excluded.display_name, password_hash = excluded.password_hash,
            is_staff = TRUE, is_superuser = TRUE, is_active = TRUE
        RETURNING id";
    let Some(email) = &user.email else {
        return Err(Error::Unusable("a superuser needs an email address".into()));
    };
    let (id,) = fetch_one!(
        tx,
        (Uuid,),
        SQL,
        user.id.0,
        email.as_str(),
        user.display_name.as_str(),
        user.password_hash.as_deref(),
        user.created_at.0,
    )?;
    Ok(UserId(id))
}

/// Gives or takes the right to do everything. Says whether there is such a user.
///
/// # Errors
/// When the database fails.
pub async fn set_superuser(tx: &mut Tx, id: UserId, is_superuser: bool) -> Result<bool> {
    const SQL: &str = "UPDATE users SET is_superuser = $2, is_staff = $2 WHERE id = $1";
    Ok(execute!(tx, SQL, id.0, is_superuser)? > 0)
}

/// Bans somebody from the whole service, or lets them back. End their sessions in the same transaction. Says
/// whether there is such a user.
///
/// # Errors
/// When the database fails.
pub async fn set_active(tx: &mut Tx, id: UserId, is_active: bool) -> Result<bool> {
    const SQL: &str = "UPDATE users SET is_active = $2 WHERE id = $1";
    Ok(execute!(tx, SQL, id.0, is_active)? > 0)
}

/// Replaces the password of an account (also by a better hash of the same one). Says whether there is such an
/// account; guests have none.
///
/// # Errors
/// When the database fails.
pub async fn set_password_hash(tx: &mut Tx, id: UserId, hash: &str) -> Result<bool> {
    const SQL: &str = "UPDATE users SET password_hash = $2 WHERE id = $1 AND NOT is_guest";
    Ok(execute!(tx, SQL, id.0, hash)? > 0)
}
