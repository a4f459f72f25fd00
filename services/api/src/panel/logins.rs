//! Sessions of viewers: the list, and ending one.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Render, html};
use streamit_domain::{Timestamp, UserId};
use streamit_storage::panel::logins::{self, Login};
use streamit_wire::Code;

use super::ask::{self, Question};
use super::filter::Filters;
use super::form::{Named, Posted};
use super::gate::Staff;
use super::users::{ORDER, nothing};
use super::{frame, parts};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;
use crate::staff::accounts;

const PLACE: &str = "/admin/sessions/";

/// `/admin/sessions/`.
pub(crate) async fn list(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let mut filters = Filters::of(&query, PLACE);
    let user = filters.parsed::<UserId>("user", "Of", "an id");
    let is_live = filters.choice("state", "State", &[("any", "All", false), ("live", "Live", true)]);
    let order = filters.choice("sort", "Sort", &ORDER);
    let (window, now) = (filters.window(order), app.now());
    let page = if filters.is_fine() {
        logins::list(&mut app.store.read().await?, user, is_live.then_some(now), window).await?
    } else {
        nothing()
    };
    let body = html! { h1 { "Sessions" } (filters) (table(&page.rows, now)) (filters.pager(&page)) };
    Ok(frame::with_status(frame::page(&staff, PLACE, "Sessions", &query, &body), filters.status()))
}

/// Sessions, as they are at `now`.
pub(super) fn table(logins: &[Login], now: Timestamp) -> impl Render {
    parts::Table {
        caption: "Sessions",
        columns: &["Of", "State", "Began", "Ends", "Client", "Action"],
        rows: logins
            .iter()
            .map(|login| {
                let is_live = login.is_live(now);
                vec![
                    parts::person(login.user, login.name.as_str()),
                    match login.revoked_at {
                        _ if is_live => parts::badge("good", "Live"),
                        Some(at) => html! { (parts::badge("bad", "Ended")) " " (parts::time(at)) },
                        None => parts::badge("", "Run out"),
                    },
                    parts::time(login.created_at),
                    parts::time(login.expires_at),
                    login.user_agent.as_ref().map_or_else(parts::none, |agent| html! { (agent) }),
                    html! {
                        @if is_live {
                            a href={ (PLACE) (login.id) "/end/" } { "End" span.unseen { " the session of " (login.name) } }
                        } @else { (parts::none()) }
                    },
                ]
            })
            .collect(),
        empty: "There are no sessions.",
    }
}

async fn question(app: &App, named: &Named) -> Result<(Login, Question)> {
    let login =
        logins::one(&mut app.store.read().await?, named.id("session")?).await?.ok_or(Code::NotFound)?;
    let question = Question {
        place: PLACE,
        title: format!("End a session of {}", login.name),
        what: html! {
            p { "The session that began " (parts::time(login.created_at)) " ends, and its sockets are closed. Other sessions of this person go on." }
        },
        fields: html! {},
        button: "End the session",
        back: format!("/admin/users/{}/", login.user),
    };
    Ok((login, question))
}

/// Asks whether it is meant.
pub(crate) async fn ask(State(app): State<App>, staff: Staff, named: Named) -> Result<Response> {
    Ok(question(&app, &named).await?.1.page(&staff))
}

/// Ends a session.
pub(crate) async fn end(State(app): State<App>, named: Named, posted: Posted) -> Result<Response> {
    let Posted { staff, fields } = posted;
    let (login, question) = question(&app, &named).await?;
    let reason = match fields.reason() {
        Ok(reason) => reason,
        Err(why) => return Ok(question.again(&staff, &fields, StatusCode::BAD_REQUEST, &why)),
    };
    match accounts::end_session(&app, &staff.because(reason), login.id).await {
        Ok(()) => Ok(ask::done(&question.back, "session-ended")),
        Err(error) => ask::failed(&question, &staff, &fields, error),
    }
}
