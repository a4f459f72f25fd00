//! What clients are told when something is refused: always the same shape.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use serde::Serialize;
use serde::ser::SerializeMap;
use streamit_domain::Invalid;
use streamit_wire::Code;

use super::json::Json;

/// A refusal: a stable code, a sentence, and what else helps to get it right.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: Code,
    message: Cow<'static, str>,
    fields: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The same transaction, done again right away, is likely to succeed.
    is_transient: bool,
}

/// What handlers give back.
pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    /// A refusal with a sentence of its own.
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            fields: Vec::new(),
            retry_after: None,
            cause: None,
            is_transient: false,
        }
    }

    /// Input that was refused field by field; the first one's sentence speaks for all.
    pub(crate) fn fields(fields: Vec<(&'static str, String)>) -> Self {
        let message = fields.first().map_or(Code::Invalid.sentence().into(), |(_, why)| why.clone());
        Self { fields, ..Self::new(Code::Invalid, message) }
    }

    /// One field that was refused.
    pub(crate) fn field(name: &'static str, why: impl Into<String>) -> Self {
        Self::fields(vec![(name, why.into())])
    }

    /// Too many, too fast.
    pub(crate) fn limited(wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Code::RateLimited.into() }
    }

    /// A fault of ours or of something we need, with its cause for the log.
    pub(crate) fn because(code: Code, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..code.into() }
    }

    /// The code.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// The sentence that is told.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same transaction, done again right away, is likely to succeed.
    pub(crate) fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Says it in the log, if it is no expected refusal: once, here, with its chain.
    pub(crate) fn log(&self) {
        let Some(cause) = &self.cause else { return };
        let chain = chain(&**cause);
        if self.code == Code::Internal {
            tracing::error!(code = %self.code, error = chain, "a request failed");
        } else {
            tracing::warn!(code = %self.code, error = chain, "a request could not be served now");
        }
    }
}

/// An error and all that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        let again = (code == Code::TryAgain).then_some(Duration::from_secs(1));
        Self { retry_after: again, ..Self::new(code, code.sentence()) }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::new(Code::Invalid, invalid.0)
    }
}

impl From<streamit_storage::Error> for ApiError {
    fn from(error: streamit_storage::Error) -> Self {
        if error.conflict() == Some(streamit_storage::Conflict::Email) {
            return Code::EmailTaken.into();
        }
        let is_transient = error.is_transient();
        let again = is_transient || error.is_away();
        Self { is_transient, ..Self::because(if again { Code::TryAgain } else { Code::Internal }, error) }
    }
}

impl From<crate::identity::passwords::Error> for ApiError {
    fn from(error: crate::identity::passwords::Error) -> Self {
        let busy = matches!(error, crate::identity::passwords::Error::Busy);
        Self::because(if busy { Code::TryAgain } else { Code::Internal }, error)
    }
}

/// What an answer refuses, for a layer that tells it in another form.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: Cow<'static, str>,
}

/// `{"error", "code", "fields"?}`.
#[derive(Serialize)]
struct View<'a> {
    error: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "as_map")]
    fields: &'a [(&'static str, String)],
}

fn as_map<S: serde::Serializer>(
    fields: &&[(&'static str, String)],
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(fields.len()))?;
    for (name, why) in *fields {
        map.serialize_entry(name, why)?;
    }
    map.end()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let view = View { error: &self.message, code: self.code.as_str(), fields: &self.fields };
        let mut response = (self.code.status(), Json(view)).into_response();
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: who comes back on the second must be let in.
            let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs.max(1)));
        }
        response.extensions_mut().insert(Refusal { code: self.code, message: self.message });
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn shown(error: ApiError) -> (u16, Option<String>, String) {
        let response = error.into_response();
        let retry = response.headers().get(RETRY_AFTER).map(|v| v.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, retry, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn refusals_have_one_shape() {
        let (status, retry, body) = shown(Code::RoomNotFound.into()).await;
        assert_eq!((status, retry), (404, None));
        assert_eq!(body, r#"{"error":"Room not found","code":"ROOM_NOT_FOUND"}"#);
        let (status, _, body) = shown(ApiError::field("email", "Enter a valid email address")).await;
        assert_eq!(status, 400);
        assert_eq!(
            body,
            r#"{"error":"Enter a valid email address","code":"INVALID","fields":{"email":"Enter a valid email address"}}"#
        );
    }

    #[tokio::test]
    async fn waits_are_told_in_whole_seconds_rounded_up() {
        assert_eq!(shown(ApiError::limited(Duration::from_millis(1_001))).await.1.as_deref(), Some("2"));
        assert_eq!(shown(ApiError::limited(Duration::from_millis(1))).await.1.as_deref(), Some("1"));
        assert_eq!(shown(Code::TryAgain.into()).await.1.as_deref(), Some("1"));
    }
}
