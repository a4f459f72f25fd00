//! What a room is, and who is in it.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use streamit_domain::room::{Life, Role, Standing};
use streamit_domain::{RoomId, Timestamp, UserId};
use streamit_storage::participants::{self, Participant};
use streamit_storage::rooms::{self, Room};
use streamit_wire::Code;
use streamit_wire::frame::rfc3339;

use super::listing::{Cursor, next_page};
use super::manage::SettingsView;
use super::{alive, by_code, member};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::Json;
use crate::http::path::{CodeInPath, Query};

/// How many participants a page has, unless asked otherwise, and at most.
const PAGE: u32 = 500;

/// What is being watched.
#[derive(Serialize)]
struct SourceView {
    url: Option<String>,
    title: Option<String>,
    provider: Option<String>,
    video_id: Option<String>,
}

/// A room, as somebody who may see it sees it.
#[derive(Serialize)]
struct Detail {
    room_id: RoomId,
    code: String,
    state: Life,
    is_active: bool,
    is_private: bool,
    entry_mode: Option<&'static str>,
    is_chat_enabled: bool,
    host: Option<String>,
    host_id: UserId,
    video_provider: Option<String>,
    video_id: Option<String>,
    created_at: String,
    is_host: bool,
    /// How the caller stands with the room.
    status: Option<Standing>,
    role: Option<Role>,
    source: Option<SourceView>,
    settings: SettingsView,
    /// How many are there now.
    online: u64,
    max_members: u32,
}

/// `rooms/<code>/`: public rooms are open to everybody known, private ones to those who are in. A room that was
/// deleted is gone; one that has expired can still be looked at.
pub(crate) async fn detail(
    State(app): State<App>,
    caller: Caller,
    CodeInPath(code): CodeInPath,
) -> Result<Response> {
    let room = by_code(&app, &caller, &code).await?;
    if room.life == Life::Closed {
        alive(&room)?;
    }
    let mut read = app.store.read().await?;
    let mine = participants::get(&mut read, room.id, caller.user).await?;
    let is_in = mine.as_ref().is_some_and(|entry| entry.standing == Standing::Approved);
    if room.access.is_private() && !is_in {
        return Err(Code::NotApproved.into());
    }
    let host = participants::get(&mut read, room.id, room.host).await?;
    drop(read);
    let online = app.rooms.online(&[(room.id, None)]).await.ok();
    let online = online.and_then(|online| online.first().map(|room| room.users)).unwrap_or(0);

    let source = room.source.map(|source| SourceView {
        url: source.url,
        title: source.title,
        provider: source.provider,
        video_id: source.video_id,
    });
    let view = Detail {
        room_id: room.id,
        code: room.code.to_string(),
        state: room.life,
        is_active: room.life == Life::Active,
        is_private: room.access.is_private(),
        entry_mode: room.access.entry_mode(),
        is_chat_enabled: room.settings.is_chat_enabled,
        host: host.map(|host| host.name.to_string()),
        host_id: room.host,
        video_provider: source.as_ref().and_then(|source| source.provider.clone()),
        video_id: source.as_ref().and_then(|source| source.video_id.clone()),
        created_at: rfc3339(room.created_at),
        is_host: room.host == caller.user,
        status: mine.as_ref().map(|entry| entry.standing),
        role: mine.filter(|_| is_in).map(|entry| role(room.host, &entry)),
        source,
        settings: room.settings.into(),
        online,
        max_members: room.max_members,
    };
    Ok(Json(view).into_response())
}

fn role(host: UserId, entry: &Participant) -> Role {
    if entry.user == host { Role::Host } else { entry.role }
}

/// One person of a room.
#[derive(Serialize)]
struct PersonView {
    id: UserId,
    display_name: String,
    name: String,
    role: Role,
    status: Standing,
    is_host: bool,
    is_guest: bool,
    online: bool,
    muted: bool,
}

/// `rooms/<code>/participants/`.
pub(crate) async fn participants(
    State(app): State<App>,
    caller: Caller,
    CodeInPath(code): CodeInPath,
    query: Query,
) -> Result<Response> {
    let room = by_code(&app, &caller, &code).await?;
    let base = format!("/api/rooms/{code}/participants/?");
    people(&app, &caller, &room, &query, base).await
}

/// `rooms/participants/?room_id=`.
pub(crate) async fn participants_by_id(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Response> {
    let id = query.get("room_id").ok_or_else(|| ApiError::field("room_id", "room_id required"))?;
    let id = super::room_id(id).map_err(|why| ApiError::field("room_id", why.0))?;
    let room = rooms::by_id(&mut app.store.read().await?, id).await?.ok_or(Code::RoomNotFound)?;
    let base = format!("/api/rooms/participants/?room_id={id}&");
    people(&app, &caller, &room, &query, base).await
}

/// Those who are in the room, for those who are in it; for the host those too who ask to come in.
async fn people(app: &App, caller: &Caller, room: &Room, query: &Query, base: String) -> Result<Response> {
    let limit = query.limit(PAGE, PAGE)?;
    let after = Cursor::read(query)?.map(|(at, id)| (at, UserId(id)));
    alive(room)?;
    let is_host = room.host == caller.user;
    let mut read = app.store.read().await?;
    if !is_host && member(&mut read, room, caller.user).await?.is_none() {
        return Err(Code::NotApproved.into());
    }
    let standings: &[Standing] =
        if is_host { &[Standing::Approved, Standing::Pending] } else { &[Standing::Approved] };
    let mut entries = participants::list(&mut read, room.id, standings, after, limit + 1).await?;
    drop(read);
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let link = more.then(|| entries.last().map(|entry| (entry.created_at, entry.user.0))).flatten();

    let online = online(app, room).await;
    let now = app.now();
    let views: Vec<PersonView> = entries.into_iter().map(|entry| view(room, entry, &online, now)).collect();
    Ok((next_page(&base, link, limit), Json(views)).into_response())
}

/// Who is there now; nobody, when that can't be told.
async fn online(app: &App, room: &Room) -> BTreeSet<UserId> {
    match app.rooms.roster(room.id).await {
        Ok(roster) => roster.users.into_keys().collect(),
        Err(_) => BTreeSet::new(),
    }
}

fn view(room: &Room, entry: Participant, online: &BTreeSet<UserId>, now: Timestamp) -> PersonView {
    PersonView {
        id: entry.user,
        role: role(room.host, &entry),
        status: entry.standing,
        is_host: entry.user == room.host,
        is_guest: entry.is_guest,
        online: online.contains(&entry.user),
        muted: entry.muted_until.is_some_and(|until| until > now),
        display_name: entry.name.to_string(),
        name: entry.name.into(),
    }
}
