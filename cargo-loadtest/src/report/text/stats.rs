//! What the summary shows of a trend: `avg`, `min`, `med`, `max`, `count`, `p(95)`.

use loadtest_core::metric::{Totals, Unit};
use loadtest_core::units::{format_count, format_value};
use loadtest_core::{Error, suggest};

const NAMES: [&str; 5] = ["avg", "min", "med", "max", "count"];

/// Reads the list of `--summary-trend-stats`: names and percentiles, with commas between them.
///
/// # Errors
/// If one of them is not known, the list is empty, or a percentile is not within 0 to 100.
pub fn check_trend_stats(list: &str) -> Result<Vec<String>, Error> {
    let example = "write for example `avg,min,med,max,p(95),p(99.9),count`";
    let mut stats: Vec<String> = Vec::new();
    for stat in list.split(',').map(str::trim) {
        if stat.is_empty() {
            return Err(Error::new("a trend statistic is empty").hint(example));
        }
        if let Some(inner) = stat.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')')) {
            let percentile = inner.trim().parse::<f64>().ok().filter(|x| (0.0..=100.0).contains(x));
            let Some(percentile) = percentile else {
                return Err(
                    Error::new(format!("the percentile `{stat}` is not between 0 and 100")).hint(example)
                );
            };
            stats.push(format!("p({percentile})"));
        } else if NAMES.contains(&stat) {
            stats.push(stat.to_owned());
        } else {
            let hint = match stat.strip_prefix('p').filter(|rest| rest.parse::<f64>().is_ok()) {
                Some(number) => format!("did you mean `p({number})`?"),
                None => suggest::hint(stat, NAMES.into_iter().chain(["p(90)", "p(95)", "p(99)"])),
            };
            return Err(Error::new(format!("unknown trend statistic `{stat}`")).hint(hint));
        }
    }
    Ok(stats)
}

/// The value of one of them.
pub(super) fn show(stat: &str, totals: &Totals, unit: Unit) -> String {
    let percentile = || stat.strip_prefix("p(")?.strip_suffix(')')?.parse::<f64>().ok();
    let value = match stat {
        "avg" => totals.mean(),
        "min" => Some(totals.min),
        "med" => totals.quantile(0.5, unit),
        "max" => Some(totals.max),
        "count" => return format_count(totals.count as f64),
        _ => percentile().and_then(|x| totals.quantile(x / 100.0, unit)),
    };
    value.map_or_else(|| "–".to_owned(), |value| format_value(value, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_as_k6_users_write_them() {
        assert_eq!(
            check_trend_stats("avg, p(95),p(99.9) ,count").expect("valid"),
            ["avg", "p(95)", "p(99.9)", "count"]
        );
        for (list, part) in [
            ("", "empty"),
            ("avg,", "empty"),
            ("p(101)", "between"),
            ("p(x)", "between"),
            ("p95", "p(95)"),
            ("mean", "unknown"),
            ("medd", "med"),
        ] {
            let error = check_trend_stats(list).expect_err(list).to_string();
            assert!(error.contains(part), "{list}: {error}");
        }
    }
}
