//! Storing chat: group commit. Calls put their drafts into a queue; a worker takes all that wait, stores them in
//! one transaction, and answers each call. While it stores, the next group gathers.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use futures_util::StreamExt;
use streamit_domain::{RoomId, Timestamp, UserId, chat as rules};
use streamit_storage::Error;
use streamit_storage::chat::{self, Append, Draft, Outcome, Refusal};
use streamit_telemetry::trace::{self, Cause};
use streamit_wire::{Code, v1};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::{by_room, word};
use crate::announce;
use crate::app::App;
use crate::convert;
use crate::http::error::{ApiError, chain};
use crate::rooms::ended_code;

/// Queues, each with its own worker; a room always goes to the same one, so that its numbers are given out without
/// waiting for another worker of this process.
const QUEUES: usize = 4;
/// Calls that may wait in one queue.
const WAITING: usize = 512;
/// The most drafts in one transaction.
const GROUP: usize = 512;
/// Groups that may wait to be told of. What does not fit is found out by the nodes themselves.
const UNTOLD: usize = 64;
/// How long storing a group may take. A connection on which no answer comes would else hold up all that waits behind it.
const STORING: Duration = Duration::from_secs(1);
/// For how long a message that is sent again is told again.
const LATELY: Duration = Duration::from_secs(60);
/// How many rooms are told at once.
const TOLD_AT_ONCE: usize = 32;

/// The way to the workers. They end when the last handle is gone and everything is stored.
#[derive(Clone)]
pub(crate) struct Appender {
    app: App,
    queues: Vec<mpsc::Sender<Job>>,
}

/// One call's drafts for one queue, and where the answers go.
#[derive(Debug)]
struct Job {
    drafts: Vec<Draft>,
    answer: oneshot::Sender<Vec<Result<Append, Code>>>,
    cause: Cause,
}

/// What is to be told of a room, and the context that brought it about: the call itself is answered by then.
type News = (RoomId, v1::Chat, String);

impl Appender {
    /// Starts the workers. Needs a runtime.
    pub(crate) fn start(app: &App) -> Self {
        let queue = |_| {
            let (queue, jobs) = mpsc::channel(WAITING);
            let (told, news) = mpsc::channel(UNTOLD);
            tokio::spawn(work(app.clone(), jobs, told));
            tokio::spawn(tell(app.clone(), news));
            queue
        };
        Self { app: app.clone(), queues: (0..QUEUES).map(queue).collect() }
    }

    /// Stores drafts and answers each, in order.
    ///
    /// # Errors
    /// When none could be stored now: another replica may be able to.
    pub(super) async fn append(&self, drafts: Vec<v1::ChatDraft>) -> Result<Vec<v1::Appended>, Code> {
        let mut results: Vec<Result<Append, Code>> = Vec::new();
        results.resize_with(drafts.len(), || Err(Code::TryAgain));
        let mut queued: BTreeMap<usize, (Vec<usize>, Vec<Draft>)> = BTreeMap::new();
        for (place, draft) in drafts.into_iter().enumerate() {
            match read(draft) {
                Ok(draft) => {
                    let (places, drafts) = queued.entry(self.queue(draft.room)).or_default();
                    places.push(place);
                    drafts.push(draft);
                }
                Err(code) => results[place] = Err(code),
            }
        }
        let mut waiting = Vec::with_capacity(queued.len());
        for (queue, (places, drafts)) in queued {
            let (answer, answered) = oneshot::channel();
            // A full queue is an answer too: the caller tries again, here or elsewhere.
            let job = Job { drafts, answer, cause: Cause::of(Span::current()) };
            if self.queues[queue].try_send(job).is_ok() {
                waiting.push((places, answered));
            }
        }
        for (places, answered) in waiting {
            for (place, result) in places.into_iter().zip(answered.await.unwrap_or_default()) {
                results[place] = result;
            }
        }
        if !results.is_empty() && results.iter().all(|result| matches!(result, Err(Code::TryAgain))) {
            return Err(Code::TryAgain);
        }
        let now = self.app.now();
        Ok(results.into_iter().map(|result| view(result, now)).collect())
    }

    fn queue(&self, room: RoomId) -> usize {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        usize::try_from(hasher.finish() % self.queues.len() as u64).unwrap_or(0)
    }
}

