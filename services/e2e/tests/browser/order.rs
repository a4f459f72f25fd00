//! Keeping order in the watch page: what host, co-hosts and everybody else can do about people and messages.

use serde_json::json;
use streamit_e2e::browser::{Browser, Entry, Look};

use crate::alone::Alone;
use crate::watcher::Watcher;

/// As narrow as a page has to fit.
const NARROW: Look = Look { width: 320, height: 640, is_dark: true, may_autoplay: true };

#[tokio::test]
async fn a_host_mutes_takes_back_and_locks_and_the_others_see_it() {
    let _turn = crate::turn().await;
    // People here say more in a few seconds than people do.
    let server = Alone::start_with(&[("STREAMIT_LIMITS", "off")]).await;
    let browser = Browser::start().await;

    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    let bo = Watcher::arrives_with(&browser, "Bo", &link, &NARROW).await;
    bo.is_in_room().await;
    ana.sees_person("Bo").await;

    bo.says("first").await;
    ana.reads("first").await;
    ana.presses(".mute-300", "Bo").await;
    ana.sees("document.querySelector('#people .silent:not([hidden])')").await;
    ana.sees("document.activeElement.matches('#people .unmute')").await;
    bo.says("second").await;
    bo.is_told("You are muted").await;
    bo.reads("second").await;
    ana.presses(".unmute", "Bo").await;
    ana.sees("!document.querySelector('#people .silent:not([hidden])')").await;
    bo.clicks("#chat-log .failed .again").await;
    ana.reads("second").await;
    assert!(!bo.value::<bool>(HINDERED).await);

    // Somebody else's message, and one's own.
    ana.takes_back("first").await;
    bo.says("third").await;
    ana.reads("third").await;
    bo.takes_back("third").await;
    for watcher in [&ana, &bo] {
        watcher.sees("document.querySelectorAll('#chat-log .gone').length === 2").await;
        watcher.misses("first").await;
        watcher.misses("third").await;
        watcher.sees("document.querySelectorAll('#chat-log .gone .more').length === 0").await;
        watcher.reads("second").await;
    }
    bo.sees("document.activeElement.id === 'chat-scroll'").await;

    // What was typed is kept while nothing can be said.
    ana.clicks("#settings-open").await;
    bo.types("#chat-text", "later").await;
    ana.clicks("#set-chat-locked").await;
    bo.is_told("Only the host and co-hosts may chat now").await;
    bo.sees("document.querySelector('#chat-text').disabled").await;
    bo.sees("document.querySelector('#chat-text').value === 'later'").await;
    ana.clicks("#set-chat-locked").await;
    bo.sees(&format!("!{HINDERED}")).await;
    ana.chooses("#set-slow", "3600").await;
    bo.sees("document.querySelector('#chat-text').placeholder.includes('1 h')").await;
    bo.clicks("#chat-send").await;
    ana.reads("later").await;
    bo.types("#chat-text", "much after").await;
    bo.is_told("Slow mode").await;
    bo.sees("/\\d/.test(document.querySelector('#chat-clock').innerText)").await;
    bo.sees("document.querySelector('#chat-send').disabled").await;
    ana.chooses("#set-slow", "0").await;
    bo.sees(&format!("!{HINDERED}")).await;
    bo.clicks("#chat-send").await;
    ana.reads("much after").await;

    // What is refused for its wording can be worded anew.
    ana.types("#set-words", "spoil*\nthe  end").await;
    ana.clicks("#set-locked").await;
    ana.sees("streamit.room.settings.is_locked === true").await; // and so are the words, which went first
    bo.says("What a spoiler").await;
    bo.clicks("#chat-log .failed .again").await;
    bo.sees("document.querySelector('#chat-text').value === 'What a spoiler'").await;
    bo.says("What a film").await;
    ana.reads("What a film").await;

    let cy = Watcher::arrives(&browser, "Cy", &link).await;
    cy.is_at("gone").await;
    cy.sees("document.querySelector('#gone-title').innerText === 'The room is locked'").await;
    ana.clicks("#set-locked").await;
    ana.sees("streamit.room.settings.is_locked === false").await;
    cy.clicks("#gone-again").await;
    cy.is_in_room().await;

    for watcher in [&ana, &bo] {
        watcher.has_no_errors().await;
    }
    cy.has_no_errors_but(|entry| is_refused(entry, "/api/rooms/join/")).await;
}

