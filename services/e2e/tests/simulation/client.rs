//! Clients: they come, talk, command, read slowly, lose their connection and come back, and remember what they saw.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use streamit_domain::playback::Command;
use streamit_domain::readiness::Said;
use streamit_domain::{ConnectionId, MediaTime, SessionId, UserId};
use streamit_e2e::check::{Joined, Message, Seen, Witness};
use streamit_realtime::room::effect::{Gone, Input, Joiner, Resume};
use streamit_wire::code::close;
use streamit_wire::frame::client::Frame;
use streamit_wire::v1::ModerationAction;

use crate::api::{name_of, user_id};
use crate::node::{At, Source, State};
use crate::sight::{self, BAND, Heard};
use crate::world::{World, note};
use streamit_telemetry::trace::Cause;

/// How long a node waits for a room to answer a join.
const JOIN_PATIENCE: u64 = 12_000;
/// A client that hears nothing of what it said for so long says it again.
const SAY_AGAIN: u64 = 7_000;
/// Who was away for less than this must not be told to have left: the grace, less the way.
const SURELY_GRACE: u64 = 2_500;

/// Somebody with one tab.
pub(crate) struct Client {
    pub(crate) witness: Witness,
    /// The connection, as this end sees it.
    pub(crate) link: Option<Link>,
    /// Counts its connections: what belongs to an earlier one is not seen.
    number: u32,
    /// Whether it wants to be in the room.
    pub(crate) wants_in: bool,
    /// Whether it will never be let in again.
    pub(crate) is_refused: bool,
    /// Epoch and number of the last message.
    last: Option<(u64, u64)>,
    /// Said, and not heard back: by id, how often it was sent.
    unheard: BTreeMap<String, u32>,
    said: u32,
    commands: u32,
    pub(crate) host: String,
    /// How often it was told that somebody else is host.
    pub(crate) hosts_told: u32,
    /// Not told to have left is what it may expect.
    pub(crate) is_steady: bool,
    /// That the film never goes back is what it may expect.
    pub(crate) is_film_certain: bool,
    pub(crate) lost_at: Option<u64>,
    pub(crate) acknowledged: Vec<(u64, String)>,
}

/// A connection, as the client sees it.
pub(crate) struct Link {
    pub(crate) at: At,
    pub(crate) id: ConnectionId,
    /// Which of the client's connections it is.
    pub(crate) number: u32,
    is_joined: bool,
    list: Option<(std::collections::BTreeSet<String>, String)>,
    history: Option<(Vec<Message>, u64, bool)>,
    asked: Option<(u64, u64)>,
    /// When the last thing that was sent arrives.
    arrives_at: u64,
}

impl Client {
    pub(crate) fn new(user: usize) -> Self {
        Self {
            witness: Witness { name: name_of(user), ..Witness::default() },
            link: None,
            number: 0,
            wants_in: true,
            is_refused: false,
            last: None,
            unheard: BTreeMap::new(),
            said: 0,
            commands: 0,
            host: String::new(),
            hosts_told: 0,
            is_steady: true,
            is_film_certain: true,
            lost_at: None,
            acknowledged: Vec::new(),
        }
    }

    pub(crate) fn is_in(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_joined)
    }

    fn hear_message(&mut self, epoch: u64, message: &Message) {
        if self.unheard.remove(&message.id).is_some() {
            self.acknowledged.push((epoch, message.id.clone()));
        }
        self.last = Some((epoch, message.seq.max(self.last.map_or(0, |last| last.1))));
    }
}

impl World {
    /// The client comes, or comes back, through any node that takes it.
    pub(crate) fn connect(&mut self, c: usize) {
        let client = &self.clients[c];
        if client.link.is_some() || !client.wants_in || client.is_refused {
            return;
        }
        let open: Vec<usize> = (0..self.nodes.len())
            .filter(|n| self.nodes[*n].state == State::Up && self.nodes[*n].stopped_until <= self.now)
            .collect();
        if open.is_empty() {
            self.after(300, move |world| world.connect(c));
            return;
        }
        let n = open[self.rng.usize(0..open.len())];
        self.connect_through(c, n);
    }

