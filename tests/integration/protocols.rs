//! The example of protocols beside HTTP requests: each is measured, and its numbers are those of what was done.

use std::collections::BTreeMap;

use loadtest_tests::example;
use serde_json::{Value, json};

#[test]
fn every_protocol_is_measured() {
    let run = example("protocols", ["--seed", "1"]).with_report().run().exited(0);
    let document = run.document();
    let tests: BTreeMap<&str, &Value> = document["tests"]
        .as_array()
        .expect("there are some")
        .iter()
        .map(|test| (test["id"].as_str().and_then(|id| id.rsplit("::").next()).unwrap_or_default(), test))
        .collect();
    // What one iteration does, times the iterations.
    for (test, metric, count) in [
        ("chat", "ws_sessions", 20.0),
        ("chat", "ws_msgs_sent", 60.0),
        ("chat", "ws_msgs_received", 60.0),
        ("chat", "ws_ping", 20.0),
        ("prices", "http_reqs", 10.0),
        ("prices", "sse_event", 200.0),
        ("prices", "sse_time_to_first_event", 10.0),
        ("check_and_watch", "grpc_req_duration", 20.0),
        ("check_and_watch", "grpc_streams", 10.0),
        ("check_and_watch", "grpc_streams_msgs_received", 30.0),
        ("check_and_watch", "grpc_streams_msgs_sent", 10.0),
        ("lines", "tcp_sessions", 20.0),
        ("lines", "tcp_req_duration", 40.0),
        ("through_a_client", "measure_duration", 60.0),
    ] {
        let found = counted(tests.get(test).expect(test), metric);
        assert_eq!(found, Some(count), "{test}: {metric}\n{}", run.stdout);
    }
    assert_eq!(tests.len(), 5, "{:?}", tests.keys());
    assert!(run.report().is_file());
}

/// How many values a trend has, or the sum of a counter, over all tags.
fn counted(test: &Value, metric: &str) -> Option<f64> {
    let row = test["summary"]
        .as_array()?
        .iter()
        .find(|row| row["metric"]["name"] == metric && row["tags"] == json!({}))?;
    let field = if row["metric"]["kind"] == "counter" { "sum" } else { "count" };
    row[field].as_f64()
}
