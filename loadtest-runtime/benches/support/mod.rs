//! What the benchmarks of recording and of aggregating share: arguments, a realistic load, the verdict.

use std::process::ExitCode;
use std::time::Duration;

use loadtest_runtime::bench_internals::Work;

/// What the command line asks for.
pub(crate) struct Arguments {
    /// Rounds of each measurement.
    pub(crate) rounds: usize,
    /// Names of requests, each a series.
    pub(crate) names: usize,
    /// Whether a missed bar is a failure.
    pub(crate) check: bool,
}

/// `None` unless this is a benchmark: `cargo test --benches` comes here too, and a measurement is no test.
pub(crate) fn arguments(rounds: usize) -> Result<Option<Arguments>, ExitCode> {
    let mut arguments = Arguments { rounds, names: 20, check: false };
    let mut given = std::env::args().skip(1);
    let mut is_bench = false;
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--check" => arguments.check = true,
            "--rounds" => arguments.rounds = number(given.next())?,
            "--names" => arguments.names = number(given.next())?,
            _ => return Err(misunderstood(&argument)),
        }
    }
    Ok(is_bench.then_some(arguments))
}

fn number(text: Option<String>) -> Result<usize, ExitCode> {
    let text = text.unwrap_or_default();
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| misunderstood(&text))
}

fn misunderstood(argument: &str) -> ExitCode {
    eprintln!("`{argument}` is not understood. hint: `-- --rounds 100 --names 20 --check`");
    ExitCode::from(2)
}

/// Iterations with latencies that are log-normal around 300 µs, from a fixed linear congruential generator: one
/// in a hundred fails, one in a thousand connects.
pub(crate) fn work(names: usize, seed: u64) -> Vec<Work> {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    (0..4_096)
        .map(|n| {
            let (a, b) = (uniform(), uniform());
            let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
            let waiting = 0.3 * (0.5 * normal).exp();
            let phases_ms =
                [0.004 + 0.004 * uniform(), waiting, 0.002 + 0.02 * uniform()].map(|ms| ms as f32);
            let took = Duration::from_secs_f64(phases_ms.iter().copied().map(f64::from).sum::<f64>() / 1e3);
            Work {
                name: format!("http://127.0.0.1:8080/seats/{}/price", n % names),
                status: if uniform() < 0.01 { 503 } else { 200 },
                phases_ms,
                connecting_ms: if uniform() < 0.001 { 0.05 } else { 0.0 },
                bytes: 300 + (uniform() * 2_000.0) as u64,
                took: took + Duration::from_micros(12),
            }
        })
        .collect()
}

/// Tells whether the bar is met; a failure only if that was asked for.
pub(crate) fn verdict(met: bool, what: &str, check: bool) -> ExitCode {
    println!("{}: {what}", if met { "met" } else { "MISSED" });
    if met || !check { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
