//! In which order the two sides are run: ABBA ABBA ….
//!
//! The main type is [`Order`]. A machine that gets warmer or busier makes what comes later slower. With the order
//! turned round in every other pair, such a drift hurts both sides alike: over two pairs a linear one cancels out.

use crate::compare::SideName;

/// The order of a duet's pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    first: SideName,
}

impl Order {
    /// The order that a seed chooses, each with the same chance.
    pub(super) fn seeded(seed: u64) -> Self {
        // The top bit of a product with 2⁶⁴ divided by the golden ratio (Knuth's multiplicative hashing): the same seed is
        // the same order in every version of this program.
        let even = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0;
        Self { first: if even { SideName::Base } else { SideName::Head } }
    }

    /// The sides of a pair, counted from 0, in the order in which they are run.
    pub(super) fn pair(self, index: u32) -> [SideName; 2] {
        let other = match self.first {
            SideName::Base => SideName::Head,
            SideName::Head => SideName::Base,
        };
        if index.is_multiple_of(2) { [self.first, other] } else { [other, self.first] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_turn_round_so_that_a_steady_drift_hurts_both_sides_alike() {
        for seed in 0..20 {
            let order = Order::seeded(seed);
            let places = |side: SideName| -> u32 {
                let of = |pair: u32| 2 * pair + u32::from(order.pair(pair)[1] == side);
                (0..6).map(of).sum()
            };
            assert_eq!(places(SideName::Base), places(SideName::Head));
            assert_eq!(order.pair(0)[0], order.pair(1)[1]);
            assert_eq!(order, Order::seeded(seed), "the same seed is the same order");
        }
    }

    #[test]
    fn either_side_may_be_first() {
        let firsts: Vec<SideName> = (0..40).map(|seed| Order::seeded(seed).first).collect();
        assert!(firsts.contains(&SideName::Base) && firsts.contains(&SideName::Head));
    }
}
