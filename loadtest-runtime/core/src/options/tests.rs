//! Options as people write them, and what they come to mean.

use super::*;

fn options(set: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

#[test]
fn every_kind_has_one_row() {
    for spec in EXECUTORS {
        assert_eq!(spec.kind.spec().name, spec.name);
        assert!(spec.required.iter().all(|key| spec.keys.contains(key)));
        assert_eq!(spec.name.parse::<ExecutorKind>().is_ok(), spec.available);
    }
}

#[test]
fn the_executor_is_inferred_as_in_k6() {
    let kind = |set: fn(&mut Options)| options(set).executor().expect("valid");
    assert_eq!(kind(|_| {}), ExecutorKind::PerVuIterations);
    assert_eq!(kind(|o| o.vus = Some(3)), ExecutorKind::SharedIterations);
    assert_eq!(kind(|o| o.iterations = Some(3)), ExecutorKind::SharedIterations);
    assert_eq!(kind(|o| o.duration = Some(Duration::from_secs(1))), ExecutorKind::ConstantVus);
    assert_eq!(
        kind(|o| o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 1 }])),
        ExecutorKind::RampingVus
    );
}

#[test]
fn only_vus_means_that_each_runs_once() {
    let workload = options(|o| o.vus = Some(7)).resolve().expect("valid");
    assert!(matches!(workload.shape, Shape::SharedIterations { vus: 7, iterations: 7, .. }));
}

#[test]
fn two_executors_keys_together_name_both_sides() {
    let error = options(|o| {
        o.duration = Some(Duration::from_secs(1));
        o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 1 }]);
    })
    .resolve()
    .expect_err("contradictory");
    assert!(error.message().contains("`stages`") && error.message().contains("`duration`"), "{error}");
}

#[test]
fn a_tier_that_shapes_the_load_replaces_the_whole_shape_below_it() {
    let attribute = options(|o| {
        o.executor = Some(ExecutorKind::RampingVus);
        o.stages = Some(vec![Stage { duration: Duration::from_secs(1), target: 100 }]);
        o.graceful_stop = Some(Duration::from_secs(5));
    });
    let line = options(|o| {
        o.vus = Some(2);
        o.duration = Some(Duration::from_secs(3));
    });
    let workload = attribute.overwrite(line).resolve().expect("valid");
    assert_eq!(workload.shape, Shape::ConstantVus { vus: 2, duration: Duration::from_secs(3) });
    assert_eq!(workload.graceful_stop, Duration::from_secs(5));
}

#[test]
fn a_longer_soak_keeps_its_virtual_users() {
    let soak = options(|o| {
        o.vus = Some(20);
        o.duration = Some(Duration::from_secs(10));
    });
    let longer = soak.clone().overwrite(options(|o| o.duration = Some(Duration::from_secs(300))));
    let shape = longer.resolve().expect("valid").shape;
    assert_eq!(shape, Shape::ConstantVus { vus: 20, duration: Duration::from_secs(300) });
    let fewer = soak.overwrite(options(|o| o.vus = Some(2))).resolve().expect("valid").shape;
    assert_eq!(fewer, Shape::ConstantVus { vus: 2, duration: Duration::from_secs(10) });
}

#[test]
fn a_number_of_users_alone_does_not_turn_stages_into_something_else() {
    let ramp = options(|o| o.stages = Some(parse_stages("2s:5, 20s:5").expect("valid")));
    let error = ramp.overwrite(options(|o| o.vus = Some(5))).resolve().expect_err("contradictory");
    assert!(error.message().contains("does not take `vus`"), "{error}");
}

#[test]
fn stages_name_the_one_that_is_wrong() {
    assert_eq!(parse_stages("1m30s:100, 0s:50").expect("valid").len(), 2);
    let error = parse_stages("1s:5, 2q:5").expect_err("bad unit");
    assert!(error.message().starts_with("stage 2: "), "{error}");
}

#[test]
fn workloads_survive_json() {
    let workload =
        options(|o| o.stages = Some(parse_stages("1s:5,2s:0").expect("valid"))).resolve().expect("valid");
    let json = serde_json::to_string(&workload).expect("serialises");
    assert_eq!(serde_json::from_str::<Workload>(&json).expect("parses"), workload);
}
