//! What a load test relies on: who gets which item, what is said about bad data, and what it costs.

#[cfg(feature = "csv")]
mod csv;
mod json;
#[cfg(feature = "csv")]
mod memory;
mod orders;

use loadtest_core::plan::Shard;

use super::*;

/// A turn on this shard, the first of its first virtual user.
fn turn(index: u32, count: u32) -> IterationTurn<'static> {
    let shard = Shard { index, count };
    IterationTurn {
        vu: shard.global_id(0),
        iteration_in_instance: 0,
        iteration_in_test: shard.global_id(0),
        in_vu_init: false,
        chance: (shard.global_id(0) + 1, 0),
        seed: 1,
        scenario: "s",
        shard,
    }
}

fn error<T>(feed: Result<Feed<T>>) -> String {
    let error = feed.expect_err("is refused");
    assert!(error.location().file().contains("tests"), "made at {}", error.location());
    error.to_string()
}
