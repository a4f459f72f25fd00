//! What hosts and co-hosts do about people: one call each, and one function behind them, which the WebSocket's commands
//! reach over gRPC too, and staff from the panel.

use std::time::Duration;

use axum::extract::State;
use serde_json::{Value, json};
use streamit_domain::audit::Action as Audited;
use streamit_domain::room::{Deed, FOREVER, KICK, NETWORK_BAN, Role, Standing};
use streamit_domain::{RoomId, UserId};
use streamit_storage::participants::{self, Change, Participant};
use streamit_storage::rooms::{self, Room};
use streamit_storage::{Tx, bans, chat};
use streamit_wire::Code;

use super::authority::By;
use super::{RoomRef, lock, user_id};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::{Fields, Input, Json};
use crate::limits::Limit;
use crate::{announce, audit};

/// The longest mute that has an end, in seconds.
const LONGEST_MUTE: u32 = 365 * 24 * 3600;

/// What is done about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Let in who asks.
    Approve,
    /// Turn away who asks.
    Reject,
    /// Throw out for a while.
    Kick,
    /// Throw out for good.
    Ban,
    /// Take a ban back; coming in again is up to them.
    Unban,
    /// Keep from chatting, for so long or without end.
    Mute(Option<Duration>),
    /// Let chat again.
    Unmute,
    /// Make the host.
    Transfer,
    /// Make a co-host, or a viewer again.
    Cohost(bool),
}

impl Action {
    /// What the rules call it.
    const fn deed(self) -> Deed {
        match self {
            Self::Approve => Deed::Approve,
            Self::Reject => Deed::Reject,
            Self::Kick => Deed::Kick,
            Self::Ban => Deed::Ban,
            Self::Unban => Deed::Unban,
            Self::Mute(_) => Deed::Mute,
            Self::Unmute => Deed::Unmute,
            Self::Transfer => Deed::Transfer,
            Self::Cohost(_) => Deed::Cohost,
        }
    }

    /// What the audit log calls it.
    const fn audited(self) -> Audited {
        match self {
            Self::Approve => Audited::Approved,
            Self::Reject => Audited::Rejected,
            Self::Kick => Audited::Kicked,
            Self::Ban => Audited::Banned,
            Self::Unban => Audited::Unbanned,
            Self::Mute(_) => Audited::Muted,
            Self::Unmute => Audited::Unmuted,
            Self::Transfer => Audited::HostChanged,
            Self::Cohost(true) => Audited::CohostMade,
            Self::Cohost(false) => Audited::CohostUnmade,
        }
    }
}

/// Body of a call about a person.
#[derive(Clone, Copy)]
pub(crate) struct OfPerson {
    room: RoomRef,
    user: UserId,
}

impl Input for OfPerson {
    fn read(fields: &mut Fields) -> Option<Self> {
        let room = RoomRef::read(fields);
        let user = fields.required("user_id", "user_id required", user_id);
        Some(Self { room: room?, user: user? })
    }
}

/// Body of `rooms/mute/`.
pub(crate) struct Mute {
    person: OfPerson,
    seconds: Option<u32>,
}

impl Input for Mute {
    fn read(fields: &mut Fields) -> Option<Self> {
        let person = OfPerson::read(fields);
        let seconds = fields.whole("seconds", 1..=LONGEST_MUTE);
        Some(Self { person: person?, seconds })
    }
}

/// Body of `rooms/cohost/`.
pub(crate) struct Cohost {
    person: OfPerson,
    on: bool,
}

impl Input for Cohost {
    fn read(fields: &mut Fields) -> Option<Self> {
        let person = OfPerson::read(fields);
        if !fields.has("on") {
            fields.refuse("on", "on must be true or false");
        }
        let on = fields.flag("on");
        Some(Self { person: person?, on: on? })
    }
}

/// `rooms/approve/`.
pub(crate) async fn approve(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<OfPerson>,
) -> Result<Json<Value>> {
    act_for(&app, &caller, body, Action::Approve).await?;
    Ok(Json(json!({"approved": true})))
}

/// `rooms/reject/`.
pub(crate) async fn reject(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<OfPerson>,
) -> Result<Json<Value>> {
    act_for(&app, &caller, body, Action::Reject).await?;
    Ok(Json(json!({"rejected": true})))
}

/// `rooms/kick/`.
pub(crate) async fn kick(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<OfPerson>,
) -> Result<Json<Value>> {
    act_for(&app, &caller, body, Action::Kick).await?;
    Ok(Json(json!({"kicked": true, "seconds": KICK.as_secs()})))
}

/// `rooms/ban/`.
pub(crate) async fn ban(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<OfPerson>,
) -> Result<Json<Value>> {
    act_for(&app, &caller, body, Action::Ban).await?;
    Ok(Json(json!({"banned": true})))
}

/// `rooms/unban/`.
pub(crate) async fn unban(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<OfPerson>,
) -> Result<Json<Value>> {
    act_for(&app, &caller, body, Action::Unban).await?;
    Ok(Json(json!({"banned": false})))
}

/// `rooms/mute/`.
pub(crate) async fn mute(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Mute>,
) -> Result<Json<Value>> {
    let time = body.seconds.map(|seconds| Duration::from_secs(seconds.into()));
    act_for(&app, &caller, body.person, Action::Mute(time)).await?;
    Ok(Json(json!({"muted": true, "seconds": body.seconds})))
}

/// `rooms/unmute/`.
pub(crate) async fn unmute(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<OfPerson>,
) -> Result<Json<Value>> {
    act_for(&app, &caller, body, Action::Unmute).await?;
    Ok(Json(json!({"muted": false})))
}

