//! What recording costs a worker: `cargo bench -p loadtest-runtime --features bench-internals --bench recorder`.
//!
//! Nanoseconds for each HTTP exchange, check and iteration, the median of many short rounds, with the hand-over
//! of full buffers and without reading the clock, which is a row of its own. Required: at most 150 ns for the
//! three together, which is what a load test of one request and one check records per request; `-- --check`
//! fails if it is more. `-- --rounds 1` and `valgrind --tool=callgrind` count instructions.

mod support;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use loadtest_runtime::bench_internals::{Pipeline, Work};

/// Samples of a round: some buffers, as are under way in a busy worker.
const SAMPLES: usize = 6_000;
/// The bar: nanoseconds for an exchange, a check and an iteration.
const BAR: f64 = 150.0;

fn main() -> ExitCode {
    let arguments = match support::arguments(400) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(code) => return code,
    };
    let work = support::work(arguments.names, 1);
    println!("{} names, {} rounds; ns each, median and fastest round", arguments.names, arguments.rounds);
    row(
        "clock read",
        &rounds(arguments.rounds, 10_000, || {
            (0..10_000).for_each(|_| {
                black_box(Instant::now());
            });
        }),
    );
    let mut test = Pipeline::of_a_test(1);
    let mut measure = |name: &str, samples: usize, record: fn(&mut Pipeline, &Work)| {
        let count = SAMPLES / samples;
        let mut turns = work.iter().cycle();
        let mut times = Vec::new();
        // The first round makes the series and is not counted.
        for round in 0..=arguments.rounds {
            let pipeline = &mut test[0];
            let begin = Instant::now();
            turns.by_ref().take(count).for_each(|work| record(pipeline, work));
            let took = begin.elapsed();
            if round > 0 {
                times.push(took.as_nanos() as f64 / count as f64);
            }
            pipeline.receive();
            pipeline.aggregate();
            while test[0].is_due() {
                Pipeline::close(&mut test);
            }
        }
        times.sort_by(f64::total_cmp);
        row(name, &times)
    };
    measure("exchange", 1, Pipeline::exchange);
    measure("check", 1, Pipeline::check);
    measure("iteration", 1, Pipeline::iteration);
    let together = measure("exchange + check + iteration", 3, |pipeline, work| {
        pipeline.pass(Duration::from_micros(1));
        pipeline.exchange(work);
        pipeline.check(work);
        pipeline.iteration(work);
    });
    support::verdict(
        together <= BAR,
        &format!("{together:.1} ns, required: at most {BAR} ns"),
        arguments.check,
    )
}

/// The times of rounds of so many calls, in nanoseconds per call, in ascending order.
fn rounds(rounds: usize, calls: usize, mut round: impl FnMut()) -> Vec<f64> {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let begin = Instant::now();
            round();
            begin.elapsed().as_nanos() as f64 / calls as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Prints a row and returns its median.
fn row(name: &str, times: &[f64]) -> f64 {
    let median = times[times.len() / 2];
    println!("{name:<30}{median:>9.1}{:>9.1}", times[0]);
    median
}
