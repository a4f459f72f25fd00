//! Who may do what: every role, every action, every kind of room, over HTTP and over the WebSocket, from one table.

use serde_json::{Value, json};
use streamit_client::{Event, Options};
use streamit_e2e::{Answer, Person, Room, Seat, System, on_both, until};

on_both! {
    crate::SYSTEMS;
    everybody_may_do_what_the_table_says_in_a_public_room,
    everybody_may_do_what_the_table_says_in_a_room_with_a_password,
    everybody_may_do_what_the_table_says_in_a_room_with_a_door,
}

/// What somebody is to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Opened it, and is its host.
    Owner,
    /// Was given it.
    Host,
    /// Opened it, and gave it to somebody.
    Opener,
    Cohost,
    Viewer,
    Pending,
    Left,
    Kicked,
    Banned,
    Stranger,
    /// Without a token.
    Nobody,
}

use Role::{Cohost, Host, Kicked, Left, Nobody, Opener, Owner, Pending, Stranger, Viewer};

const ROLES: [Role; 11] =
    [Owner, Host, Opener, Cohost, Viewer, Pending, Left, Kicked, Role::Banned, Stranger, Nobody];

/// About whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The room.
    Room,
    /// Somebody who is in it: a new one each time.
    Viewer,
    /// Somebody who asks to come in.
    Pending,
    /// Somebody who is banned.
    Banned,
    Cohost,
    Host,
    Opener,
    Himself,
}

/// How it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// `POST rooms/<name>/`.
    Post,
    /// `GET rooms/<code>/<name>/`.
    Get,
    /// A message over the WebSocket.
    Frame,
}

const OK: &str = "";
const HOST_ONLY: &str = "HOST_ONLY";
const NO: &str = "FORBIDDEN";
const NOT_IN: &str = "NOT_APPROVED";
const KICKED: &str = "KICKED";
const BANNED: &str = "BANNED";
const WHO: &str = "UNAUTHENTICATED";
/// Does not apply.
const NONE: &str = "-";