/// `rooms/transfer/`.
pub(crate) async fn transfer(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<OfPerson>,
) -> Result<Json<Value>> {
    act_for(&app, &caller, body, Action::Transfer).await?;
    Ok(Json(json!({"transferred": true, "host_id": body.user})))
}

/// `rooms/cohost/`.
pub(crate) async fn cohost(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Cohost>,
) -> Result<Json<Value>> {
    act_for(&app, &caller, body.person, Action::Cohost(body.on)).await?;
    Ok(Json(json!({"cohost": body.on})))
}

/// Does what a call asks for, if the caller may.
async fn act_for(app: &App, caller: &Caller, about: OfPerson, action: Action) -> Result<()> {
    let room = about.room.resolve(app, caller).await?;
    app.take(Limit::acts_by(caller.user)).await?;
    act(app, room, &By::caller(caller), about.user, action).await
}

/// Does it, if `by` may, writes it down, and tells the room's nodes.
pub(crate) async fn act(app: &App, room: RoomId, by: &By<'_>, target: UserId, action: Action) -> Result<()> {
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let room = lock(&mut tx, room).await?;
        by.may_try(&mut tx, &room, action.deed()).await?;
        let entry = participants::get(&mut tx, room.id, target).await?;
        let entry = entry.ok_or_else(|| ApiError::new(Code::NotFound, "No such participant"))?;
        by.may(&mut tx, &room, target, Some(&entry), action.deed()).await?;
        if matches!(action, Action::Mute(_) | Action::Kick | Action::Ban) {
            chat::hold(&mut tx, room.id).await?;
        }
        if let Some(version) = apply(app, &mut tx, &room, &entry, action).await? {
            let after = participants::get(&mut tx, room.id, target).await?;
            let note = by.did(action.audited()).in_room(room.id).to(target);
            let note = match action {
                Action::Transfer => note.from(json!({"host": room.host})).into(json!({"host": target})),
                _ => note.from(view(&entry)).into(after.as_ref().map_or(Value::Null, view)),
            };
            audit::write(app, &mut tx, note).await?;
            tx.commit().await?;
            announce::facts(app, room.id, version).await;
        } else {
            tx.commit().await?; // who was banned before may be banned from another address by now
        }
        Ok(())
    })
    .await
}

/// An entry as the audit log shows it.
fn view(entry: &Participant) -> Value {
    json!({
        "standing": entry.standing,
        "role": entry.role,
        "kicked_until": entry.kicked_until.map(|at| at.0),
        "muted_until": entry.muted_until.map(|at| at.0),
    })
}

/// The change itself, under the room's lock. Gives the new facts version; nothing when it was so already.
async fn apply(
    app: &App,
    tx: &mut Tx,
    room: &Room,
    entry: &Participant,
    action: Action,
) -> Result<Option<u64>> {
    let now = app.now();
    let (target, stands) = (entry.user, entry.standing);
    let is_in = matches!(stands, Standing::Approved | Standing::Pending);
    // A guest has no account to be banned by, only a place he came from; and who has one could come back as a guest.
    match action {
        Action::Ban => bans::insert(tx, room.id, target, now.plus(NETWORK_BAN), now).await?,
        Action::Unban => bans::lift(tx, room.id, target).await?,
        _ => {}
    }
    let kicked_until = entry.kicked_until.filter(|until| *until > now);
    let mut set =
        async |standing, until| participants::set_standing(tx, room.id, target, standing, until, now).await;
    let change: Option<Change> = match action {
        Action::Approve if is_in => set(Standing::Approved, None).await?,
        Action::Reject if matches!(stands, Standing::Pending | Standing::Rejected) => {
            set(Standing::Rejected, None).await?
        }
        Action::Approve | Action::Reject => {
            return Err(ApiError::new(Code::Conflict, "They do not ask to come in"));
        }
        Action::Kick if is_in => set(Standing::Kicked, Some(now.plus(KICK))).await?,
        // A kick after a kick or a ban must not change how long it holds.
        Action::Kick if matches!(stands, Standing::Kicked | Standing::Banned) => None,
        Action::Kick => return Err(not_in()),
        Action::Ban => set(Standing::Banned, kicked_until).await?,
        // A ban that is taken back does not take back the kick before it.
        Action::Unban if stands == Standing::Banned && kicked_until.is_some() => {
            set(Standing::Kicked, kicked_until).await?
        }
        Action::Unban if stands == Standing::Banned => set(Standing::Left, None).await?,
        Action::Unban => None,
        Action::Mute(time) => {
            let until = time.map_or(FOREVER, |time| now.plus(time));
            participants::set_mute(tx, room.id, target, Some(until)).await?
        }
        Action::Unmute => participants::set_mute(tx, room.id, target, None).await?,
        Action::Cohost(_) | Action::Transfer if stands != Standing::Approved => return Err(not_in()),
        Action::Cohost(_) if target == room.host => {
            return Err(ApiError::new(Code::Conflict, "The host is more than a co-host"));
        }
        Action::Cohost(on) => {
            let role = if on { Role::Cohost } else { Role::Viewer };
            participants::set_role(tx, room.id, target, role, now).await?
        }
        Action::Transfer if target == room.host => None,
        Action::Transfer => {
            rooms::set_host(tx, room.id, target, now).await?.ok_or_else(not_in)?;
            return Ok(Some(room.facts_version + 1));
        }
    };
    Ok(change.filter(|change| change.facts_changed).map(|change| change.participant.changed_version))
}

fn not_in() -> ApiError {
    ApiError::new(Code::Conflict, "They are not in the room")
}
