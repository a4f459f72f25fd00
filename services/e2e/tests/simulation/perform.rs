//! Carrying out what a room wants, as `room/shell.rs` does.

use streamit_bus::{Notice, Rooms};
use streamit_domain::chat;
use streamit_domain::playback::Playback;
use streamit_domain::room::Facts;
use streamit_realtime::room::effect::{Away, Draft, Effect, Input};
use streamit_realtime::room::{Opening, Room, Setup};
use streamit_wire::v1;

use crate::node::At;
use crate::plan::Sabotage;
use crate::store::done;
use crate::world::{ROOM, START, World, note};

/// What the reads at an opening have brought so far.
#[derive(Default)]
struct Reads {
    facts: Option<v1::Facts>,
    history: Option<v1::HistoryReply>,
    live: Option<Option<Playback>>,
}

impl World {
    /// Subscribes, then reads; or, sabotaged, the other way round.
    pub(crate) fn open_room(&mut self, at: At) {
        if self.plan.is(Sabotage::ReadFirst) {
            self.read_room(at);
        } else {
            self.subscribe(at, self.nodes[at.node].opened, |world, at| {
                world.nodes[at.node].heard_from = world.api.head();
                let pause = world.rng.u64(0..world.plan.opening);
                world.on_node_in(pause, at, move |world| world.read_room(at));
            });
        }
    }

    /// The subscription counts from the moment the store has it, whenever the node hears of that.
    fn subscribe(&mut self, at: At, number: u32, then: impl FnOnce(&mut Self, At) + 'static) {
        self.ask_store(
            at,
            |store| Ok((store.life, store.subscribe()?)),
            move |world, subscribed| {
                let life = world.store.life;
                if let Ok((of, subscription)) = subscribed
                    && of == life
                {
                    world.nodes[at.node].news.insert(number, subscription);
                }
                world.spread_news();
                then(world, at);
            },
        );
    }

    /// A room that could not subscribe when it was opened does so when the store answers again.
    pub(crate) fn subscribe_again(&mut self, at: At, number: u32) {
        self.subscribe(at, number, move |world, at| {
            let node = &mut world.nodes[at.node];
            let is_there = node.news.contains_key(&number);
            if let Some(live) = node.rooms.get_mut(&number) {
                live.is_subscribing = false;
                if is_there {
                    world.feed(at.node, number, Input::Notice(Notice::Lost));
                }
            } else {
                node.news.remove(&number);
            }
        });
    }

    fn read_room(&mut self, at: At) {
        note!(self, "{at}: reads the room");
        // One after the other rather than side by side: each pause between them is one between subscribing and reading.
        self.ask_api(
            at,
            |world| world.api.facts(0),
            move |world, facts| {
                let Ok(facts) = facts else { return world.not_opened(at.node) };
                world.read_history(at, Reads { facts: Some(facts), ..Reads::default() });
            },
        );
    }

    fn read_history(&mut self, at: At, reads: Reads) {
        self.ask_api(
            at,
            move |world| {
                world.raced |= world.api.head() > world.nodes[at.node].heard_from;
                world.api.history(0, 0, chat::HISTORY, true)
            },
            move |world, history| {
                let Ok(history) = history else { return world.not_opened(at.node) };
                world.read_playback(at, Reads { history: Some(history), ..reads });
            },
        );
    }

    fn read_playback(&mut self, at: At, reads: Reads) {
        self.ask_store(
            at,
            |store| store.playback(),
            move |world, live| {
                let reads = Reads { live: live.ok().map(Some).unwrap_or_default(), ..reads };
                if reads.live.flatten().is_some() {
                    world.all_is_read(at, reads, None);
                    return;
                }
                world.ask_api(
                    at,
                    |world| world.api.load_playback(),
                    move |world, saved| match saved {
                        Ok(saved) => world.all_is_read(at, reads, saved),
                        Err(Away) => world.not_opened(at.node),
                    },
                );
            },
        );
    }

    fn all_is_read(&mut self, at: At, reads: Reads, saved: Option<Playback>) {
        let number = self.nodes[at.node].opened;
        if self.plan.is(Sabotage::ReadFirst) && !self.nodes[at.node].news.contains_key(&number) {
            let pause = self.rng.u64(0..self.plan.opening);
            self.on_node_in(pause, at, move |world| {
                world.subscribe(at, number, move |world, at| world.make_room(at, reads, saved));
            });
            return;
        }
        self.make_room(at, reads, saved);
    }

    fn make_room(&mut self, at: At, reads: Reads, saved: Option<Playback>) {
        let (Some(facts), Some(history)) = (reads.facts, reads.history) else { return };
        let facts = Facts::try_from(&facts).expect("the api tells what can be read");
        let playback = match reads.live.flatten() {
            Some(state) => (state, true),
            None => (saved.unwrap_or_else(|| Playback::start(0, ROOM.created_at())), false),
        };
        let setup = Setup {
            room: ROOM,
            node: "simulated".into(),
            incarnation: self.nodes[at.node].incarnation,
            limits: self.plan.limits,
        };
        debug_assert_eq!(ROOM.created_at().0, START);
        let room = Room::open(setup, Opening { facts, history, playback }, self.now_of(at.node));
        self.opened(at.node, room);
    }

    /// An answer for the room: one call less under way.
    fn answer(&mut self, to: (At, u32), input: Input) {
        let (at, number) = to;
        if let Some(live) = self.nodes[at.node].rooms.get_mut(&number) {
            live.answers -= 1;
            self.feed(at.node, number, input);
        }
    }

