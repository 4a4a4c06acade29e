//! The number of a random draw within its iteration, which makes several draws of one iteration differ.
//!
//! All random feeds of a virtual user count together: two feeds without a name then don't draw the same
//! positions side by side. A virtual user stays on its thread, so the counts are the thread's, and no lock
//! or word shared between threads is needed.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::vu::IterationTurn;

/// Scenario (with the seed) and virtual user.
type Drawer = (u64, u64);

/// The iteration of the last draw (none in `vu_init`), and the number of draws in it.
type Count = (Option<u64>, u64);

thread_local! {
    static COUNTS: RefCell<HashMap<Drawer, Count>> = RefCell::default();
}

/// The number of this draw in its iteration, from 0.
pub(super) fn number(turn: &IterationTurn<'_>) -> u64 {
    let iteration = (!turn.in_vu_init).then_some(turn.iteration_in_instance);
    COUNTS.with_borrow_mut(|counts| {
        let drawer = (hash(turn.scenario) ^ turn.seed, turn.vu);
        let count = counts.entry(drawer).or_insert((iteration, 0));
        if count.0 != iteration {
            *count = (iteration, 0);
        }
        let number = count.1;
        count.1 = number.wrapping_add(1);
        number
    })
}

/// FNV-1a of a name, the same on every machine.
pub(super) fn hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
