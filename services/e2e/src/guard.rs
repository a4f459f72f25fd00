//! Nothing outlives the tests: not after a panic, an abort, Ctrl-C or `kill -9`.
//!
//! Beside the tests runs one small shell. It holds the reading end of a pipe whose other end only this process has,
//! and is told of each program that starts and each directory that is made. When this process ends, in whatever way,
//! the kernel closes the pipe; the shell reads its end, kills what is left and removes the directories.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=
while read -r what which; do
    case $what in
        kill) pids="$pids $which" ;;
        spare)
            kept=
            for pid in $pids; do [ "$pid" = "$which" ] || kept="$kept $pid"; done
            pids=$kept
            ;;
        remove) set -- "$@" "$which" ;;
    esac
done
for pid in $pids; do kill -9 "$pid"; done
rm -rf -- "$@"
"#;

static GUARD: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let shell = Command::new("sh")
        .args(["-c", SCRIPT, "guard"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C in a terminal goes to the whole group: the guard is in one of its own.
        .process_group(0)
        .spawn();
    Mutex::new(shell.expect("a shell can be started"))
});

fn tell(line: &str) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = guard.stdin.as_mut().expect("its input is a pipe");
    pipe.write_all(line.as_bytes()).expect("the guard lives as long as the tests");
}

/// Has the process killed at the end of the tests.
pub fn kill_at_end(pid: u32) {
    tell(&format!("kill {pid}\n"));
}

/// Has the process and all that it started in its own group killed at the end of the tests.
pub fn kill_group_at_end(leader: u32) {
    tell(&format!("kill -{leader}\n"));
}

/// The group has been killed.
pub fn spare_group(leader: u32) {
    tell(&format!("spare -{leader}\n"));
}

/// The process has ended: its number may soon be another's.
pub fn spare(pid: u32) {
    tell(&format!("spare {pid}\n"));
}

/// Has the directory removed at the end of the tests.
pub fn remove_at_end(directory: &Path) {
    tell(&format!("remove {}\n", directory.display()));
}
