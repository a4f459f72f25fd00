//! What people do, and what goes wrong, at moments that the seed picks.

use streamit_bus::{Notice, Rooms};
use streamit_domain::room::ReadinessMode;
use streamit_realtime::outbox::Close;
use streamit_realtime::room::effect::Input;
use streamit_telemetry::Clock;
use streamit_wire::code::close;

use crate::api::user_id;
use crate::node::State;
use crate::store::done;
use crate::world::{World, note};

/// How long a drain closes connections, and how long it may last, in milliseconds.
const SPREAD: u64 = 1_500;
const DRAIN: u64 = 4_000;

/// Something that goes wrong, or that people do.
type Happening = fn(&mut World);

impl World {
    /// Plans the whole run.
    pub(crate) fn begin(&mut self) {
        for c in 0..self.clients.len() {
            let comes = if c == 0 { 0 } else { self.rng.u64(0..self.plan.active / 2) };
            self.after(comes, move |world| world.connect(c));
            self.after(comes, move |world| world.live(c));
        }
        let plan = self.plan.clone();
        let happenings: [(u32, Happening); 15] = [
            (plan.kills, Self::kill_some),
            (plan.pauses, Self::stop_some),
            (plan.drains, Self::drain_some),
            (plan.deaf, Self::deafen_some),
            (plan.store_away, Self::store_goes),
            (plan.store_empty, Self::store_is_lost),
            (plan.api_away, Self::api_goes),
            (plan.cuts, |world| world.cut_some(false)),
            (plan.half_open, |world| world.cut_some(true)),
            (plan.stuck, Self::stick_some),
            (plan.transfers, Self::transfer),
            (plan.removals, Self::remove_some),
            (plan.settings, Self::set_some),
            (plan.jumps, Self::jump),
            (plan.restores, Self::restore_some),
        ];
        for (times, happening) in happenings {
            for _ in 0..times {
                let at = self.rng.u64(500..plan.active);
                self.after(at, happening);
            }
        }
    }

    /// A client does one thing after the other.
    fn live(&mut self, c: usize) {
        if self.is_quiet {
            return;
        }
        match self.rng.u8(0..24) {
            0..14 => self.say_something(c),
            14..23 => self.command(c),
            _ if self.plan.restores > 0 => {}
            _ => {
                self.leave(c);
                let back = self.rng.u64(100..6_000);
                self.after(back, move |world| world.connect(c));
            }
        }
        if self.plan.readiness != ReadinessMode::Off && self.rng.u8(0..3) == 0 {
            self.tell_readiness(c);
        }
        let wait = self.rng.u64(1..self.plan.pace * 2);
        self.after(wait, move |world| world.live(c));
    }

    fn some_node(&mut self) -> Option<usize> {
        let n = self.rng.usize(0..self.nodes.len());
        Some(n).filter(|n| self.nodes[*n].state == State::Up && !self.is_quiet)
    }

    fn some_client(&mut self) -> usize {
        self.rng.usize(0..self.clients.len())
    }

    fn start_in(&mut self, n: usize, ms: u64) {
        self.after(ms, move |world| {
            if world.nodes[n].state == State::Down {
                world.start_node(n);
            }
        });
    }

    fn kill_some(&mut self) {
        if let Some(n) = self.some_node() {
            self.kill_node(n);
            let back = self.rng.u64(200..12_000);
            self.start_in(n, back);
        }
    }

    fn stop_some(&mut self) {
        if let Some(n) = self.some_node() {
            // Its members may be held dead, and are then seen to come again.
            for conn in self.nodes[n].conns.values() {
                self.clients[conn.client].is_steady = false;
            }
            let ms = self.rng.u64(500..12_000);
            self.stop_node(n, ms);
        }
    }

    fn drain_some(&mut self) {
        let Some(n) = self.some_node() else { return };
        let at = self.at(n);
        note!(self, "{at} is drained");
        self.nodes[n].state = State::Closing;
        let ids: Vec<_> = self.nodes[n].conns.keys().copied().collect();
        for id in ids {
            let (when, hint) = (self.rng.u64(0..SPREAD), self.rng.u64(1..1_000));
            self.on_node_in(when, at, move |world| {
                if let Some(conn) = world.nodes[n].conns.get(&id) {
                    conn.outbox.close(Close::retry(close::RESTART, hint));
                    world.pump(n, id);
                }
            });
        }
        self.after(DRAIN, move |world| world.end_drain(n, at.life));
    }

    fn end_drain(&mut self, n: usize, life: u32) {
        if self.nodes[n].life != life || self.nodes[n].state == State::Down {
            return;
        }
        let incarnation = self.nodes[n].incarnation;
        if self.now >= self.store.away_until {
            let _ = done(self.store.rooms().rest(incarnation));
        }
        self.kill_node(n);
        let back = self.rng.u64(0..2_000);
        self.start_in(n, back);
    }

