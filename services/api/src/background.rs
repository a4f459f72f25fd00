//! What is done without being asked. Every replica does all of it; where only one may, the database decides which.

use std::time::Duration;

use futures_util::StreamExt;
use streamit_storage::outbox::{self, Fence};
use streamit_storage::rooms;
use streamit_wire::v1::authority_server::AuthorityServer;
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use crate::app::App;
use crate::grpc::Service;
use crate::health;
use crate::http::error::{Result, chain};
use crate::retention;
use crate::sweeper::{self, Sweeper};

/// How often the outbox is looked at when nobody says that something was put into it.
const OUTBOX: Duration = Duration::from_secs(1);
/// How often it is looked how much the outbox holds, for metrics.
const OUTBOX_SEEN: Duration = Duration::from_secs(5);
/// How many fences are told in one go.
const FENCES: u32 = 100;
/// How many at once.
const FENCES_AT_ONCE: usize = 16;
/// When a fence that could not be told is told again.
const FENCE_AGAIN: Duration = Duration::from_secs(2);
/// How often it is written down which rooms somebody was in; well below the time after which a room counts as
/// abandoned.
const ACTIVE: Duration = Duration::from_secs(30);
/// How often the directory of keys is read.
const KEYS: Duration = Duration::from_secs(30);
/// How often what is old is forgotten, and up to ten minutes more.
const FORGET: Duration = Duration::from_secs(3600);
/// How often it is looked whether this process has become ready.
const READY: Duration = Duration::from_secs(1);

/// Runs everything until `shutdown`, then finishes what follows commits that were made.
pub(crate) async fn run(app: &App, reporter: &HealthReporter, shutdown: CancellationToken) {
    reporter.set_serving::<AuthorityServer<Service>>().await;
    let work = async {
        tokio::join!(
            outbox(app),
            see_outbox(app),
            sweep(app),
            active(app),
            keys(app),
            forget(app),
            readiness(app)
        );
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
    stop_serving(reporter).await;
    app.tasks.close();
    app.tasks.wait().await;
    note("rooms that somebody was in", write_active(app).await);
}

/// Tells over gRPC that nodes are to ask elsewhere.
pub(crate) async fn stop_serving(reporter: &HealthReporter) {
    reporter.set_not_serving::<AuthorityServer<Service>>().await;
}

/// Says in the log that something did not work this time.
fn note(what: &str, result: Result<()>) {
    if let Err(error) = result {
        error.log();
        tracing::warn!(what, code = %error.code(), "will be tried again");
    }
}

/// Tells fences to live state until they are heard.
async fn outbox(app: &App) {
    loop {
        let more = match tell_fences(app).await {
            Ok(more) => more,
            Err(error) => {
                note("outbox", Err(error));
                false
            }
        };
        if !more {
            // A notice that comes while we work is kept, so nothing waits longer than it must.
            let _ = tokio::time::timeout(OUTBOX, app.outbox.notified()).await;
        }
    }
}

async fn see_outbox(app: &App) {
    loop {
        let waiting = async { outbox::waiting(&mut app.store.read().await?).await };
        // What can't be looked at now is as it was: what waits goes on to age.
        if let Ok(waiting) = waiting.await {
            app.see_outbox(waiting);
        }
        tokio::time::sleep(OUTBOX_SEEN).await;
    }
}

/// Tells what is due; whether there may be more.
async fn tell_fences(app: &App) -> Result<bool> {
    let mut read = app.store.read().await?;
    let due = outbox::due(&mut read, app.now(), FENCES).await?;
    drop(read);
    if due.is_empty() {
        return Ok(false);
    }
    let told: Vec<(u64, bool)> = futures_util::stream::iter(due.clone())
        .map(|fence| tell_fence(app.clone(), fence))
        .buffer_unordered(FENCES_AT_ONCE)
        .collect()
        .await;
    let ids = |wanted| told.iter().filter(|(_, ok)| *ok == wanted).map(|(id, _)| *id).collect::<Vec<_>>();
    let (done, again) = (ids(true), ids(false));
    let mut tx = app.store.begin().await?;
    if !done.is_empty() {
        outbox::done(&mut tx, &done).await?;
    }
    if !again.is_empty() {
        outbox::postpone(&mut tx, &again, app.now().plus(FENCE_AGAIN)).await?;
    }
    tx.commit().await?;
    Ok(again.is_empty() && due.len() == FENCES as usize)
}

async fn tell_fence(app: App, fence: Fence) -> (u64, bool) {
    let told = app.rooms.raise_fence(fence.room, fence.fence).await;
    if let Err(error) = &told {
        tracing::debug!(room.id = %fence.room, error = chain(error), "a fence could not be told yet");
    }
    (fence.id, told.is_ok())
}

async fn sweep(app: &App) {
    let mut sweeper = Sweeper::new(app);
    loop {
        // Replicas that started together drift apart.
        let jitter = Duration::from_millis(u64::from(app.entropy.u32() % 300));
        tokio::time::sleep(sweeper::EVERY + jitter).await;
        note("sweeper", sweeper.round(app).await);
    }
}

async fn active(app: &App) {
    loop {
        tokio::time::sleep(ACTIVE).await;
        note("rooms that somebody was in", write_active(app).await);
    }
}

async fn write_active(app: &App) -> Result<()> {
    let active: Vec<_> = app.take_active().into_iter().collect();
    if active.is_empty() {
        return Ok(());
    }
    let mut tx = app.store.begin().await?;
    rooms::touch(&mut tx, &active, app.now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn keys(app: &App) {
    loop {
        tokio::time::sleep(KEYS).await;
        if let Err(error) = app.keys.reload(&app.store, app.now()).await {
            tracing::error!(
                error = format!("{error:#}"),
                "signing keys could not be read again; the old ones stay"
            );
        }
    }
}

async fn forget(app: &App) {
    loop {
        // Replicas that started together drift apart.
        let jitter = Duration::from_secs(u64::from(app.entropy.u32() % 600));
        tokio::time::sleep(FORGET + jitter).await;
        note("forgetting what is old", retention::round(app).await);
    }
}

async fn readiness(app: &App) {
    while !app.health.ready() {
        health::check(app).await;
        tokio::time::sleep(READY).await;
    }
}
