//! Noticing that this process did not run for a while.
//!
//! A process can be stopped and continued, or its machine frozen. Afterwards everything it knows is old, while what
//! waits in its queues looks fresh. So a task notes every half second that the process runs, and whoever is about to
//! decide something looks at the note first: is it old, the process was paused, and the node begins a new life before
//! anything else happens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Node;

/// How often it is noted that the process runs.
const NOTE: Duration = Duration::from_millis(500);
/// Without a note for so long, in milliseconds, the process was paused. Less than the life of a lease, since others may
/// hold the node dead after that.
const PAUSE_MS: u64 = 4_000;

/// The note while nobody writes any: before the node begins to work, and when it is on its way out.
const NOBODY: u64 = u64::MAX;

/// When this process was last known to run, and how many lives it has begun since it started.
#[derive(Debug)]
pub struct Pauses {
    /// Uptime in milliseconds.
    noted: AtomicU64,
    lives: AtomicU64,
    beginning: Mutex<()>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { noted: AtomicU64::new(NOBODY), lives: AtomicU64::new(0), beginning: Mutex::default() }
    }
}

impl Pauses {
    /// How many pauses there have been. Whoever finds another number than before lives anew.
    #[must_use]
    pub fn lives(&self) -> u64 {
        self.lives.load(Ordering::Acquire)
    }

    /// Looks, at uptime `up`, whether there was a pause that nobody has noticed yet. If so, calls `begin`, once for all who
    /// look, before anybody can see the note of now; and returns how long it took, in milliseconds.
    pub fn look(&self, up: u64, begin: impl FnOnce()) -> Option<u64> {
        if !self.is_old(up) {
            return None;
        }
        let _one = self.beginning.lock();
        if !self.is_old(up) {
            return None;
        }
        begin();
        self.lives.fetch_add(1, Ordering::AcqRel);
        Some(up.saturating_sub(self.noted.swap(up, Ordering::AcqRel)))
    }

    fn is_old(&self, up: u64) -> bool {
        up.saturating_sub(self.noted.load(Ordering::Acquire)) > PAUSE_MS
    }

    fn begin(&self, up: u64) {
        self.noted.store(up, Ordering::Release);
    }

    fn note(&self, up: u64) {
        self.noted.fetch_max(up, Ordering::AcqRel);
    }

    fn end(&self) {
        self.noted.store(NOBODY, Ordering::Release);
    }
}

/// Notes that the process runs, until `stop`.
pub async fn run(node: &Node, stop: &CancellationToken) {
    let mut every = tokio::time::interval(NOTE);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    node.pauses.begin(node.now().up);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = stop.cancelled() => return node.pauses.end(),
        }
        let up = node.now().up;
        node.look_for_pause(up);
        node.pauses.note(up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_noticed_once_by_whoever_looks_first() {
        let pauses = Pauses::default();
        assert_eq!(pauses.look(9_000, || panic!("nobody has begun to note")), None);
        pauses.begin(9_500);
        pauses.note(10_000);
        assert_eq!(pauses.look(10_000 + PAUSE_MS, || panic!("no pause")), None);
        assert_eq!(pauses.lives(), 0);
        let mut begun = 0;
        assert_eq!(pauses.look(20_000, || begun += 1), Some(10_000));
        assert_eq!(pauses.look(20_000, || begun += 1), None);
        pauses.note(20_100);
        assert_eq!(pauses.look(20_200, || begun += 1), None);
        assert_eq!((begun, pauses.lives()), (1, 1));
        pauses.end();
        assert_eq!(pauses.look(99_000, || panic!("nobody notes any more")), None);
    }

    #[test]
    fn nobody_sees_the_note_of_now_before_the_new_life() {
        let pauses = Pauses::default();
        pauses.begin(1);
        pauses.look(10_000, || assert!(pauses.is_old(10_000) && pauses.lives() == 0));
        assert!(!pauses.is_old(10_000) && pauses.lives() == 1);
    }

    #[test]
    fn a_late_look_takes_nothing_back() {
        let pauses = Pauses::default();
        pauses.begin(30_000);
        pauses.note(29_000);
        assert_eq!(pauses.look(29_500, || panic!("no pause")), None);
        assert_eq!(pauses.look(31_000, || panic!("no pause")), None);
    }
}
