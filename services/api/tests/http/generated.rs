//! Thousands of requests that nobody would send, to every path there is: none is answered with a fault of the server.

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::panel::{self, Rank};
use crate::support::{Person, World};

/// Where paths are listed. What is added there is tried here.
const TABLES: [&str; 3] = [
    include_str!("../../src/http.rs"),
    include_str!("../../src/rooms.rs"),
    include_str!("../../src/panel.rs"),
];
/// How many requests each path gets.
const EACH: usize = 200;

/// Every path, as it is written in the tables.
fn paths() -> Vec<String> {
    let quoted = TABLES.iter().flat_map(|table| table.split(".route(").skip(1));
    let paths = quoted.filter_map(|rest| Some(rest.split_once('"')?.1.split_once('"')?.0.to_owned()));
    paths.collect()
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64 (Marsaglia 2003, "Xorshift RNGs").
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

/// What is known of the world, so that some of what is made up hits something.
struct Known {
    ids: Vec<String>,
    code: String,
}

const ODD: [&str; 16] = [
    "",
    "0",
    "-1",
    "1e9",
    "18446744073709551616",
    "null",
    "%00",
    "%ff",
    "%F0%9F%8E%AC",
    "..",
    "a%2Fb",
    "<script>",
    "'%20OR%201=1--",
    "%E2%80%AE",
    "{}",
    "x",
];

impl Known {
    fn segment(&self, dice: &mut Dice) -> String {
        match dice.roll(4) {
            0 => dice.pick(&ODD).to_owned(),
            1 => self.code.clone(),
            _ => self.ids[dice.roll(self.ids.len())].clone(),
        }
    }

    fn path(&self, template: &str, dice: &mut Dice) -> String {
        let fill = |part: &str, dice: &mut Dice| match part {
            "{deed}" => {
                let deeds = [
                    "deactivate",
                    "activate",
                    "anonymise",
                    "end-sessions",
                    "reset-password",
                    "rights",
                    "close",
                    "chat",
                    "transfer",
                    "kick",
                    "ban",
                    "unban",
                    "mute",
                    "unmute",
                    "erase",
                    "shed",
                    "drain",
                    "resume",
                    "x",
                ];
                dice.pick(&deeds).to_owned()
            }
            part if part.starts_with('{') => self.segment(dice),
            part => part.to_owned(),
        };
        let path: Vec<String> = template.split('/').map(|part| fill(part, dice)).collect();
        let mut path = path.join("/").replace(['<', '>', '{', '}', '"', ' '], "_");
        for n in 0..dice.roll(4) {
            let names = [
                "limit", "before", "after", "cursor", "action", "q", "page", "room_id", "user", "room",
                "kind", "state", "since", "until", "sort", "life", "access", "standing", "email", "name",
                "text", "actor", "target", "x",
            ];
            let value = if dice.roll(2) == 0 { dice.pick(&ODD).to_owned() } else { self.segment(dice) };
            let value = value.replace(['<', '>', '{', '}', '"', ' '], "_");
            path.push_str(&format!("{}{}={value}", if n == 0 { '?' } else { '&' }, dice.pick(&names)));
        }
        path
    }

    fn value(&self, dice: &mut Dice) -> Value {
        match dice.roll(14) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(1.5),
            4 => json!(u64::MAX),
            5 => json!(1),
            6 => json!([]),
            7 => json!(["x", 1]),
            8 => json!({"a": {}}),
            9 => json!("x".repeat(dice.roll(3_000))),
            10 => json!("a\u{0}b\u{202e}\u{d7ff}🎬"),
            11 => json!(self.code),
            _ => json!(self.ids[dice.roll(self.ids.len())]),
        }
    }

    fn body(&self, dice: &mut Dice) -> Value {
        const NAMES: [&str; 22] = [
            "room_id",
            "user_id",
            "code",
            "password",
            "email",
            "display_name",
            "seq",
            "reason",
            "note",
            "seconds",
            "on",
            "url",
            "title",
            "provider",
            "video_id",
            "is_private",
            "entry_mode",
            "is_locked",
            "blocked_words",
            "slow_mode_seconds",
            "refresh_token",
            "readiness",
        ];
        let mut body = Map::new();
        if dice.roll(3) > 0 {
            body.insert("room_id".into(), json!(self.ids[0]));
        }
        for _ in 0..dice.roll(6) {
            body.insert(dice.pick(&NAMES).to_owned(), self.value(dice));
        }
        Value::Object(body)
    }
}

#[tokio::test]
async fn no_request_is_answered_with_a_fault_of_the_server() {
    let world = World::unlimited().await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    let desk = panel::desk(&world, "root@example.org", Rank::Superuser).await;
    let token = desk.token(&world).await;
    let known = Known {
        ids: vec![room.id.to_string(), ana.id.to_string(), bo.id.to_string(), uuid::Uuid::nil().to_string()],
        code: room.code.clone(),
    };
    let people: [Option<&Person>; 3] = [None, Some(&ana), Some(&bo)];
    let methods =
        [Method::GET, Method::POST, Method::POST, Method::HEAD, Method::PUT, Method::OPTIONS, Method::DELETE];
    let paths = paths();
    assert!(paths.len() > 60, "the tables are read: {paths:?}");
    let mut dice = Dice(0x5eed);
    let mut count = 0_u32;
    for template in &paths {
        // One's own session, and that of the panel, would be over too soon.
        if ["/api/auth/logout/", "/admin/logout/"].contains(&template.as_str()) {
            continue;
        }
        for _ in 0..EACH {
            let path = known.path(template, &mut dice);
            let method = methods[dice.roll(methods.len())].clone();
            let ask = if template.starts_with("/admin/") && method == Method::POST {
                let odd = dice.pick(&ODD).to_owned();
                let id = known.segment(&mut dice);
                let fields = [
                    ("token", token.as_str()),
                    ("reason", "it had to be"),
                    ("seq", odd.as_str()),
                    ("user", id.as_str()),
                    ("confirm", odd.as_str()),
                    ("seconds", odd.as_str()),
                    ("rank", odd.as_str()),
                    ("state", odd.as_str()),
                ];
                panel::form(&world, &path, &fields[..dice.roll(fields.len() + 1)])
            } else if method == Method::POST {
                world.post(&path).json(known.body(&mut dice))
            } else {
                world.ask(method.clone(), &path)
            };
            let ask = match people[dice.roll(3)] {
                _ if template.starts_with("/admin/") => ask.header("cookie", &desk.cookie),
                Some(person) => ask.by(person),
                None => ask,
            };
            let reply = ask.send().await;
            let is_fault = StatusCode::from_u16(reply.status).unwrap().is_server_error();
            assert!(!is_fault, "{method} {path}: {} {}", reply.status, reply.text);
            assert_ne!(reply.status, 422, "{method} {path}");
            count += 1;
        }
    }
    assert!(count > 10_000, "{count}");
}
