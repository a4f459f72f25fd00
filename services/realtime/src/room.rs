//! A live room on this node: who is here, what was said last, where the film stands.
//!
//! [`Room`] is a value. [`Room::on`] takes one [`Input`] at one moment, changes the room, puts frames into the
//! members' outboxes and says by [`Effect`]s what it needs from the world. It never waits and reads no clock.
//! [`shell`] is the task that feeds it.
//!
//! | what | where |
//! |---|---|
//! | joining: doorstep, roster, the three frames, catching up | `join` |
//! | who comes and goes, host away and back | `presence` |
//! | a roster that was lost, a node that was paused | `recovery` |
//! | chat, moderation by members | `commands` |
//! | messages that were taken back | `erasures` |
//! | whose players are ready, holding the film | `readiness` |
//! | playback: commands, what is shown, putting it back | `playback` |
//! | facts, versions, what the bus tells | `news` |
//! | what operators see | `inspect`, `happened` |
//! | what is counted | `tally` |

mod commands;
pub mod effect;
mod erasures;
mod happened;
mod inspect;
pub(crate) mod join;
mod loss;
mod members;
mod news;
mod playback;
mod presence;
mod readiness;
mod recovery;
pub mod shell;
pub mod tail;
pub mod tally;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use streamit_bus::{Entry, EntryKey, Present};
use streamit_domain::rate::{ChatPacer, Gcra, Rate};
use streamit_domain::room::Facts;
use streamit_domain::{ConnectionId, Incarnation, Playback, RoomId, UserId};
use streamit_wire::frame::server;
use streamit_wire::{Code, v1};

use crate::outbox::Kind;
use crate::ws;
use effect::{Draft, Effect, Input, Joiner, Now};
use members::Members;
use tail::Tail;

/// Chat of one room: 100 a second in bursts of 200.
const ROOM_CHAT: Rate = Rate::per_second(100, 200);
/// Playback commands of one user: 10 a second.
const COMMANDS: Rate = Rate::per_second(10, 10);
/// Commands that may wait while one is being stored.
const MAX_COMMANDS: usize = 64;
/// How long to wait for a missing message before asking for it, in milliseconds.
const GAP_MS: u64 = 30;
/// How long a lost connection stays in the roster, in milliseconds.
pub const GRACE_MS: u64 = 3_000;
/// How often the server pings, in milliseconds.
const PING_MS: u64 = 25_000;
/// After how much silence a connection is given up, in milliseconds.
const SILENT_MS: u64 = 60_000;
/// How long a member may take nothing of what it is given to catch up, in milliseconds.
const STUCK_MS: u64 = 20_000;
/// Bytes of several frames that go to everybody in one piece; of more, the list is told instead.
const MAX_PIECE: usize = 32 * 1024;
/// How often heartbeats are looked at, in milliseconds.
const HEARTBEAT_MS: u64 = 5_000;
/// The same when somebody will have been silent for too long before that.
const HEARTBEAT_SOON_MS: u64 = 1_000;
/// For how long the pace of a user is remembered, in milliseconds. Longer than any pause.
const TEMPO_MS: u64 = 30_000;
/// Lives of this node that a room remembers. What earlier ones left, others take out.
const MAX_LIVES: usize = 8;
/// How often a count may be told, in milliseconds.
const COUNT_MS: u64 = 1_000;

/// How a room is set up, apart from what it learns.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which room.
    pub room: RoomId,
    /// What this node is called.
    pub node: Arc<str>,
    /// This node's life.
    pub incarnation: Incarnation,
    /// Whether rates, budgets and caps hold (`STREAMIT_LIMITS`).
    pub limits: bool,
}

/// What a room knows when it opens, read after it subscribed to its news.
#[derive(Debug)]
pub struct Opening {
    /// The facts.
    pub facts: Facts,
    /// The last messages.
    pub history: v1::HistoryReply,
    /// Where the film stands, and whether the shared store says so (else the database, or nobody yet).
    pub playback: (Playback, bool),
}

