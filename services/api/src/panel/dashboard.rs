//! The figures of now.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use streamit_storage::panel::counts::{self, MOST};
use streamit_storage::panel::rooms;

use super::gate::Staff;
use super::{frame, nodes, parts};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;
use crate::live;

/// How many rooms are looked into for who is there.
const ROOMS: u32 = 500;
/// In which rooms somebody may be: longer than it takes until it is written down that somebody is.
const LATELY: Duration = Duration::from_secs(120);

/// Who is there, as far as it is known.
#[derive(Default)]
struct Now {
    people: u64,
    rooms: u64,
    is_all: bool,
}

/// `/admin/`.
pub(crate) async fn show(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let mut read = app.store.read().await?;
    let now = app.now();
    let counts = counts::read(&mut read, now).await?;
    let active = rooms::active(&mut read, now.minus(LATELY), ROOMS).await?;
    drop(read);
    let asked: Vec<_> = active.iter().map(|room| (*room, None)).collect();
    let there = app.rooms.online(&asked).await.ok().map(|online| Now {
        people: online.iter().map(|room| room.users).sum(),
        rooms: online.iter().filter(|room| room.users > 0).count() as u64,
        is_all: asked.len() < ROOMS as usize,
    });
    let is_live = app.rooms.is_healthy();
    let nodes = live::nodes(&app).await.ok();
    let connections = nodes.as_ref().map(|nodes| nodes.iter().map(|node| node.connections).sum());
    let body = html! {
        h1 { "Dashboard" }
        div #now data-live="10" {
            ul.figures {
                (figure("People online", there.as_ref().map(|now| about(now.people, now.is_all)), None))
                (figure("Rooms live", there.as_ref().map(|now| about(now.rooms, now.is_all)), Some("/admin/rooms/?sort=active")))
                (figure("Connections", connections.map(grouped), Some(nodes::PLACE)))
                (figure("Nodes", nodes.as_ref().map(|nodes| grouped(nodes.len() as u64)), Some(nodes::PLACE)))
                (figure("Messages, last hour", Some(upto(counts.messages_hour)), Some("/admin/messages/")))
                (figure("Messages, last day", Some(upto(counts.messages_day)), None))
                (figure("Reports open", Some(upto(counts.reports_open)), Some("/admin/reports/")))
                (figure("Failed logins, last hour", Some(upto(counts.logins_failed)), Some("/admin/audit/?action=account.login_failed")))
                (figure("People who came, last day", Some(upto(counts.users_day)), Some("/admin/users/")))
                (figure("Rooms opened, last day", Some(upto(counts.rooms_day)), Some("/admin/rooms/")))
            }
            h2 #health { "Health" }
            (parts::facts(&[
                // Without it there is no page.
                ("Database", parts::badge("good", "answers")),
                ("Live state", if is_live { parts::badge("good", "answers") } else { parts::badge("bad", "away") }),
                ("Release", html! { (env!("CARGO_PKG_VERSION")) }),
                ("As of", parts::time(now)),
            ]))
        }
    };
    Ok(frame::page(&staff, "/admin/", "Dashboard", &query, &body))
}

fn figure(name: &str, value: Option<String>, href: Option<&str>) -> Markup {
    html! {
        li.figure {
            span.name { @if let Some(href) = href { a href=(href) { (name) } } @else { (name) } }
            strong { @if let Some(value) = value { (value) } @else { span.soft { "not known" } } }
        }
    }
}

/// A number that was counted no further than [`MOST`].
fn upto(count: u64) -> String {
    if count > MOST { format!("{}+", grouped(MOST)) } else { grouped(count) }
}

/// A number of which there may be more.
fn about(count: u64, is_all: bool) -> String {
    if is_all { grouped(count) } else { format!("{}+", grouped(count)) }
}

/// `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_written_in_groups_and_none_further_than_it_was_counted() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(upto(1_000), "1,000");
        assert_eq!(upto(1_001), "1,000+");
    }
}
