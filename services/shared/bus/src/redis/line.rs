//! A connection of its own for what must not queue behind other calls: leases and probes.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisResult, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::ask::{away, sound};
use crate::Error;
use crate::metrics::{self, Instruments};

/// One connection, made when needed and again after any failure. Calls share it.
pub(super) struct Line {
    client: Client,
    config: AsyncConnectionConfig,
    deadline: Duration,
    connection: Mutex<Held>,
    metrics: Arc<Instruments>,
}

#[derive(Default)]
struct Held {
    /// Which connection of this line's life it is.
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl Line {
    pub(super) fn new(client: Client, deadline: Duration, metrics: Arc<Instruments>) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(deadline))
            .set_response_timeout(Some(deadline));
        Self { client, config, deadline, connection: Mutex::default(), metrics }
    }

    /// Sends `pipeline`, which is called `name` in metrics, and returns the answer of each command.
    pub(super) async fn ask(&self, pipeline: &Pipeline, name: &'static str) -> Result<Vec<Value>, Error> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let asked = Instant::now();
        let answers = self.ask_within(pipeline, asked + self.deadline).await;
        self.metrics.asked(name, asked.elapsed());
        answers
    }

    async fn ask_within(&self, pipeline: &Pipeline, deadline: Instant) -> Result<Vec<Value>, Error> {
        let (number, mut connection) =
            timeout_at(deadline, self.connection()).await.map_err(|_| Error::Away(None))?.map_err(away)?;
        let answers = timeout_at(deadline, connection.req_packed_commands(pipeline, 0, pipeline.len())).await;
        let answers = answers.map_err(|_| Error::Away(None)).and_then(|answers| answers.map_err(away));
        let answers = answers.and_then(sound);
        if answers.is_err() {
            let mut held = self.connection.lock().await;
            if held.number == number {
                held.connection = None;
            }
        }
        answers
    }

    /// Gives up the connection.
    pub(super) async fn begin_anew(&self) {
        self.connection.lock().await.connection = None;
    }

    async fn connection(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &held.connection {
            return Ok((held.number, connection.clone()));
        }
        let connection = self.client.get_multiplexed_async_connection_with_config(&self.config).await?;
        if held.number > 0 {
            self.metrics.reconnected(metrics::Line::Commands);
        }
        held.number += 1;
        held.connection = Some(connection.clone());
        Ok((held.number, connection))
    }
}
