//! The live inspector: a room as its nodes see it right now.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, Render, html};
use streamit_domain::{Playback, UserId};

use super::dashboard::grouped;
use super::form::Named;
use super::gate::Staff;
use super::rooms::{PLACE, found};
use super::{frame, parts};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;
use crate::live::{self, Happened, Inspection, Lag, Member, Seen, Stage};

/// `/admin/rooms/{room}/live/`.
pub(crate) async fn show(
    State(app): State<App>,
    staff: Staff,
    named: Named,
    query: Query,
) -> Result<Response> {
    let room = found(&mut app.store.read().await?, &named).await?;
    let live = live::inspect(&app, room.id).await?;
    let title = format!("Room {} live", room.code);
    let body = html! {
        p { a href={ (PLACE) (room.id) "/" } { "Room " span.code { (room.code.as_str()) } } }
        h1 { (title) }
        div.stack #live data-live="5" {
            (parts::facts(&[
                ("As of", parts::time(live.at)),
                ("Online", html! { (live.online) }),
                ("Film", film(&live)),
                ("Position", html! { (clock(live.position.secs())) }),
                ("Facts version", html! { (live.homes.facts_version) }),
                ("Fence, epoch", html! { (live.homes.fence) ", " (live.homes.epoch) }),
                ("Last message", html! { "no. " (live.homes.chat_head) }),
                ("Roster version", html! { (live.homes.roster_version) }),
            ]))
            @for silent in &live.silent {
                p.notice.bad {
                    "Node " @if let Some(name) = &silent.name { code { (name) } } @else { code { (silent.incarnation) } }
                    " has people here and did not answer."
                }
            }
            (parts::section("nodes", "Nodes", None, nodes(&live.nodes)))
            @for (n, node) in live.nodes.iter().enumerate() {
                (parts::section(&format!("on-{n}"), &format!("Members on {}", node.node), None, members(&node.members)))
            }
            (parts::section("present", "Present", None, people(&live)))
            (parts::section("events", "The last events", None, events(&live.events, &live)))
        }
    };
    Ok(frame::page(&staff, PLACE, &title, &query, &body))
}

fn film(live: &Inspection) -> Markup {
    match live.film {
        None => html! { "nothing was done to it yet" },
        Some(Playback { is_playing, version, .. }) => html! {
            @if is_playing { (parts::badge("good", "Runs")) } @else { (parts::badge("", "Stands")) }
            " version " (version.number) " under fence " (version.fence)
        },
    }
}

/// `1:02:03.4`, of a position in a film.
fn clock(seconds: f64) -> String {
    // A position is finite and not negative; what is longer than that is no film.
    let tenths = (seconds.min(1e9) * 10.0) as u64;
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}.{tenth}")
    } else {
        format!("{minutes}:{seconds:02}.{tenth}")
    }
}

fn nodes(nodes: &[Seen]) -> impl Render {
    parts::Table {
        caption: "Nodes that have the room",
        columns: &["Name", "Lag", "Connections", "Facts", "Message", "Roster", "Film"],
        rows: nodes
            .iter()
            .map(|node| {
                vec![
                    html! { code { (node.node) } },
                    lag(node.lag),
                    html! { (node.connections) },
                    html! { (node.facts_version) },
                    html! { (node.chat_head) },
                    html! { (node.roster_version) },
                    node.film.map_or_else(parts::none, |version| html! { (version.number) }),
                ]
            })
            .collect(),
        empty: "No node has this room open.",
    }
}

fn lag(lag: Lag) -> Markup {
    if lag.is_none() {
        return parts::badge("good", "In step");
    }
    html! {
        @if lag.facts > 0 { (parts::badge("bad", &format!("{} facts", lag.facts))) " " }
        @if lag.chat > 0 { (parts::badge("bad", &format!("{} messages", lag.chat))) " " }
        @if lag.roster { (parts::badge("bad", "roster")) " " }
        @if lag.film { (parts::badge("bad", "film")) " " }
        @if lag.epoch { (parts::badge("bad", "epoch")) }
    }
}

fn members(members: &[Member]) -> impl Render {
    parts::Table {
        caption: "Connections",
        columns: &["Who", "Stage", "Round trip", "Drift", "Queue", "Chat lag", "Admitted at", "Since"],
        rows: members
            .iter()
            .map(|member| {
                vec![
                    parts::person(member.user, member.name.as_str()),
                    match member.stage {
                        Stage::Joining => parts::badge("", "Joining"),
                        Stage::CatchingUp => parts::badge("strong", "Catching up"),
                        Stage::Live => parts::badge("good", "Live"),
                    },
                    member.round_trip.map_or_else(parts::none, |took| {
                        html! { (format!("{:.1} ms", took.as_secs_f64() * 1e3)) }
                    }),
                    member.drift_ms.map_or_else(parts::none, |drift| html! { (drift) " ms" }),
                    html! { (member.frames) " frames, " (grouped(member.bytes)) " bytes" },
                    html! { (member.chat_lag) },
                    html! { (member.admitted) },
                    parts::maybe_time(member.since),
                ]
            })
            .collect(),
        empty: "It has nobody in the room.",
    }
}

fn people(live: &Inspection) -> impl Render {
    parts::Table {
        caption: "People who are present",
        columns: &["Who", "Connections", "Since"],
        rows: live
            .people
            .iter()
            .map(|person| {
                vec![
                    html! {
                        (parts::person(person.user, person.name.as_str()))
                        @if person.is_going { " " (parts::badge("", "Going")) }
                    },
                    html! { (person.connections) },
                    parts::time(person.since),
                ]
            })
            .collect(),
        empty: "Nobody is here.",
    }
}

fn events(events: &[Happened], live: &Inspection) -> impl Render {
    let name = |user: UserId| {
        live.people.iter().find(|person| person.user == user).map(|person| person.name.clone())
    };
    parts::Table {
        caption: "What happened last",
        columns: &["What", "When", "Who", "Number", "Seen on"],
        rows: events
            .iter()
            .map(|event| {
                vec![
                    html! { code { (event.kind) } },
                    parts::time(event.at),
                    event.user.map_or_else(parts::none, |user| {
                        parts::person(user, name(user).unwrap_or_else(|| user.to_string()).as_str())
                    }),
                    html! { @if event.number > 0 { (event.number) } @else { (parts::none()) } },
                    html! { code { (event.node) } },
                ]
            })
            .collect(),
        empty: "Nothing has happened since a node opened the room.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_as_players_write_them() {
        for (seconds, text) in
            [(0.0, "0:00.0"), (83.47, "1:23.4"), (3_723.0, "1:02:03.0"), (1e300, "277777:46:40.0")]
        {
            assert_eq!(clock(seconds), text);
        }
    }
}
