//! Values of a wrong kind: durations, numbers, text, lists.

use loadtest_runtime::load_test;

#[load_test(duration = "30")]
async fn no_unit() {}

#[load_test(duration = "30 sec")]
async fn unknown_unit() {}

#[load_test(duration = 30)]
async fn a_number() {}

#[load_test(duration = 30s)]
async fn no_quotes() {}

#[load_test(max_duration = -1)]
async fn negative_duration() {}

#[load_test(duration = true)]
async fn a_boolean() {}

#[load_test(graceful_stop = "")]
async fn an_empty_duration() {}

#[load_test(vus = "10")]
async fn quoted() {}

#[load_test(vus = 1.5)]
async fn a_fraction() {}

#[load_test(vus = -1)]
async fn negative_number() {}

#[load_test(vus = 5_000_000_000)]
async fn too_large() {}

#[load_test(iterations = 10s)]
async fn a_number_with_a_unit() {}

#[load_test(tags = "team")]
async fn no_list() {}

#[load_test(tags = [("team", 7)])]
async fn no_text() {}

#[load_test(tags = ["team"])]
async fn no_pair() {}

#[load_test(env = [("A", "1"), ("A", "2"), ("", "3")])]
async fn equal_and_empty_keys() {}

#[load_test(binaries = "shop")]
async fn no_list_of_binaries() {}

#[load_test(binaries = ["shop", "shop", 3])]
async fn equal_binaries() {}

#[load_test(test = "a::b")]
async fn a_path_as_name() {}

#[load_test(name = "")]
async fn no_name() {}

#[load_test(name = " rush ")]
async fn spaces_around() {}

fn main() {}
