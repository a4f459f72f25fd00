//! Connections for calls, shared by the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, QueueMode, RecycleError, RecycleResult};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind,
    Value,
};
use tokio::time::{Instant, timeout_at};

use super::RedisOptions;
use super::ask::{What, away, first_error, sound};
use super::role::Role;
use crate::Error;
use crate::metrics::{Instruments, Line};

/// A connection that was quiet for longer is asked whether it still lives, and leads to a primary, before it is used.
const TRUSTED: Duration = Duration::from_secs(1);

/// Makes and checks connections. The checking of `deadpool-redis` costs a round trip for each use, which would double
/// the time of every call; here a connection is checked only after a pause or when another one has failed.
struct Manager {
    inner: deadpool_redis::Manager,
    /// Only connections that were made in this age still serve.
    age: AtomicU64,
    /// Connections that have failed and were not replaced yet.
    failed: AtomicUsize,
    metrics: Arc<Instruments>,
}

impl Manager {
    fn has_failed(&self, connections: usize) {
        self.failed.fetch_add(connections, Ordering::Relaxed);
    }
}

/// A connection, and when it was made.
struct Made {
    connection: MultiplexedConnection,
    age: u64,
}

impl managed::Manager for Manager {
    type Type = Made;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<Made> {
        let age = self.age.load(Ordering::Acquire);
        let mut connection = self.inner.create().await?;
        Role::of(&mut connection).await?;
        let one_less =
            self.failed.try_update(Ordering::Relaxed, Ordering::Relaxed, |failed| failed.checked_sub(1));
        if one_less.is_ok() {
            self.metrics.reconnected(Line::Commands);
        }
        Ok(Made { connection, age })
    }

    async fn recycle(&self, made: &mut Made, metrics: &Metrics) -> RecycleResult<RedisError> {
        if made.age != self.age.load(Ordering::Acquire) {
            self.has_failed(1);
            return Err(RecycleError::message("it may lead to a Redis that is no longer the primary"));
        }
        if metrics.last_used() >= TRUSTED {
            Role::of(&mut made.connection).await.inspect_err(|_| self.has_failed(1))?;
        }
        Ok(())
    }
}

/// The pool. Each call has a deadline that includes waiting for a connection.
pub(super) struct Pool {
    pool: managed::Pool<Manager>,
    deadline: Duration,
    metrics: Arc<Instruments>,
}

impl Pool {
    pub(super) fn new(
        info: ConnectionInfo,
        options: &RedisOptions,
        metrics: Arc<Instruments>,
    ) -> RedisResult<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.deadline))
            .set_response_timeout(Some(options.deadline));
        let manager = Manager {
            inner: deadpool_redis::Manager::new_with_config(info, config)?,
            age: AtomicU64::new(0),
            failed: AtomicUsize::new(0),
            metrics: metrics.clone(),
        };
        let pool = managed::Pool::builder(manager)
            .max_size(options.pool_size.max(1))
            // The one used last is the one that needs no check.
            .queue_mode(QueueMode::Lifo)
            .build();
        let pool =
            pool.map_err(|_| (ErrorKind::InvalidClientConfig, "the pool's settings contradict each other"))?;
        Ok(Self { pool, deadline: options.deadline, metrics })
    }

    /// Sends `pipeline`, all of whose commands are `what`, and returns the answer of each command.
    pub(super) async fn ask(&self, pipeline: &Pipeline, what: impl Into<What>) -> Result<Vec<Value>, Error> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let (what, asked) = (what.into(), Instant::now());
        let answers = self.ask_within(pipeline, what, asked + self.deadline).await;
        self.metrics.asked(what.name(), asked.elapsed());
        answers
    }

    async fn ask_within(
        &self,
        pipeline: &Pipeline,
        what: What,
        deadline: Instant,
    ) -> Result<Vec<Value>, Error> {
        let Ok(connection) = timeout_at(deadline, self.pool.get()).await else {
            return Err(self.suspect(None));
        };
        let mut connection = connection.map_err(away)?;
        let answers = match timeout_at(deadline, send(&mut connection.connection, pipeline, what)).await {
            Ok(Ok(answers)) => sound(answers),
            Ok(Err(error)) => Err(self.suspect(Some(Box::new(error)))),
            Err(_) => Err(self.suspect(None)),
        };
        if answers.is_err() {
            // Also after an error that the server told: it may be a replica now, and the next call had better look
            // where the address leads.
            drop(managed::Object::take(connection));
            self.pool.manager().has_failed(1);
        }
        answers
    }

    /// Gives up every connection, those in use as soon as they come back.
    pub(super) fn begin_anew(&self) {
        self.pool.manager().age.fetch_add(1, Ordering::AcqRel);
        self.drop_idle();
    }

    /// What happened to one connection has probably happened to those that lie idle.
    fn suspect(&self, cause: Option<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.drop_idle();
        Error::Away(cause)
    }

    fn drop_idle(&self) {
        let dropped = self.pool.retain(|_, _| false);
        self.pool.manager().has_failed(dropped.removed.len());
    }
}

/// Sends, and sends again after teaching the server the script that it did not know: nothing of it has happened then
/// (and a pipeline of several calls holds only calls that may be repeated). A server may forget at any moment, so
/// this goes on as long as the caller's deadline lets it.
async fn send(
    connection: &mut MultiplexedConnection,
    pipeline: &Pipeline,
    what: What,
) -> RedisResult<Vec<Value>> {
    let is_unknown = |error: RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
    loop {
        let answers = connection.req_packed_commands(pipeline, 0, pipeline.len()).await?;
        match what {
            What::Script(script) if first_error(&answers).is_some_and(is_unknown) => {
                script.load_async(connection).await?;
            }
            _ => return Ok(answers),
        }
    }
}
