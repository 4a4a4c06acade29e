//! Thresholds: the grammar, and what fits a built-in metric.

use loadtest_runtime::load_test;

#[load_test(thresholds = ["http_req_duration p(95)<500ms"])]
async fn no_colon() {}

#[load_test(thresholds = ["http_req_duration: p95<500ms"])]
async fn unknown_aggregation() {}

#[load_test(thresholds = ["http_req_duration: p(101)<500ms"])]
async fn beyond_the_last_percentile() {}

#[load_test(thresholds = ["http_req_failed: p(95)<0.01"])]
async fn does_not_fit_the_metric() {}

#[load_test(thresholds = ["http_req_duration: p(95)=<500ms"])]
async fn unknown_operator() {}

#[load_test(thresholds = ["http_req_failed: rate<0.01", 3])]
async fn no_text() {}

fn main() {}
