//! People: the list, one of them, and what staff does to them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, Render, html};
use secrecy::ExposeSecret;
use streamit_domain::UserId;
use streamit_domain::room::Standing;
use streamit_domain::staff::{Deed, Rank};
use streamit_storage::panel::seats::{self, Of, Seat};
use streamit_storage::panel::users::{self as list, Kind};
use streamit_storage::panel::{Order, Page, Window, logins, messages};
use streamit_storage::users::{self, User};
use streamit_storage::{Read, audit as log, reports};
use streamit_wire::Code;

use super::ask::{self, Question};
use super::filter::Filters;
use super::form::{Fields, Named, Posted};
use super::gate::Staff;
use super::{audit, frame, logins as login_pages, messages as message_pages, parts, reports as report_pages};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;
use crate::staff::accounts::{self, Change, rank};

const PLACE: &str = "/admin/users/";
/// How much of each list stands on the page of a person or a room.
pub(super) const FEW: Window =
    Window { order: Order::Newest, place: streamit_storage::panel::Place::Start, limit: 10 };

/// The words of a list's order.
pub(super) const ORDER: [(&str, &str, Order); 2] =
    [("newest", "Newest first", Order::Newest), ("oldest", "Oldest first", Order::Oldest)];

const KINDS: [(&str, &str, Kind); 5] = [
    ("any", "All", Kind::Any),
    ("guest", "Guests", Kind::Guest),
    ("account", "Accounts", Kind::Account),
    ("staff", "Staff", Kind::Staff),
    ("inactive", "Switched off", Kind::Inactive),
];

/// `/admin/users/`.
pub(crate) async fn list(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let mut filters = Filters::of(&query, PLACE);
    let search = filters.text("q", "Search", "name or address from its beginning, or id");
    let kind = filters.choice("kind", "Kind", &KINDS);
    let order = filters.choice("sort", "Sort", &ORDER);
    let window = filters.window(order);
    let page = if filters.is_fine() {
        let mut read = app.store.read().await?;
        match search.and_then(|text| text.parse::<UserId>().ok()) {
            Some(id) => only(users::by_id(&mut read, id).await?),
            None => list::list(&mut read, kind, search, window).await?,
        }
    } else {
        nothing()
    };
    let table = parts::Table {
        caption: "People",
        columns: &["Name", "Address", "Kind", "State", "Came"],
        rows: page.rows.iter().map(row).collect(),
        empty: if filters.is_fine() { "Nobody is like that." } else { "Nothing was looked for." },
    };
    let body = html! { h1 { "Users" } (filters) (table) (filters.pager(&page)) };
    Ok(frame::with_status(frame::page(&staff, PLACE, "Users", &query, &body), filters.status()))
}

/// A page with the one that was named, if there is one.
pub(super) fn only<T>(found: Option<T>) -> Page<T> {
    Page { rows: found.into_iter().collect(), has_previous: false, has_next: false }
}

/// A page without rows.
pub(super) fn nothing<T>() -> Page<T> {
    only(None)
}

fn row(user: &User) -> Vec<Markup> {
    vec![
        parts::person(user.id, user.display_name.as_str()),
        user.email.as_ref().map_or_else(parts::none, |email| html! { (email) }),
        kind(user),
        state(user),
        parts::time(user.created_at),
    ]
}

fn kind(user: &User) -> Markup {
    match rank(user) {
        Rank::Superuser => parts::badge("strong", "Superuser"),
        Rank::Staff => parts::badge("strong", "Staff"),
        Rank::Nobody if user.is_guest => parts::badge("", "Guest"),
        Rank::Nobody => parts::badge("", "Account"),
    }
}

fn state(user: &User) -> Markup {
    if user.is_active { parts::badge("good", "On") } else { parts::badge("bad", "Off") }
}