#[tokio::test]
async fn everybody_may_report_cohosts_keep_order_and_the_host_reads_what_was_done() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    let browser = Browser::start().await;

    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    let bo = Watcher::arrives_with(&browser, "Bo", &link, &NARROW).await;
    bo.is_in_room().await;
    bo.clicks("#people-box summary").await; // where it is narrow it is closed at first
    ana.sees_person("Bo").await;
    let cy = Watcher::joins(&browser, "Cy", &link, &ana).await;

    // A viewer: nothing but reports, of people and of what they said.
    cy.says("Buy this").await;
    cy.says("And that").await;
    bo.reads("And that").await;
    bo.sees("!document.querySelector('#people .kick:not([hidden])')").await;
    bo.opens_menu_of("Buy this").await;
    bo.sees("!document.querySelector('#chat-log .actions .erase')").await;
    bo.clicks("#chat-log .actions .report").await;
    bo.sees("document.querySelector('#report-said').innerText === 'Buy this'").await;
    bo.clicks("#report-send").await;
    bo.sees("document.querySelector('#report').open").await; // a reason is wanted
    bo.chooses("#report-reason", "SPAM").await;
    bo.sees("document.documentElement.scrollWidth <= innerWidth").await;
    bo.clicks("#report-send").await;
    bo.sees("!document.querySelector('#report').open").await;
    bo.sees("document.querySelector('#toasts').innerText.includes('Thank you')").await;
    bo.sees("document.activeElement.matches('#chat-log .actions .report')").await;
    bo.presses(".report", "Cy").await;
    bo.sees("document.querySelector('#report-title').innerText === 'Report Cy'").await;
    bo.chooses("#report-reason", "OTHER").await;
    bo.clicks("#report-send").await;
    bo.sees("document.querySelector('#report-note').matches(':invalid')").await;
    bo.types("#report-note", "Sells something").await;
    bo.clicks("#report-send").await;
    bo.sees("!document.querySelector('#report').open").await;

    // Of all messages the Tab key stops at one; the arrow keys lead on.
    let key = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))";
    bo.sees("document.querySelectorAll('#chat-log .more[tabindex=\"0\"]').length === 1").await;
    bo.run("document.querySelector('#chat-log .more[tabindex=\"0\"]').focus()", json!([])).await;
    bo.run(key, json!(["End"])).await;
    bo.sees("document.activeElement.closest('li').innerText.includes('And that')").await;
    bo.run(key, json!(["ArrowUp"])).await;
    bo.sees("document.activeElement.closest('li').innerText.includes('Buy this')").await;
    bo.run(key, json!(["Escape"])).await;
    bo.sees("!document.querySelector('#chat-log .actions')").await;

    // A co-host keeps order, and sets nothing.
    ana.presses(".cohost", "Bo").await;
    bo.sees("document.querySelector('#people .kick:not([hidden])')").await;
    bo.is_asked(".erase", "Cy").await;
    bo.answers(".yes").await;
    for watcher in [&ana, &bo, &cy] {
        watcher.sees("document.querySelectorAll('#chat-log .gone').length === 2").await;
        watcher.misses("Buy this").await;
    }
    bo.is_asked(".ban", "Cy").await;
    bo.answers(".yes").await;
    cy.is_at("gone").await;
    bo.clicks("#settings-open").await;
    bo.sees("document.querySelector('#settings-form').offsetHeight === 0").await;
    bo.sees("document.querySelector('#record-box').offsetHeight === 0").await;
    bo.clicks("#bans-box summary").await;
    bo.sees("document.querySelector('#bans').innerText.includes('Cy')").await;
    bo.clicks("#bans .unban").await;
    bo.sees("document.querySelector('#bans-said').innerText === 'Cy may come in again.'").await;
    cy.open(&link).await;
    cy.is_in_room().await;

    // The host reads all of it, but for what concerns nobody but those who run the server.
    ana.clicks("#settings-open").await;
    ana.clicks("#record-box summary").await;
    for (action, said) in [
        ("moderation.erased", "Bo took back all messages of Cy"),
        ("moderation.banned", "Bo banned Cy"),
        ("moderation.unbanned", "Bo lifted the ban of Cy"),
        ("host.cohost_made", "Ana made Bo co-host"),
        ("room.created", "Ana opened the room"),
    ] {
        let line = format!("document.querySelector('#record [data-action={action:?}]').innerText");
        ana.sees(&format!("{line}.replace(/[\\u2068\\u2069]/g, '').includes({said:?})")).await;
    }
    ana.sees("!document.querySelector('#record').innerText.includes('report')").await;
    for watcher in [&ana, &bo, &cy] {
        watcher.sees("document.documentElement.scrollWidth <= innerWidth").await;
        watcher.has_no_errors().await;
    }
}

/// Whether the chat says why nothing can be said.
const HINDERED: &str = "(document.querySelector('#chat-state').offsetHeight > 0)";

fn is_refused(entry: &Entry, path: &str) -> bool {
    entry.message.contains(path) && entry.message.contains("403")
}

impl Watcher {
    /// Waits until the chat says why nothing can be said.
    async fn is_told(&self, why: &str) {
        self.sees(&format!("document.querySelector('#chat-state').innerText.includes({why:?})")).await;
    }

    /// Waits until the chat does not show this any more.
    async fn misses(&self, text: &str) {
        self.sees(&format!("!document.querySelector('#chat-log').innerText.includes({text:?})")).await;
    }

    /// Presses what there is about somebody behind "More".
    async fn presses(&self, what: &str, name: &str) {
        let row = self.opens_more_about(name, what).await;
        self.clicks(&format!("{row} {what}")).await;
    }

    /// Opens what can be done about a message.
    async fn opens_menu_of(&self, text: &str) {
        let of_it = format!(
            "[...document.querySelectorAll('#chat-log li')].findIndex(line => line.innerText.includes({text:?}))"
        );
        let at: i64 = self.value(&of_it).await;
        self.clicks(&format!("#chat-log li:nth-child({}) .more", at + 1)).await;
        self.sees("document.activeElement.matches('#chat-log .actions button')").await;
    }

    /// Takes a message back.
    async fn takes_back(&self, text: &str) {
        self.opens_menu_of(text).await;
        self.clicks("#chat-log .actions .erase").await;
    }
}
