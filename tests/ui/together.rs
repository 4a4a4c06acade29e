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

fn main() {}