/// How fast one user goes. Outlives the connection, or a reconnect would be a way around the pause.
#[derive(Debug, Default)]
struct Tempo {
    chat: ChatPacer,
    commands: Gcra,
    /// Uptime of the last use.
    used: u64,
}

/// A live room. See the module's words.
#[derive(Debug)]
pub struct Room {
    setup: Setup,
    facts: Facts,
    tail: Tail,
    playback: Playback,
    /// Whether the shared store holds `playback` (or a later one).
    is_stored: bool,
    /// `playback` was made by a clock that has jumped, when this node did not know that yet.
    is_film_ahead: bool,
    roster_version: u64,
    users: BTreeMap<UserId, Present>,
    members: Members,
    /// The lowest number of a connection that ever came here.
    first: Option<ConnectionId>,
    /// A room that was here before failed, and sees nobody out.
    is_heir: bool,
    /// What it left has not been looked at yet.
    must_inherit: bool,
    tempo: HashMap<UserId, Tempo>,
    room_chat: Gcra,
    is_host_away: bool,
    /// What is known here was lost at home, or never belonged together: the room ends as soon as everybody is out.
    is_over: bool,

    /// Admitted at a facts version that is not here yet, or waiting for older chat.
    doorstep: Vec<Joiner>,
    /// To be entered with the next call; while one is under way, they wait together.
    entering_next: Vec<Joiner>,
    /// Connections of the call under way, and whether they ended meanwhile.
    entering: HashMap<ConnectionId, Option<effect::Gone>>,
    is_entering: bool,
    /// Entries to remove, with the uptime at which that is due.
    leaving: Vec<(u64, EntryKey)>,
    is_leaving: bool,
    is_pruning: bool,
    /// Something in the roster is to be put back or looked at.
    is_reading_roster: bool,
    must_read_roster: bool,
    /// Somebody has come in while the roster was read.
    is_roster_overtaken: bool,
    is_reentering: bool,
    must_reenter: bool,
    /// The roster can't be relied on now.
    recovery: Option<recovery::Recovery>,
    /// The node's lives before this one, in which entries may be left.
    former: Vec<Incarnation>,

    drafts: Vec<Draft>,
    is_appending: bool,
    /// What of the append under way has a client id: sent again meanwhile, it is answered by the first.
    appending: Vec<(UserId, String)>,
    /// The last message that was shown when it began: its senders were there for all that came after.
    appending_from: u64,
    /// The highest fence that the shared store has told of.
    fence_told: u64,
    /// A message that was shown here and is lost, since another one has its number now: the number, and when it was
    /// stored.
    overwritten: Option<(u64, i64)>,
    commands: VecDeque<playback::Pending>,
    /// The command being stored.
    command: Option<playback::Pending>,
    is_reading_playback: bool,
    must_read_playback: bool,
    /// The node was paused: no command is judged before the facts, and the film, were read again.
    must_confirm_facts: bool,
    must_confirm_playback: bool,
    is_reading_facts: bool,
    must_read_facts: bool,
    is_reading_history: bool,
    must_read_history: bool,
    is_reading_erasures: bool,
    gap_due: Option<u64>,
    is_count_due: bool,
    count_told: u64,
    heartbeat_due: u64,
    /// How long round trips to the members here take, as of the last heartbeat.
    round_trip: Option<Duration>,
    /// The longest of all nodes, as of the last comparison with the store.
    longest_round_trip: Option<Duration>,
    list_due: bool,
    watch: readiness::Watch,

    log: happened::Log,
    inspections: Gcra,
    tally: tally::Tally,

    effects: Vec<Effect>,
}

