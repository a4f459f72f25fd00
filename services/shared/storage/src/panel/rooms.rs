//! Rooms, as a list.

use sqlx::FromRow;
use streamit_domain::room::{Access, Life};
use streamit_domain::{DisplayName, RoomCode, RoomId, Timestamp, UserId};
use uuid::Uuid;

use super::{Mark, Marked, Page, Paged, Window, above, paged};
use crate::{Error, Read, Result, row};

/// What they are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// When they were opened.
    #[default]
    Opened,
    /// When somebody was last in them. Of open rooms alone.
    Active,
}

/// Which of them; what is not said does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Whether they live.
    pub life: Option<Life>,
    /// How people come in.
    pub access: Option<Access>,
    /// What their code begins with, or the name of their host.
    pub search: Option<&'a str>,
    /// What they are sorted by.
    pub sort: Sort,
}

/// A room, as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub id: RoomId,
    /// What people type to find it.
    pub code: RoomCode,
    /// Whether it lives.
    pub life: Life,
    /// How people come in.
    pub access: Access,
    /// Its host.
    pub host: UserId,
    /// What the host is called there.
    pub host_name: DisplayName,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When somebody was last in it.
    pub last_active_at: Timestamp,
    sort: Sort,
}

impl Marked for Listed {
    fn mark(&self) -> Mark {
        let at = match self.sort {
            Sort::Opened => self.created_at,
            Sort::Active => self.last_active_at,
        };
        Mark { at: at.0, id: self.id.0, number: 0 }
    }
}

#[derive(FromRow)]
struct ListedRow {
    id: Uuid,
    code: String,
    life: String,
    access: String,
    host_id: Uuid,
    host_name: String,
    created_at: i64,
    last_active_at: i64,
}

impl ListedRow {
    fn into_listed(self, sort: Sort) -> Result<Listed> {
        Ok(Listed {
            id: RoomId(self.id),
            code: row::code(&self.code)?,
            life: row::life(&self.life)?,
            access: row::access(&self.access)?,
            host: UserId(self.host_id),
            host_name: row::name(&self.host_name, "participants.display_name")?,
            created_at: Timestamp(self.created_at),
            last_active_at: Timestamp(self.last_active_at),
            sort,
        })
    }
}

/// What [`ListedRow`] reads. Each host has an entry in his room; its name is looked up for the rows that are shown alone,
/// while a join would be made for all rooms that there are.
macro_rules! select_rooms {
    ($condition:literal) => {
        concat!(
            "SELECT r.id, r.code, r.life, r.access, r.host_id, \
             (SELECT h.display_name FROM participants h WHERE h.room_id = r.id AND h.user_id = r.host_id) AS host_name, \
             r.created_at, r.last_active_at FROM rooms r WHERE ",
            $condition
        )
    };
}

/// Rooms.
///
/// # Errors
/// When the database fails.
pub async fn list(read: &mut Read, filter: &Filter<'_>, window: Window) -> Result<Page<Listed>> {
    const OPENED: Paged = paged! {
        both: select_rooms!("($4 = '' OR r.life = $4) AND ($5 = '' OR r.access = $5)"),
        by: "r.created_at", "r.id"
    };
    const ACTIVE: Paged = paged! {
        both: select_rooms!("r.life = 'ACTIVE' AND ($4 = '' OR r.life = $4) AND ($5 = '' OR r.access = $5)"),
        by: "r.last_active_at", "r.id"
    };
    // The rooms of people are found by their entries. Who is found is asked first: a search that few fit must not read all
    // rooms in the order of the list.
    const FOUND: Paged = paged! {
        postgres: select_rooms!(
            "r.id = ANY (ARRAY(
                SELECT x.id FROM rooms x WHERE x.code COLLATE \"C\" >= upper($6) AND x.code COLLATE \"C\" < upper($7)
                UNION ALL
                SELECT x.id FROM users u JOIN participants p ON p.user_id = u.id
                    JOIN rooms x ON x.id = p.room_id AND x.host_id = p.user_id
                WHERE lower(u.display_name) COLLATE \"C\" >= lower($6) AND lower(u.display_name) COLLATE \"C\" < lower($7)))
             AND ($4 = '' OR r.life = $4) AND ($5 = '' OR r.access = $5)"
        ),
        sqlite: select_rooms!(
            "r.id IN (
                SELECT x.id FROM rooms x WHERE x.code >= upper($6) AND x.code < upper($7)
                UNION ALL
                SELECT x.id FROM users u JOIN participants p ON p.user_id = u.id
                    JOIN rooms x ON x.id = p.room_id AND x.host_id = p.user_id
                WHERE lower(u.display_name) >= lower($6) AND lower(u.display_name) < lower($7))
             AND ($4 = '' OR r.life = $4) AND ($5 = '' OR r.access = $5)"
        ),
        by: "r.created_at", "r.id"
    };
    let (life, access) = (filter.life.map_or("", row::life_word), filter.access.map_or("", row::access_word));
    let (rows, sort) = if let Some(prefix) = filter.search {
        let (sql, mark, limit) = window.step(FOUND);
        let above = above(prefix);
        (
            fetch_all!(read, ListedRow, sql, mark.at, mark.id, limit, life, access, prefix, above)?,
            Sort::Opened,
        )
    } else {
        let list = match filter.sort {
            Sort::Opened => OPENED,
            Sort::Active => ACTIVE,
        };
        let (sql, mark, limit) = window.step(list);
        (fetch_all!(read, ListedRow, sql, mark.at, mark.id, limit, life, access)?, filter.sort)
    };
    Ok(window.page(rows.into_iter().map(|row| row.into_listed(sort)).collect::<Result<_>>()?))
}

/// Open rooms that somebody was in since `since`, the latest first.
///
/// # Errors
/// When the database fails.
pub async fn active(read: &mut Read, since: Timestamp, limit: u32) -> Result<Vec<RoomId>> {
    const SQL: &str = "
        SELECT r.id FROM rooms r WHERE r.life = 'ACTIVE' AND r.last_active_at >= $1
        ORDER BY r.last_active_at DESC LIMIT $2";
    let rows: Vec<(Uuid,)> = fetch_all!(read, (Uuid,), SQL, since.0, i64::from(limit))?;
    Ok(rows.into_iter().map(|(id,)| RoomId(id)).collect())
}

/// Reads the word that a column has for how people come in.
///
/// # Errors
/// When there is no such word.
pub fn access(word: &str) -> Result<Access, Error> {
    row::access(word)
}

/// Reads the word that a column has for whether a room lives.
///
/// # Errors
/// When there is no such word.
pub fn life(word: &str) -> Result<Life, Error> {
    row::life(word)
}
