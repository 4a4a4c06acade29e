//! The noise that earlier duets have shown, which raises the smallest change that counts.
//!
//! The main type is [`Noise`]. The pairs of a duet differ among themselves even if the code is the same. Pooled over
//! earlier duets (each around its own mean, so that a change of the code in one of them is no noise), that is the
//! standard deviation s of a pair's log ratio. A mean of k pairs moves by up to 2·s/√k by itself in 19 of 20 duets,
//! so nothing below counts.
//!
//! Refuses to do: raising the limit to more than twice of what is asked for. A machine that is noisier than that
//! makes comparisons inconclusive; it must not make regressions pass.

use std::collections::BTreeMap;

use loadtest_core::results::Fingerprint;

use crate::session::{RunValue, Session, TestRecord, is_same_class};
use crate::stats::descriptive::{logarithm, mean};

/// Fewest earlier duets to learn from.
const FEWEST_DUETS: usize = 3;
/// The limit, in units of the smallest effect that is asked for.
const MOST_TIMES: f64 = 2.0;
/// Standard errors that a mean of equal code stays within.
const STANDARD_ERRORS: f64 = 2.0;

/// Earlier duets of a test.
#[derive(Debug, Clone, Default)]
pub(super) struct Noise<'a> {
    duets: Vec<&'a TestRecord>,
}

/// What they say of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Learnt {
    /// The smallest change that counts, as a share.
    pub(super) floor: f64,
    /// Whether the noise is larger still.
    pub(super) capped: bool,
    /// How many duets have shown it.
    pub(super) duets: usize,
}

impl<'a> Noise<'a> {
    /// The duets of a test with the same load on the same class of machine.
    pub(super) fn of(sessions: &'a [Session], id: &str, workload_hash: &str, machine: &Fingerprint) -> Self {
        let fits = |test: &&TestRecord| {
            test.id == id
                && test.workload_hash == workload_hash
                && test.invalid.is_empty()
                && !test.base.is_empty()
        };
        let here = sessions.iter().filter(|session| is_same_class(&session.fingerprint, machine));
        Self { duets: here.flat_map(|session| &session.tests).filter(fits).collect() }
    }

    /// What the smallest change of a metric must be for `pairs` pairs, if that is more than `smallest`.
    pub(super) fn floor(&self, metric: &str, pairs: usize, smallest: f64) -> Option<Learnt> {
        let (mut squares, mut freedom, mut duets) = (0.0, 0usize, 0);
        for duet in &self.duets {
            let logs: Vec<f64> =
                duet.base.iter().zip(&duet.head).filter_map(|pair| log_ratio(pair, metric)).collect();
            if logs.len() < 2 {
                continue;
            }
            let middle = mean(&logs)?;
            squares += logs.iter().map(|log| (log - middle).powi(2)).sum::<f64>();
            freedom += logs.len() - 1;
            duets += 1;
        }
        if duets < FEWEST_DUETS || pairs == 0 {
            return None;
        }
        let spread = (squares / freedom as f64).sqrt();
        let learnt = (STANDARD_ERRORS * spread / (pairs as f64).sqrt()).exp_m1();
        let most = MOST_TIMES * smallest;
        (learnt > smallest).then(|| Learnt { floor: learnt.min(most), capped: learnt > most, duets })
    }
}

fn log_ratio(
    (base, head): (&BTreeMap<String, RunValue>, &BTreeMap<String, RunValue>),
    metric: &str,
) -> Option<f64> {
    let log = |run: &BTreeMap<String, RunValue>| logarithm(run.get(metric)?.value?);
    Some(log(head)? - log(base)?)
}
