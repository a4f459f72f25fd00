//! The networks that guests were banned with, as a list. (People who are banned are found among the
//! [seats](super::seats).)

use sqlx::FromRow;
use streamit_domain::{DisplayName, RoomCode, RoomId, Timestamp, UserId};
use uuid::Uuid;

use super::users::ids;
use super::{Mark, Marked, Page, Paged, Window, paged};
use crate::{Read, Result, row};

/// A guest whose networks are kept out of a room for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Out of which room.
    pub room: RoomId,
    /// What people type to find it.
    pub code: RoomCode,
    /// The guest who was banned.
    pub user: UserId,
    /// What the guest is called.
    pub name: DisplayName,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Marked for Network {
    fn mark(&self) -> Mark {
        Mark { at: self.until.0, id: self.user.0, number: 0 }
    }
}

#[derive(FromRow)]
struct NetworkRow {
    room_id: Uuid,
    code: String,
    user_id: Uuid,
    display_name: String,
    created_at: i64,
    until: i64,
}

/// What [`NetworkRow`] reads.
macro_rules! select_networks {
    ($condition:literal) => {
        concat!(
            "SELECT b.room_id, r.code, b.user_id, u.display_name, b.created_at, b.until FROM room_bans b \
             JOIN rooms r ON r.id = b.room_id JOIN users u ON u.id = b.user_id \
             WHERE NOT EXISTS (SELECT 1 FROM room_bans o \
                WHERE o.room_id = b.room_id AND o.user_id = b.user_id AND o.network < b.network) AND ",
            $condition
        )
    };
}

/// Networks that are kept out at `now`, of one room or all, sorted by when that ends.
///
/// # Errors
/// When the database fails.
pub async fn list(
    read: &mut Read,
    room: Option<RoomId>,
    now: Timestamp,
    window: Window,
) -> Result<Page<Network>> {
    const ALL: Paged = paged! {
        both: select_networks!("b.until > $4 AND b.room_id <> $5"), by: "b.until", "b.user_id"
    };
    const OF_ROOM: Paged = paged! {
        both: select_networks!("b.until > $4 AND b.room_id = $5"), by: "b.until", "b.user_id"
    };
    let (sql, mark, limit) = window.step(if room.is_some() { OF_ROOM } else { ALL });
    let rows =
        fetch_all!(read, NetworkRow, sql, mark.at, mark.id, limit, now.0, ids(room.map(|room| room.0)))?;
    let network = |row: NetworkRow| {
        Ok(Network {
            room: RoomId(row.room_id),
            code: row::code(&row.code)?,
            user: UserId(row.user_id),
            name: row::name(&row.display_name, "users.display_name")?,
            created_at: Timestamp(row.created_at),
            until: Timestamp(row.until),
        })
    };
    Ok(window.page(rows.into_iter().map(network).collect::<Result<_>>()?))
}