/// `/admin/users/{user}/`.
pub(crate) async fn detail(
    State(app): State<App>,
    staff: Staff,
    named: Named,
    query: Query,
) -> Result<Response> {
    let mut read = app.store.read().await?;
    let user = found(&mut read, &named).await?;
    let is_anonymised = list::is_anonymised(&mut read, user.id).await?;
    let seats = seats::list(&mut read, Of::Person(user.id), None, FEW).await?;
    let logins = logins::list(&mut read, Some(user.id), None, FEW).await?;
    let said = messages::list(&mut read, messages::Of::Person(user.id), FEW).await?;
    let about = log::Filter { target: Some(user.id), ..log::Filter::default() };
    let about = log::list(&mut read, &about, None, FEW.limit).await?;
    let by = log::Filter { actor: Some(user.id), ..log::Filter::default() };
    let by = log::list(&mut read, &by, None, FEW.limit).await?;
    let reported = reports::Filter { user: Some(user.id), ..reports::Filter::default() };
    let reported = reports::list(&mut read, reported, None, FEW.limit).await?;
    drop(read);
    let (now, base) = (app.now(), format!("{PLACE}{}/", user.id));
    let id = user.id.to_string();
    let of = |path: &str, name: &str| format!("{path}?{name}={id}");
    let body = html! {
        h1 { (user.display_name) }
        (parts::facts(&[
            ("Id", html! { code { (user.id) } }),
            ("Address", user.email.as_ref().map_or_else(parts::none, |email| html! { (email) })),
            ("Kind", kind(&user)),
            ("State", html! { (state(&user)) @if is_anonymised { " " (parts::badge("", "Forgotten")) } }),
            ("Came", parts::time(user.created_at)),
        ]))
        (parts::actions(&ways(&staff, &user, is_anonymised, &base)))
        (parts::section("rooms", "Rooms", Some(&format!("{base}rooms/")), places(&seats.rows)))
        (parts::section("sessions", "Sessions", Some(&of("/admin/sessions/", "user")),
            login_pages::table(&logins.rows, now)))
        (parts::section("messages", "Messages", Some(&of("/admin/messages/", "user")),
            message_pages::table(&said.rows, true)))
        (parts::section("reports", "Reports about them", Some(&format!("/admin/reports/?state=any&user={id}")),
            report_pages::table(&reported)))
        (parts::section("about", "Done to them", Some(&of("/admin/audit/", "about")), audit::table(&about)))
        (parts::section("by", "Done by them", Some(&of("/admin/audit/", "by")), audit::table(&by)))
    };
    Ok(frame::page(&staff, PLACE, user.display_name.as_str(), &query, &body))
}

async fn found(read: &mut Read, named: &Named) -> Result<User> {
    users::by_id(read, named.id("user")?).await?.ok_or_else(|| Code::NotFound.into())
}

/// What this person of staff can do to somebody.
fn ways(staff: &Staff, user: &User, is_anonymised: bool, base: &str) -> Vec<(String, &'static str, bool)> {
    Way::ALL
        .into_iter()
        .filter(|way| {
            accounts::may(&staff.user, user, way.deed()).is_ok() && way.is_of_use(user, is_anonymised)
        })
        .map(|way| (format!("{base}{}/", way.word()), way.title(), way.is_grave()))
        .collect()
}

/// The rooms of somebody.
fn places(seats: &[Seat]) -> impl Render {
    parts::Table {
        caption: "Rooms",
        columns: &["Room", "Called", "Stands", "Role", "Since"],
        rows: seats
            .iter()
            .map(|seat| {
                vec![
                    html! { a.code href={ "/admin/rooms/" (seat.room) "/" } { (seat.code) } },
                    html! { (seat.name) },
                    standing(seat.standing),
                    html! { (role_word(seat)) },
                    parts::time(seat.created_at),
                ]
            })
            .collect(),
        empty: "They were in no room.",
    }
}

/// How somebody stands with a room.
pub(super) fn standing(standing: Standing) -> Markup {
    match standing {
        Standing::Approved => parts::badge("good", "In"),
        Standing::Pending => parts::badge("", "Asks to come in"),
        Standing::Rejected => parts::badge("", "Turned away"),
        Standing::Left => parts::badge("", "Left"),
        Standing::Kicked => parts::badge("bad", "Kicked"),
        Standing::Banned => parts::badge("bad", "Banned"),
    }
}

/// What somebody is in a room.
pub(super) fn role_word(seat: &Seat) -> &'static str {
    use streamit_domain::room::Role;
    match seat.role() {
        Role::Host => "Host",
        Role::Cohost => "Co-host",
        Role::Viewer => "Viewer",
    }
}

