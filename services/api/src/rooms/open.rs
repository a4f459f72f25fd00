//! `rooms/create/` and `rooms/join/`.

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use streamit_domain::audit::Action as Audited;
use streamit_domain::room::{self, Access, DEFAULT_MAX_MEMBERS, JoinRefusal, Settings, Standing};
use streamit_domain::words::WordFilter;
use streamit_domain::{RoomCode, RoomId};
use streamit_storage::participants::{self, Participant};
use streamit_storage::rooms::{self, NewRoom, Room};
use streamit_storage::{Conflict, bans};
use streamit_wire::Code;

use super::{by_code, ended_code};
use crate::app::App;
use crate::audit::Origin;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::{Fields, Input, Json};
use crate::identity::secrets;
use crate::limits::Limit;
use crate::{announce, audit};

/// How many codes are drawn before we give up. With a million rooms one in two thousand is taken.
const DRAWS: usize = 8;

/// Body of `rooms/create/`.
pub(crate) struct Create {
    access: Access,
}

impl Input for Create {
    fn read(fields: &mut Fields) -> Option<Self> {
        let is_private = fields.flag("is_private").unwrap_or(false);
        // Public rooms ignore the entry mode, whatever it is.
        let entry_mode = if is_private { fields.word("entry_mode") } else { None };
        let access = Access::parse(is_private, entry_mode.as_deref());
        access.map(|access| Self { access }).map_err(|why| fields.refuse("entry_mode", why.0)).ok()
    }
}

/// A room that was just opened.
#[derive(Serialize)]
pub(crate) struct Created {
    room_id: RoomId,
    code: String,
    is_private: bool,
    entry_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_password: Option<String>,
}

