//! Running stories on systems that they share.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::OnceCell;

use crate::{Plan, System};

/// Longer than the longest story should take, shorter than the patience of whoever runs the tests.
const LIMIT: Duration = Duration::from_secs(120);

/// The systems that the tests of a file share, each started by the first test that needs it.
#[derive(Debug)]
pub struct Systems {
    limits: &'static str,
    standalone: Shared,
    cluster: Shared,
}

/// A system; why it could not be started, if so.
type Shared = OnceCell<Result<System, String>>;

impl Systems {
    /// Systems whose rates, budgets and caps are `on` or `off`.
    #[must_use]
    pub const fn with_limits(limits: &'static str) -> Self {
        Self { limits, standalone: OnceCell::const_new(), cluster: OnceCell::const_new() }
    }

    /// Runs a story on the standalone program.
    ///
    /// # Panics
    /// When the story does, or the system can't be started.
    pub async fn standalone(&'static self, story: impl AsyncFnOnce(&System)) {
        run(&self.standalone, Plan::standalone().limits(self.limits), story).await;
    }

    /// Runs a story on two apis and three realtime nodes.
    ///
    /// # Panics
    /// When the story does, or the system can't be started.
    pub async fn cluster(&'static self, story: impl AsyncFnOnce(&System)) {
        run(&self.cluster, Plan::cluster(2, 3).limits(self.limits), story).await;
    }
}

async fn run(shared: &'static Shared, plan: Plan, story: impl AsyncFnOnce(&System)) {
    let started = shared.get_or_init(|| plan.try_start()).await;
    tell(started.as_ref().unwrap_or_else(|why| panic!("{why}")), story).await;
}

impl Plan {
    /// Runs a story on a system of its own, for stories that break it.
    ///
    /// # Panics
    /// When the story does, or the system can't be started.
    pub async fn run(self, story: impl AsyncFnOnce(&System)) {
        tell(&self.start().await, story).await;
    }
}

/// A failure comes with what the programs logged meanwhile.
async fn tell(system: &System, story: impl AsyncFnOnce(&System)) {
    let marks = system.marks();
    let told = AssertUnwindSafe(tokio::time::timeout(LIMIT, story(system))).catch_unwind().await;
    match told {
        Ok(Ok(())) => {}
        Ok(Err(_)) => {
            system.explain(&marks);
            panic!("the story did not end within {LIMIT:?}");
        }
        Err(panic) => {
            system.explain(&marks);
            resume_unwind(panic);
        }
    }
}
