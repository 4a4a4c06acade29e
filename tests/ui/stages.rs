//! Stages, as a list and as text.

use loadtest_runtime::load_test;

#[load_test(stages = [("1s", 10), ("2x", 10), (5, 10), ("1s", "10")])]
async fn each_wrong_stage_by_itself() {}

#[load_test(stages = ["1m30s:100"])]
async fn text_in_a_list() {}

#[load_test(stages = [("1s", 10, 3), 7, []])]
async fn no_pairs() {}

#[load_test(stages = "1s:10, 2s")]
async fn no_target() {}

#[load_test(stages = "1s:10, 2s:many")]
async fn no_number() {}

#[load_test(stages = "")]
async fn empty_text() {}

#[load_test(stages = 10)]
async fn a_number() {}

#[load_test(stages = [])]
async fn empty_list() {}

#[load_test(stages = [("0s", 10)])]
async fn no_time_at_all() {}

#[load_test(stages = "1s:5000000000")]
async fn too_large() {}

fn main() {}
