//! One running program.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::{guard, until};

/// A process, what it prints and what it logs. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// With what.
    pub status: ExitStatus,
    /// All it printed.
    pub stdout: String,
    /// All it logged.
    pub stderr: String,
}

impl Program {
    /// Starts `binary` with this environment and no other, and writes what it says into `directory`.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start<S: AsRef<OsStr>>(
        name: &str,
        binary: &Path,
        args: &[S],
        env: &[(String, String)],
        directory: &Path,
    ) -> Self {
        Self::spawn(name, binary, args, env, directory, Stdio::null(), None)
    }

    /// As [`Program::start`], as another user (its number and its group's), which only root can do.
    ///
    /// # Panics
    /// When it can't be started.
    pub(crate) fn start_as<S: AsRef<OsStr>>(
        user: Option<(u32, u32)>,
        name: &str,
        binary: &Path,
        args: &[S],
        directory: &Path,
    ) -> Self {
        Self::spawn(name, binary, args, &[], directory, Stdio::null(), user)
    }

    /// Runs `binary` to its end, with this on its standard input.
    ///
    /// # Panics
    /// When it can't be started or does not end.
    pub async fn run<S: AsRef<OsStr>>(
        binary: &Path,
        args: &[S],
        env: &[(String, String)],
        directory: &Path,
        input: &str,
    ) -> Ended {
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        let path = directory.join(format!("{name}.stdin"));
        fs::write(&path, input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let input = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::spawn(&name, binary, args, env, directory, input.into(), None).ended().await
    }

    fn spawn<S: AsRef<OsStr>>(
        name: &str,
        binary: &Path,
        args: &[S],
        env: &[(String, String)],
        directory: &Path,
        stdin: Stdio,
        user: Option<(u32, u32)>,
    ) -> Self {
        let (stdout, stderr) =
            (directory.join(format!("{name}.stdout")), directory.join(format!("{name}.stderr")));
        let file =
            |path: &Path| File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let inherited = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "RUST_LOG", "RUST_BACKTRACE"];
        let inherited = inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new(binary);
        if let Some((user, group)) = user {
            command.uid(user).gid(group);
        }
        let child = command
            .args(args)
            .env_clear()
            .envs(inherited)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir(directory)
            .stdin(stdin)
            .stdout(file(&stdout))
            .stderr(file(&stderr))
            // Ctrl-C is for the tests; the guard ends this one.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{} can't be started: {error}", binary.display()));
        let pid = child.id();
        guard::kill_at_end(pid);
        Self { name: name.to_owned(), pid, child: Mutex::new(child), stdout, stderr }
    }

    /// What it is called here.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What follows `prefix` on the line of its output that starts with it, when it is there.
    ///
    /// # Errors
    /// With its log, when it ended instead or did not print such a line.
    pub async fn printed(&self, prefix: &str) -> Result<String, String> {
        let found = until(prefix, async || {
            let text = self.stdout();
            let complete = text.rfind('\n').map_or("", |end| &text[..end]);
            match complete.lines().find_map(|line| line.strip_prefix(prefix)) {
                Some(rest) => Some(Ok(rest.trim().to_owned())),
                None => self.status().map(Err),
            }
        })
        .await;
        match found {
            Ok(Ok(rest)) => Ok(rest),
            Ok(Err(status)) => Err(format!("{} ended with {status}:\n{}", self.name, self.log())),
            Err(why) => Err(format!("{}: {why}:\n{}", self.name, self.log())),
        }
    }

    /// All it printed.
    #[must_use]
    pub fn stdout(&self) -> String {
        fs::read(&self.stdout).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// All it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.stderr).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// How much it has logged.
    #[must_use]
    pub fn log_length(&self) -> usize {
        fs::metadata(&self.stderr).map_or(0, |file| usize::try_from(file.len()).unwrap_or(usize::MAX))
    }

    /// What it logged after that much.
    #[must_use]
    pub fn log_after(&self, length: usize) -> String {
        let log = fs::read(&self.stderr).unwrap_or_default();
        String::from_utf8_lossy(log.get(length..).unwrap_or_default()).into_owned()
    }

    /// How it ended; nothing while it runs.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        let status = self.child().try_wait().expect("it is our child");
        if status.is_some() {
            guard::spare(self.pid);
        }
        status
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&self) {
        let mut child = self.child();
        // It may have ended by itself.
        let _ = child.kill();
        guard::spare(self.pid);
        let _ = child.wait();
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal, by its name: `STOP`, `CONT`, `TERM`.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: &str) {
        // Nobody else waits for the child, so its number is its own as long as it was not reaped here.
        let child = self.child();
        let told = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "{} can't be sent {signal}", self.name);
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it does not.
    pub async fn ended(&self) -> Ended {
        let status = until(&format!("the end of {}", self.name), async || self.status()).await;
        let status = status.unwrap_or_else(|why| panic!("{why}\n{}", self.log()));
        Ended { status, stdout: self.stdout(), stderr: self.log() }
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Ended {
    /// Whether it ended well.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.success()
    }

    /// Whether it was a signal that ended it.
    #[must_use]
    pub fn by_signal(&self) -> bool {
        self.status.signal().is_some()
    }
}
