//! What stands around each page, and the pages that tell of a refusal.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};
use streamit_wire::Code;

use super::gate::Staff;
use super::parts;
use crate::http::error::Refusal;
use crate::http::path::Query;

/// The menu: where, and what it is called.
const NAV: &[(&str, &str)] = &[
    ("/admin/", "Dashboard"),
    ("/admin/users/", "Users"),
    ("/admin/rooms/", "Rooms"),
    ("/admin/messages/", "Messages"),
    ("/admin/sessions/", "Sessions"),
    ("/admin/bans/", "Bans"),
    ("/admin/reports/", "Reports"),
    ("/admin/nodes/", "Nodes"),
    ("/admin/audit/", "Audit"),
];

/// What is said after something was done, by the word in the address of the page that one is led to.
const DONE: &[(&str, &str)] = &[
    ("deactivated", "The account is switched off, its sessions are ended."),
    ("activated", "The account is switched on again."),
    ("anonymised", "Name and address are forgotten, the sessions are ended."),
    ("sessions-ended", "The sessions are ended, their sockets are closed."),
    ("session-ended", "The session is ended, its sockets are closed."),
    ("rights", "The rights are changed."),
    ("close", "The room is closed."),
    ("chat-off", "Chat is off."),
    ("chat-on", "Chat is on."),
    ("host", "The room is handed over."),
    ("mute", "They are muted."),
    ("unmute", "They may chat again."),
    ("kick", "They are thrown out for a while."),
    ("ban", "They are banned."),
    ("unban", "The ban is lifted."),
    ("erase", "All that they said here is taken back."),
    ("erased", "The message is taken back."),
    ("shed", "The node puts a share of its connections out."),
    ("drain", "The node puts everybody out and takes nobody."),
    ("resume", "The node takes people again."),
    ("report", "The report is decided about."),
];

/// A page for staff. `place` is the entry of the menu that it belongs to.
pub(super) fn page(staff: &Staff, place: &str, title: &str, query: &Query, body: &Markup) -> Response {
    let done = query.get("done").and_then(|word| DONE.iter().find(|(known, _)| *known == word));
    let main = html! {
        @if let Some((_, sentence)) = done { p.notice.good role="status" { (sentence) } }
        (body)
    };
    Html(document(title, Some((staff, place)), &main).into_string()).into_response()
}

/// A page for anybody.
pub(super) fn bare(title: &str, body: &Markup) -> Html<String> {
    Html(document(title, None, body).into_string())
}

fn document(title: &str, staff: Option<(&Staff, &str)>, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                title { (title) " – StreamIt panel" }
                link rel="icon" href="/favicon.svg";
                link rel="stylesheet" href="/admin/style.css";
                script type="module" src="/admin/panel.js" {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.mark href="/admin/" { "StreamIt" span { "panel" } }
                    @if let Some((staff, place)) = staff {
                        nav aria-label="Panel" { ul { @for (href, word) in NAV {
                            li { a href=(href) aria-current=[(*href == place).then_some("page")] { (word) } }
                        } } }
                        form.who method="post" action="/admin/logout/" {
                            (parts::token(staff))
                            span { (staff.user.display_name) }
                            button.quiet type="submit" { "Log out" }
                        }
                    }
                }
                main #main tabindex="-1" { (main) }
            }
        }
    }
}

/// Why something was refused, with what helps to go on.
pub(super) fn refused(refusal: &Refusal, request_id: Option<&str>, wait: Option<&str>) -> Response {
    let status = refusal.code.status();
    let title = match refusal.code {
        Code::Forbidden | Code::CrossSite => "Not allowed",
        Code::NotFound => "Not found",
        Code::MethodNotAllowed => "Not like this",
        Code::TooLarge => "Too large",
        Code::RateLimited => "Too many tries",
        Code::TryAgain => "Not now",
        Code::Conflict => "Not possible",
        _ if status.is_server_error() => "Something went wrong",
        _ => "Refused",
    };
    let what = match refusal.code {
        Code::TryAgain => {
            "The database or the live state does not answer. Rooms that are open go on; try this page again in a moment."
        }
        Code::NotFound => "There is nothing at this address, or not any more.",
        Code::Internal => "This is a fault of ours, and it is in the log.",
        _ => &refusal.message,
    };
    let page = bare(
        title,
        &html! {
            h1 { (title) }
            p.notice.bad role="alert" { (what) }
            @if let Some(wait) = wait { p { "Try again in " (wait) @if wait == "1" { " second." } @else { " seconds." } } }
            @if let Some(id) = request_id.filter(|_| status.is_server_error()) {
                p.soft { "Request " code { (id) } }
            }
            p { a.button href="/admin/" { "To the dashboard" } }
        },
    );
    page.into_response()
}

/// The same page with another status: input was not understood, say.
pub(super) fn with_status(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() = status;
    response
}
