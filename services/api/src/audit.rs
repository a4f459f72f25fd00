//! Writing down who did what. A row goes in with the transaction that does it: what did not happen is not in the log, and
//! what happened is.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde_json::{Value, json};
use streamit_domain::audit::{Action, ActorKind, truncated};
use streamit_domain::{RoomId, Timestamp, UserId};
use streamit_edge::Peer;
use streamit_storage::audit::{self, Record};
use streamit_storage::rooms::Returned;
use streamit_storage::users::{self, User};
use streamit_storage::{Result, Tx};
use streamit_wire::v1;

use crate::app::App;

/// The most bytes of JSON that a row keeps of before, and of after.
const MAX_VALUE: usize = 2_048;

/// The request's id, as logs name it. A layer puts it into each request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// Who does something, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    kind: ActorKind,
    actor: Option<UserId>,
    address: Option<String>,
    request_id: Option<Arc<str>>,
}

impl Origin {
    /// The service itself, since a time has passed.
    pub(crate) const fn system() -> Self {
        Self { kind: ActorKind::System, actor: None, address: None, request_id: None }
    }

    /// Somebody in a room, by a node's word.
    pub(crate) const fn member(user: UserId, is_guest: bool) -> Self {
        let kind = if is_guest { ActorKind::Guest } else { ActorKind::User };
        Self { kind, actor: Some(user), address: None, request_id: None }
    }

    /// Somebody unknown, who made a request.
    pub(crate) fn stranger(peer: &Peer, request_id: Option<&RequestId>) -> Self {
        Self {
            kind: ActorKind::Unknown,
            actor: None,
            address: Some(truncated(peer.address)),
            request_id: request_id.map(|id| id.0.clone()),
        }
    }

    /// The same, now that it is known who it is.
    pub(crate) fn known(self, user: &User) -> Self {
        self.known_as(user.id, user.is_guest)
    }

    /// The same, for somebody who has just become known.
    pub(crate) fn known_as(self, user: UserId, is_guest: bool) -> Self {
        Self { kind: if is_guest { ActorKind::Guest } else { ActorKind::User }, actor: Some(user), ..self }
    }

    /// The same, acting in the panel.
    pub(crate) fn staff(self, user: UserId) -> Self {
        Self { kind: ActorKind::Staff, actor: Some(user), ..self }
    }

    /// Says what was done.
    pub(crate) fn did(&self, action: Action) -> Note {
        Note {
            origin: self.clone(),
            action,
            room: None,
            target: None,
            before: None,
            after: None,
            reason: None,
        }
    }
}

/// Where a request comes from, before it is known from whom.
impl FromRequestParts<App> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let peer = Peer::of_request(parts, &app.config.trusted_proxies);
        Ok(Self::stranger(&peer, parts.extensions.get::<RequestId>()))
    }
}

/// Something that was done, to be written down.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    origin: Origin,
    action: Action,
    room: Option<RoomId>,
    target: Option<UserId>,
    before: Option<Value>,
    after: Option<Value>,
    reason: Option<String>,
}

impl Note {
    /// In which room.
    pub(crate) fn in_room(self, room: RoomId) -> Self {
        Self { room: Some(room), ..self }
    }

    /// To whom.
    pub(crate) fn to(self, user: UserId) -> Self {
        Self { target: Some(user), ..self }
    }

    /// What was before.
    pub(crate) fn from(self, before: Value) -> Self {
        Self { before: Some(before), ..self }
    }

    /// What is after.
    pub(crate) fn into(self, after: Value) -> Self {
        Self { after: Some(after), ..self }
    }

    /// Why.
    pub(crate) fn because(self, reason: Option<&str>) -> Self {
        Self { reason: reason.map(str::to_owned), ..self }
    }

    fn at(self, id: uuid::Uuid, at: Timestamp) -> Record {
        Record {
            id,
            at,
            action: self.action,
            actor_kind: self.origin.kind,
            actor: self.origin.actor,
            room: self.room,
            target: self.target,
            address: self.origin.address,
            before: self.before.map(|value| bounded(&value)),
            after: self.after.map(|value| bounded(&value)),
            reason: self.reason,
            request_id: self.origin.request_id.map(|id| id.to_string()),
        }
    }
}

/// A value as it is kept: of what is too long, how long it was.
fn bounded(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= MAX_VALUE { text } else { json!({"too_long": text.len()}).to_string() }
}

/// A room went back to its host.
pub(crate) fn returned(back: &Returned) -> Note {
    let (from, to) = (json!({"host": back.from}), json!({"host": back.host}));
    Origin::system().did(Action::HostReturned).in_room(back.room).to(back.host).from(from).into(to)
}

/// Playback commands that a node carried out. What can't be read is left out.
pub(crate) async fn playback(app: &App, acts: &[v1::PlaybackAct]) -> Result<Vec<Record>> {
    if acts.is_empty() {
        return Ok(Vec::new());
    }
    let users = acts.iter().filter_map(|act| UserId::from_slice(&act.user).ok());
    let guests = users::guests_among(&mut app.store.read().await?, users).await?;
    let read = |act: &v1::PlaybackAct| {
        let deed = match v1::PlaybackDeed::try_from(act.deed).ok()? {
            v1::PlaybackDeed::Unspecified => return None,
            v1::PlaybackDeed::Play => "PLAY",
            v1::PlaybackDeed::Pause => "PAUSE",
            v1::PlaybackDeed::Seek => "SEEK",
        };
        let (user, room) = (UserId::from_slice(&act.user).ok()?, RoomId::from_slice(&act.room).ok()?);
        let note = Origin::member(user, guests.contains(&user)).did(Action::Playback).in_room(room);
        let note = note.into(json!({"command": deed, "time": act.time, "version": act.version}));
        Some(note.at(uuid::Uuid::from_slice(&act.id).ok()?, Timestamp(act.at)))
    };
    Ok(acts.iter().filter_map(read).collect())
}

/// Writes down what the transaction does.
pub(crate) async fn write(app: &App, tx: &mut Tx, note: Note) -> Result<()> {
    let now = app.now();
    audit::insert(tx, &[note.at(app.entropy.uuid_v7(now.0), now)]).await?;
    Ok(())
}

/// Writes down something that changes nothing else.
pub(crate) async fn write_alone(app: &App, note: Note) -> Result<()> {
    let mut tx = app.store.begin().await?;
    write(app, &mut tx, note).await?;
    tx.commit().await
}
