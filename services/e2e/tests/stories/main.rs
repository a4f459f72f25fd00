//! What people see when they watch together: many at once, on several nodes, and while things break.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod chat;
mod crowds;
mod faults;
mod leaving;
mod nodes;
mod order;
mod permissions;
mod pressure;
mod resume;
mod revocation;

use streamit_client::ChatMessage;
use streamit_e2e::Systems;

static SYSTEMS: Systems = Systems::with_limits("off");

/// Checks that these are all messages from the `first` to the last, each once and in order.
#[track_caller]
fn assert_gapless(messages: &[ChatMessage], first: u64) {
    for (said, seq) in messages.iter().zip(first..) {
        assert_eq!(said.seq, seq, "{:?}", messages.iter().map(|said| said.seq).collect::<Vec<_>>());
    }
}
