//! A board that is shown a made-up test.

use super::super::samples;
use super::*;

fn running(seconds: u64) -> Board {
    let mut board = Board::new("concert/lib::reserve_seat", &[samples::definition()], &Options::default());
    board.enter(Phase::Running);
    (0..seconds).for_each(|index| board.add(&samples::interval(index)));
    board
}

#[test]
fn a_line_says_all_that_a_user_asks_of_a_running_test() {
    assert_eq!(
        running(3).lines(),
        ["  reserve_seat: running, 27s left · VUs 99/100 · 570 iterations · requests 200/s · p95 10.0ms · \
          30 failed requests, 6 failed iterations · generator CPU 35% · thresholds 1 ✓ 1 ✗ (http_req_failed: \
          rate<0.01)"]
    );
}

#[test]
fn the_latency_is_that_of_successes() {
    let mut board = running(1);
    let mut interval = samples::interval(1);
    // Only failures in this second, which are fast.
    interval.series.retain(|(id, _)| [1, 3, 5].contains(id));
    board.add(&interval);
    let line = board.lines().concat();
    assert!(line.contains("requests 10.0/s · p95 – ·"), "{line}");
}

#[test]
fn a_short_last_interval_does_not_lower_the_rate() {
    let mut board = running(1);
    board.add(&Interval { seconds: 0.5, ..samples::interval(1) });
    assert!(board.lines().concat().contains("requests 400/s"));
}

#[test]
fn a_last_interval_of_milliseconds_leaves_the_rate_of_the_last_second() {
    let mut board = running(1);
    board.add(&Interval { seconds: 0.004, ..samples::interval(1) });
    let line = board.lines().concat();
    assert!(line.contains("requests 200/s") && line.contains("20 failed requests"), "{line}");
}

#[test]
fn bars_show_the_share_of_time_or_of_iterations() {
    let rows = running(15).rows(false);
    assert_eq!(rows.len(), 3);
    assert!(rows[0].starts_with("  ██████████░░░░░░░░░░ reserve_seat running, 15s left"), "{rows:?}");
    assert!(running(15).rows(true).concat().contains("\u{1b}[31m"));
    assert!(!rows.concat().contains('\u{1b}'));

    let options = Options { vus: Some(10), iterations: Some(1_000), ..Options::default() };
    let definition = samples::definition_of("reserve_seat", options);
    let mut board = Board::new("t", &[definition], &Options::default());
    board.enter(Phase::Running);
    let mut interval = samples::interval(0);
    for state in interval.scenarios.values_mut() {
        (state.completed, state.planned_iterations) = (250, Some(1_000));
    }
    board.add(&interval);
    let row = &board.rows(false)[0];
    assert!(
        row.starts_with("  █████░░░░░░░░░░░░░░░ reserve_seat running for 1s, at most 9m59s left"),
        "{row}"
    );
    assert!(row.contains("250/1,000 iterations"), "{row}");
}

#[test]
fn overrides_count_and_time_over_the_plan_is_said() {
    let overrides = Options { duration: Some(Duration::from_secs(5)), ..Options::default() };
    let mut board = Board::new("t", &[samples::definition()], &overrides);
    assert!(board.plan().concat().contains("for 5s"), "{:?}", board.plan());
    board.enter(Phase::Running);
    (0..6).for_each(|index| board.add(&samples::interval(index)));
    assert!(board.lines().concat().contains("finishing after 6s"));
}

#[test]
fn intervals_of_unknown_scenarios_and_series_do_no_harm() {
    let mut board = Board::new("t", &[], &Options::default());
    board.enter(Phase::Running);
    board.add(&Interval { index: u64::MAX, seconds: f64::INFINITY, ..samples::interval(1) });
    board.add(&samples::interval(0));
    assert!(board.lines().concat().contains("reserve_seat"));
}

#[test]
fn text_from_outside_cannot_steer_the_terminal() {
    let mut board = Board::new("t\u{1b}[2J", &[], &Options::default());
    let mut interval = samples::interval(0);
    interval.scenarios = [("evil\u{7}\u{1b}]0;x".to_owned(), ScenarioState::default())].into();
    board.add(&interval);
    assert!(!format!("{}{}", board.title(), board.lines().concat()).contains(['\u{1b}', '\u{7}']));
}
