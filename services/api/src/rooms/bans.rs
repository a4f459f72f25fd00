//! `rooms/<code>/bans/`: who was banned, for those who may let them in again.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use streamit_domain::UserId;
use streamit_domain::room::Standing;
use streamit_storage::participants;
use streamit_wire::Code;

use super::listing::{Cursor, next_page};
use super::{alive, authority, by_code};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::Json;
use crate::http::path::{CodeInPath, Query};

/// How many people a page has at most.
const PAGE: u32 = 500;

/// `rooms/<code>/bans/?cursor=`, paged as participants are.
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    CodeInPath(code): CodeInPath,
    query: Query,
) -> Result<Response> {
    let limit = query.limit(PAGE, PAGE)?;
    let after = Cursor::read(&query)?.map(|(at, id)| (at, UserId(id)));
    let room = by_code(&app, &caller, &code).await?;
    alive(&room)?;
    let mut read = app.store.read().await?;
    if !authority::is_in_charge(&mut read, &room, caller.user).await? {
        return Err(ApiError::new(Code::HostOnly, "Only the host and co-hosts can do that"));
    }
    let mut banned = participants::list(&mut read, room.id, &[Standing::Banned], after, limit + 1).await?;
    drop(read);
    let more = banned.len() > limit as usize;
    banned.truncate(limit as usize);
    let link = more.then(|| banned.last().map(|entry| (entry.created_at, entry.user.0))).flatten();
    let view = |entry: participants::Participant| json!({"id": entry.user, "display_name": entry.name, "is_guest": entry.is_guest});
    let views: Vec<Value> = banned.into_iter().map(view).collect();
    let base = format!("/api/rooms/{code}/bans/?");
    Ok((next_page(&base, link, limit), Json(views)).into_response())
}