/// `/admin/users/{user}/rooms/`.
pub(crate) async fn rooms(
    State(app): State<App>,
    staff: Staff,
    named: Named,
    query: Query,
) -> Result<Response> {
    let mut read = app.store.read().await?;
    let user = found(&mut read, &named).await?;
    let base = format!("{PLACE}{}/", user.id);
    let mut filters = Filters::of(&query, format!("{base}rooms/"));
    let standing = filters.choice("standing", "Stands", &STANDINGS);
    let order = filters.choice("sort", "Sort", &ORDER);
    let window = filters.window(order);
    let page = if filters.is_fine() {
        seats::list(&mut read, Of::Person(user.id), standing, window).await?
    } else {
        nothing()
    };
    drop(read);
    let title = format!("Rooms of {}", user.display_name);
    let body = html! {
        p { a href=(base) { (user.display_name) } }
        h1 { (title) }
        (filters) (places(&page.rows)) (filters.pager(&page))
    };
    Ok(frame::with_status(frame::page(&staff, PLACE, &title, &query, &body), filters.status()))
}

/// The words of how people stand.
pub(super) const STANDINGS: [(&str, &str, Option<Standing>); 7] = [
    ("any", "All", None),
    ("approved", "In", Some(Standing::Approved)),
    ("pending", "Ask to come in", Some(Standing::Pending)),
    ("rejected", "Turned away", Some(Standing::Rejected)),
    ("left", "Left", Some(Standing::Left)),
    ("kicked", "Kicked", Some(Standing::Kicked)),
    ("banned", "Banned", Some(Standing::Banned)),
];

/// What can be done to somebody here, by the word in its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Deactivate,
    Activate,
    EndSessions,
    Password,
    Rights,
    Anonymise,
}

impl Way {
    const ALL: [Self; 6] =
        [Self::Deactivate, Self::Activate, Self::EndSessions, Self::Password, Self::Rights, Self::Anonymise];

    const fn word(self) -> &'static str {
        match self {
            Self::Deactivate => "deactivate",
            Self::Activate => "activate",
            Self::EndSessions => "end-sessions",
            Self::Password => "password",
            Self::Rights => "rights",
            Self::Anonymise => "anonymise",
        }
    }

    fn named(named: &Named) -> Result<Self> {
        let word = named.text("deed");
        Self::ALL.into_iter().find(|way| way.word() == word).ok_or_else(|| Code::NotFound.into())
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Deactivate => "Switch off",
            Self::Activate => "Switch on",
            Self::EndSessions => "End all sessions",
            Self::Password => "Reset password",
            Self::Rights => "Change rights",
            Self::Anonymise => "Anonymise",
        }
    }

    const fn is_grave(self) -> bool {
        matches!(self, Self::Deactivate | Self::Anonymise)
    }

    const fn deed(self) -> Deed {
        match self {
            Self::Deactivate => Deed::Deactivate,
            Self::Activate => Deed::Activate,
            Self::EndSessions => Deed::EndSessions,
            Self::Password => Deed::ResetPassword,
            Self::Rights => Deed::ChangeRights,
            Self::Anonymise => Deed::Anonymise,
        }
    }

    fn is_of_use(self, user: &User, is_anonymised: bool) -> bool {
        match self {
            Self::Deactivate => user.is_active,
            Self::Activate => !user.is_active && !is_anonymised,
            Self::EndSessions => true,
            Self::Password => user.password_hash.is_some(),
            Self::Rights => !user.is_guest && user.is_active,
            Self::Anonymise => !is_anonymised,
        }
    }

    fn question(self, user: &User) -> Question {
        let name = user.display_name.as_str();
        let what = match self {
            Self::Deactivate => html! {
                p { "Ends all sessions of this person and closes their sockets. They can't log in until the account is switched on again." }
                p { "What they said and the rooms they opened stay." }
            },
            Self::Activate => html! { p { "They can log in again." } },
            Self::EndSessions => html! {
                p { "They are logged out everywhere, in the panel too, and their sockets are closed. They can log in again; a guest can't." }
            },
            Self::Password => html! {
                p { "The account gets a new password, which is shown once, and all its sessions end. Hand it over in a safe way." }
            },
            Self::Rights => html! {
                p { "Staff comes into the panel and does everything but what concerns other staff. Superusers do everything." }
                p { "Who loses rights is logged out of the panel at once." }
            },
            Self::Anonymise => html! {
                p { "Their name and address are forgotten for good: in the account, in rooms, and beside what they said. All sessions end, and the account can't be used any more." }
                p { "What they said stays, under another name: erase it first if it should go. A room that is open may show the old name beside older messages until everybody has left." }
                p { strong { "This can't be undone." } }
            },
        };
        let fields = match self {
            Self::Rights => rights_field(rank(user)),
            Self::Anonymise => html! {
                div {
                    label for="sure" { "To be sure " span.hint { "type the word anonymise" } }
                    input #sure name="sure" type="text" required autocomplete="off" pattern="anonymise" maxlength="20";
                }
            },
            _ => html! {},
        };
        Question {
            place: PLACE,
            title: format!("{}: {name}", self.title()),
            what,
            fields,
            button: self.title(),
            back: format!("{PLACE}{}/", user.id),
        }
    }
}

