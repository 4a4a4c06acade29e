//! What virtual users do to the whole test: its end, its failure, its limits, and what they know of it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, AtomicUsize};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

impl Load {
    /// As [`Load::scenario`], with a `vu_init`.
    pub(super) fn initialised<V, I, F>(mut self, name: &str, options: Attribute, init: I, iterate: F) -> Self
    where
        V: 'static,
        I: AsyncFn(&mut Vu) -> Result<V> + Copy + Send + Sync + 'static,
        F: AsyncFn(&mut Vu, &mut V) -> Result + Copy + Send + Sync + 'static,
    {
        self = self.scenario(name, options, async |_| Ok(()));
        let scenario = builder()
            .setup(async |_| Ok(()))
            .vu_init(async move |vu: &mut Vu, (): &()| init(vu).await)
            .iterate(async move |vu: &mut Vu, (): &(), state: &mut V| iterate(vu, state).await)
            .teardown(async |()| Ok(()));
        self.plan.scenarios.last_mut().expect("just made").scenario = Arc::from(scenario);
        self
    }
}

/// What a service was asked: the path and the cookies of each request.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A service that sends `/moved` elsewhere and gives a cookie at `/login` and at `/shop`.
fn service() -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut to, seen) = (stream.expect("accepts"), Arc::clone(&seen));
            std::thread::spawn(move || {
                let mut lines = BufReader::new(to.try_clone().expect("clones")).lines();
                while let Some(Ok(first)) = lines.next() {
                    let headers: Vec<String> = lines
                        .by_ref()
                        .map_while(std::result::Result::ok)
                        .take_while(|line| !line.is_empty())
                        .collect();
                    let cookies = headers.iter().find_map(|line| line.strip_prefix("cookie: "));
                    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                    let answer = match path.as_str() {
                        "/moved" => "302 Found\r\nlocation: /there",
                        "/login" => "200 OK\r\nset-cookie: sid=s1",
                        "/shop" => "200 OK\r\nset-cookie: cart=c1",
                        _ => "200 OK",
                    };
                    let cookies = cookies.unwrap_or_default().to_owned();
                    seen.lock().expect("not poisoned").push((path, cookies));
                    if write!(to, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, asked)
}

#[test]
fn an_abort_interrupts_every_scenario_at_once() {
    let begun = leak(AtomicUsize::new(0));
    let options = || Attribute::new().vus(2).duration("60s").graceful_stop("30s");
    let report = Load::new()
        .scenario("a", options(), async |vu| {
            begun.fetch_add(1, Ordering::Relaxed);
            vu.sleep(MINUTE).await;
            Ok(())
        })
        .scenario("b", options(), async |vu| {
            begun.fetch_add(1, Ordering::Relaxed);
            while begun.load(Ordering::Relaxed) < 4 {
                vu.sleep(Duration::from_millis(1)).await;
            }
            vu.fail("it was bad");
            vu.abort("the service is gone").await
        })
        .run();
    assert_eq!(report.outcome.stopped, Some(StopCause::Test("the service is gone".to_owned())));
    assert_eq!((report.state("a"), report.state("b")), ((2, 0, 2), (2, 0, 2)));
    assert_eq!(report.outcome.failures, ["it was bad"]);
    assert_eq!(report.sum("iterations") + report.sum("dropped_iterations"), 0.0);
    assert!(report.outcome.load_time < LET_GO, "{:?}", report.outcome.load_time);
}

#[test]
fn a_scenario_that_ends_itself_lets_the_others_go_on() {
    let arrivals = Attribute::new().executor("constant-arrival-rate").rate(100).duration("60s");
    for options in [Attribute::new().vus(3).duration("60s"), arrivals.pre_allocated_vus(3)] {
        let taken = leak(AtomicU64::new(0));
        let report = Load::new()
            .scenario("data", options, async |vu| {
                if taken.fetch_add(1, Ordering::Relaxed) >= 20 {
                    vu.end_scenario("all 20 rows were used".to_owned()).await
                }
                vu.sleep(Duration::from_millis(5)).await;
                Ok(())
            })
            .scenario("other", Attribute::new().vus(1).duration("900ms"), async |vu| {
                vu.sleep(Duration::from_millis(10)).await;
                Ok(())
            })
            .run();
        let (started, completed, interrupted) = report.state("data");
        assert_eq!((completed, started - completed), (20, interrupted));
        assert!(report.state("other").1 > 20, "{:?}", report.state("other"));
        assert_eq!((report.outcome.stopped.as_ref(), report.outcome.failures.len()), (None, 0));
        let [warning] = &report.outcome.warnings[..] else { panic!("{:?}", report.outcome.warnings) };
        assert_eq!(warning, "the scenario `data` ended before its time: all 20 rows were used");
        assert!(report.outcome.load_time < Duration::from_secs(20), "{:?}", report.outcome.load_time);
    }
}

#[test]
fn an_abort_in_vu_init_comes_before_any_load() {
    let load = Load::new().initialised(
        "s",
        Attribute::new().vus(3).iterations(3),
        async |vu| if vu.id() == 2 { vu.abort("no licence").await } else { Ok(()) },
        async |_, ()| Ok(()),
    );
    match super::super::Load::prepare(load.plan, &load.stop) {
        Err(Unready::Stopped(cause)) => assert_eq!(cause, StopCause::Test("no licence".to_owned())),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn a_virtual_user_that_is_refused_keeps_the_load_from_beginning() {
    let load = Load::new().initialised(
        "s",
        Attribute::new().vus(3).iterations(3),
        async |vu| if vu.id() == 2 { Err(Error::msg("no account left")) } else { Ok(()) },
        async |_, ()| Ok(()),
    );
    match super::super::Load::prepare(load.plan, &load.stop) {
        Err(Unready::VirtualUser(why)) => assert!(why.starts_with("vu_init: no account left (at "), "{why}"),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn many_virtual_users_begin_a_few_at_a_time_each_with_its_own_state() {
    let (inside, most) = (leak(AtomicU32::new(0)), leak(AtomicU32::new(0)));
    let load = Load::new().initialised(
        "s",
        Attribute::new().executor("per-vu-iterations").vus(400).iterations(2),
        async |vu| {
            most.fetch_max(inside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            vu.sleep(Duration::from_millis(2)).await;
            inside.fetch_sub(1, Ordering::Relaxed);
            // It need not be anything that threads may share.
            Ok(std::rc::Rc::new(vec![vu.id()]))
        },
        async |vu, state| {
            vu.check("own", state[0] == vu.id() && state.len() as u64 == vu.iteration() + 1);
            std::rc::Rc::make_mut(state).push(0);
            assert_eq!(vu.execution().vus_initialised(), 400);
            Ok(())
        },
    );
    let report = load.run();
    assert_eq!(report.state("s"), (800, 800, 0));
    assert_eq!((report.sum("checks"), report.errors()), (800.0, vec![]));
    let most = most.load(Ordering::Relaxed);
    assert!((1..=128).contains(&most), "{most}");
}

#[test]
fn rps_is_a_cap_over_all_requests_of_all_workers_and_in_no_latency() {
    let (url, asked) = service();
    let url: &str = leak(url);
    let options = || Attribute::new().vus(4).iterations(30);
    let mut load = Load::new();
    load.plan.rps = Some(100);
    let iterate = async move |vu: &mut Vu| {
        vu.http().get(format!("{url}/moved")).send().await?;
        Ok(())
    };
    let report = load.scenario("a", options(), iterate).scenario("b", options(), iterate).run();
    assert_eq!(report.errors(), []);
    assert_eq!(asked.lock().expect("not poisoned").len(), 120);
    let count = |metric: &str| report.series(metric).iter().map(|(_, totals)| totals.count).sum::<u64>();
    assert_eq!((report.sum("http_reqs"), count("http_req_throttled")), (120.0, 120));
    // The last of 120 slots is 1.19 s after the first one, and with eight users no slot stays empty for long.
    let load = report.outcome.load_time.as_secs_f64();
    assert!((1.19..3.0).contains(&load), "{load}");
    let rest =
        ["http_req_duration", "http_req_blocked", "http_req_connecting"].map(|metric| report.sum(metric));
    let throttled = report.sum("http_req_throttled");
    assert!(rest.iter().sum::<f64>() < throttled / 2.0, "{rest:?} {throttled}");
    assert!(throttled < report.sum("iteration_duration"), "{throttled}");
    let (tags, _) = &report.series("http_req_throttled")[0];
    assert_eq!((tags["scenario"].as_str(), tags["name"].as_str()), ("a", "/moved"));
}

#[test]
fn without_rps_nothing_is_throttled_and_cookies_of_vu_init_last() {
    let (url, asked) = service();
    let url: &str = leak(url);
    let report = Load::new()
        .initialised(
            "s",
            Attribute::new().executor("per-vu-iterations").vus(1).iterations(2),
            async move |vu| {
                vu.http().get(format!("{url}/login")).send().await?;
                Ok(())
            },
            async move |vu, ()| {
                vu.http().get(format!("{url}/shop")).send().await?;
                vu.http().get(format!("{url}/pay")).send().await?;
                Ok(())
            },
        )
        .run();
    assert_eq!((report.sum("http_reqs"), report.series("http_req_throttled").len()), (4.0, 0));
    let asked = asked.lock().expect("not poisoned").clone();
    let cookies: Vec<_> = asked.iter().map(|(path, cookies)| (path.as_str(), cookies.len())).collect();
    assert_eq!(cookies[..2], [("/login", 0), ("/shop", 6)]);
    assert_eq!(cookies[2..], [("/pay", 15), ("/shop", 6), ("/pay", 15)]);
}

/// What each iteration of a scenario draws, by its number.
fn draws(options: Attribute) -> BTreeMap<u64, u64> {
    let drawn = leak(Mutex::new(BTreeMap::new()));
    let report = Load::new()
        .scenario("s", options, async |vu| {
            let number = vu.execution().iteration_in_test();
            let draw = vu.rng().range(0..u64::MAX);
            assert!(drawn.lock().expect("not poisoned").insert(number, draw).is_none());
            vu.sleep(Duration::from_millis(draw % 3)).await;
            Ok(())
        })
        .run();
    assert_eq!(report.errors(), []);
    drawn.lock().expect("not poisoned").clone()
}

#[test]
fn shared_iterations_draw_the_same_numbers_whoever_runs_them() {
    let few = draws(Attribute::new().executor("shared-iterations").vus(2).iterations(60));
    let many = draws(Attribute::new().executor("shared-iterations").vus(7).iterations(60));
    assert_eq!(few.keys().copied().collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
    assert_eq!(few, many);
    // Those of a virtual user are its own: which number they get depends on who is first.
    let own = || {
        let draws = draws(Attribute::new().executor("per-vu-iterations").vus(3).iterations(20));
        let mut draws: Vec<u64> = draws.into_values().collect();
        draws.sort_unstable();
        draws
    };
    assert_eq!(own(), own());
}
