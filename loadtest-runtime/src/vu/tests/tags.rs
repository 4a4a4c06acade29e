//! Tags, groups, and the iteration that a sample belongs to.

use super::*;

crate::metrics! {
    static VISITS: Counter = "vu_test_visits";
}

fn key(metric: &str, tags: &str) -> (String, String) {
    (metric.to_owned(), tags.to_owned())
}

#[test]
fn tags_and_groups_are_on_what_is_recorded_while_they_are_in_force() {
    let mut bench = Bench::new(1);
    let vu = &mut bench.vu;
    vu.begin_iteration();
    run_local(async {
        VISITS.add(vu, 1.0);
        vu.tag("plan", "free");
        VISITS.add(vu, 2.0);
        vu.group("buy", async |vu: &mut Vu| {
            vu.check("cheap", true);
            vu.group("pay", async |vu: &mut Vu| VISITS.add(vu, 4.0)).await;
            vu.tag("plan", "paid");
            VISITS.add(vu, 8.0);
        })
        .await;
        VISITS.add(vu, 16.0);
        let asked: Result<u8, String> = vu.measure("ask", async { Ok(7) }).await;
        assert_eq!(asked, Ok(7));
    });
    // The next iteration knows nothing of it.
    vu.begin_iteration();
    VISITS.add(vu, 32.0);
    let (sums, _) = bench.finish();
    let visits: Vec<_> = sums
        .iter()
        .filter(|((metric, _), _)| metric == "vu_test_visits")
        .map(|((_, tags), totals)| (tags.as_str(), totals.sum))
        .collect();
    let expected = [
        ("", 33.0),
        ("group=buy plan=paid", 8.0),
        ("group=buy::pay plan=free", 4.0),
        ("plan=free", 2.0),
        ("plan=paid", 16.0),
    ];
    assert_eq!(visits, expected);
    assert_eq!(sums[&key("checks", "check=cheap group=buy plan=free")].sum, 1.0);
    // A group is itself in the group.
    assert_eq!(sums[&key("group_duration", "group=buy::pay plan=free")].count, 1);
    assert_eq!(sums[&key("group_duration", "group=buy plan=paid")].count, 1);
    assert_eq!(sums[&key("measure_duration", "name=ask plan=paid")].count, 1);
    assert_eq!(sums[&key("measure_failed", "name=ask plan=paid")].sum, 0.0);
}

#[test]
fn a_group_that_is_dropped_half_way_is_over() {
    let mut bench = Bench::new(1);
    let vu = &mut bench.vu;
    vu.begin_iteration();
    run_local(async {
        let group = vu.group("slow", async |_: &mut Vu| std::future::pending::<()>().await);
        tokio::time::timeout(Duration::from_millis(1), group).await.expect_err("it never ends");
        VISITS.add(vu, 1.0);
        vu.group("next", async |vu: &mut Vu| VISITS.add(vu, 2.0)).await;
    });
    let (sums, _) = bench.finish();
    assert_eq!(sums[&key("vu_test_visits", "")].sum, 1.0);
    assert_eq!(sums[&key("vu_test_visits", "group=next")].sum, 2.0);
    assert!(!sums.contains_key(&key("group_duration", "group=slow")));
}

#[test]
fn an_operation_that_fails_is_measured_and_told() {
    let mut bench = Bench::new(1);
    let vu = &mut bench.vu;
    vu.begin_iteration();
    let result: Result<(), &str> = run_local(vu.measure("ask", async { Err("no answer") }));
    assert_eq!(result, Err("no answer"));
    let (sums, errors) = bench.finish();
    assert_eq!(sums[&key("measure_failed", "name=ask")].sum, 1.0);
    assert_eq!(sums[&key("measure_duration", "name=ask")].count, 1);
    assert_eq!((errors.len(), errors[0].message.as_str()), (1, "ask: no answer"));
}

#[test]
fn an_operation_that_the_test_gives_up_has_failed_and_one_of_an_interrupted_iteration_is_none() {
    let bench = Bench::new(3);
    let (core, seats) = (Rc::clone(&bench.vu.core), bench.seats.clone());
    let rest = bench.live(async |vu: &mut Vu| {
        let ask = vu.measure("ask", std::future::pending::<Result<(), &str>>());
        if vu.iteration() == 2 {
            seats.give_all(Order::Interrupt);
            ask.await.expect("interrupted");
            return Ok(());
        }
        assert!(tokio::time::timeout(Duration::from_millis(20), ask).await.is_err());
        // What was never begun has not been given up.
        drop(vu.measure("never", async { Ok::<_, &str>(()) }));
        Ok(())
    });
    let (sums, errors) = rest.finish(&core);
    assert_eq!(sums[&key("measure_failed", "name=ask")].sum, 2.0);
    let times = &sums[&key("measure_duration", "name=ask")];
    assert!(times.count == 2 && times.sum >= 40.0, "{times:?}");
    assert!(!sums.contains_key(&key("measure_duration", "name=never")));
    let [error] = &errors[..] else { panic!("one kind: {errors:?}") };
    assert_eq!((error.count, error.source), (2, errors::Source::Measure));
    assert_eq!(error.message, "ask: dropped by the test before it ended");
}

#[test]
fn an_exchange_has_the_tags_of_the_iteration_and_its_own() {
    let mut bench = Bench::new(1);
    let vu = &mut bench.vu;
    vu.begin_iteration();
    vu.tag("plan", "free");
    let own = [("kind".to_owned(), "api".to_owned())];
    vu.recorder_of_exchanges().record(&exchange("/seats", &own));
    let (sums, _) = bench.finish();
    let tags = "expected_response=true kind=api method=GET name=/seats plan=free proto=HTTP/1.1 status=200";
    assert_eq!(sums[&key("http_req_duration", tags)].sum, 1.5);
    assert_eq!(sums[&key("data_received", "kind=api plan=free")].sum, 200.0);
}

#[test]
fn what_is_measured_after_the_iteration_has_ended_is_discarded() {
    let bench = Bench::new(2);
    let handles: RefCell<Vec<Rc<ExchangeRecorder>>> = RefCell::default();
    let core = Rc::clone(&bench.vu.core);
    let rest = bench.live(async |vu: &mut Vu| {
        // The handle of the iteration before this one is stale, this one's is not.
        let own = vu.recorder_of_exchanges();
        handles.borrow().iter().for_each(|stale| stale.record(&exchange("/stale", &[])));
        own.record(&exchange("/own", &[]));
        handles.borrow_mut().push(own);
        Ok(())
    });
    // All iterations are over.
    assert_eq!(handles.borrow().len(), 2);
    handles.borrow().iter().for_each(|stale| stale.record(&exchange("/late", &[])));
    let (sums, _) = rest.finish(&core);
    let requests: Vec<_> = sums.iter().filter(|((metric, _), _)| metric == "http_reqs").collect();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].0.1.contains("name=/own"));
    assert_eq!(requests[0].1.sum, 2.0);
    assert_eq!(sums[&key("iterations", "")].sum, 2.0);
}
