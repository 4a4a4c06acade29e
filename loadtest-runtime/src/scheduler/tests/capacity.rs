//! The search for a capacity, on real threads.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;
use crate::clock::Instant;

fn search(start_rate: u64, max_rate: u64, step: u64) -> Attribute {
    Attribute::new()
        .executor("find-capacity")
        .start_rate(start_rate)
        .max_rate(max_rate)
        .step(step)
        .probe_duration("1s")
        // The tests give the thresholds to the load; options need one that says when a rate holds.
        .threshold("iterations_failed: rate<0.01")
}

#[test]
fn a_search_finds_what_a_service_bears_and_passes() {
    // One at a time, 20 ms each: 50 a second, and whatever comes beyond waits.
    let free_at = leak(Mutex::new(None::<Instant>));
    let report = Load::new()
        .threshold("iteration_duration: p(95)<200ms")
        .threshold("capacity: value>=40")
        .scenario("s", search(40, 80, 40).pre_allocated_vus(90), async |vu| {
            let now = clock::now();
            let ends = {
                let mut free_at = free_at.lock().expect("not poisoned");
                let ends = free_at.map_or(now, |at| at.max(now)) + Duration::from_millis(20);
                *free_at = Some(ends);
                ends
            };
            vu.sleep(ends - now).await;
            Ok(())
        })
        .run();
    let capacity = &report.outcome.capacities["s"];
    assert!(capacity.complete);
    assert_eq!((capacity.highest_held, capacity.lowest_failed), (Some(40), Some(80)), "{capacity:?}");
    assert_eq!(report.series("capacity")[0].1.last, 40.0);
    assert_eq!(report.series("capacity")[0].0["scenario"], "s");
    // Over the whole run most iterations took longer; what counts is the probe that held.
    let thresholds = &report.outcome.aggregated.thresholds;
    assert!(thresholds.len() == 2 && thresholds.iter().all(|outcome| outcome.holds), "{thresholds:?}");
    let held = capacity.probes.iter().find(|probe| probe.holds).expect("one held");
    assert_eq!(thresholds[0], held.thresholds[0]);
    // All of each probe's iterations were judged, those that ended after its last start included.
    let (started, completed, interrupted) = report.state("s");
    assert_eq!(started, capacity.probes.iter().map(|probe| probe.started).sum::<u64>());
    assert_eq!((started, interrupted), (completed, 0));
    assert_eq!(report.outcome.scenarios["s"].planned_iterations, None);
}

#[test]
fn virtual_users_that_were_interrupted_serve_the_next_probe() {
    let hangs = leak(AtomicBool::new(true));
    let report = Load::new()
        .threshold("iterations: count==10")
        .scenario("s", search(10, 10, 1).pre_allocated_vus(10).graceful_stop("100ms"), async |vu| {
            if hangs.load(Ordering::Relaxed) {
                vu.sleep(Duration::from_millis(1_050)).await;
                hangs.store(false, Ordering::Relaxed);
                vu.sleep(Duration::from_secs(3_600)).await;
            }
            Ok(())
        })
        .run();
    let capacity = &report.outcome.capacities["s"];
    assert_eq!((capacity.highest_held, capacity.lowest_failed), (Some(10), None), "{capacity:?}");
    let [failed, held] = capacity.probes.as_slice() else { panic!("{capacity:?}") };
    let reason = failed.reason.as_deref().expect("failed");
    assert!(reason.contains("10 of 10 iterations had not ended 100ms after"), "{reason}");
    assert!(reason.contains("no data for the threshold `iterations: count==10`"), "{reason}");
    assert_eq!((held.started, held.dropped, held.thresholds[0].actual), (10, 0, Some(10.0)));
    assert_eq!(report.state("s"), (20, 10, 10));
}

#[test]
fn a_search_that_is_stopped_tells_what_it_has_probed() {
    let load = Load::new().threshold("iterations_failed: rate<0.5");
    let stop = load.stop.clone();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1_700));
        stop.stop(StopCause::Asked);
    });
    let report = load.scenario("s", search(10, 1_000, 10).pre_allocated_vus(5), async |_| Ok(())).run();
    stopper.join().expect("no panic");
    let capacity = &report.outcome.capacities["s"];
    assert_eq!(report.outcome.stopped, Some(StopCause::Asked));
    assert_eq!((capacity.probes.len(), capacity.highest_held, capacity.complete), (1, Some(10), false));
    assert_eq!(report.series("capacity")[0].1.last, 10.0);
}