/// One action, and what comes of it for each of [`ROLES`].
type Row = (How, &'static str, About, [&'static str; 11]);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    //                                          Owner      Host       Opener     Cohost     Viewer     Pending    Left       Kicked     Banned     Stranger   Nobody
    (How::Get,  "detail",       About::Room,    [OK,       OK,        OK,        OK,        OK,        "?",       "?",       "?",       "?",       "?",       WHO]),
    (How::Get,  "participants", About::Room,    [OK,       OK,        OK,        OK,        OK,        NOT_IN,    NOT_IN,    NOT_IN,    NOT_IN,    NOT_IN,    WHO]),
    (How::Get,  "messages",     About::Room,    [OK,       OK,        OK,        OK,        OK,        NOT_IN,    NOT_IN,    NOT_IN,    NOT_IN,    NOT_IN,    WHO]),
    (How::Get,  "bans",         About::Room,    [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Get,  "audit",        About::Room,    [OK,       OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "report",       About::Room,    [OK,       OK,        OK,        OK,        OK,        NOT_IN,    OK,        OK,        OK,        NOT_IN,    WHO]),
    (How::Post, "settings",     About::Room,    [OK,       OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "source",       About::Room,    [OK,       OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "approve",      About::Pending, [OK,       OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "reject",       About::Pending, [OK,       OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "kick",         About::Viewer,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "ban",          About::Viewer,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "unban",        About::Banned,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "mute",         About::Viewer,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "unmute",       About::Viewer,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "erase",        About::Viewer,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, NOT_IN,    NOT_IN,    NOT_IN,    NOT_IN,    NOT_IN,    WHO]),
    (How::Post, "cohost",       About::Viewer,  [OK,       OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "kick",         About::Cohost,  [OK,       OK,        HOST_ONLY, NO,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "mute",         About::Cohost,  [OK,       OK,        HOST_ONLY, NO,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "kick",         About::Host,    [NO,       NO,        HOST_ONLY, NO,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "ban",          About::Host,    [NO,       NO,        HOST_ONLY, NO,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "mute",         About::Opener,  [NO,       NO,        HOST_ONLY, NO,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "ban",          About::Opener,  [NO,       NO,        HOST_ONLY, NO,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "unmute",       About::Himself, [OK,       OK,        HOST_ONLY, NO,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "erase",        About::Himself, [OK,       OK,        OK,        OK,        OK,        NOT_IN,    NOT_IN,    NOT_IN,    NOT_IN,    NOT_IN,    WHO]),
    (How::Post, "join",         About::Room,    [OK,       OK,        OK,        OK,        OK,        OK,        OK,        KICKED,    BANNED,    OK,        WHO]),
    (How::Frame, "",            About::Room,    [OK,       OK,        OK,        OK,        OK,        NOT_IN,    NONE,      NOT_IN,    BANNED,    NONE,      WHO]),
    (How::Frame, "CHAT_MESSAGE", About::Room,   [OK,       OK,        OK,        OK,        OK,        NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "PLAY",        About::Room,    [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "PAUSE",       About::Room,    [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "SEEK",        About::Room,    [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "KICK_USER",   About::Viewer,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "BAN_USER",    About::Viewer,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "UNBAN_USER",  About::Banned,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "MUTE_USER",   About::Viewer,  [OK,       OK,        HOST_ONLY, OK,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "UNMUTE_USER", About::Himself, [OK,       OK,        HOST_ONLY, NO,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "KICK_USER",   About::Cohost,  [OK,       OK,        HOST_ONLY, NO,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "BAN_USER",    About::Host,    [NO,       NO,        HOST_ONLY, NO,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Frame, "MUTE_USER",   About::Opener,  [NO,       NO,        HOST_ONLY, NO,        HOST_ONLY, NONE,      NONE,      NONE,      NONE,      NONE,      NONE]),
    (How::Post, "leave",        About::Room,    ["CONFLICT", "CONFLICT", OK,     OK,        OK,        OK,        OK,        OK,        OK,        OK,        WHO]),
    // What ends the room or gives it away comes last.
    (How::Post, "transfer",     About::Viewer,  [OK,       OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
    (How::Post, "delete",       About::Room,    [OK,       OK,        OK,        HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, HOST_ONLY, WHO]),
];

/// A room, and somebody in each role.
struct Party<'a> {
    system: &'a System,
    room: Room,
    host: Person,
    /// Seats of those who can have one, by role.
    seats: Vec<(Role, Seat)>,
    people: Vec<(Role, Person)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Public,
    Password,
    Approval,
}

impl<'a> Party<'a> {
    /// With a host who opened the room, or one who was given it.
    async fn new(system: &'a System, mode: Mode, is_given: bool) -> Self {
        let opener = system.guest("Opener").await;
        let room = match mode {
            Mode::Public => opener.public_room().await,
            Mode::Password => opener.password_room().await,
            Mode::Approval => opener.approval_room().await,
        };
        let mut party = Self { system, room, host: opener.clone(), seats: Vec::new(), people: Vec::new() };
        for role in [Cohost, Viewer, Left, Kicked, Role::Banned] {
            let person = system.guest(&format!("{role:?}")).await;
            party.room.admit(&person).await;
            let about = json!({"room_id": party.room.id, "user_id": person.id(), "on": true});
            match role {
                Cohost => drop(opener.does("cohost", &about).await.is(200)),
                Left => drop(person.does("leave", &about).await.is(200)),
                Kicked => drop(opener.does("kick", &about).await.is(200)),
                Role::Banned => drop(opener.does("ban", &about).await.is(200)),
                _ => {}
            }
            party.people.push((role, person));
        }
        if mode == Mode::Approval {
            let person = party.asks().await;
            party.people.push((Pending, person));
        }
        party.people.push((Stranger, system.guest("Stranger").await));
        if is_given {
            let host = party.comes().await;
            let about = json!({"room_id": party.room.id, "user_id": host.id()});
            opener.does("transfer", &about).await.is(200);
            party.people.push((Opener, opener));
            party.people.push((Host, host.clone()));
            party.host = host;
        } else {
            party.people.push((Owner, opener));
        }
        for role in [Owner, Host, Opener, Cohost, Viewer] {
            if let Some(person) = party.who(role).cloned() {
                let seat = party.room.sit(role as usize, &person, Options::default()).await;
                party.seats.push((role, seat));
            }
        }
        party
    }

    fn who(&self, role: Role) -> Option<&Person> {
        self.people.iter().find(|(other, _)| *other == role).map(|(_, person)| person)
    }

    /// Somebody new who is in the room.
    async fn comes(&self) -> Person {
        let person = self.system.guest("Somebody").await;
        if person.http().join(&self.room.code, self.room.password.as_deref()).await.unwrap().status
            == streamit_client::Status::Pending
        {
            self.host.http().approve(self.room.id, person.id()).await.unwrap();
        }
        person
    }

    async fn asks(&self) -> Person {
        let person = self.system.guest("Somebody").await;
        person.http().join(&self.room.code, None).await.unwrap();
        person
    }

    /// About whom it is done; nobody where that can't be.
    async fn target(&self, about: About, actor: Role) -> Option<uuid::Uuid> {
        let does = |action: &'static str, person: Person, on: bool| async move {
            let body = json!({"room_id": self.room.id, "user_id": person.id(), "on": on});
            self.host.does(action, &body).await.is(200);
            person.id()
        };
        match about {
            About::Room => Some(uuid::Uuid::nil()),
            About::Viewer => Some(self.comes().await.id()),
            About::Pending => match self.who(Pending) {
                Some(_) => Some(self.asks().await.id()),
                None => None,
            },
            About::Banned => Some(does("ban", self.comes().await, true).await),
            About::Cohost => Some(does("cohost", self.comes().await, true).await),
            About::Host => Some(self.host.id()),
            About::Opener => Some(self.room.host.id()),
            About::Himself => Some(self.who(actor).map_or(uuid::Uuid::nil(), Person::id)),
        }
    }

    /// What comes of it: the code of a refusal.
    async fn outcome(&mut self, row: &Row, role: Role) -> Option<String> {
        let (how, name, about, _) = *row;
        let target = self.target(about, role).await?;
        match how {
            How::Get => {
                let path = format!("/api/rooms/{}/{name}/", self.room.code);
                let answer = match self.who(role) {
                    Some(person) => person.reads(&path).await,
                    None => self.system.http(0).raw("GET", &path, None).await.unwrap(),
                };
                Some(code(answer))
            }
            How::Post => {
                let body = self.body(name, about, target);
                let answer = match self.who(role) {
                    Some(person) => person.does(name, &body).await,
                    None => self.system.post(&format!("/api/rooms/{name}/"), &body).await,
                };
                Some(code(answer))
            }
            How::Frame if name.is_empty() => self.knocks(role).await,
            How::Frame => self.sends(role, name, target).await,
        }
    }

    fn body(&self, name: &str, about: About, target: uuid::Uuid) -> Value {
        let mut body = match name {
            "report" => json!({"reason": "SPAM"}),
            "settings" => json!({"sync_threshold_ms": 2_000}),
            "source" => json!({"url": "https://e.org/film.mp4"}),
            "join" => json!({"code": self.room.code, "password": self.room.password}),
            _ => json!({"on": true}),
        };
        if name != "join" {
            body["room_id"] = json!(self.room.id);
        }
        if about != About::Room {
            body["user_id"] = json!(target);
        }
        body
    }

    /// Opens a WebSocket: the code that its close stands for.
    async fn knocks(&self, role: Role) -> Option<String> {
        let close = match self.who(role) {
            Some(person) => match self.room.try_sit(0, person, Options::default()).await {
                Ok(seat) => {
                    seat.leaves().await;
                    return Some(String::new());
                }
                Err(error) => error.close_reason().map(|reason| reason.code),
            },
            None => {
                let ws = self.system.ws(0);
                let mut line =
                    streamit_client::Connection::open(&ws, &self.room.code, "", Options::default())
                        .await
                        .unwrap();
                Some(line.closed().await.unwrap().code)
            }
        };
        let word = match close {
            Some(4001) => WHO,
            Some(4003) => NOT_IN,
            Some(4010) => BANNED,
            other => panic!("{role:?} was closed with {other:?}"),
        };
        Some(word.to_owned())
    }

    /// Sends a frame: the code of the ERROR that comes, or nothing when what was asked for is so.
    async fn sends(&mut self, role: Role, name: &str, target: uuid::Uuid) -> Option<String> {
        let (host, room) = (self.host.clone(), self.room.clone());
        let (_, seat) = self.seats.iter_mut().find(|(other, _)| *other == role)?;
        // A position that nobody else asks for.
        let n = crate::fresh();
        let (text, time) = (format!("said-{n}"), f64::from(n) + 0.25);
        seat.send(
            &json!({"type": name, "user_id": target, "time": time, "message": text, "client_id": text}),
        )
        .await;
        let refused = |event: &Event| match event {
            Event::Error(refusal) => Some(refusal.code.clone()),
            Event::ChatMessage(said) if said.message == text => Some(String::new()),
            Event::PlaybackState(state) if (state.time - time).abs() < 1e-6 => Some(String::new()),
            _ => None,
        };
        let (action, done) = match name {
            "KICK_USER" => ("moderation.kicked", true),
            "BAN_USER" => ("moderation.banned", true),
            "UNBAN_USER" => ("moderation.unbanned", true),
            "MUTE_USER" => ("moderation.muted", true),
            _ => ("", false),
        };
        if !done {
            if name == "UNMUTE_USER" && (role == Owner || role == Host) {
                return Some(String::new()); // says nothing when he was not muted
            }
            return Some(seat.waits("an answer", refused).await);
        }
        let wanted = json!(target);
        let written = until("the deed to be written down", async || {
            let path = format!("/api/rooms/{}/audit/?action={action}&limit=200", room.code);
            let audit = host.reads(&path).await.is(200);
            let is_told = |entry: &Value| entry["target"]["id"] == wanted;
            audit["entries"].as_array().unwrap().iter().any(is_told).then(String::new)
        });
        tokio::select! {
            refused = seat.waits("an answer", refused) => Some(refused),
            written = written => Some(written.unwrap()),
        }
    }
}

fn code(answer: streamit_client::Response) -> String {
    if answer.status < 300 { String::new() } else { answer.code() }
}

async fn matrix(system: &System, mode: Mode) {
    let mut wrong = Vec::new();
    for is_given in [false, true] {
        let mut party = Party::new(system, mode, is_given).await;
        for row in TABLE {
            for (role, expected) in ROLES.into_iter().zip(row.3) {
                let is_here = role == Nobody || party.who(role).is_some();
                // What changes who somebody is, is done by the role that may when all others have tried.
                if !is_here || expected == NONE || changes(row, role) {
                    continue;
                }
                let expected = match expected {
                    "?" if mode == Mode::Public => OK,
                    "?" => NOT_IN,
                    other => other,
                };
                let Some(seen) = party.outcome(row, role).await else { continue };
                if seen != expected {
                    wrong.push(format!(
                        "{mode:?} {:?} {} {:?} by {role:?}: {seen:?}, not {expected:?}",
                        row.0, row.1, row.2
                    ));
                }
            }
        }
        for row in TABLE.iter().filter(|row| ["transfer", "delete"].contains(&row.1)) {
            for (role, expected) in ROLES.into_iter().zip(row.3) {
                if expected != OK || party.who(role).is_none() {
                    continue;
                }
                let mut fresh = Party::new(system, mode, is_given).await;
                let seen = fresh.outcome(row, role).await;
                if seen.as_deref() != Some(OK) {
                    wrong.push(format!("{mode:?} {} by {role:?}: {seen:?}", row.1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether somebody would be somebody else after it.
fn changes(row: &Row, role: Role) -> bool {
    let expected = row.3[role as usize];
    match row.1 {
        "transfer" | "delete" => expected == OK,
        "leave" => expected == OK && [Opener, Cohost, Viewer, Pending].contains(&role),
        "join" => [Left, Stranger].contains(&role),
        _ => false,
    }
}

async fn everybody_may_do_what_the_table_says_in_a_public_room(system: &System) {
    matrix(system, Mode::Public).await;
}

async fn everybody_may_do_what_the_table_says_in_a_room_with_a_password(system: &System) {
    matrix(system, Mode::Password).await;
}

async fn everybody_may_do_what_the_table_says_in_a_room_with_a_door(system: &System) {
    matrix(system, Mode::Approval).await;
}
