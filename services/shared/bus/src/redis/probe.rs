//! The node's own pulse: is the store there, does news come through, is it still the same store, what time is it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use redis::pipe;
use streamit_telemetry::SharedClock;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::RedisOptions;
use super::ask::away;
use super::codec::read;
use super::hub::Hub;
use super::line::Line;
use super::pool::Pool;
use super::role::{IsReplica, Role};
use crate::Error;
use crate::clock::RoomClock;
use crate::metrics::Instruments;

/// So many probes on their way mean that the subscription no longer works: a connection may be half open for many
/// minutes before the operating system notices. With a probe each second it is made anew after 3.5 s at the latest.
const MISSED: u64 = 3;

/// The node's own channel: numbers are sent into it and should come back.
pub(super) struct Echo {
    channel: String,
    sent: AtomicU64,
    heard: AtomicU64,
    missed: Notify,
    /// The last number on its way, and since when.
    last: Mutex<Option<(u64, Instant)>>,
    metrics: Arc<Instruments>,
    /// Which Redis the subscription is on, by its run id; and whether the probes say that it is the wrong one.
    on: Mutex<String>,
    is_astray: AtomicBool,
}

impl Echo {
    pub(super) fn new(name: Uuid, metrics: Arc<Instruments>) -> Arc<Self> {
        Arc::new(Self {
            channel: format!("s1:probe:{name}"),
            sent: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            missed: Notify::new(),
            last: Mutex::default(),
            metrics,
            on: Mutex::default(),
            is_astray: AtomicBool::new(false),
        })
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Takes in a message of the subscription; `false` when it is for somebody else.
    pub(super) fn hear(&self, channel: &[u8], payload: &[u8]) -> bool {
        if channel != self.channel.as_bytes() {
            return false;
        }
        if let Some(number) = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok()) {
            let before = self.heard.fetch_max(number, Ordering::AcqRel);
            if number > before {
                let last = self.last.lock().filter(|(last, _)| *last == number);
                self.metrics.probe_answered(last.map(|(_, since)| since.elapsed()));
                self.metrics.probes_lost(number - before - 1);
            }
        }
        true
    }

    /// A new subscription, on this Redis, is not to blame for what was sent before it.
    pub(super) fn expect_from_now(&self, run_id: String) {
        *self.on.lock() = run_id;
        self.is_astray.store(false, Ordering::Release);
        let sent = self.sent.load(Ordering::Acquire);
        let heard = self.heard.fetch_max(sent, Ordering::AcqRel);
        self.metrics.probes_lost(sent.saturating_sub(heard));
    }

    /// Waits until too many probes are missing, or the subscription is on the wrong Redis. Cancel-safe.
    pub(super) async fn is_missed(&self) {
        loop {
            self.missed.notified().await;
            // The word may have been for a subscription that is no more.
            if self.is_lost() {
                return;
            }
        }
    }

    fn is_lost(&self) -> bool {
        self.missing() >= MISSED || self.is_astray.load(Ordering::Acquire)
    }

    /// Whether the subscription is astray, now that calls are answered by `role`: news must come from there, unless it
    /// is a replica.
    fn compare(&self, role: &Role) -> bool {
        let is_there = *self.on.lock() == role.run_id;
        let is_astray = is_there == role.is_replica;
        self.is_astray.store(is_astray, Ordering::Release);
        is_astray
    }

    fn missing(&self) -> u64 {
        self.sent.load(Ordering::Acquire).saturating_sub(self.heard.load(Ordering::Acquire))
    }
}

/// What the probes tell.
pub(super) struct Pulse {
    answers: AtomicBool,
    hub: Arc<Hub>,
    echo: Arc<Echo>,
}

impl Pulse {
    pub(super) fn new(hub: Arc<Hub>, echo: Arc<Echo>) -> Arc<Self> {
        Arc::new(Self { answers: AtomicBool::new(false), hub, echo })
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.answers.load(Ordering::Acquire) && self.hub.is_up() && !self.echo.is_lost()
    }
}

/// What sends the probes.
pub(super) struct Prober {
    pub(super) line: Arc<Line>,
    pub(super) pool: Arc<Pool>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) room_clock: Arc<RoomClock>,
    pub(super) process_clock: SharedClock,
    pub(super) options: RedisOptions,
    pub(super) shutdown: CancellationToken,
}

impl Prober {
    /// Runs until shutdown. `tried` is told when the first probe has come to an end, good or bad.
    pub(super) async fn run(self, tried: oneshot::Sender<()>) {
        let mut tried = Some(tried);
        let mut store = None;
        loop {
            if self.pulse.hub.is_up() && self.pulse.echo.is_lost() {
                self.pulse.echo.missed.notify_one();
            }
            let answer = self.probe(&mut store).await;
            if answer.is_err() {
                self.pulse.echo.metrics.probes_lost(1); // the same number goes out again
            }
            let answered = self.pulse.answers.swap(answer.is_ok(), Ordering::AcqRel);
            match answer {
                Err(error) if answered => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "Redis does not answer");
                }
                Ok(()) if !answered && tried.is_none() => {
                    tracing::info!("Redis answers again");
                    self.pulse.hub.doubt();
                }
                _ => {}
            }
            tried.take().map(|tried| tried.send(()));
            let pause = if self.pulse.is_healthy() {
                self.options.probe_every
            } else {
                self.options.probe_while_away.min(self.options.probe_every)
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    async fn probe(&self, store: &mut Option<String>) -> Result<(), Error> {
        let number = self.pulse.echo.sent.load(Ordering::Acquire) + 1;
        let mut probe = pipe();
        probe.cmd("TIME").cmd("PUBLISH").arg(self.pulse.echo.channel()).arg(number);
        probe.add_command(Role::question());
        let asked = self.process_clock.monotonic();
        *self.pulse.echo.last.lock() = Some((number, Instant::now()));
        let mut answers = self.line.ask(&probe, "probe").await?.into_iter();
        let answered = self.process_clock.monotonic();
        // Only what was surely sent can be missed.
        self.pulse.echo.sent.store(number, Ordering::Release);

        let (seconds, micros): (i64, i64) = read(answers.next().unwrap_or_default())?;
        let info: String = read(answers.nth(1).unwrap_or_default())?;
        let role = Role::read(&info);
        let is_astray = self.pulse.echo.compare(&role) && self.pulse.hub.is_up();
        if role.is_replica || is_astray {
            // Only the address tells where the primary is now: whoever was there before looks again.
            self.line.begin_anew().await;
            self.pool.begin_anew();
        }
        if role.is_replica {
            return Err(away(IsReplica));
        }
        if store.as_deref() != Some(role.run_id.as_str()) {
            self.pool.begin_anew();
            if store.is_some() {
                tracing::warn!("another Redis answers now, or it was restarted");
                self.room_clock.forget();
                self.pulse.hub.doubt();
            }
            *store = Some(role.run_id);
        }
        let jumped = self.room_clock.jumped();
        self.room_clock.look(asked, answered, seconds * 1_000_000 + micros);
        if self.room_clock.jumped() != jumped {
            tracing::warn!("the clock of Redis has jumped");
            self.pulse.hub.doubt(); // so that every room hears of it now
        }
        Ok(())
    }
}
