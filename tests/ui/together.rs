//! Keys that are right by themselves and wrong together.

use loadtest_runtime::load_test;

const USERS: u32 = 10;

#[load_test(stages = [("1s", 10)], duration = "30s")]
async fn two_executors() {}

#[load_test(iterations = 10, duration = "30s")]
async fn iterations_and_duration() {}

#[load_test(executor = "ramping-vus", vus = USERS, stages = [("1s", 10)])]
async fn not_a_key_of_this_executor() {}

#[load_test(executor = "ramping-vus")]
async fn no_stages() {}

#[load_test(executor = "constant-vus", vus = 5)]
async fn no_duration() {}

#[load_test(vus = 10, iterations = 3)]
async fn fewer_iterations_than_users() {}

#[load_test(vus = 0, duration = "1s")]
async fn no_users() {}

#[load_test(duration = "0s")]
async fn no_time() {}

#[load_test(executor = "constant-arrival-rate", rate = 0, duration = "1s", pre_allocated_vus = 1)]
async fn a_rate_of_nothing() {}

#[load_test(executor = "constant-arrival-rate", rate = 1, time_unit = "0s", duration = "1s", pre_allocated_vus = 1)]
async fn a_rate_per_nothing() {}

#[load_test(executor = "constant-arrival-rate", rate = 1, duration = "1s", pre_allocated_vus = 10, max_vus = 5)]
async fn fewer_at_most_than_at_first() {}

#[load_test(executor = "ramping-arrival-rate", stages = [("0s", 10)], pre_allocated_vus = 1)]
async fn a_ramp_of_no_time() {}

#[load_test(executor = "ramping-arrival-rate", stages = "1s:10", pre_allocated_vus = 0)]
async fn nobody_to_start() {}

#[load_test(executor = "externally-controlled", vus = 10, max_vus = 5)]
async fn more_than_at_most() {}

#[load_test(executor = "find-capacity", start_rate = 100, max_rate = 10, pre_allocated_vus = 1)]
async fn a_search_downwards() {}

#[load_test(executor = "find-capacity", start_rate = 1, max_rate = 10, step = 0, pre_allocated_vus = 1)]
async fn a_search_without_a_step() {}

#[load_test(executor = "find-capacity", start_rate = 1, max_rate = 10, probe_duration = "10ms", pre_allocated_vus = 1)]
async fn a_probe_too_short() {}

#[load_test(vus = 1, rps = 0)]
async fn no_requests() {}

fn main() {}
