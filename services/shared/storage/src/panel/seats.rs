//! People in rooms, as a list: those of a room, and the rooms of somebody.

use sqlx::FromRow;
use streamit_domain::room::{Life, Role, Standing};
use streamit_domain::{DisplayName, RoomCode, RoomId, Timestamp, UserId};
use uuid::Uuid;

use super::{Mark, Marked, Page, Paged, Window, paged};
use crate::{Error, Read, Result, row};

/// Whose, or of which room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Those of a room.
    Room(RoomId),
    /// Those of a person.
    Person(UserId),
    /// Those who are banned, from whichever room.
    Banned,
}

/// Somebody's entry in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Where.
    pub room: RoomId,
    /// What people type to find the room.
    pub code: RoomCode,
    /// Whether the room lives.
    pub life: Life,
    /// Who is its host.
    pub host: UserId,
    /// Who.
    pub user: UserId,
    /// Called so in this room.
    pub name: DisplayName,
    /// How they stand with it.
    pub standing: Standing,
    /// Viewer or co-host.
    pub role: Role,
    /// Came without an account.
    pub is_guest: bool,
    /// Until when a kick holds.
    pub kicked_until: Option<Timestamp>,
    /// Until when they may not chat.
    pub muted_until: Option<Timestamp>,
    /// When they first asked to come in.
    pub created_at: Timestamp,
    is_of_person: bool,
}

impl Seat {
    /// What they are in the room.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.user == self.host { Role::Host } else { self.role }
    }
}

impl Marked for Seat {
    fn mark(&self) -> Mark {
        let id = if self.is_of_person { self.room.0 } else { self.user.0 };
        Mark { at: self.created_at.0, id, number: 0 }
    }
}

#[derive(FromRow)]
struct SeatRow {
    room_id: Uuid,
    code: String,
    life: String,
    host_id: Uuid,
    user_id: Uuid,
    display_name: String,
    standing: String,
    role: String,
    is_guest: bool,
    kicked_until: Option<i64>,
    muted_until: Option<i64>,
    created_at: i64,
}

impl SeatRow {
    fn into_seat(self, is_of_person: bool) -> Result<Seat> {
        Ok(Seat {
            room: RoomId(self.room_id),
            code: row::code(&self.code)?,
            life: row::life(&self.life)?,
            host: UserId(self.host_id),
            user: UserId(self.user_id),
            name: row::name(&self.display_name, "participants.display_name")?,
            standing: self.standing.parse().map_err(|_| Error::Corrupt("participants.standing"))?,
            role: row::role(&self.role)?,
            is_guest: self.is_guest,
            kicked_until: row::time(self.kicked_until),
            muted_until: row::time(self.muted_until),
            created_at: Timestamp(self.created_at),
            is_of_person,
        })
    }
}

/// What [`SeatRow`] reads.
macro_rules! select_seats {
    ($condition:literal) => {
        concat!(
            "SELECT p.room_id, r.code, r.life, r.host_id, p.user_id, p.display_name, p.standing, p.role, u.is_guest, \
             p.kicked_until, p.muted_until, p.created_at FROM participants p JOIN users u ON u.id = p.user_id \
             JOIN rooms r ON r.id = p.room_id WHERE ",
            $condition
        )
    };
}

/// Entries, sorted by when they were made.
///
/// # Errors
/// When the database fails.
pub async fn list(read: &mut Read, of: Of, standing: Option<Standing>, window: Window) -> Result<Page<Seat>> {
    const OF_ROOM: Paged = paged! {
        both: select_seats!("p.room_id = $4 AND ($5 = '' OR p.standing = $5)"),
        by: "p.created_at", "p.user_id"
    };
    const OF_PERSON: Paged = paged! {
        both: select_seats!("p.user_id = $4 AND ($5 = '' OR p.standing = $5)"),
        by: "p.created_at", "p.room_id"
    };
    const BANNED: Paged = paged! {
        both: select_seats!("p.standing = 'BANNED' AND p.room_id <> $4 AND ($5 = '' OR p.standing = $5)"),
        by: "p.created_at", "p.user_id"
    };
    let (list, id) = match of {
        Of::Room(room) => (OF_ROOM, room.0),
        Of::Person(user) => (OF_PERSON, user.0),
        Of::Banned => (BANNED, Uuid::nil()),
    };
    let (sql, mark, limit) = window.step(list);
    let standing = standing.map_or("", Standing::as_str);
    let rows = fetch_all!(read, SeatRow, sql, mark.at, mark.id, limit, id, standing)?;
    let is_of_person = matches!(of, Of::Person(_));
    Ok(window.page(rows.into_iter().map(|row| row.into_seat(is_of_person)).collect::<Result<_>>()?))
}
