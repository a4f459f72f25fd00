//! What a node does beside its rooms: it beats and watches the others, compares versions, and tells the api things a
//! little later. As in `node/lease.rs`, `node/repair.rs` and `node/behind.rs`; the watch is the product's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use streamit_bus::Rooms;
use streamit_domain::{Incarnation, Playback};
use streamit_realtime::room::effect::Input;
use streamit_wire::v1;

use crate::node::{At, Place};
use crate::plan::Sabotage;
use crate::store::done;
use crate::world::{World, note};

const BEAT: u64 = 2_000;
const CALM: u64 = 7_500;
const SPREAD: u64 = 5_000;
const DOUBT: u64 = 800;
const LOOK: u64 = 250;
const GATHER: u64 = 400;
const RETRY: u64 = 1_000;

/// What the api is told a little later.
#[derive(Default)]
pub(crate) struct Behind {
    playback: Option<Playback>,
    is_saving: bool,
    /// The newest about each person.
    reports: BTreeMap<Vec<u8>, v1::HostReport>,
    is_reporting: bool,
}

impl World {
    /// Begins all of it.
    pub(crate) fn keep_up(&mut self, at: At) {
        let first = self.rng.u64(0..50);
        self.on_node_in(first, at, move |world| world.beat(at, 0));
        self.next_pass(at, false);
    }

    // ---- leases ----

    fn beat(&mut self, at: At, doubts: u64) {
        let node = &self.nodes[at.node];
        let (incarnation, doubts_now) = (node.incarnation, node.doubts);
        // A room that lives anew, and to which nothing happens, comes to hear of it by this.
        self.tell_room(at.node, Input::Tick);
        self.on_node_in(BEAT, at, move |world| world.beat(at, doubts_now));
        self.ask_store(
            at,
            move |store| {
                let rooms = store.rooms();
                done(rooms.beat(incarnation, &v1::NodeStatus::default()))?;
                let mut known = done(rooms.nodes())?;
                known.sort_unstable(); // they come in no order
                let beats = done(rooms.beats(&known))?;
                Ok(known.into_iter().zip(beats).collect::<Vec<_>>())
            },
            move |world, beats| {
                let now = world.instant();
                let node = &mut world.nodes[at.node];
                node.missed_beats = if beats.is_ok() { 0 } else { node.missed_beats + 1 };
                let is_silent = node.missed_beats > 1;
                let Some(beats) = beats.ok().filter(|_| node.doubts == doubts) else {
                    node.watch.doubt(now);
                    if is_silent {
                        world.all_are_unsteady(); // the others are right to hold it dead soon
                    }
                    return;
                };
                let mut dead: Vec<Incarnation> =
                    node.watch.look(&beats, node.incarnation, now).into_iter().collect();
                if !dead.is_empty() {
                    dead.sort_unstable();
                    world.tell_room(at.node, Input::Dead(Arc::from(dead)));
                }
            },
        );
    }

    // ---- the repair pass ----

    /// Plans the next comparison.
    fn next_pass(&mut self, at: At, is_doubtful: bool) {
        let wait = if is_doubtful { DOUBT } else { CALM + self.rng.u64(0..SPREAD) };
        self.plan_pass(at, wait);
    }

    fn plan_pass(&mut self, at: At, wait: u64) {
        let node = &mut self.nodes[at.node];
        node.pass += 1;
        let pass = node.pass;
        self.on_node_in(wait, at, move |world| {
            if world.nodes[at.node].pass == pass {
                world.compare(at);
            }
        });
    }

    /// Events may have been missed: the next comparison comes soon.
    pub(crate) fn doubt(&mut self, n: usize) {
        self.nodes[n].doubts += 1;
        let wait = self.rng.u64(0..LOOK);
        self.plan_pass(self.at(n), wait);
    }

    fn compare(&mut self, at: At) {
        if !self.plan.repairs || !matches!(self.nodes[at.node].place, Place::Live) {
            self.next_pass(at, false);
            return;
        }
        let node = &self.nodes[at.node];
        let (pass, incarnation) = (node.pass, node.incarnation);
        let round_trip = node.rooms.last_key_value().and_then(|(_, live)| live.room.round_trip());
        self.ask_store(
            at,
            move |store| store.refresh(incarnation, round_trip),
            move |world, live| {
                world.ask_api(
                    at,
                    |world| world.api.versions(),
                    move |world, home| {
                        let (live, home) = (live.ok(), home.ok());
                        let both = live.is_some() && home.is_some();
                        let home = home.filter(|_| !world.plan.is(Sabotage::Gap));
                        world.tell_room(at.node, Input::Versions(live, home));
                        if world.nodes[at.node].pass == pass {
                            world.next_pass(at, !both);
                        }
                    },
                );
            },
        );
    }

    // ---- behind ----

    pub(crate) fn save_behind(&mut self, at: At, state: Playback) {
        let behind = &mut self.nodes[at.node].behind;
        if behind.playback.is_none_or(|kept| kept.version < state.version) {
            behind.playback = Some(state);
        }
        if !std::mem::replace(&mut behind.is_saving, true) {
            self.on_node_in(GATHER, at, move |world| world.save(at));
        }
    }

    fn save(&mut self, at: At) {
        let Some(state) = self.nodes[at.node].behind.playback.take() else {
            self.nodes[at.node].behind.is_saving = false;
            return;
        };
        self.ask_api(
            at,
            move |world| world.api.save_playback(state),
            move |world, saved| {
                let wait = if saved.is_ok() { GATHER } else { RETRY };
                if saved.is_err() {
                    world.save_behind(at, state);
                }
                world.on_node_in(wait, at, move |world| world.save(at));
            },
        );
    }

    pub(crate) fn report_behind(&mut self, at: At, report: v1::HostReport) {
        let behind = &mut self.nodes[at.node].behind;
        let newer =
            behind.reports.get(&report.host).filter(|known| known.roster_version > report.roster_version);
        if newer.is_none() {
            behind.reports.insert(report.host.clone(), report);
        }
        if !std::mem::replace(&mut behind.is_reporting, true) {
            self.on_node_in(0, at, move |world| world.report(at));
        }
    }

    fn report(&mut self, at: At) {
        let Some((_, report)) = self.nodes[at.node].behind.reports.pop_first() else {
            self.nodes[at.node].behind.is_reporting = false;
            return;
        };
        note!(self, "{at} reports the host: is back {}", report.is_back);
        let told = report.clone();
        self.ask_api(
            at,
            move |world| world.report_host(&told),
            move |world, heard| {
                let wait = if heard.is_ok() { 0 } else { RETRY };
                if heard.is_err() {
                    // Whatever came meanwhile is newer.
                    world.nodes[at.node].behind.reports.entry(report.host.clone()).or_insert(report);
                }
                world.on_node_in(wait, at, move |world| world.report(at));
            },
        );
    }

    /// Tells the api that it may have lost something, until it has heard.
    pub(crate) fn loss_behind(&mut self, at: At, seen: v1::Seen) {
        let told = seen.clone();
        self.ask_api(
            at,
            move |world| world.report_loss(&told),
            move |world, heard| {
                if heard.is_err() {
                    world.on_node_in(RETRY, at, move |world| world.loss_behind(at, seen));
                }
            },
        );
    }
}