const RANKS: [(&str, &str, Rank); 3] = [
    ("none", "None", Rank::Nobody),
    ("staff", "Staff", Rank::Staff),
    ("superuser", "Superuser", Rank::Superuser),
];

fn rights_field(now: Rank) -> Markup {
    html! {
        div {
            label for="rank" { "Rights" }
            select #rank name="rank" { @for (word, label, rank) in RANKS {
                option value=(word) selected[rank == now] { (label) }
            } }
        }
    }
}

/// Asks whether it is meant.
pub(crate) async fn ask(State(app): State<App>, staff: Staff, named: Named) -> Result<Response> {
    let way = Way::named(&named)?;
    let user = found(&mut app.store.read().await?, &named).await?;
    accounts::may(&staff.user, &user, way.deed())?;
    Ok(way.question(&user).page(&staff))
}

/// Does it.
pub(crate) async fn act(State(app): State<App>, named: Named, posted: Posted) -> Result<Response> {
    let Posted { staff, fields } = posted;
    let way = Way::named(&named)?;
    let user = found(&mut app.store.read().await?, &named).await?;
    accounts::may(&staff.user, &user, way.deed())?;
    let question = way.question(&user);
    let (reason, change) = match (fields.reason(), way.read(&fields)) {
        (Ok(reason), Ok(change)) => (reason, change),
        (Err(why), _) | (_, Err(why)) => {
            return Ok(question.again(&staff, &fields, StatusCode::BAD_REQUEST, &why));
        }
    };
    let by = staff.because(reason);
    let done = match &change {
        Some(change) => accounts::change(&app, &by, user.id, change).await.map(|()| None),
        None => accounts::reset_password(&app, &by, user.id).await.map(Some),
    };
    match done {
        Ok(Some(password)) => Ok(new_password(&staff, &user, password.expose_secret())),
        Ok(None) => Ok(ask::done(&question.back, way.done())),
        Err(error) => ask::failed(&question, &staff, &fields, error),
    }
}

impl Way {
    /// The change that the form asks for; none for a new password, which is told.
    fn read(self, fields: &Fields) -> Result<Option<Change>, String> {
        Ok(Some(match self {
            Self::Deactivate => Change::Deactivate,
            Self::Activate => Change::Activate,
            Self::EndSessions => Change::EndSessions,
            Self::Password => return Ok(None),
            Self::Rights => {
                let word = fields.text("rank");
                let found = RANKS.into_iter().find(|(known, ..)| *known == word);
                Change::Rank(found.ok_or("There are no such rights")?.2)
            }
            Self::Anonymise if fields.text("sure").trim() != "anonymise" => {
                return Err("Type the word anonymise, if you are sure".to_owned());
            }
            Self::Anonymise => Change::Anonymise,
        }))
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Deactivate => "deactivated",
            Self::Activate => "activated",
            Self::EndSessions => "sessions-ended",
            Self::Password => "password",
            Self::Rights => "rights",
            Self::Anonymise => "anonymised",
        }
    }
}

/// The only page that ever shows it.
fn new_password(staff: &Staff, user: &User, password: &str) -> Response {
    let title = format!("New password for {}", user.display_name);
    let body = html! {
        h1 { (title) }
        p.notice.good role="status" { "The password is changed, and all sessions are ended." }
        p { "This is shown once:" }
        p { code.secret #password { (password) } }
        p { a.button href={ (PLACE) (user.id) "/" } { "Back to " (user.display_name) } }
    };
    frame::page(staff, PLACE, &title, &Query::default(), &body).into_response()
}
