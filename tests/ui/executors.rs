//! Executors that do not exist, that do not work yet, and that are not written out.

use loadtest_runtime::load_test;

const SHAPE: &str = "constant-vus";

#[load_test(executor = "ramping_vus", stages = "1s:1")]
async fn slip_of_the_finger() {}

#[load_test(executor = "banana")]
async fn nothing_near() {}

#[load_test(executor = "constant-arrival-rate", duration = "1s")]
async fn does_not_work_yet() {}

#[load_test(executor = ramping - vus, stages = "1s:1")]
async fn without_quotes() {}

#[load_test(executor = SHAPE, duration = "1s")]
async fn a_constant() {}

fn main() {}
