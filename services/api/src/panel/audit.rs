//! Who did what: the list, and its export.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use maud::{Markup, Render, html};
use serde_json::{Value, json};
use streamit_domain::audit::{Action, ActorKind};
use streamit_domain::{RoomId, UserId};
use streamit_storage::audit::{self, Entry, Filter};
use streamit_wire::Code;
use streamit_wire::frame::rfc3339;
use uuid::Uuid;

use super::filter::{Filters, ROWS};
use super::gate::Staff;
use super::{frame, parts};
use crate::app::App;
use crate::audit::write_alone;
use crate::http::error::{ApiError, Result};
use crate::http::path::Query;

const PLACE: &str = "/admin/audit/";
/// How many rows of an export are read at once.
const AT_ONCE: u32 = 500;

/// Reads what is asked for; notes in `filters` what is wrong.
fn wanted(filters: &mut Filters<'_>) -> Filter {
    let mut words: Vec<(&'static str, &'static str, Option<Action>)> = vec![("any", "All", None)];
    words.extend(Action::ALL.iter().map(|action| (action.as_str(), action.as_str(), Some(*action))));
    let action = filters.choice("action", "Action", &words);
    let actor = filters.parsed::<UserId>("by", "Done by", "an id");
    let target = filters.parsed::<UserId>("about", "Done to", "an id");
    let room = filters.parsed::<RoomId>("room", "Room", "an id");
    let since = filters.moment("since", "Since");
    let until = filters.moment("until", "Until");
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        filters.refuse("Since has to lie before Until");
    }
    Filter { room, actor, target, actions: action.into_iter().collect(), since, until }
}

/// `/admin/audit/`.
pub(crate) async fn list(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let mut filters = Filters::of(&query, PLACE);
    let filter = wanted(&mut filters);
    let place = filters.place();
    let (mut entries, mut links) = (Vec::new(), (None, None));
    if filters.is_fine() {
        let mut read = app.store.read().await?;
        entries = match place.newer_than() {
            Some(after) => audit::list_newer(&mut read, &filter, after, ROWS + 1).await?,
            None => audit::list(&mut read, &filter, place.older_than(), ROWS + 1).await?,
        };
        links = place.cut(&mut entries, |entry| entry.record.id);
    }
    let body = html! {
        h1 { "Audit" }
        (filters)
        @if filters.is_fine() && !entries.is_empty() {
            p.row {
                "Export: "
                a href=(filters.link("/admin/audit/export.csv", &[])) download { "CSV" }
                a href=(filters.link("/admin/audit/export.jsonl", &[])) download { "JSON lines" }
            }
        }
        (table(&entries))
        (filters.links(links.0, links.1))
    };
    Ok(frame::with_status(frame::page(&staff, PLACE, "Audit", &query, &body), filters.status()))
}

/// Rows of the log.
pub(super) fn table(entries: &[Entry]) -> impl Render {
    parts::Table {
        caption: "Audit log",
        columns: &["What", "When", "By", "To", "Room", "More"],
        rows: entries.iter().map(row).collect(),
        empty: "Nothing is written down.",
    }
}

fn row(entry: &Entry) -> Vec<Markup> {
    let record = &entry.record;
    let person = |id: Option<UserId>, name: Option<String>| match id {
        Some(id) => parts::person(id, name.unwrap_or_else(|| id.to_string()).as_str()),
        None => parts::none(),
    };
    let name = |name: &Option<streamit_domain::DisplayName>| name.as_ref().map(ToString::to_string);
    vec![
        html! { code { (record.action) } },
        parts::time(record.at),
        html! {
            @match record.actor_kind {
                ActorKind::System => "the service",
                ActorKind::Unknown => "unknown",
                ActorKind::Staff => { (person(record.actor, name(&entry.actor_name))) " " (parts::badge("strong", "Staff")) }
                _ => (person(record.actor, name(&entry.actor_name))),
            }
        },
        person(record.target, name(&entry.target_name)),
        match (record.room, &entry.room_code) {
            (Some(room), Some(code)) => html! { a.code href={ "/admin/rooms/" (room) "/" } { (code) } },
            _ => parts::none(),
        },
        html! {
            @if let Some(reason) = &record.reason { div { q { (reason) } } }
            @if let Some(before) = &record.before { div.soft { "before " code { (before) } } }
            @if let Some(after) = &record.after { div.soft { "after " code { (after) } } }
            @if let Some(address) = &record.address { div.soft { "from " (address) } }
            @if let Some(id) = &record.request_id { div.soft { "request " code { (id) } } }
        },
    ]
}