    /// The client comes through this node.
    pub(crate) fn connect_through(&mut self, c: usize, n: usize) {
        let at = self.at(n);
        let client = &mut self.clients[c];
        client.number += 1;
        let (number, asked) = (client.number, client.last);
        let id = self.open_conn(n, c, number);
        let arrives_at = self.now;
        let link = Link { at, id, number, is_joined: false, list: None, history: None, asked, arrives_at };
        self.clients[c].link = Some(link);
        note!(self, "c{c} connects to {at} as {id}, has {asked:?}");
        self.on_node_in(JOIN_PATIENCE, at, move |world| {
            if !world.clients[c].is_in() && world.clients[c].number == number {
                world.hang_up_on(n, c, number, Gone::Grace, Some(close::TRY_LATER));
            }
        });
        let way = self.latency();
        self.on_node_in(way, at, move |world| {
            world.ask_api(
                at,
                move |world| world.api.admit(user_id(c)),
                move |world, admitted| {
                    let Some(id) = world.number_conn(n, id) else { return };
                    let Some(outbox) = world.nodes[n].conns.get(&id).map(|conn| conn.outbox.clone()) else {
                        return;
                    };
                    match admitted {
                        Ok(admitted) if admitted.error.is_empty() => {
                            let resume = asked.map(|(epoch, since)| Resume {
                                since: Some(since),
                                epoch: Some(epoch),
                                asks: 0,
                                asked: false,
                            });
                            let joiner = Joiner {
                                connection: id,
                                user: user_id(c),
                                session: SessionId(user_id(c).0),
                                name: admitted.name.into(),
                                admitted: admitted.facts_version,
                                resume,
                                outbox,
                            };
                            world.join(n, joiner);
                        }
                        Ok(_) => world.hang_up(n, id, Gone::Now, Some(4010)),
                        Err(_) => world.hang_up(n, id, Gone::Grace, Some(close::TRY_LATER)),
                    }
                },
            );
        });
    }

    // ---- what it hears ----

    pub(crate) fn bring_frames(&mut self, wait: u64, c: usize, number: u32, frames: Vec<Bytes>) {
        self.after(wait, move |world| {
            for piece in &frames {
                for heard in sight::read(piece) {
                    if world.clients[c].number == number && world.clients[c].link.is_some() {
                        note!(world, "c{c} hears {heard:?}");
                        world.client_hears(c, heard);
                    }
                }
            }
        });
    }

    fn client_hears(&mut self, c: usize, heard: Heard) {
        let client = &mut self.clients[c];
        let Some(link) = &mut client.link else { return };
        let seen = &mut client.witness.seen;
        match heard {
            Heard::Ping(sent) => {
                let (at, id) = (link.at, link.id);
                self.send(c, move |world| {
                    let up = world.now_of(at.node).up;
                    if let Some(conn) = world.nodes[at.node].conns.get(&id) {
                        conn.outbox.heard(up);
                        conn.outbox.answered(Duration::from_millis(world.now - sent));
                    }
                });
            }
            Heard::Listed { present, host } => {
                client.host.clone_from(&host);
                if link.is_joined {
                    seen.push(Seen::Listed(present));
                } else {
                    link.list = Some((present, host));
                }
            }
            Heard::History { messages, epoch, resumed } => link.history = Some((messages, epoch, resumed)),
            Heard::Played(state) if link.is_joined => seen.push(Seen::Played(state)),
            Heard::Played(state) => {
                let (list, history) = (link.list.take(), link.history.take());
                let (Some((present, _)), Some((messages, epoch, resumed))) = (list, history) else {
                    panic!("c{c} got playback before the list or the history");
                };
                link.is_joined = true;
                for message in &messages {
                    client.hear_message(epoch, message);
                }
                let last = client.last.filter(|last| last.0 == epoch).map_or(0, |last| last.1);
                client.last = Some((epoch, last.min(messages.last().map_or(last, |message| message.seq))));
                let asked = client.link.as_ref().and_then(|link| link.asked);
                let joined = Joined { asked, epoch, resumed, messages, state, present };
                client.witness.seen.push(Seen::Joined(joined));
                self.client_is_in(c);
            }
            Heard::Said(message) => {
                let epoch = client.last.map_or(0, |last| last.0);
                client.hear_message(epoch, &message);
                client.witness.seen.push(Seen::Said(message));
            }
            Heard::Came(who) => seen.push(Seen::Came(who)),
            Heard::Went(who) => seen.push(Seen::Went(who)),
            Heard::Host(host) => {
                client.host = host;
                client.hosts_told += 1;
            }
            Heard::Refused { code, id: Some(id), retry_in } => self.client_is_refused(c, &code, id, retry_in),
            Heard::Refused { id: None, .. } | Heard::Other => {}
        }
    }

