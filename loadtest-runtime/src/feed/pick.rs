//! Which item a call gets: pure, except for the cursor of the sequential order.
//!
//! The main type is [`Pick`]. It knows numbers, not items.

use std::sync::atomic::{AtomicU64, Ordering};

use super::draws;
use super::{Exhausted, Order};
use crate::vu::IterationTurn;

/// Why there is no item for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nothing {
    Exhausted,
    /// There are more virtual users than items; this is the number of the one that calls, from 1.
    VuWithout {
        id: u64,
    },
    /// `vu_init` wants what belongs to an iteration.
    NoIteration,
}

/// All that a feed's choice depends on besides the caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick<'a> {
    pub(super) order: Order,
    pub(super) exhausted: Exhausted,
    pub(super) name: &'a str,
    /// The number of items, above 0.
    pub(super) len: usize,
}

impl Pick<'_> {
    /// The index of the item, below `len`.
    pub(super) fn index(&self, turn: &IterationTurn<'_>, cursor: &AtomicU64) -> Result<usize, Nothing> {
        match self.order {
            Order::Sequential => {
                // Nothing else is published by it, so each call's getting a number of its own is enough.
                let call = cursor.fetch_add(1, Ordering::Relaxed);
                self.item(turn.shard.global_id(call)).ok_or(Nothing::Exhausted)
            }
            Order::Random => Ok(self.any(turn, draws::number(turn))),
            Order::UniquePerVu => {
                self.item(turn.vu).ok_or(Nothing::VuWithout { id: turn.vu.saturating_add(1) })
            }
            Order::UniquePerIteration if turn.in_vu_init => Err(Nothing::NoIteration),
            Order::UniquePerIteration => self.item(turn.iteration_in_test).ok_or(Nothing::Exhausted),
        }
    }

    /// The item with this number, from 0, which may be beyond the last.
    fn item(&self, number: u64) -> Option<usize> {
        let len = self.len as u64;
        match self.exhausted {
            Exhausted::EndScenario if number >= len => None,
            // Below `len`, which is a `usize`.
            _ => Some((number % len) as usize),
        }
    }

    /// Each item with the same probability. The high word of the product of a random word and the length is
    /// uniform up to a bias of `len` / 2⁶⁴ (Lemire, Fast Random Integer Generation in an Interval, 2019).
    fn any(&self, turn: &IterationTurn<'_>, draw: u64) -> usize {
        let (vu, iteration) = turn.chance;
        let parts = [draws::hash(self.name), draws::hash(turn.scenario), vu, iteration, draw];
        let word = parts.into_iter().fold(mix(turn.seed), |state, part| mix(state ^ mix(part)));
        ((u128::from(word) * self.len as u128) >> 64) as usize
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
