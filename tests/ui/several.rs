//! Every mistake of one attribute is reported at once, and the function is still there for its callers.

use loadtest_runtime::load_test;

#[load_test(
    vuss = 10,
    duration = "30",
    thresholds = ["http_req_duration: p(95)<500ms", "http_req_failed rate<0.01"],
    graceful_stop = 5,
)]
fn browse(price: u32) -> u32 {
    price
}

fn main() {
    let _: u32 = browse(3);
}
