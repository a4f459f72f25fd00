//! The fuzz targets of this crate, tried with their seeds and with all that was ever found. `make fuzz` goes on from there.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

#[path = "../../fuzz/src/frames.rs"]
mod frames;
#[path = "../../fuzz/src/replay.rs"]
mod replay;
#[path = "../../fuzz/src/token.rs"]
mod token;

#[test]
fn frames_hold_for_all_that_was_ever_tried() {
    replay::seeds("frames", frames::check);
}

#[test]
fn tokens_hold_for_all_that_was_ever_tried() {
    replay::seeds("token", token::check);
}
