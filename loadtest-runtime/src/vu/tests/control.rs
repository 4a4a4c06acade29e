//! What a virtual user says about the test.

use super::*;
use crate::context::StopCause;

#[test]
fn an_abort_ends_the_test_and_its_own_iteration_at_once() {
    let bench = Bench::new(3);
    let (core, test, seats) = (Rc::clone(&bench.vu.core), Arc::clone(&bench.test), bench.seats.clone());
    let reached = Cell::new(0);
    let rest = bench.live(async |vu| {
        reached.set(reached.get() + 1);
        if vu.iteration() == 1 {
            vu.check("before", true);
            vu.abort(format_args!("{} seats left", 0)).await;
        }
        Ok(())
    });
    assert_eq!(reached.get(), 2);
    assert_eq!(test.stop.cause(), Some(StopCause::Test("0 seats left".to_owned())));
    let counters = seats.counters();
    assert_eq!(
        (counters.completed.load(Ordering::Relaxed), counters.interrupted.load(Ordering::Relaxed)),
        (1, 1)
    );
    let (sums, _) = rest.finish(&core);
    assert_eq!(sums[&("iterations".to_owned(), String::new())].sum, 1.0);
    assert_eq!(sums[&("checks".to_owned(), "check=before".to_owned())].sum, 1.0);
}

#[test]
fn an_abort_is_not_undone_by_whoever_waits_for_it() {
    let bench = Bench::new(3);
    let counters = Arc::clone(bench.seats.counters());
    bench.live(async |vu| {
        let limit = Duration::from_millis(1);
        assert!(tokio::time::timeout(limit, async { vu.abort("over").await }).await.is_err());
        vu.sleep(Duration::from_secs(3600)).await;
        Ok(())
    });
    assert_eq!(
        (counters.started.load(Ordering::Relaxed), counters.interrupted.load(Ordering::Relaxed)),
        (1, 1)
    );
}

#[test]
fn whoever_ends_the_scenario_is_interrupted_and_starts_no_other() {
    let bench = Bench::new(3);
    let (counters, test) = (Arc::clone(bench.seats.counters()), Arc::clone(&bench.test));
    bench.live(async |vu| vu.end_scenario("no more users".to_owned()).await);
    assert_eq!(
        (counters.started.load(Ordering::Relaxed), counters.interrupted.load(Ordering::Relaxed)),
        (1, 1)
    );
    assert_eq!(counters.end_reason().as_deref(), Some("no more users"));
    assert_eq!((test.stop.cause(), test.failures().len()), (None, 0));
}

#[test]
fn a_test_that_says_that_it_failed_goes_on() {
    let bench = Bench::new(3);
    let (test, said) = (Arc::clone(&bench.test), Arc::clone(&bench.said));
    let counters = Arc::clone(bench.seats.counters());
    bench.live(async |vu| {
        vu.fail("a seat was sold twice");
        vu.log(format_args!("seat {}", vu.iteration() + 5));
        Ok(())
    });
    assert_eq!(test.failures(), ["a seat was sold twice"]);
    assert_eq!(counters.completed.load(Ordering::Relaxed), 3);
    assert_eq!(
        *said.lock().expect("not poisoned"),
        "[s vu 1 #0] seat 5\n[s vu 1 #1] seat 6\n[s vu 1 #2] seat 7\n"
    );
}

#[test]
fn the_execution_context_counts_over_instance_and_test() {
    let options = Options { iterations: Some(6), vus: Some(3), ..Options::default() };
    let bench = Bench::with(4, options);
    let begin = bench.test.begin.wall.set(std::time::SystemTime::UNIX_EPOCH);
    begin.expect("set once");
    let seen = RefCell::new(Vec::new());
    bench.live(async |vu| {
        let execution = vu.execution();
        assert_eq!((execution.scenario(), execution.executor()), ("s", "shared-iterations"));
        assert_eq!((execution.vu_in_instance(), execution.vu_in_test()), (1, vu.id()));
        assert_eq!((execution.vus_active(), execution.vus_initialised()), (1, 1));
        assert_eq!(execution.start_time(), Some(std::time::SystemTime::UNIX_EPOCH));
        assert_eq!(execution.iterations_interrupted(), 0);
        // This is shard 1 of 3, whose share of 6 iterations is 2.
        let progress = execution.progress().expect("an end is known");
        seen.borrow_mut().push((
            execution.iteration_in_instance(),
            execution.iteration_in_test(),
            execution.iterations_completed(),
            progress,
        ));
        let turn = vu.turn();
        assert_eq!((turn.vu, turn.iteration_in_instance), (0, vu.iteration()));
        assert_eq!((turn.iteration_in_test, turn.in_vu_init), (execution.iteration_in_test(), false));
        assert_eq!((turn.seed, turn.scenario, turn.shard.count), (1, "s", 3));
        Ok(())
    });
    assert_eq!(*seen.borrow(), [(0, 1, 0, 0.0), (1, 4, 1, 0.5), (2, 7, 2, 1.0), (3, 10, 3, 1.0)]);
}

#[test]
fn progress_is_told_by_the_clock_where_the_clock_decides() {
    let shapes = [
        ("duration", Options { duration: Some(Duration::from_secs(10)), ..Options::default() }, Some(0.0)),
        (
            "until stopped",
            Options {
                executor: Some(loadtest_core::options::ExecutorKind::ExternallyControlled),
                vus: Some(1),
                ..Options::default()
            },
            None,
        ),
    ];
    for (what, options, progress) in shapes {
        let bench = Bench::with(1, options);
        assert_eq!(bench.vu.execution().progress(), progress, "{what}");
        assert_eq!((bench.vu.execution().start_time(), bench.vu.execution().env().len()), (None, 0));
    }
}
