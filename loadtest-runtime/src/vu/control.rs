//! What a virtual user says about the test: its end, its failure, a line for people.
//!
//! Ending is asked for, not done: the order goes to the seat, the loop in `life` follows it, and whoever drives
//! the load does the rest.

use std::fmt;

use loadtest_core::plan::Shard;

use super::Vu;
use crate::context::StopCause;
use crate::executor::Order;

/// Where in the test an iteration is: all that data handed to it may depend on, so that it is repeatable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IterationTurn<'a> {
    /// The virtual user, from 0, counted over all shards.
    pub(crate) vu: u64,
    /// Iterations that this virtual user has begun before this one.
    pub(crate) iteration_in_instance: u64,
    /// The iteration's number in its scenario, from 0, in the order of their starts, counted over all shards.
    pub(crate) iteration_in_test: u64,
    /// Whether this is `vu_init`, before any iteration: both numbers are then 0.
    pub(crate) in_vu_init: bool,
    /// What random things depend on besides seed and scenario, as in [`Vu::rng`].
    pub(crate) chance: (u64, u64),
    pub(crate) seed: u64,
    pub(crate) scenario: &'a str,
    pub(crate) shard: Shard,
}

impl Vu {
    /// Ends the whole test, for the reason given: k6's `exec.test.abort`.
    ///
    /// Iterations in flight are interrupted at once, this one included, so this never returns; nothing counts as
    /// dropped. `teardown`, thresholds and reports still come; the test has failed, with exit code 108. In
    /// `vu_init`, the load does not begin.
    ///
    /// ```
    /// use loadtest_runtime::prelude::*;
    ///
    /// async fn buy(vu: &mut Vu) -> Result {
    ///     let response = vu.http().get("http://127.0.0.1:8080/stock").send().await?;
    ///     if response.status() == 410 {
    ///         vu.abort("the stock is gone, there is nothing left to measure").await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn abort(&self, why: impl fmt::Display) -> ! {
        let core = &self.core;
        core.scenario.test.stop.stop(StopCause::Test(why.to_string()));
        if !core.initialising.get() {
            // The others are told by whoever drives the load, a moment later.
            core.scenario.seats.give(core.seat.index(), Order::Interrupt);
        }
        std::future::pending().await
    }

    /// Marks the whole test as failed, with exit code 110, whatever else it shows; the load goes on: k6's
    /// `exec.test.fail`. Each text is told once, and the first ten of them.
    pub fn fail(&self, why: impl fmt::Display) {
        self.core.scenario.test.fail(why.to_string());
    }

    /// Says a line, which `cargo loadtest` shows on stderr: `[scenario vu 3 #12] text`, with the number of the virtual user and of its
    /// iteration, [`Vu::iteration`], or `[scenario vu 3 init] text` in `vu_init`.
    ///
    /// Only so many lines per second are shown for the whole process (`--log-limit`); the number of those that
    /// were held back is told in the next second. A line that is held back is not even formatted, so pass
    /// `format_args!(..)` rather than `format!(..)`.
    ///
    /// ```
    /// # use loadtest_runtime::prelude::*;
    /// # fn show(vu: &Vu, seats: u32) {
    /// vu.log(format_args!("{seats} seats left"));
    /// # }
    /// ```
    pub fn log(&self, text: impl fmt::Display) {
        let core = &self.core;
        let (scenario, id) = (&core.scenario.name, core.id);
        let log = &core.scenario.test.log;
        if core.initialising.get() {
            log.line(format_args!("{scenario} vu {id} init"), text);
        } else {
            log.line(format_args!("{scenario} vu {id} #{}", self.iteration), text);
        }
    }

    /// Where in the test the iteration that runs is.
    pub(crate) fn turn(&self) -> IterationTurn<'_> {
        let core = &self.core;
        let test = &core.scenario.test;
        let in_vu_init = core.initialising.get();
        IterationTurn {
            vu: core.id - 1,
            iteration_in_instance: self.iteration,
            iteration_in_test: if in_vu_init { 0 } else { core.in_test() },
            in_vu_init,
            chance: self.chance(),
            seed: test.seed,
            scenario: &core.scenario.name,
            shard: test.shard,
        }
    }

    /// Ends the scenario without its being a failure, for the reason given: iterations in flight may end, this one
    /// is interrupted. In `vu_init`, this virtual user alone is given up.
    pub(crate) async fn end_scenario(&self, why: String) -> ! {
        let core = &self.core;
        if core.initialising.get() {
            core.gave_up.borrow_mut().get_or_insert(why);
        } else {
            let seats = &core.scenario.seats;
            seats.counters().end(why);
            seats.give(core.seat.index(), Order::Interrupt);
        }
        std::future::pending().await
    }
}
