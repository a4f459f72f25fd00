//! The harness: StreamIt as its users run it, and people who use it.
//!
//! A [`System`] is made of the real programs, each a process of its own on a port of its own: either the standalone
//! program, or a cluster of several apis and realtime nodes with a PostgreSQL database and a Redis. The tests in
//! `tests/` are sentences about what people see; [`on_both!`] runs each on both. They talk to the system through the
//! public client alone and know nothing of its insides.
//!
//! ```no_run
//! # async fn story(system: &streamit_e2e::System) {
//! let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
//! let room = ana.public_room().await;
//! let mut ana = room.join_on(0, &ana).await;
//! let mut bo = room.join_on(1, &bo).await; // another node, when there is one
//!
//! ana.play(Some(42.0)).await;
//! bo.sees("the film running from 42 s", |state| state.is_playing && state.time >= 42.0).await;
//! # }
//! ```
//!
//! Waiting is for a state, up to a deadline, never for a duration. That something does *not* happen is seen with
//! [`Seat::quiet`]: what the room had to say about all that came before is there when it answers a mark.
//!
//! The tests need PostgreSQL, Redis and Chromium: `make test` finds all of them, or
//! `.ci/deps run --browser -- cargo test -p streamit-e2e` (those of `tests/browser` alone need the browser).
//! The programs are built first, unless `STREAMIT_TEST_PROGRAMS` names a directory that has them.
//! A file of tests starts each of both systems once, since starting a cluster takes seconds. No process outlives the
//! tests, however they end; see [`guard`].

#![expect(
    clippy::print_stdout,
    reason = "tests print what may explain their failure; the runner hides it otherwise"
)]
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "this crate is for tests: what should not happen ends the test, there and then"
)]

mod answer;
pub mod balancer;
pub mod browser;
pub mod check;
pub mod collector;
pub mod fault;
mod forge;
pub mod guard;
mod people;
mod postgres;
mod process;
mod programs;
mod raw;
mod redis;
mod room;
mod seat;
mod story;
mod system;

use std::time::Duration;

pub use answer::Answer;
pub use forge::Forgery;
pub use people::{PASSWORD, Person, fresh_address};
pub use postgres::database;
pub use process::{Ended, Program};
pub use programs::program;
pub use raw::{RawFrame, RawSocket};
pub use room::Room;
pub use seat::Seat;
pub use story::Systems;
pub use system::{Engine, Plan, System};

/// How long a test waits for what must happen. A busy machine is slow; only a broken system takes longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Makes two tests of each story: one on the standalone program, one on a cluster. The [`Systems`] that are named are
/// started once for all tests of a file. A story that is not listed is dead code, which the compiler tells.
///
/// ```ignore
/// static SYSTEMS: Systems = Systems::with_limits("on");
///
/// on_both! { crate::SYSTEMS; guests_come_in, rooms_open }
///
/// async fn guests_come_in(system: &System) { /* … */ }
/// ```
#[macro_export]
macro_rules! on_both {
    ($systems:path; $($name:ident),+ $(,)?) => {
        $( mod $name {
            #[tokio::test]
            async fn standalone() {
                $systems.standalone(async |system| super::$name(system).await).await;
            }

            #[tokio::test]
            async fn cluster() {
                $systems.cluster(async |system| super::$name(system).await).await;
            }
        } )+
    };
}

/// Waits until `ready` gives something, asking again and again.
///
/// # Errors
/// Names `what` was waited for, when [`PATIENCE`] is over.
pub async fn until<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> Result<T, String> {
    let asking = async {
        loop {
            if let Some(ready) = ready().await {
                return ready;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .map_err(|_| format!("waited {PATIENCE:?} for {what} in vain"))
}
