//! What the admin panel reads: lists that can be searched, and the figures of now. It only looks; what staff does is done
//! by the modules of what it is done to, and by [`crate::staff`]. The panel's own logins are in [`sessions`].
//!
//! **Lists are paged by key**, in both directions: a page begins after a [`Mark`], or ends before one, so that its cost
//! does not grow with how far somebody has read, and rows that come meanwhile move nothing. Each way to look is a
//! statement of its own, so that each finds its index.

pub mod bans;
pub mod counts;
pub mod logins;
pub mod messages;
pub mod rooms;
pub mod seats;
pub mod sessions;
pub mod users;

use uuid::Uuid;

use crate::engine::Sql;

/// A place in a list: what it is sorted by, and what tells rows apart that are the same in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The number that the list is sorted by; mostly a moment.
    pub at: i64,
    /// The id of the row.
    pub id: Uuid,
    /// The number of a message, where the id is that of its room; else 0.
    pub number: i64,
}

/// Which end of a list comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    #[default]
    Newest,
    /// The oldest.
    Oldest,
}

/// Where a page is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// At the beginning.
    #[default]
    Start,
    /// It begins after this row.
    After(Mark),
    /// It ends before this row.
    Before(Mark),
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Which end comes first.
    pub order: Order,
    /// Where it is.
    pub place: Place,
    /// How many rows it has at most.
    pub limit: u32,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its rows, in the order of the list.
    pub rows: Vec<T>,
    /// Whether there are rows before it.
    pub has_previous: bool,
    /// Whether there are rows after it.
    pub has_next: bool,
}

/// A row of a list.
pub trait Marked {
    /// Where it stands in the list.
    fn mark(&self) -> Mark;
}

impl<T: Marked> Page<T> {
    /// Where the first row stands, if there are rows before it.
    #[must_use]
    pub fn previous(&self) -> Option<Mark> {
        self.rows.first().filter(|_| self.has_previous).map(Marked::mark)
    }

    /// Where the last row stands, if there are rows after it.
    #[must_use]
    pub fn next(&self) -> Option<Mark> {
        self.rows.last().filter(|_| self.has_next).map(Marked::mark)
    }
}

/// One list, read towards older or towards newer rows.
#[derive(Clone, Copy)]
struct Paged {
    older: Sql,
    newer: Sql,
}

/// A [`Paged`] out of a statement that ends in its condition, and the two or three columns it is sorted by. Their values
/// are the first parameters, and the limit is the next; those of the condition follow.
macro_rules! paged {
    (postgres: $postgres:expr, sqlite: $sqlite:expr, by: $at:literal, $id:literal) => {
        $crate::panel::Paged {
            older: sql! {
                postgres: concat!($postgres, " AND (", $at, ", ", $id, ") < ($1, $2) ORDER BY ", $at, " DESC, ", $id, " DESC LIMIT $3"),
                sqlite: concat!($sqlite, " AND (", $at, ", ", $id, ") < ($1, $2) ORDER BY ", $at, " DESC, ", $id, " DESC LIMIT $3"),
            },
            newer: sql! {
                postgres: concat!($postgres, " AND (", $at, ", ", $id, ") > ($1, $2) ORDER BY ", $at, ", ", $id, " LIMIT $3"),
                sqlite: concat!($sqlite, " AND (", $at, ", ", $id, ") > ($1, $2) ORDER BY ", $at, ", ", $id, " LIMIT $3"),
            },
        }
    };
    (postgres: $postgres:expr, sqlite: $sqlite:expr, by: $at:literal, $id:literal, $number:literal) => {
        $crate::panel::Paged {
            older: sql! {
                postgres: concat!($postgres, " AND (", $at, ", ", $id, ", ", $number, ") < ($1, $2, $3) ORDER BY ",
                    $at, " DESC, ", $id, " DESC, ", $number, " DESC LIMIT $4"),
                sqlite: concat!($sqlite, " AND (", $at, ", ", $id, ", ", $number, ") < ($1, $2, $3) ORDER BY ",
                    $at, " DESC, ", $id, " DESC, ", $number, " DESC LIMIT $4"),
            },
            newer: sql! {
                postgres: concat!($postgres, " AND (", $at, ", ", $id, ", ", $number, ") > ($1, $2, $3) ORDER BY ",
                    $at, ", ", $id, ", ", $number, " LIMIT $4"),
                sqlite: concat!($sqlite, " AND (", $at, ", ", $id, ", ", $number, ") > ($1, $2, $3) ORDER BY ",
                    $at, ", ", $id, ", ", $number, " LIMIT $4"),
            },
        }
    };
    (both: $sql:expr, by: $($by:literal),+) => {
        paged! { postgres: $sql, sqlite: $sql, by: $($by),+ }
    };
}
use paged;

impl Window {
    /// The statement to send, the row to begin at, and how many rows to ask for: one more than are shown, which tells
    /// whether there are more.
    fn step(self, list: Paged) -> (Sql, Mark, i64) {
        const FIRST: Mark = Mark { at: i64::MIN, id: Uuid::nil(), number: i64::MIN };
        const LAST: Mark = Mark { at: i64::MAX, id: Uuid::max(), number: i64::MAX };
        let is_older = self.is_towards_older();
        let mark = match self.place {
            Place::Start => {
                if is_older {
                    LAST
                } else {
                    FIRST
                }
            }
            Place::After(mark) | Place::Before(mark) => mark,
        };
        (if is_older { list.older } else { list.newer }, mark, i64::from(self.limit) + 1)
    }

    fn is_towards_older(self) -> bool {
        (self.order == Order::Newest) != matches!(self.place, Place::Before(_))
    }

    /// The page, out of the rows as they were read.
    fn page<T>(self, mut rows: Vec<T>) -> Page<T> {
        let is_more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let (has_previous, has_next) = match self.place {
            Place::Start => (false, is_more),
            Place::After(_) => (true, is_more),
            Place::Before(_) => {
                rows.reverse();
                (is_more, true)
            }
        };
        Page { rows, has_previous, has_next }
    }
}

/// What texts that begin with `prefix` lie below: nothing sorts after the last character there is.
fn above(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}
