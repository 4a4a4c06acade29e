//! A hash that costs a worker little: for the tables that are looked into for each request and each sample.
//!
//! The main type is [`Quick`]. It does not withstand keys that are chosen to collide. None are: what is
//! hashed are names and URLs that the author of a test has written, and the tables are bounded.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes [`Quick`] hashers.
pub(crate) type BuildQuick = BuildHasherDefault<Quick>;

/// Folds 8 bytes at a time by a multiplication of 64 by 64 bits into 128, of which both halves count. That is
/// what wyhash and foldhash do.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Quick(u64);

/// 2⁶⁴ / φ, odd: each bit of a factor reaches many of the product.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Quick {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        // With the length, so that zeros at the end count.
        self.0 = self.0.wrapping_add(bytes.len() as u64);
        let Some(last) = bytes.last_chunk() else {
            let word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            return self.write_u64(word);
        };
        for chunk in bytes.chunks_exact(8) {
            self.write_u64(chunk.try_into().map_or(0, u64::from_le_bytes));
        }
        // What is left, or some of it again.
        self.write_u64(u64::from_le_bytes(*last));
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        // Mostly the end of a text, whose length counts already.
        self.0 = self.0.rotate_left(8) ^ u64::from(byte);
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ FACTOR) * u128::from(FACTOR.rotate_left(23));
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn similar_names_and_numbers_spread_over_the_places_of_a_table() {
        let build = BuildQuick::default();
        let names = (0..4_096).map(|n| build.hash_one(format!("http://127.0.0.1:8080/seats/{n}").as_str()));
        let padded = (0..64).map(|n| build.hash_one("\0".repeat(n).as_str()));
        let numbers = (0..4_096_u64).map(|n| build.hash_one(n << 32));
        for hashes in [names.collect::<Vec<_>>(), padded.collect(), numbers.collect()] {
            assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
            // The low bits choose the place, the high ones tell its neighbours apart. Of n hashes on n places,
            // a share of 1 − 1/e of the places is taken.
            for shift in [0, 64 - hashes.len().ilog2()] {
                let places: HashSet<_> =
                    hashes.iter().map(|hash| (hash >> shift) as usize % hashes.len()).collect();
                assert!(places.len() * 5 > hashes.len() * 2, "{} of {}", places.len(), hashes.len());
            }
        }
    }
}
