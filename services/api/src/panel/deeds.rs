//! What staff does in rooms: to the room, to the people in it, to what was said. How it is done is in [`crate::rooms`],
//! which hosts reach too; staff may do it anywhere, and says why.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use streamit_domain::room::{Life, Settings, Standing};
use streamit_domain::{Timestamp, UserId};
use streamit_storage::chat::Which;
use streamit_storage::panel::messages;
use streamit_storage::participants::{self, Participant};
use streamit_storage::rooms::Room;
use streamit_wire::Code;

use super::ask::{self, Question};
use super::form::{Fields, Named, Posted};
use super::gate::Staff;
use super::rooms::{PLACE, found, muted};
use super::{frame, parts, users};
use crate::app::App;
use crate::http::error::{ApiError, Result};
use crate::http::path::Query;
use crate::rooms::moderate::{self, Action};
use crate::rooms::{By, erase, manage};

/// What can be done to a room, by the word in its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Close,
    ChatOff,
    ChatOn,
}

impl Deed {
    const ALL: [Self; 3] = [Self::Close, Self::ChatOff, Self::ChatOn];

    const fn word(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::ChatOff => "chat-off",
            Self::ChatOn => "chat-on",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Close => "Close the room",
            Self::ChatOff => "Switch chat off",
            Self::ChatOn => "Switch chat on",
        }
    }

    fn question(self, room: &Room) -> Question {
        let what = match self {
            Self::Close => html! {
                p { "Everybody in it is told that the room was closed, and their sockets are closed. Nobody comes in again, and its code is never used for another room." }
                p { strong { "This can't be undone." } }
            },
            Self::ChatOff => {
                html! { p { "Nobody can say anything in this room until chat is switched on again, by staff or by its host." } }
            }
            Self::ChatOn => html! { p { "People can chat in this room again." } },
        };
        Question {
            place: PLACE,
            title: format!("{}: {}", self.title(), room.code),
            what,
            fields: html! {},
            button: self.title(),
            back: format!("{PLACE}{}/", room.id),
        }
    }
}

/// What can be done to a room as it is.
pub(super) fn of_room(room: &Room, base: &str) -> Vec<(String, &'static str, bool)> {
    let live = (format!("{base}live/"), "Live inspector", false);
    if room.life != Life::Active {
        return vec![live];
    }
    let chat = if room.settings.is_chat_enabled { Deed::ChatOff } else { Deed::ChatOn };
    let way = |deed: Deed| (format!("{base}{}/", deed.word()), deed.title(), deed == Deed::Close);
    vec![live, way(chat), way(Deed::Close)]
}

async fn deed(app: &App, named: &Named) -> Result<(Deed, Room)> {
    let word = named.text("deed");
    let deed = Deed::ALL.into_iter().find(|deed| deed.word() == word).ok_or(Code::NotFound)?;
    Ok((deed, found(&mut app.store.read().await?, named).await?))
}

/// Asks whether it is meant for the room.
pub(crate) async fn ask_room(State(app): State<App>, staff: Staff, named: Named) -> Result<Response> {
    let (deed, room) = deed(&app, &named).await?;
    Ok(deed.question(&room).page(&staff))
}

/// Does it to the room.
pub(crate) async fn act_room(State(app): State<App>, named: Named, posted: Posted) -> Result<Response> {
    let Posted { staff, fields } = posted;
    let (deed, room) = deed(&app, &named).await?;
    let question = deed.question(&room);
    let reason = match fields.reason() {
        Ok(reason) => reason,
        Err(why) => return Ok(question.again(&staff, &fields, StatusCode::BAD_REQUEST, &why)),
    };
    let by = By::staff(&staff.origin, &reason);
    let done = match deed {
        Deed::Close => manage::close(&app, room.id, &by).await,
        Deed::ChatOff | Deed::ChatOn => {
            let is_chat_enabled = deed == Deed::ChatOn;
            let change = |old: Settings| Ok(Settings { is_chat_enabled, ..old });
            manage::update(&app, room.id, &by, change, None).await.map(drop)
        }
    };
    match done {
        Ok(()) => Ok(ask::done(&question.back, deed.word())),
        Err(error) => ask::failed(&question, &staff, &fields, error),
    }
}

/// What can be done to somebody in a room, by the word in its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Host,
    Mute,
    Unmute,
    Kick,
    Ban,
    Unban,
    Erase,
}

