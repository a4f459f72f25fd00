//! Section 1 of the contract: what a client of the HTTP API may rely on.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod accounts;
mod cookies;
mod headers;
mod limits;
mod listing;
mod malformed;
mod moderation;
mod paths;
mod rooms;
mod settings;

use streamit_e2e::Systems;

static SYSTEMS: Systems = Systems::with_limits("on");
