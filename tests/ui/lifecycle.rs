//! The keys that take paths.

use loadtest_runtime::load_test;

#[load_test(setup = start())]
async fn called() {}

#[load_test(setup = "start")]
async fn quoted() {}

#[load_test(setup = || async {}, teardown = 3)]
async fn a_closure_and_a_number() {}

#[load_test(vu_init = login())]
async fn a_called_vu_init() {}

#[load_test(vu_init = "login")]
async fn a_quoted_vu_init() {}

#[load_test(vu_init = |vu| async {})]
async fn a_closure_as_vu_init() {}

#[load_test(reset = empty())]
async fn a_called_reset() {}

#[load_test(reset = 3)]
async fn a_number_as_reset() {}

#[load_test(crate = "lt")]
async fn quoted_crate() {}

fn main() {}
