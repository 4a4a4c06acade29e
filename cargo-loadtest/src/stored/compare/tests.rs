//! What arguments mean, without running anything.

use loadtest_core::options::compare::GateMetric;
use loadtest_core::results::{Fingerprint, Revision};

use super::*;

const OLD: &str = "1111111122222222333333334444444455555555";
const NEW: &str = "0a1b2c3d0a1b2c3d0a1b2c3d0a1b2c3d0a1b2c3d";

fn side(commit: &str, runs: &[&str]) -> SessionSide {
    SessionSide {
        revision: Revision { commit: Some(commit.to_owned()), branch: None, dirty: false },
        runs: runs.iter().map(|&run| run.to_owned()).collect(),
    }
}

fn duet(id: &str) -> Session {
    Session {
        schema_version: 1,
        id: id.to_owned(),
        tool_version: String::new(),
        started_at: String::new(),
        fingerprint: Fingerprint::default(),
        profile: String::new(),
        saved_as: None,
        base: Some(side(OLD, &["b1", "b2"])),
        head: side(NEW, &["h1", "h2"]),
        tests: Vec::new(),
    }
}

fn args(gate: Option<&str>, min_effect: Option<&str>) -> CompareArgs {
    let line = ["cargo-loadtest", "compare", "a", "b"].map(Into::into);
    let Ok(crate::cli::Command::Compare(args)) = crate::cli::parse(line) else { panic!("is a comparison") };
    CompareArgs { gate: gate.map(str::to_owned), min_effect: min_effect.map(str::to_owned), ..args }
}

#[test]
fn both_sides_of_a_duet_are_known_by_runs_commits_or_its_id() {
    let sessions = [duet("old"), Session { base: None, ..duet("single") }, duet("h1")];
    let found = |base: &str, head: &str| {
        duet_of(&sessions, base, head).map(|sides| {
            (sides.session.id.as_str(), sides.base.runs[0].as_str(), sides.head.runs[0].as_str())
        })
    };
    let straight = Some(("h1", "b1", "h1"));
    assert_eq!(found("b1", "h2"), straight);
    assert_eq!(found(OLD, NEW), straight);
    assert_eq!(found(&OLD[..8], "h1"), straight);
    assert_eq!(found("h1", "h1"), straight, "the id of the session");
    assert_eq!(found(NEW, OLD), Some(("h1", "h1", "b1")), "the other way round");
    assert_eq!(found("old", "old"), Some(("old", "b1", "h1")));
    for (base, head) in
        [("b1", "b2"), ("main", NEW), ("", ""), (OLD, OLD), (&OLD[..3], NEW), ("single", "single")]
    {
        assert_eq!(found(base, head), None, "{base} {head}");
    }
}

#[test]
fn the_command_line_wins_over_what_a_test_says() {
    let line = line(&args(Some("p95"), Some("8%"))).expect("reads");
    assert_eq!((&*line.gate, line.min_effect, line.alpha), (&[GateMetric::P95][..], Some(0.08), None));
    let own = CompareSettings {
        min_effect: Some(0.2),
        alpha: Some(0.01),
        gate: vec![GateMetric::Errors],
        ..CompareSettings::default()
    };
    let both = over(&own, &line);
    assert_eq!((both.min_effect, both.alpha, both.gate), (Some(0.08), Some(0.01), vec![GateMetric::P95]));
    assert_eq!(over(&own, &CompareSettings::default()), own);
    assert!(super::line(&args(Some("p96"), None)).is_err());
    assert!(super::line(&args(None, Some("much"))).is_err());
}

#[test]
fn the_worst_of_several_decides_and_not_knowing_is_no_failure() {
    let code = |verdicts: &[Verdict]| exit_code(verdicts.iter().copied());
    assert_eq!(code(&[Verdict::Unchanged, Verdict::Improved]), ExitCode::Passed);
    assert_eq!(code(&[Verdict::Inconclusive, Verdict::NotComparable]), ExitCode::Passed);
    assert_eq!(code(&[Verdict::Regressed, Verdict::NotComparable]), ExitCode::Regressed);
    assert_eq!(code(&[Verdict::Regressed, Verdict::Invalid]), ExitCode::Invalid);
}

#[test]
fn several_reports_have_names_of_their_own() {
    let name = |index| numbered(Path::new("out/report.html"), index).display().to_string();
    assert_eq!([name(0), name(1), name(2)], ["out/report.html", "out/report-2.html", "out/report-3.html"]);
    assert_eq!(numbered(Path::new("page"), 1).display().to_string(), "page-2");
}
