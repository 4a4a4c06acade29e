//! `externally-controlled`.

use super::*;

fn controlled(vus: u32, max_vus: u32, duration: Duration) -> Shape {
    Shape::ExternallyControlled { vus, max_vus, duration }
}

#[tokio::test(start_paused = true)]
async fn the_number_follows_what_is_asked_for_within_its_limits() {
    let trace = Simulation::new(controlled(2, 5, 10 * SECOND), 10 * MS)
        .at(2 * SECOND, Act::Scale(4))
        .at(4 * SECOND, Act::Scale(100))
        .at(6 * SECOND, Act::Scale(0))
        .at(8 * SECOND, Act::Scale(1))
        .run()
        .await;
    for (second, level) in [2, 2, 4, 4, 5, 5, 0, 0, 1, 1, 0].into_iter().enumerate() {
        let at = SECOND * second as u32 + 505 * MS;
        assert_eq!(trace.active_at(at), level, "at {at:?}");
    }
    assert_eq!(trace.counters.initialised.load(Ordering::Relaxed), 5, "all are ready beforehand");
    let (started, completed, interrupted) = trace.counts();
    assert_eq!((started, interrupted), (completed, 0));
    assert!(trace.took >= 10 * SECOND && trace.took <= 10 * SECOND + 10 * MS, "{:?}", trace.took);
}

#[tokio::test(start_paused = true)]
async fn whoever_started_last_stops_first_and_has_the_graceful_stop_to_end() {
    let trace = Simulation::new(controlled(3, 3, 60 * SECOND), 100 * SECOND)
        .graceful_stop(5 * SECOND)
        .at(10 * SECOND, Act::Scale(1))
        .at(12 * SECOND, Act::Scale(2))
        .run()
        .await;
    // The third is interrupted at 15 s, the second is taken again before its limit, both end with the load.
    assert_eq!((trace.iterations.len(), trace.counts()), (3, (3, 0, 3)));
    assert_eq!(trace.took, 65 * SECOND);
    let quick = Simulation::new(controlled(2, 2, 20 * SECOND), 9 * SECOND)
        .graceful_stop(5 * SECOND)
        .at(10 * SECOND, Act::Scale(1))
        .run()
        .await;
    let second: Vec<_> = quick.iterations.iter().filter(|(vu, ..)| *vu == 2).collect();
    assert_eq!(second.iter().map(|(_, began, _)| *began).collect::<Vec<_>>(), [Duration::ZERO, 9 * SECOND]);
    assert_eq!(quick.counts(), (5, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_to_stop_before_the_end_keeps_its_own_limit() {
    let trace = Simulation::new(controlled(1, 1, 10 * SECOND), 100 * SECOND)
        .graceful_stop(5 * SECOND)
        .at(8 * SECOND, Act::Scale(0))
        .run()
        .await;
    assert_eq!((trace.took, trace.counts()), (13 * SECOND, (1, 0, 1)));
}

#[tokio::test(start_paused = true)]
async fn without_a_duration_it_runs_until_it_is_stopped() {
    let hours = 5_000 * SECOND;
    let trace =
        Simulation::new(controlled(2, 2, Duration::ZERO), 700 * SECOND).at(hours, Act::Stop).run().await;
    assert_eq!((trace.took, trace.counts()), (hours, (16, 14, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_number_for_the_whole_load_is_divided_among_shards() {
    let mut simulation = Simulation::new(controlled(1, 5, 4 * SECOND), 10 * MS).at(2 * SECOND, Act::Scale(4));
    simulation.shard = Shard { index: 1, count: 3 };
    let trace = simulation.run().await;
    assert_eq!((trace.active_at(1_005 * MS), trace.active_at(3_005 * MS)), (0, 1));
}
