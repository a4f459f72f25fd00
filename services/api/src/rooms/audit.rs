//! `rooms/<code>/audit/`: what was done in a room, for its host.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use streamit_domain::audit::{Action, ActorKind};
use streamit_storage::audit::{self, Entry, Filter};
use streamit_wire::Code;
use streamit_wire::frame::rfc3339;
use uuid::Uuid;

use super::by_code;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::Json;
use crate::http::path::{CodeInPath, Query};

/// How many entries a page has unless asked otherwise.
const PAGE: u32 = 50;
/// And at most.
const MOST: u32 = 200;

/// `rooms/<code>/audit/?before=<id>&limit=&action=`, the newest first. From where things were done is for staff alone.
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    CodeInPath(code): CodeInPath,
    query: Query,
) -> Result<Response> {
    let limit = query.limit(PAGE, MOST)?;
    let before = query.get("before").map(|id| {
        Uuid::try_parse(id).map_err(|_| ApiError::field("before", "before must be the id of an entry"))
    });
    let before = before.transpose()?;
    let actions = match query.get("action") {
        None => Action::ALL.iter().copied().filter(|action| action.is_for_hosts()).collect(),
        Some(word) => {
            let known = word.parse::<Action>().ok().filter(|action| action.is_for_hosts());
            vec![known.ok_or_else(|| ApiError::field("action", "No such action"))?]
        }
    };
    let room = by_code(&app, &caller, &code).await?;
    if room.host != caller.user {
        return Err(Code::HostOnly.into());
    }
    let filter = Filter { room: Some(room.id), actions, ..Filter::default() };
    let mut read = app.store.read().await?;
    let mut entries = audit::list(&mut read, &filter, before, limit + 1).await?;
    drop(read);
    let has_more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let entries: Vec<Value> = entries.iter().map(view).collect();
    Ok(Json(json!({"entries": entries, "has_more": has_more})).into_response())
}

fn view(entry: &Entry) -> Value {
    let record = &entry.record;
    // Who of the staff it was, and why, may be about somebody who complained.
    let is_staff = record.actor_kind == ActorKind::Staff;
    let person = |id: Option<streamit_domain::UserId>, name: Option<&str>| {
        id.map(|id| json!({"id": id, "name": name}))
    };
    json!({
        "id": record.id,
        "at": rfc3339(record.at),
        "action": record.action.as_str(),
        "actor_kind": record.actor_kind.as_str(),
        "actor": person(record.actor.filter(|_| !is_staff), entry.actor_name.as_ref().map(|name| name.as_str())),
        "target": person(record.target, entry.target_name.as_ref().map(|name| name.as_str())),
        "before": parsed(record.before.as_deref()),
        "after": parsed(record.after.as_deref()),
        "reason": record.reason.as_ref().filter(|_| !is_staff),
    })
}

/// JSON as it was kept.
fn parsed(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}
