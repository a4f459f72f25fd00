//! What a list is asked for, read from the address of its page; and the form and links that ask for it.

use std::str::FromStr;

use http::StatusCode;
use maud::{Markup, Render, html};
use streamit_domain::Timestamp;
use streamit_storage::panel::{Mark, Marked, Order, Page, Place, Window};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::http::path::Query;

/// How many rows a page has.
pub(super) const ROWS: u32 = 50;
/// The longest text that is looked for, in characters.
const TEXT: usize = 100;

/// One thing that a list can be narrowed by, as the form shows it.
enum Control {
    Choice {
        name: &'static str,
        label: &'static str,
        options: Vec<(&'static str, &'static str)>,
        value: String,
    },
    Text {
        name: &'static str,
        label: &'static str,
        hint: &'static str,
        kind: &'static str,
        value: String,
    },
}

/// What a list is asked for. What is wrong with it is noted, and the page says so.
pub(super) struct Filters<'q> {
    query: &'q Query,
    path: String,
    controls: Vec<Control>,
    /// What stays the same from page to page.
    kept: Vec<(&'static str, String)>,
    wrong: Vec<String>,
}

impl<'q> Filters<'q> {
    /// Those of the list at `path`.
    pub(super) fn of(query: &'q Query, path: impl Into<String>) -> Self {
        Self { query, path: path.into(), controls: Vec::new(), kept: Vec::new(), wrong: Vec::new() }
    }

    fn given(&self, name: &str) -> &'q str {
        self.query.get(name).map_or("", str::trim)
    }

    /// One of a few words; the first one is meant when nothing is said.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        label: &'static str,
        options: &[(&'static str, &'static str, T)],
    ) -> T {
        let given = self.given(name);
        let found = options.iter().find(|(word, ..)| *word == given);
        let (word, _, value) = found.unwrap_or(&options[0]);
        if found.is_none() && !given.is_empty() {
            self.wrong.push(format!("{label}: there is no such choice"));
        }
        if found.is_some() && !given.is_empty() {
            self.kept.push((name, given.to_owned()));
        }
        let options = options.iter().map(|(word, label, _)| (*word, *label)).collect();
        self.controls.push(Control::Choice { name, label, options, value: (*word).to_owned() });
        *value
    }

    /// A text to look for.
    pub(super) fn text(
        &mut self,
        name: &'static str,
        label: &'static str,
        hint: &'static str,
    ) -> Option<&'q str> {
        let given = self.given(name);
        self.shows(name, label, hint, "search");
        if given.chars().count() > TEXT || given.chars().any(char::is_control) {
            self.wrong.push(format!("{label}: at most {TEXT} characters of one line"));
            return None;
        }
        self.keeps(name, given)
    }

    /// A value that is written in one way.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        name: &'static str,
        label: &'static str,
        hint: &'static str,
    ) -> Option<T> {
        let given = self.given(name);
        self.shows(name, label, hint, "text");
        if given.is_empty() {
            return None;
        }
        let Ok(value) = given.parse() else {
            self.wrong.push(format!("{label}: {hint} is needed"));
            return None;
        };
        self.keeps(name, given);
        Some(value)
    }

    /// A moment, in UTC.
    pub(super) fn moment(&mut self, name: &'static str, label: &'static str) -> Option<Timestamp> {
        let given = self.given(name);
        self.shows(name, label, "UTC", "datetime-local");
        if given.is_empty() {
            return None;
        }
        let Some(at) = moment(given) else {
            self.wrong.push(format!("{label}: a moment like 2026-03-01T20:15 is needed"));
            return None;
        };
        self.keeps(name, given);
        Some(at)
    }

    fn shows(&mut self, name: &'static str, label: &'static str, hint: &'static str, kind: &'static str) {
        let value = self.given(name).chars().take(TEXT).collect();
        self.controls.push(Control::Text { name, label, hint, kind, value });
    }

    fn keeps(&mut self, name: &'static str, given: &'q str) -> Option<&'q str> {
        if given.is_empty() {
            return None;
        }
        self.kept.push((name, given.to_owned()));
        Some(given)
    }

    /// Which page.
    pub(super) fn window(&mut self, order: Order) -> Window {
        let mark = |given: &str| read_mark(given);
        let (after, before) = (self.given("after"), self.given("before"));
        let place = match (after, before) {
            ("", "") => Some(Place::Start),
            (after, "") => mark(after).map(Place::After),
            ("", before) => mark(before).map(Place::Before),
            _ => None,
        };
        if place.is_none() {
            self.wrong.push("There is no such page of this list".to_owned());
        }
        Window { order, place: place.unwrap_or_default(), limit: ROWS }
    }

    /// Which page of a list that is sorted by ids alone, the newest first.
    pub(super) fn place(&mut self) -> ById {
        let (after, before) = (self.given("after"), self.given("before"));
        let id = |text: &str| Uuid::try_parse(text).ok();
        let place = match (after, before) {
            ("", "") => Some(ById::Start),
            (after, "") => id(after).map(ById::After),
            ("", before) => id(before).map(ById::Before),
            _ => None,
        };
        if place.is_none() {
            self.wrong.push("There is no such page of this list".to_owned());
        }
        place.unwrap_or(ById::Start)
    }

    /// Notes that something does not fit together.
    pub(super) fn refuse(&mut self, why: impl Into<String>) {
        self.wrong.push(why.into());
    }

    /// Whether everything was understood.
    pub(super) fn is_fine(&self) -> bool {
        self.wrong.is_empty()
    }

    /// The status of the page.
    pub(super) fn status(&self) -> StatusCode {
        if self.is_fine() { StatusCode::OK } else { StatusCode::BAD_REQUEST }
    }

    /// The address of this list with something more.
    pub(super) fn link(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in &self.kept {
            query.append_pair(name, value);
        }
        for (name, value) in more {
            query.append_pair(name, value);
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// The links to the pages before and after.
    pub(super) fn pager<T: Marked>(&self, page: &Page<T>) -> Markup {
        self.links(page.previous().map(write_mark), page.next().map(write_mark))
    }

    /// The same, by the names of the pages.
    pub(super) fn links(&self, previous: Option<String>, next: Option<String>) -> Markup {
        if previous.is_none() && next.is_none() {
            return html! {};
        }
        html! {
            nav.pager aria-label="Pages" {
                @if let Some(mark) = previous {
                    a.button rel="prev" href=(self.link(&self.path, &[("before", &mark)])) { "Previous" }
                }
                @if let Some(mark) = next {
                    a.button rel="next" href=(self.link(&self.path, &[("after", &mark)])) { "Next" }
                }
            }
        }
    }
}

/// A page of a list that is sorted by ids alone, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ById {
    /// The first one.
    Start,
    /// It begins after this row.
    After(Uuid),
    /// It ends before this row.
    Before(Uuid),
}

