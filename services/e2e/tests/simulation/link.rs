//! What lies between: calls that take time and get lost on either way, and news that nobody vouches for.

use std::rc::Rc;

use futures_util::FutureExt;
use streamit_bus::{Error, Notice};
use streamit_realtime::room::effect::Away;

use crate::node::{At, Source};
use crate::store::Store;
use crate::world::{World, note};

/// How long a node waits for the store.
const BUS_PATIENCE: u64 = 1_000;
/// How long a node waits for one replica of the api, and how many it asks.
const TRY: u64 = 1_500;
const TRIES: u32 = 3;

type Answer<T, E> = Box<dyn FnOnce(&mut World, Result<T, E>)>;

/// How a call fares.
enum Fate {
    /// Both ways take so long.
    Well(u64, u64),
    AskedInVain,
    Unanswered(u64),
}

impl World {
    fn fate(&mut self, is_bus: bool) -> Fate {
        let trouble = if is_bus { self.plan.bus } else { self.plan.api };
        let (there, back) = (self.latency(), self.latency());
        let (lost, unanswered) = (self.happens(trouble.asked_in_vain), self.happens(trouble.unanswered));
        // The store carries nothing out any more for somebody who has given up; the api may.
        let latest = if is_bus { BUS_PATIENCE } else { 6_000 };
        let late = self.happens(trouble.late).then(|| self.rng.u64(500..latest));
        match (lost, unanswered, late) {
            (true, ..) => Fate::AskedInVain,
            (_, true, _) => Fate::Unanswered(there),
            (_, _, Some(late)) => Fate::Unanswered(late),
            _ => Fate::Well(there, back),
        }
    }

    /// Mostly a millisecond, sometimes many.
    pub(crate) fn latency(&mut self) -> u64 {
        match self.rng.u8(0..16) {
            0 => self.rng.u64(0..400),
            1..4 => self.rng.u64(0..30),
            _ => self.rng.u64(0..3),
        }
    }

    /// A call from a node to the store.
    pub(crate) fn ask_store<T: 'static>(
        &mut self,
        at: At,
        ask: impl FnOnce(&mut Store) -> Result<T, Error> + 'static,
        answer: impl FnOnce(&mut Self, Result<T, Error>) + 'static,
    ) {
        let (there, back) = match self.fate(true) {
            Fate::Well(there, back) => (there, Some(back)),
            Fate::Unanswered(there) => (there, None),
            Fate::AskedInVain => {
                note!(self, "{at}: a question to the store gets lost");
                self.on_node_in(BUS_PATIENCE, at, move |world| answer(world, Err(Error::Away(None))));
                return;
            }
        };
        let mut answer = Some(answer);
        if back.is_none() {
            note!(self, "{at}: the store's answer will be lost, after {there} ms");
            let answer = answer.take();
            self.on_node_in(BUS_PATIENCE, at, move |world| {
                if let Some(answer) = answer {
                    answer(world, Err(Error::Away(None)));
                }
            });
        }
        self.after(there, move |world| {
            let result = if world.now < world.store.away_until {
                Err(Error::Away(None))
            } else {
                ask(&mut world.store)
            };
            world.spread_news();
            if let (Some(back), Some(answer)) = (back, answer) {
                world.on_node_in(back, at, move |world| answer(world, result));
            }
        });
    }

    /// A call from a node to the api, which may be made several times over.
    pub(crate) fn ask_api<T: 'static>(
        &mut self,
        at: At,
        ask: impl Fn(&mut Self) -> T + 'static,
        answer: impl FnOnce(&mut Self, Result<T, Away>) + 'static,
    ) {
        self.try_api(at, TRIES, Rc::new(ask), Box::new(answer));
    }

    fn try_api<T: 'static>(
        &mut self,
        at: At,
        tries: u32,
        ask: Rc<dyn Fn(&mut Self) -> T>,
        answer: Answer<T, Away>,
    ) {
        if tries == 0 {
            note!(self, "{at}: the api is away");
            answer(self, Err(Away));
            return;
        }
        if self.now < self.api.away_until {
            let refused_after = self.rng.u64(1..TRY);
            self.on_node_in(refused_after, at, move |world| world.try_api(at, tries - 1, ask, answer));
            return;
        }
        let fate = self.fate(false);
        match fate {
            Fate::Well(there, back) => self.after(there, move |world| {
                let result = ask(world);
                world.on_node_in(back, at, move |world| answer(world, Ok(result)));
            }),
            Fate::AskedInVain => {
                self.on_node_in(TRY, at, move |world| world.try_api(at, tries - 1, ask, answer));
            }
            Fate::Unanswered(there) => {
                note!(self, "{at}: an answer of the api will be lost, after {there} ms");
                let again = ask.clone();
                self.after(there, move |world| {
                    ask(world);
                });
                self.on_node_in(TRY, at, move |world| world.try_api(at, tries - 1, again, answer));
            }
        }
    }

    /// Hands what the store has told to the nodes: each piece to each node at its own time, if at all.
    pub(crate) fn spread_news(&mut self) {
        for n in 0..self.nodes.len() {
            while let Some((room, notice)) = self.next_notice(n) {
                let at = self.at(n);
                if self.nodes[n].deaf_until > self.now || self.happens(self.plan.news_lost) {
                    note!(self, "{at}: news gets lost: {notice:?}");
                    continue;
                }
                if self.happens(self.plan.news_doubled) {
                    self.bring(at, room, notice.clone());
                }
                self.bring(at, room, notice);
            }
        }
    }

    fn next_notice(&mut self, n: usize) -> Option<(u32, Notice)> {
        self.nodes[n]
            .news
            .iter_mut()
            .find_map(|(room, subscription)| Some((*room, subscription.next().now_or_never()??)))
    }

    fn bring(&mut self, at: At, room: u32, notice: Notice) {
        let late = self.rng.u64(0..self.plan.news_late);
        self.after(late, move |world| {
            world.on_node(at, Source::News, move |world| world.hear(at, room, notice));
        });
    }
}
