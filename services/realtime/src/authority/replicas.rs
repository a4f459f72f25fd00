//! Which of the api's replicas is asked.
//!
//! A replica is up or down, and only a probe says so: a cheap call, several times a second, that anything alive
//! answers. A call that takes long (a slow commit) is therefore no sign of death, while calls that are under way on a
//! replica that went down are made on another at once. When none is up, a call fails before it is made.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use streamit_wire::v1;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use super::Client;
use crate::metrics::Calls;
use crate::room::effect::Away;

/// Between two probes of a replica.
const PROBE: Duration = Duration::from_millis(200);
/// How long a probe may take. Together with [`PROBE`] it is how long a silent death goes unnoticed; what waits for the
/// dead one must then still be answered within the second.
const LIFE: Duration = Duration::from_millis(600);
/// How much longer an answer to a probe is waited for, before it is asked again.
const LATE: Duration = Duration::from_secs(1);
/// How long a replica that is up may take for one call before another is asked. It lives, so what it needs is slow.
const TRY: Duration = Duration::from_millis(1_500);
/// How long all tries together may take.
const TOTAL: Duration = Duration::from_millis(4_500);
/// For how long a replica that took too long, or could not, is asked last, in milliseconds.
const SLOW_MS: u64 = 3_000;

struct Replica {
    name: String,
    client: Client,
    is_up: watch::Sender<bool>,
    /// Probe now: a call has failed.
    look: Notify,
    /// When it answered anything last, and until when it is asked last, in milliseconds since `start`.
    heard: AtomicU64,
    slow_until: AtomicU64,
}

impl Replica {
    fn is_known_to_be(&self, up: bool) {
        if self.is_up.send_replace(up) == up {
            return;
        }
        if up {
            tracing::info!(replica = self.name, "an api replica answers again");
        } else {
            tracing::warn!(replica = self.name, "an api replica does not answer; the others are asked");
        }
    }
}

/// Why a try brought no answer.
enum Failed {
    /// Every replica would say the same.
    ForGood,
    /// This replica is down, can't now, or takes too long.
    Here,
    /// It was not reached.
    OnTheWay,
}

/// All replicas.
pub(super) struct Replicas {
    all: Vec<Replica>,
    start: Instant,
    calls: Calls,
}

impl Replicas {
    /// Replicas that are taken to be up until a probe says otherwise.
    pub(super) fn new(clients: Vec<(String, Client)>, calls: Calls) -> Self {
        let of = |(name, client)| Replica {
            name,
            client,
            is_up: watch::Sender::new(true),
            look: Notify::new(),
            heard: AtomicU64::new(0),
            slow_until: AtomicU64::new(0),
        };
        Self { all: clients.into_iter().map(of).collect(), start: Instant::now(), calls }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many are up.
    pub(super) fn count_up(&self) -> usize {
        self.all.iter().filter(|replica| *replica.is_up.borrow()).count()
    }

    #[cfg(test)]
    pub(super) fn is_up(&self, i: usize) -> bool {
        *self.all[i].is_up.borrow()
    }

    /// Probes every replica for as long as somebody holds them.
    pub(super) fn watch(self: &Arc<Self>) {
        for i in 0..self.all.len() {
            tokio::spawn(watch_one(Arc::downgrade(self), i));
        }
    }

    /// The replica for a key: the one whose name and the key hash highest, so that the loss of one moves only its own.
    pub(super) fn first(&self, key: &[u8]) -> usize {
        let weight = |replica: &Replica| {
            let mut hasher = DefaultHasher::new();
            (&replica.name, key).hash(&mut hasher);
            hasher.finish()
        };
        (0..self.all.len()).max_by_key(|i| weight(&self.all[*i])).unwrap_or(0)
    }

    /// Makes a call on `first` if it is up, else on another.
    pub(super) async fn call<A, F>(&self, first: usize, call: impl Fn(Client) -> F) -> Result<A, Away>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        timeout(TOTAL, self.tries(first, call)).await.unwrap_or(Err(Away))
    }

