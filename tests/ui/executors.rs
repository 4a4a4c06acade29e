//! Executors that do not exist, that lack something, that are given another's keys, and that are not written out.

use loadtest_runtime::load_test;

const SHAPE: &str = "constant-vus";

#[load_test(executor = "ramping_vus", stages = "1s:1")]
async fn slip_of_the_finger() {}

#[load_test(executor = "banana")]
async fn nothing_near() {}

#[load_test(executor = "constant-arrival-rate", duration = "1s", rate = 10)]
async fn no_virtual_users() {}

#[load_test(executor = "ramping-arrival-rate", pre_allocated_vus = 10)]
async fn no_stages() {}

#[load_test(executor = "externally-controlled")]
async fn nobody_to_control() {}

#[load_test(executor = "find-capacity", start_rate = 10, pre_allocated_vus = 10)]
async fn no_highest_rate() {}

#[load_test(executor = "constant-arrival-rate", rate = 10, duration = "1s", pre_allocated_vus = 10, vus = 10)]
async fn a_key_of_the_closed_executors() {}

#[load_test(executor = "constant-vus", vus = 10, duration = "1s", time_unit = "1m")]
async fn a_key_of_the_open_executors() {}

#[load_test(executor = ramping - vus, stages = "1s:1")]
async fn without_quotes() {}

#[load_test(executor = SHAPE, duration = "1s")]
async fn a_constant() {}

fn main() {}
