//! Several attributes on one function.

use loadtest_runtime::load_test;

#[load_test(vus = 1)]
#[load_test(vus = 2)]
async fn two_without_a_name() {}

#[load_test(name = "rush", vus = 1)]
#[load_test(name = "late", vus = 2)]
#[load_test(name = "rush", vus = 3)]
async fn two_of_one_name() {}

#[load_test(vus = 1)]
#[loadtest_runtime::load_test(vus = 2)]
#[load_test(name = "three_times", vus = 3)]
async fn three_times() {}

#[load_test(test = "sale", name = "rush")]
#[load_test(test = "sale", name = "late", rate = -1)]
async fn a_mistake_in_the_second() {}

// These are right.
#[load_test]
#[load_test(name = "with a name")]
#[load_test(name = "with-a-name")]
#[load_test(test = "another test")]
async fn all_different() {}

fn main() {}
