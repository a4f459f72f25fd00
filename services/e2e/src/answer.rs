//! What an answer of the HTTP API must be like.

use serde_json::Value;
use streamit_client::Response;

/// Checks on answers.
pub trait Answer {
    /// The body of a success with this status.
    ///
    /// # Panics
    /// When it is another answer.
    fn is(&self, status: u16) -> Value;

    /// The body of a refusal with this status and code.
    ///
    /// # Panics
    /// When it is another answer, or a refusal that does not have the form of all refusals.
    fn is_refused(&self, status: u16, code: &str) -> Value;

    /// The sentence of a refusal in the form of all refusals, whatever it is about.
    ///
    /// # Panics
    /// When it has another form.
    fn refusal(&self) -> Value;
}

impl Answer for Response {
    #[track_caller]
    fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    #[track_caller]
    fn is_refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.refusal();
        assert_eq!(body["code"], code, "{body}");
        if status == 429 {
            let wait = self.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
            assert!(wait.is_some_and(|wait| wait >= 1), "when to come back is not told: {body}");
        }
        body
    }

    #[track_caller]
    fn refusal(&self) -> Value {
        let (status, text) = (self.status, self.text());
        assert!((400..600).contains(&status), "{status} is not a refusal: {text}");
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{status} has content type {kind:?}: {text}");
        let body = self.json();
        assert!(body.is_object(), "{status} is not an object: {text}");
        let sentence = body["error"].as_str().unwrap_or_default();
        assert!(!sentence.trim().is_empty(), "{status} tells people nothing: {text}");
        let code = body["code"].as_str().unwrap_or_default();
        let is_code = |c: u8| c.is_ascii_uppercase() || c == b'_';
        assert!(!code.is_empty() && code.bytes().all(is_code), "{status} tells programs nothing: {text}");
        if let Some(fields) = body.get("fields") {
            let fields = fields.as_object().unwrap_or_else(|| panic!("fields are not an object: {text}"));
            assert!(fields.values().all(Value::is_string), "fields are told in sentences: {text}");
        }
        if status == 429 {
            let wait = self.header("retry-after").and_then(|wait| wait.parse::<u32>().ok());
            assert!(wait.is_some_and(|wait| wait > 0), "a 429 without Retry-After: {text}");
        }
        body
    }
}
