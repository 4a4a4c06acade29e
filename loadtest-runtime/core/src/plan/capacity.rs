//! The search for the highest rate that holds, as a pure state machine: it says which rate to try next and is
//! told whether it held.

use crate::options::Search;

/// How often a rate that failed is tried in all: one bad moment of the machine is not the service's limit.
const TRIES: u32 = 2;

/// A search for a capacity. Rates are starts per time unit.
///
/// `binary` doubles the rate from the start until one fails or the maximum holds, then halves the distance
/// between the highest that held and the lowest that failed until it is at most the step. `step` adds the
/// step until one fails. A rate that failed is tried once more before it counts as failed.
#[derive(Debug, Clone)]
pub struct CapacitySearch {
    search: Search,
    start: u64,
    max: u64,
    step: u64,
    held: Option<u64>,
    failed: Option<u64>,
    tries: u32,
}

impl CapacitySearch {
    /// A search that has tried nothing yet. A step of 0 counts as 1, a maximum under the start as the start.
    pub fn new(search: Search, start: u64, max: u64, step: u64) -> Self {
        Self { search, start, max: max.max(start), step: step.max(1), held: None, failed: None, tries: 0 }
    }

    /// The rate to try now; `None` when the answer is known.
    pub fn next_rate(&self) -> Option<u64> {
        match (self.held, self.failed) {
            (None, None) => Some(self.start),
            // Even the start does not hold: what lies below was not asked for.
            (None, Some(_)) => None,
            (Some(held), None) if held >= self.max => None,
            (Some(held), None) => {
                let higher = match self.search {
                    Search::Binary => held.saturating_mul(2).max(held.saturating_add(1)),
                    Search::Step => held.saturating_add(self.step),
                };
                Some(higher.min(self.max))
            }
            (Some(held), Some(failed)) => {
                let open = self.search == Search::Binary && failed - held > self.step;
                open.then(|| held + (failed - held) / 2)
            }
        }
    }

    /// Takes note of how the rate of [`next_rate`](Self::next_rate) did.
    pub fn tell(&mut self, holds: bool) {
        let Some(rate) = self.next_rate() else { return };
        self.tries += 1;
        if holds {
            self.held = Some(rate);
            self.tries = 0;
        } else if self.tries >= TRIES {
            self.failed = Some(rate);
            self.tries = 0;
        }
    }

    /// The highest rate that held.
    pub fn highest_held(&self) -> Option<u64> {
        self.held
    }

    /// The lowest rate that failed; `None` if the maximum held.
    pub fn lowest_failed(&self) -> Option<u64> {
        self.failed
    }

    /// How many probes a search takes that has the worst luck.
    pub fn probes_at_most(&self) -> u32 {
        // By trying each place where the first failure may be: of doublings there are at most 64, of halvings
        // one more for each doubling; of steps the last one is the longest.
        let upwards = match self.search {
            Search::Step => {
                let steps = (self.max - self.start).div_ceil(self.step);
                return u32::try_from(steps).unwrap_or(u32::MAX).saturating_add(1).saturating_mul(TRIES);
            }
            Search::Binary => {
                let rates = std::iter::successors(Some(self.start), |rate| {
                    (*rate < self.max).then(|| rate.saturating_mul(2).max(rate + 1).min(self.max))
                });
                rates.collect::<Vec<_>>()
            }
        };
        let halvings = |width: u64| {
            let widths = std::iter::successors(Some(width), |width| Some(width.div_ceil(2)));
            widths.take_while(|width| *width > self.step).count() as u32
        };
        let failing_at = |place: usize| match place.checked_sub(1) {
            None => TRIES,
            Some(before) => place as u32 * TRIES + TRIES + halvings(upwards[place] - upwards[before]) * TRIES,
        };
        let worst = (0..upwards.len()).map(failing_at).max().unwrap_or(TRIES);
        worst.max(upwards.len() as u32 * TRIES)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches a service that bears this rate; returns the search and its probes.
    fn find(mut search: CapacitySearch, bears: u64) -> (CapacitySearch, Vec<u64>) {
        let mut probes = Vec::new();
        while let Some(rate) = search.next_rate() {
            probes.push(rate);
            search.tell(rate <= bears);
        }
        (search, probes)
    }

    #[test]
    fn a_binary_search_doubles_then_halves() {
        let (search, probes) = find(CapacitySearch::new(Search::Binary, 100, 2_000, 50), 730);
        assert_eq!(probes, [100, 200, 400, 800, 800, 600, 700, 750, 750]);
        assert_eq!((search.highest_held(), search.lowest_failed()), (Some(700), Some(750)));
    }

    #[test]
    fn a_search_by_steps_goes_up_until_one_fails_twice() {
        let (search, probes) = find(CapacitySearch::new(Search::Step, 100, 500, 100), 250);
        assert_eq!(probes, [100, 200, 300, 300]);
        assert_eq!((search.highest_held(), search.lowest_failed()), (Some(200), Some(300)));
    }

    #[test]
    fn a_service_that_bears_all_or_nothing_is_no_riddle() {
        let (search, probes) = find(CapacitySearch::new(Search::Binary, 100, 300, 10), 1_000);
        assert_eq!((probes, search.lowest_failed()), (vec![100, 200, 300], None));
        let (search, probes) = find(CapacitySearch::new(Search::Binary, 100, 300, 10), 1);
        assert_eq!((probes, search.highest_held()), (vec![100, 100], None));
    }

    #[test]
    fn one_bad_moment_does_not_end_the_search() {
        let mut search = CapacitySearch::new(Search::Step, 1, 3, 1);
        for holds in [true, false, true, true] {
            search.tell(holds);
        }
        assert_eq!((search.next_rate(), search.highest_held()), (None, Some(3)));
    }

    proptest! {
        #[test]
        fn the_answer_brackets_the_truth_within_the_step(
            start in 1u64..500, more in 0u64..5_000, step in 1u64..200, bears in 0u64..6_000, binary: bool,
        ) {
            let kind = if binary { Search::Binary } else { Search::Step };
            let fresh = CapacitySearch::new(kind, start, start + more, step);
            let (search, probes) = find(fresh.clone(), bears);
            prop_assert!(probes.len() as u32 <= fresh.probes_at_most(), "{probes:?}");
            prop_assert!(search.highest_held().is_none_or(|held| held <= bears));
            prop_assert!(search.lowest_failed().is_none_or(|failed| failed > bears));
            if let (Some(held), Some(failed)) = (search.highest_held(), search.lowest_failed()) {
                prop_assert!(failed - held <= step);
            }
        }
    }
}
