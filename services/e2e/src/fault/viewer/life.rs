//! What a viewer does all evening.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use streamit_client::{Advice, ChatMessage, CloseReason, Connection, Error, Event, Frame, Options, Sender};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::Command;
use crate::fault::Draw;
use crate::fault::record::Record;
use crate::{Person, Room};

/// How long a try to come in may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it asks whether somebody is there.
const PING: Duration = Duration::from_secs(1);
/// A line that has been silent for so long is taken for dead. Every PING is answered on a line that is not.
const SILENCE: Duration = Duration::from_secs(5);
/// How long the kernel may refuse to take what is sent.
const STUCK: Duration = Duration::from_secs(2);
/// How often it looks whether there is something to do.
const TICK: Duration = Duration::from_millis(100);
/// Words that were not answered for so long are said again.
const UNHEARD: Duration = Duration::from_secs(4);
/// The pause after a refusal that does not tell one.
const REFUSED: Duration = Duration::from_millis(500);
/// The first pause after a loss, and the longest.
const BACKOFF: (u64, u64) = (250, 4_000);

pub(super) enum Order {
    Say(String),
    Do(Command, f64),
    Leave,
    Return,
    Blink,
}

/// Something said, not yet known to be stored.
struct Word {
    id: String,
    was_sent: bool,
    /// On the connection there is now.
    sent: Option<Instant>,
    not_before: Instant,
}

enum End {
    Left,
    Blinked,
    /// How, and since when.
    Lost(CloseReason, Instant),
    Over,
}

pub(super) struct Life {
    code: String,
    person: Person,
    bases: Vec<String>,
    node: usize,
    draw: Draw,
    orders: mpsc::Receiver<Order>,
    record: Arc<Mutex<Record>>,
    words: VecDeque<Word>,
    commands: Vec<(f64, Instant)>,
    failures: u32,
}

