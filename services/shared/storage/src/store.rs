//! Opening either database, and bringing its schema up to date.

use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgConnection, PgPool, SqlitePool};
use tokio::time::{Instant, timeout};

use crate::engine::{Read, Tx};
use crate::load::{Load, Waits};
use crate::loan::Loan;
use crate::outage::Outage;
use crate::{Error, Result, keys};

/// How long a session of PostgreSQL may do nothing inside a transaction. Ours never do.
const HELD: Duration = Duration::from_secs(2);
/// How much longer than a statement may run its answer is waited for.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// How long an idle connection may take to show that it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_millis(250);

static POSTGRES: Migrator = sqlx::migrate!("../../../migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("../../../migrations/sqlite");

/// The database: PostgreSQL for any number of api replicas, or an SQLite file for one process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pools: Pools,
    waits: Arc<Waits>,
}

#[derive(Clone, Debug)]
enum Pools {
    Postgres {
        pool: PgPool,
        outage: Arc<Outage>,
        /// How long to wait for a connection, and for an answer.
        patience: (Duration, Duration),
    },
    Sqlite {
        read: SqlitePool,
        /// One connection. SQLite has one writer at a time; waiting for it here, in line, is fair and never
        /// ends in SQLITE_BUSY, as waiting inside SQLite would.
        write: SqlitePool,
    },
}

/// How a [`Store`] uses its database.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most connections at once. SQLite: the most readers, 8 being plenty.
    pub max_connections: u32,
    /// How long a call waits for a connection that others are using.
    pub acquire_timeout: Duration,
    /// How long one statement may run (PostgreSQL). Its answer is waited for a second longer.
    pub statement_timeout: Duration,
    /// How long to wait for another *process* that writes the same file (SQLite), `createsuperuser` say.
    pub busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(4),
            busy_timeout: Duration::from_secs(5),
        }
    }
}

