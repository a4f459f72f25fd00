//! Accounts and guests, as a list.

use sqlx::FromRow;
use streamit_domain::UserId;
use uuid::Uuid;

use super::{Mark, Marked, Page, Paged, Window, above, paged};
use crate::users::{User, UserRow};
use crate::{Read, Result};

/// Which of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// All.
    #[default]
    Any,
    /// Those who came without an account.
    Guest,
    /// Those who have one.
    Account,
    /// Those who may use the panel.
    Staff,
    /// Those who were switched off.
    Inactive,
}

impl Marked for User {
    fn mark(&self) -> Mark {
        Mark { at: self.created_at.0, id: self.id.0, number: 0 }
    }
}

/// What [`UserRow`] reads.
macro_rules! select_users {
    ($condition:literal) => {
        concat!(
            "SELECT u.id, u.email, u.display_name, u.password_hash, u.is_guest, u.is_staff, u.is_superuser, \
             u.is_active, u.created_at FROM users u WHERE ",
            $condition
        )
    };
}

/// People, sorted by when they came; with `search` only those whose address or name begins with it.
///
/// # Errors
/// When the database fails.
pub async fn list(read: &mut Read, kind: Kind, search: Option<&str>, window: Window) -> Result<Page<User>> {
    const ANY: Paged = paged! { both: select_users!("TRUE"), by: "u.created_at", "u.id" };
    const GUEST: Paged = paged! { both: select_users!("u.is_guest"), by: "u.created_at", "u.id" };
    const ACCOUNT: Paged = paged! { both: select_users!("NOT u.is_guest"), by: "u.created_at", "u.id" };
    const STAFF: Paged = paged! { both: select_users!("u.is_staff"), by: "u.created_at", "u.id" };
    const INACTIVE: Paged = paged! { both: select_users!("NOT u.is_active"), by: "u.created_at", "u.id" };
    // Who is found is asked first: a search that few fit must not read everybody in the order of the list.
    const FOUND: Paged = paged! {
        postgres: select_users!(
            "u.id = ANY (ARRAY(
                SELECT x.id FROM users x WHERE x.email COLLATE \"C\" >= lower($4) AND x.email COLLATE \"C\" < lower($5)
                UNION ALL
                SELECT x.id FROM users x WHERE lower(x.display_name) COLLATE \"C\" >= lower($4)
                    AND lower(x.display_name) COLLATE \"C\" < lower($5)))
             AND ($6 = '' OR $6 = 'GUEST' AND u.is_guest OR $6 = 'ACCOUNT' AND NOT u.is_guest
                OR $6 = 'STAFF' AND u.is_staff OR $6 = 'INACTIVE' AND NOT u.is_active)"
        ),
        sqlite: select_users!(
            "u.id IN (
                SELECT x.id FROM users x WHERE x.email >= lower($4) AND x.email < lower($5)
                UNION ALL
                SELECT x.id FROM users x WHERE lower(x.display_name) >= lower($4)
                    AND lower(x.display_name) < lower($5))
             AND ($6 = '' OR $6 = 'GUEST' AND u.is_guest OR $6 = 'ACCOUNT' AND NOT u.is_guest
                OR $6 = 'STAFF' AND u.is_staff OR $6 = 'INACTIVE' AND NOT u.is_active)"
        ),
        by: "u.created_at", "u.id"
    };
    let rows = if let Some(prefix) = search {
        let (sql, mark, limit) = window.step(FOUND);
        let kind = match kind {
            Kind::Any => "",
            Kind::Guest => "GUEST",
            Kind::Account => "ACCOUNT",
            Kind::Staff => "STAFF",
            Kind::Inactive => "INACTIVE",
        };
        fetch_all!(read, UserRow, sql, mark.at, mark.id, limit, prefix, above(prefix), kind)?
    } else {
        let list = match kind {
            Kind::Any => ANY,
            Kind::Guest => GUEST,
            Kind::Account => ACCOUNT,
            Kind::Staff => STAFF,
            Kind::Inactive => INACTIVE,
        };
        let (sql, mark, limit) = window.step(list);
        fetch_all!(read, UserRow, sql, mark.at, mark.id, limit)?
    };
    Ok(window.page(rows.into_iter().map(User::try_from).collect::<Result<_>>()?))
}

/// Whether somebody's name and address were forgotten.
///
/// # Errors
/// When the database fails.
pub async fn is_anonymised(read: &mut Read, id: UserId) -> Result<bool> {
    #[derive(FromRow)]
    struct Row {
        anonymised_at: Option<i64>,
    }
    let row = fetch_optional!(read, Row, "SELECT anonymised_at FROM users WHERE id = $1", id.0)?;
    Ok(row.is_some_and(|row| row.anonymised_at.is_some()))
}

/// The ids as they are bound.
pub(super) fn ids(id: Option<Uuid>) -> Uuid {
    id.unwrap_or_else(Uuid::nil)
}
