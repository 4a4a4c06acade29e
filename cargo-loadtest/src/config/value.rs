//! Single values, from whatever place: core's parser, and what no place may ask for.

use loadtest_core::Error;
use loadtest_core::metric::Builtin;
use loadtest_core::options::{OptionSpec, Options, Workload};
use loadtest_core::units::format_count;

/// More virtual users than one process can hold: a slip of the finger must not exhaust the memory.
const MAX_VUS: u32 = 1_000_000;

/// Options that are numbers of virtual users.
const NUMBERS_OF_VUS: &[&str] = &["vus", "start_vus", "pre_allocated_vus", "max_vus"];

/// Options of which 0 never means anything.
const FROM_ONE: &[&str] = &["vus", "iterations", "rate", "max_rate", "step", "rps", "max_vus", "batch"];

/// Reads the text of one value into `options`.
///
/// # Errors
/// If core's parser does not take it, it is a number of virtual users that no process can hold, or a limit
/// that does not fit its built-in metric. Other metrics are the test's own and are known when it runs.
pub(crate) fn set(options: &mut Options, option: &OptionSpec, text: &str) -> Result<(), Error> {
    let number: Option<u64> = text.trim().parse().ok();
    if NUMBERS_OF_VUS.contains(&option.name) {
        number.map_or(Ok(()), bounded_vus)?;
    }
    if FROM_ONE.contains(&option.name) && number == Some(0) {
        return Err(Error::new("counts from 1"));
    }
    let before = options.thresholds.len();
    (option.set)(options, text)?;
    for threshold in options.thresholds.iter().skip(before) {
        let builtin = Builtin::ALL.iter().find(|metric| metric.name() == threshold.metric);
        builtin.map_or(Ok(()), |metric| threshold.check_kind(&metric.def()))?;
    }
    Ok(())
}

/// Refuses a number of virtual users that one process can't hold.
///
/// # Errors
/// If it is more than a million.
pub(crate) fn bounded_vus(vus: u64) -> Result<(), Error> {
    match vus <= MAX_VUS.into() {
        true => Ok(()),
        false => Err(Error::new(format!("{vus} virtual users are too many for one process"))
            .hint(format!("at most {} are possible", format_count(MAX_VUS.into())))),
    }
}

/// Options resolved to a load that one process can hold.
///
/// # Errors
/// Those of [`Options::resolve`], and too many virtual users.
pub(super) fn resolve(options: &Options) -> Result<Workload, Error> {
    let workload = options.resolve()?;
    bounded_vus(workload.shape.max_vus().into())?;
    Ok(workload)
}
