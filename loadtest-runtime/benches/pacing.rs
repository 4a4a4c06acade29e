//! How punctual starts are: `cargo bench -p loadtest-runtime --bench pacing`.
//!
//! The first rows are models that differ only in what waits for the next instant: a thread that is parked,
//! one that spins for the last 100 µs, or tokio's timer. Each wakes one of a hundred tasks on two
//! single-threaded runtimes, as the engine wakes virtual users. The last row is the engine itself, run as the
//! subcommand runs it; its lag is the metric `schedule_lag`.
//!
//! `-- --rate 2000 --seconds 10` are the defaults; `-- --minutes 10` runs the engine alone for that long, for
//! drift. Required on an idle machine of two cores: a p99 below 1 ms, and starts as planned.

mod engine;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use loadtest_core::metric::Totals;
use loadtest_core::options::Options;
use loadtest_core::plan::constant_arrivals;
use loadtest_core::wire;
use loadtest_runtime::prelude::*;
use tokio::sync::Notify;
use tokio::task::LocalSet;

const SECOND: Duration = Duration::from_secs(1);
/// Virtual users: far more than starts are ever in flight.
const VUS: u32 = 100;

/// The load of the last row; the iteration is nothing but its bookkeeping.
#[load_test(executor = "constant-arrival-rate", rate = 2000, duration = "10s", pre_allocated_vus = 100)]
async fn paced(_: &mut Vu) -> Result<()> {
    Ok(())
}

/// What is measured.
struct Plan {
    rate: u64,
    duration: Duration,
    engine_only: bool,
}

