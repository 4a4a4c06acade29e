//! Random numbers of a virtual user: repeatable, whatever the scheduling.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Random numbers that depend on `--seed`, the scenario, and the iteration alone: see [`Vu::rng`](crate::Vu::rng)
/// for what tells iterations apart.
///
/// The common draws are methods; for everything else it is a [`rand::Rng`].
#[derive(Debug)]
pub struct Random(StdRng);

impl Random {
    pub(crate) fn new(seed: u64, scenario: &str, vu: u64, iteration: u64) -> Self {
        // FNV-1a of the name, so that equal users of two scenarios differ.
        let name = scenario.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut key = [0; 32];
        for (part, value) in key.chunks_exact_mut(8).zip([seed, name, vu, iteration]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        Self(StdRng::from_seed(key))
    }

    /// One of the items; `None` if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.0.random_range(0..items.len())) }
    }

    /// A whole number within the range; its start if the range is empty.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() { range.start } else { self.0.random_range(range) }
    }

    /// `true` with this probability (0 to 1; what lies outside is moved to the nearer end).
    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability.clamp(0.0, 1.0))
    }

    /// A number from 0 to below 1.
    pub fn fraction(&mut self) -> f64 {
        self.0.random()
    }
}

impl rand::TryRng for Random {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_repeat_and_different_users_differ() {
        let draw = |seed, vu, iteration| Random::new(seed, "s", vu, iteration).range(0..u64::MAX);
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        assert_ne!(draw(1, 2, 3), draw(1, 3, 2));
        assert_ne!(draw(1, 2, 3), draw(2, 2, 3));
    }
}
