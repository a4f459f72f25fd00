//! Randomness, as something handed in: from the operating system in a program, from a seed in a test.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};
use uuid::{Builder, Uuid};

/// Where a component gets unguessable bytes and fresh ids from.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `buf` with random bytes, good enough for secrets.
    fn fill(&self, buf: &mut [u8]);

    /// An id that sorts by the time of its making.
    fn uuid_v7(&self, now_ms: i64) -> Uuid {
        let mut random = [0; 10];
        self.fill(&mut random);
        Builder::from_unix_timestamp_millis(u64::try_from(now_ms).unwrap_or(0), &random).into_uuid()
    }

    /// An id that tells nothing.
    fn uuid_v4(&self) -> Uuid {
        let mut random = [0; 16];
        self.fill(&mut random);
        Builder::from_random_bytes(random).into_uuid()
    }

    /// A random number.
    fn u32(&self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// A random number.
    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// A source of randomness shared by the parts of a program.
pub type SharedEntropy = Arc<dyn Entropy>;

impl fmt::Debug for dyn Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

/// The randomness of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl SystemEntropy {
    /// The system's randomness, ready to be handed out.
    #[must_use]
    pub fn shared() -> SharedEntropy {
        Arc::new(Self)
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buf: &mut [u8]) {
        // Going on with weak bytes would make guessable tokens; there is no safe way to continue.
        SysRng.try_fill_bytes(buf).expect("the operating system has a working source of randomness");
    }
}

/// The same bytes for the same seed, on every machine and in every run.
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    /// Starts from `seed`.
    #[must_use]
    pub fn shared(seed: u64) -> SharedEntropy {
        Arc::new(Self(Mutex::new(StdRng::seed_from_u64(seed))))
    }
}

impl fmt::Debug for SeededEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededEntropy")
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buf: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(buf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_the_system_does_not() {
        let (a, b) = (SeededEntropy::shared(7), SeededEntropy::shared(7));
        assert_eq!((a.u64(), a.uuid_v4()), (b.u64(), b.uuid_v4()));
        assert_ne!(SystemEntropy.uuid_v4(), SystemEntropy.uuid_v4());
    }

    #[test]
    fn ids_of_the_seventh_version_sort_by_time() {
        let entropy = SeededEntropy::shared(1);
        let ids: Vec<_> =
            [1_700_000_000_000, 1_700_000_000_001, 1_700_000_001_000].map(|now| entropy.uuid_v7(now)).into();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].get_version_num(), 7);
        assert_eq!(entropy.uuid_v4().get_version_num(), 4);
    }
}
