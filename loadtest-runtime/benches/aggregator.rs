//! What an aggregator takes: `cargo bench -p loadtest-runtime --features bench-internals --bench aggregator`.
//!
//! Nanoseconds that one aggregator needs for an HTTP exchange with its check and its iteration, the median of many
//! rounds, and the same with the interval closed each simulated second of 1.5 million exchanges. Then several
//! aggregators of one test, each on a thread of its own, whose intervals are merged at each close: exchanges per
//! second of all together. Required: 1.5 million exchanges per second for one; `-- --check` fails if it is less.

mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use loadtest_runtime::bench_internals::{Pipeline, Work};

/// The bar: exchanges per second of one aggregator.
const BAR: f64 = 1.5e6;
/// The time between exchanges of a worker at that rate.
const STEP: Duration = Duration::from_nanos(667);
/// Exchanges of a round: each comes with a check and an iteration.
const EXCHANGES: usize = (Pipeline::ROOM - 1) / 3;

fn main() -> ExitCode {
    let arguments = match support::arguments(400) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(code) => return code,
    };
    let work = support::work(arguments.names, 1);
    println!("{} names, {} rounds of {EXCHANGES} exchanges", arguments.names, arguments.rounds);
    println!(
        "{:<14}{:>14}{:>10}{:>12}{:>14}",
        "aggregators", "ns/exchange", "fastest", "ms/close", "exchanges/s"
    );
    let one = measure(1, &work, arguments.rounds);
    for count in [2, 4] {
        measure(count, &work, arguments.rounds);
    }
    support::verdict(one >= BAR, &format!("{one:.0} exchanges/s of one, required: {BAR:.0}"), arguments.check)
}

/// Prints a row for so many aggregators, and returns the exchanges per second of all.
fn measure(count: usize, work: &[Work], rounds: usize) -> f64 {
    let mut test = Pipeline::of_a_test(count);
    let (mut nanos, mut spans, mut closes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut counted, mut given) = (0, 0);
    for round in 0..=rounds {
        test.iter_mut().for_each(|pipeline| record(pipeline, work));
        given += count * EXCHANGES;
        let begin = Instant::now();
        let own: Vec<Duration> = std::thread::scope(|scope| {
            let aggregate = |pipeline: &mut Pipeline| {
                let begin = Instant::now();
                pipeline.aggregate();
                begin.elapsed()
            };
            match test.as_mut_slice() {
                [only] => vec![aggregate(only)],
                all => {
                    let spawn = |pipeline| scope.spawn(move || aggregate(pipeline));
                    let threads: Vec<_> = all.iter_mut().map(spawn).collect();
                    threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
                }
            }
        });
        let took = begin.elapsed();
        // The first round makes the series.
        if round > 0 {
            spans.push(took.as_secs_f64());
            nanos.extend(own.iter().map(|took| took.as_nanos() as f64 / EXCHANGES as f64));
        }
        while test[0].is_due() {
            let begin = Instant::now();
            counted += Pipeline::close(&mut test).0;
            closes.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    // The last, open second.
    test.iter_mut().for_each(|pipeline| pipeline.pass(Duration::from_secs(1)));
    while test[0].is_due() {
        counted += Pipeline::close(&mut test).0;
    }
    assert_eq!(counted, given as u64, "none is lost and none counts twice");
    let [nanos, spans, closes] = [nanos, spans, closes].map(|mut of: Vec<f64>| {
        of.sort_by(f64::total_cmp);
        of
    });
    let close = closes.get(closes.len() / 2).copied().unwrap_or_default();
    // So much of each second goes into closing it.
    let rate = (count * EXCHANGES) as f64 / spans[spans.len() / 2] * (1.0 - close / 1e3);
    println!("{count:<14}{:>14.1}{:>10.1}{close:>12.2}{rate:>14.0}", nanos[nanos.len() / 2], nanos[0]);
    rate
}

fn record(pipeline: &mut Pipeline, work: &[Work]) {
    for work in work.iter().cycle().take(EXCHANGES) {
        pipeline.pass(STEP);
        pipeline.exchange(work);
        pipeline.check(work);
        pipeline.iteration(work);
    }
    pipeline.receive();
}
