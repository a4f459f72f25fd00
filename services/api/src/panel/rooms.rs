//! Rooms: the list, one of them, and the people in it. What is done to them is in `deeds.rs`.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, Render, html};
use streamit_domain::room::{Access, Life, OnHostLost, ReadinessMode, Standing};
use streamit_domain::{RoomCode, RoomId, Timestamp};
use streamit_storage::panel::rooms::{self as list, Filter, Listed, Sort};
use streamit_storage::panel::seats::{self, Of, Seat};
use streamit_storage::panel::{Order, bans, messages};
use streamit_storage::participants::{self, Participant};
use streamit_storage::rooms::{self, Room};
use streamit_storage::{Read, audit as log, reports};
use streamit_wire::Code;

use super::filter::Filters;
use super::form::Named;
use super::gate::Staff;
use super::users::{self, FEW, ORDER, STANDINGS, nothing};
use super::{
    audit, bans as ban_pages, deeds, frame, messages as message_pages, parts, reports as report_pages,
};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;

pub(super) const PLACE: &str = "/admin/rooms/";

const LIVES: [(&str, &str, Option<Life>); 4] = [
    ("any", "All", None),
    ("active", "Open", Some(Life::Active)),
    ("closed", "Closed", Some(Life::Closed)),
    ("expired", "Expired", Some(Life::Expired)),
];

const ACCESSES: [(&str, &str, Option<Access>); 4] = [
    ("any", "All", None),
    ("public", "Public", Some(Access::Public)),
    ("password", "Password", Some(Access::Password)),
    ("approval", "Approval", Some(Access::Approval)),
];

const SORTS: [(&str, &str, (Sort, Order)); 4] = [
    ("newest", "Newest first", (Sort::Opened, Order::Newest)),
    ("oldest", "Oldest first", (Sort::Opened, Order::Oldest)),
    ("active", "Active last", (Sort::Active, Order::Newest)),
    ("quiet", "Quiet longest", (Sort::Active, Order::Oldest)),
];

/// `/admin/rooms/`.
pub(crate) async fn list(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let mut filters = Filters::of(&query, PLACE);
    let search = filters.text("q", "Search", "code or host from the beginning, or id");
    let life = filters.choice("life", "State", &LIVES);
    let access = filters.choice("access", "Access", &ACCESSES);
    let (sort, order) = filters.choice("sort", "Sort", &SORTS);
    let window = filters.window(order);
    if sort == Sort::Active && (search.is_some() || life.is_some_and(|life| life != Life::Active)) {
        filters.refuse("Only open rooms are sorted by when somebody was in them, and without a search");
    }
    let page = if filters.is_fine() {
        let mut read = app.store.read().await?;
        let code = match search.and_then(|text| text.parse::<RoomId>().ok()) {
            Some(id) => rooms::by_id(&mut read, id).await?.map(|room| room.code.to_string()),
            None => search.map(str::to_owned),
        };
        match (search, code) {
            (Some(_), None) => nothing(),
            (_, search) => {
                let filter = Filter { life, access, search: search.as_deref(), sort };
                list::list(&mut read, &filter, window).await?
            }
        }
    } else {
        nothing()
    };
    let asked: Vec<_> = page.rows.iter().map(|room| (room.id, None)).collect();
    let online = app.rooms.online(&asked).await.ok();
    let online = |n: usize| online.as_ref().and_then(|online| online.get(n)).map(|room| room.users);
    let table = parts::Table {
        caption: "Rooms",
        columns: &["Code", "Host", "State", "Access", "Online", "Opened", "Last active"],
        rows: page.rows.iter().enumerate().map(|(n, room)| row(room, online(n))).collect(),
        empty: if filters.is_fine() { "No room is like that." } else { "Nothing was looked for." },
    };
    let body = html! { h1 { "Rooms" } (filters) (table) (filters.pager(&page)) };
    Ok(frame::with_status(frame::page(&staff, PLACE, "Rooms", &query, &body), filters.status()))
}

fn row(room: &Listed, online: Option<u64>) -> Vec<Markup> {
    vec![
        link(room.id, room.code),
        parts::person(room.host, room.host_name.as_str()),
        life(room.life),
        html! { (access(room.access)) },
        online.map_or_else(parts::none, |online| html! { (online) }),
        parts::time(room.created_at),
        parts::time(room.last_active_at),
    ]
}

