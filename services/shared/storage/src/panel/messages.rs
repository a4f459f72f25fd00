//! What was said, as a list: in a room, by somebody, or lately.

use sqlx::FromRow;
use streamit_domain::{DisplayName, RoomCode, RoomId, Timestamp, UserId};
use uuid::Uuid;

use super::{Mark, Marked, Page, Paged, Window, paged};
use crate::{Read, Result, row};

/// Whose, or of which room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'a> {
    /// Said in a room; if a text is given, only what holds it, in whichever case.
    Room(RoomId, Option<&'a str>),
    /// Said by a person.
    Person(UserId),
    /// Said anywhere.
    Anybody,
}

/// A message.
#[derive(Clone, PartialEq, Eq)]
pub struct Said {
    /// Where.
    pub room: RoomId,
    /// What people type to find the room.
    pub code: RoomCode,
    /// Its number there.
    pub seq: u64,
    /// By whom.
    pub user: UserId,
    /// What they were called then.
    pub name: DisplayName,
    /// What they said; nothing when it was erased.
    pub text: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// When it was erased.
    pub erased_at: Option<Timestamp>,
    is_of_room: bool,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What people say does not belong into a log.
        f.debug_struct("Said").field("room", &self.room).field("seq", &self.seq).finish_non_exhaustive()
    }
}

impl Marked for Said {
    fn mark(&self) -> Mark {
        let number = row::to_i64(self.seq);
        let at = if self.is_of_room { number } else { self.created_at.0 };
        Mark { at, id: self.room.0, number }
    }
}

#[derive(FromRow)]
struct SaidRow {
    room_id: Uuid,
    code: String,
    seq: i64,
    user_id: Uuid,
    name: String,
    body: Option<String>,
    created_at: i64,
    erased_at: Option<i64>,
}

impl SaidRow {
    fn into_said(self, is_of_room: bool) -> Result<Said> {
        Ok(Said {
            room: RoomId(self.room_id),
            code: row::code(&self.code)?,
            seq: row::to_u64(self.seq, "messages.seq")?,
            user: UserId(self.user_id),
            name: row::name(&self.name, "messages.name")?,
            text: self.body,
            created_at: Timestamp(self.created_at),
            erased_at: row::time(self.erased_at),
            is_of_room,
        })
    }
}

/// What [`SaidRow`] reads, of more tables if need be.
macro_rules! select_messages {
    ($more:literal, $condition:literal) => {
        concat!(
            "SELECT m.room_id, r.code, m.seq, m.user_id, m.name, m.body, m.created_at, m.erased_at FROM messages m \
             JOIN rooms r ON r.id = m.room_id ",
            $more,
            " WHERE ",
            $condition
        )
    };
}

/// Messages, sorted by when they were said.
///
/// # Errors
/// When the database fails.
pub async fn list(read: &mut Read, of: Of<'_>, window: Window) -> Result<Page<Said>> {
    const OF_ROOM: Paged = paged! {
        postgres: select_messages!("", "m.room_id = $5 AND ($6 = '' OR strpos(lower(m.body), lower($6)) > 0)"),
        sqlite: select_messages!("", "m.room_id = $5 AND ($6 = '' OR instr(lower(m.body), lower($6)) > 0)"),
        by: "m.seq", "m.room_id", "m.seq"
    };
    // By their entries in rooms, since messages have an index by room and person, and none by person alone.
    const OF_PERSON: Paged = paged! {
        both: select_messages!(
            "JOIN participants p ON p.room_id = m.room_id AND p.user_id = m.user_id", "p.user_id = $5 AND $6 = ''"
        ),
        by: "m.created_at", "m.room_id", "m.seq"
    };
    const OF_ANYBODY: Paged = paged! {
        both: select_messages!("", "m.room_id <> $5 AND $6 = ''"), by: "m.created_at", "m.room_id", "m.seq"
    };
    let (list, id, text) = match of {
        Of::Room(room, text) => (OF_ROOM, room.0, text.unwrap_or_default()),
        Of::Person(user) => (OF_PERSON, user.0, ""),
        Of::Anybody => (OF_ANYBODY, Uuid::nil(), ""),
    };
    let (sql, mark, limit) = window.step(list);
    let rows = fetch_all!(read, SaidRow, sql, mark.at, mark.id, mark.number, limit, id, text)?;
    let is_of_room = matches!(of, Of::Room(..));
    Ok(window.page(rows.into_iter().map(|row| row.into_said(is_of_room)).collect::<Result<_>>()?))
}

/// One message.
///
/// # Errors
/// When the database fails.
pub async fn one(read: &mut Read, room: RoomId, seq: u64) -> Result<Option<Said>> {
    const SQL: &str = select_messages!("", "m.room_id = $1 AND m.seq = $2");
    let found = fetch_optional!(read, SaidRow, SQL, room.0, row::to_i64(seq))?;
    found.map(|row| row.into_said(true)).transpose()
}