impl Life {
    pub(super) fn new(
        room: &Room,
        person: &Person,
        node: usize,
        draw: Draw,
        orders: mpsc::Receiver<Order>,
        record: Arc<Mutex<Record>>,
    ) -> Self {
        let bases = (0..room.system.nodes()).map(|i| room.system.ws(i)).collect();
        let (code, person) = (room.code.clone(), person.clone());
        let (words, commands) = (VecDeque::new(), Vec::new());
        Self { code, person, bases, node, draw, orders, record, words, commands, failures: 0 }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn run(mut self) {
        loop {
            let end = match self.comes_in().await {
                Ok(line) => self.stays(line).await,
                Err(reason) => End::Lost(reason, Instant::now()),
            };
            match end {
                End::Over => return,
                End::Left => {
                    self.record().lost(closed(1000), Instant::now());
                    self.record().breaks.pop(); // it wanted to
                    if !self.is_called_back().await {
                        return;
                    }
                }
                End::Blinked => {
                    let blinked = closed(CloseReason::BROKEN);
                    self.record().lost(blinked, Instant::now());
                }
                End::Lost(reason, since) => {
                    self.record().lost(reason.clone(), since);
                    let Some(pause) = self.pause(&reason) else {
                        self.record().stopped = Some(reason);
                        return;
                    };
                    sleep(pause).await;
                    // A balancer would send it elsewhere.
                    self.node = (self.node + 1) % self.bases.len();
                }
            }
        }
    }

    /// The hint the first time, as told; after that its own pauses, each longer and none like another's.
    fn pause(&mut self, reason: &CloseReason) -> Option<Duration> {
        let Advice::Reconnect(hint) = reason.advice() else { return None };
        self.failures += 1;
        match hint {
            Some(hint) if self.failures == 1 => Some(hint),
            _ => {
                let longest = (BACKOFF.0 << (self.failures - 1).min(10)).min(BACKOFF.1);
                Some(self.draw.millis(longest / 2..longest + 1).max(hint.unwrap_or_default()))
            }
        }
    }

    async fn is_called_back(&mut self) -> bool {
        loop {
            match self.orders.recv().await {
                Some(Order::Return) => return true,
                Some(Order::Say(id)) => self.will_say(id),
                Some(_) => {}
                None => return false,
            }
        }
    }

    fn will_say(&mut self, id: String) {
        self.words.push_back(Word { id, was_sent: false, sent: None, not_before: Instant::now() });
    }

    async fn comes_in(&mut self) -> Result<Connection, CloseReason> {
        let mut options = Options { patience: PATIENCE, ..Options::default() };
        if let Some((epoch, seq)) = self.record().place {
            (options.since, options.epoch) = (Some(seq), Some(epoch));
        }
        options.headers.push(("x-forwarded-for".to_owned(), self.person.address.to_string()));
        let base = self.bases[self.node].clone();
        let joined = timeout(PATIENCE, Connection::join(&base, &self.code, self.person.token(), options));
        let (line, welcome) = match joined.await {
            Ok(Ok(joined)) => joined,
            Ok(Err(Error::Closed(reason))) => return Err(reason),
            Ok(Err(_)) | Err(_) => return Err(closed(CloseReason::BROKEN)),
        };
        self.failures = 0;
        self.record().joined(&welcome);
        for said in &welcome.history.messages {
            self.settle(said);
        }
        for word in &mut self.words {
            word.sent = None;
        }
        Ok(line)
    }

    async fn stays(&mut self, line: Connection) -> End {
        let (mut sender, mut receiver) = line.split();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut pinged) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                frame = receiver.frame() => match frame {
                    Ok(frame) => {
                        heard = Instant::now();
                        if let Frame::Text(text) = frame {
                            match Event::read(&text) {
                                Ok(event) => self.takes(event),
                                Err(error) => panic!("{}: {error}", self.person.account.display_name),
                            }
                        }
                    }
                    Err(Error::Closed(reason)) => return End::Lost(reason, Instant::now()),
                    Err(_) => return End::Lost(closed(CloseReason::BROKEN), Instant::now()),
                },
                order = self.orders.recv() => {
                    let sent = match order {
                        Some(Order::Say(id)) => {
                            self.will_say(id);
                            self.speaks(&mut sender).await
                        }
                        Some(Order::Do(command, time)) => self.directs(&mut sender, command, time).await,
                        Some(Order::Leave) => {
                            let _ = timeout(STUCK, sender.close(1000, "")).await;
                            let _ = timeout(STUCK, receiver.closed()).await;
                            return End::Left;
                        }
                        Some(Order::Blink) => return End::Blinked,
                        Some(Order::Return) => true,
                        None => return End::Over,
                    };
                    if !sent {
                        return End::Lost(closed(CloseReason::BROKEN), heard);
                    }
                }
                _ = tick.tick() => {
                    let mut sent = self.speaks(&mut sender).await;
                    if pinged.elapsed() >= PING {
                        pinged = Instant::now();
                        sent &= arrives(sender.ping(1.0)).await;
                    }
                    if heard.elapsed() > SILENCE || !sent {
                        return End::Lost(closed(CloseReason::BROKEN), heard);
                    }
                }
            }
        }
    }

    /// Says what is due. Whether the line took it.
    async fn speaks(&mut self, sender: &mut Sender) -> bool {
        let now = Instant::now();
        for word in &mut self.words {
            let is_unheard = word.sent.is_none_or(|sent| now - sent > UNHEARD);
            if !is_unheard || now < word.not_before {
                continue;
            }
            {
                let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::replace(&mut word.was_sent, true) {
                    record.sent_again.insert(word.id.clone());
                } else {
                    record.sent_at.insert(word.id.clone(), now);
                }
            }
            word.sent = Some(now);
            if !arrives(sender.chat(&word.id, Some(&word.id))).await {
                return false;
            }
        }
        true
    }

    async fn directs(&mut self, sender: &mut Sender, command: Command, time: f64) -> bool {
        self.commands.push((time, Instant::now()));
        match command {
            Command::Play => arrives(sender.play(Some(time))).await,
            Command::Pause => arrives(sender.pause(Some(time))).await,
            Command::Seek => arrives(sender.seek(time)).await,
        }
    }

    fn takes(&mut self, event: Event) {
        match event {
            Event::ChatMessage(said) => {
                self.record().said(&said);
                self.settle(&said);
            }
            Event::PlaybackState(played) => {
                self.record().played(&played);
                if let Some(at) =
                    self.commands.iter().position(|(time, _)| (time - played.time).abs() < 0.001)
                {
                    // Those before it were overtaken, or lost with a connection.
                    let sent = self.commands.drain(..=at).next_back().map(|(_, sent)| sent);
                    self.record().obeyed_after.extend(sent.map(|sent| (sent, sent.elapsed())));
                }
            }
            Event::RoomParticipants(list) => self.record().listed(&list.participants),
            Event::UserJoined(person) => self.record().came(&person.user),
            Event::UserLeft(person) => self.record().went(&person.user),
            Event::Error(refusal) => {
                self.record().refused.push((Instant::now(), refusal.code.clone()));
                let Some(id) = refusal.client_id else { return };
                let pause = refusal.retry_in_ms.map_or(REFUSED, Duration::from_millis);
                let is_final = matches!(refusal.code.as_str(), "CHAT_DISABLED" | "MUTED" | "INVALID");
                if is_final {
                    self.forget(&id);
                } else if let Some(word) = self.words.iter_mut().find(|word| word.id == id) {
                    (word.sent, word.not_before) = (None, Instant::now() + pause);
                }
            }
            _ => {}
        }
    }

    /// It is stored, if it is one of ours.
    fn settle(&mut self, said: &ChatMessage) {
        if self.forget(&said.message) {
            self.record().acknowledge(&said.message);
        }
    }

    /// Need not say it again. Whether it was one of ours.
    fn forget(&mut self, id: &str) -> bool {
        let Some(at) = self.words.iter().position(|word| word.id == id) else { return false };
        self.words.remove(at);
        let mut record = self.record();
        record.unanswered = record.unanswered.saturating_sub(1);
        true
    }
}

async fn arrives(sending: impl Future<Output = Result<(), Error>>) -> bool {
    matches!(timeout(STUCK, sending).await, Ok(Ok(())))
}

fn closed(code: u16) -> CloseReason {
    CloseReason { code, reason: String::new(), retry_in_ms: None }
}