/// For how long somebody may be muted, in seconds; 0 is for good.
const MUTES: [(&str, u64); 5] = [
    ("10 minutes", 600),
    ("An hour", 3_600),
    ("A day", 24 * 3_600),
    ("A week", 7 * 24 * 3_600),
    ("For good", 0),
];

impl Way {
    const ALL: [Self; 7] =
        [Self::Host, Self::Mute, Self::Unmute, Self::Kick, Self::Ban, Self::Unban, Self::Erase];

    const fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Mute => "mute",
            Self::Unmute => "unmute",
            Self::Kick => "kick",
            Self::Ban => "ban",
            Self::Unban => "unban",
            Self::Erase => "erase",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Host => "Make host",
            Self::Mute => "Mute",
            Self::Unmute => "Unmute",
            Self::Kick => "Kick",
            Self::Ban => "Ban",
            Self::Unban => "Lift the ban",
            Self::Erase => "Erase all messages",
        }
    }

    fn is_of_use(self, room: &Room, person: &Participant, now: Timestamp) -> bool {
        let is_host = room.host == person.user;
        let is_in = person.standing == Standing::Approved;
        let is_muted = person.muted_until.is_some_and(|until| until > now);
        room.life == Life::Active
            && match self {
                Self::Host => is_in && !is_host,
                Self::Mute => !is_muted,
                Self::Unmute => is_muted,
                Self::Kick => (is_in || person.standing == Standing::Pending) && !is_host,
                Self::Ban => person.standing != Standing::Banned && !is_host,
                Self::Unban => person.standing == Standing::Banned,
                Self::Erase => true,
            }
    }

    fn question(self, room: &Room, person: &Participant) -> Question {
        let what = match self {
            Self::Host => "They lead the room from now on; whoever does now becomes a viewer.",
            Self::Mute => "What they say in this room reaches nobody.",
            Self::Unmute => "They can chat in this room again.",
            Self::Kick => "They are thrown out of this room and can't come in for 10 minutes.",
            Self::Ban => {
                "They are thrown out of this room for good. A guest's network is kept out for 24 hours, so that he does not come back under another name."
            }
            Self::Unban => "They can come in again as anybody can; the network of a guest too.",
            Self::Erase => {
                "All that they said in this room is taken back, for everybody. This can't be undone."
            }
        };
        let fields = if self == Self::Mute {
            html! {
                div {
                    label for="seconds" { "For how long" }
                    select #seconds name="seconds" { @for (label, seconds) in MUTES { option value=(seconds) { (label) } } }
                }
            }
        } else {
            html! {}
        };
        Question {
            place: PLACE,
            title: format!("{}: {} in {}", self.title(), person.name, room.code),
            what: html! { p { (what) } },
            fields,
            button: self.title(),
            back: format!("{PLACE}{}/people/{}/", room.id, person.user),
        }
    }

    /// What the form asks for; none for what was said, which is not an action of moderation.
    fn read(self, fields: &Fields) -> Result<Option<Action>, String> {
        Ok(Some(match self {
            Self::Host => Action::Transfer,
            Self::Mute => {
                let given = fields.text("seconds").parse::<u64>().ok();
                let seconds = given.filter(|given| MUTES.iter().any(|(_, known)| known == given));
                let seconds = seconds.ok_or("Choose for how long")?;
                Action::Mute((seconds > 0).then(|| Duration::from_secs(seconds)))
            }
            Self::Unmute => Action::Unmute,
            Self::Kick => Action::Kick,
            Self::Ban => Action::Ban,
            Self::Unban => Action::Unban,
            Self::Erase => return Ok(None),
        }))
    }
}

async fn person(app: &App, named: &Named) -> Result<(Room, Participant)> {
    let mut read = app.store.read().await?;
    let room = found(&mut read, named).await?;
    let user: UserId = named.id("user")?;
    let person = participants::get(&mut read, room.id, user).await?;
    Ok((room, person.ok_or(Code::NotFound)?))
}

fn way(named: &Named) -> Result<Way> {
    let word = named.text("deed");
    Way::ALL.into_iter().find(|way| way.word() == word).ok_or_else(|| ApiError::from(Code::NotFound))
}

