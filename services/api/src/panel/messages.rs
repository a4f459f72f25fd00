//! What was said: lately, by somebody, or in a room.

use axum::extract::State;
use axum::response::Response;
use maud::{Render, html};
use streamit_domain::{RoomId, UserId};
use streamit_storage::panel::messages::{self, Of, Said};

use super::filter::Filters;
use super::gate::Staff;
use super::users::{ORDER, nothing};
use super::{frame, parts};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;

const PLACE: &str = "/admin/messages/";

/// `/admin/messages/`.
pub(crate) async fn list(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let mut filters = Filters::of(&query, PLACE);
    let room = filters.parsed::<RoomId>("room", "Room", "an id");
    let user = filters.parsed::<UserId>("user", "Said by", "an id");
    let text = filters.text("q", "Text", "within a room");
    let order = filters.choice("sort", "Sort", &ORDER);
    let window = filters.window(order);
    if text.is_some() && room.is_none() {
        filters.refuse("Text: say in which room, by its id");
    }
    if user.is_some() && room.is_some() {
        filters.refuse("Either of a room or of a person");
    }
    let of = match (room, user) {
        (Some(room), _) => Of::Room(room, text),
        (None, Some(user)) => Of::Person(user),
        (None, None) => Of::Anybody,
    };
    let page = if filters.is_fine() {
        messages::list(&mut app.store.read().await?, of, window).await?
    } else {
        nothing()
    };
    let body = html! {
        h1 { "Messages" }
        (filters) (table(&page.rows, room.is_none())) (filters.pager(&page))
    };
    Ok(frame::with_status(frame::page(&staff, PLACE, "Messages", &query, &body), filters.status()))
}

/// Messages; of many rooms, or of one that is known.
pub(super) fn table(said: &[Said], shows_room: bool) -> impl Render {
    parts::Table {
        caption: "Messages",
        columns: &["Message", "By", "Place", "Said", "Action"],
        rows: said
            .iter()
            .map(|said| {
                vec![
                    html! {
                        @match &said.text {
                            Some(text) => span.said { (text) },
                            None => em.soft { "erased" @if let Some(at) = said.erased_at { " " (parts::time(at)) } },
                        }
                    },
                    parts::person(said.user, said.name.as_str()),
                    html! {
                        @if shows_room { a.code href={ "/admin/rooms/" (said.room) "/" } { (said.code) } " " }
                        span.soft { "no. " (said.seq) }
                    },
                    parts::time(said.created_at),
                    html! {
                        @if said.text.is_some() {
                            a href={ "/admin/rooms/" (said.room) "/messages/" (said.seq) "/erase/" } {
                                "Erase" span.unseen { " no. " (said.seq) " of " (said.name) }
                            }
                        } @else { (parts::none()) }
                    },
                ]
            })
            .collect(),
        empty: "Nothing was said.",
    }
}