    fn client_is_in(&mut self, c: usize) {
        let now = self.now;
        let client = &mut self.clients[c];
        let still = |link: &Link| {
            let node = &self.nodes[link.at.node];
            node.life == link.at.life && node.conns.contains_key(&link.id)
        };
        // What it was given before the other end hung up does not make it present.
        if client.link.as_ref().is_some_and(still)
            && client.lost_at.take().is_some_and(|at| now - at > SURELY_GRACE)
        {
            client.is_steady = false;
        }
        let unheard: Vec<String> = client.unheard.keys().cloned().collect();
        for id in unheard {
            self.say(c, id);
        }
    }

    fn client_is_refused(&mut self, c: usize, code: &str, id: String, retry_in: Option<u64>) {
        match code {
            "TRY_AGAIN" | "RATE_LIMITED" => {
                let wait = retry_in.unwrap_or(0) + self.rng.u64(300..1_500);
                self.after(wait, move |world| {
                    if world.clients[c].unheard.contains_key(&id) {
                        world.say(c, id);
                    }
                });
            }
            // It is not going to be stored; but an earlier try may have been.
            _ => drop(self.clients[c].unheard.remove(&id)),
        }
    }

    /// The connection ends, as the client sees it in `wait` milliseconds.
    pub(crate) fn tell_end(&mut self, wait: u64, c: usize, number: u32, code: Option<u16>) {
        self.after(wait, move |world| {
            let client = &world.clients[c];
            if client.number == number && client.link.is_some() {
                world.client_lost(c, code);
            }
        });
    }

    /// The other end is gone, whether the client knows or not.
    pub(crate) fn client_is_missed(&mut self, c: usize, number: u32) {
        let now = self.now;
        let client = &mut self.clients[c];
        if client.number == number && client.link.is_some() {
            client.lost_at.get_or_insert(now);
        }
    }

    /// The client has no connection any more, and wants one.
    pub(crate) fn client_lost(&mut self, c: usize, code: Option<u16>) {
        note!(self, "c{c} has lost its connection: {code:?}");
        let now = self.now;
        let client = &mut self.clients[c];
        let was_in = client.is_in();
        client.link = None;
        client.lost_at.get_or_insert(now);
        if was_in {
            client.witness.seen.push(Seen::Ended(code));
        }
        if code.is_some_and(|code| (4000..4100).contains(&code)) {
            client.is_refused = true;
            client.is_steady = false;
            return;
        }
        let wait = match code {
            Some(close::RESTART) => self.rng.u64(1..1_000),
            _ => self.rng.u64(0..1_800),
        };
        self.after(wait, move |world| world.connect(c));
    }

    /// People come in while the store can't be asked or knows little. Who was not entered may be told to have left when he
    /// comes back; who comes from another node gets the film as far as it was saved.
    pub(crate) fn note_doubts(&mut self, joiners: &[Joiner], is_entered: bool, is_film_known: bool) {
        for c in joiners.iter().filter_map(|joiner| self.client_of(joiner.user)).collect::<Vec<_>>() {
            self.clients[c].is_steady &= is_entered;
            self.clients[c].is_film_certain &= is_film_known || self.store.stored.is_empty();
        }
    }

    /// A removed person asks anew, and is let in if the api does.
    pub(crate) fn forgive(&mut self, c: usize) {
        self.readmit(user_id(c));
        if self.api.admits(user_id(c)) {
            self.clients[c].is_refused = false;
            self.connect(c);
        }
    }

    // ---- what it does ----

    /// Sends something to where the client is connected: in order, some time later, if the connection lasts.
    fn send(&mut self, c: usize, job: impl FnOnce(&mut Self) + 'static) {
        let way = self.latency();
        let now = self.now;
        let Some(link) = &mut self.clients[c].link else { return };
        link.arrives_at = link.arrives_at.max(now + way);
        let (at, wait) = (link.at, link.arrives_at - now);
        self.after(wait, move |world| world.on_node(at, Source::Inbox, job));
    }

