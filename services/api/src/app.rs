//! What every part of the api holds: handles, built once at the start, cheap to clone.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use streamit_bus::{SharedQuota, SharedRooms};
use streamit_domain::{RoomId, Timestamp};
use streamit_storage::Store;
use streamit_storage::keys::{self, Secret};
use streamit_telemetry::{Health, SharedClock, SharedEntropy};
use tokio::sync::{Notify, OnceCell, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::Deps;
use crate::config::Public;
use crate::http::error::Result;
use crate::identity::Keys;
use crate::identity::passwords::Passwords;
use crate::live;
use crate::metrics::Instruments;

/// How often a transaction is tried that loses against others.
const TRIES: u32 = 4;

/// How long a request waits until what it did has been told. Without live state that takes long and is in vain.
const PATIENCE: Duration = Duration::from_millis(500);

/// The handles.
#[derive(Clone)]
pub(crate) struct App(Arc<Handles>);

/// What [`App`] points to.
pub(crate) struct Handles {
    pub(crate) config: Public,
    pub(crate) store: Store,
    pub(crate) rooms: SharedRooms,
    pub(crate) quota: SharedQuota,
    pub(crate) keys: Keys,
    pub(crate) passwords: Passwords,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    /// Since when live state has been looked at from here.
    pub(crate) started: Instant,
    pub(crate) health: Health,
    /// What is recorded into.
    pub(crate) metrics: Arc<Instruments>,
    /// Turns at looking into rooms: each look costs every node that has the room.
    pub(crate) inspections: Semaphore,
    /// Woken when a transaction has put something into the outbox.
    pub(crate) outbox: Notify,
    /// What goes on although its request may have been given up.
    pub(crate) tasks: TaskTracker,
    /// Rooms that somebody was in lately, to be noted in the database once in a while.
    active: Mutex<BTreeSet<RoomId>>,
    /// How many entries the outbox had when it was looked at last, and since when the oldest waited.
    outbox_seen: Mutex<(u64, Option<Timestamp>)>,
    secrets: OnceCell<Secrets>,
}

/// Secrets of the installation. They never change, so they are read once.
#[derive(Clone)]
pub(crate) struct Secrets {
    /// Keys the MAC of room passwords.
    pub(crate) room_passwords: Vec<u8>,
    /// Keys the hash of addresses.
    pub(crate) addresses: Vec<u8>,
    /// Keys the tokens in forms of the panel.
    pub(crate) csrf: Vec<u8>,
}

impl Deref for App {
    type Target = Handles;
    fn deref(&self) -> &Handles {
        &self.0
    }
}

impl App {
    pub(crate) fn new(config: Public, deps: Deps) -> anyhow::Result<Self> {
        let turns = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let metrics = Arc::new(Instruments::new());
        let passwords = Passwords::new(turns, &*deps.entropy, metrics.clone())?;
        let health = Health::new();
        // Keys are there, or there would be no `Keys`; the database has to be asked.
        health.check("signing key").set(true);
        for name in ["database", "schema"] {
            health.check(name);
        }
        Ok(Self(Arc::new(Handles {
            config,
            store: deps.store,
            rooms: deps.rooms,
            quota: deps.quota,
            keys: deps.keys,
            passwords,
            started: deps.clock.monotonic(),
            clock: deps.clock,
            entropy: deps.entropy,
            health,
            metrics,
            inspections: Semaphore::new(live::AT_ONCE),
            outbox: Notify::new(),
            tasks: TaskTracker::new(),
            active: Mutex::default(),
            outbox_seen: Mutex::default(),
            secrets: OnceCell::new(),
        })))
    }

    /// A way to the handles that does not keep them.
    pub(crate) fn downgrade(&self) -> impl Fn() -> Option<Self> + Send + Sync + 'static {
        let handles = Arc::downgrade(&self.0);
        move || handles.upgrade().map(Self)
    }

    /// What the outbox was like when it was looked at last: how many entries, and since when the oldest waits.
    pub(crate) fn outbox_seen(&self) -> (u64, Option<Timestamp>) {
        *self.outbox_seen.lock()
    }

    /// Notes what the outbox is like.
    pub(crate) fn see_outbox(&self, seen: (u64, Option<Timestamp>)) {
        *self.outbox_seen.lock() = seen;
    }

    /// Room time: the one clock that everything stored and told here goes by.
    pub(crate) fn now(&self) -> Timestamp {
        self.rooms.now()
    }

    /// The installation's secrets.
    pub(crate) async fn secrets(&self) -> streamit_storage::Result<&Secrets> {
        self.secrets
            .get_or_try_init(|| async {
                let mut read = self.store.read().await?;
                Ok(Secrets {
                    room_passwords: keys::secret(&mut read, Secret::RoomPasswords).await?,
                    addresses: keys::secret(&mut read, Secret::Addresses).await?,
                    csrf: keys::secret(&mut read, Secret::Csrf).await?,
                })
            })
            .await
    }

    /// Does a transaction, and again when it lost against another one.
    pub(crate) async fn retrying<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tries = 1;
        loop {
            match attempt().await {
                Err(error) if error.is_transient() && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    /// Runs what follows a commit. It goes on to its end even when the request is given up meanwhile (what is
    /// committed has to be told), and the request waits for it only so long.
    pub(crate) async fn after_commit(&self, work: impl Future<Output = ()> + Send + 'static) {
        let work = self.tasks.spawn(work.in_current_span());
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, work).await {
            tracing::error!(%error, "what follows a commit failed");
        }
    }

    /// Notes that somebody is in these rooms. It is written down later, for all of them together.
    pub(crate) fn note_active<'a>(&self, rooms: impl IntoIterator<Item = &'a Vec<u8>>) {
        let rooms = rooms.into_iter().filter_map(|room| RoomId::from_slice(room).ok());
        self.active.lock().extend(rooms);
    }

    /// The rooms noted since the last time.
    pub(crate) fn take_active(&self) -> BTreeSet<RoomId> {
        std::mem::take(&mut *self.active.lock())
    }
}