fn read(draft: v1::ChatDraft) -> Result<Draft, Code> {
    let text = rules::text(&draft.text).map_err(|_| Code::Invalid)?;
    if draft.key.is_empty() || draft.key.chars().count() > rules::MAX_CLIENT_ID || draft.key.contains('\0') {
        return Err(Code::Invalid);
    }
    Ok(Draft {
        room: RoomId::from_slice(&draft.room).map_err(|_| Code::Invalid)?,
        user: UserId::from_slice(&draft.user).map_err(|_| Code::Invalid)?,
        text: text.to_owned(),
        key: draft.key,
        key_is_client_id: draft.key_is_client_id,
    })
}

fn view(result: Result<Append, Code>, now: Timestamp) -> v1::Appended {
    let refused = |code, epoch| v1::Appended { error: word(code), epoch, ..Default::default() };
    match result {
        Err(code) => refused(code, 0),
        Ok(Append { outcome, epoch }) => match outcome {
            Outcome::Stored(message) => {
                v1::Appended { message: Some(convert::message(&message)), epoch, ..Default::default() }
            }
            Outcome::Repeated(message) => v1::Appended {
                message: Some(convert::message(&message)),
                repeated_key: true,
                epoch,
                ..Default::default()
            },
            Outcome::Refused(Refusal::SlowMode(until)) => {
                let wait = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0);
                v1::Appended { retry_in_ms: wait.max(1), ..refused(Code::SlowMode, epoch) }
            }
            Outcome::Refused(refusal) => refused(
                match refusal {
                    Refusal::NoRoom => Code::RoomNotFound,
                    Refusal::RoomEnded(life) => ended_code(life),
                    Refusal::NotApproved => Code::NotApproved,
                    Refusal::ChatDisabled => Code::ChatDisabled,
                    Refusal::Muted(_) => Code::Muted,
                    Refusal::ChatLocked => Code::ChatLocked,
                    Refusal::SlowMode(_) => Code::SlowMode,
                    Refusal::Blocked => Code::WordBlocked,
                },
                epoch,
            ),
        },
    }
}

/// Takes all that wait, stores it, answers.
async fn work(app: App, mut jobs: mpsc::Receiver<Job>, told: mpsc::Sender<Vec<News>>) {
    while let Some(first) = jobs.recv().await {
        let mut group = vec![first];
        let mut size = group[0].drafts.len();
        while size < GROUP {
            let Ok(job) = jobs.try_recv() else { break };
            size += job.drafts.len();
            group.push(job);
        }
        // Who has given up asking asks again with the same key, maybe elsewhere: nobody waits for that to be done twice.
        group.retain(|job| !job.answer.is_closed());
        if group.is_empty() {
            continue;
        }
        let causes: Vec<Cause> = group.iter().map(|job| job.cause.clone()).collect();
        let (drafts, answers): (Vec<Vec<Draft>>, Vec<_>) =
            group.into_iter().map(|job| (job.drafts, job.answer)).unzip();
        let counts: Vec<usize> = drafts.iter().map(Vec::len).collect();
        let drafts = drafts.concat();
        let results = store(&app, &drafts).instrument(trace::working("append", &causes)).await;

        // The call that a draft came with, for each draft.
        let causes: Vec<&Cause> = causes
            .iter()
            .zip(&counts)
            .flat_map(|(cause, count)| std::iter::repeat_n(cause, *count))
            .collect();
        let news = news(&drafts, &results, &causes, app.now());
        if !news.is_empty() && told.try_send(news).is_err() {
            tracing::debug!("nodes will find out by themselves what was said");
        }
        let mut results = results.into_iter();
        for (answer, count) in answers.into_iter().zip(counts) {
            let _ = answer.send(results.by_ref().take(count).collect());
        }
    }
}

/// Stores drafts, or says that they can't be stored now. It is not known then whether they were; the key tells, when
/// they come again.
async fn store(app: &App, drafts: &[Draft]) -> Vec<Result<Append, Code>> {
    if let Ok(results) = timeout(STORING, store_all(app, drafts)).await {
        return results;
    }
    tracing::warn!(drafts = drafts.len(), "chat takes too long to store");
    drafts.iter().map(|_| Err(Code::TryAgain)).collect()
}

