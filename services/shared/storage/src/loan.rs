//! A connection to PostgreSQL on loan from the pool.
//!
//! Every statement has a deadline here, and a connection whose answer did not come never gets back into the pool: a
//! later answer would be taken for that of somebody else's statement, and a dead link would be handed out again.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, Postgres};
use tokio::time::timeout;

use crate::outage::{Outage, is_answer};
use crate::{Error, Result};

/// How long a connection may take to show that it is fit for the next borrower.
const RETURN: Duration = Duration::from_millis(500);

/// A connection; gone back to the pool, or closed, when it is dropped. A transaction that is open then is undone.
#[derive(Debug)]
pub(crate) struct Loan {
    /// There until it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    /// Something was asked and the answer has not come.
    is_unanswered: bool,
    is_in_transaction: bool,
    patience: Duration,
    outage: Arc<Outage>,
}

/// Something that is about to be asked over a connection.
pub(crate) struct Question<'a> {
    is_unanswered: &'a mut bool,
    patience: Duration,
    outage: &'a Arc<Outage>,
}

impl Loan {
    /// `patience`: how long to wait for each answer.
    pub(crate) const fn new(
        connection: PoolConnection<Postgres>,
        patience: Duration,
        outage: Arc<Outage>,
    ) -> Self {
        Self {
            connection: Some(connection),
            is_unanswered: false,
            is_in_transaction: false,
            patience,
            outage,
        }
    }

    /// The connection, and what waits for its answer.
    pub(crate) fn ask(&mut self) -> Option<(&mut PgConnection, Question<'_>)> {
        let Self { connection, is_unanswered, patience, outage, .. } = self;
        let question = Question { is_unanswered, patience: *patience, outage };
        Some((connection.as_deref_mut()?, question))
    }

    pub(crate) async fn begin(&mut self) -> Result<()> {
        self.tell("BEGIN").await?;
        self.is_in_transaction = true;
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<()> {
        self.tell("COMMIT").await?;
        self.is_in_transaction = false;
        Ok(())
    }

    pub(crate) async fn rollback(&mut self) -> Result<()> {
        self.tell("ROLLBACK").await?;
        self.is_in_transaction = false;
        Ok(())
    }

    async fn tell(&mut self, statement: &'static str) -> Result<()> {
        let Some((connection, question)) = self.ask() else { return Err(gone()) };
        question.answer(connection.execute(statement)).await.map(|_| ())
    }
}

impl Question<'_> {
    /// Waits for the answer.
    pub(crate) async fn answer<T>(self, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T> {
        *self.is_unanswered = true;
        let done = self.outage.within(self.patience, answer).await;
        *self.is_unanswered = !is_answer(&done);
        Ok(done?)
    }
}

/// A connection is there as long as its loan is; this is for whoever breaks that.
pub(crate) fn gone() -> Error {
    Error::Away(sqlx::Error::WorkerCrashed)
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.is_unanswered {
            drop(connection.detach());
            return;
        }
        let is_in_transaction = self.is_in_transaction;
        tokio::spawn(async move {
            if is_in_transaction
                && !matches!(timeout(RETURN, connection.execute("ROLLBACK")).await, Ok(Ok(_)))
            {
                drop(connection.detach());
                return;
            }
            // The pool asks what is returned for a sign of life, and has no deadline for that: a dead link would keep
            // its place in the pool for as long as the kernel believes in it.
            if timeout(RETURN, connection.return_to_pool()).await.is_err() {
                tracing::debug!("a connection to the database was given up when it was returned");
            }
        });
    }
}
