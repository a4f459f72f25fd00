//! Comparing versions with their homes.
//!
//! Events may be lost; this finds what they did not tell. Every ~10 s when all is well, about every second when in
//! doubt, all live rooms are compared in batches, one call at a time with each home.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use streamit_domain::{RoomId, SessionId, Timestamp, UserId};
use streamit_wire::{Code, v1};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Node;
use super::connections::Which;
use crate::drain;
use crate::outbox::Close;
use crate::room::effect::Input;

/// Between two passes when all is well, plus as much again by chance.
const CALM: Duration = Duration::from_millis(7_500);
/// Between two passes when in doubt.
const DOUBT: Duration = Duration::from_millis(800);
/// How long to wait before looking whether there is a new doubt.
const LOOK: Duration = Duration::from_millis(100);
/// Rooms compared with one call.
const BATCH: usize = 500;

/// Repairs until `stop`. The two homes are asked apart from each other: while one hangs, the other is compared, and its
/// rosters are kept from expiring.
pub async fn run(node: Arc<Node>, stop: CancellationToken) {
    tokio::join!(repair_live(&node, &stop), repair_home(&node, &stop));
}

/// Compares with the shared store.
async fn repair_live(node: &Arc<Node>, stop: &CancellationToken) {
    let mut pace = Pace::new(node);
    while pace.wait(node, stop).await {
        for rooms in node.rooms.list().chunks(BATCH) {
            if !compare_live(node, rooms).await {
                pace.doubt();
            }
        }
    }
}

/// Compares with the api. While the store is away this is how chat reaches other nodes.
async fn repair_home(node: &Arc<Node>, stop: &CancellationToken) {
    let mut pace = Pace::new(node);
    let mut revoked_up_to = 0;
    while pace.wait(node, stop).await {
        for rooms in node.rooms.list().chunks(BATCH) {
            if !compare_home(node, rooms).await {
                pace.doubt();
            }
        }
        match revocations(node, revoked_up_to).await {
            Some(head) => revoked_up_to = head,
            None => pace.doubt(),
        }
    }
}

/// When the next pass is due.
struct Pace {
    doubts: u64,
    is_doubtful: bool,
}

impl Pace {
    fn new(node: &Node) -> Self {
        Self { doubts: node.bus.doubts(), is_doubtful: false }
    }

    /// The pass under way could not do all it should.
    fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    /// Waits until a pass is due; `false` when it is time to stop.
    async fn wait(&mut self, node: &Node, stop: &CancellationToken) -> bool {
        let was_doubtful = std::mem::take(&mut self.is_doubtful);
        let spread = Duration::from_millis(node.random_below(5_000));
        let due = Instant::now() + if was_doubtful { DOUBT } else { CALM + spread };
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return false,
            }
            let doubts = node.bus.doubts();
            let is_new = std::mem::replace(&mut self.doubts, doubts) != doubts;
            self.is_doubtful |= is_new || !node.bus.is_healthy();
            // A new doubt cuts the wait short.
            if is_new || (self.is_doubtful && !was_doubtful) || Instant::now() >= due {
                node.metrics.repairs(self.is_doubtful || was_doubtful);
                return true;
            }
        }
    }
}

/// Compares some rooms with the store. Returns whether it answered, and all of them have heard it.
async fn compare_live(node: &Arc<Node>, rooms: &[(RoomId, mpsc::Sender<Input>)]) -> bool {
    let told: Vec<_> = rooms.iter().map(|(id, _)| (*id, node.rooms.round_trip(*id))).collect();
    let Ok(live) = node.bus.refresh(node.incarnation(), &told).await else { return false };
    let mut have_heard = true;
    for ((_, room), live) in rooms.iter().zip(live) {
        have_heard &= hand(room, Input::Versions(Some(live), None));
    }
    have_heard
}

/// Returns `false` for a room that is too busy to hear it. One that has ended has nothing to hear.
fn hand(room: &mpsc::Sender<Input>, input: Input) -> bool {
    !matches!(room.try_send(input), Err(mpsc::error::TrySendError::Full(_)))
}

/// Compares some rooms with the api. Returns whether it answered, and all of them have heard it.
async fn compare_home(node: &Arc<Node>, rooms: &[(RoomId, mpsc::Sender<Input>)]) -> bool {
    let request = v1::VersionsRequest { rooms: rooms.iter().map(|(id, _)| id.as_bytes().to_vec()).collect() };
    let call = node.api.call(b"versions", |mut client| {
        let request = request.clone();
        async move { client.versions(request).await }
    });
    let Ok(home) = call.await else { return false };
    let mut home: HashMap<Vec<u8>, v1::RoomVersions> =
        home.rooms.into_iter().map(|versions| (versions.room.clone(), versions)).collect();
    let mut have_heard = true;
    for (id, room) in rooms {
        // Empty for a room that the api does not know.
        let home = home.remove(&id.as_bytes()[..]).unwrap_or_default();
        have_heard &= hand(room, Input::Versions(None, Some(home)));
    }
    have_heard
}

/// Ends the connections whose sessions ended. Returns how far the log was read: all of it, page by page.
async fn revocations(node: &Arc<Node>, mut after: u64) -> Option<u64> {
    loop {
        let request = v1::RevocationsRequest { after };
        let call =
            node.api.call(b"revocations", move |mut client| async move { client.revocations(request).await });
        let reply = call.await.ok()?;
        for entry in &reply.entries {
            revoke(node, &entry.user, &entry.session, entry.created_at);
        }
        if reply.head <= after {
            return Some(reply.head); // lower: the database has lost some, and will give their numbers out again
        }
        after = reply.head;
    }
}

/// Ends the connections of one session, or when `session` is empty those of all that a user had opened by `created_at`.
/// (An api of an earlier release does not tell when: all are meant.)
pub fn revoke(node: &Node, user: &[u8], session: &[u8], created_at: i64) {
    let Ok(user) = UserId::from_slice(user) else { return };
    let which = match SessionId::from_slice(session) {
        Ok(session) => Which::One(session),
        Err(_) if session.is_empty() => {
            Which::Until(if created_at == 0 { node.room_time() } else { Timestamp(created_at) })
        }
        Err(_) => return,
    };
    let code = Code::SessionRevoked;
    node.connections.revoke(user, which, &Close::new(code.close(), code.as_str()));
}

/// Hears of what concerns every node (revocations, what operators ask) as it happens, until `stop`.
pub async fn listen(node: Arc<Node>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Ok(mut news) = node.bus.subscribe_all().await {
            loop {
                let notice = tokio::select! {
                    notice = news.next() => notice,
                    () = stop.cancelled() => return,
                };
                match notice {
                    Some(streamit_bus::Notice::Event(event)) => match &event.kind {
                        Some(v1::event::Kind::Revoked(revoked)) => {
                            revoke(&node, &revoked.user, &revoked.session, revoked.created_at);
                        }
                        Some(v1::event::Kind::Shed(wanted)) => drain::shed(&node, wanted),
                        Some(v1::event::Kind::Drain(wanted)) => drain::stand_by(&node, wanted),
                        Some(v1::event::Kind::Resume(wanted)) => drain::resume(&node, wanted),
                        _ => {}
                    },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_room_that_is_too_busy_is_told_from_one_that_has_ended() {
        let (room, inbox) = mpsc::channel(1);
        assert!(hand(&room, Input::Tick));
        assert!(!hand(&room, Input::Tick), "to be compared again soon");
        drop(inbox);
        assert!(hand(&room, Input::Tick));
    }
}
