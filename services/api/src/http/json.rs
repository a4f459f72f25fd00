//! JSON in and out. Bodies are read by code of ours: serde takes an array for a struct and axum answers 422 to a
//! wrong type, where clients are promised 400 and the name of the field.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use streamit_domain::Invalid;
use streamit_wire::Code;

use super::error::ApiError;

/// The largest body that is read.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A JSON body: extracts what can be [`Input`], answers what can be serialized.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// What can be read from a JSON object.
pub(crate) trait Input: Sized {
    /// Takes the fields it wants. What is wrong is noted in `fields`; `None` when something needed is.
    fn read(fields: &mut Fields) -> Option<Self>;
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            Err(error) => ApiError::because(Code::Internal, error).into_response(),
        }
    }
}

impl<S: Send + Sync, T: Input> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let mut fields = Fields::new(object(request).await?);
        let value = T::read(&mut fields);
        if !fields.wrong.is_empty() {
            return Err(ApiError::fields(fields.wrong));
        }
        value.map(Self).ok_or_else(|| Code::Invalid.into())
    }
}

/// Reads the body as an object. An empty body is an empty object: calls without required fields need none.
async fn object(request: Request) -> Result<Map<String, Value>, ApiError> {
    let is_json = is_json(request.headers().get(CONTENT_TYPE));
    let body = body(request).await?;
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !is_json {
        return Err(Code::MediaType.into());
    }
    match serde_json::from_slice::<Object>(&body) {
        Ok(object) => Ok(object.0),
        Err(error) if error.is_data() => {
            Err(ApiError::new(Code::InvalidJson, "The body must be a JSON object without repeated names"))
        }
        Err(_) => Err(Code::InvalidJson.into()),
    }
}

/// Reads a body, of a bounded size and in a bounded time.
pub(crate) async fn body(request: Request) -> Result<Bytes, ApiError> {
    let told = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Code::TooLarge.into());
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    match tokio::time::timeout(BODY_DEADLINE, body).await {
        Err(_) => Err(Code::RequestTimeout.into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Code::TooLarge.into()),
        Ok(Err(_)) => Err(ApiError::new(Code::Invalid, "The body ended early")),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let Some(text) = content_type.and_then(|value| value.to_str().ok()) else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A JSON object in which no name comes twice: two readers of such a thing may see different things.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(A::Error::custom("a repeated name"));
                    }
                }
                Ok(Object(map))
            }
        }
        from.deserialize_map(Names)
    }
}

/// The fields of a body, taken one by one. A null counts as absent.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    wrong: Vec<(&'static str, String)>,
}

impl Fields {
    fn new(map: Map<String, Value>) -> Self {
        Self { map, wrong: Vec::new() }
    }

    /// Notes that a field is wrong.
    pub(crate) fn refuse(&mut self, name: &'static str, why: impl Into<String>) {
        self.wrong.push((name, why.into()));
    }