    /// Carries out one effect.
    pub(crate) fn perform(&mut self, n: usize, number: u32, effect: Effect) {
        let at = self.at(n);
        let to = (at, number);
        if self.is_traced() {
            let line: String = format!("{at}:   wants {effect:?}").chars().take(220).collect();
            self.write(line);
        }
        let is_answered = !matches!(
            effect,
            Effect::MarkGone(_)
                | Effect::SavePlayback(_)
                | Effect::NotePlayback(..)
                | Effect::ReportHost(_)
                | Effect::ReportLoss(_)
                | Effect::Inspected(..)
        );
        if let Some(live) = self.nodes[n].rooms.get_mut(&number) {
            live.answers += u32::from(is_answered);
        }
        match effect {
            Effect::Enter(joiners, entries, seen) => self.ask_store(
                at,
                move |store| {
                    let entered = done(store.rooms().enter(ROOM, &entries, seen))?;
                    Ok((entered, store.playback()?))
                },
                move |world, result| {
                    let (result, film) = match result {
                        Ok((entered, film)) => (Ok(entered), film),
                        Err(error) => (Err(error), None),
                    };
                    world.note_doubts(&joiners, result.is_ok(), film.is_some());
                    world.answer(to, Input::Entered(joiners, result, film));
                },
            ),
            Effect::Reenter(entries, seen) => self.ask_store(
                at,
                move |store| done(store.rooms().enter(ROOM, &entries, seen)),
                move |world, result| world.answer(to, Input::Reentered(result)),
            ),
            Effect::Leave(keys, seen) => {
                let leaving = keys.clone();
                self.ask_store(
                    at,
                    move |store| done(store.rooms().leave(ROOM, &leaving, seen)),
                    move |world, result| world.answer(to, Input::Left(keys, result)),
                );
            }
            Effect::Prune(dead, seen) => self.ask_store(
                at,
                move |store| done(store.rooms().prune(ROOM, &dead, seen)),
                move |world, result| world.answer(to, Input::Pruned(result)),
            ),
            Effect::ReadRoster(version) => self.ask_store(
                at,
                |store| done(store.rooms().roster(ROOM)),
                move |world, result| world.answer(to, Input::Roster(version, result)),
            ),
            Effect::ReadFacts(since) => self.ask_api(
                at,
                move |world| world.api.facts(since),
                move |world, result| world.answer(to, Input::Facts(result.map(Some))),
            ),
            Effect::ReadHistory(after, before) => self.ask_api(
                at,
                move |world| world.missing(after, before),
                move |world, result| world.answer(to, Input::History(after, before, result)),
            ),
            // Nothing is erased in these evenings.
            Effect::ReadErasures(..) => self.ask_api(
                at,
                |world| v1::ErasuresReply {
                    epoch: world.api.stored.facts.epoch,
                    ..v1::ErasuresReply::default()
                },
                move |world, result| world.answer(to, Input::Erasures(result)),
            ),
            Effect::Append(drafts) => {
                let travelling = drafts.iter().map(|draft| self.draft(n, draft)).collect::<Vec<_>>();
                self.ask_api(
                    at,
                    move |world| world.append(&travelling),
                    move |world, result| world.answer(to, Input::Appended(drafts, result)),
                );
            }
            Effect::SetPlayback(expect, next, _) => self.ask_store(
                at,
                move |store| store.set_playback(expect, &next),
                move |world, result| world.answer(to, Input::PlaybackSet(next, result)),
            ),
            Effect::ReadPlayback => self.ask_store(
                at,
                |store| store.playback(),
                move |world, result| world.answer(to, Input::PlaybackRead(result)),
            ),
            Effect::ReportReady(words, gave_up, seen) => {
                let sent = words.clone();
                self.ask_store(
                    at,
                    move |store| done(store.rooms().report_ready(ROOM, &sent, gave_up, seen)),
                    move |world, result| world.answer(to, Input::Reported(words, gave_up, result)),
                );
            }
            Effect::Moderate(connection, request, _) => self.ask_api(
                at,
                move |world| world.moderate(&request),
                move |world, result| world.answer(to, Input::Moderated(connection, result)),
            ),
            Effect::MarkGone(keys) => {
                self.ask_store(at, move |store| done(store.rooms().mark_gone(ROOM, &keys)), |_, _| {});
            }
            Effect::SavePlayback(state) => self.save_behind(at, state),
            Effect::NotePlayback(..) => {}
            Effect::ReportHost(report) => self.report_behind(at, report),
            Effect::ReportLoss(seen) => self.loss_behind(at, seen),
            Effect::Inspected(..) => {} // nobody looks
        }
    }

    /// What the api answers to who lacks messages.
    fn missing(&self, after: u64, before: u64) -> v1::HistoryReply {
        if self.plan.is(Sabotage::Gap) {
            let epoch = self.api.stored.facts.epoch;
            return v1::HistoryReply { head: after, kept_from: 1, epoch, ..v1::HistoryReply::default() };
        }
        self.api.history(after, before, chat::MAX_RESUME, false)
    }

    fn draft(&mut self, n: usize, draft: &Draft) -> v1::ChatDraft {
        v1::ChatDraft {
            room: ROOM.as_bytes().to_vec(),
            user: draft.user.as_bytes().to_vec(),
            text: draft.text.clone(),
            key: draft.client_id.clone().unwrap_or_else(|| self.nodes[n].fresh_key()),
            key_is_client_id: draft.client_id.is_some(),
        }
    }
}
