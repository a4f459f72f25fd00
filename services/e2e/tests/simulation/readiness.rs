//! Films that wait for somebody's player, whatever else goes on.

use streamit_domain::room::ReadinessMode;

use crate::plan::Plan;
use crate::store::Held;
use crate::world::World;
use crate::{end, seeds};

/// How many evenings there are of each kind.
const EVENINGS: u64 = 200;
/// What may pass between a deadline and the end of the hold, in milliseconds.
const LATE: u64 = 1_000;

fn run(plan: Plan) -> World {
    let mut world = World::new(plan, false);
    world.run();
    world
}

/// What is wrong with an evening, if anything is.
fn judge(world: &World, is_wrong: impl Fn(&Held) -> bool) -> Result<(), String> {
    let seed = world.plan.seed;
    let found = end::found(world);
    if !found.is_empty() {
        return Err(end::story(seed, &found));
    }
    let wrong = world.store.holds.iter().find(|held| is_wrong(held));
    wrong.map_or(Ok(()), |held| Err(format!("seed {seed}: {held:?}")))
}

#[test]
fn no_room_waits_past_its_deadline() {
    let holds = std::sync::atomic::AtomicU64::new(0);
    let (failed, stories) = seeds(1, EVENINGS, |seed| {
        let world = run(Plan {
            readiness: ReadinessMode::Strict,
            active: 60_000,
            // People come and go, are cut off, and hear things late.
            cuts: 8,
            news_late: 1 + seed % 300,
            removals: 1,
            ..Plan::calm(seed)
        });
        holds.fetch_add(world.store.holds.len() as u64, std::sync::atomic::Ordering::Relaxed);
        judge(&world, |held| held.ended.is_none_or(|ended| ended.since(held.until).as_millis() > LATE.into()))
    });
    let holds = holds.into_inner();
    println!("{holds} holds in {EVENINGS} evenings, {failed} of them failed");
    assert_eq!(failed, 0, "{}", stories.join("\n"));
    assert!(holds > 2 * EVENINGS, "there was something to see: {holds}");
}

#[test]
fn whatever_goes_wrong_every_hold_ends() {
    let (failed, stories) = seeds(1, EVENINGS, |seed| {
        let world = run(Plan { readiness: ReadinessMode::Strict, ..Plan::of(seed) });
        judge(&world, |held| held.ended.is_none())
    });
    assert_eq!(failed, 0, "{}", stories.join("\n"));
}
