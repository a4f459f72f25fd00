//! What people reported: the queue, and deciding about it.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, Render, html};
use streamit_domain::report::State as Decision;
use streamit_domain::{RoomId, UserId};
use streamit_storage::reports::{self, Filter, Report};
use streamit_storage::users;
use streamit_wire::Code;
use uuid::Uuid;

use super::ask::{self, Question};
use super::filter::{Filters, ROWS};
use super::form::{Named, Posted};
use super::gate::Staff;
use super::{frame, parts};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;
use crate::staff;

const PLACE: &str = "/admin/reports/";

const STATES: [(&str, &str, Option<Decision>); 4] = [
    ("open", "Open", Some(Decision::Open)),
    ("acted", "Acted on", Some(Decision::Acted)),
    ("dismissed", "Dismissed", Some(Decision::Dismissed)),
    ("any", "All", None),
];

/// What can be decided.
const DECISIONS: [(&str, &str, Decision); 2] = [
    ("acted", "Something was done about it", Decision::Acted),
    ("dismissed", "Nothing has to be done", Decision::Dismissed),
];

/// `/admin/reports/`.
pub(crate) async fn list(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let mut filters = Filters::of(&query, PLACE);
    let state = filters.choice("state", "State", &STATES);
    let room = filters.parsed::<RoomId>("room", "Room", "an id");
    let user = filters.parsed::<UserId>("user", "About", "an id");
    let place = filters.place();
    let (mut found, mut links) = (Vec::new(), (None, None));
    if filters.is_fine() {
        let mut read = app.store.read().await?;
        let filter = Filter { state, room, user };
        found = match place.newer_than() {
            Some(after) => reports::list_newer(&mut read, filter, after, ROWS + 1).await?,
            None => reports::list(&mut read, filter, place.older_than(), ROWS + 1).await?,
        };
        links = place.cut(&mut found, |report| report.id);
    }
    let body = html! { h1 { "Reports" } (filters) (table(&found)) (filters.links(links.0, links.1)) };
    Ok(frame::with_status(frame::page(&staff, PLACE, "Reports", &query, &body), filters.status()))
}

/// Reports.
pub(super) fn table(found: &[Report]) -> impl Render {
    parts::Table {
        caption: "Reports",
        columns: &["Reason", "About", "Room", "By", "Reported", "State"],
        rows: found.iter().map(row).collect(),
        empty: "There are no reports.",
    }
}

fn row(report: &Report) -> Vec<Markup> {
    vec![
        html! {
            a href={ (PLACE) (report.id) "/" } { (report.reason.as_str()) span.unseen { ": look at it" } }
            @if let Some(quote) = &report.quote { div.soft { q.said { (quote) } } }
        },
        about(report),
        html! { a.code href={ "/admin/rooms/" (report.room) "/" } { (report.room_code) } },
        parts::person(report.reporter, report.reporter_name.as_str()),
        parts::time(report.created_at),
        state(report.state),
    ]
}

fn about(report: &Report) -> Markup {
    match (report.user, &report.user_name) {
        (Some(user), Some(name)) => parts::person(user, name.as_str()),
        _ => html! { "the room" },
    }
}

fn state(state: Decision) -> Markup {
    match state {
        Decision::Open => parts::badge("bad", "Open"),
        Decision::Acted => parts::badge("good", "Acted on"),
        Decision::Dismissed => parts::badge("", "Dismissed"),
    }
}

async fn found(app: &App, named: &Named) -> Result<Report> {
    let id: Uuid = named.id("report")?;
    reports::get(&mut app.store.read().await?, id).await?.ok_or_else(|| Code::NotFound.into())
}

fn facts(report: &Report) -> Markup {
    let room = format!("/admin/rooms/{}/", report.room);
    parts::facts(&[
        ("Reason", html! { (report.reason.as_str()) }),
        (
            "About",
            html! {
                (about(report))
                @if let Some(user) = report.user { " " a href={ (room) "people/" (user) "/" } { "act on them in the room" } }
            },
        ),
        ("Room", html! { a.code href=(room) { (report.room_code) } }),
        (
            "Message",
            html! {
                @if let Some(seq) = report.seq {
                    @if let Some(quote) = &report.quote { q.said { (quote) } " " }
                    a href={ (room) "messages/" (seq) "/erase/" } { "erase no. " (seq) }
                } @else { (parts::none()) }
            },
        ),
        ("Note", report.note.as_ref().map_or_else(parts::none, |note| html! { span.said { (note) } })),
        ("Reported by", parts::person(report.reporter, report.reporter_name.as_str())),
        ("Reported", parts::time(report.created_at)),
        ("State", state(report.state)),
    ])
}

fn question(report: &Report) -> Question {
    Question {
        place: PLACE,
        title: "Report".to_owned(),
        what: facts(report),
        fields: html! {
            div {
                label for="decision" { "Decision" }
                select #decision name="decision" { @for (word, label, _) in DECISIONS { option value=(word) { (label) } } }
            }
        },
        button: "Decide",
        back: PLACE.to_owned(),
    }
}

/// A report, and what is decided about it.
pub(crate) async fn show(
    State(app): State<App>,
    staff: Staff,
    named: Named,
    query: Query,
) -> Result<Response> {
    let report = found(&app, &named).await?;
    if report.state == Decision::Open {
        return Ok(question(&report).page(&staff));
    }
    let keeper = match report.handled_by {
        Some(user) => users::by_id(&mut app.store.read().await?, user).await?,
        None => None,
    };
    let body = html! {
        h1 { "Report" }
        (facts(&report))
        (parts::facts(&[
            ("Decided", parts::maybe_time(report.handled_at)),
            ("By", keeper.map_or_else(parts::none, |user| parts::person(user.id, user.display_name.as_str()))),
            ("Because", report.resolution.as_ref().map_or_else(parts::none, |why| html! { (why) })),
        ]))
    };
    Ok(frame::page(&staff, PLACE, "Report", &query, &body))
}

/// Decides about it.
pub(crate) async fn decide(State(app): State<App>, named: Named, posted: Posted) -> Result<Response> {
    let Posted { staff, fields } = posted;
    let report = found(&app, &named).await?;
    let question = question(&report);
    let word = fields.text("decision");
    let decision = DECISIONS.into_iter().find(|(known, ..)| *known == word).map(|(.., decision)| decision);
    let (reason, decision) = match (fields.reason(), decision) {
        (Ok(reason), Some(decision)) => (reason, decision),
        (Err(why), _) => return Ok(question.again(&staff, &fields, StatusCode::BAD_REQUEST, &why)),
        (_, None) => {
            return Ok(question.again(&staff, &fields, StatusCode::BAD_REQUEST, "Choose a decision"));
        }
    };
    match staff::reports::handle(&app, &staff.because(reason), report.id, decision).await {
        Ok(()) => Ok(ask::done(PLACE, "report")),
        Err(error) => ask::failed(&question, &staff, &fields, error),
    }
}
