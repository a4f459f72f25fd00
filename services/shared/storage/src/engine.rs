//! One connection of either engine, and the macros that send one statement to whichever it is.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::Result;
use crate::loan::Loan;

/// A connection for looking only. Each statement sees what is committed when it starts.
#[derive(Debug)]
pub struct Read(Conn);

/// A transaction that may change things; it can do all that [`Read`] can. Dropping it rolls back.
#[derive(Debug)]
pub struct Tx(Read);

#[derive(Debug)]
enum Conn {
    Postgres(Loan),
    Sqlite(PoolConnection<Sqlite>),
    SqliteTx(Transaction<'static, Sqlite>),
}

/// The connection as the macros need it.
pub(crate) enum Engine<'a> {
    Postgres(&'a mut Loan),
    Sqlite(&'a mut SqliteConnection),
}

impl Read {
    pub(crate) const fn postgres(connection: Loan) -> Self {
        Self(Conn::Postgres(connection))
    }

    pub(crate) fn sqlite(connection: PoolConnection<Sqlite>) -> Self {
        Self(Conn::Sqlite(connection))
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self.0, Conn::Postgres(_))
    }

    pub(crate) fn engine(&mut self) -> Engine<'_> {
        match &mut self.0 {
            Conn::Postgres(connection) => Engine::Postgres(connection),
            Conn::Sqlite(connection) => Engine::Sqlite(connection),
            Conn::SqliteTx(tx) => Engine::Sqlite(tx),
        }
    }
}

impl Tx {
    /// Begins a transaction.
    pub(crate) async fn postgres(mut connection: Loan) -> Result<Self> {
        connection.begin().await?;
        Ok(Self(Read(Conn::Postgres(connection))))
    }

    pub(crate) fn sqlite(tx: Transaction<'static, Sqlite>) -> Self {
        Self(Read(Conn::SqliteTx(tx)))
    }

    /// Makes all of it true at once.
    ///
    /// # Errors
    /// When the database could not say that it did. It may have happened all the same, if the connection broke
    /// on the way back.
    pub async fn commit(self) -> Result<()> {
        match self.0.0 {
            Conn::Postgres(mut connection) => connection.commit().await?,
            Conn::SqliteTx(tx) => tx.commit().await?,
            Conn::Sqlite(_) => {} // a Tx is never made of it
        }
        Ok(())
    }

    /// Undoes all of it now, rather than when the connection is next used.
    ///
    /// # Errors
    /// When the database did not answer; it undoes it then by itself.
    pub async fn rollback(self) -> Result<()> {
        match self.0.0 {
            Conn::Postgres(mut connection) => connection.rollback().await?,
            Conn::SqliteTx(tx) => tx.rollback().await?,
            Conn::Sqlite(_) => {}
        }
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Read;
    fn deref(&self) -> &Read {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Read {
        &mut self.0
    }
}

/// A statement for both engines.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) postgres: &'static str,
    pub(crate) sqlite: &'static str,
}

impl From<&'static str> for Sql {
    fn from(both: &'static str) -> Self {
        Self { postgres: both, sqlite: both }
    }
}

/// Two statements that mean the same, where the dialects part. The macro takes literals (also `concat!`).
macro_rules! sql {
    (postgres: $postgres:expr, sqlite: $sqlite:expr $(,)?) => {
        $crate::engine::Sql { postgres: $postgres, sqlite: $sqlite }
    };
}

/// Sends one statement to the engine at hand. The query expression is generic over the engine, and only one of
/// the two arms runs, so binds may be moved into it.
macro_rules! dispatch {
    ($method:ident, $conn:expr, [$($query:tt)*], $sql:expr $(, $bind:expr)*) => {{
        let sql = $crate::engine::Sql::from($sql);
        match $conn.engine() {
            $crate::engine::Engine::Postgres(loan) => match loan.ask() {
                Some((connection, question)) => {
                    question.answer($($query)*(sql.postgres)$(.bind($bind))*.$method(connection)).await
                }
                None => Err($crate::loan::gone()),
            },
            $crate::engine::Engine::Sqlite(connection) => {
                $($query)*(sql.sqlite)$(.bind($bind))*.$method(connection).await.map_err($crate::Error::from)
            }
        }
    }};
}

/// `fetch_all!(read, Row, SQL, binds..)`: every row of the answer. `Row` derives `FromRow` or is a tuple.
macro_rules! fetch_all {
    ($conn:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        dispatch!(fetch_all, $conn, [sqlx::query_as::<_, $row>], $sql $(, $bind)*)
    };
}

/// `fetch_optional!(read, Row, SQL, binds..)`: the first row, if there is one.
macro_rules! fetch_optional {
    ($conn:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        dispatch!(fetch_optional, $conn, [sqlx::query_as::<_, $row>], $sql $(, $bind)*)
    };
}

/// `fetch_one!(read, Row, SQL, binds..)`: the one row that a statement always answers with.
macro_rules! fetch_one {
    ($conn:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        dispatch!(fetch_one, $conn, [sqlx::query_as::<_, $row>], $sql $(, $bind)*)
    };
}

/// `execute!(tx, SQL, binds..)`: how many rows were touched.
macro_rules! execute {
    ($conn:expr, $sql:expr $(, $bind:expr)* $(,)?) => {{
        let sql = $crate::engine::Sql::from($sql);
        match $conn.engine() {
            $crate::engine::Engine::Postgres(loan) => match loan.ask() {
                Some((connection, question)) => question
                    .answer(sqlx::query(sql.postgres)$(.bind($bind))*.execute(connection))
                    .await
                    .map(|done| done.rows_affected()),
                None => Err($crate::loan::gone()),
            },
            $crate::engine::Engine::Sqlite(connection) => sqlx::query(sql.sqlite)$(.bind($bind))*
                .execute(connection).await.map(|done| done.rows_affected()).map_err($crate::Error::from),
        }
    }};
}