fn link(id: RoomId, code: RoomCode) -> Markup {
    html! { a.code href={ (PLACE) (id) "/" } { (code.as_str()) } }
}

fn life(life: Life) -> Markup {
    match life {
        Life::Active => parts::badge("good", "Open"),
        Life::Closed => parts::badge("", "Closed"),
        Life::Expired => parts::badge("", "Expired"),
    }
}

const fn access(access: Access) -> &'static str {
    match access {
        Access::Public => "Public",
        Access::Password => "Password",
        Access::Approval => "Approval",
    }
}

/// The room of a path.
pub(super) async fn found(read: &mut Read, named: &Named) -> Result<Room> {
    rooms::by_id(read, named.id("room")?).await?.ok_or_else(|| Code::NotFound.into())
}

/// `/admin/rooms/{room}/`.
pub(crate) async fn detail(
    State(app): State<App>,
    staff: Staff,
    named: Named,
    query: Query,
) -> Result<Response> {
    let mut read = app.store.read().await?;
    let room = found(&mut read, &named).await?;
    let host = participants::get(&mut read, room.id, room.host).await?;
    let owner = participants::get(&mut read, room.id, room.owner).await?;
    let words = rooms::blocked_words(&mut read, room.id).await?;
    let people = seats::list(&mut read, Of::Room(room.id), None, FEW).await?;
    let said = messages::list(&mut read, messages::Of::Room(room.id, None), FEW).await?;
    let banned = seats::list(&mut read, Of::Room(room.id), Some(Standing::Banned), FEW).await?;
    let networks = bans::list(&mut read, Some(room.id), app.now(), FEW).await?;
    let about = reports::Filter { room: Some(room.id), ..reports::Filter::default() };
    let about = reports::list(&mut read, about, None, FEW.limit).await?;
    let written = log::Filter { room: Some(room.id), ..log::Filter::default() };
    let written = log::list(&mut read, &written, None, FEW.limit).await?;
    drop(read);
    let online = app.rooms.online(&[(room.id, None)]).await.ok();
    let online = online.and_then(|rooms| rooms.first().map(|room| room.users));

    let (now, base, id) = (app.now(), format!("{PLACE}{}/", room.id), room.id.to_string());
    let of = |path: &str| format!("{path}?room={id}");
    let title = format!("Room {}", room.code);
    let body = html! {
        h1 { "Room " span.code { (room.code.as_str()) } }
        (parts::facts(&[
            ("Id", html! { code { (room.id) } }),
            ("State", html! { (life(room.life)) @if let Some(at) = room.ended_at { " " (parts::time(at)) } }),
            ("Access", html! { (access(room.access)) }),
            ("Online", online.map_or_else(parts::none, |online| html! { (online) })),
            ("Host", entry(host.as_ref())),
            ("Opened by", entry(owner.as_ref())),
            ("Opened", parts::time(room.created_at)),
            ("Last active", parts::time(room.last_active_at)),
        ]))
        (parts::actions(&deeds::of_room(&room, &base)))
        (parts::section("settings", "Settings", None, settings(&room, &words)))
        (parts::section("people", "People", Some(&format!("{base}people/")), table(&room, &people.rows, now)))
        (parts::section("messages", "Messages", Some(&of("/admin/messages/")),
            message_pages::table(&said.rows, false)))
        (parts::section("bans", "Bans", Some(&of("/admin/bans/")), ban_pages::people(&banned.rows)))
        @if !networks.rows.is_empty() { (ban_pages::networks(&networks.rows)) }
        (parts::section("reports", "Reports", Some(&format!("/admin/reports/?state=any&room={id}")),
            report_pages::table(&about)))
        (parts::section("audit", "Audit", Some(&of("/admin/audit/")), audit::table(&written)))
    };
    Ok(frame::page(&staff, PLACE, &title, &query, &body))
}

