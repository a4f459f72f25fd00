//! The task that feeds a room: what comes in, and the calls it asks for.
//!
//! It waits for four things: inputs (joiners, members, the node), news from the bus, answers to calls, and the time
//! the room asked for. It ends when the room has been idle for a while, or at once when it could not be opened. The
//! room itself never waits for a call.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use streamit_bus::Subscription;
use streamit_domain::playback::{Command, Playback};
use streamit_domain::room::Facts;
use streamit_domain::{RoomId, Timestamp, UserId, chat};
use streamit_telemetry::trace;
use streamit_wire::{Code, v1};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::effect::{Away, Draft, Effect, Input};
use super::{Opening, Room, Setup};
use crate::metrics::Place;
use crate::node::Node;
use crate::outbox::Close;

/// Inputs that may wait for one room. Senders beyond it wait.
pub const WAITING: usize = 1_024;
/// After so many inputs in a row others come to work.
const TURNS: u64 = 8;
/// How long a room without members is kept, for those who come right back.
const LINGER: Duration = Duration::from_secs(10);
/// How long after a failure its successor is told.
const AFTER_FAULT: Duration = Duration::from_secs(1);
/// When to come back if a room can't be opened now, in milliseconds.
const CLOSED_RETRY_MS: u64 = 1_500;

/// When to come back if the room has just been forgotten, in milliseconds.
const REOPEN_RETRY_MS: u64 = 100;

const MODERATE: &str = "streamit.v1.Authority/Moderate";

enum Answer {
    Input(Box<Input>),
    Subscribed(Option<Subscription>),
}

/// Whether a room that ends leaves something to see out that it was to see out itself.
enum Heir {
    None,
    Wanted,
}

type Answers = FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>;

/// Runs a room until it is not needed any more. When it fails inside, its members are told to come back; those who do not
/// are seen out by the room that is opened after it, if need be for nothing else.
pub async fn run(node: Arc<Node>, id: RoomId, inbox: mpsc::Receiver<Input>) {
    match AssertUnwindSafe(serve(node.clone(), id, inbox)).catch_unwind().await {
        Ok(Heir::None) => return,
        Ok(Heir::Wanted) => {}
        Err(_) => {
            node.metrics.fault(Place::Room);
            tracing::error!("room.id" = %id, "a room failed inside");
        }
    }
    tokio::select! {
        () = tokio::time::sleep(AFTER_FAULT) => {}
        () = node.closing.cancelled() => return, // its entries go with the node
    }
    let _ = node.deliver(id, Input::AfterFault).await;
}

