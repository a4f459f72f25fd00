//! The programs under test, as this source makes them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where `name` is: in the directory that `STREAMIT_TEST_PROGRAMS` names, or else in the workspace's target
/// directory, after the workspace was built there. So a test never runs a program of yesterday.
///
/// # Panics
/// When the workspace does not compile, or there is no such program.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| match std::env::var_os("STREAMIT_TEST_PROGRAMS") {
        Some(directory) => Ok(directory.into()),
        None => build(),
    });
    let path = directory.as_ref().unwrap_or_else(|why| panic!("{why}")).join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

/// Builds all programs, the way this test was built. Cargo's own lock keeps two test files from doing so at once.
fn build() -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    // target/<profile>/deps/<test>
    let directory = test.ancestors().nth(2).ok_or("a test lies in the target directory")?;
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut build = Command::new(cargo);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_this_package(name)) {
        build.env_remove(name);
    }
    let built = build
        .args(["build", "--workspace", "--bins", "--quiet", "--profile", profile])
        .current_dir(workspace)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo can't be run: {error}"))?;
    if built.status.success() {
        Ok(directory.to_owned())
    } else {
        Err(format!("the programs don't compile:\n{}", String::from_utf8_lossy(&built.stderr)))
    }
}

/// Whether cargo has set this variable for the package under test. Build scripts that look at such variables would be
/// run again, and all that depends on them compiled again, each time that tests and people build in turn.
fn is_of_this_package(name: &OsStr) -> bool {
    const OURS: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    name.to_str().is_some_and(|name| OURS.iter().any(|ours| name.starts_with(ours)))
}
