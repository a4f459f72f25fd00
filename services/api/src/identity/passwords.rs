//! Passwords, hashed with argon2id in a bounded pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use streamit_telemetry::Entropy;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::Instruments;

/// How long somebody waits for a turn before being told to try again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many may wait for a turn; each holds a password in memory.
const WAITING: usize = 256;

/// Why a password was neither right nor wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Everybody wants to log in at once.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The hash itself failed.
    #[error("a password could not be hashed: {0}")]
    Hash(String),
}

/// Hashes and checks passwords, as many at once as there are processors: each takes 19 MiB and tens of
/// milliseconds, and must not take the memory or the threads that everybody else needs.
#[derive(Clone, Debug)]
pub(crate) struct Passwords(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    turns: Arc<Semaphore>,
    waiting: Semaphore,
    /// What an unknown account is checked against, so that it takes as long as a known one.
    dummy: String,
    checked: AtomicU64,
    in_line: AtomicUsize,
    metrics: Arc<Instruments>,
}

/// Somebody in the line.
struct InLine<'a>(&'a AtomicUsize);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passwords {
    /// A pool of `turns`.
    pub(crate) fn new(turns: usize, entropy: &dyn Entropy, metrics: Arc<Instruments>) -> Result<Self, Error> {
        let mut password = [0; 32];
        entropy.fill(&mut password);
        let dummy = hash(&password, salt(entropy))?;
        let turns = turns.max(1);
        Ok(Self(Arc::new(Pool {
            turns: Arc::new(Semaphore::new(turns)),
            waiting: Semaphore::new(turns + WAITING),
            dummy,
            checked: AtomicU64::new(0),
            in_line: AtomicUsize::new(0),
            metrics,
        })))
    }

    /// The hash to store for `password`.
    pub(crate) async fn hash(&self, password: SecretString, entropy: &dyn Entropy) -> Result<String, Error> {
        let salt = salt(entropy);
        self.run(move |_| hash(password.expose_secret().as_bytes(), salt)).await?
    }

    /// Whether `password` is the one that `stored` was made from. Without a stored one it is always wrong, after
    /// the same work.
    pub(crate) async fn check(&self, password: SecretString, stored: Option<String>) -> Result<bool, Error> {
        self.run(move |pool| {
            pool.checked.fetch_add(1, Ordering::Relaxed);
            let known = stored.is_some();
            let stored = stored.as_deref().unwrap_or(&pool.dummy);
            let parsed = PasswordHash::new(stored).map_err(|error| Error::Hash(error.to_string()))?;
            let right =
                Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
            Ok(known && right)
        })
        .await?
    }

    /// How many wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.0.in_line.load(Ordering::Relaxed)
    }

    /// How many checks were made, right, wrong or pretended.
    #[cfg(test)]
    pub(crate) fn checked(&self) -> u64 {
        self.0.checked.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Pool) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self.0.waiting.try_acquire().map_err(|_| Error::Busy)?;
        let pool = self.0.clone();
        let since = Instant::now();
        let turn = {
            pool.in_line.fetch_add(1, Ordering::Relaxed);
            let _in_line = InLine(&pool.in_line);
            tokio::time::timeout(PATIENCE, pool.turns.clone().acquire_owned()).await
        };
        pool.metrics.password_waited(since.elapsed());
        let turn = turn.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)?;
        // The turn goes with the work, which can't be cancelled: who gives up waiting frees no processor.
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let since = Instant::now();
            let done = work(&pool);
            pool.metrics.password_hashed(since.elapsed());
            done
        })
        .await
        .map_err(|error| Error::Hash(error.to_string()))
    }
}

fn salt(entropy: &dyn Entropy) -> [u8; 16] {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    salt
}

fn hash(password: &[u8], salt: [u8; 16]) -> Result<String, Error> {
    let hash = Argon2::default()
        .hash_password_with_salt(password, &salt)
        .map_err(|error| Error::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use streamit_telemetry::SystemEntropy;

    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let pool = Passwords::new(2, &SystemEntropy, Arc::new(Instruments::new())).unwrap();
        let stored = pool.hash("correct horse".into(), &SystemEntropy).await.unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        assert!(pool.check("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!pool.check("correct hors".into(), Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_account_costs_the_same_check() {
        let pool = Passwords::new(1, &SystemEntropy, Arc::new(Instruments::new())).unwrap();
        assert!(!pool.check("anything".into(), None).await.unwrap());
        assert_eq!(pool.checked(), 1);
        let parameters = |hash: &str| hash.split('$').nth(3).map(str::to_owned);
        let stored = pool.hash("x".into(), &SystemEntropy).await.unwrap();
        assert_eq!(parameters(&stored), parameters(&pool.0.dummy));
    }

    #[tokio::test]
    async fn turns_come_back() {
        let pool = Passwords::new(1, &SystemEntropy, Arc::new(Instruments::new())).unwrap();
        for _ in 0..3 {
            pool.check("x".into(), None).await.unwrap();
        }
        assert_eq!(pool.0.turns.available_permits(), 1);
    }
}
