//! Two moments that deserve many trials of their own.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::end;
use crate::plan::{Plan, Sabotage};
use crate::seeds;
use crate::sight::BAND;
use crate::world::World;

/// How many evenings see the host change.
const HANDOVERS: u64 = 1_000;
/// How many joins race with messages.
const JOINS: u64 = 10_000;
/// How many trials may go by before a broken promise is noticed.
const SABOTAGED: u64 = 300;

/// One host commands through one node, the room passes to another one on another node, and both go on commanding.
fn hand_over(seed: u64, sabotage: Option<Sabotage>) -> World {
    let mut world = World::new(Plan { nodes: 2, clients: 3, sabotage, ..Plan::calm(seed) }, false);
    world.plan.news_late = world.rng.u64(5..400);
    for c in 0..3 {
        world.connect_through(c, c % 2);
    }
    for c in 0..2 {
        for at in (500..3_500).step_by(20) {
            world.after(at, move |world| world.command(c));
        }
    }
    let moment = world.rng.u64(1_000..2_500);
    world.after(moment, |world| world.transfer_to(1));
    world.run_until(4_000);
    world.calm_down();
    world.run_until(24_000);
    world
}

/// Whether exactly one order came of it, and nothing of the former host after the fence.
fn is_one_order(seed: u64, world: &World) -> Result<(), String> {
    let found = end::found(world);
    let stored = &world.store.stored;
    // The store hears of the fence from the api or with the first command of the new host.
    let told = world.store.fences.iter().find(|(fence, _)| *fence == 2).map(|(_, count)| *count);
    let taken = stored.iter().position(|state| state.version.fence == 2);
    let raised = told.into_iter().chain(taken).min().unwrap_or(usize::MAX);
    let is_second = |secs: f64| (2.0 * BAND..3.0 * BAND).contains(&secs);
    let is_ordered = stored.is_sorted_by(|one, other| one.version < other.version);
    let is_obeyed = stored.iter().skip(raised).all(|state| is_second(state.time.secs()));
    let wrong: Vec<&str> = [
        (found.is_empty(), "the checker found something"),
        (is_ordered, "states were stored out of order"),
        (is_obeyed, "the former host was obeyed after the fence"),
        (stored.len() > raised, "the new host never was"),
    ]
    .into_iter()
    .filter_map(|(is_well, wrong)| (!is_well).then_some(wrong))
    .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("seed {seed}: {wrong:?} {found:?}, of {} states {raised} before the fence", stored.len()))
}

#[test]
fn a_former_host_never_wins_whatever_of_his_is_under_way() {
    let fenced = AtomicU64::new(0);
    let (failed, stories) = seeds(1, HANDOVERS, |seed| {
        let world = hand_over(seed, None);
        fenced.fetch_add(world.store.fenced.min(1), Ordering::Relaxed);
        is_one_order(seed, &world)
    });
    assert_eq!(failed, 0, "{}", stories.join("\n"));
    let fenced = fenced.into_inner();
    assert!(fenced > HANDOVERS / 10, "only {fenced} trials had a command of the former host under way");
    let (failed, _) = seeds(1, SABOTAGED, |seed| is_one_order(seed, &hand_over(seed, Some(Sabotage::Fence))));
    assert!(failed > 0, "this would not notice a fence that nobody checks");
}

/// Somebody comes in through a node that has to read the room first, while others go on talking, and nothing heals what
/// falls in between.
fn race(seed: u64, sabotage: Option<Sabotage>) -> World {
    let plan = Plan { nodes: 2, clients: 3, opening: 300, repairs: false, sabotage, ..Plan::calm(seed) };
    let mut world = World::new(plan, false);
    world.connect_through(0, 0);
    world.connect_through(1, 0);
    let comes = world.rng.u64(100..400);
    world.after(comes, |world| world.connect_through(2, 1));
    let last = world.rng.u64(400..900);
    let mut at = 50;
    while at < last {
        let c = world.rng.usize(0..2);
        world.after(at, move |world| world.say_something(c));
        at += world.rng.u64(1..60);
    }
    world.run_until(1_000);
    world.calm_down();
    world.run_until(4_000);
    world
}

fn is_seen_once(seed: u64, world: &World) -> Result<(), String> {
    let found = end::found(world);
    let is_well = found.is_empty() && world.clients[2].is_in();
    if is_well { Ok(()) } else { Err(format!("seed {seed}: {found:?}")) }
}

#[test]
fn what_is_said_while_a_room_is_read_is_seen_exactly_once() {
    let raced = AtomicU64::new(0);
    let (failed, stories) = seeds(1, JOINS, |seed| {
        let world = race(seed, None);
        raced.fetch_add(u64::from(world.raced), Ordering::Relaxed);
        is_seen_once(seed, &world)
    });
    assert_eq!(failed, 0, "{}", stories.join("\n"));
    let raced = raced.into_inner();
    assert!(raced > JOINS / 2, "only {raced} joins had something said between subscribing and reading");
    let (failed, _) = seeds(1, SABOTAGED, |seed| is_seen_once(seed, &race(seed, Some(Sabotage::ReadFirst))));
    assert!(failed > 0, "this would not notice a room that reads before it subscribes");
}
