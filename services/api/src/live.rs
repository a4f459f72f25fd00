//! What an operator sees right now: the nodes, and into a room.
//!
//! Looking into a room asks every node that has it. The question goes out with the room's news and names a channel, as if
//! of a room that nobody has, to which the asker alone listens: so no answer costs a node that did not ask. What the
//! homes of the state say is read *before* that; a node that is in step is then never behind.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use streamit_bus::{Notice, Roster, Subscription};
use streamit_domain::playback::Version;
use streamit_domain::{Incarnation, MediaTime, Playback, RoomId, Timestamp, UserId};
use streamit_storage::rooms::{self, Versions};
use streamit_wire::{Code, v1};
use tokio::time::{Instant, timeout_at};

use crate::app::App;
use crate::http::error::{ApiError, Result, chain};
use crate::nodes::{self, Node, Order, Refused, WINDOW};

/// How many look into rooms at the same time.
pub(crate) const AT_ONCE: usize = 4;
/// How long nodes have to answer.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long is listened for nodes that have a room in which nobody is.
const QUIET: Duration = Duration::from_millis(100);
/// People of a roster that are told, those who came first.
const MOST_PEOPLE: usize = 500;
/// Nodes whose answers are taken.
const MOST_NODES: usize = 128;
/// What happened last: so much is told.
const MOST_EVENTS: usize = 200;

/// A room as it is right now.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Which.
    pub room: RoomId,
    /// Room time of all this.
    pub at: Timestamp,
    /// What the homes of the state say.
    pub homes: Homes,
    /// The film, as live state has it, else the database; `None` before anybody did anything to it.
    pub film: Option<Playback>,
    /// Where the film is at [`Self::at`].
    pub position: MediaTime,
    /// How many people are present.
    pub online: u64,
    /// Who is present, in the order in which they came: 500 of them at most.
    pub people: Vec<Person>,
    /// The nodes that have the room and answered, by name.
    pub nodes: Vec<Seen>,
    /// Those that have people in it and did not.
    pub silent: Vec<Silent>,
    /// What happened last on all these nodes, the newest first; what several saw is told once.
    pub events: Vec<Happened>,
}

/// The versions at home: database and live state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Homes {
    /// Of the facts.
    pub facts_version: u64,
    /// Of all this: grows when the database lost something.
    pub epoch: u64,
    /// The last message's number.
    pub chat_head: u64,
    /// The fence of those who may control the film.
    pub fence: u64,
    /// Of the roster; 0 when nobody is in it.
    pub roster_version: u64,
    /// Of the film.
    pub film: Option<Version>,
}

/// Somebody in the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// What they are called.
    pub name: String,
    /// Since when they are here without a break.
    pub since: Timestamp,
    /// Over how many connections.
    pub connections: usize,
    /// Whether all of these have ended, and count only until the grace is over.
    pub is_going: bool,
}

/// What one node sees of a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The node's name.
    pub node: String,
    /// Its present life.
    pub incarnation: Incarnation,
    /// The version of the facts that it knows.
    pub facts_version: u64,
    /// The epoch that it knows.
    pub epoch: u64,
    /// The last message that it has shown.
    pub chat_head: u64,
    /// The version of the roster that it knows.
    pub roster_version: u64,
    /// The version of the film that it shows.
    pub film: Option<Version>,
    /// How far it is behind the homes.
    pub lag: Lag,
    /// How many connections it has in the room.
    pub connections: u64,
    /// These, the worst off first: 500 of them at most.
    pub members: Vec<Member>,
}

/// How far a node's knowledge of a room is behind. All zero or `false` for one that is in step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Changes of the facts that it has not heard of.
    pub facts: u64,
    /// Messages that it has not shown.
    pub chat: u64,
    /// Whether the roster has changed since.
    pub roster: bool,
    /// Whether the film is another one by now.
    pub film: bool,
    /// Whether it is in an epoch that is over.
    pub epoch: bool,
}

impl Lag {
    /// Whether the node is in step.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// At the door, or on its way into the roster.
    Joining,
    /// Reads what it is given to catch up.
    CatchingUp,
    /// Gets what happens as it happens.
    Live,
}