    async fn tries<A, F>(&self, first: usize, call: impl Fn(Client) -> F) -> Result<A, Away>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        // Those that can't be reached are asked a second time: one that was just restarted refuses the first try on its
        // old connection. Whoever said no, or is slow, would only be burdened.
        let mut again = Vec::new();
        for (tries, i) in self.order(first).into_iter().enumerate() {
            if tries > 0 {
                self.calls.retried();
            }
            match self.ask(i, call(self.all[i].client.clone())).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::ForGood) => return Err(Away),
                Err(Failed::Here) => {}
                Err(Failed::OnTheWay) => again.push(i),
            }
        }
        for i in again {
            if let Ok(answer) = self.ask(i, call(self.all[i].client.clone())).await {
                return Ok(answer);
            }
        }
        Err(Away)
    }

    /// Every replica: `first`, then the others in turn; those that were slow come last.
    fn order(&self, first: usize) -> Vec<usize> {
        let (now, count) = (self.uptime_ms(), self.all.len());
        let mut order: Vec<usize> = (0..count).map(|i| (first + i) % count).collect();
        order.sort_by_key(|i| self.all[*i].slow_until.load(Ordering::Relaxed) > now);
        order
    }

    /// One try, given up when it takes too long or the replica goes down meanwhile.
    async fn ask<A>(
        &self,
        i: usize,
        call: impl Future<Output = Result<tonic::Response<A>, Status>>,
    ) -> Result<A, Failed> {
        let replica = &self.all[i];
        let mut is_up = replica.is_up.subscribe();
        let answer = tokio::select! {
            biased;
            _ = is_up.wait_for(|up| !up) => return Err(Failed::Here),
            answer = timeout(TRY, call) => answer,
        };
        let slow_until = self.uptime_ms() + SLOW_MS;
        match answer {
            Ok(Ok(reply)) => {
                self.hear(replica);
                replica.slow_until.store(0, Ordering::Relaxed);
                Ok(reply.into_inner())
            }
            Ok(Err(status)) if is_final(status.code()) => {
                tracing::error!(replica = replica.name, code = %status.code(), message = status.message(), "the api refused a call");
                Err(Failed::ForGood)
            }
            // A stable code is the replica's own word: it can't now.
            Ok(Err(status)) if streamit_wire::Code::from_word(status.message()).is_some() => {
                self.hear(replica);
                replica.slow_until.store(slow_until, Ordering::Relaxed);
                tracing::debug!(
                    replica = replica.name,
                    message = status.message(),
                    "an api replica can't now"
                );
                Err(Failed::Here)
            }
            Ok(Err(status)) => {
                replica.look.notify_one();
                tracing::debug!(replica = replica.name, code = %status.code(), message = status.message(), "an api replica can't be reached");
                Err(Failed::OnTheWay)
            }
            Err(_) => {
                replica.slow_until.store(slow_until, Ordering::Relaxed);
                tracing::debug!(replica = replica.name, "an api replica takes too long");
                Err(Failed::Here)
            }
        }
    }

    /// Finds out whether a replica lives.
    async fn probe(&self, replica: &Replica) {
        // Twice, since the first may meet the end of an old connection.
        for _ in 0..2 {
            let (asked, asked_ms) = (Instant::now(), self.uptime_ms());
            let mut client = replica.client.clone();
            let mut probe = pin!(client.keys(v1::KeysRequest {}));
            let answer = match timeout(LIFE, &mut probe).await {
                Ok(answer) => answer,
                Err(_) => {
                    // Unless this process was stopped for a while, or is starved: then nothing was watched.
                    if asked.elapsed() < LIFE * 2 && replica.heard.load(Ordering::Relaxed) <= asked_ms {
                        replica.is_known_to_be(false);
                    }
                    // It may be late all the same, and is back then.
                    let Ok(answer) = timeout(LATE, &mut probe).await else { return };
                    answer
                }
            };
            match answer {
                Ok(_) => {
                    self.hear(replica);
                    return replica.is_known_to_be(true);
                }
                // It answers, whatever it says.
                Err(status) if is_final(status.code()) => return replica.is_known_to_be(true),
                Err(_) => {}
            }
        }
        replica.is_known_to_be(false);
    }

    fn hear(&self, replica: &Replica) {
        replica.heard.store(self.uptime_ms(), Ordering::Relaxed);
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Probes one replica until nobody needs to know.
async fn watch_one(replicas: Weak<Replicas>, i: usize) {
    loop {
        let Some(held) = replicas.upgrade() else { return };
        let replica = &held.all[i];
        held.probe(replica).await;
        tokio::select! {
            () = sleep(PROBE) => {}
            () = replica.look.notified() => {}
        }
    }
}

/// Whether a replica means what it says: asking another would bring the same answer. Everything else may come from the
/// way there, or from a replica on its way out.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated
    )
}
