//! `rooms/<code>/messages/`: what was said, page by page, backwards.

use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;
use streamit_storage::chat::{self, Range};
use streamit_wire::Code;
use streamit_wire::frame::server::{CHAT_PREFIX, chat_message};

use super::{alive, by_code, member};
use crate::app::App;
use crate::convert;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::Json;
use crate::http::path::{CodeInPath, Query};

/// How many messages a page has unless asked otherwise.
const PAGE: u32 = 50;
/// And at most.
const MOST: u32 = 200;

/// One page, oldest first, each message as `CHAT_HISTORY` lists it.
#[derive(Serialize)]
pub(crate) struct Page {
    messages: Vec<Box<RawValue>>,
    /// The highest `seq` given out.
    head: u64,
    /// Messages below this one are gone.
    kept_from: u64,
    epoch: u64,
    /// Whether there is an earlier page: `?before=` the first `seq` of this one.
    has_more: bool,
}

/// `rooms/<code>/messages/?before=<seq>&limit=`, for those who are in the room.
pub(crate) async fn page(
    State(app): State<App>,
    caller: Caller,
    CodeInPath(code): CodeInPath,
    query: Query,
) -> Result<Json<Page>> {
    let limit = query.limit(PAGE, MOST)?;
    let before = query.number("before", 0)?;
    let room = by_code(&app, &caller, &code).await?;
    alive(&room)?;
    let mut read = app.store.read().await?;
    if member(&mut read, &room, caller.user).await?.is_none() {
        return Err(Code::NotApproved.into());
    }
    let range = Range { after: 0, before: (before > 0).then_some(before), limit, newest: true };
    let history = chat::history(&mut read, room.id, range).await?.ok_or(Code::RoomNotFound)?;
    drop(read);

    let first = history.messages.first().map(|message| message.seq);
    let messages: Result<Vec<_>, _> = history.messages.iter().map(entry).collect();
    Ok(Json(Page {
        messages: messages.map_err(|error| ApiError::because(Code::Internal, error))?,
        head: history.head,
        kept_from: history.kept_from,
        epoch: history.epoch,
        has_more: first.is_some_and(|seq| seq > history.kept_from),
    }))
}

fn entry(message: &chat::Message) -> Result<Box<RawValue>, serde_json::Error> {
    let frame = chat_message(&convert::message(message));
    RawValue::from_string(format!("{{{}", frame.strip_prefix(CHAT_PREFIX).unwrap_or(&frame)))
}
