//! Descriptive statistics: mean, variance, standard error, geometric mean, quantile.
//!
//! All functions return `None` where the statistic does not exist (too few values, or no logarithm), so a
//! missing number can't be mistaken for zero. NaN in gives NaN out, except where said.
//!
//! Refuses to do: weighting and trimming. A run is never dropped for its value.

/// Arithmetic mean. `None` for an empty slice.
///
/// ```
/// assert_eq!(cargo_loadtest::stats::descriptive::mean(&[1.0, 2.0, 6.0]), Some(3.0));
/// ```
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

/// Unbiased sample variance, Σ(xᵢ − x̄)² / (n − 1), in the square of the values' unit. `None` below two values.
///
/// Two passes: the textbook single pass loses all digits when the spread is small beside the mean.
pub fn variance(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    Some(values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64)
}

/// Sample standard deviation, the square root of [`variance`]. `None` below two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    variance(values).map(f64::sqrt)
}

/// Standard error of the mean of *independent* values, s/√n. `None` below two values.
///
/// Windows of one run are not independent: use [`batch_means`](crate::stats::batch_means::batch_means) there.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    standard_deviation(values).map(|s| s / (values.len() as f64).sqrt())
}

/// Geometric mean, exp(mean(ln xᵢ)). `None` for an empty slice, or if any value is not finite and above zero.
///
/// Used over endpoints: one that triples moves it by the same factor whether it is fast or slow.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs = values.iter().map(|&x| logarithm(x)).collect::<Option<Vec<f64>>>()?;
    mean(&logs).map(f64::exp)
}

/// Quantile by linear interpolation between order statistics: position (n − 1)·q, the default of R (type 7),
/// NumPy and k6 (Hyndman and Fan 1996). `q` is a fraction, 0.95 for the 95th percentile.
///
/// `None` for an empty slice, for `q` outside 0 to 1, or if a value is NaN.
///
/// ```
/// let values = [0.0, 100.0, 30.0, 80.0, 70.0, 60.0, 50.0, 40.0, 90.0, 20.0];
/// assert_eq!(cargo_loadtest::stats::descriptive::quantile(&values, 0.9), Some(91.0));
/// ```
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    if values.is_empty() || !(0.0..=1.0).contains(&q) || values.iter().any(|x| x.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = (sorted.len() - 1) as f64 * q;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let fraction = position - below as f64;
    // Without this case an infinite neighbour would turn an exact order statistic into NaN.
    if fraction == 0.0 {
        return Some(sorted[below]);
    }
    Some(sorted[below] + fraction * (sorted[above] - sorted[below]))
}

/// Natural logarithm of a finite value above zero, else `None`.
pub fn logarithm(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then(|| value.ln())
}