/// One connection, as its node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whose.
    pub user: UserId,
    /// What they are called in this room.
    pub name: String,
    /// Its number on the node.
    pub connection: u64,
    /// When it came in; `None` while it is joining.
    pub since: Option<Timestamp>,
    /// The facts version at which it was admitted.
    pub admitted: u64,
    /// How far it has come.
    pub stage: Stage,
    /// How long a ping took; `None` before the first answer.
    pub round_trip: Option<Duration>,
    /// How far its player was ahead of the film when it last told its position, in milliseconds; `None` if it never did.
    pub drift_ms: Option<i64>,
    /// Frames that wait to be written to it.
    pub frames: u32,
    /// Bytes of these.
    pub bytes: u64,
    /// Messages that the node has shown and this connection has not been given yet.
    pub chat_lag: u64,
}

/// A node that has people in the room, and did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Its life.
    pub incarnation: Incarnation,
    /// Its name; `None` when it does not live any more, or tells none.
    pub name: Option<String>,
}

/// Something that happened in the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When, in room time.
    pub at: Timestamp,
    /// What: a word in lower case, such as `joined` or `paused`.
    pub kind: String,
    /// The version, seq or number of a connection that belongs to it; 0 when none does.
    pub number: u64,
    /// Whom it is about.
    pub user: Option<UserId>,
    /// On which node it was seen first.
    pub node: String,
}

/// Every node that lives, by name.
pub(crate) async fn nodes(app: &App) -> Result<Vec<Node>> {
    nodes::list(&*app.rooms).await.map_err(|error| ApiError::because(Code::TryAgain, error))
}

/// Has a node put so many of a hundred connections out within `window`. Returns as soon as it is told.
pub(crate) async fn shed(app: &App, node: &str, percent: u32, window: Duration) -> Result<()> {
    tell(app, node, Order::Shed(percent, window)).await
}

/// Has a node put everybody out and take nobody until it is told to resume. Returns as soon as it is told; its status
/// shows the effect at once, and that it is empty after some 20 s.
pub(crate) async fn drain(app: &App, node: &str) -> Result<()> {
    tell(app, node, Order::Drain(WINDOW)).await
}

/// Has a node that was drained take people again.
pub(crate) async fn resume(app: &App, node: &str) -> Result<()> {
    tell(app, node, Order::Resume).await
}

async fn tell(app: &App, node: &str, order: Order) -> Result<()> {
    let heard = nodes::tell(&*app.rooms, &*app.entropy, node, order).await?;
    tracing::info!(node.name = node, ?order, heard, "told a node what an operator asks of it");
    Ok(())
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown(..) => Self::new(Code::NotFound, refused.to_string()),
            Refused::Alone => Self::new(Code::Conflict, refused.to_string()),
            Refused::Away(error) => Self::because(Code::TryAgain, error),
        }
    }
}

/// Looks into a room. Takes 700 ms at most when a node is silent, else as long as the slowest one.
pub(crate) async fn inspect(app: &App, room: RoomId) -> Result<Inspection> {
    let _turn = app.inspections.try_acquire().map_err(|_| ApiError::from(Code::TryAgain))?;
    let away = |error| ApiError::because(Code::TryAgain, error);
    let reply_to = RoomId(app.entropy.uuid_v4());
    let mut answers = app.rooms.subscribe(reply_to).await.map_err(away)?;

    let mut read = app.store.read().await?;
    let versions = rooms::versions(&mut read, &[room]).await?.into_iter().next();
    let versions = versions.ok_or(Code::RoomNotFound)?;
    let saved = rooms::load_playback(&mut read, room).await?;
    drop(read);
    let (roster, film) = tokio::join!(app.rooms.roster(room), app.rooms.playback(room));
    let (roster, film) = (roster.map_err(away)?, film.map_err(away)?.or(saved));
    let homes = homes(&versions, &roster, film);

    let wanted = v1::Inspect { reply_to: reply_to.as_bytes().to_vec() };
    let event = v1::Event { kind: Some(v1::event::Kind::Inspect(wanted)), ..v1::Event::default() };
    app.rooms.publish(room, &event).await.map_err(away)?;
    let present = roster.entries.iter().filter(|(_, entry)| entry.gone_at.is_none());
    let expected: BTreeSet<Incarnation> = present.map(|(key, _)| key.incarnation).collect();
    let told = gather(&mut answers, &expected).await;

    let at = app.now();
    let silent: Vec<Incarnation> = expected.into_iter().filter(|node| !told.contains_key(node)).collect();
    let mut nodes: Vec<Seen> = told.iter().map(|(life, told)| seen(*life, told, &homes)).collect();
    nodes.sort_by(|one, other| (&one.node, one.incarnation).cmp(&(&other.node, other.incarnation)));
    Ok(Inspection {
        room,
        at,
        homes,
        film,
        position: film.map_or(MediaTime::ZERO, |film| film.position(at)),
        online: roster.users.len() as u64,
        people: people(&roster),
        nodes,
        silent: name_silent(app, silent).await,
        events: events(&told),
    })
}