/// Somebody in a room, and what can be done about them there.
pub(crate) async fn show_person(
    State(app): State<App>,
    staff: Staff,
    named: Named,
    query: Query,
) -> Result<Response> {
    let (room, person) = person(&app, &named).await?;
    let (base, now) = (format!("{PLACE}{}/people/{}/", room.id, person.user), app.now());
    let ways: Vec<_> = Way::ALL
        .into_iter()
        .filter(|way| way.is_of_use(&room, &person, now))
        .map(|way| (format!("{base}{}/", way.word()), way.title(), matches!(way, Way::Ban | Way::Erase)))
        .collect();
    let title = format!("{} in {}", person.name, room.code);
    let body = html! {
        h1 { (title) }
        (parts::facts(&[
            ("Person", parts::person(person.user, person.name.as_str())),
            ("Room", html! { a.code href={ (PLACE) (room.id) "/" } { (room.code.as_str()) } }),
            ("Stands", users::standing(person.standing)),
            ("Host", html! { @if room.host == person.user { "yes" } @else { "no" } }),
            ("Muted until", muted(person.muted_until, now)),
            ("Kick holds until", parts::maybe_time(person.kicked_until.filter(|until| *until > now))),
            ("First came", parts::time(person.created_at)),
        ]))
        (parts::actions(&ways))
        @if ways.is_empty() { p.empty { "Nothing can be done here: the room has ended." } }
    };
    Ok(frame::page(&staff, PLACE, &title, &query, &body))
}

/// Asks whether it is meant for somebody in a room.
pub(crate) async fn ask_person(State(app): State<App>, staff: Staff, named: Named) -> Result<Response> {
    let way = way(&named)?;
    let (room, person) = person(&app, &named).await?;
    Ok(way.question(&room, &person).page(&staff))
}

/// Does it to somebody in a room.
pub(crate) async fn act_person(State(app): State<App>, named: Named, posted: Posted) -> Result<Response> {
    let Posted { staff, fields } = posted;
    let way = way(&named)?;
    let (room, person) = person(&app, &named).await?;
    let question = way.question(&room, &person);
    let (reason, action) = match (fields.reason(), way.read(&fields)) {
        (Ok(reason), Ok(action)) => (reason, action),
        (Err(why), _) | (_, Err(why)) => {
            return Ok(question.again(&staff, &fields, StatusCode::BAD_REQUEST, &why));
        }
    };
    let by = By::staff(&staff.origin, &reason);
    let done = match action {
        Some(action) => moderate::act(&app, room.id, &by, person.user, action).await,
        None => erase::take_back(&app, room.id, &by, Which::AllOf(person.user)).await.map(drop),
    };
    match done {
        Ok(()) => Ok(ask::done(&question.back, way.word())),
        Err(error) => ask::failed(&question, &staff, &fields, error),
    }
}

async fn message(app: &App, named: &Named) -> Result<(Room, u64, Question)> {
    let mut read = app.store.read().await?;
    let room = found(&mut read, named).await?;
    let said = messages::one(&mut read, room.id, named.id("seq")?).await?.ok_or(Code::NotFound)?;
    let what: Markup = html! {
        p { "This is taken back, for everybody who sees it and everybody who comes later; a mark stays in its place." }
        @match &said.text {
            Some(text) => blockquote { p.said { (text) } footer { (said.name) ", " (parts::time(said.created_at)) } },
            None => p { em { "It is erased already." } },
        }
        p { strong { "This can't be undone." } }
    };
    let question = Question {
        place: PLACE,
        title: format!("Erase message no. {} in {}", said.seq, room.code),
        what,
        fields: html! {},
        button: "Erase the message",
        back: format!("{PLACE}{}/", room.id),
    };
    Ok((room, said.seq, question))
}

/// Asks whether it is meant for what was said.
pub(crate) async fn ask_message(State(app): State<App>, staff: Staff, named: Named) -> Result<Response> {
    Ok(message(&app, &named).await?.2.page(&staff))
}

/// Takes back what was said.
pub(crate) async fn erase_message(State(app): State<App>, named: Named, posted: Posted) -> Result<Response> {
    let Posted { staff, fields } = posted;
    let (room, seq, question) = message(&app, &named).await?;
    let reason = match fields.reason() {
        Ok(reason) => reason,
        Err(why) => return Ok(question.again(&staff, &fields, StatusCode::BAD_REQUEST, &why)),
    };
    match erase::take_back(&app, room.id, &By::staff(&staff.origin, &reason), Which::One(seq)).await {
        Ok(_) => Ok(ask::done(&question.back, "erased")),
        Err(error) => ask::failed(&question, &staff, &fields, error),
    }
}
