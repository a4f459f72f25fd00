//! The JavaScript client in the browser that it is for: its own tests, and the page of its README.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use streamit_e2e::browser::{Browser, Look, Place, Window};

use crate::alone::Alone;

/// What the page of the tests tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Results {
    passed: usize,
    failed: Vec<Failed>,
}

/// A test that has failed.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown when there is one")]
struct Failed {
    name: String,
    why: String,
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/javascript")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test]
async fn the_tests_of_the_javascript_client_pass_in_the_browser() {
    let _turn = crate::turn().await;
    let files = Place::take().await.serve(&library(), "");
    let browser = Browser::start().await;
    let window = browser.window("the library", &Look::default()).await;
    window.open(&format!("{}/test/index.html", files.origin())).await;
    window.sees("results.isDone").await;
    let Results { passed, failed } = window.value("results").await;
    assert!(failed.is_empty(), "{failed:#?}");
    // A file that the page does not name is run in Node alone.
    assert_eq!(passed, tests_written(), "all tests are run in the browser, too");
    has_no_errors(&window).await;
}

/// How many tests there are in the files.
fn tests_written() -> usize {
    let files = std::fs::read_dir(library().join("test")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.to_string_lossy().ends_with(".test.js"));
    files.map(|path| read(&path).lines().filter(|line| line.starts_with("test(")).count()).sum()
}

#[tokio::test]
async fn the_page_of_the_readme_shows_two_people_the_same_film() {
    /// Where the README has the server.
    const SERVER: &str = "http://127.0.0.1:8000";
    let _turn = crate::turn().await;
    let readme = read(&library().join("README.md"));
    let page = readme.split("```html\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let page = page.expect("the README has a page");
    assert!(page.contains(SERVER), "the page names the server");

    // The page and the server have to know each other's address.
    let place = Place::take().await;
    let server = Alone::start_with(&[("STREAMIT_ALLOWED_ORIGINS", &place.origin())]).await;
    let files = place.serve(&library(), &page.replace(SERVER, &server.origin()));
    let browser = Browser::start().await;
    let ana = browser.window("Ana", &Look::default()).await;
    ana.open(&files.origin()).await;
    ana.sees("location.hash.length > 1 && film.readyState >= 3").await;
    let bo = browser.window("Bo", &Look::default()).await;
    bo.open(&ana.value::<String>("location.href").await).await;
    bo.sees("film.readyState >= 3").await;

    ana.types("#text", "Hello").await;
    ana.presses_enter("#text").await;
    bo.sees("log.innerText.includes('Guest: Hello')").await;
    // The player's own button is the remote.
    ana.run("film.play()", serde_json::json!([])).await;
    for window in [&ana, &bo] {
        window.sees("!film.paused && film.currentTime > 0.5").await;
    }
    for window in [&ana, &bo] {
        has_no_errors(window).await;
    }
}

async fn has_no_errors(window: &Window) {
    let errors = window.errors().await;
    assert!(errors.is_empty(), "the console of {}: {errors:#?}", window.owner());
}
