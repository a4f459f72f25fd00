//! Forms of the panel, read.

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use std::str::FromStr;
use streamit_wire::Code;

use super::gate::{self, Staff};
use crate::app::App;
use crate::http::error::{ApiError, Result};
use crate::http::json;

/// The shortest and the longest reason, in characters.
pub(super) const REASON: std::ops::RangeInclusive<usize> = 3..=500;

/// The fields of a form. Of those that come twice the first counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The text of a field; empty when there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Why somebody does what the form does.
    pub(super) fn reason(&self) -> Result<String, String> {
        let reason = self.text("reason").trim().replace("\r\n", "\n");
        let is_fit = |c: char| !c.is_control() || c == '\n';
        if !REASON.contains(&reason.chars().count()) || !reason.chars().all(is_fit) {
            return Err(format!("Say why, in {} to {} characters", REASON.start(), REASON.end()));
        }
        Ok(reason)
    }
}

/// Reads a body as a form.
pub(super) async fn read(request: Request) -> Result<Fields> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(ApiError::new(Code::MediaType, "The panel takes its own forms only"));
    }
    let body = json::body(request).await?;
    Ok(Fields(url::form_urlencoded::parse(&body).into_owned().collect()))
}

/// A form that somebody of staff sent, made by the panel for this login. A handler that takes one is reached by no other
/// request.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(super) staff: Staff,
    pub(super) fields: Fields,
}

impl FromRequest<App> for Posted {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        gate::refuse_other_origins(&parts)?;
        let staff = Staff::from_request_parts(&mut parts, app).await?;
        let fields = read(Request::from_parts(parts, body)).await?;
        gate::check(&staff, &fields)?;
        Ok(Self { staff, fields })
    }
}

/// The names in a path. What can't be one of a thing names nothing.
#[derive(Debug)]
pub(crate) struct Named(Vec<(String, String)>);

impl Named {
    /// What a part of the path names.
    pub(super) fn id<T: FromStr>(&self, name: &str) -> Result<T> {
        self.text(name).parse().map_err(|_| Code::NotFound.into())
    }

    /// A part of the path.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }
}

impl FromRequestParts<App> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Code::NotFound)?;
        Ok(Self(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_few_words() {
        let reason = |text: &str| Fields(vec![("reason".to_owned(), text.to_owned())]).reason();
        assert_eq!(reason(" he spammed\r\nall night ").unwrap(), "he spammed\nall night");
        for bad in ["", "  ", "ab", "abc\0", &"x".repeat(501)] {
            assert!(reason(bad).is_err(), "{bad:?}");
        }
        assert!(reason(&"ü".repeat(500)).is_ok());
        assert!(Fields::default().reason().is_err());
    }
}
