//! One canonical path per call: `/api/.../` with the slash. Without it, and under `/api/v1/`, the same handler
//! answers.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::extract::{FromRequestParts, RawPathParams, Request};
use http::Uri;
use http::request::Parts;
use http::uri::PathAndQuery;
use streamit_domain::RoomCode;
use streamit_wire::Code;

use super::error::ApiError;

/// Brings the path of a request into its canonical form, before it is routed.
pub(crate) fn canonical(mut request: Request) -> Request {
    let Some(path) = rewritten(request.uri().path()) else { return request };
    let with_query = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = request.uri().clone().into_parts();
    // What does not parse stays as it came, and is then not found.
    if let Ok(path_and_query) = PathAndQuery::try_from(with_query) {
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn rewritten(path: &str) -> Option<String> {
    let mut rest = Cow::Borrowed(path.strip_prefix("/api")?);
    if !(rest.is_empty() || rest.starts_with('/')) {
        return None; // `/apiary`
    }
    if rest == "/v1" || rest.starts_with("/v1/") {
        rest = rest["/v1".len()..].to_owned().into();
    }
    let is_file = rest.rsplit('/').next().is_some_and(|last| last.contains('.')); // `/api/openapi.json`
    if !rest.ends_with('/') && !is_file {
        rest.to_mut().push('/');
    }
    let wanted = format!("/api{rest}");
    (wanted != path).then_some(wanted)
}

/// The room code of a path. Whatever can't be a code names no room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodeInPath(pub(crate) RoomCode);

impl<S: Send + Sync> FromRequestParts<S> for CodeInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Code::RoomNotFound)?;
        let code = params.iter().find(|(name, _)| *name == "code").and_then(|(_, code)| code.parse().ok());
        code.map(Self).ok_or_else(|| Code::RoomNotFound.into())
    }
}

/// The parameters after the `?`, each at most once looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// The first value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All of it, for people to read.
    pub(crate) fn text(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    }

    /// A number, `default` when it is not given.
    pub(crate) fn number(&self, name: &'static str, default: u64) -> Result<u64, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|_| ApiError::field(name, format!("{name} must be a whole number")))
    }

    /// How many entries are wanted: from 1 to `most`, more is cut.
    pub(crate) fn limit(&self, default: u32, most: u32) -> Result<u32, ApiError> {
        let limit = self.number("limit", u64::from(default))?;
        if limit == 0 {
            return Err(ApiError::field("limit", format!("limit must be a whole number from 1 to {most}")));
        }
        Ok(u32::try_from(limit).unwrap_or(most).min(most))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_path_and_three_ways_to_write_it() {
        for (written, canonical) in [
            ("/api/rooms/create/", None),
            ("/api/rooms/create", Some("/api/rooms/create/")),
            ("/api/v1/rooms/create/", Some("/api/rooms/create/")),
            ("/api/v1/rooms/create", Some("/api/rooms/create/")),
            ("/api/v1", Some("/api/")),
            ("/api", Some("/api/")),
            ("/api/v1x/", None),
            ("/api/openapi.json", None),
            ("/api/v1/openapi.json", Some("/api/openapi.json")),
            ("/apiary", None),
            ("/livez", None),
        ] {
            assert_eq!(rewritten(written).as_deref(), canonical, "{written}");
        }
    }

    #[test]
    fn the_query_stays() {
        let request = Request::get("/api/v1/rooms/public?limit=5").body(axum::body::Body::empty()).unwrap();
        assert_eq!(canonical(request).uri(), "/api/rooms/public/?limit=5");
    }
}
