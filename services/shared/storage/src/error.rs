//! What can go wrong, as far as callers act on it.

use std::borrow::Cow;

/// Why a call to the database failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database can't be reached, is full or did not answer in time. Nothing is wrong with the request.
    #[error("the database is away")]
    Away(#[source] sqlx::Error),
    /// Two transactions were in each other's way and this one lost. Trying the whole transaction again helps.
    #[error("the transaction lost against another one")]
    Contended(#[source] sqlx::Error),
    /// Something that has to be unique is taken.
    #[error("{0}")]
    Conflict(Conflict),
    /// What is stored breaks the rules of the domain. Names the column.
    #[error("stored data is not valid: {0}")]
    Corrupt(&'static str),
    /// The URL or an option of the store can't be used.
    #[error("{0}")]
    Unusable(Cow<'static, str>),
    /// The schema could not be brought up to date.
    #[error("migrating the database failed")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// Anything else: a bug here or in the database.
    #[error("the database refused a statement")]
    Other(#[source] sqlx::Error),
}

/// What is taken already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Another account has this email address.
    #[error("the email address is taken")]
    Email,
    /// Another room, maybe an ended one, has this code.
    #[error("the room code is taken")]
    Code,
    /// Somebody else in the room has this name.
    #[error("the name is taken in this room")]
    Name,
}

/// The constraint as PostgreSQL names it, the columns as SQLite reports them, and what it means.
const CONSTRAINTS: [(&str, &str, Conflict); 3] = [
    ("users_email_key", "users.email", Conflict::Email),
    ("rooms_code_key", "rooms.code", Conflict::Code),
    ("participants_name_key", "participants.room_id, participants.name_key", Conflict::Name),
];

impl Error {
    /// Whether the caller should be asked to try again later: nothing is wrong with what was asked.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Contended(_))
    }

    /// Whether the same transaction, done again right away, is likely to succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Contended(_))
    }

    /// What was taken already, if that is what went wrong.
    #[must_use]
    pub const fn conflict(&self) -> Option<Conflict> {
        match self {
            Self::Conflict(conflict) => Some(*conflict),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed | E::Io(_) | E::Tls(_) => {
                Self::Away(error)
            }
            E::Database(database) => {
                let code = database.code().unwrap_or_default();
                if database.is_unique_violation()
                    && let Some(conflict) = conflict(database.constraint(), database.message())
                {
                    return Self::Conflict(conflict);
                }
                match class(&code) {
                    Class::Away => Self::Away(error),
                    Class::Contended => Self::Contended(error),
                    Class::Other => Self::Other(error),
                }
            }
            _ => Self::Other(error),
        }
    }
}

fn conflict(constraint: Option<&str>, message: &str) -> Option<Conflict> {
    // "UNIQUE constraint failed: users.email", with the code in front.
    let columns = message.rsplit_once("UNIQUE constraint failed: ").map(|(_, columns)| columns);
    CONSTRAINTS
        .into_iter()
        .find(|(name, reported, _)| constraint == Some(name) || columns == Some(reported))
        .map(|(_, _, conflict)| conflict)
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Away,
    Contended,
    Other,
}

/// Five characters are an SQLSTATE of PostgreSQL, anything else is a result code of SQLite.
fn class(code: &str) -> Class {
    if code.len() == 5 {
        return match code {
            // Serialization failure, deadlock, lock not available.
            "40001" | "40P01" | "55P03" => Class::Contended,
            // Cancelled (the statement timeout), shutting down, starting up, idle too long.
            "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Class::Away,
            // Connection lost, out of connections, memory or disk.
            _ if code.starts_with("08") || code.starts_with("53") => Class::Away,
            _ => Class::Other,
        };
    }
    // The low byte is the primary result code (sqlite.org/rescode.html).
    match code.parse::<i64>().unwrap_or(0) & 0xff {
        5 | 6 => Class::Contended,       // SQLITE_BUSY, SQLITE_LOCKED
        7 | 10 | 13 | 14 => Class::Away, // NOMEM, IOERR, FULL, CANTOPEN
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_known_by_name_and_by_columns() {
        assert_eq!(conflict(Some("users_email_key"), "duplicate key"), Some(Conflict::Email));
        assert_eq!(conflict(None, "UNIQUE constraint failed: rooms.code"), Some(Conflict::Code));
        let columns = "UNIQUE constraint failed: participants.room_id, participants.name_key";
        assert_eq!(conflict(None, columns), Some(Conflict::Name));
        assert_eq!(conflict(Some("messages_pkey"), "duplicate key"), None);
    }

    #[test]
    fn codes_of_both_engines_are_told_apart() {
        assert_eq!(class("40P01"), Class::Contended);
        assert_eq!(class("57P01"), Class::Away);
        assert_eq!(class("08006"), Class::Away);
        assert_eq!(class("23505"), Class::Other);
        assert_eq!(class("5"), Class::Contended);
        assert_eq!(class("517"), Class::Contended); // SQLITE_BUSY_SNAPSHOT
        assert_eq!(class("2067"), Class::Other); // SQLITE_CONSTRAINT_UNIQUE
    }

    #[test]
    fn a_full_pool_is_away_and_not_worth_an_immediate_repeat() {
        let error = Error::from(sqlx::Error::PoolTimedOut);
        assert!(error.is_away() && !error.is_transient());
    }
}
