//! A board that is shown a made-up test.

use loadtest_core::options::{ExecutorKind, Options};

use super::super::samples;
use super::*;

fn running(seconds: u64) -> Board {
    let mut board = Board::new("concert/lib::reserve_seat", &[samples::definition()]);
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
    let mut board = Board::new("t", &[definition]);
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
    let options = Options { duration: Some(Duration::from_secs(5)), ..Options::default() };
    let workload = options.resolve().expect("valid");
    let mut board = Board::new("t", &[Definition { options, workload, ..samples::definition() }]);
    assert!(board.plan().concat().contains("for 5s"), "{:?}", board.plan());
    board.enter(Phase::Running);
    (0..6).for_each(|index| board.add(&samples::interval(index)));
    assert!(board.lines().concat().contains("finishing after 6s"));
}

#[test]
fn intervals_of_unknown_scenarios_and_series_do_no_harm() {
    let mut board = Board::new("t", &[]);
    board.enter(Phase::Running);
    board.add(&Interval { index: u64::MAX, seconds: f64::INFINITY, ..samples::interval(1) });
    board.add(&samples::interval(0));
    assert!(board.lines().concat().contains("reserve_seat"));
}

#[test]
fn text_from_outside_cannot_steer_the_terminal() {
    let mut board = Board::new("t\u{1b}[2J", &[]);
    let mut interval = samples::interval(0);
    interval.scenarios = [("evil\u{7}\u{1b}]0;x".to_owned(), ScenarioState::default())].into();
    board.add(&interval);
    assert!(!format!("{}{}", board.title(), board.lines().concat()).contains(['\u{1b}', '\u{7}']));
}

/// A board of one scenario with these options, after so many seconds.
fn of(options: Options, seconds: u64, state: &ScenarioState, paused: impl Fn(u64) -> bool) -> Board {
    let mut board = Board::new("t", &[samples::definition_of("reserve_seat", options)]);
    board.enter(Phase::Running);
    for index in 0..seconds {
        let scenarios = [("reserve_seat".to_owned(), state.clone())].into();
        board.add(&Interval { scenarios, paused: paused(index), ..samples::interval(index) });
    }
    board
}

fn looping() -> Options {
    Options { vus: Some(3), duration: Some(Duration::from_secs(30)), ..Options::default() }
}

fn busy() -> ScenarioState {
    ScenarioState { vus: 3, planned_vus: 3, initialised_vus: 3, ..ScenarioState::default() }
}

fn phase_after(options: Options, seconds: u64) -> String {
    let board = of(options, seconds, &busy(), |_| false);
    board.lines()[0].split(" · ").next().unwrap_or_default().trim().to_owned()
}

#[test]
fn a_pause_is_shown_and_takes_none_of_the_time_that_is_left() {
    // Held from second 10 to 14, and again from 19 on.
    let paused = |index| (10..14).contains(&index) || index >= 19;
    let text = |seconds| of(looping(), seconds, &busy(), paused).lines().concat();
    assert!(text(10).contains("reserve_seat: running, 20s left · "), "{}", text(10));
    assert!(text(12).contains("reserve_seat: paused, 20s left · "), "{}", text(12));
    assert!(text(15).contains("reserve_seat: running, 19s left · "), "{}", text(15));
    let long = of(looping(), 60, &busy(), paused);
    assert!(long.lines().concat().contains("reserve_seat: paused, 15s left · "));
    assert!(long.rows(false)[0].starts_with("  ██████████░░░░░░░░░░ "), "{:?}", long.rows(false));
}

#[test]
fn a_load_that_starts_by_plan_shows_the_plan_and_what_came_of_it() {
    let options = Options {
        executor: Some(ExecutorKind::ConstantArrivalRate),
        rate: Some(100),
        duration: Some(Duration::from_secs(30)),
        pre_allocated_vus: Some(20),
        max_vus: Some(50),
        ..Options::default()
    };
    let state = ScenarioState { planned_rate: Some(100.0), initialised_vus: 20, vus: 12, ..busy() };
    let line = of(options.clone(), 3, &state, |_| false).lines().concat();
    assert!(line.contains("running, 27s left · VUs 12/20 · 190/s of 100/s planned · "), "{line}");
    assert!(line.contains(" · 0 dropped"), "{line}");
    let line = of(options, 3, &ScenarioState { dropped: 6, ..state }, |_| false).lines().concat();
    assert!(line.contains(" · 6 dropped") && !line.contains(" 0 dropped"), "{line}");
}

#[test]
fn a_scenario_that_starts_later_says_when_and_counts_from_there() {
    let later = || Options { start_time: Some(Duration::from_secs(10)), ..looping() };
    let definition = samples::definition_of("reserve_seat", later());
    assert_eq!(
        Board::new("t", &[definition]).plan(),
        ["  reserve_seat: constant-vus: 3 looping VUs for 30s, from 10s on"]
    );
    assert_eq!(phase_after(later(), 4), "reserve_seat: starts in 6s");
    assert_eq!(phase_after(later(), 12), "reserve_seat: running, 28s left");
    assert_eq!(phase_after(later(), 41), "reserve_seat: finishing after 41s");
    let early = of(later(), 4, &busy(), |index| index > 1).lines().concat();
    assert!(early.contains("paused, starts in 8s"), "{early}");
    // Others may go on.
    let idle = ScenarioState { vus: 0, ..busy() };
    let over = of(later(), 41, &idle, |_| false).lines().concat();
    assert!(over.contains("reserve_seat: done · "), "{over}");
}

#[test]
fn what_has_no_planned_end_shows_how_long_it_runs() {
    let controlled = |seconds| Options {
        executor: Some(ExecutorKind::ExternallyControlled),
        vus: Some(2),
        max_vus: Some(50),
        duration: Some(Duration::from_secs(seconds)),
        start_time: Some(Duration::from_secs(3)),
        ..Options::default()
    };
    assert_eq!(phase_after(controlled(0), 15), "reserve_seat: running for 12s, until stopped");
    assert_eq!(phase_after(controlled(0), 1), "reserve_seat: starts in 2s");
    assert_eq!(phase_after(controlled(20), 15), "reserve_seat: running, 8s left");
    let forever = of(controlled(0), 15, &busy(), |_| true);
    assert!(forever.lines().concat().contains("paused, starts in 3s"), "{:?}", forever.lines());
    assert!(forever.rows(false)[0].starts_with("  ░░░░░░░░░░░░░░░░░░░░ "));

    let search = Options {
        executor: Some(ExecutorKind::FindCapacity),
        start_rate: Some(10),
        max_rate: Some(1_000),
        pre_allocated_vus: Some(20),
        thresholds: vec!["http_req_failed: rate<0.01".parse().expect("a threshold")],
        ..Options::default()
    };
    assert_eq!(phase_after(search.clone(), 12), "reserve_seat: running for 12s");
    // Its thresholds are those of each probe: one that fails is what is looked for.
    let mut board = Board::new("t", &[samples::definition_of("reserve_seat", search)]);
    board.enter(Phase::Running);
    board.add(&Interval { thresholds: vec![false], ..samples::interval(0) });
    assert!(!board.lines().concat().contains("thresholds"), "{:?}", board.lines());
}
