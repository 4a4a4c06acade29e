//! Iterations that fail: counted, told once per kind with their place, and the others go on.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use super::*;

#[test]
fn panics_and_errors_are_counted_and_told_once_per_kind() {
    let turn = leak(AtomicU64::new(0));
    let report = Load::new()
        .threshold("iterations_failed: rate==0.5")
        .scenario("s", Attribute::new().vus(4).iterations(400), async |vu| {
            tokio::task::yield_now().await;
            match turn.fetch_add(1, Ordering::Relaxed) % 4 {
                0 => panic!("seat {} is gone", vu.iteration()),
                1 => {
                    let _: u16 = "many".parse()?;
                }
                _ => {}
            }
            Ok(())
        })
        .run();
    assert_eq!(report.state("s"), (400, 400, 0));
    assert_eq!(report.sum("iterations"), 400.0);
    assert_eq!(report.sum("iterations_failed"), 200.0);
    assert!(report.outcome.aggregated.thresholds[0].holds);
    let errors = &report.outcome.aggregated.errors;
    assert_eq!(errors.iter().map(|error| error.count).collect::<Vec<_>>(), [100, 100], "{errors:?}");
    for error in errors {
        let place = error.place.as_deref().expect("is known");
        assert!(place.contains("failures.rs:"), "{place}");
        assert_eq!(error.scenario, "s");
    }
    let mut sources: Vec<_> = report.errors().into_iter().map(|(source, ..)| source).collect();
    sources.sort_unstable();
    assert_eq!(sources, ["iteration", "panic"]);
}

/// Panics when it is shown.
#[derive(Debug)]
struct Unshowable;

impl std::fmt::Display for Unshowable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unshowable {}

#[test]
fn an_error_that_can_not_be_shown_does_not_end_the_virtual_user() {
    let report = Load::new()
        .scenario("s", Attribute::new().vus(1).iterations(3), async |_| Err(Error::from(Unshowable)))
        .run();
    assert_eq!(report.state("s"), (3, 3, 0));
    assert_eq!(report.errors(), [("panic", "no words", 3)]);
}

/// Panics when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("broken");
    }
}

#[test]
fn a_panic_while_an_iteration_is_interrupted_is_told_and_harmless() {
    let options = Attribute::new().vus(2).duration("100ms").graceful_stop("0s");
    let report = Load::new()
        .scenario("s", options, async |vu| {
            let _fragile = Fragile;
            vu.sleep(Duration::from_secs(60)).await;
            Ok(())
        })
        .run();
    assert_eq!(report.state("s"), (2, 0, 2));
    assert_eq!(report.errors(), [("panic", "broken", 2)]);
    assert!(report.outcome.warnings.is_empty());
}

#[test]
fn a_service_that_dies_makes_errors_and_the_load_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = leak(format!("http://{}/", listener.local_addr().expect("bound")));
    let service = std::thread::spawn(move || {
        for stream in listener.incoming().take(5) {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).expect("a request") > 0);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            stream.write_all(answer).expect("is read");
        }
    });
    let report = Load::new()
        .threshold("http_req_failed: rate==0.75")
        .scenario("s", Attribute::new().vus(1).iterations(20), async |vu| {
            let response = vu.http().get(address.as_str()).send().await?;
            vu.check("ok", response.status() == 200);
            Ok(())
        })
        .run();
    service.join().expect("ends after five requests");
    assert_eq!(report.state("s"), (20, 20, 0));
    assert_eq!((report.sum("http_reqs"), report.sum("http_req_failed")), (20.0, 15.0));
    assert_eq!((report.sum("checks"), report.sum("iterations_failed")), (5.0, 15.0));
    assert!(report.outcome.aggregated.thresholds[0].holds);
    let http: u64 =
        report.errors().iter().filter(|(source, ..)| *source == "http").map(|(.., count)| count).sum();
    assert_eq!(http, 15, "{:?}", report.errors());
    let failed: Vec<_> =
        report.series("http_reqs").into_iter().filter(|(tags, _)| tags["status"] == "0").collect();
    assert!(
        !failed.is_empty() && failed.iter().all(|(tags, _)| tags.contains_key("error_code")),
        "{failed:?}"
    );
}
