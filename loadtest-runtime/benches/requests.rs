//! What a request costs the generator: `cargo bench -p loadtest-runtime --bench requests -- --url URL`.
//!
//! Runs full iterations, as a user writes them, for a time: one request through `vu.http()`, with all phases
//! timed and all built-in metrics recorded and aggregated, and one check. The last line is for programs:
//! `requests=N`. What they cost in time of the processor is measured from outside, by `benches/peers.py`, which
//! does the same with other tools.
//!
//! `--vus 64 --seconds 4` are the defaults; `--post BYTES` sends so large a JSON document.

mod engine;

use std::process::ExitCode;
use std::time::Duration;

use loadtest_core::metric::Totals;
use loadtest_core::options::Options;
use loadtest_core::wire;
use loadtest_runtime::prelude::*;

#[load_test(executor = "constant-vus", vus = 64, duration = "4s", graceful_stop = "0s")]
async fn get(vu: &mut Vu) -> Result<()> {
    let url = vu.env("URL").unwrap_or_default().to_owned();
    let response = vu.http().get(url).send().await?;
    vu.check("ok", response.status() == 200);
    Ok(())
}

#[load_test(executor = "constant-vus", vus = 64, duration = "4s", graceful_stop = "0s")]
async fn post(vu: &mut Vu) -> Result<()> {
    let url = vu.env("URL").unwrap_or_default().to_owned();
    let body = vu.env("BODY").unwrap_or_default().to_owned();
    let request = vu.http().post(url).header("content-type", "application/json").body(body);
    let response = request.send().await?;
    vu.check("ok", response.status() == 200);
    Ok(())
}

/// What is measured.
struct Plan {
    url: String,
    vus: u32,
    seconds: u64,
    post: usize,
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
            eprintln!("{error}. hint: `-- --url http://127.0.0.1:8080/ --vus 64 --seconds 4`");
            return ExitCode::from(2);
        }
    };
    match measure(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the engine could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` unless this is a benchmark.
fn read_arguments() -> std::result::Result<Option<Plan>, String> {
    let mut plan = Plan { url: String::new(), vus: 64, seconds: 4, post: 0 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--bench" {
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("`{argument}` needs a value"))?;
        let number = || value.parse::<u32>().map_err(|_| format!("`{value}` is no number"));
        match argument.as_str() {
            "--url" => plan.url = value,
            "--vus" => plan.vus = number()?,
            "--seconds" => plan.seconds = number()?.into(),
            "--post" => plan.post = number()? as usize,
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok((!plan.url.is_empty()).then_some(plan))
}

fn measure(plan: &Plan) -> std::io::Result<()> {
    let definition = engine::definition(if plan.post > 0 { "post" } else { "get" })?;
    let change = |mut options: Options| {
        options.vus = Some(plan.vus);
        options.duration = Some(Duration::from_secs(plan.seconds));
        options.env.insert("URL".to_owned(), plan.url.clone());
        if let Some(filling) = plan.post.checked_sub("{\"x\":\"\"}".len()) {
            options.env.insert("BODY".to_owned(), format!("{{\"x\":\"{}\"}}", "a".repeat(filling)));
        }
        options
    };
    let (mut duration, mut requests) = (Totals::default(), Totals::default());
    let mut names = std::collections::HashMap::new();
    let outcome = engine::run(definition, change, |interval| {
        names.extend(interval.new_series.into_iter().map(|def| (def.id, def.metric.name)));
        for (id, totals) in interval.series {
            match names.get(&id).map(String::as_str) {
                Some("http_req_duration") => duration.merge(&totals),
                Some("http_reqs") => requests.merge(&totals),
                _ => {}
            }
        }
    })?;
    let in_ms = |q| duration.hist.as_ref().and_then(|hist| hist.quantile(q)).unwrap_or(0.0) / 1e3;
    println!(
        "{} virtual users, {:.2} s: {:.0} requests/s, http_req_duration p50 {:.3} ms, p99 {:.3} ms",
        plan.vus,
        outcome.load_seconds,
        requests.sum / outcome.load_seconds,
        in_ms(0.5),
        in_ms(0.99),
    );
    outcome.errors.iter().for_each(|error| println!("error: {} times {}", error.count, error.message));
    outcome.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    println!("requests={:.0}", requests.sum);
    Ok(())
}
