//! How busy the connections of a store are, for whoever measures it.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{Database, Pool};

/// How many connections there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Open, and waiting for work.
    pub idle: u64,
    /// At work.
    pub used: u64,
    /// The most there may be.
    pub most: u64,
}

impl Load {
    pub(crate) fn of<D: Database>(pool: &Pool<D>) -> Self {
        let (open, idle) = (u64::from(pool.size()), pool.num_idle() as u64);
        // Two looks, between which something may have been returned.
        Self { idle, used: open.saturating_sub(idle), most: pool.options().get_max_connections().into() }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { idle: self.idle + other.idle, used: self.used + other.used, most: self.most + other.most }
    }
}

/// What waiting for connections came to.
#[derive(Default)]
pub(crate) struct Waits {
    told: OnceLock<Box<dyn Fn(Duration) + Send + Sync>>,
    gave_up: AtomicU64,
}

impl Waits {
    /// From now on tells how long each wait took that brought a connection.
    pub(crate) fn tell(&self, told: impl Fn(Duration) + Send + Sync + 'static) {
        let _ = self.told.set(Box::new(told)); // whoever came first is told
    }

    pub(crate) fn came(&self, took: Duration) {
        if let Some(told) = self.told.get() {
            told(took);
        }
    }

    pub(crate) fn gave_up(&self) {
        self.gave_up.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn given_up(&self) -> u64 {
        self.gave_up.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits").field("gave_up", &self.gave_up).finish_non_exhaustive()
    }
}
