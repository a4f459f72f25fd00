//! `rooms/public/`, and how lists are paged: by the key of the last entry, told in the `Link` header.

use std::str::FromStr;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LINK;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use streamit_domain::{RoomId, Timestamp};
use streamit_storage::rooms;
use streamit_wire::frame::rfc3339;
use uuid::Uuid;

use crate::app::App;
use crate::http::error::{ApiError, Result};
use crate::http::json::Json;
use crate::http::path::Query;

/// How many rooms a page has unless asked otherwise.
const PAGE: u32 = 50;
/// And at most.
const MOST: u32 = 100;

/// Where a page starts: after the entry made at this moment, with this id.
pub(super) struct Cursor;

impl Cursor {
    /// Reads `?after=`.
    pub(super) fn read(query: &Query) -> Result<Option<(Timestamp, Uuid)>> {
        let Some(text) = query.get("after") else { return Ok(None) };
        let pair = text
            .split_once('.')
            .and_then(|(at, id)| Some((i64::from_str(at).ok()?, Uuid::try_parse(id).ok()?)));
        match pair {
            Some((at, id)) => Ok(Some((Timestamp(at), id))),
            None => Err(ApiError::field("after", "after must come from a Link header")),
        }
    }
}

/// The `Link` header that says where the next page is. `base` ends with `?` or `&`.
pub(super) fn next_page(base: &str, last: Option<(Timestamp, Uuid)>, limit: u32) -> HeaderMap {
    let link = last.and_then(|(at, id)| {
        HeaderValue::from_str(&format!("<{base}after={}.{id}&limit={limit}>; rel=\"next\"", at.0)).ok()
    });
    link.map(|link| (LINK, link)).into_iter().collect()
}

/// A room that anybody may join.
#[derive(Serialize)]
struct Listed {
    room_id: RoomId,
    code: String,
    host: String,
    viewers: u64,
    created_at: String,
    title: Option<String>,
    video_provider: Option<String>,
    video_id: Option<String>,
}

/// Open public rooms, the newest first, with how many watch now.
pub(crate) async fn public(State(app): State<App>, query: Query) -> Result<Response> {
    let limit = query.limit(PAGE, MOST)?;
    let after = Cursor::read(&query)?.map(|(at, id)| (at, RoomId(id)));
    let mut read = app.store.read().await?;
    let mut listed = rooms::public_page(&mut read, after, limit + 1).await?;
    drop(read);
    let more = listed.len() > limit as usize;
    listed.truncate(limit as usize);
    let last = more.then(|| listed.last().map(|listed| (listed.room.created_at, listed.room.id.0))).flatten();

    let asked: Vec<_> = listed.iter().map(|listed| (listed.room.id, None)).collect();
    // Without live state there is no count; the rooms are there all the same.
    let online = app.rooms.online(&asked).await.unwrap_or_default();
    let viewers = online.into_iter().map(|online| online.users).chain(std::iter::repeat(0));
    let views: Vec<Listed> = listed
        .into_iter()
        .zip(viewers)
        .map(|(listed, viewers)| {
            let source = listed.room.source.unwrap_or_default();
            Listed {
                room_id: listed.room.id,
                code: listed.room.code.to_string(),
                host: listed.host_name.into(),
                viewers,
                created_at: rfc3339(listed.room.created_at),
                title: source.title,
                video_provider: source.provider,
                video_id: source.video_id,
            }
        })
        .collect();
    Ok((next_page("/api/rooms/public/?", last, limit), Json(views)).into_response())
}
