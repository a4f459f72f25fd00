//! Which of the api's replicas is asked.
//!
//! A replica is up or down, and only a probe says so: a cheap call, several times a second, that anything alive
//! answers. A call that takes long (a slow commit) is therefore no sign of death, while calls that are under way on a
//! replica that went down are made on another at once. When none is up, a call fails before it is made.
//!
//! Those that are listed are there for good. Those that were found behind a name (`names`) come and go.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use streamit_wire::v1;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use super::{Client, Desk};
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

pub(super) struct Replica {
    pub(super) name: String,
    client: Client,
    /// What waits to be asked of it. Whoever waits holds the replica.
    pub(super) desk: Desk,
    is_up: watch::Sender<bool>,
    /// Whether it serves keys. A new one does so from its first answer on.
    is_in: AtomicBool,
    /// Told when it goes down or can't be reached: who found it had better look again.
    finder: Option<Arc<Notify>>,
    /// Probe now: a call has failed.
    look: Notify,
    /// When it answered anything last, and until when it is asked last, in milliseconds since `start`.
    heard: AtomicU64,
    slow_until: AtomicU64,
    /// It has refused a call, and answered none since.
    is_refusing: AtomicBool,
}

impl Replica {
    pub(super) fn is_up(&self) -> bool {
        *self.is_up.borrow()
    }

    pub(super) fn is_in(&self) -> bool {
        self.is_in.load(Ordering::Acquire)
    }

    fn is_known_to_be(&self, up: bool) {
        if self.is_up.send_replace(up) == up {
            return;
        }
        if !up {
            self.look_again();
            tracing::warn!(replica = self.name, "an api replica does not answer; the others are asked");
        } else if self.is_in.swap(true, Ordering::AcqRel) {
            tracing::info!(replica = self.name, "an api replica answers again");
        } else {
            tracing::info!(replica = self.name, "a new api replica is asked from now on");
        }
    }

    fn look_again(&self) {
        if let Some(finder) = &self.finder {
            finder.notify_one();
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
    all: RwLock<Arc<[Arc<Replica>]>>,
    start: Instant,
    calls: Calls,
}

impl Replicas {
    /// Replicas that are taken to be up until a probe says otherwise.
    pub(super) fn new(clients: Vec<(String, Client)>, calls: Calls) -> Arc<Self> {
        Arc::new_cyclic(|me| {
            let listed = clients.into_iter().map(|(name, client)| replica(me, name, client, None));
            Self { all: RwLock::new(listed.collect()), start: Instant::now(), calls }
        })
    }

    /// Takes in another one, which serves keys as soon as a probe says that it is up. Whoever found it is told by
    /// `finder` when to look again. Nothing happens when it is here already.
    pub(super) fn add(self: &Arc<Self>, name: String, client: Client, finder: &Arc<Notify>) {
        let mut all = self.all.write();
        if all.iter().any(|replica| replica.name == name) {
            return;
        }
        let new = replica(&Arc::downgrade(self), name, client, Some(finder.clone()));
        tokio::spawn(watch_one(Arc::downgrade(self), Arc::downgrade(&new)));
        *all = all.iter().cloned().chain([new]).collect();
    }

    /// Forgets some of those that `finder` has found. What waits for one of them is asked of the others.
    pub(super) fn retain(&self, finder: &Arc<Notify>, keep: impl Fn(&Replica) -> bool) {
        let is_theirs = |replica: &Replica| replica.finder.as_ref().is_some_and(|f| Arc::ptr_eq(f, finder));
        let mut all = self.all.write();
        let (kept, gone): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|replica| !is_theirs(replica) || keep(replica));
        for replica in &gone {
            tracing::info!(
                replica = replica.name,
                "an api replica is gone, and its name leads there no more"
            );
        }
        if !gone.is_empty() {
            *all = kept.into();
        }
    }

    /// Those that are here now.
    pub(super) fn all(&self) -> Arc<[Arc<Replica>]> {
        self.all.read().clone()
    }

    /// Those that `finder` has found.
    pub(super) fn found(&self, finder: &Arc<Notify>) -> Vec<Arc<Replica>> {
        let is_theirs =
            |replica: &&Arc<Replica>| replica.finder.as_ref().is_some_and(|f| Arc::ptr_eq(f, finder));
        self.all().iter().filter(is_theirs).cloned().collect()
    }

    /// Probes every replica that is listed, for as long as somebody holds them.
    pub(super) fn watch(self: &Arc<Self>) {
        for replica in self.all().iter().filter(|replica| replica.finder.is_none()) {
            tokio::spawn(watch_one(Arc::downgrade(self), Arc::downgrade(replica)));
        }
    }

    /// The replica for a key: the one whose name and the key hash highest, so that the loss of one moves only its own,
    /// and a new one takes only its own.
    ///
    /// # Errors
    /// When there is none: no name leads anywhere yet.
    pub(super) fn first(&self, key: &[u8]) -> Result<Arc<Replica>, Away> {
        let weight = |replica: &Arc<Replica>| {
            let mut hasher = DefaultHasher::new();
            (&replica.name, key).hash(&mut hasher);
            hasher.finish()
        };
        let all = self.all();
        all.iter()
            .filter(|replica| replica.is_in())
            .max_by_key(|replica| weight(replica))
            .cloned()
            .ok_or(Away)
    }

    /// Makes a call on `first` if it is up, else on another.
    pub(super) async fn call<A, F>(&self, first: &Arc<Replica>, call: impl Fn(Client) -> F) -> Result<A, Away>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        timeout(TOTAL, self.tries(first, call)).await.unwrap_or(Err(Away))
    }

