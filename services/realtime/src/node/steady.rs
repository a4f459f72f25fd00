//! Work that must not end by itself.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Instruments, Place};

/// How long after a failure it begins anew.
const AGAIN: Duration = Duration::from_secs(1);

/// Does `work` until it ends because it was told to. A panic in it is told, and it begins anew: nobody would notice that
/// a node has stopped to beat, to repair or to save until it is too late.
pub(crate) async fn steadily<F>(
    name: &'static str,
    metrics: &Instruments,
    stop: &CancellationToken,
    work: impl Fn() -> F,
) where
    F: Future<Output = ()>,
{
    while AssertUnwindSafe(work()).catch_unwind().await.is_err() {
        metrics.fault(Place::Background);
        tracing::error!(work = name, "failed inside and begins anew");
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_begins_anew_and_what_ends_has_ended() {
        let times = Cell::new(0);
        let work = || async {
            times.set(times.get() + 1);
            assert!(times.get() > 2, "a fault inside");
        };
        steadily("test", &Instruments::default(), &CancellationToken::new(), work).await;
        assert_eq!(times.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_it_also_between_two_attempts() {
        let stop = CancellationToken::new();
        stop.cancel();
        steadily("test", &Instruments::default(), &stop, || async { panic!("a fault inside") }).await;
    }
}
