//! What `/livez` and `/readyz` answer from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The health of one process. Live as long as it can answer at all; ready when each of its named checks says
/// so. Only what concerns this process alone belongs here: a check on a shared dependency would make a whole
/// fleet unready at once.
#[derive(Clone, Debug, Default)]
pub struct Health {
    checks: Arc<RwLock<Vec<Check>>>,
}

/// One reason why a process may not be ready, held by the part that knows.
#[derive(Clone, Debug)]
pub struct Check {
    name: &'static str,
    ok: Arc<AtomicBool>,
}

impl Check {
    /// Says how it is now.
    pub fn set(&self, ok: bool) {
        if self.ok.swap(ok, Ordering::Relaxed) != ok {
            tracing::info!(check = self.name, ok, "a health check changed");
        }
    }

    /// How it was last said to be.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.ok.load(Ordering::Relaxed)
    }
}

impl Health {
    /// Healthy, with nothing to check yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, or finds the one of that name. A new check begins as not ready.
    pub fn check(&self, name: &'static str) -> Check {
        let mut checks = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = checks.iter().find(|check| check.name == name) {
            return known.clone();
        }
        let check = Check { name, ok: Arc::default() };
        checks.push(check.clone());
        check
    }

    /// Whether the process runs. It does if it can be asked.
    #[must_use]
    pub fn live(&self) -> bool {
        true
    }

    /// Whether work may be sent here.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.checks.read().unwrap_or_else(PoisonError::into_inner).iter().all(Check::is_ok)
    }

    /// Every check by name, for people who ask why.
    #[must_use]
    pub fn report(&self) -> Vec<(&'static str, bool)> {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        checks.iter().map(|check| (check.name, check.is_ok())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_check_agrees() {
        let health = Health::new();
        assert!(health.live() && health.ready());
        let (database, draining) = (health.check("database"), health.check("not draining"));
        draining.set(true);
        assert!(!health.ready());
        assert_eq!(health.report(), [("database", false), ("not draining", true)]);
        database.set(true);
        assert!(health.ready());
    }

    #[test]
    fn a_check_is_found_again_by_its_name() {
        let health = Health::new();
        health.check("bus").set(true);
        assert!(health.check("bus").is_ok());
        assert_eq!(health.report().len(), 1);
    }
}