fn main() -> ExitCode {
    if std::env::var_os(wire::ENV_ADDR).is_some() {
        return loadtest_runtime::main();
    }
    let plan = match read_arguments() {
        Ok(Some(plan)) => plan,
        // `cargo test --benches` comes here; a measurement is no test.
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}. hint: `-- --rate 2000 --seconds 10` or `-- --minutes 10`");
            return ExitCode::from(2);
        }
    };
    println!("{} starts/s for {:?}; lag in ms", plan.rate, plan.duration);
    println!("{:<22}{:>10}{:>10}{:>9}{:>9}{:>9}", "", "planned", "started", "p50", "p99", "max");
    if !plan.engine_only {
        let spin = Duration::from_micros(100);
        model("parked thread (model)", &plan, |wakes| pace_by_thread(wakes, Duration::ZERO));
        model("spinning thread (model)", &plan, |wakes| pace_by_thread(wakes, spin));
        model("tokio timer (model)", &plan, pace_by_timer);
    }
    match engine(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the engine could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` unless this is a benchmark.
fn read_arguments() -> std::result::Result<Option<Plan>, String> {
    let mut plan = Plan { rate: 2_000, duration: 10 * SECOND, engine_only: false };
    let mut arguments = std::env::args().skip(1);
    let mut is_bench = false;
    while let Some(argument) = arguments.next() {
        let number = |value: Option<String>| -> std::result::Result<u32, String> {
            let value = value.ok_or_else(|| format!("`{argument}` needs a number"))?;
            value.parse().map_err(|_| format!("`{value}` is no number"))
        };
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--rate" => plan.rate = number(arguments.next())?.into(),
            "--seconds" => plan.duration = SECOND * number(arguments.next())?,
            "--minutes" => {
                plan.duration = 60 * SECOND * number(arguments.next())?;
                plan.engine_only = true;
            }
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(is_bench.then_some(plan))
}

fn row(name: &str, planned: u64, started: u64, quantiles: [f64; 3]) {
    let [p50, p99, max] = quantiles;
    println!("{name:<22}{planned:>10}{started:>10}{p50:>9.3}{p99:>9.3}{max:>9.3}");
}

/// The starts of a model, each with the virtual user that gets it.
type Wakes = Box<dyn Iterator<Item = (Instant, Arc<Seat>)> + Send>;

/// A virtual user of a model.
#[derive(Default)]
struct Seat {
    intended: Mutex<Option<Instant>>,
    wake: Notify,
    leave: AtomicBool,
}

impl Seat {
    fn intended(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.intended.lock().expect("nobody panics")
    }

    fn start(&self, intended: Instant) {
        *self.intended() = Some(intended);
        self.wake.notify_one();
    }

    /// Notes how late each start is, in seconds.
    async fn run(&self, lags: &Mutex<Vec<f64>>) {
        loop {
            self.wake.notified().await;
            let intended = self.intended().take();
            if let Some(intended) = intended {
                lags.lock().expect("nobody panics").push(intended.elapsed().as_secs_f64());
            }
            if self.leave.load(Ordering::Acquire) {
                return;
            }
        }
    }
}

fn model(name: &str, plan: &Plan, pace: impl FnOnce(Wakes)) {
    let seats: Vec<Arc<Seat>> = (0..VUS).map(|_| Arc::default()).collect();
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let own: Vec<_> = seats.iter().skip(worker).step_by(2).cloned().collect();
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let lags = std::rc::Rc::new(Mutex::new(Vec::new()));
                LocalSet::new().block_on(&runtime.expect("a runtime"), async {
                    let mut tasks = tokio::task::JoinSet::new();
                    for seat in own {
                        let lags = std::rc::Rc::clone(&lags);
                        tasks.spawn_local(async move { seat.run(&lags).await });
                    }
                    tasks.join_all().await;
                });
                std::mem::take(&mut *lags.lock().expect("nobody panics"))
            })
        })
        .collect();
    let begin = Instant::now() + Duration::from_millis(100);
    let planned = Arc::new(AtomicU64::new(0));
    let starts = constant_arrivals(plan.rate, SECOND, plan.duration);
    let turns = seats.clone().into_iter().cycle();
    let count = Arc::clone(&planned);
    pace(Box::new(starts.zip(turns).map(move |(offset, seat)| {
        count.fetch_add(1, Ordering::Relaxed);
        (begin + offset, seat)
    })));
    thread::sleep(Duration::from_millis(100));
    for seat in &seats {
        seat.leave.store(true, Ordering::Release);
        seat.wake.notify_one();
    }
    let mut lags: Vec<f64> =
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect();
    lags.sort_by(f64::total_cmp);
    let at = |share: f64| lags.get((lags.len() as f64 * share) as usize).or(lags.last()).copied();
    let quantiles = [0.5, 0.99, 1.0].map(|share| at(share).unwrap_or_default() * 1e3);
    row(name, planned.load(Ordering::Relaxed), lags.len() as u64, quantiles);
}

fn pace_by_thread(wakes: Wakes, spin: Duration) {
    let run = move || {
        for (at, seat) in wakes {
            loop {
                let missing = at.saturating_duration_since(Instant::now());
                match missing.checked_sub(spin) {
                    _ if missing.is_zero() => break,
                    Some(park) if !park.is_zero() => thread::park_timeout(park),
                    _ => std::hint::spin_loop(),
                }
            }
            seat.start(at);
        }
    };
    thread::spawn(run).join().expect("no panic");
}

fn pace_by_timer(wakes: Wakes) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        for (at, seat) in wakes {
            if at > Instant::now() {
                tokio::time::sleep_until(at.into()).await;
            }
            seat.start(at);
        }
    });
}

/// Runs the load test of this file as the subcommand would.
fn engine(plan: &Plan) -> std::io::Result<()> {
    let definition = engine::definition("paced")?;
    let scenario = definition.scenario.clone();
    let mut seconds = Vec::new();
    let mut lag = Vec::new();
    let change = |options| Options { rate: Some(plan.rate), duration: Some(plan.duration), ..options };
    let outcome = engine::run(definition, change, |interval| {
        let new = interval.new_series.iter();
        lag.extend(new.filter(|def| def.metric.name == "schedule_lag").map(|def| def.id));
        let lags = interval.series.into_iter().filter(|(id, _)| lag.contains(id));
        let mut second = Totals::default();
        lags.for_each(|(_, totals)| second.merge(&totals));
        seconds.push(second);
    })?;
    let mut all = Totals::default();
    seconds.iter().for_each(|second| all.merge(second));
    let started = outcome.scenarios.get(&scenario).map_or(0, |state| state.started);
    let planned = constant_arrivals(plan.rate, SECOND, plan.duration).count() as u64;
    let in_ms =
        |totals: &Totals, q| totals.hist.as_ref().and_then(|hist| hist.quantile(q)).unwrap_or(0.0) / 1e3;
    row("the engine", planned, started, [in_ms(&all, 0.5), in_ms(&all, 0.99), all.max]);
    let span = seconds.len().min(60).min(seconds.len().div_ceil(2));
    let median = |seconds: &[Totals]| {
        let mut sum = Totals::default();
        seconds.iter().for_each(|second| sum.merge(second));
        in_ms(&sum, 0.5)
    };
    println!(
        "drift: p50 {:.3} ms in the first {span} s, {:.3} ms in the last {span} s; the load took {:.3} s; {}",
        median(&seconds[..span]),
        median(&seconds[seconds.len() - span..]),
        outcome.load_seconds,
        if started == planned { "every start was made" } else { "STARTS ARE MISSING" },
    );
    outcome.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    Ok(())
}
