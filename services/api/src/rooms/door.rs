//! What one sees of a room from outside: whether it asks for a password, and how one stands with it.

use axum::extract::State;
use serde::Serialize;
use streamit_domain::room::Standing;
use streamit_storage::participants;

use super::{alive, by_code};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::Result;
use crate::http::json::Json;
use crate::http::path::CodeInPath;

/// A room as somebody sees it who stands before it. Nothing in it that a try to join would not tell as well.
#[derive(Serialize)]
pub(crate) struct Door {
    code: String,
    is_private: bool,
    entry_mode: Option<&'static str>,
    /// How the caller stands with the room; null for somebody who never came, or whose kick is over.
    status: Option<Standing>,
    is_host: bool,
}

/// `rooms/<code>/door/`: open to everybody known, so that a page can ask for a password before it tries one, and wait
/// for the host without asking again and again.
pub(crate) async fn door(
    State(app): State<App>,
    caller: Caller,
    CodeInPath(code): CodeInPath,
) -> Result<Json<Door>> {
    let room = by_code(&app, &caller, &code).await?;
    alive(&room)?;
    let mine = participants::get(&mut app.store.read().await?, room.id, caller.user).await?;
    let now = app.now();
    let is_over = |until: Option<_>| until.is_none_or(|until| until <= now);
    let mine = mine.filter(|entry| entry.standing != Standing::Kicked || !is_over(entry.kicked_until));
    Ok(Json(Door {
        code: room.code.to_string(),
        is_private: room.access.is_private(),
        entry_mode: room.access.entry_mode(),
        status: mine.map(|entry| entry.standing),
        is_host: room.host == caller.user,
    }))
}
