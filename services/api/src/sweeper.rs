//! Decides what nobody is there to decide: a host who does not come back, a film that runs with nobody watching, a
//! room that nobody visits.
//!
//! Absence counts only when it was seen: each decision looks at the roster once more, and while live state is in
//! doubt none is made. Of several replicas the database lets one decide.

use std::time::{Duration, Instant};

use streamit_bus::{Cas, Expect, Online};
use streamit_domain::audit::Action;
use streamit_domain::playback::Command;
use streamit_domain::room::Life;
use streamit_domain::{Playback, RoomId, Timestamp, UserId};
use streamit_storage::rooms;

use crate::announce;
use crate::app::App;
use crate::audit::{self, Origin};
use crate::http::error::{ApiError, Result};
use crate::metrics::Swept;
use streamit_wire::Code;

mod succession;

/// How often a round is made.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// How long live state must have been beyond doubt before absence counts: nodes put their rosters back in this time.
const SETTLE: Duration = Duration::from_secs(15);
/// A roster that no node has refreshed for so long has no node any more.
const ABANDONED: Duration = Duration::from_secs(60);
/// In how many rounds one looks for abandoned films and hosts who are back, and for expired rooms.
const FILMS_EACH: u64 = 5;
const ROOMS_EACH: u64 = 60;
/// How many rooms one round looks at, of each kind.
const PAGE: u32 = 200;

/// One replica's sweeper.
#[derive(Debug)]
pub(crate) struct Sweeper {
    settle: Duration,
    rounds: u64,
    doubts: u64,
    /// Since when live state has been beyond doubt.
    settled_since: Instant,
    /// Where the search for abandoned films goes on.
    films_after: Option<RoomId>,
    /// Where the search for lost hosts who are back goes on.
    lost_after: Option<RoomId>,
}

impl Sweeper {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            settle: SETTLE,
            rounds: 0,
            doubts: app.rooms.doubts(),
            settled_since: app.started,
            films_after: None,
            lost_after: None,
        }
    }

    /// One round.
    pub(crate) async fn round(&mut self, app: &App) -> Result<()> {
        let round = self.rounds;
        self.rounds += 1;
        if !self.is_settled(app) {
            return Ok(());
        }
        // What one finds is no reason for the others to wait.
        let mut done = succession::deadlines(app).await;
        if round.is_multiple_of(FILMS_EACH) {
            done = done.and(succession::visited(app).await);
            done = done.and(self.films(app).await);
            let returned = succession::returned(app, self.lost_after).await;
            done = done.and(returned.map(|next| self.lost_after = next));
        }
        if round.is_multiple_of(ROOMS_EACH) {
            done = done.and(empty_rooms(app).await);
        }
        done
    }

    fn is_settled(&mut self, app: &App) -> bool {
        let (doubts, now) = (app.rooms.doubts(), app.clock.monotonic());
        if doubts != self.doubts || !app.rooms.is_healthy() {
            self.doubts = doubts;
            self.settled_since = now;
        }
        now.saturating_duration_since(self.settled_since) >= self.settle
    }

    /// Pauses films whose last node died, where they were when it was last heard of.
    async fn films(&mut self, app: &App) -> Result<()> {
        let mut read = app.store.read().await?;
        let playing = rooms::playing(&mut read, self.films_after, PAGE).await?;
        drop(read);
        let full = playing.len() == PAGE as usize;
        self.films_after = playing.last().filter(|_| full).map(|(room, ..)| *room);
        let asked: Vec<_> = playing.iter().map(|(room, ..)| (*room, None)).collect();
        let seen = online(app, &asked).await?;
        let long_ago = app.now().minus(ABANDONED);
        for ((room, last_active_at, saved), seen) in playing.into_iter().zip(seen) {
            // Live state remembers the last refresh for longer than the roster; if it was lost itself, the database
            // knows when a node last asked about the room.
            let last_seen = seen.refreshed_at.unwrap_or(last_active_at);
            if last_seen <= long_ago {
                pause(app, room, saved, last_seen).await?;
            }
        }
        Ok(())
    }
}

async fn online(app: &App, rooms: &[(RoomId, Option<UserId>)]) -> Result<Vec<Online>> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    app.rooms.online(rooms).await.map_err(|error| ApiError::because(Code::TryAgain, error))
}

/// Pauses a film that nobody watches where it stood at `moment`.
async fn pause(app: &App, room: RoomId, saved: Playback, moment: Timestamp) -> Result<()> {
    let mut read = app.store.read().await?;
    let Some(stored) = rooms::by_id(&mut read, room).await? else { return Ok(()) };
    drop(read);
    let away = |error| ApiError::because(Code::TryAgain, error);
    let live = app.rooms.playback(room).await.map_err(away)?;
    let last = live.filter(|live| live.version >= saved.version).unwrap_or(saved);
    let paused = if last.is_playing {
        let time = last.position(moment);
        let fence = stored.fence.max(last.version.fence);
        let next =
            last.after(Command::Pause(Some(time)), fence, saved.version.number, app.now(), Duration::ZERO);
        let expect = Expect {
            version: live.map(|live| live.version),
            confirmed: true,
            only_if_empty: true,
            fence: None,
        };
        match app.rooms.set_playback(room, expect, &next).await.map_err(away)? {
            Cas::Stored => next,
            Cas::Conflict(other) if !other.is_playing => other,
            // Somebody is there after all, or the next round knows more.
            Cas::Conflict(_) | Cas::NotEmpty | Cas::Fenced(_) | Cas::Unknown => return Ok(()),
        }
    } else {
        last
    };
    let mut tx = app.store.begin().await?;
    rooms::save_playback(&mut tx, &[(room, paused)]).await?;
    tx.commit().await?;
    app.metrics.swept(Swept::Pause);
    tracing::info!(room.id = %room, "paused a film that nobody watches");
    Ok(())
}

/// Ends rooms that nobody has visited for as long as their settings allow.
async fn empty_rooms(app: &App) -> Result<()> {
    let mut read = app.store.read().await?;
    let empty = rooms::expired(&mut read, app.now(), PAGE).await?;
    drop(read);
    let asked: Vec<_> = empty.iter().map(|room| (room.id, None)).collect();
    let seen = online(app, &asked).await?;
    for (room, seen) in empty.into_iter().zip(seen) {
        let mut tx = app.store.begin().await?;
        if seen.users > 0 {
            rooms::touch(&mut tx, &[room.id], app.now()).await?;
            tx.commit().await?;
            continue;
        }
        // Somebody may have come since: then the room is not what was looked at.
        let now = rooms::lock(&mut tx, room.id).await?;
        if now.is_none_or(|now| now.last_active_at != room.last_active_at) {
            continue;
        }
        let ended = rooms::end(&mut tx, room.id, Life::Expired, app.now()).await?;
        if ended.is_some() {
            let note = Origin::system().did(Action::RoomExpired).in_room(room.id);
            audit::write(app, &mut tx, note).await?;
        }
        tx.commit().await?;
        if let Some(version) = ended {
            app.metrics.swept(Swept::Expire);
            tracing::info!(room.id = %room.id, "a room expired");
            announce::facts(app, room.id, version).await;
        }
    }
    Ok(())
}
