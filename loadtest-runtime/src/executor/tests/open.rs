//! Executors that plan starts.

use loadtest_core::options::{Stage, parse_stages};
use loadtest_core::plan;
use proptest::prelude::*;

use super::*;

/// Iterations that never end by themselves.
const NEVER: Duration = Duration::from_secs(3_600);

fn constant(rate: u64, time_unit: Duration, duration: Duration, pre_allocated: u32, max: u32) -> Shape {
    Shape::ConstantArrivalRate { rate, time_unit, duration, pre_allocated_vus: pre_allocated, max_vus: max }
}

fn ramping(start_rate: u64, stages: Vec<Stage>, vus: u32) -> Shape {
    Shape::RampingArrivalRate { start_rate, time_unit: SECOND, stages, pre_allocated_vus: vus, max_vus: vus }
}

/// Iterations begin when they are meant to, as exactly as the clock of tests counts.
fn assert_punctual(trace: &Trace) {
    let begins = trace.begins();
    assert_eq!(begins.len(), trace.intended.len());
    for (began, intended) in begins.iter().zip(&trace.intended) {
        assert!(began >= intended && *began - *intended <= 2 * MS, "{intended:?} began at {began:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_free_virtual_user_is_dropped_at_once() {
    let span = 950 * MS;
    let trace = simulate(constant(10, span, span, 5, 5), SECOND, NEVER).await;
    assert_eq!((trace.starts(), trace.counts()), ((10, 5), (5, 0, 5)));
    assert_eq!(trace.took, span + SECOND);
    assert_punctual(&trace);
    assert_eq!(trace.intended, [0, 95, 190, 285, 380].map(|ms| ms * MS));
}

#[tokio::test(start_paused = true)]
async fn a_ramp_of_the_rate_starts_at_its_instants_the_last_one_included() {
    let stages = parse_stages("5s:1, 1s:1, 5s:0").expect("valid stages");
    let trace = simulate(ramping(0, stages, 1), SECOND, 10 * MS).await;
    assert_eq!((trace.starts(), trace.counts()), ((6, 0), (6, 6, 0)));
    let micros: Vec<_> = trace.intended.iter().map(|at| at.as_micros()).collect();
    assert_eq!(micros, [3_162_277, 4_472_135, 5_500_000, 6_527_864, 7_837_722, 11_000_000]);
    assert_punctual(&trace);
}

#[tokio::test(start_paused = true)]
async fn free_virtual_users_take_turns() {
    let trace = simulate(constant(10, SECOND, SECOND, 4, 4), SECOND, 5 * MS).await;
    let vus: Vec<_> = trace.iterations.iter().map(|(vu, ..)| *vu).collect();
    assert_eq!(vus, [1, 2, 3, 4, 1, 2, 3, 4, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn virtual_users_are_made_one_at_a_time_and_whoever_asked_is_dropped() {
    // A start every 100 ms; each one made takes 250 ms, so it is ready for the third start after.
    let mut simulation = Simulation::new(constant(10, SECOND, 2 * SECOND, 1, 4), NEVER).graceful_stop(SECOND);
    simulation.init = 250 * MS;
    let trace = simulation.run().await;
    assert_eq!(trace.recruits, [(1, 100 * MS), (2, 500 * MS), (3, 900 * MS)]);
    assert_eq!(trace.intended, [0, 400, 800, 1_200].map(|ms| ms * MS));
    assert_eq!((trace.starts(), trace.counts()), ((20, 16), (4, 0, 4)));
    assert_eq!(trace.counters.initialised.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_virtual_user_that_can_not_be_made_is_tried_again_later() {
    let mut simulation = Simulation::new(constant(10, SECOND, 4 * SECOND, 1, 2), NEVER).graceful_stop(SECOND);
    simulation.init = 10 * MS;
    simulation.refused = 2;
    let trace = simulation.run().await;
    // The refusal of 110 ms is seen by the start at 200 ms, and so on.
    assert_eq!(trace.recruits, [(1, 100 * MS), (1, 1_200 * MS), (1, 2_300 * MS)]);
    assert_eq!(trace.intended, [Duration::ZERO, 2_400 * MS]);
    assert!(trace.counters.refusal().is_some_and(|why| why.contains("no seat left")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_beyond_max_vus_or_without_any() {
    let trace = simulate(constant(100, SECOND, SECOND, 0, 3), SECOND, NEVER).await;
    assert_eq!((trace.recruits.len(), trace.counts()), (3, (3, 0, 3)));
    assert_eq!(trace.starts(), (100, 97));
}

#[tokio::test(start_paused = true)]
async fn starts_that_are_late_fire_at_once_and_keep_their_instants() {
    // One virtual user per start; the thread that everything runs on is busy from 0.3 to 0.8 s.
    let brake = Brake::simulated();
    let seats = Seats::new(10);
    let desk = crate::executor::open::Desk::new(10, 10);
    let (_scale, scale) = watch::channel(None);
    let reins = Reins {
        seats: seats.clone(),
        timeline: brake.timeline(Duration::ZERO),
        graceful_stop: SECOND,
        scale,
        recruiter: Arc::new(|_| panic!("there are enough")),
    };
    let start = clock::now();
    brake.begin(start);
    let busy = async {
        tokio::time::sleep(250 * MS).await;
        tokio::time::advance(550 * MS).await;
    };
    tokio::join!(
        crate::executor::open::offer(&reins, &desk, plan::constant_arrivals(10, SECOND, SECOND)),
        busy
    );
    assert_eq!(clock::now() - start, 900 * MS);
    for index in 0..10 {
        let intended = seats.seat(index).take_assigned().expect("a start");
        assert_eq!(intended - start, 100 * MS * index);
    }
    assert_eq!(seats.counters().active.load(Ordering::Relaxed), 10);
}

#[tokio::test(start_paused = true)]
async fn shards_share_the_starts_and_the_virtual_users() {
    let mut all = Vec::new();
    for index in 0..3 {
        let mut simulation = Simulation::new(constant(7, SECOND, 2 * SECOND, 5, 5), 10 * MS);
        simulation.shard = Shard { index, count: 3 };
        let trace = simulation.run().await;
        assert_eq!(trace.counters.initialised.load(Ordering::Relaxed), [2, 2, 1][index as usize]);
        all.extend(trace.intended);
    }
    all.sort();
    assert_eq!(all, plan::constant_arrivals(7, SECOND, 2 * SECOND).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_interruption_drops_what_is_in_flight_and_fires_nothing_more() {
    let shape = constant(10, SECOND, 10 * SECOND, 20, 20);
    let trace = Simulation::new(shape, 500 * MS).at(1_050 * MS, Act::Stop).run().await;
    assert_eq!((trace.starts(), trace.counts()), ((11, 0), (11, 6, 5)));
    assert_eq!(trace.took, 1_050 * MS);
}

/// With a thread that paces, on the clock of the machine, which may stall at any time.
fn real(shape: Shape) -> Simulation {
    Simulation { real: true, ..Simulation::new(shape, Duration::ZERO) }
}

#[tokio::test]
async fn the_thread_that_paces_starts_exactly_what_is_planned() {
    // As many virtual users as starts: none is dropped however long the machine stalls.
    let trace = real(constant(2_000, SECOND, SECOND, 2_000, 2_000)).run().await;
    assert_eq!((trace.starts(), trace.counts()), ((2_000, 0), (2_000, 2_000, 0)));
    let plan: Vec<_> = plan::constant_arrivals(2_000, SECOND, SECOND).collect();
    let mut intended = trace.intended.clone();
    // Whoever is woken later may run earlier.
    intended.sort();
    assert_eq!(intended, plan);
    assert!(trace.took >= plan[1_999] && trace.begins().iter().all(|began| *began < trace.took));
}

#[tokio::test]
async fn the_thread_that_paces_stands_still_while_the_load_is_held() {
    let (hold, release) = (100 * MS, 400 * MS);
    let simulation = real(constant(1_000, SECOND, 500 * MS, 500, 500));
    let trace = simulation.at(hold, Act::Hold).at(release, Act::Release).run().await;
    assert_eq!((trace.starts(), trace.counts()), ((500, 0), (500, 500, 0)));
    let mut intended = trace.intended.clone();
    intended.sort();
    let gap = intended.windows(2).map(|pair| pair[1] - pair[0]).max().expect("starts");
    assert!(gap > MS && trace.took >= 500 * MS + gap - MS, "{gap:?} {:?}", trace.took);
}

#[tokio::test]
async fn the_thread_that_paces_fires_nothing_after_it_was_stopped() {
    // A start far in the future, and many at once: the thread sleeps, or is busy.
    for (rate, time_unit) in [(1, 1_000 * SECOND), (1_000_000, SECOND)] {
        let shape = constant(rate, time_unit, 3_000 * SECOND, 4, 4);
        let trace = real(shape).at(200 * MS, Act::Stop).run().await;
        let (started, completed, interrupted) = trace.counts();
        assert!(started > 0 && started == completed + interrupted);
        // One that was given and not begun is neither.
        let (planned, dropped) = trace.starts();
        assert!((started..=started + 4).contains(&(planned - dropped)), "{planned} {dropped} {started}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn with_enough_virtual_users_exactly_what_is_planned_starts(
        rate in 1u64..40,
        unit in 100u64..3_000,
        ms in 0u64..4_000,
        target in 0u64..40,
    ) {
        let (unit, duration) = (MS * unit as u32, MS * ms as u32);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let plan: Vec<_> = plan::constant_arrivals(rate, unit, duration).collect();
        let vus = plan.len() as u32;
        let trace = runtime.block_on(simulate(constant(rate, unit, duration, vus, vus), SECOND, 700 * MS));
        prop_assert_eq!(&trace.intended, &plan);
        prop_assert_eq!((trace.starts(), trace.counts().0), ((plan.len() as u64, 0), plan.len() as u64));

        let stages = vec![Stage { duration, target }];
        let plan: Vec<_> = plan::ramping_arrivals(rate, &stages, SECOND).collect();
        let trace = runtime.block_on(simulate(ramping(rate, stages, plan.len() as u32), SECOND, 700 * MS));
        prop_assert_eq!(&trace.intended, &plan);
        prop_assert_eq!((trace.starts(), trace.counts().0), ((plan.len() as u64, 0), plan.len() as u64));
    }
}
