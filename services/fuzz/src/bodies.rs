//! Bodies of HTTP requests: each kind is read, or refused in the one form of all refusals, whatever is sent and however it
//! is cut on the way.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use futures_util::FutureExt;
use futures_util::stream;
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use streamit_api::bodies::KINDS;
use streamit_wire::Code;

/// What a body may be sent as; those that are not JSON come last.
const TYPES: [&str; 8] = [
    "application/json",
    "application/json; charset=utf-8",
    "application/merge-patch+json",
    "APPLICATION/JSON",
    "application/json;",
    "text/plain",
    "application/x-www-form-urlencoded",
    "",
];
/// So many of them are JSON.
const JSON: usize = 5;

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// What became of a body: nothing, or status and answer.
type Fate = Option<(StatusCode, Value)>;

/// The first byte says as which kind the others are read, the second one how they are sent, the third one where they are
/// cut.
pub(crate) fn check(data: &[u8]) {
    let &[kind, how, cut, ref body @ ..] = data else { return };
    let (_, read) = KINDS[usize::from(kind) % KINDS.len()];
    let sent_as = usize::from(how) % TYPES.len();
    let fate = |request: Request| RUNTIME.with(|runtime| runtime.block_on(judge(read(request))));

    let whole = fate(request(sent_as, how, Body::from(body.to_vec())));
    if let Some((status, answer)) = &whole {
        well_formed(*status, answer);
    }
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        body.chunks(usize::from(cut).max(1)).map(|piece| Ok(piece.to_vec())).collect();
    assert_eq!(fate(request(sent_as, 0, Body::from_stream(stream::iter(pieces)))), whole, "cut into pieces");

    let is_object = serde_json::from_slice::<Map<String, Value>>(body).is_ok();
    let code = whole.as_ref().and_then(|(_, answer)| answer["code"].as_str());
    let taken_as_object = matches!(code, None | Some("INVALID"));
    if body.is_empty() {
        assert!(taken_as_object, "no body is an object without fields");
    } else if sent_as >= JSON {
        assert_eq!(code, Some(Code::MediaType.as_str()));
    } else if taken_as_object {
        assert!(is_object, "only objects are looked into");
    }
}

fn request(sent_as: usize, how: u8, body: Body) -> Request {
    let length = axum::body::HttpBody::size_hint(&body).exact();
    let mut request = Request::new(body);
    if !TYPES[sent_as].is_empty() {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TYPES[sent_as]));
    }
    if let Some(length) = length.filter(|_| how & 0x80 != 0) {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    request
}

async fn judge(read: impl Future<Output = Option<axum::response::Response>>) -> Fate {
    let response = read.await?;
    let status = response.status();
    assert_eq!(
        response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes),
        Some(&b"application/json"[..])
    );
    let body = response.into_body().collect().now_or_never().expect("it is there").expect("it is whole");
    Some((status, serde_json::from_slice(&body.to_bytes()).expect("it is JSON")))
}

/// `{"error", "code", "fields"?}`, with the status that the code has, and nobody's fault but the client's.
fn well_formed(status: StatusCode, answer: &Value) {
    let answer = answer.as_object().expect("an object");
    let code = answer["code"].as_str().and_then(Code::from_word).expect("a code of the table");
    assert!(matches!(code, Code::Invalid | Code::InvalidJson | Code::MediaType | Code::TooLarge), "{code}");
    assert_eq!(status, code.status());
    let is_sentence = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    assert!(is_sentence(&answer["error"]));
    let fields = answer.get("fields").map(|fields| fields.as_object().expect("an object"));
    assert_eq!(fields.is_some(), code == Code::Invalid, "what is wrong with fields is told by field");
    assert!(fields.is_none_or(|fields| !fields.is_empty() && fields.values().all(is_sentence)));
    assert!(answer.keys().all(|key| ["error", "code", "fields"].contains(&key.as_str())));
}
