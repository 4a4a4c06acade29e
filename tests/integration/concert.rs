//! The example: its summary is the truth about its service, and its failures are counted as failures.

use std::fs;

use loadtest_tests::{Finished, concert};

/// What the service said in `teardown` that it had counted.
fn counted_by_the_service(run: &Finished) -> f64 {
    let line = run.stderr.lines().find_map(|line| line.trim().strip_prefix("the service counted "));
    let number = line.and_then(|line| line.split(' ').next()).and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("teardown said nothing:\n{}", run.stderr))
}

#[test]
fn the_summary_counts_as_many_requests_as_the_service() {
    for arguments in [
        &["payment_soak", "--iterations", "300", "-u", "20"][..],
        &["queue_spike", "--iterations", "200", "-u", "50"],
    ] {
        let run = concert(arguments).with_report().run().exited(0);
        assert_eq!(run.document()["tests"][0]["outcome"]["end"]["state"], "completed");
        let counted = counted_by_the_service(&run);
        assert!(counted >= 200.0, "{counted}");
        assert_eq!(run.sum("http_reqs"), counted);
        assert_eq!(run.summary("http_req_duration")["count"].as_f64(), Some(counted));
        assert!(run.report().is_file());
    }
}

#[test]
fn the_main_scenario_passes_and_says_so_first() {
    let run = concert(["buy_ticket", "--seed", "7"]).with_report().run();
    let run = run.exited(0);
    // Visitors who have begun may finish: nobody was cut off, so nothing is known to one side only.
    let state = &run.document()["tests"][0]["outcome"]["scenarios"]["buy_ticket"];
    assert_eq!(state["interrupted"], 0);
    assert_eq!(run.sum("http_reqs"), counted_by_the_service(&run));
    assert!(run.first_line().contains("PASSED"), "{}", run.stdout);
    assert_eq!(run.document()["tests"][0]["seed"], 7);
    let columns = "avg= min= med= max= p(90)= p(95)= p(99)=";
    let line = run.stdout.lines().find(|line| line.trim_start().starts_with("http_req_duration..."));
    let found = line.is_some_and(|line| columns.split(' ').all(|column| line.contains(column)));
    assert!(found, "{}", run.stdout);
}

#[test]
fn injected_failures_are_counted_judged_and_warned_about() {
    let share = 0.05;
    let arguments = ["payment_soak", "--iterations", "4000", "-u", "20", "-e", "FAIL_RATE=5%"];
    let run = concert(arguments).with_report().run().exited(99);
    assert!(run.first_line().contains("threshold failed: http_req_failed: rate<1%"), "{}", run.stdout);

    let failed = run.summary("http_req_failed");
    let (failures, requests) =
        (failed["sum"].as_f64().unwrap_or(0.0), failed["count"].as_f64().unwrap_or(1.0));
    assert_eq!(requests, counted_by_the_service(&run));
    let error = (share * (1.0 - share) / requests).sqrt();
    let found = failures / requests;
    assert!((found - share).abs() < 4.0 * error, "{failures} of {requests}: {found} ± {error}");

    // Failures are fast here and pull every quantile down: it is said, and successes stand apart.
    let page = fs::read_to_string(run.report()).expect("the report is there");
    for text in [&run.stdout, &page] {
        assert!(text.contains("fast failures"), "{text}");
    }
    assert!(run.stdout.contains("{ expected_response:true }"), "{}", run.stdout);
}