/// Opens a room with the caller as host.
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Json<Created>)> {
    app.take(Limit::rooms_by(caller.user)).await?;
    app.take(Limit::rooms_from(&caller.peer)).await?;
    let access = body.access;
    let password = (access == Access::Password).then(|| secrets::room_password(&*app.entropy));
    let password_mac = match &password {
        Some(password) => Some(secrets::room_password_mac(&app.secrets().await?.room_passwords, password)),
        None => None,
    };
    let now = app.now();
    let mut room = NewRoom {
        id: RoomId(app.entropy.uuid_v7(now.0)),
        code: RoomCode::draw(|| app.entropy.u32()),
        owner: caller.user,
        owner_name: caller.account.display_name,
        access,
        password_mac,
        settings: Settings::default(),
        max_members: DEFAULT_MAX_MEMBERS,
        created_at: now,
    };
    let mut draws = 1;
    while !inserted(&app, &room, &caller.origin).await? {
        if draws == DRAWS {
            return Err(ApiError::because(Code::TryAgain, "no free room code was drawn"));
        }
        draws += 1;
        room.code = RoomCode::draw(|| app.entropy.u32());
    }
    app.outbox.notify_one();
    let created = Created {
        room_id: room.id,
        code: room.code.to_string(),
        is_private: access.is_private(),
        entry_mode: access.entry_mode(),
        room_password: password.map(|password| password.expose_secret().to_owned()),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Keeps a room; false when its code is taken.
async fn inserted(app: &App, room: &NewRoom, origin: &Origin) -> Result<bool> {
    let mut tx = app.store.begin().await?;
    match rooms::insert(&mut tx, room).await {
        Ok(()) => {
            let after =
                json!({"is_private": room.access.is_private(), "entry_mode": room.access.entry_mode()});
            audit::write(app, &mut tx, origin.did(Audited::RoomCreated).in_room(room.id).into(after)).await?;
            tx.commit().await?;
            Ok(true)
        }
        Err(error) if error.conflict() == Some(Conflict::Code) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Body of `rooms/join/`.
pub(crate) struct Join {
    /// None when it can't be a code: such a room does not exist.
    code: Option<RoomCode>,
    password: Option<SecretString>,
}

impl Input for Join {
    fn read(fields: &mut Fields) -> Option<Self> {
        let code = fields.required("code", "Room code required", |code| Ok(code.parse().ok()));
        let password = fields.text("password").map(SecretString::from);
        Some(Self { code: code?, password })
    }
}

/// How a join came out.
#[derive(Debug, Serialize)]
pub(crate) struct Joined {
    room_id: RoomId,
    code: String,
    status: &'static str,
    is_host: bool,
}

/// Brings the caller into a room, or before its door. Harmless when done again, by any number of tabs at once.
pub(crate) async fn join(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Join>,
) -> Result<Json<Joined>> {
    let room = by_code(&app, &caller, &body.code.ok_or(Code::RoomNotFound)?).await?;
    let entry = participants::get(&mut app.store.read().await?, room.id, caller.user).await?;

    let decided = decide(&app, &caller, &room, entry.as_ref(), body.password.as_ref()).await;
    if let Err(refusal) = &decided {
        note_refusal(&app, &caller, &room, refusal).await?;
    }
    let standing = decided?;
    if !entry.as_ref().is_some_and(|entry| entry.standing == standing) {
        app.take(Limit::joins_by(caller.user)).await?;
        app.retrying(|| enter(&app, &room, &caller, standing)).await?;
    }
    Ok(Json(Joined {
        room_id: room.id,
        code: room.code.to_string(),
        status: standing.as_str(),
        is_host: room.host == caller.user,
    }))
}

/// Asks the rules, and counts wrong passwords.
async fn decide(
    app: &App,
    caller: &Caller,
    room: &Room,
    entry: Option<&Participant>,
    password: Option<&SecretString>,
) -> Result<Standing> {
    let before = entry.map(|entry| (entry.standing, entry.kicked_until));
    let is_in = matches!(before, Some((Standing::Approved, _)));
    let key = &app.secrets().await?.room_passwords;
    if room.access == Access::Password && !is_in {
        app.peek(Limit::room_passwords_by(caller.user)).await?;
        app.peek(Limit::room_passwords_for(room.id)).await?;
    }
    let is_host = room.host == caller.user;
    if !is_in && !is_host {
        let mut read = app.store.read().await?;
        if caller.account.is_guest {
            let network = app.hashed(&caller.peer.limit_key()).await?;
            if bans::covers(&mut read, room.id, &network, app.now()).await? {
                return Err(Code::Banned.into());
            }
        }
        let blocked = rooms::blocked_words(&mut read, room.id).await?;
        let name = caller.account.display_name.as_str();
        if WordFilter::new(blocked.iter().map(String::as_str)).blocks(name) {
            return Err(ApiError::new(
                Code::WordBlocked,
                "Your display name holds words that are not allowed in this room",
            ));
        }
    }
    let password_is_right = || match (&room.password_mac, password) {
        (Some(kept), Some(given)) => secrets::is_room_password(key, kept, given.expose_secret()),
        _ => false,
    };
    // Nobody locks out the one who opened the room.
    let is_locked = room.settings.is_locked && room.owner != caller.user;
    match room::join(room.life, room.access, is_locked, is_host, before, password_is_right, app.now()) {
        Ok(standing) => Ok(standing),
        Err(JoinRefusal::Ended(life)) => Err(ended_code(life).into()),
        Err(JoinRefusal::Banned) => Err(Code::Banned.into()),
        Err(JoinRefusal::Kicked) => Err(Code::Kicked.into()),
        Err(JoinRefusal::Locked) => Err(Code::RoomLocked.into()),
        Err(JoinRefusal::Password) => {
            // Only a guess counts: to come without one is to ask whether there is a password.
            if password.is_some() {
                app.take(Limit::room_passwords_by(caller.user)).await?;
                app.take(Limit::room_passwords_for(room.id)).await?;
            }
            Err(Code::RoomPassword.into())
        }
    }
}

/// Writes down that somebody was turned away: so often, that is, as tells the host what he has to know. Who goes on trying
/// does not fill the log.
async fn note_refusal(app: &App, caller: &Caller, room: &Room, refusal: &ApiError) -> Result<()> {
    let code = refusal.code();
    let is_told = matches!(code, Code::Banned | Code::Kicked | Code::RoomLocked | Code::RoomPassword);
    if is_told && app.take(Limit::refusals(caller.user)).await.is_ok() {
        let note = caller.origin.did(Audited::Refused).in_room(room.id).into(json!({"code": code.as_str()}));
        audit::write_alone(app, note).await?;
    }
    Ok(())
}

/// Writes the join down. What the host decided in the meantime stands.
async fn enter(app: &App, room: &Room, caller: &Caller, standing: Standing) -> Result<()> {
    let network = app.hashed(&caller.peer.limit_key()).await?;
    let mut tx = app.store.begin().await?;
    let name = &caller.account.display_name;
    let change = participants::upsert_join(&mut tx, room.id, caller.user, name, standing, app.now()).await?;
    match change.participant.standing {
        Standing::Banned => return Err(Code::Banned.into()),
        Standing::Kicked => return Err(Code::Kicked.into()),
        _ => {}
    }
    bans::note_network(&mut tx, room.id, caller.user, &network).await?;
    let action = if standing == Standing::Approved { Audited::Joined } else { Audited::Asked };
    audit::write(app, &mut tx, caller.origin.did(action).in_room(room.id)).await?;
    tx.commit().await?;
    if change.facts_changed {
        announce::facts(app, room.id, change.participant.changed_version).await;
    }
    Ok(())
}
