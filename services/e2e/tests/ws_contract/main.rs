//! Sections 2 to 4 of the contract: what a client of the WebSocket may rely on.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod bad_input;
mod chat;
mod joining;
mod moderation;
mod news;
mod playback;
mod presence;
mod readiness;
mod resume;
mod start;
mod succession;
mod upgrade;

use streamit_client::Event;
use streamit_e2e::Systems;

static SYSTEMS: Systems = Systems::with_limits("on");

/// How many of the events are of this type.
fn count(events: &[Event], kind: &str) -> usize {
    events.iter().filter(|event| event.kind() == kind).count()
}
