//! Who is kept out of rooms: people for good, and guests' networks for a while.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, Render, html};
use streamit_domain::RoomId;
use streamit_domain::room::Standing;
use streamit_storage::panel::bans::{self, Network};
use streamit_storage::panel::seats::{self, Of, Seat};

use super::filter::Filters;
use super::gate::Staff;
use super::users::{ORDER, nothing};
use super::{frame, parts};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;

const PLACE: &str = "/admin/bans/";

/// `/admin/bans/`.
pub(crate) async fn list(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let mut filters = Filters::of(&query, PLACE);
    let is_networks = filters.choice(
        "kind",
        "Kind",
        &[("people", "People", false), ("networks", "Guests' networks", true)],
    );
    let room = filters.parsed::<RoomId>("room", "Room", "an id");
    let order = filters.choice("sort", "Sort", &ORDER);
    let window = filters.window(order);
    let mut read = app.store.read().await?;
    let (table, pager) = match (filters.is_fine(), is_networks) {
        (true, true) => {
            let page = bans::list(&mut read, room, app.now(), window).await?;
            (networks(&page.rows).render(), filters.pager(&page))
        }
        (is_fine, _) => {
            let page = if is_fine {
                let (of, standing) = match room {
                    Some(room) => (Of::Room(room), Some(Standing::Banned)),
                    None => (Of::Banned, None),
                };
                seats::list(&mut read, of, standing, window).await?
            } else {
                nothing()
            };
            (people(&page.rows).render(), filters.pager(&page))
        }
    };
    drop(read);
    let body = html! { h1 { "Bans" } (filters) (table) (pager) };
    Ok(frame::with_status(frame::page(&staff, PLACE, "Bans", &query, &body), filters.status()))
}

/// The way to lift a ban.
fn lift(room: RoomId, user: streamit_domain::UserId, name: &str) -> Markup {
    html! {
        a href={ "/admin/rooms/" (room) "/people/" (user) "/unban/" } { "Lift" span.unseen { " the ban of " (name) } }
    }
}

/// People who are banned.
pub(super) fn people(seats: &[Seat]) -> impl Render {
    parts::Table {
        caption: "People who are banned",
        columns: &["Who", "Room", "First came", "Action"],
        rows: seats
            .iter()
            .map(|seat| {
                vec![
                    parts::person(seat.user, seat.name.as_str()),
                    html! { a.code href={ "/admin/rooms/" (seat.room) "/" } { (seat.code) } },
                    parts::time(seat.created_at),
                    lift(seat.room, seat.user, seat.name.as_str()),
                ]
            })
            .collect(),
        empty: "Nobody is banned.",
    }
}

/// Networks of guests who were banned. What is kept of a network is a keyed hash, so there is nothing to show of it.
pub(super) fn networks(networks: &[Network]) -> impl Render {
    parts::Table {
        caption: "Guests' networks that are kept out",
        columns: &["Network of", "Room", "Since", "Until", "Action"],
        rows: networks
            .iter()
            .map(|network| {
                vec![
                    parts::person(network.user, network.name.as_str()),
                    html! { a.code href={ "/admin/rooms/" (network.room) "/" } { (network.code) } },
                    parts::time(network.created_at),
                    parts::time(network.until),
                    lift(network.room, network.user, network.name.as_str()),
                ]
            })
            .collect(),
        empty: "No network is kept out.",
    }
}