async fn serve(node: Arc<Node>, id: RoomId, mut inbox: mpsc::Receiver<Input>) -> Heir {
    let mut lives = node.pauses.lives();
    let mut jumped = node.bus.jumped();
    let (mut subscription, mut room) = match open(&node, id).await {
        Ok(opened) => opened,
        Err(Away) => {
            node.rooms.retire(id, &mut inbox);
            return turn_away(&mut inbox, Code::TryAgain.close(), CLOSED_RETRY_MS);
        }
    };
    let mut answers = Answers::new();
    let mut is_subscribing = false;
    let mut is_retired = false;
    let mut heir = Heir::None;
    let mut idle_since: Option<Instant> = None;
    let mut turns: u64 = 0;
    let mut round_trip = room.round_trip();
    let mut people = 0;
    let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
    loop {
        let mut wake = node.instant(room.next_deadline());
        if let Some(since) = idle_since.filter(|_| answers.is_empty()) {
            wake = wake.min(since + LINGER);
        }
        if sleep.deadline() != wake {
            sleep.as_mut().reset(wake);
        }
        let input = tokio::select! {
            input = inbox.recv(), if !is_retired => match input {
                Some(input) => input,
                None => break, // the node is gone
            },
            notice = next(&mut subscription) => match notice {
                Some(notice) => Input::Notice(notice),
                None => { subscription = None; continue }
            },
            Some(answer) = answers.next(), if !answers.is_empty() => match answer {
                Answer::Input(input) => *input,
                Answer::Subscribed(subscribed) => {
                    is_subscribing = false;
                    let Some(subscribed) = subscribed else { continue };
                    subscription = Some(subscribed);
                    // What happened before it was not heard.
                    Input::Notice(streamit_bus::Notice::Lost)
                }
            },
            () = sleep.as_mut() => Input::Tick,
        };
        if subscription.is_none() && !is_subscribing && matches!(input, Input::Versions(Some(_), _)) {
            is_subscribing = true;
            let node = node.clone();
            answers.push(Box::pin(async move { Answer::Subscribed(node.bus.subscribe(id).await.ok()) }));
        }
        let now = node.now();
        node.look_for_pause(now.up);
        let lived = std::mem::replace(&mut lives, node.pauses.lives());
        // Before whatever waited through the pause.
        let reborn = (lived != lives).then(|| Input::Reborn(node.incarnation()));
        let before = std::mem::replace(&mut jumped, node.bus.jumped());
        let jump = (before != jumped).then(|| Input::Jumped(jumped - before));
        for input in reborn.into_iter().chain(jump).chain([input]) {
            let span = receiving(&input);
            for effect in span.in_scope(|| room.on(input, now)) {
                perform(&node, id, effect, &answers);
            }
        }
        room.sent().add_to(&node.traffic);
        node.metrics.add(&room.take_tally());
        if people != room.people() {
            people = room.people();
            node.rooms.note_people(id, people);
        }
        if round_trip != room.round_trip() {
            round_trip = room.round_trip();
            node.rooms.note_round_trip(id, round_trip);
        }
        turns += 1;
        if turns.is_multiple_of(TURNS) {
            // So that members' tasks come to write: in a burst the room would otherwise fill queues that nobody empties.
            tokio::task::yield_now().await;
        }
        if room.is_over() && !is_retired {
            // Who comes back finds the room opened anew, while this one still sees out who was in it.
            is_retired = true;
            heir = retire(&node, id, &mut inbox);
        }
        if !room.is_idle() {
            idle_since = None;
        } else if (room.is_over() || idle_since.get_or_insert_with(Instant::now).elapsed() >= LINGER)
            && answers.is_empty()
        {
            break;
        }
    }
    if !is_retired {
        heir = retire(&node, id, &mut inbox);
    }
    heir
}

/// The span of news that is traced: one for the room, not for each who hears it.
fn receiving(input: &Input) -> Span {
    match input {
        Input::Notice(streamit_bus::Notice::Event(event)) => trace::receiving("room", &event.traceparent),
        _ => Span::none(),
    }
}

/// Takes nothing more. Whoever came in this very moment comes again, and finds the room opened anew.
fn retire(node: &Node, id: RoomId, inbox: &mut mpsc::Receiver<Input>) -> Heir {
    node.rooms.retire(id, inbox);
    turn_away(inbox, streamit_wire::code::close::LOST_PLACE, REOPEN_RETRY_MS)
}

/// Sends away whoever still wants in.
fn turn_away(inbox: &mut mpsc::Receiver<Input>, code: u16, retry_in_ms: u64) -> Heir {
    let mut heir = Heir::None;
    while let Ok(input) = inbox.try_recv() {
        match input {
            Input::Join(joiner) => joiner.outbox.close(Close::retry(code, retry_in_ms)),
            Input::AfterFault => heir = Heir::Wanted,
            _ => {}
        }
    }
    heir
}

async fn next(subscription: &mut Option<Subscription>) -> Option<streamit_bus::Notice> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

