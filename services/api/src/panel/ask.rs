//! Asking before something is done: what will happen, and why somebody wants it.

use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::form::{Fields, REASON};
use super::gate::Staff;
use super::{frame, parts};
use crate::http::error::ApiError;
use crate::http::path::Query;

/// What is asked.
pub(super) struct Question {
    /// The entry of the menu.
    pub(super) place: &'static str,
    /// In a few words.
    pub(super) title: String,
    /// What will happen.
    pub(super) what: Markup,
    /// What else has to be filled in.
    pub(super) fields: Markup,
    /// What the button says.
    pub(super) button: &'static str,
    /// Where one goes who does not want it.
    pub(super) back: String,
}

impl Question {
    /// The page that asks.
    pub(super) fn page(&self, staff: &Staff) -> Response {
        self.shown(staff, "", None)
    }

    /// The page that asks again, since something was not right.
    pub(super) fn again(&self, staff: &Staff, given: &Fields, status: StatusCode, why: &str) -> Response {
        frame::with_status(self.shown(staff, given.text("reason"), Some(why)), status)
    }

    fn shown(&self, staff: &Staff, reason: &str, why: Option<&str>) -> Response {
        let body = html! {
            h1 { (self.title) }
            @if let Some(why) = why { p.notice.bad #wrong role="alert" { (why) } }
            div.card.stack {
                div.stack { (self.what) }
                form.stack method="post" {
                    (parts::token(staff))
                    (self.fields)
                    div {
                        label for="reason" {
                            "Reason " span.hint { "kept in the audit log, " (REASON.start()) " to " (REASON.end()) " characters" }
                        }
                        textarea #reason name="reason" rows="3" required minlength=(REASON.start()) maxlength=(REASON.end())
                            aria-describedby=[why.map(|_| "wrong")] { (reason) }
                    }
                    div.row {
                        button.primary type="submit" { (self.button) }
                        a.button href=(self.back) { "Cancel" }
                    }
                }
            }
        };
        frame::page(staff, self.place, &self.title, &Query::default(), &body)
    }
}

/// Back to a page, which then says what was done.
pub(super) fn done(back: &str, word: &str) -> Response {
    Redirect::to(&format!("{back}?done={word}")).into_response()
}

/// What to show when it could not be done: the question again if there is something to put right, else the refusal.
pub(super) fn failed(
    question: &Question,
    staff: &Staff,
    given: &Fields,
    error: ApiError,
) -> Result<Response, ApiError> {
    let status = error.code().status();
    if matches!(status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::CONFLICT) {
        return Ok(question.again(staff, given, status, error.message()));
    }
    Err(error)
}
