use std::collections::BTreeSet;

use super::axis::Quantity;
use super::plot::{Line, Panel, Plot};
use super::*;
use crate::report::sample;

#[test]
fn every_row_of_the_table_draws_with_numbers_and_legend() {
    let (run, base, _) = sample::concert();
    let input = Input { test: &run.tests[0], base: Some(&base.tests[0]), max_points: 600, max_rows: 600 };
    let mut ids = BTreeSet::new();
    for chart in CHARTS {
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
            caption: "\"a\" & <b>",
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
    let input = Input { test: &run.tests[0], base: Some(&base.tests[0]), max_points: 600, max_rows: 600 };
    let (light, dark) = palette_css();
    for chart in CHARTS {
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
