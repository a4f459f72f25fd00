//! StreamIt in real browsers: each person is a Chromium of their own, driven through the watch page as its users do,
//! and what counts is what their players and their screens show.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod alone;
mod evening;
mod harness;
mod library;
mod order;
mod panel;
mod screenshots;
mod sync;
mod track;
mod watcher;

use tokio::sync::{Mutex, MutexGuard};

/// One test at a time: a browser takes all of a small machine while it starts, and films that are measured need it.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
