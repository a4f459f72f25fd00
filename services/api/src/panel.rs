//! The admin panel, `/admin/`: what runs at night is looked at and put right here.
//!
//! **The path of a request.** [`pages`] stands around everything: whatever is refused below it becomes a page, and each
//! answer gets the headers of the panel. A handler that takes a [`gate::Staff`] can be reached by staff only; one that
//! takes a [`form::Posted`] only by a form that the panel made for this very login (`gate.rs`). Handlers read a list or a
//! thing from storage and write HTML with maud, which escapes whatever is put into it. There is no script or style inside
//! a page; `panel.js` only keeps what changes by itself up to date, and everything works without it.
//!
//! **Actions** are asked about first: the GET of an action's address shows what will happen and asks for the reason, the
//! POST does it and goes back to where one came from (`ask.rs`). What they do is not here but in [`crate::staff`] and
//! [`crate::rooms`], which write it down.
//!
//! To add a page: a file here with its handlers, a line in [`router`], one in `frame::NAV` if it stands in the menu, and a
//! row in `tests/http/panel/`, which goes through every route with every role.

mod ask;
mod audit;
mod bans;
mod dashboard;
mod deeds;
mod filter;
mod form;
mod frame;
mod gate;
mod inspect;
mod logins;
mod messages;
mod nodes;
mod parts;
mod reports;
mod rooms;
mod users;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header::{CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use streamit_wire::Code;

use crate::app::App;
use crate::http::error::Refusal;
use crate::page;

/// What a page of the panel may do in a browser: nothing but show itself and send its own forms.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'";

/// The pages, and what they need.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/admin/style.css", page::file(page::CSS, include_bytes!("panel/style.css")))
        .route("/admin/panel.js", page::file(page::SCRIPT, include_bytes!("panel/panel.js")))
        .route("/admin/login/", get(gate::login_page).post(gate::login))
        .route("/admin/logout/", post(gate::logout))
        .route("/admin/", get(dashboard::show))
        .route("/admin/users/", get(users::list))
        .route("/admin/users/{user}/", get(users::detail))
        .route("/admin/users/{user}/rooms/", get(users::rooms))
        .route("/admin/users/{user}/{deed}/", get(users::ask).post(users::act))
        .route("/admin/rooms/", get(rooms::list))
        .route("/admin/rooms/{room}/", get(rooms::detail))
        .route("/admin/rooms/{room}/people/", get(rooms::people))
        .route("/admin/rooms/{room}/people/{user}/", get(deeds::show_person))
        .route("/admin/rooms/{room}/people/{user}/{deed}/", get(deeds::ask_person).post(deeds::act_person))
        .route(
            "/admin/rooms/{room}/messages/{seq}/erase/",
            get(deeds::ask_message).post(deeds::erase_message),
        )
        .route("/admin/rooms/{room}/{deed}/", get(deeds::ask_room).post(deeds::act_room))
        .route("/admin/rooms/{room}/live/", get(inspect::show))
        .route("/admin/messages/", get(messages::list))
        .route("/admin/sessions/", get(logins::list))
        .route("/admin/sessions/{session}/end/", get(logins::ask).post(logins::end))
        .route("/admin/bans/", get(bans::list))
        .route("/admin/reports/", get(reports::list))
        .route("/admin/reports/{report}/", get(reports::show).post(reports::decide))
        .route("/admin/nodes/", get(nodes::list))
        .route("/admin/nodes/{node}/{deed}/", get(nodes::ask).post(nodes::act))
        .route("/admin/audit/", get(audit::list))
        .route("/admin/audit/export.csv", get(audit::csv))
        .route("/admin/audit/export.jsonl", get(audit::json_lines))
}

/// Stands around everything. Under `/admin/` what is refused is told as a page, or leads to the login; and each answer
/// says what a browser may do with it.
pub(crate) async fn pages(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if path != "/admin" && !path.starts_with("/admin/") {
        return next.run(request).await;
    }
    let method = request.method().clone();
    let target = request.uri().path_and_query().map_or(path.clone(), ToString::to_string);
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = told(&refusal, response, &method, &path, &target);
    }
    let headers = response.headers_mut();
    let text = HeaderValue::from_static;
    headers.insert(CONTENT_SECURITY_POLICY, text(POLICY));
    // Not `no-referrer`: with that, browsers send forms without their origin.
    headers.insert(REFERRER_POLICY, text("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), text("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), text("same-origin"));
    response
}

/// A refusal as a page, or the way to where one has to go first.
fn told(refusal: &Refusal, old: Response, method: &Method, path: &str, target: &str) -> Response {
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    let mut response = match refusal.code {
        Code::Unauthenticated if is_reading => gate::to_login(target),
        Code::Unauthenticated => gate::to_login("/admin/"),
        // The slash at the end is forgotten easily.
        Code::NotFound if is_reading && !path.ends_with('/') && !last(path).contains('.') => {
            let query = target.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
            Redirect::to(&format!("{path}/{query}")).into_response()
        }
        _ => {
            let id = old.headers().get("x-request-id").and_then(|id| id.to_str().ok());
            let wait = old.headers().get("retry-after").and_then(|wait| wait.to_str().ok());
            frame::refused(refusal, id, wait)
        }
    };
    if response.status() != StatusCode::SEE_OTHER {
        *response.status_mut() = old.status();
    }
    for (name, value) in old.headers() {
        if name != LOCATION && !response.headers().contains_key(name) && name != http::header::CONTENT_LENGTH
        {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
