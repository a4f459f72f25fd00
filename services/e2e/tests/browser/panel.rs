//! The admin panel, as somebody of staff uses it.

use streamit_e2e::browser::{Browser, Look, Window};

use crate::alone::Alone;
use crate::screenshots::{LARGEST, keep};
use crate::watcher::Watcher;

const EMAIL: &str = "root@example.org";
const PASSWORD: &str = "correct horse battery";
/// What is left of the space for pages in a narrow window must do.
const FITS: &str = "document.documentElement.scrollWidth <= innerWidth";

/// Somebody of staff at a window with the panel.
struct Keeper<'a> {
    window: Window,
    server: &'a Alone,
}

impl<'a> Keeper<'a> {
    /// Comes in.
    async fn arrives(browser: &Browser, server: &'a Alone, look: &Look) -> Self {
        let keeper = Self { window: browser.window("Root", look).await, server };
        keeper.goes("/admin/login/").await;
        keeper.window.types("#email", EMAIL).await;
        keeper.window.types("#password", PASSWORD).await;
        keeper.window.clicks("form button[type=submit]").await;
        keeper.is_at("Dashboard").await;
        keeper
    }

    async fn goes(&self, path: &str) {
        self.window.open(&format!("{}{path}", self.server.origin())).await;
    }

    /// Waits until the page has this heading.
    async fn is_at(&self, heading: &str) {
        self.window.sees(&format!("document.querySelector('h1').innerText.includes({heading:?})")).await;
    }

    /// Waits until the page shows this.
    async fn reads(&self, text: &str) {
        self.window.sees(&format!("document.querySelector('main').innerText.includes({text:?})")).await;
    }

    /// Follows the link that says this, of the first of its kind.
    async fn follows(&self, text: &str) {
        let script = "const link = [...document.querySelectorAll('main a, nav a')].find(link => link.innerText.trim().startsWith(arguments[0]));\
             if (!link) throw new Error('there is no link ' + arguments[0]); link.click();";
        self.window.run(script, serde_json::json!([text])).await;
    }

    /// Looks for something in the list that is shown.
    async fn looks_for(&self, text: &str) {
        self.window.types("#f-q", text).await;
        self.window.presses_enter("#f-q").await;
    }

    /// Says why, and does what is asked about.
    async fn means_it(&self, reason: &str) {
        self.window.types("#reason", reason).await;
        self.window.clicks("main form button[type=submit]").await;
    }

    /// No error of any kind, and nothing that has to be scrolled to sideways.
    async fn is_fine(&self) {
        self.window.sees(FITS).await;
        // That a password was wrong is told with 401, which browsers note.
        let is_refusal = |message: &str| message.contains("/admin/login/") && message.contains("401");
        let errors = self.window.errors().await;
        assert!(errors.iter().all(|entry| is_refusal(&entry.message)), "{errors:?}");
    }
}

#[tokio::test]
async fn staff_finds_a_user_erases_a_message_and_closes_a_room_and_all_of_it_is_written_down() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    server.has_superuser(EMAIL, PASSWORD).await;
    let browser = Browser::start().await;
    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    let bo = Watcher::joins(&browser, "Boris", &link, &ana).await;
    ana.says("Nobody has to read this").await;
    ana.says("This may stay").await;
    bo.reads("Nobody has to read this").await;
    bo.reads("This may stay").await;
    let code = link.rsplit('/').next().unwrap().to_owned();

    let root = Keeper::arrives(&browser, &server, &Look::default()).await;
    root.follows("Users").await;
    root.is_at("Users").await;
    root.looks_for("bori").await;
    root.reads("Boris").await;
    root.window.sees("document.querySelectorAll('tbody tr').length === 1").await;
    root.follows("Boris").await;
    root.is_at("Boris").await;
    root.follows(&code).await;
    root.is_at(&code).await;
    root.is_fine().await;

    // The first link of that kind is for the newest message.
    root.follows("Erase").await;
    root.is_at("Erase message no. 2").await;
    root.follows("Cancel").await;
    root.is_at(&code).await;
    let erase = "[...document.querySelectorAll('a')].filter(a => a.pathname.endsWith('/messages/1/erase/'))[0].click()";
    root.window.run(erase, serde_json::json!([])).await;
    root.is_at("Erase message no. 1").await;
    root.reads("Nobody has to read this").await;
    root.means_it("rude").await;
    root.reads("The message is taken back.").await;
    for watcher in [&ana, &bo] {
        watcher
            .sees("!document.querySelector('#chat-log').innerText.includes('Nobody has to read this')")
            .await;
        watcher.reads("This message was taken back.").await;
        watcher.reads("This may stay").await;
    }

    root.follows("Close the room").await;
    root.means_it("an end has to be").await;
    root.reads("The room is closed.").await;
    for watcher in [&ana, &bo] {
        watcher.is_at("gone").await;
        watcher.sees("document.body.dataset.status !== 'open'").await;
    }

    root.follows("Audit").await;
    root.is_at("Audit").await;
    for row in ["room.closed", "an end has to be", "moderation.erased", "rude", "staff.login"] {
        root.reads(row).await;
    }
    root.is_fine().await;
}

