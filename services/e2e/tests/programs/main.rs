//! Section 5 of the contract: the programs as operators meet them.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod commands;
mod descriptors;
mod logs;
mod metrics;
mod options;
mod secrets;
mod serving;
mod telemetry;
mod tls;
mod tokens;

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use streamit_e2e::{Ended, Program, guard, program};
use tempfile::TempDir;

/// A directory to run programs in.
struct Desk {
    home: TempDir,
}

/// An environment.
type Env<'a> = &'a [(&'a str, &'a str)];

impl Desk {
    fn new() -> Self {
        let home = TempDir::with_prefix("streamit-e2e-").unwrap();
        guard::remove_at_end(home.path());
        Self { home }
    }

    /// A path in here.
    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// A file that holds this, for its owner alone; gives its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Runs a program to its end.
    async fn run<S: AsRef<OsStr>>(&self, name: &str, args: &[S], env: Env<'_>) -> Ended {
        self.run_with(name, args, env, "").await
    }

    /// Runs a program to its end, with this on its standard input.
    async fn run_with<S: AsRef<OsStr>>(&self, name: &str, args: &[S], env: Env<'_>, input: &str) -> Ended {
        Program::run(&program(name), args, &owned(env), self.home.path(), input).await
    }

    /// Starts a program.
    fn start(&self, name: &str, env: Env<'_>) -> Program {
        Program::start::<&str>(name, &program(name), &[], &owned(env), self.home.path())
    }
}

fn owned(env: Env<'_>) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
