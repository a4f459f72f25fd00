//! Comparing versions with their homes.
//!
//! Events may be lost; this finds what they did not tell. Every ~10 s when all is well, about every second when in
//! doubt, all live rooms are compared in batches, one call at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use streamit_domain::{RoomId, SessionId, UserId};
use streamit_wire::{Code, v1};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Node;
use crate::outbox::Close;
use crate::room::effect::Input;

/// Between two passes when all is well, plus as much again by chance.
const CALM: Duration = Duration::from_millis(7_500);
/// Between two passes when in doubt.
const DOUBT: Duration = Duration::from_millis(800);
/// How long to wait before looking whether there is a doubt.
const LOOK: Duration = Duration::from_millis(250);
/// Rooms compared with one call.
const BATCH: usize = 500;

/// Repairs until `stop`.
pub async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut doubts = node.bus.doubts();
    let mut revoked_up_to = 0;
    let mut doubtful = false;
    loop {
        let spread = Duration::from_millis(node.random_below(5_000));
        let calm = if doubtful { DOUBT } else { CALM + spread };
        let wait = tokio::time::Instant::now() + calm;
        // A new doubt cuts a calm wait short.
        while tokio::time::Instant::now() < wait && (doubtful || node.bus.doubts() == doubts) {
            tokio::select! {
                () = tokio::time::sleep(LOOK.min(wait - tokio::time::Instant::now())) => {}
                () = stop.cancelled() => return,
            }
        }
        doubtful = node.bus.doubts() != doubts || !node.bus.is_healthy();
        doubts = node.bus.doubts();
        for rooms in node.rooms.list().chunks(BATCH) {
            doubtful |= !compare(&node, rooms).await;
        }
        match revocations(&node, revoked_up_to).await {
            Some(head) => revoked_up_to = head,
            None => doubtful = true,
        }
    }
}

/// Compares some rooms. Returns whether both homes answered.
async fn compare(node: &Arc<Node>, rooms: &[(RoomId, mpsc::Sender<Input>)]) -> bool {
    let ids: Vec<RoomId> = rooms.iter().map(|(id, _)| *id).collect();
    let request = v1::VersionsRequest { rooms: ids.iter().map(|id| id.as_bytes().to_vec()).collect() };
    let home = node.api.call(b"versions", |mut client| {
        let request = request.clone();
        async move { client.versions(request).await }
    });
    let (live, home) = tokio::join!(node.bus.refresh(&ids), home);
    let (live, home) = (live.ok(), home.ok());
    let both = live.is_some() && home.is_some();
    let mut home: HashMap<Vec<u8>, v1::RoomVersions> = home
        .map(|all| all.rooms.into_iter().map(|versions| (versions.room.clone(), versions)).collect())
        .unwrap_or_default();
    for (i, (id, room)) in rooms.iter().enumerate() {
        let live = live.as_ref().and_then(|all| all.get(i)).copied();
        let home = home.remove(&id.as_bytes()[..]);
        // A room that is too busy to hear it is compared again soon.
        let _ = room.try_send(Input::Versions(live, home));
    }
    both
}

/// Ends the connections whose sessions ended. Returns how far the log was read: all of it, page by page.
async fn revocations(node: &Arc<Node>, mut after: u64) -> Option<u64> {
    loop {
        let request = v1::RevocationsRequest { after };
        let call =
            node.api.call(b"revocations", move |mut client| async move { client.revocations(request).await });
        let reply = call.await.ok()?;
        for entry in &reply.entries {
            revoke(node, &entry.user, &entry.session);
        }
        if reply.head <= after {
            return Some(after);
        }
        after = reply.head;
    }
}

/// Ends the connections of one session, or of a user when `session` is empty.
pub fn revoke(node: &Node, user: &[u8], session: &[u8]) {
    let Ok(user) = UserId::from_slice(user) else { return };
    let session = if session.is_empty() { None } else { SessionId::from_slice(session).ok() };
    let code = Code::SessionRevoked;
    node.connections.revoke(user, session, &Close::new(code.close(), code.as_str()));
}

/// Hears of revocations as they happen, until `stop`.
pub async fn listen(node: Arc<Node>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Ok(mut news) = node.bus.subscribe_all().await {
            loop {
                let notice = tokio::select! {
                    notice = news.next() => notice,
                    () = stop.cancelled() => return,
                };
                match notice {
                    Some(streamit_bus::Notice::Event(event)) => {
                        if let Some(v1::event::Kind::Revoked(revoked)) = &event.kind {
                            revoke(&node, &revoked.user, &revoked.session);
                        }
                    }
                    Some(_) => {} // what was lost is found by the repair loop
                    None => break,
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => {}
        }
    }
}