/// Stores drafts in one transaction. If that fails, each room's alone, then each alone, so that one that can't be
/// stored takes no other with it. The order of a room's drafts stays.
async fn store_all(app: &App, drafts: &[Draft]) -> Vec<Result<Append, Code>> {
    let whole = attempt(app, drafts).await;
    let error = match whole {
        Ok(results) => return results.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if error.is_away() && !error.is_transient() {
        tracing::warn!(error = chain(&error), drafts = drafts.len(), "chat can't be stored now");
        return drafts.iter().map(|_| Err(Code::TryAgain)).collect();
    }
    tracing::warn!(error = chain(&error), drafts = drafts.len(), "chat is stored room by room");
    let mut results: Vec<Result<Append, Code>> = Vec::new();
    results.resize_with(drafts.len(), || Err(Code::TryAgain));
    for places in by_room(drafts.iter().map(|draft| draft.room).zip(0..)).into_values() {
        let rooms: Vec<Draft> = places.iter().map(|place: &usize| drafts[*place].clone()).collect();
        if let Ok(stored) = attempt(app, &rooms).await {
            for (place, append) in places.into_iter().zip(stored) {
                results[place] = Ok(append);
            }
            continue;
        }
        for (place, draft) in places.into_iter().zip(&rooms) {
            results[place] = match attempt(app, std::slice::from_ref(draft)).await {
                Ok(stored) => stored.into_iter().next().ok_or(Code::Internal),
                Err(error) => {
                    let error = ApiError::from(error);
                    error.log();
                    Err(error.code())
                }
            };
        }
    }
    results
}

async fn attempt(app: &App, drafts: &[Draft]) -> Result<Vec<Append>, Error> {
    let since = app.clock.monotonic();
    let mut tx = app.store.begin().await?;
    let stored = chat::append(&mut tx, drafts, app.now()).await?;
    tx.commit().await?;
    let messages = stored.iter().filter(|append| matches!(append.outcome, Outcome::Stored(_))).count();
    app.metrics.appended(messages, app.clock.monotonic().saturating_duration_since(since));
    Ok(stored)
}

/// What was stored, room by room, in the order of `seq`. Also what an earlier try has stored lately: its commit may have
/// been made without anybody hearing of it, and who knows it already takes no notice.
fn news(drafts: &[Draft], results: &[Result<Append, Code>], causes: &[&Cause], now: Timestamp) -> Vec<News> {
    let stored = drafts.iter().zip(results).zip(causes).filter_map(|((draft, result), cause)| {
        let Ok(Append { outcome, epoch }) = result else { return None };
        let message = match outcome {
            Outcome::Stored(message) => message,
            Outcome::Repeated(message) if now.since(message.created_at) < LATELY => message,
            Outcome::Repeated(_) | Outcome::Refused(_) => return None,
        };
        Some((draft.room, (*epoch, convert::message(message), (*cause).clone())))
    });
    by_room(stored)
        .into_iter()
        .map(|(room, messages)| {
            let epoch = messages.iter().map(|(epoch, ..)| *epoch).max().unwrap_or(0);
            let cause = messages.iter().find(|(.., cause)| cause.span().is_some());
            let context = cause.map(|(.., cause)| cause.traceparent()).unwrap_or_default();
            let mut messages: Vec<_> = messages.into_iter().map(|(_, message, _)| message).collect();
            messages.sort_by_key(|message| message.seq);
            messages.dedup_by_key(|message| message.seq);
            (room, v1::Chat { epoch, messages }, context)
        })
        .collect()
}

/// Tells nodes what was stored: a room's news in order, rooms side by side. Storing does not wait for it.
async fn tell(app: App, mut news: mpsc::Receiver<Vec<News>>) {
    let mut groups = Vec::new();
    while news.recv_many(&mut groups, UNTOLD).await > 0 {
        let rooms = by_room(groups.drain(..).flatten().map(|(room, chat, context)| (room, (chat, context))));
        futures_util::stream::iter(rooms)
            .for_each_concurrent(TOLD_AT_ONCE, |(room, chats)| {
                let app = app.clone();
                async move {
                    for (chat, context) in chats {
                        let span = trace::sending_from("room", &context);
                        announce::publish_in(&app, room, v1::event::Kind::Chat(chat), span).await;
                    }
                }
            })
            .await;
    }
}