impl ById {
    /// What its rows are newer than, if they are read from there.
    pub(super) const fn newer_than(self) -> Option<Uuid> {
        match self {
            Self::Before(id) => Some(id),
            _ => None,
        }
    }

    /// What its rows are older than.
    pub(super) const fn older_than(self) -> Option<Uuid> {
        match self {
            Self::After(id) => Some(id),
            _ => None,
        }
    }

    /// Makes the page of rows that were read, one more than it has; gives the names of the pages before and after it.
    pub(super) fn cut<T>(
        self,
        rows: &mut Vec<T>,
        id: impl Fn(&T) -> Uuid,
    ) -> (Option<String>, Option<String>) {
        let is_more = rows.len() > ROWS as usize;
        rows.truncate(ROWS as usize);
        let (has_previous, has_next) = match self {
            Self::Start => (false, is_more),
            Self::After(_) => (true, is_more),
            Self::Before(_) => {
                rows.reverse();
                (is_more, true)
            }
        };
        let name = |row: Option<&T>, is: bool| row.filter(|_| is).map(|row| id(row).to_string());
        (name(rows.first(), has_previous), name(rows.last(), has_next))
    }
}

impl Render for Filters<'_> {
    fn render(&self) -> Markup {
        html! {
            @for why in &self.wrong { p.notice.bad role="alert" { (why) } }
            form.filters method="get" action=(self.path) role="search" {
                @for control in &self.controls { @match control {
                    Control::Choice { name, label, options, value } => div {
                        label for={ "f-" (name) } { (label) }
                        select id={ "f-" (name) } name=(name) { @for (word, label) in options {
                            option value=(word) selected[word == value] { (label) }
                        } }
                    },
                    Control::Text { name, label, hint, kind, value } => div {
                        label for={ "f-" (name) } { (label) " " span.hint { (hint) } }
                        input id={ "f-" (name) } name=(name) type=(kind) value=(value) maxlength=(TEXT) autocomplete="off";
                    },
                } }
                div.go { button.primary type="submit" { "Show" } a href=(self.path) { "Reset" } }
            }
        }
    }
}

fn write_mark(mark: Mark) -> String {
    format!("{}.{}.{}", mark.at, mark.id.simple(), mark.number)
}

fn read_mark(text: &str) -> Option<Mark> {
    let mut parts = text.split('.');
    let mark = Mark {
        at: parts.next()?.parse().ok()?,
        id: Uuid::try_parse(parts.next()?).ok()?,
        number: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(mark)
}

/// A moment as forms and people write it; without a zone it is UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let read = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let at = read(text).or_else(|| read(&format!("{text}Z"))).or_else(|| read(&format!("{text}:00Z")))?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_as_it_was() {
        let mark = Mark { at: -5, id: Uuid::from_u128(7), number: 3 };
        assert_eq!(read_mark(&write_mark(mark)), Some(mark));
        for bad in [
            "",
            "1",
            "1.2",
            "1.00000000000000000000000000000007",
            "x.00000000000000000000000000000007.0",
            "1.00000000000000000000000000000007.0.0",
        ] {
            assert_eq!(read_mark(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_are_read_as_forms_write_them() {
        let at = Some(Timestamp(1_772_396_100_000));
        for text in
            ["2026-03-01T20:15", "2026-03-01T20:15:00", "2026-03-01T20:15:00Z", "2026-03-01T21:15:00+01:00"]
        {
            assert_eq!(moment(text), at, "{text}");
        }
        for bad in ["2026-03-01", "yesterday", "2026-13-01T00:00", "99999-01-01T00:00"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }
}