impl Room {
    /// A room that has just been read.
    #[must_use]
    pub fn open(setup: Setup, opening: Opening, now: Now) -> Self {
        let is_host_away = opening.facts.host_deadline.is_some();
        // An epoch began between the two answers: news of neither would ever fit. It is read once more.
        let is_over = opening.history.epoch != opening.facts.epoch;
        let mut log = happened::Log::default();
        log.at(now.room);
        log.note(happened::What::Opened, opening.facts.version, None);
        Self {
            setup,
            facts: opening.facts,
            tail: Tail::new(opening.history),
            playback: opening.playback.0,
            is_stored: opening.playback.1,
            is_film_ahead: playback::is_ahead(&opening.playback.0, now),
            roster_version: 0,
            users: BTreeMap::new(),
            members: Members::default(),
            first: None,
            is_heir: false,
            must_inherit: false,
            tempo: HashMap::new(),
            room_chat: Gcra::default(),
            is_host_away,
            is_over,
            doorstep: Vec::new(),
            entering_next: Vec::new(),
            entering: HashMap::new(),
            is_entering: false,
            leaving: Vec::new(),
            is_leaving: false,
            is_pruning: false,
            is_reading_roster: false,
            must_read_roster: false,
            is_roster_overtaken: false,
            is_reentering: false,
            must_reenter: false,
            recovery: None,
            former: Vec::new(),
            drafts: Vec::new(),
            is_appending: false,
            appending: Vec::new(),
            appending_from: 0,
            fence_told: 0,
            overwritten: None,
            commands: VecDeque::new(),
            command: None,
            is_reading_playback: false,
            must_read_playback: false,
            must_confirm_facts: false,
            must_confirm_playback: false,
            is_reading_facts: false,
            must_read_facts: false,
            is_reading_history: false,
            must_read_history: false,
            is_reading_erasures: false,
            gap_due: None,
            is_count_due: false,
            count_told: 0,
            heartbeat_due: now.up + HEARTBEAT_MS,
            round_trip: None,
            longest_round_trip: None,
            list_due: false,
            watch: readiness::Watch::open(&opening.playback.0, now),
            log,
            inspections: Gcra::default(),
            tally: tally::Tally::default(),
            effects: Vec::new(),
        }
    }

    /// Takes one input and returns what the room needs done.
    pub fn on(&mut self, input: Input, now: Now) -> Vec<Effect> {
        if self.is_over && !Self::is_for_the_end(&input) {
            // Those whom it sees out can be taken from the roster once nothing puts them back.
            self.is_reentering &= !matches!(input, Input::Reentered(_));
            return Vec::new();
        }
        self.log.at(now.room);
        self.members.tell_since(since(&input, now));
        match input {
            Input::Join(joiner) => self.on_join(joiner),
            Input::Entered(joiners, result, film) => self.on_entered(joiners, result, film, now),
            Input::Flushed(connection) => self.on_flushed(connection, now),
            Input::Frame(connection, frame, cause) => self.on_frame(connection, frame, cause, now),
            Input::Gone(connection, how) => self.on_gone(connection, how, now),
            Input::Left(keys, result) => self.on_left(keys, result, now),
            Input::Reentered(result) => self.on_reentered(result, now),
            Input::Pruned(result) => self.on_pruned(result, now),
            Input::Roster(asked_at, result) => self.on_roster(asked_at, result, now),
            Input::AfterFault => self.inherit(),
            Input::Reborn(incarnation) => self.on_reborn(incarnation, now),
            Input::Jumped(jump) => self.on_jumped(jump, now),
            Input::Notice(notice) => self.on_notice(notice, now),
            Input::Versions(live, home) => self.on_versions(live, home.as_ref(), now),
            Input::Dead(incarnations) => self.on_dead(incarnations),
            Input::Facts(result) => self.on_facts(result, now),
            Input::History(after, before, result) => self.on_history(after, before, result, now),
            Input::Erasures(result) => self.on_erasures(result, now),
            Input::Appended(drafts, result) => self.on_appended(drafts, result, now),
            Input::PlaybackSet(next, result) => self.on_playback_set(next, result, now),
            Input::PlaybackRead(result) => self.on_playback_read(result, now),
            Input::Reported(words, gave_up, result) => self.on_reported(&words, gave_up, result, now),
            Input::Moderated(connection, result) => self.on_moderated(connection, result),
            Input::Tick => {}
        }
        self.on_time(now);
        std::mem::take(&mut self.effects)
    }

