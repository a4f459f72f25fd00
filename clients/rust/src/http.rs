//! Asking over HTTP: requests, answers, refusals. The calls themselves are in `calls.rs`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::error::{ApiError, Error};

/// A call takes longer than this only when something is wrong.
const DEADLINE: Duration = Duration::from_secs(30);

/// A way to ask a server, as nobody or as somebody. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    base: Arc<str>,
    ws: Arc<str>,
    token: Option<Arc<str>>,
    header: Option<(Arc<str>, Arc<str>)>,
}

/// Without the token.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("base", &self.base)
            .field("ws", &self.ws)
            .field("authenticated", &self.token.is_some())
            .finish()
    }
}

impl Http {
    /// Asks the server at `base`, for example `http://127.0.0.1:8000`. WebSockets are expected at the same
    /// place; see [`Http::with_ws`].
    ///
    /// # Errors
    /// When `base` is not an `http` or `https` address.
    pub fn new(base: &str) -> Result<Self, Error> {
        Self::build(base, false)
    }

    /// As [`Http::new`], but remembers cookies as a browser does, and shows them. Each call makes a jar of its
    /// own; clones share it.
    ///
    /// # Errors
    /// When `base` is not an `http` or `https` address.
    pub fn with_cookie_jar(base: &str) -> Result<Self, Error> {
        Self::build(base, true)
    }

    fn build(base: &str, cookies: bool) -> Result<Self, Error> {
        let bad = || Error::Address(base.to_owned());
        let url = Url::parse(base).map_err(|_| bad())?;
        let host = url.host_str().ok_or_else(bad)?;
        let ws_scheme = match url.scheme() {
            "http" => "ws",
            "https" => "wss",
            _ => return Err(bad()),
        };
        let mut client = reqwest::Client::builder()
            .timeout(DEADLINE)
            .cookie_store(cookies)
            // The contract has no redirects; following one would hide that.
            .redirect(redirect::Policy::none());
        if matches!(host, "localhost" | "[::1]") || host.starts_with("127.") {
            client = client.no_proxy();
        }
        let base = base.trim_end_matches('/');
        let rest = &base[url.scheme().len()..];
        Ok(Self {
            client: client.build().map_err(Error::Transport)?,
            ws: format!("{ws_scheme}{rest}").into(),
            base: base.into(),
            token: None,
            header: None,
        })
    }

    /// The same, with WebSockets at another place, for example `ws://127.0.0.1:8001`.
    #[must_use]
    pub fn with_ws(mut self, ws: &str) -> Self {
        self.ws = ws.trim_end_matches('/').into();
        self
    }

    /// The same, as whoever this token is of.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The same, with a header on each call: a proxy that is trusted tells for whom it asks, say. It takes the place of one
    /// given before.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        Self { header: Some((name.into(), value.into())), ..self.clone() }
    }

    /// The same, as nobody (but for cookies, if there is a jar).
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Where the server is.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Where WebSockets are.
    #[must_use]
    pub fn ws_base(&self) -> &str {
        &self.ws
    }

    /// The token that calls show.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Begins a request to `path`, which starts with a slash (a whole address is taken, too).
    pub fn request(&self, method: &str, path: &str) -> Request {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some((name, value)) = &self.header {
            request = request.header(&**name, &**value);
        }
        Request(request)
    }

    /// Any call at all, with whatever answer: a refusal is an answer here, not an error.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn raw(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response, Error> {
        let request = self.request(method, path);
        match body {
            Some(body) => request.json(body).send().await,
            None => request.send().await,
        }
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// When no answer came, it was a refusal, or it is not a `T`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.request("GET", path).send().await?.ok()?.read()
    }

    /// Sends `body` to `path`.
    ///
    /// # Errors
    /// When no answer came, it was a refusal, or it is not a `T`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        self.request("POST", path).json(body).send().await?.ok()?.read()
    }
}

/// A request in the making.
#[derive(Debug)]
#[must_use = "nothing is asked until it is sent"]
pub struct Request(reqwest::RequestBuilder);

impl Request {
    /// Sets a header. One that is not a valid header makes [`Request::send`] fail.
    pub fn header(self, name: &str, value: &str) -> Self {
        // Replaced, not added: `authorization` twice would be another test than the one meant.
        let mut headers = HeaderMap::new();
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
                Self(self.0.headers(headers))
            }
            _ => Self(self.0.header(name, value)),
        }
    }

    /// Shows another token than the handle's.
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Sets a JSON body.
    pub fn json(self, body: &impl Serialize) -> Self {
        Self(self.0.json(body))
    }

    /// Sets any body, however wrong.
    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.header(CONTENT_TYPE, content_type).body(body.into()))
    }

    /// Asks.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn send(self) -> Result<Response, Error> {
        let answer = self.0.send().await.map_err(Error::Transport)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(Error::Transport)?;
        Ok(Response { status, headers, body: body.to_vec() })
    }
}

/// An answer, whatever it says.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `code` of a refusal; empty when there is none.
    #[must_use]
    pub fn code(&self) -> String {
        self.json().get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// This answer, if it is a success.
    ///
    /// # Errors
    /// The refusal, if it is none.
    pub fn ok(self) -> Result<Self, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let retry_after = self.header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
        let body = serde_json::from_slice::<Value>(&self.body).ok();
        Err(Error::Api(Box::new(ApiError::read(self.status, retry_after, body.as_ref()))))
    }

    /// The body as a `T`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            // Says what is wrong, not what came: an answer may hold a token.
            .map_err(|error| Error::unexpected("answer of the API", &error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websockets_are_at_the_same_place_unless_told_otherwise() {
        let http = Http::new("http://127.0.0.1:8000/").unwrap();
        assert_eq!((http.base(), http.ws_base()), ("http://127.0.0.1:8000", "ws://127.0.0.1:8000"));
        assert_eq!(http.with_ws("ws://127.0.0.1:8001/").ws_base(), "ws://127.0.0.1:8001");
        assert_eq!(Http::new("https://films.example/x").unwrap().ws_base(), "wss://films.example/x");
        for bad in ["127.0.0.1:8000", "ws://a", "", "mailto:a@b"] {
            assert!(matches!(Http::new(bad), Err(Error::Address(_))), "{bad}");
        }
    }

    #[test]
    fn a_handle_does_not_show_its_token() {
        let http = Http::new("http://127.0.0.1:1").unwrap().with_token("s3cret");
        assert!(!format!("{http:?}").contains("s3cret"));
        assert_eq!(http.without_token().token(), None);
    }
}