#[tokio::test]
async fn the_panel_needs_a_keyboard_alone() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    server.has_superuser(EMAIL, PASSWORD).await;
    let browser = Browser::start().await;
    let root = Keeper { window: browser.window("Root", &Look::default()).await, server: &server };
    root.goes("/admin/users/").await;
    root.is_at("Log in").await;
    root.window.sees("document.activeElement.id === 'email'").await;
    root.window.presses(&format!("{EMAIL}\twrong password\n")).await;
    root.reads("Wrong email or password").await;
    root.window
        .sees("document.activeElement.id === 'password' && document.querySelector('#email').value !== ''")
        .await;
    root.window.presses(&format!("{PASSWORD}\n")).await;
    root.is_at("Users").await;

    // The first stop leads past the menu; where one is can be seen.
    root.window.presses("\t").await;
    root.window.sees("document.activeElement.className === 'skip' && document.activeElement.getBoundingClientRect().top >= 0").await;
    root.window.presses("\n").await;
    root.window.sees("location.hash === '#main'").await;
    root.window.presses("\t").await;
    root.window.sees("document.activeElement.id === 'f-q'").await;
    root.window.sees("getComputedStyle(document.activeElement).outlineStyle === 'solid'").await;
    root.window.presses("Root\n").await;
    root.window
        .sees("location.search.includes('q=Root') && document.querySelectorAll('tbody tr').length === 1")
        .await;
    // Whatever can be used has a name.
    let nameless = "[...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea')]\
        .filter(part => !(part.innerText?.trim() || part.labels?.length || part.getAttribute('aria-label'))).length";
    for path in ["/admin/", "/admin/users/", "/admin/rooms/", "/admin/audit/", "/admin/nodes/"] {
        root.goes(path).await;
        root.window.sees(&format!("{nameless} === 0")).await;
        root.is_fine().await;
    }
}

#[tokio::test]
async fn what_changes_is_shown_without_loading_and_the_focus_stays() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    server.has_superuser(EMAIL, PASSWORD).await;
    let browser = Browser::start().await;
    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    let root = Keeper::arrives(&browser, &server, &Look::default()).await;
    root.goes("/admin/rooms/?sort=active").await;
    root.follows(link.rsplit('/').next().unwrap()).await;
    root.follows("Live inspector").await;
    root.reads("In step").await;
    root.window.run("document.querySelector('#live a').focus()", serde_json::json!([])).await;
    let loaded: f64 = root.window.value("performance.timeOrigin").await;
    let bo = Watcher::joins(&browser, "Boris", &link, &ana).await;
    root.reads("Boris").await;
    root.window.sees("document.activeElement.closest('#live') !== null").await;
    assert_eq!(root.window.value::<f64>("performance.timeOrigin").await, loaded, "nothing was loaded");
    bo.says("Hello").await;
    root.reads("no. 1").await;
    root.is_fine().await;
}

#[tokio::test]
async fn screenshots_of_the_panel_fit_light_dark_and_on_a_phone() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    server.has_superuser(EMAIL, PASSWORD).await;
    let browser = Browser::start().await;
    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    let bo = Watcher::joins(&browser, "Boris", &link, &ana).await;
    for (watcher, text) in
        [(&ana, "Everybody here?"), (&bo, "Here!"), (&ana, "Then off we go."), (&bo, "Frame 2,100, and you?")]
    {
        watcher.says(text).await;
        ana.reads(text).await;
    }
    ana.clicks("#play").await;
    bo.sees_it_run().await;
    let root = Keeper::arrives(&browser, &server, &Look::default()).await;
    root.goes("/admin/rooms/?sort=active").await;
    root.follows(link.rsplit('/').next().unwrap()).await;
    root.is_at("Room").await;
    let room: String = root.window.value("location.pathname").await;
    root.goes("/admin/users/?q=boris").await;
    root.follows("Boris").await;
    let user: String = root.window.value("location.pathname").await;
    let live = format!("{room}live/");
    let phone = Look { width: 320, height: 800, ..Look::default() };
    let dark = Look { is_dark: true, ..Look::default() };
    for (name, path, look) in [
        ("panel-dashboard", "/admin/", Look::default()),
        ("panel-users", "/admin/users/", Look::default()),
        ("panel-room", room.as_str(), Look::default()),
        ("panel-live", live.as_str(), dark.clone()),
        ("panel-dark", "/admin/audit/", dark),
        ("panel-phone", room.as_str(), phone.clone()),
    ] {
        root.window.becomes(&look).await;
        root.goes(path).await;
        root.window.sees(&format!("innerWidth === {} && innerHeight === {}", look.width, look.height)).await;
        root.is_fine().await;
        let picture = root.window.picture().await;
        assert!(picture.len() <= LARGEST, "{name}: {} bytes", picture.len());
        keep(name, &picture);
    }
    // Nothing is wider than the narrowest phone, whichever page it is.
    root.window.becomes(&phone).await;
    for path in [
        "/admin/",
        "/admin/users/",
        &user,
        "/admin/rooms/",
        &live,
        "/admin/messages/",
        "/admin/sessions/",
        "/admin/bans/",
        "/admin/reports/",
        "/admin/nodes/",
        "/admin/audit/",
        &format!("{room}close/"),
        &format!("{user}anonymise/"),
        &format!("{room}people/"),
    ] {
        root.goes(path).await;
        root.is_fine().await;
    }
}