    /// News stops coming, and nobody says so.
    fn deafen_some(&mut self) {
        let Some(n) = self.some_node() else { return };
        let ms = self.rng.u64(200..8_000);
        note!(self, "{} hears no news for {ms} ms", self.at(n));
        self.nodes[n].deaf_until = self.now + ms;
        let at = self.at(n);
        if self.rng.bool() {
            self.on_node_in(ms, at, move |world| world.link_is_back(n));
        }
    }

    /// The link to the store was made anew: mostly the rooms are told, always there is a doubt.
    fn link_is_back(&mut self, n: usize) {
        self.doubt(n);
        if self.rng.u8(0..5) != 0 {
            self.tell_room(n, Input::Notice(Notice::Lost));
        }
    }

    fn store_goes(&mut self) {
        let ms = self.rng.u64(100..8_000);
        note!(self, "the store is away for {ms} ms");
        self.store.away_until = self.now + ms;
        self.all_are_unsteady();
        for n in 0..self.nodes.len() {
            let (late, at) = (ms + self.rng.u64(0..2_500), self.at(n));
            self.nodes[n].deaf_until = self.now + late;
            self.on_node_in(late, at, move |world| world.link_is_back(n));
        }
    }

    fn store_is_lost(&mut self) {
        note!(self, "the store loses everything");
        self.store.lose();
        self.all_are_unsteady();
        // A node that has missed the last news says what it knows until another one has put it back.
        for client in &mut self.clients {
            client.is_film_certain = false;
        }
        // The api tells the fence with the next change only: the nodes ask for it.
        for n in 0..self.nodes.len() {
            let (late, at) = (self.rng.u64(0..2_500), self.at(n));
            self.on_node_in(late, at, move |world| {
                let store = &world.store;
                for news in world.nodes[n].news.values_mut() {
                    *news = store.subscribe().expect("nothing keeps a store in memory from it");
                }
                world.link_is_back(n);
            });
        }
    }

    /// Nobody can tell who is present: whoever moves meanwhile may be told to have left.
    pub(crate) fn all_are_unsteady(&mut self) {
        for client in &mut self.clients {
            client.is_steady = false;
        }
    }

    fn api_goes(&mut self) {
        let ms = self.rng.u64(100..8_000);
        note!(self, "the api is away for {ms} ms");
        self.api.away_until = self.now + ms;
    }

    fn cut_some(&mut self, is_half_open: bool) {
        let c = self.some_client();
        self.cut(c, is_half_open);
    }

    /// A client does not read for a while.
    fn stick_some(&mut self) {
        let (c, ms) = (self.some_client(), self.rng.u64(500..15_000));
        if let Some(link) = &self.clients[c].link {
            let (at, id) = (link.at, link.id);
            note!(self, "c{c} reads nothing for {ms} ms");
            if let Some(conn) = self.nodes[at.node].conns.get_mut(&id) {
                conn.stuck_until = self.now + ms;
            }
        }
    }

    /// Somebody who has not been host becomes it.
    fn transfer(&mut self) {
        let c = self.some_client();
        self.transfer_to(c);
    }

    pub(crate) fn transfer_to(&mut self, c: usize) {
        let user = user_id(c);
        if self.api.admits(user) && !self.api.hosts.contains(&user) {
            self.set_host(user);
        }
    }

    fn remove_some(&mut self) {
        let host = self.client_of(self.api.stored.facts.host);
        if let Some(host) = host {
            self.remove_somebody(host);
        }
        let (c, later) = (self.some_client(), self.rng.u64(500..5_000));
        self.after(later, move |world| world.forgive(c));
    }

    /// What is in the database now is all that will be left of it some time later.
    fn restore_some(&mut self) {
        let backup = self.api.stored.clone();
        let later = self.rng.u64(100..5_000);
        self.after(later, move |world| {
            if !world.is_quiet {
                world.restore(backup);
            }
        });
    }

    /// The clock of all rooms is put forward.
    fn jump(&mut self) {
        let ms = self.rng.i64(500..60_000);
        note!(self, "the clock of the rooms is put forward by {ms} ms");
        self.clock.set_ms(self.clock.now_ms() + ms);
        self.all_are_unsteady(); // what the store keeps for a while may be over at once
    }

    fn set_some(&mut self) {
        self.toggle_chat();
        let later = self.rng.u64(100..3_000);
        self.after(later, Self::toggle_chat);
    }

    /// Nothing goes wrong any more: whoever is down comes up, whoever wants in gets in.
    pub(crate) fn calm_down(&mut self) {
        note!(self, "all is quiet from now on");
        self.is_quiet = true;
        self.store.away_until = 0;
        self.api.away_until = 0;
        for n in 0..self.nodes.len() {
            self.nodes[n].deaf_until = 0;
            if self.nodes[n].state == State::Down {
                self.start_node(n);
            }
        }
    }
}