fn settings(room: &Room, words: &[String]) -> Markup {
    let set = &room.settings;
    let yes = |is: bool| if is { "yes" } else { "no" };
    let lost = match set.on_host_lost {
        OnHostLost::Promote => "somebody else becomes host",
        OnHostLost::Wait => "the room waits",
        OnHostLost::Close => "the room closes",
    };
    let ready = match set.readiness {
        ReadinessMode::Off => "for nobody",
        ReadinessMode::Soft => "for a while",
        ReadinessMode::Strict => "until they are ready",
    };
    let source = room.source.as_ref();
    let (title, url) = (source.and_then(|s| s.title.as_ref()), source.and_then(|s| s.url.as_ref()));
    let provider = source.and_then(|s| s.provider.as_ref().zip(s.video_id.as_ref()));
    parts::facts(&[
        (
            "Watching",
            html! {
                @if let Some(title) = title { (title) " " }
                // As text: a page that somebody else named is no place to click through to from here.
                @if let Some(url) = url { span.soft { (url) } }
                @if let Some((provider, video)) = provider { span.soft { (provider) " " (video) } }
                @if source.is_none() { (parts::none()) }
            },
        ),
        ("Chat on", html! { (yes(set.is_chat_enabled)) }),
        ("Chat for hosts alone", html! { (yes(set.is_chat_locked)) }),
        (
            "Slow mode",
            html! { @if set.slow_mode_seconds > 0 { (set.slow_mode_seconds) " s" } @else { "off" } },
        ),
        ("Words kept out", html! { @if words.is_empty() { "none" } @else { (words.join(", ")) } }),
        ("Locked", html! { (yes(set.is_locked)) }),
        ("Host lost", html! { "after " (set.host_grace_seconds) " s " (lost) }),
        ("Waits for players", html! { (ready) }),
        ("Expires", html! { "after " (set.expiry_days) " days without anybody" }),
        ("Facts version", html! { (room.facts_version) " (fence " (room.fence) ", epoch " (room.epoch) ")" }),
    ])
}

/// Somebody with an entry.
fn entry(entry: Option<&Participant>) -> Markup {
    entry.map_or_else(parts::none, |entry| parts::person(entry.user, entry.name.as_str()))
}

/// The people of a room, at `now`.
fn table(room: &Room, seats: &[Seat], now: Timestamp) -> impl Render {
    parts::Table {
        caption: "People in the room",
        columns: &["Name", "Stands", "Role", "Muted until", "First came", "Action"],
        rows: seats
            .iter()
            .map(|seat| {
                vec![
                    html! {
                        (parts::person(seat.user, seat.name.as_str()))
                        @if seat.is_guest { " " (parts::badge("", "Guest")) }
                    },
                    users::standing(seat.standing),
                    html! { (users::role_word(seat)) },
                    muted(seat.muted_until, now),
                    parts::time(seat.created_at),
                    html! {
                        a href={ (PLACE) (room.id) "/people/" (seat.user) "/" } {
                            "Act" span.unseen { " on " (seat.name) }
                        }
                    },
                ]
            })
            .collect(),
        empty: "Nobody was here.",
    }
}

/// Until when somebody may not chat.
pub(super) fn muted(until: Option<Timestamp>, now: Timestamp) -> Markup {
    match until.filter(|until| *until > now) {
        None => parts::none(),
        Some(until) if until == streamit_domain::room::FOREVER => html! { "for good" },
        Some(until) => parts::time(until),
    }
}

/// `/admin/rooms/{room}/people/`.
pub(crate) async fn people(
    State(app): State<App>,
    staff: Staff,
    named: Named,
    query: Query,
) -> Result<Response> {
    let mut read = app.store.read().await?;
    let room = found(&mut read, &named).await?;
    let base = format!("{PLACE}{}/", room.id);
    let mut filters = Filters::of(&query, format!("{base}people/"));
    let standing = filters.choice("standing", "Stands", &STANDINGS);
    let order = filters.choice("sort", "Sort", &ORDER);
    let window = filters.window(order);
    let page = if filters.is_fine() {
        seats::list(&mut read, Of::Room(room.id), standing, window).await?
    } else {
        nothing()
    };
    drop(read);
    let title = format!("People in {}", room.code);
    let body = html! {
        p { a href=(base) { "Room " span.code { (room.code.as_str()) } } }
        h1 { (title) }
        (filters) (table(&room, &page.rows, app.now())) (filters.pager(&page))
    };
    Ok(frame::with_status(frame::page(&staff, PLACE, &title, &query, &body), filters.status()))
}
