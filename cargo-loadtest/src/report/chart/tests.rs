use std::collections::BTreeSet;

use super::axis::Quantity;
use super::plot::{Line, Panel, Plot};
use super::*;
use crate::report::sample;

/// A test that the chart has something to say about.
fn input_of<'a>(
    chart: &dyn Chart,
    test: &'a TestData,
    base: &'a TestData,
    search: &'a TestData,
) -> Input<'a> {
    let test = if chart.section() == Section::Capacity { search } else { test };
    Input { test, base: Some(base), max_points: 600, max_rows: 600 }
}

#[test]
fn every_row_of_the_table_draws_with_numbers_and_legend() {
    let (run, base, _) = sample::concert();
    let search = sample::open::search();
    let mut ids = BTreeSet::new();
    for chart in CHARTS {
        let input = input_of(*chart, &run.tests[0], &base.tests[0], &search);
        assert!(ids.insert(chart.id()) && chart.id().chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        let drawing = chart.draw(&input).expect("draws").unwrap_or_else(|| panic!("{} is empty", chart.id()));
        assert!(!drawing.title.is_empty() && drawing.description.ends_with('.'));
        assert!(!drawing.legend.is_empty() && drawing.body.contains("<polyline"));
        assert!(drawing.table.rows.len() >= 5);
        assert!(drawing.table.rows.iter().all(|row| row.len() == drawing.table.head.len()));
        let styles: BTreeSet<_> = drawing.legend.iter().map(|item| item.style).collect();
        assert_eq!(styles.len(), drawing.legend.len(), "two lines of {} look alike", chart.id());
    }
}

#[test]
fn text_in_pictures_is_escaped() {
    let plot = Plot {
        x_caption: "</svg><script>alert('1')</script>",
        x: Quantity::Seconds,
        x_range: (0.0, 5.0),
        panels: vec![Panel {
            caption: "\"a\" & <b>".into(),
            height: 40,
            y: Quantity::Rate,
            lines: vec![Line { label: String::new(), style: 0, step: false, points: vec![(1.0, Some(1.0))] }],
        }],
        max_points: 600,
    };
    let (_, body) = plot.draw().expect("draws");
    assert!(body.contains("&lt;/svg&gt;&lt;script&gt;") && body.contains("&quot;a&quot; &amp; &lt;b&gt;"));
    assert!(!body.contains("<script") && !body.contains("</svg") && !body.contains("://"));
}

#[test]
fn tables_of_long_runs_say_that_rows_are_left_out() {
    let test = sample::test(&sample::Recipe { seconds: 50, rate: 5.0, lean: true, ..sample::recipe() });
    let table = Table::of_intervals(&test, 10, &["n"], |index| vec![index.to_string()]);
    assert_eq!(table.rows.len(), 10);
    assert!(table.note.is_some_and(|note| note.contains("5 intervals") && note.contains("50")));
}

/// Dark and light shades, dashes and the drawing's colours hang together by the colours alone.
#[test]
fn every_colour_of_a_drawing_has_a_rule() {
    let (run, base, _) = sample::concert();
    let search = sample::open::search();
    let (light, dark) = palette_css();
    for chart in CHARTS {
        let input = input_of(*chart, &run.tests[0], &base.tests[0], &search);
        let body = chart.draw(&input).expect("draws").expect("has data").body;
        for part in body.split("=\"#").skip(1) {
            let color = &part[..6];
            assert!(light.contains(&format!("\"#{color}\"")), "#{color} of {}", chart.id());
        }
    }
    assert_eq!(light.matches(":root{").count(), dark.matches(":root{").count());
}

/// The end of a test falls into an interval of a few milliseconds, which would multiply what happened in it.
#[test]
fn a_tiny_last_interval_has_no_rate() {
    let mut test = sample::test(&sample::Recipe { seconds: 4, rate: 50.0, lean: true, ..sample::recipe() });
    let draw = |test: &TestData| {
        let input = Input { test, base: None, max_points: 600, max_rows: 600 };
        load::Load.draw(&input).expect("draws").expect("has data")
    };
    let whole = draw(&test).description;
    let mut tail = test.intervals[2].clone();
    (tail.index, tail.seconds) = (4, 0.004);
    tail.new_series.clear();
    test.intervals.push(tail);
    let drawing = draw(&test);
    assert_eq!(drawing.description, whole);
    let last = drawing.table.rows.last().expect("rows");
    assert!(last[0].starts_with("4–4") && last[3] == "–" && last[4] == "–", "{last:?}");

    let input = Input { test: &test, base: None, max_points: 600, max_rows: 600 };
    let errors = errors::Errors.draw(&input).expect("draws").expect("has errors");
    assert!(errors.table.rows.last().is_some_and(|row| row[1..].iter().all(|cell| cell == "–")));

    // A test that is over at once has one rate, its own.
    let mut short = sample::test(&sample::Recipe { seconds: 1, rate: 50.0, lean: true, ..sample::recipe() });
    short.intervals[0].seconds = 0.25;
    assert_eq!(short.rates(&[10.0]), [Some(40.0)]);
}

#[test]
fn a_planned_rate_is_drawn_beside_the_achieved_one_and_drops_are_marked() {
    let test = sample::open::arrivals();
    let input = Input { test: &test, base: None, max_points: 600, max_rows: 600 };
    let drawing = load::Load.draw(&input).expect("draws").expect("has data");
    let labels: Vec<_> = drawing.legend.iter().map(|item| item.label.as_str()).collect();
    for label in
        ["VUs initialised", "VUs active", "starts planned", "iterations of the plan", "starts dropped"]
    {
        assert!(labels.contains(&label), "{labels:?}");
    }
    let styles: BTreeSet<_> = drawing.legend.iter().map(|item| item.style).collect();
    assert_eq!(styles.len(), drawing.legend.len(), "two lines look alike: {labels:?}");
    assert!(drawing.description.contains("planned starts were dropped"), "{}", drawing.description);
    assert_eq!(drawing.table.head[3..5], ["starts planned", "starts dropped"]);
    assert!(drawing.table.rows.iter().all(|row| row.len() == drawing.table.head.len()));
    assert_eq!(drawing.table.rows[2][3], "100/s");
}

#[test]
fn a_scenario_that_starts_later_plans_nobody_before() {
    let test = sample::open::mixed();
    let input = Input { test: &test, base: None, max_points: 600, max_rows: 600 };
    let drawing = load::Load.draw(&input).expect("draws").expect("has data");
    assert!(
        drawing.table.rows.len() >= 20 && drawing.description.contains("paused"),
        "{}",
        drawing.description
    );
    assert!(drawing.table.rows.iter().any(|row| row.last().is_some_and(|cell| cell == "paused")));
    let users = sample::open::users_one_after_another();
    let plan = load::plan(&users, 20.0).expect("planned");
    assert_eq!(
        plan,
        [(0.0, 15.0), (0.0, 15.0), (10.0, 0.0), (10.0, 5.0), (20.0, 0.0), (20.0, 0.0)]
            .map(|(at, n)| (at, Some(n)))
    );
}

#[test]
fn probes_that_held_and_failed_have_markers_of_their_own_and_the_knee_its_lines() {
    let test = sample::open::search();
    let input = Input { test: &test, base: None, max_points: 600, max_rows: 5 };
    let drawing = capacity::CapacityChart.draw(&input).expect("draws").expect("has data");
    let labels: Vec<_> = drawing.legend.iter().map(|item| item.label.as_str()).collect();
    assert_eq!(labels, ["highest rate that held", "lowest rate that failed", "held", "failed"]);
    assert!(drawing.description.contains("at least 700/s, less than 750/s"), "{}", drawing.description);
    assert!(drawing.body.contains("<circle") && drawing.body.contains("<polygon"));
    assert_eq!(drawing.table.rows.len(), 5);
    assert!(drawing.table.note.is_some());
    assert!(
        capacity::CapacityChart
            .draw(&Input { test: &sample::open::arrivals(), ..input })
            .expect("draws")
            .is_none()
    );
}

#[test]
fn users_of_a_load_that_was_over_at_once_are_not_forgotten() {
    let mut short = sample::test(&sample::Recipe { seconds: 1, rate: 50.0, lean: true, ..sample::recipe() });
    short.intervals[0].seconds = 0.6;
    let describe = |test: &TestData| {
        let input = Input { test, base: None, max_points: 600, max_rows: 600 };
        load::Load.draw(&input).expect("draws").expect("has data")
    };
    for (peak, said) in [(1, "At most 1 virtual user was active"), (7, "At most 7 virtual users were active")]
    {
        for state in short.intervals[0].scenarios.values_mut() {
            (state.vus, state.planned_vus, state.peak_vus) = (0, 0, peak);
        }
        let drawing = describe(&short);
        assert!(drawing.description.contains(said), "{}", drawing.description);
        assert_eq!(drawing.table.rows[0][2], peak.to_string());
    }
}
