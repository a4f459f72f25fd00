//! The realtime nodes: how they are, and what they are asked to do.

use std::fmt::Write;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, Render, html};
use streamit_wire::Code;

use super::ask::{self, Question};
use super::dashboard::grouped;
use super::form::{Fields, Named, Posted};
use super::gate::Staff;
use super::{frame, parts};
use crate::app::App;
use crate::http::error::Result;
use crate::http::path::Query;
use crate::live;
use crate::nodes::Node;
use crate::staff::nodes::{self, Order};

pub(super) const PLACE: &str = "/admin/nodes/";

/// `/admin/nodes/`.
pub(crate) async fn list(State(app): State<App>, staff: Staff, query: Query) -> Result<Response> {
    let nodes = live::nodes(&app).await?;
    let body = html! {
        h1 { "Nodes" }
        div #nodes data-live="5" { (table(&nodes)) p.soft { "As of " (parts::time(app.now())) } }
    };
    Ok(frame::page(&staff, PLACE, "Nodes", &query, &body))
}

fn table(nodes: &[Node]) -> impl Render {
    parts::Table {
        caption: "Realtime nodes",
        columns: &[
            "Name",
            "State",
            "Connections",
            "Rooms",
            "Joining",
            "Release",
            "Memory",
            "Began",
            "Action",
        ],
        rows: nodes.iter().map(|node| row(node, nodes.len() > 1)).collect(),
        empty: "No node lives, or none tells of itself.",
    }
}

fn row(node: &Node, has_others: bool) -> Vec<Markup> {
    // A beat comes every two seconds.
    let is_late = node.beaten > Duration::from_secs(5);
    vec![
        html! { @if node.name.is_empty() { em.soft { "tells no name" } } @else { code { (node.name) } } },
        html! {
            @if node.is_draining { (parts::badge("strong", "Draining")) }
            @else if is_late { (parts::badge("bad", "Late")) }
            @else { (parts::badge("good", "Serves")) }
        },
        html! { (grouped(node.connections)) },
        html! { (grouped(node.rooms)) },
        html! { (grouped(node.joining)) },
        html! { (node.version) },
        node.memory.map_or_else(parts::none, |bytes| html! { (grouped(bytes >> 20)) " MiB" }),
        parts::maybe_time(node.started),
        html! {
            @if node.name.is_empty() { (parts::none()) } @else {
                @for way in Way::ALL.into_iter().filter(|way| way.is_of_use(node, has_others)) {
                    a href={ (PLACE) (segment(&node.name)) "/" (way.word()) "/" } { (way.title()) span.unseen { " " (node.name) } } " "
                }
                @if !has_others && !node.is_draining { span.soft { "the only one" } }
            }
        },
    ]
}

/// A name as a part of a path (RFC 3986, section 2.3).
fn segment(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(byte.into());
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

/// What a node can be asked, by the word in its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Shed,
    Drain,
    Resume,
}

/// Over how long connections are put out, in seconds.
const WINDOWS: [(&str, u64); 3] = [("15 seconds", 15), ("A minute", 60), ("5 minutes", 300)];

impl Way {
    const ALL: [Self; 3] = [Self::Shed, Self::Drain, Self::Resume];

    const fn word(self) -> &'static str {
        match self {
            Self::Shed => "shed",
            Self::Drain => "drain",
            Self::Resume => "resume",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Shed => "Shed",
            Self::Drain => "Drain",
            Self::Resume => "Resume",
        }
    }

    const fn is_of_use(self, node: &Node, has_others: bool) -> bool {
        match self {
            Self::Shed | Self::Drain => has_others && !node.is_draining,
            Self::Resume => node.is_draining,
        }
    }

    fn question(self, node: &Node) -> Question {
        let what = match self {
            Self::Shed => {
                "A share of its connections is put out, each at its own moment, and comes back on other nodes. Nobody is told that they left."
            }
            Self::Drain => {
                "Everybody on it is put out and comes back on other nodes; it takes nobody until it is told to resume. Nobody is told that they left."
            }
            Self::Resume => "It takes people again.",
        };
        let fields = if self == Self::Shed {
            html! {
                div {
                    label for="percent" { "How many of a hundred " span.hint { "1 to 100" } }
                    input #percent name="percent" type="number" min="1" max="100" value="25" required;
                }
                div {
                    label for="seconds" { "Over how long" }
                    select #seconds name="seconds" { @for (label, seconds) in WINDOWS { option value=(seconds) { (label) } } }
                }
            }
        } else {
            html! {}
        };
        Question {
            place: PLACE,
            title: format!("{}: {}", self.title(), node.name),
            what: html! { p { (what) } p.soft { "It has " (grouped(node.connections)) " connections now." } },
            fields,
            button: self.title(),
            back: PLACE.to_owned(),
        }
    }

    fn read(self, fields: &Fields) -> Result<Order, String> {
        Ok(match self {
            Self::Shed => {
                let percent =
                    fields.text("percent").parse().ok().filter(|percent| (1..=100).contains(percent));
                let seconds = fields.text("seconds").parse::<u64>().ok();
                let seconds = seconds.filter(|given| WINDOWS.iter().any(|(_, known)| known == given));
                let percent = percent.ok_or("How many of a hundred: a whole number from 1 to 100")?;
                Order::Shed(percent, Duration::from_secs(seconds.ok_or("Choose over how long")?))
            }
            Self::Drain => Order::Drain,
            Self::Resume => Order::Resume,
        })
    }
}

async fn question(app: &App, named: &Named) -> Result<(Way, String, Question)> {
    let way = Way::ALL.into_iter().find(|way| way.word() == named.text("deed")).ok_or(Code::NotFound)?;
    let name = named.text("node");
    let node = live::nodes(app).await?.into_iter().find(|node| node.name == name && !name.is_empty());
    let node = node.ok_or(Code::NotFound)?;
    let question = way.question(&node);
    Ok((way, node.name, question))
}

/// Asks whether it is meant.
pub(crate) async fn ask(State(app): State<App>, staff: Staff, named: Named) -> Result<Response> {
    Ok(question(&app, &named).await?.2.page(&staff))
}

/// Asks the node.
pub(crate) async fn act(State(app): State<App>, named: Named, posted: Posted) -> Result<Response> {
    let Posted { staff, fields } = posted;
    let (way, node, question) = question(&app, &named).await?;
    let (reason, order) = match (fields.reason(), way.read(&fields)) {
        (Ok(reason), Ok(order)) => (reason, order),
        (Err(why), _) | (_, Err(why)) => {
            return Ok(question.again(&staff, &fields, StatusCode::BAD_REQUEST, &why));
        }
    };
    match nodes::tell(&app, &staff.because(reason), &node, order).await {
        Ok(()) => Ok(ask::done(PLACE, way.word())),
        Err(error) => ask::failed(&question, &staff, &fields, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path_whatever_is_in_it() {
        assert_eq!(segment("node-1.a"), "node-1.a");
        assert_eq!(segment("a/b?c#d e\"ü"), "a%2Fb%3Fc%23d%20e%22%C3%BC");
    }
}
