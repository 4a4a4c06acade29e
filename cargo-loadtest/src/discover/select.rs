//! Which of the load tests that were found are meant.
//!
//! The main type is [`Selection`].

use loadtest_core::suggest;

use super::LoadTest;

/// The filters of the command line.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// Any of these is enough; none means all.
    pub filters: &'a [String],
    /// Whole ids or whole names instead of parts of ids.
    pub exact: bool,
}

impl Selection<'_> {
    /// Whether a test is meant.
    pub fn takes(&self, id: &str, name: &str) -> bool {
        self.filters.is_empty()
            || self.filters.iter().any(|filter| match self.exact {
                true => filter == id || filter == name,
                false => id.contains(filter.as_str()),
            })
    }

    /// The filters that mean none of the tests.
    pub fn unmatched(&self, tests: &[LoadTest]) -> Vec<String> {
        let matches = |filter: &String| {
            let alone = Selection { filters: std::slice::from_ref(filter), exact: self.exact };
            tests.iter().any(|test| alone.takes(&test.id, &test.name))
        };
        self.filters.iter().filter(|filter| !matches(filter)).cloned().collect()
    }

    /// Ids that resemble a filter, for the message that none matches; at most five.
    pub fn near<'t>(&self, tests: &'t [LoadTest]) -> Vec<&'t str> {
        let mut near = Vec::new();
        for filter in self.filters {
            let wanted = last_part(filter);
            let named = suggest::nearest(wanted, tests.iter().map(|test| last_part(&test.id)));
            let alike = tests.iter().filter(|test| {
                Some(last_part(&test.id)) == named
                    || (self.exact && test.id.contains(filter.as_str()))
                    || test.id.to_lowercase().contains(&filter.to_lowercase())
            });
            for test in alike {
                if !near.contains(&test.id.as_str()) {
                    near.push(&test.id);
                }
            }
        }
        near.truncate(5);
        near
    }
}

/// The function's name in an id or a filter.
fn last_part(id: &str) -> &str {
    id.rsplit([':', '/']).next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(filters: &[&str], exact: bool) -> bool {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        Selection { filters: &filters, exact }.takes("shop/lib/tests::buy", "tests::buy")
    }

    #[test]
    fn a_filter_is_a_part_of_the_id_or_exactly_it() {
        assert!(takes(&[], false) && takes(&["buy"], false) && takes(&["shop/"], false));
        assert!(takes(&["sell", "lib/tests"], false) && !takes(&["sell"], false) && !takes(&["Buy"], false));
        assert!(takes(&["shop/lib/tests::buy"], true) && takes(&["tests::buy"], true));
        assert!(!takes(&["buy"], true));
    }
}
