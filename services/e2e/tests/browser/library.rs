//! The JavaScript client's own tests, in the browser that it is for.

use std::path::PathBuf;

use serde::Deserialize;
use streamit_e2e::browser::{Browser, Files, Look};

/// What the page of the tests tells.
#[derive(Debug, Deserialize)]
struct Outcome {
    passed: usize,
    failed: Vec<String>,
}
