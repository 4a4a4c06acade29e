//! Before the first iteration, and between two of them.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Lets a virtual user begin, and says why it can't.
fn refusal<S>(bench: Bench, init: impl AsyncFnOnce(&mut Vu) -> Result<S, Error>) -> Option<String> {
    let counters = Arc::clone(bench.seats.counters());
    bench.seats.give_all(Order::Run);
    run_paused(async {
        tokio::select! {
            () = run(bench.vu, init, async |_, _| Ok(())) => {}
            () = bench.seats.idle() => {}
        }
    });
    let (started, why) = (counters.started.load(Ordering::Relaxed), counters.refusal());
    assert_eq!(started == 0, why.is_some());
    why
}

#[test]
fn a_virtual_user_that_can_not_begin_says_why() {
    let failed = refusal(Bench::new(1), async |_| Err::<(), _>(Error::msg("no account"))).expect("refused");
    assert!(failed.starts_with("vu_init: no account (at ") && failed.contains("life.rs:"), "{failed}");
    let panicked = refusal(Bench::new(1), async |vu| -> Result<(), _> { panic!("vu {}", vu.id()) });
    let panicked = panicked.expect("refused");
    assert!(panicked.starts_with("vu_init panicked at ") && panicked.ends_with(": vu 1"), "{panicked}");
    let slow = refusal(Bench::new(1), async |vu| {
        vu.sleep(61 * SECOND).await;
        Ok(())
    });
    assert_eq!(slow.as_deref(), Some("vu_init took longer than 60s"));
    let empty = refusal(Bench::new(1), async |vu| -> Result<(), _> {
        vu.end_scenario("the feed has 3 rows".to_owned()).await
    });
    assert_eq!(empty.as_deref(), Some("vu_init: the feed has 3 rows"));
    let ready = refusal(Bench::new(1), async |vu| {
        vu.sleep(59 * SECOND).await;
        Ok(())
    });
    assert_eq!(ready, None);
}

#[test]
fn a_panic_of_what_is_dropped_half_way_is_the_virtual_users_own() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            panic!("while dropped");
        }
    }
    let why = refusal(Bench::new(1), async |vu| {
        let _late = Late;
        vu.sleep(61 * SECOND).await;
        Ok(())
    });
    assert_eq!(why.as_deref(), Some("vu_init took longer than 60s"));
}

#[test]
fn what_vu_init_does_is_not_recorded_and_its_state_is_for_every_iteration() {
    let bench = Bench::new(3);
    let (core, said) = (Rc::clone(&bench.vu.core), Arc::clone(&bench.said));
    bench.seats.give_all(Order::Run);
    let draws = RefCell::new(Vec::new());
    run_local(async {
        let init = async |vu: &mut Vu| {
            vu.check("never", true);
            vu.recorder_of_exchanges().record(&exchange("/login", &[]));
            vu.log("begins");
            assert!(vu.turn().in_vu_init);
            draws.borrow_mut().push(vu.rng().range(0..u64::MAX));
            let _: Result<(), &str> = vu.measure("log in", async { Err("not told") }).await;
            Ok(10)
        };
        let iterate = async |vu: &mut Vu, state: &mut u64| {
            assert_eq!(*state, 10 + vu.iteration());
            *state += 1;
            draws.borrow_mut().push(vu.rng().range(0..u64::MAX));
            Ok(())
        };
        tokio::select! {
            () = run(bench.vu, init, iterate) => {}
            () = bench.seats.idle() => {}
        }
    });
    let (sums, errors) = bench.rest.finish(&core);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(sums[&("iterations".to_owned(), String::new())].sum, 3.0);
    let metrics: Vec<_> = sums.keys().map(|(metric, _)| metric.as_str()).collect();
    assert!(metrics.iter().all(|metric| metric.starts_with("iteration")), "{metrics:?}");
    assert_eq!(*said.lock().expect("not poisoned"), "[s vu 1 init] begins\n");
    let mut draws = draws.into_inner();
    draws.sort_unstable();
    draws.dedup();
    assert_eq!(draws.len(), 4);
}

#[test]
fn padding_is_between_iterations_and_not_in_them() {
    let options = Options { min_iteration_duration: Some(SECOND), ..Options::default() };
    let bench = Bench::with(100, options);
    let (core, seats) = (Rc::clone(&bench.vu.core), bench.seats.clone());
    seats.give_all(Order::Run);
    let starts = RefCell::new(Vec::new());
    let took = run_paused(async {
        let began = clock::now();
        let iterate = async |vu: &mut Vu, (): &mut ()| {
            starts.borrow_mut().push((clock::now() - began).as_millis());
            // The third one is longer than it has to be.
            vu.sleep(SECOND * if vu.iteration() == 2 { 7 } else { 1 } / 5).await;
            Ok(())
        };
        let stop = async {
            tokio::time::sleep(Duration::from_millis(3_900)).await;
            // The end does not wait for the padding.
            seats.give_all(Order::Finish);
            seats.idle().await;
        };
        tokio::select! {
            () = run(bench.vu, async |_| Ok(()), iterate) => {}
            () = stop => {}
        }
        clock::now() - began
    });
    assert_eq!(*starts.borrow(), [0, 1_000, 2_000, 3_400]);
    assert_eq!(took, Duration::from_millis(3_900));
    let (sums, _) = bench.rest.finish(&core);
    let durations = &sums[&("iteration_duration".to_owned(), String::new())];
    assert_eq!((durations.count, durations.max), (4, 1_400.0), "{durations:?}");
    assert!((durations.sum - 2_000.0).abs() < 1.0, "{durations:?}");
}
