//! The JavaScript client's own tests, in the browser that it is for.

use std::path::Path;

use serde::Deserialize;
use streamit_e2e::browser::{Browser, Files, Look};

/// What the page of the tests tells when all have run.
#[derive(Debug, Deserialize)]
struct Outcome {
    passed: usize,
    failed: Vec<String>,
}

#[tokio::test]
async fn the_tests_of_the_javascript_client_pass_in_the_browser() {
    let _turn = crate::turn().await;
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/javascript");
    let files = Files::serve(&library, "").await;
    let browser = Browser::start().await;
    let window = browser.window("the library", &Look::default()).await;
    window.open(&format!("{}/test/index.html", files.origin())).await;
    window.sees("window.outcome").await;
    let Outcome { passed, failed } = window.value("outcome").await;
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(passed > 0, "no test was run");
    // A test that is not listed in the page runs in Node alone.
    let written = count_tests(&library.join("test"));
    assert!(passed >= written, "{passed} tests were run in the browser, and {written} are written");
    assert!(window.errors().await.is_empty(), "{:#?}", window.errors().await);
}

/// How many tests the files of a directory name.
fn count_tests(directory: &Path) -> usize {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let tests = files.filter(|path| path.to_string_lossy().ends_with(".test.js"));
    tests.map(|path| std::fs::read_to_string(path).unwrap().matches("\ntest(").count()).sum()
}
