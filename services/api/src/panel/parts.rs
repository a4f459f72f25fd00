//! What pages are made of.

use maud::{Markup, PreEscaped, Render, html};
use streamit_domain::{Timestamp, UserId};
use streamit_wire::frame::rfc3339;

use super::gate::Staff;

/// The name of the field that carries the token of a login.
pub(super) const TOKEN: &str = "token";

/// The field that each form has.
pub(super) fn token(staff: &Staff) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(staff.token); }
}

/// A moment, in UTC and to the second.
pub(super) fn time(at: Timestamp) -> Markup {
    let exact = rfc3339(at);
    let (day, clock) = exact.split_once('T').unwrap_or((&exact, ""));
    let clock = clock.get(..8).unwrap_or(clock);
    html! { time datetime=(exact) { (day) " " span.nowrap { (clock) " UTC" } } }
}

/// A moment, if there is one.
pub(super) fn maybe_time(at: Option<Timestamp>) -> Markup {
    at.map_or_else(none, time)
}

/// Nothing there, told to everybody.
pub(super) fn none() -> Markup {
    html! { span.soft aria-hidden="true" { "–" } span.unseen { "none" } }
}

/// A word that stands for a state.
pub(super) fn badge(kind: &str, word: &str) -> Markup {
    html! { span class={ "badge " (kind) } { (word) } }
}

/// Somebody, as a link to what is known of them.
pub(super) fn person(id: UserId, name: impl Render) -> Markup {
    html! { a href={ "/admin/users/" (id) "/" } { (name) } }
}

/// A table, which a narrow screen shows as cards. `columns` head its cells; the first cell of a row names it.
pub(super) struct Table<'a> {
    /// What it is a table of, for those who do not see where it stands.
    pub(super) caption: &'a str,
    pub(super) columns: &'a [&'a str],
    pub(super) rows: Vec<Vec<Markup>>,
    /// What is said when it has no rows.
    pub(super) empty: &'a str,
}

impl Render for Table<'_> {
    fn render(&self) -> Markup {
        if self.rows.is_empty() {
            return html! { p.empty { (self.empty) } };
        }
        // The roles are those of the elements: what is shown as blocks would lose them.
        html! {
            table role="table" {
                caption.unseen { (self.caption) }
                thead role="rowgroup" { tr role="row" {
                    @for column in self.columns { th scope="col" role="columnheader" { (column) } }
                } }
                tbody role="rowgroup" { @for row in &self.rows {
                    tr role="row" { @for (n, cell) in row.iter().enumerate() {
                        @let label = self.columns.get(n).copied().unwrap_or_default();
                        @if n == 0 {
                            th scope="row" role="rowheader" data-label=(label) { div { (cell) } }
                        } @else {
                            td role="cell" data-label=(label) { div { (cell) } }
                        }
                    } }
                } }
            }
        }
    }
}

/// Names and what stands behind them.
pub(super) fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! { dl.facts { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } } }
}

/// A part of a page, with a heading and maybe a link to all of it.
pub(super) fn section(id: &str, title: &str, all: Option<&str>, body: impl Render) -> Markup {
    html! {
        section aria-labelledby=(id) {
            div.head {
                h2 id=(id) { (title) }
                @if let Some(all) = all { a href=(all) { "All" span.unseen { " of: " (title) } } }
            }
            (body)
        }
    }
}

/// Ways to act, as a row of links to where they are asked about.
pub(super) fn actions(links: &[(String, &str, bool)]) -> Markup {
    if links.is_empty() {
        return PreEscaped(String::new());
    }
    html! {
        ul.actions aria-label="Actions" { @for (href, word, is_grave) in links {
            li { a.button.bad[*is_grave] href=(href) { (word) } }
        } }
    }
}
