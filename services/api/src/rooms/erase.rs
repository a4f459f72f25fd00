//! `rooms/erase/`: taking back one message, or everything that somebody said.

use axum::extract::State;
use serde_json::{Value, json};
use streamit_domain::audit::Action as Audited;
use streamit_domain::room::Deed;
use streamit_domain::{RoomId, UserId};
use streamit_storage::chat::{self, Erasure, Range, Which};
use streamit_storage::{participants, rooms};
use streamit_wire::{Code, v1};

use super::{By, RoomRef, user_id};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::{Fields, Input, Json};
use crate::limits::Limit;
use crate::{announce, audit, convert};

/// Body of `rooms/erase/`: `seq` of a message, or `user_id` of whose are all meant.
pub(crate) struct Erase {
    room: RoomRef,
    which: Which,
}

impl Input for Erase {
    fn read(fields: &mut Fields) -> Option<Self> {
        let room = RoomRef::read(fields);
        let seq = fields.whole("seq", 1..=u32::MAX);
        let user = fields.parsed("user_id", user_id);
        let which = match (seq, user) {
            (Some(seq), None) => Some(Which::One(seq.into())),
            (None, Some(user)) => Some(Which::AllOf(user)),
            _ => {
                if !fields.is_refused() {
                    fields.refuse("seq", "Give either seq or user_id");
                }
                None
            }
        };
        Some(Self { room: room?, which: which? })
    }
}

/// `rooms/erase/`.
pub(crate) async fn erase(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Erase>,
) -> Result<Json<Value>> {
    let room = body.room.resolve(&app, &caller).await?;
    app.take(Limit::acts_by(caller.user)).await?;
    let erased = take_back(&app, room, &By::caller(&caller), body.which).await?;
    Ok(Json(json!({"erased": erased})))
}

/// Takes messages back, if `by` may, and tells the room's nodes. Gives how many: none, when that was done before.
pub(crate) async fn take_back(app: &App, room: RoomId, by: &By<'_>, which: Which) -> Result<u64> {
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let room = rooms::lock(&mut tx, room).await?.ok_or(Code::RoomNotFound)?;
        by.may_look_in(&mut tx, &room).await?;
        let author = author(&mut tx, room.id, which).await?;
        let entry = participants::get(&mut tx, room.id, author).await?;
        by.may(&mut tx, &room, author, entry.as_ref(), Deed::Erase).await?;
        let Some(erasure) = chat::erase(&mut tx, room.id, which, app.now()).await? else { return Ok(0) };
        let what = match which {
            Which::One(seq) => json!({"seq": seq}),
            Which::AllOf(_) => json!({"messages": erasure.count}),
        };
        let note = by.did(Audited::Erased).in_room(room.id).to(author).into(what);
        audit::write(app, &mut tx, note).await?;
        tx.commit().await?;
        let count = erasure.count;
        let (told, room) = (app.clone(), room.id);
        app.after_commit(async move { tell(&told, room, &erasure).await }).await;
        Ok(count)
    })
    .await
}

/// Whose messages are meant.
async fn author(tx: &mut streamit_storage::Tx, room: RoomId, which: Which) -> Result<UserId> {
    let seq = match which {
        Which::AllOf(user) => return Ok(user),
        Which::One(seq) => seq,
    };
    let range = Range { after: seq - 1, before: Some(seq + 1), limit: 1, newest: false };
    let found = chat::history(tx, room, range).await?;
    let message = found.and_then(|history| history.messages.into_iter().next());
    message.map(|message| message.user).ok_or_else(|| ApiError::new(Code::NotFound, "No such message"))
}

async fn tell(app: &App, room: RoomId, erasure: &Erasure) {
    let tombstones: Vec<_> = erasure.tombstones.iter().map(convert::message).collect();
    let (epoch, number) = (erasure.epoch, erasure.number);
    // Nodes of the release before know of one at a time.
    let tombstone = tombstones.first().cloned();
    let kind = v1::event::Kind::Erased(v1::Erased { epoch, tombstone, tombstones, number });
    announce::publish(app, room, kind).await;
}
