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

#[load_test(executor = "constant-arrival-rate", rate = "100/s", duration = "1s", pre_allocated_vus = 1)]
async fn a_rate_with_its_unit() {}

#[load_test(executor = "constant-arrival-rate", rate = 0.5, duration = "1s", pre_allocated_vus = 1)]
async fn half_a_start() {}

#[load_test(executor = "ramping-arrival-rate", start_rate = -1, time_unit = 60, stages = "1s:1", pre_allocated_vus = true)]
async fn several_of_an_arrival_rate() {}

#[load_test(executor = "externally-controlled", vus = 1, max_vus = 5_000_000_000)]
async fn too_many_virtual_users() {}

#[load_test(executor = "find-capacity", max_rate = 1e3, step = "10", search = "bianry", probe_duration = "10")]
async fn several_of_a_search() {}

#[load_test(search = 3)]
async fn a_search_that_is_no_text() {}

#[load_test(start_time = 10)]
async fn a_start_without_a_unit() {}

#[load_test(min_iteration_duration = "1 second")]
async fn a_unit_in_full() {}

#[load_test(rps = "100")]
async fn a_cap_in_quotes() {}

#[load_test(preflight = "health")]
async fn neither_a_url_nor_a_path() {}

#[load_test(preflight = 8080)]
async fn a_port() {}

#[load_test(reset = "")]
async fn an_empty_command() {}

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

#[load_test(insecure_skip_tls_verify = "true")]
async fn a_switch_in_quotes() {}

#[load_test(allow = ["loopback", "http://staging.example.org:8080/"])]
async fn a_url_instead_of_a_host() {}

#[load_test(hosts = [("example.org", "localhost")])]
async fn a_name_that_leads_to_a_name() {}

#[load_test(runs = 0, min_effect = 5, equivalence = "10", alpha = "60%")]
async fn several_of_a_comparison() {}

#[load_test(runs = "many", alpha = -1, min_effect = true, compare_duration = 10)]
async fn others_of_a_comparison() {}

#[load_test(gate = ["p95", "throughptu", 3], compare_duration = "0s")]
async fn metrics_that_are_none() {}

#[load_test(gate = [], runs = 8runs)]
async fn no_metric_at_all() {}

fn main() {}