/// Subscribes, then reads: whatever happens in between is heard.
async fn open(node: &Arc<Node>, id: RoomId) -> Result<(Option<Subscription>, Room), Away> {
    // Without the store people may still join; the subscription is made up for.
    let subscription = node.bus.subscribe(id).await.ok();
    let read = async {
        let _turn = node.openings.acquire().await;
        tokio::join!(read_facts(node, id, 0), read_history(node, id, 0, 0, chat::HISTORY, true))
    };
    let ((facts, history), live) = tokio::join!(read, node.bus.playback(id));
    let facts = Facts::try_from(&facts?.ok_or(Away)?).map_err(|wrong| {
        tracing::error!("room.id" = %id, %wrong, "the api told facts that can't be read");
        Away
    })?;
    let now = node.now();
    let playback = match live {
        Ok(Some(state)) => (state, true),
        _ => {
            let bytes = id.as_bytes();
            let _turn = node.openings.acquire().await;
            let saved = node
                .api
                .call(bytes, |mut client| {
                    let request = v1::LoadPlaybackRequest { room: bytes.to_vec() };
                    async move { client.load_playback(request).await }
                })
                .await?;
            let saved = saved.playback.and_then(|state| Playback::try_from(&state).ok());
            // Under no fence: whatever anybody ever stored, under an earlier one, too, is newer.
            (saved.unwrap_or_else(|| Playback::start(0, id.created_at())), false)
        }
    };
    let setup = Setup {
        room: id,
        node: node.name.as_str().into(),
        incarnation: node.incarnation(),
        limits: node.limits,
    };
    let opening = Opening { facts, history: history?, playback };
    Ok((subscription, Room::open(setup, opening, now)))
}

async fn read_facts(node: &Arc<Node>, id: RoomId, since: u64) -> Result<Option<v1::Facts>, Away> {
    let reply = node
        .api
        .call(id.as_bytes(), |mut client| {
            let rooms = vec![v1::FactsSince { room: id.as_bytes().to_vec(), version: since }];
            async move { client.facts(v1::FactsRequest { rooms }).await }
        })
        .await?;
    Ok(reply.facts.into_iter().next().filter(|facts| !facts.room.is_empty()))
}

async fn read_history(
    node: &Arc<Node>,
    id: RoomId,
    after: u64,
    before: u64,
    limit: usize,
    newest: bool,
) -> Result<v1::HistoryReply, Away> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    node.api
        .call(id.as_bytes(), |mut client| {
            let request = v1::HistoryRequest { room: id.as_bytes().to_vec(), after, before, limit, newest };
            async move { client.history(request).await }
        })
        .await
}

async fn read_erasures(
    node: &Arc<Node>,
    id: RoomId,
    after: u64,
    from: u64,
) -> Result<v1::ErasuresReply, Away> {
    node.api
        .call(id.as_bytes(), |mut client| {
            let request = v1::ErasuresRequest { room: id.as_bytes().to_vec(), after, from };
            async move { client.erasures(request).await }
        })
        .await
}

/// A command as the audit log is told of it.
fn act(
    name: uuid::Uuid,
    room: RoomId,
    user: UserId,
    command: Command,
    state: &Playback,
    now: Timestamp,
) -> v1::PlaybackAct {
    let deed = match command {
        Command::Play(_) => v1::PlaybackDeed::Play,
        Command::Pause(_) => v1::PlaybackDeed::Pause,
        Command::Seek(_) => v1::PlaybackDeed::Seek,
    };
    v1::PlaybackAct {
        id: name.as_bytes().to_vec(),
        room: room.as_bytes().to_vec(),
        user: user.as_bytes().to_vec(),
        deed: deed as i32,
        time: state.time.secs(),
        at: now.0,
        version: state.version.number,
    }
}

async fn append(node: &Arc<Node>, id: RoomId, drafts: &[Draft]) -> Result<Vec<v1::Appended>, Away> {
    let causes = drafts.iter().map(|draft| draft.cause.clone()).filter(|cause| cause.span().is_some());
    let causes = causes.collect();
    let drafts = drafts
        .iter()
        .map(|draft| v1::ChatDraft {
            room: id.as_bytes().to_vec(),
            user: draft.user.as_bytes().to_vec(),
            text: draft.text.clone(),
            // One key for all tries: a commit whose answer was lost is found again.
            key: draft.client_id.clone().unwrap_or_else(|| node.fresh_key()),
            key_is_client_id: draft.client_id.is_some(),
        })
        .collect();
    node.api.append(id.as_bytes(), drafts, causes).await
}

