//! Hosts who do not come back, and rooms that go back to them.
//!
//! A room whose host's grace has ended passes on, waits or closes ([`streamit_domain::room::succession`]). One that would
//! pass on while nobody is there sleeps: its deadline is [`FOREVER`], and it is looked at again once somebody was there
//! within [`VISITED`], which nodes tell of the rooms they have. So rooms that nobody comes to cost nothing.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use streamit_bus::Roster;
use streamit_domain::audit::Action;
use streamit_domain::room::{Candidate, FOREVER, Life, Role, Succession, succession};
use streamit_domain::{RoomId, Timestamp, UserId};
use streamit_storage::rooms::{self, HostReport, Room};
use streamit_storage::{Error, Tx};
use streamit_wire::Code;

use super::{PAGE, online};
use crate::announce;
use crate::app::App;
use crate::audit::{self, Origin};
use crate::http::error::{ApiError, Result};
use crate::metrics::Swept;

/// Somebody was in a room if he was within this time. A node tells of its rooms every ten seconds or so.
const VISITED: Duration = Duration::from_secs(60);

/// Decides hosts' deadlines that have passed.
pub(super) async fn deadlines(app: &App) -> Result<()> {
    let mut read = app.store.read().await?;
    let due = rooms::due_deadlines(&mut read, app.now(), PAGE).await?;
    drop(read);
    decide_all(app, due).await
}

/// Looks at rooms that have slept without a host, and that somebody has come to.
pub(super) async fn visited(app: &App) -> Result<()> {
    let mut read = app.store.read().await?;
    let asleep = rooms::asleep(&mut read, app.now().minus(VISITED), PAGE).await?;
    drop(read);
    decide_all(app, asleep).await
}

/// Gives rooms back whose lost hosts are here, where no node's word of it was heard. Returns where to go on.
pub(super) async fn returned(app: &App, after: Option<RoomId>) -> Result<Option<RoomId>> {
    let mut read = app.store.read().await?;
    let passed = rooms::passed_on(&mut read, after, PAGE).await?;
    drop(read);
    let next = passed.last().filter(|_| passed.len() == PAGE as usize).map(|room| room.id);
    let asked: Vec<_> = passed.iter().map(|room| (room.id, room.lost_host)).collect();
    let mut reports = Vec::new();
    for (room, seen) in passed.into_iter().zip(online(app, &asked).await?) {
        let Some(host) = room.lost_host.filter(|_| seen.has_user) else { continue };
        // Rare, so one at a time.
        let roster = roster(app, room.id).await?;
        if roster.users.contains_key(&host) {
            let roster_version = roster.version;
            reports.push(HostReport {
                room: room.id,
                host,
                fence: room.fence,
                roster_version,
                is_back: true,
            });
        }
    }
    if !reports.is_empty() {
        let mut tx = app.store.begin().await?;
        let heard = rooms::report_hosts(&mut tx, &reports, app.now()).await?;
        for back in &heard.returned {
            audit::write(app, &mut tx, audit::returned(back)).await?;
        }
        tx.commit().await?;
        tracing::info!(rooms = heard.changed.len(), "hosts were back whom no node had told of");
        announce::facts_of(app, heard.changed).await;
    }
    Ok(next)
}

async fn roster(app: &App, room: RoomId) -> Result<Roster> {
    app.rooms.roster(room).await.map_err(|error| ApiError::because(Code::TryAgain, error))
}

/// Each room is a decision and a transaction of its own. One that fails by itself keeps no other from its own.
async fn decide_all(app: &App, rooms: Vec<Room>) -> Result<()> {
    let doubts = app.rooms.doubts();
    let asked: Vec<_> = rooms.iter().map(|room| (room.id, Some(room.host))).collect();
    let seen = online(app, &asked).await?;
    let mut failed = Ok(());
    for (room, seen) in rooms.into_iter().zip(seen) {
        // Nobody is there for most of those that sleep.
        if room.host_deadline == Some(FOREVER) && seen.users == 0 {
            continue;
        }
        match decide(app, &room, doubts).await {
            Ok(()) => {}
            // Something they all need is away.
            Err(error) if error.code() == Code::TryAgain && !error.is_transient() => return Err(error),
            Err(error) => failed = Err(error),
        }
    }
    failed
}

/// The host is back, or what the room does without him happens.
async fn decide(app: &App, seen: &Room, doubts: u64) -> Result<()> {
    let roster = roster(app, seen.id).await?;
    // Live state may have been lost since the round began: then nobody's absence means anything.
    if app.rooms.doubts() != doubts || !app.rooms.is_healthy() {
        return Err(Code::TryAgain.into());
    }
    let now = app.now();
    let mut tx = app.store.begin().await?;
    // Nothing: another replica was faster, the host has said something else, or somebody else is host by now.
    let Some(room) = rooms::lock_as_seen(&mut tx, seen).await? else { return Ok(()) };
    let present = present(&mut tx, &room, &roster).await?;
    let decided = succession(room.settings.on_host_lost, room.host, room.lost_host, &present);
    let version = match decided {
        Succession::Back => rooms::set_host_deadline(&mut tx, room.id, room.fence, None).await?,
        Succession::Pass(next) => rooms::pass_on(&mut tx, &room, next, roster.version, now).await?,
        Succession::Wait if room.host_deadline == Some(FOREVER) => None,
        Succession::Wait => rooms::set_host_deadline(&mut tx, room.id, room.fence, Some(FOREVER)).await?,
        Succession::Close => rooms::end(&mut tx, room.id, Life::Closed, now).await?,
    };
    let system = Origin::system();
    let note = match decided {
        Succession::Pass(next) => {
            let note = system.did(Action::HostSucceeded).to(next).from(json!({"host": room.host}));
            Some(note.into(json!({"host": next})))
        }
        Succession::Close => Some(system.did(Action::RoomClosed)),
        Succession::Back | Succession::Wait => None,
    };
    if let Some(note) = note.filter(|_| version.is_some()) {
        audit::write(app, &mut tx, note.in_room(room.id)).await?;
    }
    tx.commit().await?;
    if let Some(version) = version {
        match decided {
            Succession::Pass(_) => app.metrics.swept(Swept::Transfer),
            Succession::Close => app.metrics.swept(Swept::Close),
            Succession::Back | Succession::Wait => {}
        }
        tracing::info!(room.id = %room.id, ?decided, "a host's deadline passed");
        announce::facts(app, room.id, version).await;
    }
    Ok(())
}

/// Who of the roster is approved, as the room's facts stand under its lock.
async fn present(tx: &mut Tx, room: &Room, roster: &Roster) -> Result<Vec<Candidate>, Error> {
    let approved = rooms::candidates(tx, room.id, roster.users.keys().copied()).await?;
    let connected: HashSet<_> =
        roster.entries.values().filter(|entry| entry.gone_at.is_none()).map(|entry| entry.user).collect();
    let since = |user: UserId| roster.users.get(&user).map_or(Timestamp::default(), |present| present.since);
    let candidate = |(user, role)| Candidate {
        is_cohost: role == Role::Cohost,
        is_connected: connected.contains(&user),
        since: since(user),
        user,
    };
    Ok(approved.into_iter().map(candidate).collect())
}
