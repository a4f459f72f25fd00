//! Chromium, driven as a person would: pages are opened, buttons clicked, text typed, and what is shown is read.
//!
//! A [`Browser`] is a chromedriver on a port of its own. Each [`Window`] is a Chromium process of its own with a new
//! profile, so that no window slows another one down or knows its session. All of them end with the driver, whose
//! pipe they hang on, and the driver ends with the tests; see [`crate::guard`].
//!
//! ```no_run
//! # async fn story(system: &streamit_e2e::System) {
//! use streamit_e2e::browser::{Browser, Look};
//!
//! let browser = Browser::start().await;
//! let ana = browser.window("Ana", &Look::default()).await;
//! ana.open("http://127.0.0.1:8000/").await;
//! ana.types("#name", "Ana").await;
//! ana.clicks("#enter-guest").await;
//! ana.sees("document.body.dataset.view === 'lobby'").await;
//! assert!(ana.errors().await.is_empty());
//! # }
//! ```
//!
//! The few calls of the WebDriver protocol that this takes are made with the HTTP client that is here anyway. The
//! crates for it bring along a licence that `deny.toml` refuses, or turn on features of `serde_json` for all programs
//! that are tested.

mod console;
mod files;
mod window;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use streamit_client::Http;
use tempfile::TempDir;

pub use console::Entry;
pub use files::{Files, Place};
pub use window::Window;

use crate::{Program, guard};

/// What a window is like.
#[derive(Clone, Debug)]
pub struct Look {
    /// How wide the page is, in pixels.
    pub width: u32,
    /// How high.
    pub height: u32,
    /// Whether its owner prefers dark colours.
    pub is_dark: bool,
    /// Whether films may start by themselves, before anybody has clicked.
    pub may_autoplay: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 1280, height: 800, is_dark: false, may_autoplay: true }
    }
}

impl Look {
    /// The options of a Chromium that looks so, with its profile there.
    fn options(&self, chromium: &str, profile: &Path) -> Value {
        // The second is what desktops do.
        let autoplay =
            if self.may_autoplay { "no-user-gesture-required" } else { "document-user-activation-required" };
        let args = [
            "--headless=new".to_owned(),
            // As root there is no sandbox, and what is shown is our own page.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--mute-audio".to_owned(),
            // A window that nobody looks at must not be slowed down.
            "--disable-backgrounding-occluded-windows".to_owned(),
            "--disable-renderer-backgrounding".to_owned(),
            // Its end is the driver's end, however that ends.
            "--remote-debugging-pipe".to_owned(),
            format!("--autoplay-policy={autoplay}"),
            format!("--window-size={},{}", self.width, self.height),
            format!("--user-data-dir={}", profile.display()),
        ];
        json!({"binary": chromium, "args": args})
    }
}

/// A chromedriver. Its windows end with it.
#[derive(Debug)]
pub struct Browser {
    driver: Program,
    http: Http,
    home: TempDir,
    windows: AtomicUsize,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// When it can't be started. No test is skipped for want of a browser.
    pub async fn start() -> Self {
        let home = TempDir::with_prefix("streamit-browser-").unwrap();
        guard::remove_at_end(home.path());
        // What a browser leaves in the home of its user belongs in here, too.
        let env = [("HOME".to_owned(), home.path().display().to_string())];
        let binary = PathBuf::from(named("STREAMIT_TEST_CHROMEDRIVER"));
        let driver = Program::start("chromedriver", &binary, &["--port=0"], &env, home.path());
        let port = driver.printed("ChromeDriver was started successfully on port ").await;
        let port = port.unwrap_or_else(|why| panic!("{why}"));
        let http = Http::new(&format!("http://127.0.0.1:{}", port.trim_end_matches('.'))).unwrap();
        Self { driver, http, home, windows: AtomicUsize::new(0) }
    }

    /// Opens a window for `owner`, whose name explains failures.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn window(&self, owner: &str, look: &Look) -> Window {
        let profile =
            self.home.path().join(format!("window-{}", self.windows.fetch_add(1, Ordering::Relaxed)));
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": look.options(&named("STREAMIT_TEST_CHROMIUM"), &profile),
        }}});
        let answer = window::ask(&self.http, "POST", "/session", &capabilities).await;
        let session =
            answer.unwrap_or_else(|why| panic!("no window for {owner}: {why}\n{}", self.driver.log()));
        let id = session["sessionId"].as_str().expect("a session has an id");
        let window = Window::new(owner, self.http.clone(), id);
        window.becomes(look).await;
        window
    }
}

/// What the environment must name.
fn named(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} must name a program; `make test` or `.ci/deps run --browser -- …` finds one and sets it")
    })
}
