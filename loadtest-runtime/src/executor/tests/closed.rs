//! Executors that plan virtual users, or their iterations.

use loadtest_core::options::parse_stages;

use super::*;

fn ramping(start_vus: u32, stages: &str, graceful_ramp_down: Duration) -> Shape {
    let stages = parse_stages(stages).expect("valid stages");
    Shape::RampingVus { start_vus, stages, graceful_ramp_down }
}

#[tokio::test(start_paused = true)]
async fn constant_vus_start_no_iteration_after_the_end_and_let_the_last_ones_finish() {
    let trace = simulate(Shape::ConstantVus { vus: 10, duration: SECOND }, 30 * SECOND, 210 * MS).await;
    assert_eq!(trace.counts(), (50, 50, 0));
    for id in 1..=10 {
        assert_eq!(trace.iterations.iter().filter(|(vu, ..)| *vu == id).count(), 5);
    }
    assert_eq!(trace.took, 1050 * MS);
}

#[tokio::test(start_paused = true)]
async fn an_iteration_longer_than_the_graceful_stop_is_interrupted_then() {
    let trace = simulate(Shape::ConstantVus { vus: 3, duration: SECOND }, 2 * SECOND, 10 * SECOND).await;
    assert_eq!(trace.counts(), (3, 0, 3));
    assert_eq!(trace.took, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn ramping_vus_follow_the_planned_levels() {
    let stages = "2s:6, 5s:1, 4s:5, 4s:1, 3s:4, 2s:4, 0s:1, 3s:1";
    let trace = simulate(ramping(4, stages, 30 * SECOND), 30 * SECOND, 10 * MS).await;
    let levels = [4, 5, 6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3, 4, 4, 1, 1, 1];
    for (second, level) in levels.into_iter().enumerate() {
        let at = SECOND * second as u32 + 505 * MS;
        assert_eq!(trace.active_at(at), level, "at {at:?}");
        // Whoever was started last stops first, so the lowest numbers run.
        let running: Vec<u64> = trace
            .iterations
            .iter()
            .filter(|(_, began, ended)| *began <= at && ended.is_none_or(|e| e > at))
            .map(|(vu, ..)| *vu)
            .collect();
        assert!(running.iter().all(|vu| *vu <= level as u64), "{running:?} at {at:?}");
    }
    let (started, completed, interrupted) = trace.counts();
    assert_eq!((started, interrupted), (completed, 0));
    assert!(trace.took >= 23 * SECOND && trace.took < 23 * SECOND + 20 * MS, "{:?}", trace.took);
}

#[tokio::test(start_paused = true)]
async fn a_vu_that_is_ramped_down_is_interrupted_after_its_grace() {
    let stages = "1s:2, 0s:1, 9s:1";
    let trace = simulate(ramping(2, stages, 3 * SECOND), SECOND, 60 * SECOND).await;
    assert_eq!(trace.counts(), (2, 0, 2));
    // One at 4 s by the ramp-down, one at 11 s by the graceful stop.
    assert_eq!(trace.active_at(3999 * MS), 2);
    assert_eq!(trace.took, 11 * SECOND);
    let quick = simulate(ramping(2, stages, 3 * SECOND), SECOND, 900 * MS).await;
    assert_eq!(quick.counts().2, 0);
}

#[tokio::test(start_paused = true)]
async fn a_level_of_no_length_leaves_no_trace() {
    // The second one is told to run and to stop before it can look.
    let trace = simulate(ramping(2, "0s:1, 1s:1", SECOND), SECOND, 100 * MS).await;
    assert!(trace.iterations.iter().all(|(vu, ..)| *vu == 1));
    assert_eq!(trace.counts().2, 0);
}

#[tokio::test(start_paused = true)]
async fn a_vu_that_is_needed_again_while_it_finishes_goes_on() {
    // Down at 1 s, up again at 2 s: the iteration of 5 s is not interrupted at 4 s.
    let stages = "1s:2, 0s:1, 1s:1, 0s:2, 8s:2";
    let trace = simulate(ramping(2, stages, 3 * SECOND), SECOND, 5 * SECOND).await;
    let second: Vec<_> = trace.iterations.iter().filter(|(vu, ..)| *vu == 2).collect();
    assert_eq!(second[0].2, Some(5 * SECOND));
    assert_eq!(second[1].1, 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn ramping_down_just_before_the_end_keeps_the_earlier_limit() {
    let trace = simulate(ramping(2, "9s:2, 0s:1, 1s:1", 4 * SECOND), 30 * SECOND, 100 * SECOND).await;
    assert_eq!(trace.counts(), (2, 0, 2));
    assert_eq!(trace.took, 40 * SECOND);
    let ended_early = simulate(ramping(1, "9s:1, 0s:0, 1s:0", 4 * SECOND), 30 * SECOND, 100 * SECOND).await;
    assert_eq!(ended_early.took, 13 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn shared_iterations_are_run_once_each() {
    let shape = Shape::SharedIterations { vus: 3, iterations: 10, max_duration: 60 * SECOND };
    let trace = simulate(shape, 30 * SECOND, SECOND).await;
    assert_eq!(trace.counts(), (10, 10, 0));
    assert_eq!((trace.took, trace.planned), (4 * SECOND, Some(10)));
}

#[tokio::test(start_paused = true)]
async fn the_iteration_executors_end_at_their_max_duration() {
    let shape = Shape::SharedIterations { vus: 2, iterations: 100, max_duration: 3500 * MS };
    let trace = simulate(shape, 30 * SECOND, SECOND).await;
    assert_eq!(trace.counts(), (8, 8, 0));
    assert_eq!(trace.took, 4 * SECOND);
    let shape = Shape::PerVuIterations { vus: 2, iterations: 100, max_duration: 3500 * MS };
    assert_eq!(simulate(shape, 100 * MS, SECOND).await.counts(), (8, 6, 2));
}

#[tokio::test(start_paused = true)]
async fn per_vu_iterations_are_run_by_each() {
    let shape = Shape::PerVuIterations { vus: 4, iterations: 5, max_duration: 60 * SECOND };
    let trace = simulate(shape, 30 * SECOND, 100 * MS).await;
    assert_eq!(trace.counts(), (20, 20, 0));
    assert_eq!((trace.took, trace.planned), (500 * MS, Some(20)));
}

#[tokio::test]
async fn a_loop_that_never_waits_can_be_stopped() {
    // On the real clock, because a paused one stands still while anyone is busy. Iterations of no length.
    let trace = simulate(Shape::ConstantVus { vus: 2, duration: 50 * MS }, SECOND, Duration::ZERO).await;
    let (started, completed, interrupted) = trace.counts();
    assert!(started > 0 && started == completed + interrupted);
}
