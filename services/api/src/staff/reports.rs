//! What staff decides about reports.

use serde_json::json;
use streamit_domain::audit::Action;
use streamit_domain::report::State;
use streamit_storage::reports;
use streamit_wire::Code;
use uuid::Uuid;

use super::By;
use crate::app::App;
use crate::audit;
use crate::http::error::{ApiError, Result};

/// Decides about a report, once.
pub(crate) async fn handle(app: &App, by: &By, id: Uuid, state: State) -> Result<()> {
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let report = reports::get(&mut tx, id).await?.ok_or(Code::NotFound)?;
        if !reports::handle(&mut tx, id, state, by.user, &by.reason, app.now()).await? {
            return Err(ApiError::new(Code::Conflict, "Somebody has decided about this report already"));
        }
        let note = by.origin.did(Action::ReportHandled).in_room(report.room);
        let note = if let Some(user) = report.user { note.to(user) } else { note };
        let note = note.into(json!({"report": id, "state": state.as_str()})).because(Some(&by.reason));
        audit::write(app, &mut tx, note).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}
