//! Each promise, broken on purpose: the checker must notice.

use streamit_e2e::check::Violation;

use crate::end;
use crate::plan::{Plan, Sabotage};

/// Within so many seeds each sabotage has to be found.
const SEEDS: u64 = 100;

#[track_caller]
fn is_caught(sabotage: Sabotage, plan: impl Fn(u64) -> Plan, is_it: impl Fn(&Violation) -> bool) {
    let caught = (1..=SEEDS).find(|seed| end::violations(plan(*seed).with(sabotage)).iter().any(&is_it));
    assert!(caught.is_some(), "{sabotage:?} was not noticed in {SEEDS} seeds");
    let honest = end::violations(plan(caught.unwrap_or(1)));
    assert!(honest.is_empty(), "without the sabotage all is well: {honest:?}");
}

#[test]
fn a_fence_that_nobody_checks_is_noticed() {
    // Rooms do not show what is under an older fence than what they know, so it is those read anew that fall for it.
    let plan = |seed| Plan {
        transfers: 6,
        clients: 8,
        nodes: 8,
        pace: 60,
        active: 6_000,
        news_late: 1_500,
        ..Plan::calm(seed)
    };
    is_caught(Sabotage::Fence, plan, |found| matches!(found, Violation::FormerHost { .. }));
}

#[test]
fn a_gap_that_nobody_fills_is_noticed() {
    let plan = |seed| Plan { news_lost: 100, ..Plan::calm(seed) };
    is_caught(Sabotage::Gap, plan, |found| {
        matches!(found, Violation::Behind { .. } | Violation::Lost { .. })
    });
}

#[test]
fn a_room_that_reads_before_it_subscribes_is_noticed() {
    // What falls in between is healed with the next message or the next comparison, so there are few of one and none of
    // the other.
    let plan = |seed| Plan {
        opening: 800,
        active: 1_500,
        pace: 300,
        nodes: 3,
        clients: 6,
        repairs: false,
        ..Plan::calm(seed)
    };
    is_caught(Sabotage::ReadFirst, plan, |found| matches!(found, Violation::Behind { .. }));
}

#[test]
fn a_key_that_nobody_looks_at_is_noticed() {
    let plan = |seed| Plan {
        cuts: 8,
        api: crate::plan::Trouble { unanswered: 200, ..Default::default() },
        ..Plan::calm(seed)
    };
    is_caught(Sabotage::Keys, plan, |found| matches!(found, Violation::Doubled { .. }));
}
