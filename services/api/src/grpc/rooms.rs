//! Facts, versions and history of rooms, and what nodes report about them.

use std::time::Duration;

use streamit_domain::{RoomId, Timestamp, UserId};
use streamit_storage::chat::{self, Range};
use streamit_storage::participants;
use streamit_storage::rooms::{self, HostReport, Seen};
use streamit_wire::{Code, v1};
use tonic::Status;

use super::{check_count, failed, room_id, status};
use crate::announce;
use crate::app::App;
use crate::audit::{self, Origin};
use crate::convert;
use crate::http::error::{ApiError, Result};
use crate::limits::Limit;
use crate::rooms::By;
use crate::rooms::moderate::{self, Action};

/// No version or number comes near this: they travel as JSON numbers, too.
const MOST_VERSION: u64 = (1 << 53) - 1;
/// The most messages that one answer holds.
const MOST_MESSAGES: u32 = 500;

pub(super) async fn facts(app: &App, request: v1::FactsRequest) -> Result<v1::FactsReply, Status> {
    check_count(request.rooms.len())?;
    let asked: Result<Vec<(RoomId, u64)>, Status> =
        request.rooms.iter().map(|since| Ok((room_id(&since.room)?, since.version))).collect();
    let asked = asked?;
    let mut read = app.store.read().await.map_err(failed)?;
    let found = rooms::facts(&mut read, &asked).await.map_err(failed)?;
    let facts = found.iter().zip(&asked).map(|(facts, (_, since))| match facts {
        Some(facts) => v1::Facts::of(facts, *since),
        None => v1::Facts::default(),
    });
    Ok(v1::FactsReply { facts: facts.collect() })
}

pub(super) async fn versions(app: &App, request: v1::VersionsRequest) -> Result<v1::VersionsReply, Status> {
    check_count(request.rooms.len())?;
    let asked: Result<Vec<RoomId>, Status> = request.rooms.iter().map(|room| room_id(room)).collect();
    let mut read = app.store.read().await.map_err(failed)?;
    let found = rooms::versions(&mut read, &asked?).await.map_err(failed)?;
    drop(read);
    // A node asks about rooms that somebody is in.
    app.note_active(&request.rooms);
    let rooms = found
        .into_iter()
        .map(|versions| v1::RoomVersions {
            room: versions.room.as_bytes().to_vec(),
            facts_version: versions.facts_version,
            epoch: versions.epoch,
            chat_head: versions.chat_head,
            fence: versions.fence,
            erasures: versions.erasures,
            kept_from: versions.kept_from,
        })
        .collect();
    Ok(v1::VersionsReply { rooms })
}

pub(super) async fn history(app: &App, request: v1::HistoryRequest) -> Result<v1::HistoryReply, Status> {
    let room = room_id(&request.room)?;
    let range = Range {
        after: request.after,
        before: (request.before > 0).then_some(request.before),
        limit: request.limit.min(MOST_MESSAGES),
        newest: request.newest,
    };
    let mut read = app.store.read().await.map_err(failed)?;
    let history = chat::history(&mut read, room, range).await.map_err(failed)?;
    let history = history.ok_or_else(|| status(Code::RoomNotFound.into()))?;
    Ok(v1::HistoryReply {
        messages: history.messages.iter().map(convert::message).collect(),
        head: history.head,
        kept_from: history.kept_from,
        epoch: history.epoch,
        erasures: history.erasures,
    })
}

pub(super) async fn erasures(app: &App, request: v1::ErasuresRequest) -> Result<v1::ErasuresReply, Status> {
    let room = room_id(&request.room)?;
    let mut read = app.store.read().await.map_err(failed)?;
    let erased = chat::erased_since(&mut read, room, request.after, request.from).await.map_err(failed)?;
    let (tombstones, erasures, epoch) = erased.ok_or_else(|| status(Code::RoomNotFound.into()))?;
    Ok(v1::ErasuresReply { tombstones: tombstones.iter().map(convert::message).collect(), erasures, epoch })
}

pub(super) async fn report_hosts(
    app: &App,
    request: v1::ReportHostsRequest,
) -> Result<v1::ReportHostsReply, Status> {
    check_count(request.reports.len())?;
    let read = |report: &v1::HostReport| {
        Some(HostReport {
            room: RoomId::from_slice(&report.room).ok()?,
            host: UserId::from_slice(&report.host).ok()?,
            fence: report.fence,
            roster_version: report.roster_version,
            is_back: report.is_back,
        })
    };
    let reports: Vec<_> = request.reports.iter().filter_map(read).collect();
    let store = async {
        let mut tx = app.store.begin().await?;
        let heard = rooms::report_hosts(&mut tx, &reports, app.now()).await?;
        for back in &heard.returned {
            audit::write(app, &mut tx, audit::returned(back)).await?;
        }
        tx.commit().await.map(|()| heard.changed)
    };
    announce::facts_of(app, store.await.map_err(failed)?).await;
    Ok(v1::ReportHostsReply {})
}

/// Raises the epoch of rooms of which the database knows less than a node has seen.
pub(super) async fn report_loss(
    app: &App,
    request: v1::ReportLossRequest,
) -> Result<v1::ReportLossReply, Status> {
    check_count(request.rooms.len())?;
    let seen: Vec<_> = request.rooms.iter().filter_map(read_seen).collect();
    let raised = app
        .retrying(|| async {
            let mut tx = app.store.begin().await?;
            let raised = rooms::raise_epochs(&mut tx, &seen, app.now()).await?;
            tx.commit().await?;
            Ok(raised)
        })
        .await
        .map_err(status)?;
    for (room, facts_version) in &raised {
        tracing::warn!(room.id = %room, facts_version, "the database has lost something: the room begins a new epoch");
    }
    announce::facts_of(app, raised).await;
    Ok(v1::ReportLossReply {})
}

/// What was seen of a room, unless it can't be: no version or number gets above 2^53, and one that did would stay there.
fn read_seen(seen: &v1::Seen) -> Option<Seen> {
    let numbers = [seen.epoch, seen.facts_version, seen.chat_head, seen.fence];
    numbers.iter().all(|number| *number < MOST_VERSION).then_some(())?;
    Some(Seen {
        room: RoomId::from_slice(&seen.room).ok()?,
        epoch: seen.epoch,
        facts_version: seen.facts_version,
        chat_head: seen.chat_head,
        chat_at: (seen.chat_at != 0).then_some(Timestamp(seen.chat_at)),
        fence: seen.fence,
    })
}

pub(super) async fn moderate(app: &App, request: &v1::ModerateRequest) -> Result<()> {
    use v1::ModerationAction as Asked;
    let action = match Asked::try_from(request.action) {
        Ok(Asked::Kick) => Action::Kick,
        Ok(Asked::Ban) => Action::Ban,
        Ok(Asked::Unban) => Action::Unban,
        Ok(Asked::Mute) => Action::Mute((request.seconds > 0).then(|| Duration::from_secs(request.seconds))),
        Ok(Asked::Unmute) => Action::Unmute,
        Ok(Asked::Unspecified) | Err(_) => {
            return Err(ApiError::new(Code::Invalid, "unknown action of a newer release"));
        }
    };
    let room = RoomId::from_slice(&request.room)?;
    let (actor, target) = (UserId::from_slice(&request.actor)?, UserId::from_slice(&request.target)?);
    app.take(Limit::acts_by(actor)).await?;
    let entry = participants::get(&mut app.store.read().await?, room, actor).await?;
    let origin = Origin::member(actor, entry.is_some_and(|entry| entry.is_guest));
    moderate::act(app, room, &By::member(&origin, actor), target, action).await
}
