//! An app for tests beside the code: SQLite in a directory that goes away, live state in memory.

use std::sync::Arc;

use streamit_bus::memory::{MemoryQuota, MemoryRooms};
use streamit_domain::Timestamp;
use streamit_storage::{Options, Store};
use streamit_telemetry::{SystemClock, SystemEntropy};
use tempfile::TempDir;

use crate::Deps;
use crate::app::App;
use crate::config::Public;
use crate::identity::{Keys, keys};

/// The app, and the directory it lives in.
pub(crate) async fn app() -> (App, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let url = format!("sqlite://{}", dir.path().join("streamit.db").display());
    let store = Store::connect(&url, Options::default()).await.unwrap();
    store.migrate(|bytes| entropy.fill(bytes)).await.unwrap();
    keys::generate(dir.path(), "first", &*entropy).unwrap();
    let keys = Keys::open(dir.path(), &store, Timestamp(clock.now_ms())).await.unwrap();
    let rooms = Arc::new(MemoryRooms::new(clock.clone()));
    let quota = Arc::new(MemoryQuota::new(clock.clone()));
    let deps = Deps { store, rooms, quota, keys, clock, entropy };
    (App::new(Public::default(), deps).unwrap(), dir)
}
