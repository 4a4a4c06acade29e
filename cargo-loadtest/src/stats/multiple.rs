//! Several tests at once: Holm's and Benjamini and Hochberg's adjusted p-values.
//!
//! Both return one adjusted p per given p, in the given order, to be compared with the level itself.
//!
//! Refuses to do: choosing the family. Holm is for the metrics that gate, Benjamini-Hochberg for those that
//! only inform.

/// Holm's step-down adjustment (Holm 1979): controls the probability of *any* false alarm among the family,
/// whatever the dependence between the tests. NaN counts as 1.
///
/// ```
/// let adjusted = cargo_loadtest::stats::holm(&[0.01, 0.04, 0.03, 0.005]);
/// assert!(adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]).all(|(a, b)| (a - b).abs() < 1e-12));
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let order = ascending(p_values);
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * sound(p_values[index])).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg's step-up adjustment (1995): controls the expected share of false alarms among the
/// alarms raised, for independent or positively dependent tests. NaN counts as 1.
///
/// ```
/// let adjusted = cargo_loadtest::stats::benjamini_hochberg(&[0.01, 0.04, 0.03, 0.005]);
/// assert!(adjusted.iter().zip([0.02, 0.04, 0.04, 0.02]).all(|(a, b)| (a - b).abs() < 1e-12));
/// ```
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let order = ascending(p_values);
    let mut adjusted = vec![1.0; p_values.len()];
    let mut smallest: f64 = 1.0;
    for (rank, &index) in order.iter().enumerate().rev() {
        smallest = smallest.min(p_values.len() as f64 / (rank + 1) as f64 * sound(p_values[index]));
        adjusted[index] = smallest;
    }
    adjusted
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| sound(p_values[a]).total_cmp(&sound(p_values[b])));
    order
}

fn sound(p: f64) -> f64 {
    if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }
}
