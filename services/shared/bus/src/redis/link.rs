//! The subscription connection: one per process, its own, made again whenever it ends.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult, Value};
use streamit_telemetry::SharedEntropy;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::RedisOptions;
use super::hub::{Hub, Topic};
use super::probe::Echo;
use super::role::Role;
use crate::metrics::{Instruments, Line};

/// How many channels one command names. Bulk is what makes a reconnect with many rooms quick.
const BULK: usize = 512;
/// A bulk command may take longer than a call that somebody waits for.
const BULK_DEADLINE: Duration = Duration::from_secs(5);

/// What keeps the subscription connection alive.
pub(super) struct Keeper {
    pub(super) client: Client,
    pub(super) hub: Arc<Hub>,
    pub(super) echo: Arc<Echo>,
    pub(super) options: RedisOptions,
    pub(super) metrics: Arc<Instruments>,
    pub(super) entropy: SharedEntropy,
    pub(super) shutdown: CancellationToken,
}

impl Keeper {
    /// Runs until shutdown. `tried` is told when the first attempt has come to an end, good or bad.
    pub(super) async fn run(self, tried: oneshot::Sender<()>) {
        let mut tried = Some(tried);
        let mut failures = 0;
        let mut is_first = true;
        let mut has_been = false;
        while !self.shutdown.is_cancelled() {
            let gone = Arc::new(Notify::new());
            let attempt = async {
                let (mut connection, run_id) = self.connect(gone.clone()).await?;
                self.join(&mut connection, &self.hub.begin()).await?;
                self.echo.expect_from_now(run_id);
                RedisResult::Ok(connection)
            };
            let attempt = tokio::select! {
                attempt = attempt => attempt,
                () = self.shutdown.cancelled() => break,
            };
            match attempt {
                Ok(connection) => {
                    self.hub.up(is_first);
                    if std::mem::replace(&mut has_been, true) {
                        self.metrics.reconnected(Line::Subscription);
                    }
                    (failures, is_first) = (0, false);
                    tried.take().map(|tried| tried.send(()));
                    tracing::info!("subscribed to news on Redis");
                    self.serve(connection, &gone).await;
                    self.hub.lost();
                }
                Err(error) => {
                    self.hub.away();
                    is_first = false;
                    tried.take().map(|tried| tried.send(()));
                    if failures == 0 {
                        tracing::warn!(%error, "no subscription to Redis; trying again until there is one");
                    }
                    failures += 1;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.pause(failures)) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
        self.hub.close();
    }

    /// A new connection, and which Redis it leads to. It hands every message on at once: the queues behind the hub are
    /// bounded, the library's own would not be.
    async fn connect(&self, gone: Arc<Notify>) -> RedisResult<(MultiplexedConnection, String)> {
        let (hub, echo) = (self.hub.clone(), self.echo.clone());
        let on_push = move |push: PushInfo| {
            match push.kind {
                PushKind::Message => {
                    if let [Value::BulkString(channel), Value::BulkString(payload)] = &push.data[..]
                        && !echo.hear(channel, payload)
                    {
                        hub.deliver(channel, payload);
                    }
                }
                PushKind::Disconnection => gone.notify_one(),
                _ => {}
            }
            RedisResult::Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.deadline))
            .set_response_timeout(Some(BULK_DEADLINE))
            .set_push_sender(on_push);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let role = Role::of(&mut connection).await?;
        connection.subscribe(self.echo.channel()).await?;
        Ok((connection, role.run_id))
    }

    async fn join(&self, connection: &mut MultiplexedConnection, topics: &[Topic]) -> RedisResult<()> {
        for topics in topics.chunks(BULK) {
            connection.subscribe(channels(topics)).await?;
            self.hub.joined(topics);
        }
        Ok(())
    }

    async fn leave(&self, connection: &mut MultiplexedConnection, topics: &[Topic]) -> RedisResult<()> {
        for topics in topics.chunks(BULK) {
            connection.unsubscribe(channels(topics)).await?;
            self.hub.left(topics);
        }
        Ok(())
    }

    /// Keeps the server's subscriptions what the hub wants, until the connection ends or no longer carries probes.
    async fn serve(&self, mut connection: MultiplexedConnection, gone: &Notify) {
        loop {
            tokio::select! {
                () = self.hub.has_work() => {}
                () = gone.notified() => {
                    tracing::warn!("the subscription to Redis was cut");
                    return;
                }
                () = self.echo.is_missed() => {
                    tracing::warn!("probes do not come back, or another Redis answers them; subscribing anew");
                    return;
                }
                () = self.shutdown.cancelled() => return,
            }
            let work = self.hub.take_work();
            let done = async {
                self.join(&mut connection, &work.join).await?;
                self.leave(&mut connection, &work.leave).await
            };
            let done = tokio::select! {
                done = done => done,
                // A connection that carries nothing would keep this waiting for longer than probes take to tell.
                () = self.echo.is_missed() => {
                    tracing::warn!("probes do not come back, or another Redis answers them; subscribing anew");
                    return;
                }
                () = self.shutdown.cancelled() => return,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "a subscription failed; subscribing anew");
                return;
            }
        }
    }

    /// How long to wait before the next attempt: longer after each failure, and never the same on two nodes.
    fn pause(&self, failures: u32) -> Duration {
        let longest =
            self.options.backoff.saturating_mul(1 << failures.min(16)).min(self.options.longest_backoff);
        longest.mul_f64(0.5 + 0.5 * f64::from(self.entropy.u32()) / f64::from(u32::MAX))
    }
}

fn channels(topics: &[Topic]) -> Vec<String> {
    topics.iter().map(|topic| topic.channel()).collect()
}
