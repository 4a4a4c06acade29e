//! How a load ends before its time.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_stop_interrupts_what_is_in_flight_and_drops_nothing() {
    let (began, begun) = mpsc::channel();
    let began = leak(began);
    let options = Attribute::new().vus(4).iterations(100).graceful_stop("30s");
    let load = Load::new().threshold("dropped_iterations: count<1").scenario("s", options, async |vu| {
        began.send(()).expect("listens");
        vu.sleep(MINUTE).await;
        vu.check("never", true);
        Ok(())
    });
    let stop = load.stop.clone();
    let stopper = std::thread::spawn(move || {
        begun.iter().take(4).for_each(drop);
        stop.stop(StopCause::Interrupted);
    });
    let report = load.run();
    stopper.join().expect("ends");
    assert_eq!(report.state("s"), (4, 0, 4));
    assert_eq!(report.outcome.stopped, Some(StopCause::Interrupted));
    assert!(report.outcome.load_time < LET_GO, "{:?}", report.outcome.load_time);
    assert!(report.outcome.warnings.is_empty());
    for metric in ["iterations", "iteration_duration", "checks", "dropped_iterations"] {
        assert_eq!(report.sum(metric), 0.0, "{metric}");
    }
    assert!(report.outcome.aggregated.thresholds[0].holds);
    assert_eq!(report.told.intervals.last().expect("one").scenarios["s"].vus, 0);
}

#[test]
fn a_load_that_was_stopped_before_it_began_starts_nothing() {
    let load = Load::new().scenario("s", Attribute::new().vus(4).duration("60s"), async |_| Ok(()));
    load.stop.stop(StopCause::Interrupted);
    let prepared = super::super::Load::prepare(load.plan, &load.stop);
    assert!(matches!(prepared.err(), Some(Unready::Stopped(StopCause::Interrupted))));
}

#[test]
fn a_threshold_that_aborts_ends_the_load() {
    let aborting = "checks: rate>0.5 abort";
    let report = Load::new()
        .threshold("checks: rate<0.1")
        .threshold(aborting)
        .scenario("s", Attribute::new().vus(2).duration("60s"), async |vu| {
            vu.check("holds", false);
            vu.sleep(Duration::from_millis(10)).await;
            Ok(())
        })
        .run();
    assert_eq!(report.outcome.stopped, Some(StopCause::Threshold(aborting.to_owned())));
    // Judged when the first second is closed.
    let load = report.outcome.load_time.as_secs_f64();
    assert!((1.0..10.0).contains(&load), "{load}");
    let aborted: Vec<_> =
        report.outcome.aggregated.thresholds.iter().map(|outcome| outcome.aborted).collect();
    assert_eq!(aborted, [false, true]);
}

#[test]
fn a_threshold_that_fails_when_the_load_is_over_has_not_ended_it() {
    let report = Load::new()
        .threshold("checks: rate>0.5 abort")
        .scenario("s", Attribute::new().vus(1).duration("900ms"), async |vu| {
            vu.check("holds", false);
            vu.sleep(Duration::from_millis(10)).await;
            Ok(())
        })
        .run();
    assert_eq!(report.outcome.stopped, None);
    let outcome = &report.outcome.aggregated.thresholds[0];
    assert!(!outcome.holds && !outcome.aborted, "{outcome:?}");
}

#[test]
fn an_iteration_that_never_awaits_hangs_nothing() {
    let over = leak(AtomicBool::new(false));
    let options = Attribute::new().vus(2).duration("2500ms").graceful_stop("0s");
    let load = Load::new().scenario("s", options, async |vu| {
        // The first virtual user is the first worker's, the second one the other's.
        while vu.id() == 1 && !over.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        vu.sleep(Duration::from_millis(10)).await;
        Ok(())
    });
    let began = clock::now();
    let report = load.run();
    let took = began.elapsed();
    over.store(true, Ordering::Relaxed);
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(report.outcome.warnings.len(), 1);
    assert!(report.outcome.warnings[0].contains("without ever awaiting"), "{:?}", report.outcome.warnings);
    // The other worker was not held up, and the stall shows while it lasts.
    let (started, completed, interrupted) = report.state("s");
    assert!(completed > 10 && started == completed + interrupted, "{started} {completed} {interrupted}");
    let stall = report.told.intervals[1].generator.max_stall_ms;
    assert!(stall > 1_000.0, "{stall}");
}

#[test]
fn what_is_left_in_spawn_blocking_does_not_hold_up_the_end() {
    let (release, released) = mpsc::channel::<()>();
    let released = leak(Mutex::new(released));
    let report = Load::new()
        .scenario("s", Attribute::new().vus(1).iterations(1), async |_| {
            tokio::task::spawn_blocking(|| released.lock().expect("not poisoned").recv().ok());
            Ok(())
        })
        .run();
    drop(release);
    assert_eq!(report.state("s"), (1, 1, 0));
    assert!(report.outcome.warnings.is_empty(), "{:?}", report.outcome.warnings);
}

#[test]
fn a_load_shorter_than_a_second_knows_its_virtual_users() {
    let options = Attribute::new().vus(4).duration("200ms").graceful_stop("10s");
    let report = Load::new()
        .scenario("s", options, async |vu| {
            vu.sleep(Duration::from_millis(10)).await;
            Ok(())
        })
        .run();
    let [(_, vus)] = &report.series("vus")[..] else { panic!("one series") };
    assert_eq!(vus.max, 4.0, "{vus:?}");
    assert!(vus.min > 0.0 && vus.last > 0.0, "{vus:?}");
}