    fn send_frame(&mut self, c: usize, frame: Frame) {
        let link = self.clients[c].link.as_ref().filter(|link| link.is_joined && !self.is_over);
        let Some((at, id)) = link.map(|link| (link.at, link.id)) else { return };
        note!(self, "c{c} sends {frame:?}");
        self.send(c, move |world| {
            let up = world.now_of(at.node).up;
            if let Some(conn) = world.nodes[at.node].conns.get(&id) {
                conn.outbox.heard(up);
                world.input_of(at.node, id, Input::Frame(id, frame, Cause::default()));
            }
        });
    }

    /// Says something, for the first time or again.
    fn say(&mut self, c: usize, id: String) {
        let client = &mut self.clients[c];
        let times = client.unheard.entry(id.clone()).or_default();
        *times += 1;
        let times = *times;
        if times > 1 {
            client.witness.sent_again.insert(id.clone());
        }
        self.send_frame(c, Frame::Chat { text: id.clone(), client_id: Some(id.clone()) });
        self.after(SAY_AGAIN, move |world| {
            if world.clients[c].unheard.get(&id) == Some(&times) && world.clients[c].is_in() {
                world.say(c, id);
            }
        });
    }

    /// Says something new.
    pub(crate) fn say_something(&mut self, c: usize) {
        if !self.clients[c].is_in() {
            return;
        }
        self.clients[c].said += 1;
        let id = format!("{} says {}", self.clients[c].witness.name, self.clients[c].said);
        if self.rng.u8(0..8) == 0 {
            // Without an id nothing is sent again, and nobody learns what became of it.
            self.send_frame(c, Frame::Chat { text: id, client_id: None });
        } else {
            self.say(c, id);
        }
    }

    /// Commands, if it holds itself to be host (or, now and then, although it is not).
    pub(crate) fn command(&mut self, c: usize) {
        let client = &mut self.clients[c];
        let Some(reign) = self.api.hosts.iter().position(|host| *host == user_id(c)) else { return };
        if client.host != client.witness.name && self.rng.u8(0..4) != 0 {
            return;
        }
        client.commands += 1;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let secs = (reign + 1) as f64 * BAND + f64::from(client.commands);
        let time = MediaTime::try_from(secs).expect("a finite number");
        let command = match self.rng.u8(0..3) {
            0 => Command::Play(Some(time)),
            1 => Command::Pause(Some(time)),
            _ => Command::Seek(time),
        };
        self.send_frame(c, Frame::Playback(command));
    }

    /// Says whether its player could go on.
    pub(crate) fn tell_readiness(&mut self, c: usize) {
        let is_ready = self.rng.bool();
        self.send_frame(c, Frame::Readiness(Said { is_ready, position: None }));
    }

    /// Throws somebody out, or silences him for a while.
    pub(crate) fn remove_somebody(&mut self, c: usize) {
        let target = self.rng.usize(0..self.clients.len());
        let action = match self.rng.u8(0..3) {
            0 => ModerationAction::Ban,
            1 => ModerationAction::Kick,
            _ => ModerationAction::Mute,
        };
        let frame = Frame::Moderate { action, target: user_id(target), seconds: Some(5) };
        self.send_frame(c, frame);
    }

    /// Goes, and says so.
    pub(crate) fn leave(&mut self, c: usize) {
        let client = &mut self.clients[c];
        let Some(link) = client.link.as_ref().filter(|link| link.is_joined) else { return };
        let (at, id) = (link.at, link.id);
        note!(self, "c{c} goes");
        self.clients[c].is_steady = false;
        self.send(c, move |world| world.hang_up(at.node, id, Gone::Now, None));
        self.clients[c].witness.seen.push(Seen::Ended(Some(close::NORMAL)));
        self.clients[c].link = None;
    }

    /// The connection is cut: the client knows at once, the node a little later or, half-open, not before its heartbeat.
    pub(crate) fn cut(&mut self, c: usize, is_half_open: bool) {
        let Some(link) = &self.clients[c].link else { return };
        let (at, number) = (link.at, link.number);
        note!(self, "c{c} is cut off {at}, half-open: {is_half_open}");
        if !is_half_open {
            let noticed = self.rng.u64(0..300);
            self.after(noticed, move |world| {
                world.on_node(at, Source::Inbox, move |world| {
                    world.hang_up_on(at.node, c, number, Gone::Grace, None);
                });
            });
        }
        self.client_lost(c, None);
    }

    /// Whose id this is.
    pub(crate) fn client_of(&self, user: UserId) -> Option<usize> {
        (0..self.clients.len()).find(|c| user_id(*c) == user)
    }
}