    async fn tries<A, F>(&self, first: &Arc<Replica>, call: impl Fn(Client) -> F) -> Result<A, Away>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        // Those that can't be reached are asked a second time: one that was just restarted refuses the first try on its
        // old connection. Whoever said no, or is slow, would only be burdened.
        let mut again = Vec::new();
        for (tries, replica) in self.order(first).into_iter().enumerate() {
            if tries > 0 {
                self.calls.retried();
            }
            match self.ask(&replica, call(replica.client.clone())).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::ForGood) => return Err(Away),
                Err(Failed::Here) => {}
                Err(Failed::OnTheWay) => again.push(replica),
            }
        }
        for replica in again {
            if let Ok(answer) = self.ask(&replica, call(replica.client.clone())).await {
                return Ok(answer);
            }
        }
        Err(Away)
    }

    /// A call has failed, and if every replica is down it was never made: it counts as one all the same, or a measure of calls
    /// would see nothing at all when nothing goes.
    pub(super) fn note_unasked(&self, method: &'static str) {
        if self.all().iter().all(|replica| !replica.is_up()) {
            self.calls.called(method, streamit_wire::rpc::status(Code::Unavailable), Duration::ZERO);
        }
    }

    /// Every replica: `first` if it is still here, then the others in turn; those that were slow come last.
    fn order(&self, first: &Arc<Replica>) -> Vec<Arc<Replica>> {
        let (now, all) = (self.uptime_ms(), self.all());
        let start = all.iter().position(|replica| Arc::ptr_eq(replica, first)).unwrap_or(0);
        let (before, after) = all.split_at(start);
        let mut order: Vec<_> =
            after.iter().chain(before).filter(|replica| replica.is_in()).cloned().collect();
        order.sort_by_key(|replica| replica.slow_until.load(Ordering::Relaxed) > now);
        order
    }

    /// One try, given up when it takes too long or the replica goes down meanwhile.
    async fn ask<A>(
        &self,
        replica: &Replica,
        call: impl Future<Output = Result<tonic::Response<A>, Status>>,
    ) -> Result<A, Failed> {
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
                // Said once: a wrong token, say, is refused several times a second for as long as it is wrong.
                if !replica.is_refusing.swap(true, Ordering::Relaxed) {
                    tracing::error!(replica = replica.name, code = %status.code(), message = status.message(), "the api refused a call");
                }
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
                replica.look_again();
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
        replica.is_refusing.store(false, Ordering::Relaxed);
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn replica(all: &Weak<Replicas>, name: String, client: Client, finder: Option<Arc<Notify>>) -> Arc<Replica> {
    let is_listed = finder.is_none();
    Arc::new_cyclic(|me| Replica {
        name,
        client,
        desk: Desk::new(all.clone(), me.clone()),
        is_up: watch::Sender::new(is_listed),
        is_in: AtomicBool::new(is_listed),
        finder,
        look: Notify::new(),
        heard: AtomicU64::new(0),
        slow_until: AtomicU64::new(0),
        is_refusing: AtomicBool::new(false),
    })
}

/// Probes one replica until nobody needs to know.
async fn watch_one(replicas: Weak<Replicas>, replica: Weak<Replica>) {
    while let (Some(replicas), Some(replica)) = (replicas.upgrade(), replica.upgrade()) {
        replicas.probe(&replica).await;
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
