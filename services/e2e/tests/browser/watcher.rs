//! Somebody who uses the watch page.

use std::ops::Deref;

use streamit_e2e::browser::{Browser, Entry, Look, Window};

/// A person at a window with the watch page. Everything that a [`Window`] can do, he can.
pub(crate) struct Watcher {
    window: Window,
}

impl Deref for Watcher {
    type Target = Window;

    fn deref(&self) -> &Window {
        &self.window
    }
}

impl Watcher {
    /// Opens an address and comes in as a guest.
    pub(crate) async fn arrives(browser: &Browser, name: &str, url: &str) -> Self {
        Self::arrives_with(browser, name, url, &Look::default()).await
    }

    /// The same, in another window than most have.
    pub(crate) async fn arrives_with(browser: &Browser, name: &str, url: &str, look: &Look) -> Self {
        let watcher = Self::opens_with(browser, name, url, look).await;
        watcher.is_at("welcome").await;
        watcher.types("#name", name).await;
        watcher.clicks("#enter-guest").await;
        watcher
    }

    /// Opens an address, and no more.
    pub(crate) async fn opens(browser: &Browser, name: &str, url: &str) -> Self {
        Self::opens_with(browser, name, url, &Look::default()).await
    }

    async fn opens_with(browser: &Browser, name: &str, url: &str, look: &Look) -> Self {
        let watcher = Self { window: browser.window(name, look).await };
        watcher.open(url).await;
        watcher
    }

    /// Somebody who comes by a link into a room that is open to all, and is seen there by its host.
    pub(crate) async fn joins(browser: &Browser, name: &str, link: &str, host: &Self) -> Self {
        let watcher = Self::arrives(browser, name, link).await;
        watcher.is_in_room().await;
        watcher.has_film().await;
        host.sees_person(name).await;
        watcher
    }

    /// Opens a room and picks the sample film; the link for others, and the password, if there is one.
    pub(crate) async fn opens_room(&self, entry: &str) -> (String, String) {
        self.is_at("lobby").await;
        self.chooses("#entry", entry).await;
        self.clicks("#create-room").await;
        self.is_in_room().await;
        // What has a password is shown at once to be passed on.
        if !self.value::<bool>("document.querySelector('#share-box').open").await {
            self.clicks("#share").await;
        }
        self.sees("document.querySelector('#share-link').value !== ''").await;
        let shown = "[document.querySelector('#share-link').value, \
             document.querySelector('#room-password-shown').textContent]";
        let shown = self.value(shown).await;
        self.clicks("#share-box [data-close]").await;
        self.clicks("#use-sample").await;
        self.has_film().await;
        shown
    }

    /// Waits until the page shows this view.
    pub(crate) async fn is_at(&self, view: &str) {
        self.sees(&format!("document.body.dataset.view === '{view}'")).await;
    }

    /// Waits until he is in a room, and connected.
    pub(crate) async fn is_in_room(&self) {
        self.is_at("room").await;
        self.sees("document.body.dataset.status === 'open'").await;
    }

    /// Waits until the film can play, and the clock is known well enough to start by.
    pub(crate) async fn has_film(&self) {
        self.sees("film.readyState >= 3").await;
        self.sees("streamit.clock.isReady").await;
    }

    /// Says something.
    pub(crate) async fn says(&self, text: &str) {
        self.types("#chat-text", text).await;
        self.clicks("#chat-send").await;
    }

    /// Waits until the chat shows this, once.
    pub(crate) async fn reads(&self, text: &str) {
        let shown = format!(
            "[...document.querySelectorAll('#chat-log li')].filter(line => line.innerText.includes({text:?})).length === 1"
        );
        self.sees(&shown).await;
    }

    /// Waits until that person is among those who are shown as present.
    pub(crate) async fn sees_person(&self, name: &str) {
        self.sees(&person(name)).await;
    }

    /// Waits until that person is not.
    pub(crate) async fn misses_person(&self, name: &str) {
        self.sees(&format!("!{}", person(name))).await;
    }

    /// Throws somebody out of his room.
    pub(crate) async fn throws_out(&self, name: &str) {
        self.clicks(&format!("{} .kick", self.row_of(name).await)).await;
    }

    /// Presses what there is about somebody behind "More", such as `.ban`; the question after it stands then.
    pub(crate) async fn is_asked(&self, what: &str, name: &str) {
        let row = self.opens_more_about(name, what).await;
        self.clicks(&format!("{row} {what}")).await;
        self.sees(&format!(
            "document.activeElement === document.querySelector({:?})",
            format!("{row} .ask .no")
        ))
        .await;
    }

    /// Has what there is about somebody behind "More" shown; what selects the row.
    pub(crate) async fn opens_more_about(&self, name: &str, what: &str) -> String {
        let row = self.row_of(name).await;
        let is_shown = format!("document.querySelector({:?}).offsetHeight > 0", format!("{row} {what}"));
        if !self.value::<bool>(&is_shown).await {
            self.clicks(&format!("{row} .more")).await;
        }
        row
    }

    /// Answers the question that stands, with `.yes` or `.no`.
    pub(crate) async fn answers(&self, answer: &str) {
        self.clicks(&format!("#people .ask {answer}")).await;
    }

    /// What selects the row of somebody among the people.
    async fn row_of(&self, name: &str) -> String {
        let of_him = format!(
            "[...document.querySelectorAll('#people li')].find(line => line.innerText.includes({name:?}))"
        );
        let id: String = self.value(&format!("{of_him}.dataset.userId")).await;
        format!("#people li[data-user-id='{id}']")
    }

    /// Closes his window.
    pub(crate) async fn leaves(self) {
        self.window.close().await;
    }

    /// Waits until the film runs.
    pub(crate) async fn sees_it_run(&self) {
        self.sees("!film.paused && film.readyState >= 3").await;
    }

    /// Waits until the film stands still at this second, give or take a tenth.
    pub(crate) async fn sees_it_stand_at(&self, seconds: f64) {
        self.sees(&format!("film.paused && !film.seeking && Math.abs(film.currentTime - {seconds}) < 0.1"))
            .await;
    }

    /// The name of the node that serves him.
    pub(crate) async fn node(&self) -> String {
        self.value("streamit.room.node").await
    }

    /// When the page was loaded: another moment, another page.
    pub(crate) async fn loaded_at(&self) -> f64 {
        self.value("performance.timeOrigin").await
    }

    /// Checks that the console has told no error.
    pub(crate) async fn has_no_errors(&self) {
        self.has_no_errors_but(|_| false).await;
    }

    /// Checks that the console has told no error but those that are `excused`.
    pub(crate) async fn has_no_errors_but(&self, excused: impl Fn(&Entry) -> bool) {
        let errors: Vec<_> = self.errors().await.into_iter().filter(|entry| !excused(entry)).collect();
        assert!(errors.is_empty(), "the console of {}: {errors:#?}", self.owner());
    }
}

fn person(name: &str) -> String {
    format!("[...document.querySelectorAll('#people li')].some(line => line.innerText.includes({name:?}))")
}
