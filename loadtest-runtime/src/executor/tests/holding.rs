//! Every executor while it is held, and when it is interrupted.

use loadtest_core::options::parse_stages;

use super::*;

/// One of each, three virtual users and four seconds long.
fn shapes() -> Vec<Shape> {
    let four = 4 * SECOND;
    let stages = |text| parse_stages(text).expect("valid stages");
    vec![
        Shape::SharedIterations { vus: 3, iterations: 12, max_duration: 60 * SECOND },
        Shape::PerVuIterations { vus: 3, iterations: 4, max_duration: 60 * SECOND },
        Shape::ConstantVus { vus: 3, duration: four },
        Shape::RampingVus { start_vus: 3, stages: stages("4s:3"), graceful_ramp_down: SECOND },
        Shape::ConstantArrivalRate {
            rate: 3,
            time_unit: SECOND,
            duration: four,
            pre_allocated_vus: 6,
            max_vus: 6,
        },
        Shape::RampingArrivalRate {
            start_rate: 3,
            time_unit: SECOND,
            stages: stages("4s:3"),
            pre_allocated_vus: 6,
            max_vus: 6,
        },
        Shape::ExternallyControlled { vus: 3, max_vus: 3, duration: four },
    ]
}

#[tokio::test(start_paused = true)]
async fn holding_a_load_shifts_what_is_still_to_come_and_nothing_else() {
    let (from, until) = (1_500 * MS, 11_500 * MS);
    for shape in shapes() {
        let iteration = 990 * MS;
        let plain = Simulation::new(shape.clone(), iteration).run().await;
        let held =
            Simulation::new(shape.clone(), iteration).at(from, Act::Hold).at(until, Act::Release).run().await;
        let kind = shape.kind();
        assert_eq!(held.counts(), plain.counts(), "{kind}");
        assert_eq!((held.starts(), held.counts().2), (plain.starts(), 0), "{kind}");
        let begins = held.begins();
        assert!(begins.iter().all(|began| *began < from || *began >= until), "{kind}: {begins:?}");
        assert!(held.took >= plain.took + 9 * SECOND, "{kind}: {:?}", held.took);
        if shape.is_open() {
            let shifted: Vec<_> =
                plain.intended.iter().map(|at| if *at < from { *at } else { *at + (until - from) }).collect();
            assert_eq!(held.intended, shifted, "{kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_interruption_ends_every_executor_at_once() {
    for shape in shapes() {
        let kind = shape.kind();
        let trace = Simulation::new(shape, 990 * MS).at(2_500 * MS, Act::Stop).run().await;
        let (started, completed, interrupted) = trace.counts();
        assert_eq!(started, completed + interrupted, "{kind}");
        assert!(interrupted > 0 && completed > 0, "{kind}");
        assert_eq!((trace.took, trace.starts().1), (2_500 * MS, 0), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_held_can_be_interrupted() {
    for shape in shapes() {
        let kind = shape.kind();
        let simulation = Simulation::new(shape, 990 * MS).at(1_500 * MS, Act::Hold).at(9 * SECOND, Act::Stop);
        let trace = simulation.run().await;
        let (started, completed, interrupted) = trace.counts();
        assert_eq!((started, interrupted, trace.took), (completed, 0, 9 * SECOND), "{kind}");
    }
}
