//! The examples of the load model, as `cargo loadtest plan` prints them.

use std::io;
use std::time::Duration;

use loadtest_core::options::{ExecutorKind, Options, Search, Stage, parse_stages};
use loadtest_core::plan::{CapacitySearch, Shard};

use super::*;

const EXAMPLE: &str = "2s:6, 5s:1, 4s:5, 4s:1, 3s:4, 2s:4, 0s:1, 3s:1";

fn options(set: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

fn stages(text: &str) -> Option<Vec<Stage>> {
    Some(parse_stages(text).expect("valid"))
}

fn ramping(start_vus: u32, text: &str) -> Options {
    options(|o| {
        o.executor = Some(ExecutorKind::RampingVus);
        o.start_vus = Some(start_vus);
        o.stages = stages(text);
    })
}

fn json_of(tests: &[Test], view: View) -> String {
    let mut out = Vec::new();
    json::write(&mut out, &loads(tests, view).expect("makes sense")).expect("written");
    String::from_utf8(out).expect("UTF-8")
}

fn json(options: &Options, view: View) -> String {
    json_of(&[alone(options).expect("a load")], view)
}

fn text(options: &Options, view: View) -> String {
    let tests = [alone(options).expect("a load")];
    let mut out = Vec::new();
    text::write(&mut out, &loads(&tests, view).expect("makes sense"), 72).expect("written");
    String::from_utf8(out).expect("UTF-8")
}

fn parsed(options: &Options, view: View) -> serde_json::Value {
    serde_json::from_str(&json(options, view)).expect("JSON")
}

/// Levels or starts, as they stand in the JSON.
fn array(key: &str, options: &Options, view: View) -> String {
    let json = json(options, view);
    let (_, rest) = json.split_once(&format!("{{\"{key}\":[")).unwrap_or_else(|| panic!("no {key}: {json}"));
    let (array, _) = rest.split_once("],\"start_time\"").expect("ends");
    array.to_owned()
}

const WHOLE: View = View { shard: Shard { index: 0, count: 1 }, reserved: false };
const RESERVED: View = View { reserved: true, ..WHOLE };

#[test]
fn levels_are_those_of_the_load_model() {
    let expected = "[0,4],[1,5],[2,6],[3,5],[4,4],[5,3],[6,2],[7,1],[8,2],[9,3],[10,4],[11,5],[12,4],[13,3],\
                    [14,2],[15,1],[16,2],[17,3],[18,4],[20,1]";
    assert_eq!(array("levels", &ramping(4, EXAMPLE), WHOLE), expected);
    let document = parsed(&ramping(4, EXAMPLE), WHOLE);
    assert_eq!(document["duration_regular_seconds"], 23);
    assert_eq!(document["duration_maximum_seconds"], 53);
    assert_eq!(document["vus_needed"], 6);
    assert_eq!(array("levels", &ramping(2, "0s:5, 2s:3"), WHOLE), "[0,2],[0,5],[1,4],[2,3]");
}

#[test]
fn reservations_are_those_of_the_load_model() {
    let plan = ramping(4, EXAMPLE);
    assert_eq!(array("levels", &plan, RESERVED), "[0,4],[1,5],[2,6],[33,5],[42,4],[50,1],[53,0]");
    let hasty = Options { graceful_stop: Some(Duration::from_secs(3)), ..plan };
    assert_eq!(array("levels", &hasty, RESERVED), "[0,4],[1,5],[2,6],[26,0]");
}

#[test]
fn executors_without_a_ramp_hold_their_users_until_the_graceful_stop_is_over() {
    let soak = options(|o| {
        o.vus = Some(10);
        o.duration = Some(Duration::from_secs(60));
    });
    assert_eq!(array("levels", &soak, WHOLE), "[0,10]");
    assert_eq!(array("levels", &soak, RESERVED), "[0,10],[90,0]");
    let scaled = options(|o| {
        o.executor = Some(ExecutorKind::ExternallyControlled);
        o.vus = Some(2);
        o.max_vus = Some(8);
    });
    assert_eq!(array("levels", &scaled, WHOLE), "[0,2]");
    assert_eq!(array("levels", &scaled, RESERVED), "[0,8]");
    assert!(parsed(&scaled, WHOLE)["duration_regular_seconds"].is_null());
    assert!(text(&scaled, RESERVED).contains("until it is stopped"));
}

#[test]
fn starts_have_nine_decimals() {
    let ramp = options(|o| {
        o.executor = Some(ExecutorKind::RampingArrivalRate);
        o.stages = stages("5s:1, 1s:1, 5s:0");
        o.pre_allocated_vus = Some(5);
    });
    let starts = array("starts", &ramp, WHOLE);
    // The area t²/10 is 1 at √10 and 2 at √20; the fraction of the first stage, 2.5, carries over.
    assert_eq!(starts, "3.162277660,4.472135955,5.500000000,6.527864045,7.837722340,11");
    assert_eq!(parsed(&ramp, WHOLE)["expected_starts"], 6);

    let constant = options(|o| {
        o.executor = Some(ExecutorKind::ConstantArrivalRate);
        o.rate = Some(10);
        o.time_unit = Some(Duration::from_millis(950));
        o.duration = Some(Duration::from_millis(950));
        o.pre_allocated_vus = Some(5);
    });
    let document = parsed(&constant, WHOLE);
    assert_eq!(document["starts"].as_array().map(Vec::len), Some(10));
    assert_eq!(document["expected_starts"], 10);
    assert_eq!(array("starts", &constant, WHOLE).split(',').nth(1), Some("0.095000000"));
}

fn starts_per_second(rate: u64, duration: Duration) -> Options {
    options(|o| {
        o.executor = Some(ExecutorKind::ConstantArrivalRate);
        o.rate = Some(rate);
        o.duration = Some(duration);
        o.pre_allocated_vus = Some(7);
    })
}

#[test]
fn the_union_of_the_shards_is_the_plan() {
    let shards = |count| (0..count).map(move |index| View { shard: Shard { index, count }, reserved: false });
    let constant = starts_per_second(13, Duration::from_secs(3));
    let ramp = options(|o| {
        o.executor = Some(ExecutorKind::RampingArrivalRate);
        o.start_rate = Some(3);
        o.stages = stages("2s:17, 3s:1");
        o.pre_allocated_vus = Some(7);
    });
    for plan in [constant, ramp] {
        let starts = |view| -> Vec<f64> {
            let document = parsed(&plan, view);
            let starts = document["starts"].as_array().expect("starts");
            assert_eq!(document["expected_starts"], starts.len());
            starts.iter().filter_map(serde_json::Value::as_f64).collect()
        };
        let mut union: Vec<f64> = shards(3).flat_map(starts).collect();
        union.sort_by(f64::total_cmp);
        assert_eq!(union, starts(WHOLE));
    }
    let ramp = ramping(4, EXAMPLE);
    let level_at = |view, at: f64| {
        let levels = parsed(&ramp, view)["levels"].clone();
        let mut reached =
            levels.as_array().expect("levels").iter().filter(|step| step[0].as_f64() <= Some(at));
        reached.next_back().map_or(0, |step| step[1].as_u64().expect("a level"))
    };
    for at in 0..24 {
        let at = f64::from(at);
        assert_eq!(shards(4).map(|view| level_at(view, at)).sum::<u64>(), level_at(WHOLE, at), "at {at}");
    }
    let needed: u64 =
        shards(3).map(|view| parsed(&ramp, view)["vus_needed"].as_u64().expect("a number")).sum();
    assert_eq!(needed, 6);
}

/// A reader that goes away after some bytes, as `head` does.
struct Head(usize);

impl io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_huge_plan_is_shown_without_computing_all_of_it() {
    let year = starts_per_second(1_000_000_000, Duration::from_secs(31_536_000));
    let tests = [alone(&year).expect("a load")];
    let loads = loads(&tests, WHOLE).expect("makes sense");
    let error = json::write(&mut Head(10_000), &loads).expect_err("the reader has gone");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let shown = text(&year, WHOLE);
    assert!(shown.contains("31,536,000,000,000,000 expected"), "{shown}");
    assert!(shown.contains("182d12h"), "{shown}");
    let users = ramping(0, "1s:4000000000");
    assert!(text(&users, WHOLE).contains("4000000000 at most"));
}

#[test]
fn several_scenarios_are_told_apart() {
    let scenario = |name: &str, start: u64| Scenario {
        name: name.to_owned(),
        workload: options(|o| {
            o.vus = Some(1);
            o.duration = Some(Duration::from_secs(5));
            o.start_time = Some(Duration::from_millis(start));
        })
        .resolve()
        .expect("valid"),
    };
    let test =
        Test { id: "shop/lib/sale".to_owned(), scenarios: vec![scenario("a\"b", 0), scenario("c", 1_500)] };
    let tests = [test];
    let document: serde_json::Value = serde_json::from_str(&json_of(&tests, WHOLE)).expect("JSON");
    let shown = &document["tests"][0];
    assert_eq!(shown["id"], "shop/lib/sale");
    assert_eq!(shown["scenarios"][0]["name"], "a\"b");
    assert_eq!(shown["scenarios"][1]["start_time"], 1.5);
    assert_eq!(shown["scenarios"][1]["levels"], serde_json::json!([[0, 1]]));
    let mut out = Vec::new();
    text::write(&mut out, &loads(&tests, WHOLE).expect("makes sense"), 72).expect("written");
    let out = String::from_utf8(out).expect("UTF-8");
    assert!(
        out.contains("shop/lib/sale  c\n") && out.contains("ends at 6.5s, at 36.5s at the latest"),
        "{out}"
    );
}

#[test]
fn a_capacity_search_tells_its_limits() {
    let search = options(|o| {
        o.executor = Some(ExecutorKind::FindCapacity);
        o.thresholds = vec!["http_req_failed: rate<1%".parse().expect("valid")];
        o.start_rate = Some(100);
        o.max_rate = Some(400);
        o.step = Some(100);
        o.pre_allocated_vus = Some(5);
        o.max_vus = Some(50);
    });
    let probes = CapacitySearch::new(Search::Binary, 100, 400, 100).probes_at_most();
    assert!(json(&search, WHOLE).starts_with(&format!("{{\"probes_at_most\":{probes},")));
    let shown = text(&search, WHOLE);
    assert!(shown.contains(&format!("{probes} probes of 10s at most")), "{shown}");
    assert!(shown.contains("from 100 up to 400 starts per 1s") && shown.contains("50 at most"), "{shown}");
}

#[test]
fn text_says_what_is_needed_and_draws_it() {
    let shown = text(&ramping(4, EXAMPLE), WHOLE);
    assert!(shown.starts_with("ramping-vus: from 4 VUs through 2s:6"), "{shown}");
    assert!(
        shown.contains("6 at most") && shown.contains("23s, 53s at most with graceful_stop 30s"),
        "{shown}"
    );
    assert!(shown.contains("6 ┤") && shown.contains("0 ┼─") && shown.contains("23.0s"), "{shown}");
    assert!(shown.contains("levels      0s:4  1s:5  2s:6"), "{shown}");
    let body = shown.lines().skip(1);
    assert!(body.clone().count() > 10 && body.into_iter().all(|line| line.chars().count() <= 72), "{shown}");
    let shared = options(|o| {
        o.vus = Some(3);
        o.iterations = Some(1_000);
    });
    let shown = text(&shared, View { shard: Shard { index: 3, count: 4 }, reserved: false });
    assert!(
        shown.contains("3/4") && shown.contains("none: the other shards") && shown.contains("250 at most")
    );
}

#[test]
fn what_makes_no_sense_says_what_does() {
    let message = |options: &Options, view| {
        let tests = [alone(options).expect("a load")];
        loads(&tests, view).err().expect("refused").to_string()
    };
    let constant = starts_per_second(1, Duration::from_secs(1));
    assert!(message(&constant, RESERVED).contains("`constant-arrival-rate` has none"));
    assert!(message(&ramping(0, "1s:4000000000"), RESERVED).contains("4000000000 times"));
    let failure =
        alone(&Options { graceful_stop: Some(Duration::ZERO), ..Options::default() }).err().expect("no load");
    assert_eq!(failure.code, ExitCode::Usage);
    assert!(failure.error.to_string().contains("cargo loadtest plan --stage 10s:50"), "{}", failure.error);
}