async fn moderate(node: &Arc<Node>, request: &v1::ModerateRequest) -> Result<Option<Code>, Away> {
    let reply = node
        .api
        .call(&request.room, |mut client| {
            let request = request.clone();
            async move { client.moderate(request).await }
        })
        .await?;
    Ok((!reply.error.is_empty()).then(|| Code::from_word(&reply.error).unwrap_or(Code::Internal)))
}

/// Carries out one effect; its answer comes back through `answers`.
fn perform(node: &Arc<Node>, id: RoomId, effect: Effect, answers: &Answers) {
    let node = node.clone();
    let input: Pin<Box<dyn Future<Output = Input> + Send>> = match effect {
        Effect::Enter(joiners, entries, seen) => Box::pin(async move {
            // The film, too: news of it may not have come here yet, while a joiner has seen it on another node.
            let (result, film) = tokio::join!(node.bus.enter(id, &entries, seen), node.bus.playback(id));
            Input::Entered(joiners, result, film.ok().flatten())
        }),
        Effect::Reenter(entries, seen) => {
            Box::pin(async move { Input::Reentered(node.bus.enter(id, &entries, seen).await) })
        }
        Effect::Leave(keys, seen) => Box::pin(async move {
            let result = node.bus.leave(id, &keys, seen).await;
            Input::Left(keys, result)
        }),
        Effect::Prune(dead, seen) => {
            Box::pin(async move { Input::Pruned(node.bus.prune(id, &dead, seen).await) })
        }
        Effect::ReadRoster(version) => {
            Box::pin(async move { Input::Roster(version, node.bus.roster(id).await) })
        }
        Effect::ReadFacts(since) => Box::pin(async move { Input::Facts(read_facts(&node, id, since).await) }),
        Effect::ReadHistory(after, before) => Box::pin(async move {
            let result = read_history(&node, id, after, before, chat::MAX_RESUME, false).await;
            Input::History(after, before, result)
        }),
        Effect::ReadErasures(after, from) => {
            Box::pin(async move { Input::Erasures(read_erasures(&node, id, after, from).await) })
        }
        Effect::Append(drafts) => Box::pin(async move {
            let result = append(&node, id, &drafts).await;
            Input::Appended(drafts, result)
        }),
        Effect::SetPlayback(expect, next, cause) => Box::pin(async move {
            let set = node.bus.set_playback(id, expect, &next).instrument(cause.sending("room"));
            let result = set.await;
            Input::PlaybackSet(next, result)
        }),
        Effect::ReadPlayback => Box::pin(async move { Input::PlaybackRead(node.bus.playback(id).await) }),
        Effect::ReportReady(words, gave_up, seen) => Box::pin(async move {
            let result = node.bus.report_ready(id, &words, gave_up, seen).await;
            Input::Reported(words, gave_up, result)
        }),
        Effect::Moderate(connection, request, cause) => Box::pin(async move {
            let call = moderate(&node, &request);
            Input::Moderated(connection, call.instrument(trace::calling(MODERATE, [&cause])).await)
        }),
        Effect::MarkGone(keys) => {
            node.last_words.spawn({
                let node = node.clone();
                async move {
                    let _ = node.bus.mark_gone(id, &keys).await; // else their node's death says it
                }
            });
            return;
        }
        Effect::SavePlayback(state) => return node.behind.save(id, state),
        Effect::NotePlayback(user, command, state) => {
            let now = node.room_time();
            return node.behind.note(act(node.fresh_v7(now), id, user, command, &state, now));
        }
        Effect::ReportHost(report) => return node.behind.report(report),
        Effect::ReportLoss(seen) => return node.behind.report_loss(seen),
        Effect::Inspected(reply_to, seen) => {
            node.background.spawn({
                let node = node.clone();
                async move {
                    let kind = Some(v1::event::Kind::Inspected(*seen));
                    let event = v1::Event { kind, ..v1::Event::default() };
                    let _ = node.bus.publish(reply_to, &event).await; // else it is seen that this node is silent
                }
            });
            return;
        }
    };
    answers.push(Box::pin(async move { Answer::Input(Box::new(input.await)) }));
}
