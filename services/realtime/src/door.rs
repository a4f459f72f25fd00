//! How many may come in at once.
//!
//! A join costs some thousand times what a delivery does: a signature, a call to the api, a place in a roster, lists and
//! history. So only some are under way at a time, some more wait in a line, and whoever finds the line full is told when
//! to come back, before anything is spent on him. Those moments lie one after the other: the more were turned away, the
//! later the next is asked to come, and a crowd comes back as a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many come in at the same time at first, ...
const AT_ONCE: usize = 16;
/// ... at least, ...
const FEWEST: usize = 4;
/// ... and at most: whatever is under way stands in front of those who are in.
const MOST: usize = 64;
/// An admission that takes longer says that the api has enough to do.
const LATE: Duration = Duration::from_millis(100);
/// How many wait for that.
const LINE: usize = 2_048;
/// How long anybody waits in the line.
const PATIENCE: Duration = Duration::from_secs(3);
/// The soonest anybody is asked to come back, in milliseconds.
const SOONEST_MS: u64 = 1_000;
/// The latest.
const LATEST_MS: u64 = 30_000;
/// How far apart those who are turned away are asked to come back.
const APART_MS: u64 = 1;
/// What chance adds, in milliseconds.
const CHANCE_MS: u64 = 500;

/// The way in to a node.
#[derive(Debug)]
pub struct Door {
    inside: Arc<Semaphore>,
    /// How many may be inside now, and how many quick admissions there were since it last grew.
    allowed: Mutex<(usize, usize)>,
    line: AtomicUsize,
    /// When, in uptime, the last who was turned away is to come back.
    asked_back: Mutex<u64>,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            inside: Arc::new(Semaphore::new(AT_ONCE)),
            allowed: Mutex::new((AT_ONCE, 0)),
            line: AtomicUsize::new(0),
            asked_back: Mutex::new(0),
        }
    }
}

/// Held while somebody comes in.
#[derive(Debug)]
pub struct Pass {
    turn: Option<OwnedSemaphorePermit>,
    /// Nobody gets this turn after him.
    is_last: bool,
}

impl Pass {
    fn new(turn: OwnedSemaphorePermit) -> Self {
        Self { turn: Some(turn), is_last: false }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take().filter(|_| self.is_last) {
            turn.forget();
        }
    }
}

/// One place in the line.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Door {
    /// Waits for a turn.
    ///
    /// # Errors
    /// In how many milliseconds to come back, when too many wait already or the line does not move. `up` is the node's
    /// uptime in milliseconds, `chance` any random number.
    pub async fn enter(&self, up: u64, chance: u64) -> Result<Pass, u64> {
        if let Ok(turn) = self.inside.clone().try_acquire_owned() {
            return Ok(Pass::new(turn));
        }
        let ahead = self.line.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.line); // given back also by who goes away while he waits
        if ahead < LINE
            && let Ok(Ok(turn)) = timeout(PATIENCE, self.inside.clone().acquire_owned()).await
        {
            return Ok(Pass::new(turn));
        }
        Err(self.come_back(up, chance))
    }

    /// How many are on their way in: inside, or in the line.
    #[must_use]
    pub fn count(&self) -> usize {
        let inside = self.allowed.lock().0.saturating_sub(self.inside.available_permits());
        inside + self.line.load(Ordering::Relaxed)
    }

    /// Takes in how long the api took to admit somebody. A late one takes a turn away; a round of quick ones gives one,
    /// if anybody waits for it.
    pub fn learn(&self, pass: &mut Pass, took: Duration) {
        let mut allowed = self.allowed.lock();
        let (inside, quick) = &mut *allowed;
        if took > LATE {
            *quick = 0;
            if *inside > FEWEST && !pass.is_last {
                *inside -= 1;
                pass.is_last = true;
            }
        } else if self.line.load(Ordering::Relaxed) > 0 && *inside < MOST {
            *quick += 1;
            if *quick >= *inside / 4 {
                *quick = 0;
                *inside += 1;
                self.inside.add_permits(1);
            }
        }
    }

    /// In how many milliseconds one more who is turned away should come back.
    pub fn come_back(&self, up: u64, chance: u64) -> u64 {
        let mut last = self.asked_back.lock();
        // As long as moments lie beyond the latest, they are not written down: chance spreads who gets them.
        let next = (*last + APART_MS).max(up + SOONEST_MS);
        if next > up + LATEST_MS {
            return LATEST_MS / 2 + chance % (LATEST_MS / 2);
        }
        *last = next;
        next - up + chance % CHANCE_MS
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_come_in_some_wait_and_the_rest_is_told_when_to_come_back() {
        let door = Door::default();
        let mut inside = Vec::new();
        for _ in 0..AT_ONCE {
            inside.push(door.enter(0, 0).await.unwrap());
        }
        let mut line: Vec<_> = (0..LINE).map(|_| Box::pin(door.enter(0, 0))).collect();
        for waiting in &mut line {
            assert!(waiting.now_or_never().is_none());
        }
        assert!(door.enter(0, 0).await.is_err());
        // Whoever gives up leaves a place, and whoever is in leaves a turn to the first in the line.
        line.pop();
        let mut last = Box::pin(door.enter(0, 0));
        assert!((&mut last).now_or_never().is_none());
        inside.pop();
        assert!(line.remove(0).await.is_ok());
        assert!(last.await.is_err(), "a line that does not move is not waited in for ever");
        drop(line);
        assert_eq!(door.line.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_late_api_lets_fewer_in_and_a_quick_one_more() {
        let door = Door::default();
        let inside = |door: &Door| door.allowed.lock().0;
        for _ in 0..1_000 {
            let mut pass = door.enter(0, 0).await.unwrap();
            door.learn(&mut pass, LATE * 2);
        }
        assert_eq!((inside(&door), door.inside.available_permits()), (FEWEST, FEWEST));

        let quickly = async |door: &Door| {
            for _ in 0..10_000 {
                let mut pass = door.enter(0, 0).await.unwrap();
                door.learn(&mut pass, LATE / 2);
            }
        };
        quickly(&door).await;
        assert_eq!(inside(&door), FEWEST, "nobody waits, so nothing is known");
        door.line.store(1, Ordering::Relaxed);
        quickly(&door).await;
        assert_eq!((inside(&door), door.inside.available_permits()), (MOST, MOST));
    }

    #[test]
    fn the_more_are_turned_away_the_later_the_next_comes_back() {
        let door = Door::default();
        let hints: Vec<u64> = (0..5_000).map(|n| door.come_back(0, n * 7)).collect();
        assert!(hints[0] < SOONEST_MS + CHANCE_MS);
        assert!(hints[4_999] > 5_000);
        for second in 1..5 {
            let in_it = hints.iter().filter(|hint| **hint / 1_000 == second).count();
            assert!(in_it <= 1_300, "{in_it} come back in second {second}");
        }
        // An hour later all that is over.
        assert!(door.come_back(3_600_000, 3) < SOONEST_MS + CHANCE_MS);
    }

    #[test]
    fn nobody_is_asked_to_come_back_later_than_the_latest() {
        let door = Door::default();
        let hints = (0..100_000).map(|n| door.come_back(0, n));
        assert!(hints.clone().all(|hint| (SOONEST_MS..=LATEST_MS + CHANCE_MS).contains(&hint)));
        let _ = hints.count();
        assert_eq!(door.come_back(LATEST_MS, 0), SOONEST_MS, "they were not all written down");
    }
}