    /// Whether a field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Text, if it is there.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.refuse(name, format!("{name} must be text"));
                None
            }
        }
    }

    /// A list of texts, if it is there.
    pub(crate) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let wrong = || format!("{name} must be a list of texts");
        match self.take(name)? {
            Value::Array(items) => {
                let texts: Option<Vec<String>> =
                    items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect();
                if texts.is_none() {
                    self.refuse(name, wrong());
                }
                texts
            }
            _ => {
                self.refuse(name, wrong());
                None
            }
        }
    }

    /// Text, if it is there and is text; what else may stand there is for the caller to judge.
    pub(crate) fn word(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether anything was wrong so far.
    pub(crate) fn is_refused(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// Text that becomes a value, if it is there.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|why| self.refuse(name, why.0)).ok()
    }

    /// Text that has to be there; `missing` is said when it is not or is blank.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        missing: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let was_there = self.has(name);
        match self.text(name) {
            Some(text) if !text.trim().is_empty() => {
                parse(&text).map_err(|why| self.refuse(name, why.0)).ok()
            }
            None if was_there => None, // of a wrong type, and noted
            _ => {
                self.refuse(name, missing);
                None
            }
        }
    }

    /// True or false, if it is there.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            _ => {
                self.refuse(name, format!("{name} must be true or false"));
                None
            }
        }
    }

    /// A whole number within `range`, if it is there.
    pub(crate) fn whole(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.take(name)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                let (least, most) = range.into_inner();
                self.refuse(name, format!("{name} must be a whole number from {least} to {most}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[derive(Debug)]
    struct Guest {
        name: String,
        age: Option<u32>,
    }

    impl Input for Guest {
        fn read(fields: &mut Fields) -> Option<Self> {
            let name = fields.required("name", "Name required", |name| Ok(name.to_owned()));
            let age = fields.whole("age", 1..=150);
            Some(Self { name: name?, age })
        }
    }

    async fn post(content_type: &str, body: impl Into<Body>) -> Result<Guest, (Code, Vec<&'static str>)> {
        let request = Request::post("/").header(CONTENT_TYPE, content_type).body(body.into()).unwrap();
        let read = Json::<Guest>::from_request(request, &()).await;
        read.map(|json| json.0).map_err(|error| {
            let names = match serde_json::to_value(format!("{error:?}")).unwrap() {
                Value::String(text) => {
                    ["name", "age"].into_iter().filter(|n| text.contains(&format!("(\"{n}\""))).collect()
                }
                _ => vec![],
            };
            (error.code(), names)
        })
    }

    #[tokio::test]
    async fn an_object_is_read_field_by_field() {
        let guest =
            post("application/json; charset=utf-8", r#"{"name":"Ana","age":7,"more":[1]}"#).await.unwrap();
        assert_eq!((guest.name.as_str(), guest.age), ("Ana", Some(7)));
        assert_eq!(post("application/json", r#"{"name":"Ana","age":null}"#).await.unwrap().age, None);
        let both = post("application/json", r#"{"name":5,"age":"7"}"#).await.unwrap_err();
        assert_eq!(both, (Code::Invalid, vec!["name", "age"]));
    }

    #[tokio::test]
    async fn what_is_no_object_is_bad_input() {
        for body in [
            "[]",
            "null",
            "5",
            "\"x\"",
            "{",
            "{}}",
            "{\"name\":\"a\",\"name\":\"b\"}",
            "\u{FEFF}{}",
            "[[[[",
            "nul",
        ] {
            let (code, _) = post("application/json", body).await.unwrap_err();
            assert_eq!(code, Code::InvalidJson, "{body}");
        }
        let (code, _) = post("application/json", &b"{\"name\":\"\xff\"}"[..]).await.unwrap_err();
        assert_eq!(code, Code::InvalidJson);
        let deep = format!("{{\"name\":{}", "[".repeat(10_000));
        assert_eq!(post("application/json", deep).await.unwrap_err().0, Code::InvalidJson);
        assert_eq!(post("application/json", r#"{"name":"\ud800"}"#).await.unwrap_err().0, Code::InvalidJson);
    }

    #[tokio::test]
    async fn an_empty_body_is_an_empty_object_and_others_need_the_content_type() {
        assert_eq!(post("", "").await.unwrap_err(), (Code::Invalid, vec!["name"]));
        for content_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            assert_eq!(post(content_type, "{\"name\":\"a\"}").await.unwrap_err().0, Code::MediaType);
        }
        assert!(post("application/merge-patch+json", "{\"name\":\"a\"}").await.is_ok());
    }

    #[tokio::test]
    async fn a_large_body_is_refused_told_or_not() {
        let large = format!("{{\"name\":\"{}\"}}", "x".repeat(MAX_BODY));
        assert_eq!(post("application/json", large.clone()).await.unwrap_err().0, Code::TooLarge);
        let chunks = futures_util::stream::iter(
            large.into_bytes().chunks(1000).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>(),
        );
        assert_eq!(post("application/json", Body::from_stream(chunks)).await.unwrap_err().0, Code::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_without_end() {
        use futures_util::StreamExt;
        let begun = tokio::time::Instant::now();
        // A byte every second, for ever.
        let crawling = futures_util::stream::repeat(" ").then(async |byte| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, std::io::Error>(byte)
        });
        let refused = post("application/json", Body::from_stream(crawling)).await.unwrap_err();
        assert_eq!((refused.0, begun.elapsed()), (Code::RequestTimeout, BODY_DEADLINE));
    }

    #[tokio::test]
    async fn numbers_are_whole_and_within_their_range() {
        for age in ["0", "151", "-1", "1.5", "1e400", "true", "\"5\"", "{}", "99999999999999999999"] {
            let (code, _) =
                post("application/json", format!(r#"{{"name":"a","age":{age}}}"#)).await.unwrap_err();
            assert!(matches!(code, Code::Invalid | Code::InvalidJson), "{age}");
        }
    }
}
