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
    duet: &'a Comparison,
) -> Input<'a> {
    let test = if chart.section() == Section::Capacity { search } else { test };
    Input { test, base: Some(base), comparison: Some((duet, &duet.tests[0])), max_points: 600, max_rows: 600 }
}

#[test]
fn every_row_of_the_table_draws_with_numbers_and_legend() {
    let (run, base, duet) = sample::duet();
    let search = sample::open::search();
    let mut ids = BTreeSet::new();
    for chart in CHARTS {
        let input = input_of(*chart, &run.tests[0], &base.tests[0], &search, &duet);
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
    let (run, base, duet) = sample::duet();
    let search = sample::open::search();
    let (light, dark) = palette_css();
    for chart in CHARTS {
        let input = input_of(*chart, &run.tests[0], &base.tests[0], &search, &duet);
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
        let input = Input { test, base: None, comparison: None, max_points: 600, max_rows: 600 };
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

    let input = Input { test: &test, base: None, comparison: None, max_points: 600, max_rows: 600 };
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
    let input = Input { test: &test, base: None, comparison: None, max_points: 600, max_rows: 600 };
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
    let input = Input { test: &test, base: None, comparison: None, max_points: 600, max_rows: 600 };
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
    let input = Input { test: &test, base: None, comparison: None, max_points: 600, max_rows: 5 };
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
        let input = Input { test, base: None, comparison: None, max_points: 600, max_rows: 600 };
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

fn duet_input<'a>(test: &'a TestData, duet: &'a Comparison) -> Input<'a> {
    Input { test, base: None, comparison: Some((duet, &duet.tests[0])), max_points: 600, max_rows: 600 }
}

#[test]
fn intervals_tell_what_decides_from_what_informs_and_write_shares_out() {
    let (run, _, mut duet) = sample::duet();
    let draw = |duet: &Comparison| {
        intervals::Intervals.draw(&duet_input(&run.tests[0], duet)).expect("draws").expect("has data")
    };
    let drawing = draw(&duet);
    let labels: Vec<_> = drawing.legend.iter().map(|item| item.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "decides: estimate and 95% interval",
            "for information",
            "unchanged: within 10%",
            "what counts: from 5% on, or more where noise was learnt",
        ]
    );
    assert!(drawing.body.contains("+1.86 pp, 95% interval +1.21 pp … +2.51 pp"), "{}", drawing.body);
    assert!(drawing.description.contains("p95 +14.2%"), "{}", drawing.description);
    assert_eq!(drawing.table.rows.len(), duet.tests[0].metrics.len());
    assert_eq!(drawing.table.rows[1][1..], ["yes", "+14.2%", "+11.0% … +17.5%", "7%"]);

    // An interval that goes on for ever ends in an arrow at the edge, and squeezes no other row.
    for metric in &mut duet.tests[0].metrics {
        metric.gate |= metric.name == "p99";
    }
    let wide = duet.tests[0].metrics.iter_mut().find(|metric| metric.name == "p99").expect("there");
    wide.interval = Some((0.0, f64::INFINITY));
    let body = draw(&duet).body;
    assert!(
        body.matches("<polygon").count() == 2 && !body.contains("inf") && !body.contains("NaN"),
        "{body}"
    );
    assert!(body.contains("×0.5"));

    // Without a single ratio there is nothing on the axis.
    duet.tests[0].metrics.retain(|metric| metric.name == "errors");
    assert!(intervals::Intervals.draw(&duet_input(&run.tests[0], &duet)).expect("draws").is_none());
}

#[test]
fn runs_stand_in_the_order_in_which_they_were_made_and_disturbed_ones_are_crosses() {
    let (run, _, mut duet) = sample::duet();
    let drawing = runs::Runs.draw(&duet_input(&run.tests[0], &duet)).expect("draws").expect("has data");
    let sides: Vec<&str> = drawing.table.rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(sides[..6], ["head", "base", "base", "head", "head", "base"]);
    assert_eq!(drawing.table.rows.len(), 14);
    assert_eq!(drawing.table.rows[4][3], "disturbed");
    let p95 = |row: usize| drawing.table.rows[row][3].as_str();
    let first = duet.tests[0].metrics[1].head_runs[0].expect("a value");
    assert_eq!(p95(0), loadtest_core::units::format_millis(first));
    // Two crosses of two strokes in each of three panels, and a line for each of six pairs in each.
    let (panels, crosses) = (3, 2);
    let strokes = |width: &str| drawing.body.matches(&format!("stroke-width=\"{width}\"")).count();
    assert_eq!(strokes("4"), panels * crosses * 2);
    assert_eq!(strokes("3"), panels * 6);
    assert!(drawing.description.contains("2 runs were disturbed"), "{}", drawing.description);

    // Sessions of a history have no pairs.
    duet.mode = crate::compare::Mode::History;
    duet.order.clear();
    let drawing = runs::Runs.draw(&duet_input(&run.tests[0], &duet)).expect("draws").expect("has data");
    assert_eq!(drawing.table.rows.len(), 12);
    assert_eq!([&*drawing.table.rows[0][1], &*drawing.table.rows[11][1]], ["baseline", "this run"]);
    assert_eq!(drawing.table.rows[0][2], "–");
    assert!(!drawing.legend.iter().any(|item| item.label == "a pair"));
    // One run of each side has no order worth a picture.
    for metric in &mut duet.tests[0].metrics {
        metric.base_runs.truncate(1);
        metric.head_runs.truncate(1);
    }
    assert!(runs::Runs.draw(&duet_input(&run.tests[0], &duet)).expect("draws").is_none());
}

#[test]
fn the_shift_function_has_a_band_only_where_there_are_intervals() {
    let (run, _, mut duet) = sample::duet();
    let draw = |duet: &Comparison| shift::Shift.draw(&duet_input(&run.tests[0], duet)).expect("draws");
    let drawing = draw(&duet).expect("has data");
    assert!(drawing.body.contains("fill-opacity"));
    assert!(drawing.description.contains("moved most at p99.9: +16.0%"), "{}", drawing.description);
    assert_eq!(drawing.table.rows[11][0], "p99.9");
    assert!(drawing.table.note.is_some_and(|note| note.contains("3.40ms on average")));
    duet.tests[0].shift.iter_mut().for_each(|point| point.interval = None);
    let drawing = draw(&duet).expect("has data");
    assert!(!drawing.body.contains("fill-opacity") && drawing.legend.len() == 2);
    duet.tests[0].shift.clear();
    assert!(draw(&duet).is_none());
}

#[test]
fn users_that_share_iterations_have_no_plan() {
    let mut test = sample::test(&sample::Recipe { rate: 60.0, lean: true, ..sample::recipe() });
    let draw = |test: &TestData| {
        let input = Input { test, base: None, comparison: None, max_points: 600, max_rows: 600 };
        load::Load.draw(&input).expect("draws").expect("has data")
    };
    assert!(draw(&test).table.head.contains(&"VUs planned".to_owned()));
    for workload in test.document.outcome.workloads.values_mut() {
        workload.shape = loadtest_core::options::Shape::SharedIterations {
            vus: 100,
            iterations: 400,
            max_duration: std::time::Duration::from_secs(60),
        };
    }
    let drawing = draw(&test);
    assert!(!drawing.table.head.contains(&"VUs planned".to_owned()));
    assert!(drawing.table.rows.iter().all(|row| row.len() == drawing.table.head.len()));
    assert!(
        !drawing.legend.iter().any(|item| item.label.contains("planned")) && drawing.title == "Achieved load"
    );
}
