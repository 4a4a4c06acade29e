//! Keys that do not exist, that need an executor, and that are written in another way.

use loadtest_runtime::load_test;

#[load_test(durations = "30s")]
async fn slip_of_the_finger() {}

#[load_test(gracefulStop = "30s")]
async fn spelling_of_k6() {}

#[load_test(banana = 3)]
async fn nothing_near() {}

#[load_test(vus = 1, vus = 2)]
async fn twice() {}

#[load_test(vus)]
async fn no_value() {}

#[load_test(vus = , iterations = 2)]
async fn nothing_after_the_sign() {}

#[load_test(vus(3))]
async fn like_a_call() {}

#[load_test(vus = 3 iterations = 3)]
async fn no_comma() {}

#[load_test("30s")]
async fn no_key() {}

#[load_test(vus = 3 +)]
async fn half_an_expression() {}

#[load_test(rate = 10)]
async fn of_an_executor_that_is_named() {}

#[load_test(rate = 10, duration = "1s")]
async fn of_another_executor_than_the_one_inferred() {}

#[load_test(preAllocatedVUs = 10)]
async fn capitals_of_k6() {}

#[load_test(vuInit = login)]
async fn camels_of_k6() {}

#[load_test(tags = { team = "sales" })]
async fn braces() {}

fn main() {}
