//! Dividing a plan among several generators, so that the union of all shards is exactly the whole plan.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::Error;

/// Which part of the load is this generator's: `0/4` to `3/4`. The default, `0/1`, is all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    /// Which one, from 0.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Shard { index: 0, count: 1 }
    }
}

impl Shard {
    /// The part of a level of virtual users: ⌊v/N⌋ + (i < v mod N).
    pub fn share(self, level: u32) -> u32 {
        level / self.parts() + u32::from(self.index < level % self.parts())
    }

    /// The part of a number of iterations; the same rule as for levels.
    pub fn share_u64(self, total: u64) -> u64 {
        let parts = u64::from(self.parts());
        total / parts + u64::from(u64::from(self.index) < total % parts)
    }

    /// The id among all shards of this shard's virtual user `n`, both from 0: i + n·N.
    pub fn global_id(self, n: u64) -> u64 {
        n.saturating_mul(u64::from(self.parts())).saturating_add(u64::from(self.index))
    }

    /// The part of a plan of levels. The first step is kept, and later ones that change something here.
    pub fn steps(self, plan: impl IntoIterator<Item = Step>) -> impl Iterator<Item = Step> {
        let mut previous = None;
        plan.into_iter().filter_map(move |step| {
            let vus = self.share(step.vus);
            (previous.replace(vus) != Some(vus)).then_some(Step { at: step.at, vus })
        })
    }

    /// The part of a plan of starts: each with its number in the whole plan, from 0.
    pub fn starts<T>(self, plan: impl IntoIterator<Item = T>) -> impl Iterator<Item = (u64, T)> {
        let (first, parts) = (u64::from(self.index), u64::from(self.parts()));
        let numbers = std::iter::successors(Some(first), move |k| k.checked_add(parts));
        numbers.zip(plan.into_iter().skip(self.index as usize).step_by(self.parts() as usize))
    }

    /// The number of shards; a value made by hand with none counts as whole.
    fn parts(self) -> u32 {
        self.count.max(1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = Error;

    /// Reads `i/N` with 0 ≤ i < N.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let malformed = || {
            Error::new(format!("the shard `{text}` is not of the form `i/N`"))
                .hint("write for example `0/4`: the first of four shards")
        };
        let (index, count) = text.split_once('/').ok_or_else(malformed)?;
        let index: u32 = index.trim().parse().map_err(|_| malformed())?;
        let count: u32 = count.trim().parse().map_err(|_| malformed())?;
        if count == 0 {
            return Err(Error::new(format!("the shard `{text}` is one of no shards"))
                .hint("all of the load is `0/1`"));
        }
        if index >= count {
            return Err(Error::new(format!("there is no shard `{text}`"))
                .hint(format!("shards count from 0: `0/{count}` to `{}/{count}`", count - 1)));
        }
        Ok(Shard { index, count })
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::options::Stage;
    use crate::plan::{constant_arrivals, levels, ramping_arrivals};

    #[test]
    fn shards_are_read_and_written() {
        assert_eq!("3/4".parse(), Ok(Shard { index: 3, count: 4 }));
        assert_eq!("0/1".parse(), Ok(Shard::default()));
        assert_eq!(Shard { index: 2, count: 5 }.to_string(), "2/5");
        let json = serde_json::to_string(&Shard { index: 2, count: 5 }).expect("serialises");
        assert_eq!(serde_json::from_str::<Shard>(&json).expect("parses"), Shard { index: 2, count: 5 });
    }

    #[test]
    fn wrong_shards_say_what_to_write() {
        for text in ["", "1", "a/b", "-1/4", "1/", "/4", "1/2/3", "99999999999/1"] {
            let error = text.parse::<Shard>().expect_err(text);
            assert!(error.hint_text().is_some_and(|hint| hint.contains("`0/4`")), "{error}");
        }
        let error = "4/4".parse::<Shard>().expect_err("beyond the last");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("`0/4` to `3/4`")), "{error}");
        assert!("0/0".parse::<Shard>().is_err());
    }

    #[test]
    fn the_part_of_one_of_very_many_costs_no_more_than_all_of_it() {
        let second = Duration::from_secs(1);
        let last = Shard { index: u32::MAX - 1, count: u32::MAX };
        let mut starts = last.starts(constant_arrivals(u64::MAX, second, second));
        assert_eq!(starts.next().map(|(k, _)| k), Some(u64::from(u32::MAX) - 1));
        assert_eq!(starts.next().map(|(k, _)| k), Some(2 * u64::from(u32::MAX) - 1));
        let stages = [Stage { duration: second, target: u64::MAX }];
        let mut starts = last.starts(ramping_arrivals(0, &stages, second));
        assert!(starts.next().is_some_and(|(k, at)| k == u64::from(u32::MAX) - 1 && at < second));
    }

    fn shards(count: u32) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard { index, count })
    }

    proptest! {
        #[test]
        fn the_union_of_all_shards_is_the_plan(
            count in 1u32..9,
            start in 0u32..30,
            plan in proptest::collection::vec((0u64..5_000, 0u64..30), 1..5),
            at in 0u64..20_000,
            rate in 1u64..200,
        ) {
            let stages: Vec<Stage> = plan
                .iter()
                .map(|(ms, target)| Stage { duration: Duration::from_millis(*ms), target: *target })
                .collect();
            let at = Duration::from_millis(at);
            let level = |steps: &mut dyn Iterator<Item = Step>| {
                steps.take_while(|step| step.at <= at).last().map_or(0, |step| step.vus)
            };
            let parts: u32 =
                shards(count).map(|shard| level(&mut shard.steps(levels(start, &stages)))).sum();
            prop_assert_eq!(parts, level(&mut levels(start, &stages)));

            let whole = || constant_arrivals(rate, Duration::from_secs(1), Duration::from_secs(2));
            let mut union: Vec<_> = shards(count).flat_map(|shard| shard.starts(whole())).collect();
            union.sort_unstable();
            prop_assert_eq!(union, (0..).zip(whole()).collect::<Vec<_>>());
        }

        #[test]
        fn shares_add_up_and_ids_are_unique(count in 1u32..9, vus in 0u32..200, iterations: u64) {
            prop_assert_eq!(shards(count).map(|shard| shard.share(vus)).sum::<u32>(), vus);
            prop_assert_eq!(shards(count).map(|shard| shard.share_u64(iterations)).sum::<u64>(), iterations);
            let mut ids: Vec<u64> = shards(count)
                .flat_map(|shard| (0..u64::from(shard.share(vus))).map(move |n| shard.global_id(n)))
                .collect();
            ids.sort_unstable();
            prop_assert_eq!(ids, (0..u64::from(vus)).collect::<Vec<_>>());
        }
    }
}