/// `/admin/audit/export.csv`.
pub(crate) async fn csv(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    export(app, staff, query, "csv").await
}

/// `/admin/audit/export.jsonl`.
pub(crate) async fn json_lines(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    export(app, staff, query, "jsonl").await
}

async fn export(app: App, staff: Staff, query: Query, form: &'static str) -> Result<Response> {
    let mut filters = Filters::of(&query, PLACE);
    let filter = wanted(&mut filters);
    if !filters.is_fine() {
        return Err(ApiError::new(Code::Invalid, "These filters can't be understood"));
    }
    let note = staff.origin.did(Action::AuditExported).into(json!({"as": form, "filter": query.text()}));
    write_alone(&app, note).await?;
    let is_csv = form == "csv";
    let head = if is_csv { Bytes::from_static(HEAD.as_bytes()) } else { Bytes::new() };
    // A page at a time, so that nobody's memory holds all of it; who reads slowly is read for slowly.
    let rows = stream::try_unfold(Some(None), move |place: Option<Option<Uuid>>| {
        let (app, filter) = (app.clone(), filter.clone());
        async move {
            let Some(before) = place else { return Ok::<_, streamit_storage::Error>(None) };
            let mut read = app.store.read().await?;
            let entries = audit::list(&mut read, &filter, before, AT_ONCE).await?;
            let last =
                entries.last().filter(|_| entries.len() == AT_ONCE as usize).map(|entry| entry.record.id);
            let lines: String = entries.iter().map(if is_csv { csv_line } else { json_line }).collect();
            Ok(Some((Bytes::from(lines), last.map(Some))))
        }
    });
    let body = Body::from_stream(stream::StreamExt::chain(stream::iter([Ok(head)]), rows));
    let kind =
        if is_csv { "text/csv; charset=utf-8; header=present" } else { "application/jsonl; charset=utf-8" };
    let file = format!("attachment; filename=\"audit.{form}\"");
    Ok(([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, file)], body).into_response())
}

const HEAD: &str = "id,at,action,actor_kind,actor_id,actor,target_id,target,room_id,room,address,before,after,reason,request_id\r\n";

fn csv_line(entry: &Entry) -> String {
    let record = &entry.record;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let name = |name: &Option<streamit_domain::DisplayName>| {
        name.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    let cells = [
        record.id.to_string(),
        rfc3339(record.at),
        record.action.to_string(),
        record.actor_kind.as_str().to_owned(),
        id(record.actor.map(|user| user.0)),
        name(&entry.actor_name),
        id(record.target.map(|user| user.0)),
        name(&entry.target_name),
        id(record.room.map(|room| room.0)),
        text(&entry.room_code),
        text(&record.address),
        text(&record.before),
        text(&record.after),
        text(&record.reason),
        text(&record.request_id),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell as RFC 4180 writes it. Spreadsheets take what begins like a formula for one, so that gets a mark before it.
fn csv_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn json_line(entry: &Entry) -> String {
    let record = &entry.record;
    let value = |text: &Option<String>| -> Value {
        text.as_ref().map_or(Value::Null, |text| {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        })
    };
    let line = json!({
        "id": record.id, "at": rfc3339(record.at), "action": record.action.as_str(),
        "actor_kind": record.actor_kind.as_str(), "actor_id": record.actor,
        "actor": entry.actor_name.as_ref().map(ToString::to_string),
        "target_id": record.target, "target": entry.target_name.as_ref().map(ToString::to_string),
        "room_id": record.room, "room": entry.room_code, "address": record.address,
        "before": value(&record.before), "after": value(&record.after), "reason": record.reason,
        "request_id": record.request_id,
    });
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas_and_hold_what_they_hold() {
        for (text, cell) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("\t=1", "'\t=1"),
            ("=A1,\"x\"", "\"'=A1,\"\"x\"\"\""),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
