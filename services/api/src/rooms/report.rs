//! `rooms/report/`: telling staff of somebody, of something said, or of a room.

use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use streamit_domain::audit::Action as Audited;
use streamit_domain::report::{MAX_NOTE, Reason};
use streamit_domain::{Invalid, UserId};
use streamit_storage::chat::{self, Range};
use streamit_storage::participants;
use streamit_storage::reports::{self, NewReport};
use streamit_wire::Code;

use super::{RoomRef, user_id};
use crate::app::App;
use crate::audit;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::{Fields, Input, Json};
use crate::limits::Limit;

/// Body of `rooms/report/`.
pub(crate) struct Report {
    room: RoomRef,
    user: Option<UserId>,
    seq: Option<u32>,
    reason: Reason,
    note: Option<String>,
}

impl Input for Report {
    fn read(fields: &mut Fields) -> Option<Self> {
        let room = RoomRef::read(fields);
        let user = fields.parsed("user_id", user_id);
        let seq = fields.whole("seq", 1..=u32::MAX);
        let reason = fields.required("reason", "reason required", str::parse);
        let note = fields.parsed("note", note);
        if reason == Some(Reason::Other) && note.is_none() && !fields.is_refused() {
            fields.refuse("note", "Say what it is about");
        }
        Some(Self { room: room?, user, seq, reason: reason?, note })
    }
}

fn note(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= MAX_NOTE && !text.contains('\0');
    fits.then(|| text.to_owned()).ok_or(Invalid("note must have 1 to 1000 characters"))
}

/// `rooms/report/`, for everybody who is or was in the room: who was thrown out may have a reason, too.
pub(crate) async fn report(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Report>,
) -> Result<(StatusCode, Json<Value>)> {
    let room = body.room.resolve(&app, &caller).await?;
    app.take(Limit::reports_by(caller.user)).await?;
    app.take(Limit::reports_from(&caller.peer)).await?;
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let own = participants::get(&mut tx, room, caller.user).await?;
    if own.is_none_or(|own| own.joined_at.is_none()) {
        return Err(Code::NotApproved.into());
    }
    let mut user = body.user;
    if let Some(seq) = body.seq.map(u64::from) {
        let range = Range { after: seq - 1, before: Some(seq + 1), limit: 1, newest: false };
        let found =
            chat::history(&mut tx, room, range).await?.and_then(|found| found.messages.into_iter().next());
        let author = found.map(|message| message.user);
        if author.is_none() || user.is_some_and(|user| Some(user) != author) {
            return Err(ApiError::new(Code::NotFound, "No such message"));
        }
        user = author;
    }
    if let Some(user) = user
        && participants::get(&mut tx, room, user).await?.is_none()
    {
        return Err(ApiError::new(Code::NotFound, "No such participant"));
    }
    let new = NewReport {
        id: app.entropy.uuid_v7(now.0),
        room,
        reporter: caller.user,
        user,
        seq: body.seq.map(u64::from),
        reason: body.reason,
        note: body.note,
        created_at: now,
    };
    let id = reports::insert(&mut tx, &new).await?;
    if id == new.id {
        let what = json!({"report": id, "reason": body.reason.as_str(), "seq": body.seq});
        let note = caller.origin.did(Audited::Reported).in_room(room).into(what);
        let note = if let Some(user) = user { note.to(user) } else { note };
        audit::write(&app, &mut tx, note).await?;
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(json!({"report_id": id}))))
}