fn homes(versions: &Versions, roster: &Roster, film: Option<Playback>) -> Homes {
    Homes {
        facts_version: versions.facts_version,
        epoch: versions.epoch,
        chat_head: versions.chat_head,
        fence: versions.fence,
        roster_version: roster.version,
        film: film.map(|film| film.version),
    }
}

/// Takes answers until all who are expected have given theirs, or the time is over.
async fn gather(
    answers: &mut Subscription,
    expected: &BTreeSet<Incarnation>,
) -> BTreeMap<Incarnation, v1::Inspected> {
    let deadline = Instant::now() + if expected.is_empty() { QUIET } else { PATIENCE };
    let mut told = BTreeMap::new();
    while told.len() < MOST_NODES
        && let Ok(Some(notice)) = timeout_at(deadline, answers.next()).await
    {
        let Notice::Event(event) = notice else { continue };
        let event = Arc::unwrap_or_clone(event);
        if let Some(v1::event::Kind::Inspected(answer)) = event.kind
            && let Ok(node) = Incarnation::from_slice(&answer.incarnation)
        {
            told.insert(node, answer);
        }
        if !expected.is_empty() && expected.iter().all(|node| told.contains_key(node)) {
            break;
        }
    }
    told
}

fn people(roster: &Roster) -> Vec<Person> {
    let mut connections: BTreeMap<UserId, (usize, bool)> = BTreeMap::new();
    for entry in roster.entries.values() {
        let (count, is_going) = connections.entry(entry.user).or_insert((0, true));
        *count += 1;
        *is_going &= entry.gone_at.is_some();
    }
    let person = |(user, present): (&UserId, &streamit_bus::Present)| {
        let (connections, is_going) = connections.get(user).copied().unwrap_or_default();
        let name = present.name.clone();
        Person { user: *user, name, since: present.since, connections, is_going }
    };
    let mut people: Vec<Person> = roster.users.iter().map(person).collect();
    people.sort_by_key(|person| (person.since, person.user));
    people.truncate(MOST_PEOPLE);
    people
}

fn seen(incarnation: Incarnation, told: &v1::Inspected, homes: &Homes) -> Seen {
    let film = told.playback.as_ref();
    let film = film.map(|film| Version { fence: film.fence, number: film.version });
    let lag = Lag {
        facts: homes.facts_version.saturating_sub(told.facts_version),
        chat: homes.chat_head.saturating_sub(told.chat_head),
        roster: told.roster_version < homes.roster_version,
        film: film < homes.film,
        epoch: told.epoch < homes.epoch,
    };
    Seen {
        node: told.node.clone(),
        incarnation,
        facts_version: told.facts_version,
        epoch: told.epoch,
        chat_head: told.chat_head,
        roster_version: told.roster_version,
        film,
        lag,
        connections: told.connections,
        members: told.members.iter().filter_map(member).collect(),
    }
}

