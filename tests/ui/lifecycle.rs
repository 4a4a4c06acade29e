//! The keys that take paths.

use loadtest_runtime::load_test;

#[load_test(setup = start())]
async fn called() {}

#[load_test(setup = "start")]
async fn quoted() {}

#[load_test(setup = || async {}, teardown = 3)]
async fn a_closure_and_a_number() {}

#[load_test(crate = "lt")]
async fn quoted_crate() {}

fn main() {}
