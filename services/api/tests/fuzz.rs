//! The fuzz target of this crate, tried with its seeds and with all that was ever found. `make fuzz` goes on from there.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

#[path = "../../fuzz/src/bodies.rs"]
mod bodies;
#[path = "../../fuzz/src/replay.rs"]
mod replay;

#[test]
fn bodies_hold_for_all_that_was_ever_tried() {
    replay::seeds("bodies", bodies::check);
}
