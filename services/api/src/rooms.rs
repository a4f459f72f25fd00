//! `/api/rooms/`: one file per kind of call. What they share: how a room is named in a body, and finding it.

mod audit;
mod authority;
mod bans;
mod detail;
mod door;
pub(crate) mod erase;
mod listing;
pub(crate) mod manage;
mod messages;
pub(crate) mod moderate;
pub(crate) mod open;
pub(crate) mod report;

use axum::Router;
use axum::routing::{get, post};
use streamit_domain::room::{Life, Standing};
use streamit_domain::{Invalid, RoomCode, RoomId, UserId};
use streamit_storage::participants::{self, Participant};
use streamit_storage::rooms::{self, Room};
use streamit_storage::{Read, Tx};
use streamit_wire::Code;

pub(crate) use self::authority::By;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::Result;
use crate::http::json::{Fields, Input};
use crate::limits::Limit;
use crate::metrics::Limited;

/// The calls about rooms.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/api/rooms/create/", post(open::create))
        .route("/api/rooms/join/", post(open::join))
        .route("/api/rooms/approve/", post(moderate::approve))
        .route("/api/rooms/reject/", post(moderate::reject))
        .route("/api/rooms/kick/", post(moderate::kick))
        .route("/api/rooms/ban/", post(moderate::ban))
        .route("/api/rooms/unban/", post(moderate::unban))
        .route("/api/rooms/mute/", post(moderate::mute))
        .route("/api/rooms/unmute/", post(moderate::unmute))
        .route("/api/rooms/transfer/", post(moderate::transfer))
        .route("/api/rooms/cohost/", post(moderate::cohost))
        .route("/api/rooms/erase/", post(erase::erase))
        .route("/api/rooms/report/", post(report::report))
        .route("/api/rooms/leave/", post(manage::leave))
        .route("/api/rooms/delete/", post(manage::delete))
        .route("/api/rooms/settings/", post(manage::settings))
        .route("/api/rooms/source/", post(manage::source))
        .route("/api/rooms/public/", get(listing::public))
        .route("/api/rooms/participants/", get(detail::participants_by_id))
        .route("/api/rooms/{code}/", get(detail::detail))
        .route("/api/rooms/{code}/detail/", get(detail::detail))
        .route("/api/rooms/{code}/door/", get(door::door))
        .route("/api/rooms/{code}/participants/", get(detail::participants))
        .route("/api/rooms/{code}/messages/", get(messages::page))
        .route("/api/rooms/{code}/bans/", get(bans::list))
        .route("/api/rooms/{code}/audit/", get(audit::list))
}

/// How a body names a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomRef {
    /// By its id.
    Id(RoomId),
    /// By what people type.
    Code(RoomCode),
    /// By something that can't be a code.
    Nothing,
}

impl RoomRef {
    /// Reads `room_id`, or else `code`.
    fn read(fields: &mut Fields) -> Option<Self> {
        if !fields.has("room_id") && fields.has("code") {
            return fields.text("code").map(|code| code.parse().map_or(Self::Nothing, Self::Code));
        }
        fields.required("room_id", "room_id required", room_id).map(Self::Id)
    }

    /// Which room it is, if a code was given, or may be, if an id was.
    async fn resolve(self, app: &App, caller: &Caller) -> Result<RoomId> {
        match self {
            Self::Id(id) => Ok(id),
            Self::Code(code) => Ok(by_code(app, caller, &code).await?.id),
            Self::Nothing => Err(Code::RoomNotFound.into()),
        }
    }
}

/// Finds the room of a code that somebody typed, or tries. Codes without a room are counted, and from an address that
/// has tried too many nobody learns anything for a while, of rooms that exist neither: except those who have an entry
/// there (hosts and owners have one too), who know of it anyhow. They must not be locked out of their evening by
/// somebody else in the same house. (What can't be a code names no room, as everybody knows: who asks for it is not
/// looking for one, and is not counted.)
///
/// Whoever may be guessing is counted before he is told anything, or many who ask at the same moment would all be told;
/// what was no guess is given back.
async fn by_code(app: &App, caller: &Caller, code: &RoomCode) -> Result<Room> {
    let allowance = app.peek_quietly(Limit::unknown_codes(&caller.peer)).await;
    let mut read = app.store.read().await?;
    let found = rooms::by_code(&mut read, code).await?;
    if let Some(room) = &found
        && participants::get(&mut read, room.id, caller.user).await?.is_some()
    {
        return Ok(found.ok_or(Code::RoomNotFound)?);
    }
    drop(read);
    allowance.inspect_err(|error| app.note_limited(error, Limited::Code))?;
    app.take(Limit::unknown_codes(&caller.peer)).await?;
    let room = found.ok_or(Code::RoomNotFound)?;
    app.give_back(Limit::unknown_codes(&caller.peer)).await?;
    Ok(room)
}

/// Finds a room, which must live, and keeps its facts from changing.
async fn lock(tx: &mut Tx, room: RoomId) -> Result<Room> {
    let room = rooms::lock(tx, room).await?.ok_or(Code::RoomNotFound)?;
    alive(&room)?;
    Ok(room)
}

/// A body that names a room, and nothing else.
pub(crate) struct OfRoom(RoomRef);

impl Input for OfRoom {
    fn read(fields: &mut Fields) -> Option<Self> {
        RoomRef::read(fields).map(Self)
    }
}

fn room_id(text: &str) -> Result<RoomId, Invalid> {
    text.parse().map_err(|_| Invalid("room_id must be a UUID"))
}

fn user_id(text: &str) -> Result<UserId, Invalid> {
    text.parse().map_err(|_| Invalid("user_id must be a UUID"))
}

/// Refuses what can't be done in a room that has ended.
fn alive(room: &Room) -> Result<()> {
    match room.life {
        Life::Active => Ok(()),
        ended => Err(ended_code(ended).into()),
    }
}

/// What is said of a room that has ended.
pub(crate) const fn ended_code(life: Life) -> Code {
    match life {
        Life::Expired => Code::RoomExpired,
        Life::Closed | Life::Active => Code::RoomClosed,
    }
}

/// The entry of somebody who is in the room.
async fn member(read: &mut Read, room: &Room, user: UserId) -> Result<Option<Participant>> {
    let entry = participants::get(read, room.id, user).await?;
    Ok(entry.filter(|entry| entry.standing == Standing::Approved))
}
