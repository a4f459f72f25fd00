//! Knowing that PostgreSQL is away, so that nobody waits for it in vain.
//!
//! A link that carries nothing any more (no end of the connection, no error) looks like a statement that takes long.
//! So whatever takes long is a suspicion, and a suspicion is looked into over a connection of its own. When that can't
//! be had and nothing else is answered either, the database is away: what waits for it gives up, and calls are refused
//! before they take a connection, until a probe gets through.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use std::{fmt, io};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What takes longer is suspicious.
const SUSPICIOUS: Duration = Duration::from_millis(250);
/// How long a probe may take. Together with [`SUSPICIOUS`] it is how long a call hangs that meets a dead link first.
const PROBE: Duration = Duration::from_millis(500);
/// Between two probes.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether the database is away, for all connections of a pool.
pub(crate) struct Outage {
    connect: PgConnectOptions,
    is_away: watch::Sender<bool>,
    is_probing: AtomicBool,
    /// How often anything was answered.
    answers: AtomicU64,
}

impl fmt::Debug for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outage").field("is_away", &*self.is_away.borrow()).finish_non_exhaustive()
    }
}

impl Outage {
    pub(crate) fn new(connect: PgConnectOptions) -> Arc<Self> {
        Arc::new(Self {
            connect,
            is_away: watch::Sender::new(false),
            is_probing: AtomicBool::new(false),
            answers: AtomicU64::new(0),
        })
    }

    /// Fails when the database is known to be away.
    pub(crate) fn check(&self) -> Result<(), sqlx::Error> {
        if *self.is_away.borrow() { Err(away()) } else { Ok(()) }
    }

    /// Waits for something that the database does, at most `patience`, and no longer than it is there.
    pub(crate) async fn within<T>(
        self: &Arc<Self>,
        patience: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let mut work = pin!(work);
        let done = match timeout(patience.min(SUSPICIOUS), &mut work).await {
            Ok(done) => done,
            Err(_) => {
                self.suspect();
                let mut is_away = self.is_away.subscribe();
                tokio::select! {
                    biased;
                    done = timeout(patience.saturating_sub(SUSPICIOUS), work) => done.unwrap_or_else(|_| Err(late())),
                    _ = is_away.wait_for(|away| *away) => Err(away()),
                }
            }
        };
        if is_answer(&done) {
            self.answers.fetch_add(1, Ordering::Relaxed);
        } else {
            self.suspect();
        }
        done
    }

    /// Has it looked at whether the database is there, unless that is being done.
    fn suspect(self: &Arc<Self>) {
        if !self.is_probing.swap(true, Ordering::AcqRel) {
            tokio::spawn(probe(Arc::downgrade(self)));
        }
    }

    /// Whether the database answers a stranger.
    async fn reach(&self) -> bool {
        let reach = async {
            match PgConnection::connect_with(&self.connect).await {
                Ok(connection) => connection.close().await.is_ok(),
                Err(sqlx::Error::Database(refusal)) => {
                    // Shutting down, crashed, starting up. All else (too many connections, say) is said by one who is there.
                    !matches!(refusal.code().as_deref(), Some("57P01" | "57P02" | "57P03"))
                }
                Err(_) => false,
            }
        };
        timeout(PROBE, reach).await.unwrap_or(false)
    }
}

/// Looks until the database is there, or nobody needs to know any more.
async fn probe(outage: Weak<Outage>) {
    loop {
        let Some(held) = outage.upgrade() else { return };
        let answers = held.answers.load(Ordering::Relaxed);
        let is_reached = held.reach().await;
        // A probe that is slow proves nothing as long as others are answered.
        let is_away = !is_reached && held.answers.load(Ordering::Relaxed) == answers;
        if held.is_away.send_replace(is_away) != is_away {
            if is_away {
                tracing::warn!("the database does not answer: calls that need it are refused until it does");
            } else {
                tracing::info!("the database answers again");
            }
        }
        drop(held);
        sleep(PAUSE).await;
        if is_reached {
            let Some(held) = outage.upgrade() else { return };
            held.is_probing.store(false, Ordering::Release);
            return;
        }
    }
}

/// Whether this came from the database, whatever it says.
pub(crate) fn is_answer<T>(done: &Result<T, sqlx::Error>) -> bool {
    match done {
        Ok(_) | Err(sqlx::Error::RowNotFound) => true,
        // The last word of a server that ends the connection is none.
        Err(sqlx::Error::Database(error)) => !error.code().is_some_and(|code| code.starts_with("57P")),
        Err(_) => false,
    }
}

fn away() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::NotConnected, "the database does not answer"))
}

fn late() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))
}
