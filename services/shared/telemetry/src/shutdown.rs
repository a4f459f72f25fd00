//! How a program is told to stop: once politely, twice firmly.

use tokio::signal::unix::{Signal, SignalKind, signal as on};
use tokio_util::sync::CancellationToken;

/// What the signals SIGTERM and SIGINT have said so far.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Cancelled by the first signal: stop taking work, finish what is there.
    pub first: CancellationToken,
    /// Cancelled by the second signal: leave now. Cancelling it does not cancel `first`, nor the other way.
    pub second: CancellationToken,
}

/// Listens for SIGTERM and SIGINT from now on. From the first call, these no longer end the process by
/// themselves: whoever calls this must act on the tokens.
///
/// # Errors
/// When the operating system refuses to install a handler.
pub fn signal() -> std::io::Result<Stop> {
    let (mut term, mut int) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let stop = Stop { first: CancellationToken::new(), second: CancellationToken::new() };
    let told = stop.clone();
    tokio::spawn(async move {
        let name = either(&mut term, &mut int).await;
        tracing::info!(signal = name, "stopping; a second signal stops at once");
        told.first.cancel();
        let name = either(&mut term, &mut int).await;
        tracing::warn!(signal = name, "stopping at once");
        told.second.cancel();
    });
    Ok(stop)
}

async fn either(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}
