//! What people see when they watch together, also from different nodes.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

use streamit_e2e::{System, Systems, on_both};

static SYSTEMS: Systems = Systems::with_limits("off");

on_both! {
    crate::SYSTEMS;
    what_one_says_the_other_hears,
}

async fn what_one_says_the_other_hears(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    let mut ana = room.join_on(0, &ana).await;
    let mut bo = room.join_on(1, &bo).await;
    ana.sees_come("Bo").await;

    ana.say("hello").await;

    assert_eq!(bo.hears("hello").await.user, "Ana");
    assert_eq!(ana.hears("hello").await.seq, 1);
    ana.play(Some(42.0)).await;
    bo.sees("the film running from 42 s", |state| state.is_playing && state.time >= 42.0).await;
}