/// Nothing for somebody who can't be read: a newer release's.
fn member(told: &v1::InspectedMember) -> Option<Member> {
    Some(Member {
        user: UserId::from_slice(&told.user).ok()?,
        name: told.name.clone(),
        connection: told.connection,
        since: (told.since != 0).then_some(Timestamp(told.since)),
        admitted: told.admitted,
        stage: match v1::Stage::try_from(told.stage).ok()? {
            v1::Stage::Joining => Stage::Joining,
            v1::Stage::CatchingUp => Stage::CatchingUp,
            v1::Stage::Live => Stage::Live,
        },
        round_trip: told.round_trip_us.map(Duration::from_micros),
        drift_ms: told.drift_ms,
        frames: told.frames,
        bytes: told.bytes,
        chat_lag: told.chat_lag,
    })
}

fn events(told: &BTreeMap<Incarnation, v1::Inspected>) -> Vec<Happened> {
    let of = |told: &v1::Inspected| -> Vec<Happened> {
        let happened = |event: &v1::RoomEvent| Happened {
            at: Timestamp(event.at),
            kind: event.kind.clone(),
            number: event.number,
            user: UserId::from_slice(&event.user).ok(),
            node: told.node.clone(),
        };
        told.events.iter().map(happened).collect()
    };
    let mut all: Vec<Happened> = told.values().flat_map(of).collect();
    all.sort_by_key(|happened| happened.at);
    let mut known = HashSet::new();
    all.retain(|happened| {
        // What has a version of the room is the same thing wherever it is seen; a connection is one node's own.
        let is_shared =
            !matches!(happened.kind.as_str(), "opened" | "cut" | "sent_away" | "recovering" | "reborn");
        let node = if is_shared { String::new() } else { happened.node.clone() };
        known.insert((happened.kind.clone(), happened.number, happened.user, node))
    });
    all.reverse();
    all.truncate(MOST_EVENTS);
    all
}

async fn name_silent(app: &App, silent: Vec<Incarnation>) -> Vec<Silent> {
    if silent.is_empty() {
        return Vec::new();
    }
    let living = nodes::list(&*app.rooms).await.unwrap_or_else(|error| {
        tracing::debug!(error = chain(&error), "the names of silent nodes can't be told");
        Vec::new()
    });
    let name = |life: Incarnation| {
        let node = living.iter().find(|node| node.incarnation == life && !node.name.is_empty());
        node.map(|node| node.name.clone())
    };
    silent.into_iter().map(|life| Silent { incarnation: life, name: name(life) }).collect()
}

/// All this for who holds an api and is no part of it.
#[derive(Clone)]
pub struct Live(App);

impl Live {
    pub(crate) fn of(app: &App) -> Self {
        Self(app.clone())
    }

    /// Every node that lives, by name.
    ///
    /// # Errors
    /// `TRY_AGAIN` when live state can't be reached.
    pub async fn nodes(&self) -> Result<Vec<Node>, Code> {
        nodes(&self.0).await.map_err(|error| error.code())
    }

    /// Looks into a room.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`; `TRY_AGAIN` when too many look already, or something needed is away.
    pub async fn inspect(&self, room: RoomId) -> Result<Inspection, Code> {
        inspect(&self.0, room).await.map_err(|error| error.code())
    }

    /// Has a node put so many of a hundred connections out within `window`.
    ///
    /// # Errors
    /// `NOT_FOUND` when no node is called so, `CONFLICT` when its people would have nowhere to go, `TRY_AGAIN` when live
    /// state can't be reached.
    pub async fn shed(&self, node: &str, percent: u32, window: Duration) -> Result<(), Code> {
        shed(&self.0, node, percent, window).await.map_err(|error| error.code())
    }

    /// Has a node put everybody out and take nobody until it is told to resume.
    ///
    /// # Errors
    /// As [`Self::shed`].
    pub async fn drain(&self, node: &str) -> Result<(), Code> {
        drain(&self.0, node).await.map_err(|error| error.code())
    }

    /// Has a node that was drained take people again.
    ///
    /// # Errors
    /// As [`Self::shed`], except that nobody need be there besides.
    pub async fn resume(&self, node: &str) -> Result<(), Code> {
        resume(&self.0, node).await.map_err(|error| error.code())
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}
