//! Whole comparisons with a known outcome, by the way in which the sides were measured.

mod duet;
mod history;
mod stored;

use super::*;

fn named<'a>(test: &'a TestComparison, name: &str) -> &'a MetricComparison {
    let found = test.metrics.iter().find(|metric| metric.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {test:#?}"))
}

fn says(test: &TestComparison, what: &str) -> bool {
    test.reasons.iter().any(|reason| reason.contains(what))
}

fn side(runs: Vec<&RunData>) -> SideInput<'_> {
    let ids = runs.iter().map(|run| run.document.id.clone()).collect();
    SideInput { side: Side { runs: ids, ..Side::default() }, runs }
}

fn usual(_: &str) -> TestSettings {
    TestSettings::default()
}

fn stored(base: &RunData, head: &RunData) -> Comparison {
    stored_named("NAME", base, head)
}

fn stored_named(name: &str, base: &RunData, head: &RunData) -> Comparison {
    let mut input = Input {
        base: side(vec![base]),
        head: side(vec![head]),
        method: Method::Stored,
        why: "asked for".to_owned(),
        settings: &usual,
        noise: &[],
        again: format!("--save-baseline {name}"),
    };
    input.base.side.name = Some(name.to_owned());
    compare(&input)
}
