//! Telling the nodes what was committed: after the commit, never before, and best effort. Whoever misses it finds
//! out from the versions and asks.

use futures_util::StreamExt;
use streamit_domain::room::Facts;
use streamit_domain::{RoomId, UserId};
use streamit_storage::{rooms, sessions};
use streamit_telemetry::trace;
use streamit_wire::v1;
use tracing::{Instrument, Span};

use crate::app::App;
use crate::http::error::chain;

/// How many rooms are told of a change at once.
const TOLD_AT_ONCE: usize = 16;

/// Tells a room's nodes of the fact change that made `version`, and goes on to the end even if the request is
/// given up meanwhile.
pub(crate) async fn facts(app: &App, room: RoomId, version: u64) {
    facts_of(app, vec![(room, version)]).await;
}

/// The same for many rooms, each with its new version.
pub(crate) async fn facts_of(app: &App, changed: Vec<(RoomId, u64)>) {
    if changed.is_empty() {
        return;
    }
    let told = app.clone();
    app.after_commit(async move { tell_facts(&told, changed).await }).await;
}

async fn tell_facts(app: &App, changed: Vec<(RoomId, u64)>) {
    let bases: Vec<_> = changed.iter().map(|(room, version)| (*room, version.saturating_sub(1))).collect();
    let deltas = async {
        let mut read = app.store.read().await?;
        rooms::facts(&mut read, &bases).await
    };
    match deltas.await {
        Ok(found) => {
            let told = found.into_iter().zip(bases).filter_map(|(facts, (_, base))| Some((facts?, base)));
            futures_util::stream::iter(told)
                .for_each_concurrent(TOLD_AT_ONCE, |(facts, base)| tell_one(app, facts, base))
                .await;
        }
        Err(error) => {
            tracing::warn!(
                rooms = changed.len(),
                error = chain(&error),
                "nodes will find out by themselves what changed"
            );
        }
    }
    app.outbox.notify_one();
}

async fn tell_one(app: &App, facts: Facts, base: u64) {
    // The fence goes first: a command of the former host that overtakes the facts is then refused by the store,
    // and the node that sent it reads the facts. The outbox does it again until it is done; this is to be quick.
    if let Err(error) = app.rooms.raise_fence(facts.room, facts.fence).await {
        tracing::debug!(room.id = %facts.room, error = chain(&error), "the fence will be raised later");
    }
    publish(app, facts.room, v1::event::Kind::Facts(v1::Facts::of(&facts, base))).await;
}

/// Tells every node that sessions ended.
pub(crate) async fn revocation(app: &App, revoked: sessions::Revocation) {
    let kind = v1::event::Kind::Revoked(v1::Revocation {
        id: revoked.id,
        user: bytes(revoked.user),
        session: revoked.session.map(|session| session.as_bytes().to_vec()).unwrap_or_default(),
        created_at: revoked.created_at.0,
    });
    let span = trace::sending("nodes");
    let event = event(app, kind, &span);
    if let Err(error) = app.rooms.publish_all(&event).instrument(span).await {
        tracing::debug!(error = chain(&error), "nodes will find out by themselves that a session ended");
    }
}

/// Tells a room's nodes something.
pub(crate) async fn publish(app: &App, room: RoomId, kind: v1::event::Kind) {
    publish_in(app, room, kind, trace::sending("room")).await;
}

/// The same, traced as `span`.
pub(crate) async fn publish_in(app: &App, room: RoomId, kind: v1::event::Kind, span: Span) {
    let event = event(app, kind, &span);
    if let Err(error) = app.rooms.publish(room, &event).instrument(span).await {
        tracing::debug!(room.id = %room, error = chain(&error), "nodes will find out by themselves what changed");
    }
}

fn event(app: &App, kind: v1::event::Kind, span: &Span) -> v1::Event {
    v1::Event { traceparent: trace::traceparent_of(span), published_at: app.now().0, kind: Some(kind) }
}

fn bytes(user: UserId) -> Vec<u8> {
    user.as_bytes().to_vec()
}
