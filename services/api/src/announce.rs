//! Telling the nodes what was committed: after the commit, never before, and best effort. Whoever misses it finds
//! out from the versions and asks.

use streamit_domain::{RoomId, UserId};
use streamit_storage::{rooms, sessions};
use streamit_wire::v1;

use crate::app::App;
use crate::http::error::chain;

/// Tells a room's nodes of the fact change that made `version`, and goes on to the end even if the request is
/// given up meanwhile.
pub(crate) async fn facts(app: &App, room: RoomId, version: u64) {
    let told = app.clone();
    app.after_commit(async move { tell_facts(&told, room, version).await }).await;
}

async fn tell_facts(app: &App, room: RoomId, version: u64) {
    let base = version.saturating_sub(1);
    let delta = async {
        let mut read = app.store.read().await?;
        rooms::facts(&mut read, &[(room, base)]).await
    };
    let facts = match delta.await {
        Ok(found) => found.into_iter().next().flatten(),
        Err(error) => {
            tracing::warn!(room.id = %room, error = chain(&error), "nodes will find out by themselves what changed");
            None
        }
    };
    if let Some(facts) = facts {
        // The fence goes first: a command of the former host that overtakes the facts is then refused by the store,
        // and the node that sent it reads the facts. The outbox does it again until it is done; this is to be quick.
        if let Err(error) = app.rooms.raise_fence(room, facts.fence).await {
            tracing::debug!(room.id = %room, error = chain(&error), "the fence will be raised later");
        }
        publish(app, room, v1::event::Kind::Facts(v1::Facts::of(&facts, base))).await;
    }
    app.outbox.notify_one();
}

/// Tells every node that sessions ended.
pub(crate) async fn revocation(app: &App, revoked: sessions::Revocation) {
    let kind = v1::event::Kind::Revoked(v1::Revocation {
        id: revoked.id,
        user: bytes(revoked.user),
        session: revoked.session.map(|session| session.as_bytes().to_vec()).unwrap_or_default(),
    });
    if let Err(error) = app.rooms.publish_all(&event(kind)).await {
        tracing::debug!(error = chain(&error), "nodes will find out by themselves that a session ended");
    }
}

/// Tells a room's nodes something.
pub(crate) async fn publish(app: &App, room: RoomId, kind: v1::event::Kind) {
    if let Err(error) = app.rooms.publish(room, &event(kind)).await {
        tracing::debug!(room.id = %room, error = chain(&error), "nodes will find out by themselves what changed");
    }
}

fn event(kind: v1::event::Kind) -> v1::Event {
    v1::Event { traceparent: String::new(), kind: Some(kind) }
}

fn bytes(user: UserId) -> Vec<u8> {
    user.as_bytes().to_vec()
}