impl Store {
    /// Opens `postgres://..`, `postgresql://..` or `sqlite://path` (the file is made when it is missing).
    ///
    /// # Errors
    /// When the URL is of another kind or the database can't be reached.
    pub async fn connect(url: &str, options: Options) -> Result<Self> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => Self::connect_postgres(url, options).await,
            Some("sqlite") => Self::connect_sqlite(url, options).await,
            // The URL may hold a password, so it is not repeated.
            _ => Err(Error::Unusable("the database URL must start with postgres:// or sqlite://".into())),
        }
    }

    async fn connect_postgres(url: &str, options: Options) -> Result<Self> {
        let ms = |timeout: Duration| timeout.as_millis().to_string();
        let connect = PgConnectOptions::from_str(url)
            .map_err(|_| Error::Unusable("the database URL is not a valid postgres:// URL".into()))?
            .application_name("streamit")
            .options([
                ("statement_timeout", ms(options.statement_timeout)),
                // A caller that hangs, or is cut off, between two statements must not hold a room's lock for ever.
                ("idle_in_transaction_session_timeout", ms(HELD)),
                // And a session whose caller is gone without a word ends some day.
                ("tcp_keepalives_idle", "15".to_owned()),
                ("tcp_keepalives_interval", "5".to_owned()),
                ("tcp_keepalives_count", "3".to_owned()),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            // The pool's own test has no deadline but that of the whole wait, and would use all of it up.
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(still_there(connection)))
            .connect_with(connect.clone())
            .await?;
        let patience = (options.acquire_timeout, options.statement_timeout + ON_THE_WAY);
        Ok(Self::of(Pools::Postgres { pool, outage: Outage::new(connect), patience }))
    }

    async fn connect_sqlite(url: &str, options: Options) -> Result<Self> {
        let base = SqliteConnectOptions::from_str(url)
            .map_err(|_| Error::Unusable("the database URL is not a valid sqlite:// URL".into()))?;
        if url.contains(":memory:")
            || url.contains("mode=memory")
            || base.get_filename().as_os_str().is_empty()
        {
            return Err(Error::Unusable(
                "SQLite needs a file: each connection would see its own memory".into(),
            ));
        }
        let base = base
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(options.busy_timeout)
            .foreign_keys(true);
        // The writer first: it makes the file and switches it to WAL.
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(base.clone().optimize_on_close(true, None))
            .await?;
        let read = SqlitePoolOptions::new()
            .max_connections(options.max_connections.clamp(1, 8))
            .acquire_timeout(options.acquire_timeout)
            .max_lifetime(None)
            .connect_with(base.pragma("query_only", "ON"))
            .await?;
        Ok(Self::of(Pools::Sqlite { read, write }))
    }

    fn of(pools: Pools) -> Self {
        Self { pools, waits: Arc::default() }
    }

    /// How busy the connections are now; SQLite's readers and its writer together.
    #[must_use]
    pub fn load(&self) -> Load {
        match &self.pools {
            Pools::Postgres { pool, .. } => Load::of(pool),
            Pools::Sqlite { read, write } => Load::of(read).and(Load::of(write)),
        }
    }

    /// From now on has `told` hear how long each call waited for its connection. Only the first one is told.
    pub fn tell_waits(&self, told: impl Fn(Duration) + Send + Sync + 'static) {
        self.waits.tell(told);
    }

    /// How many calls got no connection: none came in time, or the database is away.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.waits.given_up()
    }

    /// Waits for a connection, and counts that.
    async fn wait<T, E>(&self, connection: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let since = Instant::now();
        let done = connection.await;
        match &done {
            Ok(_) => self.waits.came(since.elapsed()),
            Err(_) => self.waits.gave_up(),
        }
        done
    }

    /// Brings the schema up to date and makes the secrets that are missing, with bytes from `fill`. Doing it
    /// again changes nothing; replicas may do it at once. A newer release's migrations are left alone.
    ///
    /// # Errors
    /// When a migration fails or was changed after it ran.
    pub async fn migrate(&self, fill: impl FnMut(&mut [u8]) + Send) -> Result<()> {
        match &self.pools {
            Pools::Postgres { pool, .. } => {
                // Connections of its own, for a migration may take its time.
                let options = pool.connect_options().as_ref().clone().options([("statement_timeout", "0")]);
                let patient = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
                let migrated = lenient(&POSTGRES).run(&patient).await;
                patient.close().await;
                migrated.map_err(migrate_error)?;
            }
            Pools::Sqlite { write, .. } => lenient(&SQLITE).run(write).await.map_err(migrate_error)?,
        }
        let mut tx = self.begin().await?;
        keys::make_secrets(&mut tx, fill).await?;
        tx.commit().await
    }

    /// Whether every migration of this release has run.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schema_is_current(&self) -> Result<bool> {
        const TABLE: crate::engine::Sql = sql! {
            postgres: "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()
                AND tablename = '_sqlx_migrations'",
            sqlite: "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'",
        };
        let mut read = self.read().await?;
        if fetch_one!(read, (i64,), TABLE)?.0 == 0 {
            return Ok(false);
        }
        let applied: Vec<(i64,)> =
            fetch_all!(read, (i64,), "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")?;
        let wanted = match &self.pools {
            Pools::Postgres { .. } => &POSTGRES,
            Pools::Sqlite { .. } => &SQLITE,
        };
        Ok(wanted.iter().all(|migration| applied.contains(&(migration.version,))))
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(&self) -> Result<()> {
        let mut read = self.read().await?;
        fetch_one!(read, (i64,), sql! { postgres: "SELECT 1::BIGINT", sqlite: "SELECT 1" })?;
        Ok(())
    }

    /// A transaction that may write. SQLite: waits until it is the only one.
    ///
    /// # Errors
    /// When there is no connection in time.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match &self.pools {
            Pools::Postgres { pool, outage, patience } => {
                Tx::postgres(self.wait(borrow(pool, outage, *patience)).await?).await?
            }
            // IMMEDIATE: a transaction that reads first and then finds another process ahead could only give up.
            Pools::Sqlite { write, .. } => Tx::sqlite(self.wait(write.begin_with("BEGIN IMMEDIATE")).await?),
        })
    }

    /// A connection for looking only, outside any transaction.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn read(&self) -> Result<Read> {
        Ok(match &self.pools {
            Pools::Postgres { pool, outage, patience } => {
                Read::postgres(self.wait(borrow(pool, outage, *patience)).await?)
            }
            Pools::Sqlite { read, .. } => Read::sqlite(self.wait(read.acquire()).await?),
        })
    }

    /// Waits for what is under way and closes every connection; from then on the database is away.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Postgres { pool, .. } => pool.close().await,
            Pools::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
        }
    }
}

/// Takes a connection from the pool.
async fn borrow(pool: &PgPool, outage: &Arc<Outage>, patience: (Duration, Duration)) -> Result<Loan> {
    let (to_come, to_answer) = patience;
    outage.check()?;
    // Boxed: it is large, and would make every future that reads anything large.
    let connection = outage.within(to_come, Box::pin(pool.acquire())).await.map_err(|error| match error {
        sqlx::Error::Database(_) => Error::from(error),
        // Also what breaks the protocol: a server that ends the connection before it has said anything.
        error => Error::Away(error),
    })?;
    Ok(Loan::new(connection, to_answer, outage.clone()))
}

/// Fails for a connection that died while nobody used it; the pool then opens another.
async fn still_there(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match timeout(SIGN_OF_LIFE, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

/// Migrations that this release doesn't know belong to a newer one, with which it has to get along.
fn lenient(migrator: &'static Migrator) -> Migrator {
    let mut lenient = Migrator { migrations: migrator.migrations.clone(), ..Migrator::DEFAULT };
    lenient.set_ignore_missing(true);
    lenient
}

fn migrate_error(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) => match Error::from(error) {
            Error::Other(error) => Error::Migrate(MigrateError::Execute(error)),
            known => known,
        },
        other => Error::Migrate(other),
    }
}
