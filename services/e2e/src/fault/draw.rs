//! Choices that a seed decides.

use std::ops::Range;
use std::time::Duration;

/// Draws numbers from a seed: the same seed gives the same numbers, in every version of everything (SplitMix64).
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// Begins at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.any() % end).unwrap_or(0)
    }

    /// A number of milliseconds in the range.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        let width = range.end.saturating_sub(range.start).max(1);
        Duration::from_millis(range.start + self.any() % width)
    }

    /// Whether something happens that happens so often, from 0 to 1.
    pub fn happens(&mut self, share: f64) -> bool {
        (self.any() as f64 / u64::MAX as f64) < share
    }

    /// One of several.
    ///
    /// # Panics
    /// When there is none.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A draw of its own for one part, so that parts do not disturb each other.
    #[must_use]
    pub fn part(&mut self) -> Self {
        Self(self.any())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_numbers_for_ever() {
        let mut draw = Draw::new(1);
        assert_eq!(draw.any(), 0x910a_2dec_8902_5cc1);
        let (mut one, mut other) = (Draw::new(7), Draw::new(7));
        assert!((0..100).all(|_| one.any() == other.any()));
        assert!((0..100).map(|_| one.below(5)).all(|n| n < 5));
        assert_eq!((0..100).filter(|_| one.happens(0.0)).count(), 0);
    }
}