    /// The uptime at which [`Input::Tick`] is wanted.
    #[must_use]
    pub fn next_deadline(&self) -> u64 {
        let leave = self.leaving.iter().map(|(due, _)| *due).min();
        let leave = leave.filter(|_| !self.is_leaving && !self.is_reentering);
        let count = self.is_count_due.then_some(self.count_told + COUNT_MS);
        [leave, self.gap_due, count, self.recovery_due(), self.watch_due()]
            .into_iter()
            .flatten()
            .fold(self.heartbeat_due, u64::min)
    }

    /// Whether nothing is left to do here, so that the room may be forgotten by this node.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.members.is_empty()
            && self.doorstep.is_empty()
            && self.entering_next.is_empty()
            && !self.is_entering
            && self.leaving.is_empty()
            && !self.is_leaving
            && !self.is_appending
            && self.command.is_none()
            && (!self.must_inherit || self.is_over)
    }

    /// How long 95 of 100 round trips to the members on this node take at most, for the other nodes to know.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// How many people are connected here, each counted once.
    #[must_use]
    pub fn people(&self) -> usize {
        self.members.people()
    }

    /// Whether the room must not be kept for those who come right back.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    fn on_time(&mut self, now: Now) {
        if self.gap_due.is_some_and(|due| due <= now.up) {
            self.gap_due = None;
            self.ask_for_gap();
        }
        self.leave_due(now);
        self.end_recovery(now);
        if self.is_count_due && self.count_told + COUNT_MS <= now.up {
            self.tell_count(now);
        }
        self.watch_time(now);
        if self.heartbeat_due <= now.up {
            self.heartbeat_due = self.members.heartbeat(now.up);
            self.round_trip = self.members.round_trip();
            if self.members.all_live() {
                self.tail.trim();
            }
            self.tempo.retain(|_, tempo| now.up.saturating_sub(tempo.used) < TEMPO_MS);
            if std::mem::take(&mut self.list_due) {
                self.tell_participants();
            }
        }
    }

    fn key(&self, connection: ConnectionId) -> EntryKey {
        EntryKey { incarnation: self.setup.incarnation, connection }
    }

    fn entry(&self, joiner: &Joiner) -> Entry {
        Entry { key: self.key(joiner.connection), user: joiner.user, name: joiner.name.to_string() }
    }

    fn online(&self) -> u64 {
        self.users.len() as u64
    }

    /// Sends one frame to every member, encoded once.
    fn tell(&self, frame: &server::Frame<'_>) {
        self.members.tell(&ws::text(&frame.to_json()), Kind::Other);
    }

    /// Sends several frames to every member in one piece: a crowd that comes at once fills nobody's queue.
    fn tell_all(&self, frames: Vec<String>) {
        let mut all = BytesMut::new();
        for frame in frames {
            all.extend_from_slice(&ws::text(&frame));
        }
        if all.len() > MAX_PIECE {
            self.tell_participants(); // which is outside of everybody's budget
        } else if !all.is_empty() {
            self.members.tell(&all.freeze(), Kind::Other);
        }
    }

    fn tell_one(&self, connection: ConnectionId, frame: &server::Frame<'_>) {
        if let Some(member) = self.members.get(connection) {
            let frame = ws::text(&frame.to_json());
            self.members.sent().note(&frame, 1);
            member.outbox.push(frame, Kind::Other);
        }
    }

    fn refuse(&self, connection: ConnectionId, code: Code, client_id: Option<&str>) {
        self.tell_one(connection, &server::Frame::error(code, client_id));
    }

    fn playback_frame(&self, now: Now) -> Bytes {
        let state = self.playback.anchored(now.room);
        ws::text(&server::Frame::PlaybackState((&state).into()).to_json())
    }
}

/// When what this input brings was told to all nodes, in milliseconds of uptime: now, unless it says another moment. Never 0,
/// which would be no moment.
fn since(input: &Input, now: Now) -> u32 {
    let ago = match input {
        Input::Notice(streamit_bus::Notice::Event(event)) if event.published_at > 0 => {
            u64::try_from(now.room.0.saturating_sub(event.published_at)).unwrap_or(0)
        }
        _ => 0,
    };
    // The lower bits: whoever compares does so around the wrap, too.
    (now.up.saturating_sub(ago) as u32).max(1)
}
