//! Which statuses a request expects: [`ExpectedStatus`].

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;

use ::http::StatusCode;

/// What `.expected_status(..)` takes: a number, a range, a list of either numbers, or a function of the status.
pub trait ExpectedStatus {
    /// Turns the value into a rule.
    #[doc(hidden)]
    fn into_rule(self) -> StatusRule;
}

/// A rule over statuses.
#[doc(hidden)]
#[derive(Clone, Default)]
pub enum StatusRule {
    /// 200 to 399.
    #[default]
    Success,
    /// From the first to the last, both included.
    Between(u16, u16),
    /// One of these.
    OneOf(Rc<[u16]>),
    /// What the function accepts.
    Accepts(Rc<dyn Fn(u16) -> bool>),
}

impl StatusRule {
    pub(super) fn accepts(&self, status: u16) -> bool {
        match self {
            Self::Success => (200..400).contains(&status),
            Self::Between(first, last) => (*first..=*last).contains(&status),
            Self::OneOf(list) => list.contains(&status),
            Self::Accepts(function) => function(status),
        }
    }
}

impl fmt::Debug for StatusRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("200..=399"),
            Self::Between(first, last) => write!(f, "{first}..={last}"),
            Self::OneOf(list) => write!(f, "{list:?}"),
            Self::Accepts(_) => f.write_str("fn(u16) -> bool"),
        }
    }
}

impl ExpectedStatus for u16 {
    fn into_rule(self) -> StatusRule {
        StatusRule::Between(self, self)
    }
}

impl ExpectedStatus for StatusCode {
    fn into_rule(self) -> StatusRule {
        self.as_u16().into_rule()
    }
}

impl ExpectedStatus for RangeInclusive<u16> {
    fn into_rule(self) -> StatusRule {
        StatusRule::Between(*self.start(), *self.end())
    }
}

impl ExpectedStatus for Range<u16> {
    fn into_rule(self) -> StatusRule {
        // An empty range accepts nothing; `1..=0` is the inclusive way to say so.
        if self.is_empty() {
            StatusRule::Between(1, 0)
        } else {
            StatusRule::Between(self.start, self.end - 1)
        }
    }
}

impl<const N: usize> ExpectedStatus for [u16; N] {
    fn into_rule(self) -> StatusRule {
        StatusRule::OneOf(Rc::new(self))
    }
}

impl ExpectedStatus for &[u16] {
    fn into_rule(self) -> StatusRule {
        StatusRule::OneOf(self.into())
    }
}

impl ExpectedStatus for Vec<u16> {
    fn into_rule(self) -> StatusRule {
        StatusRule::OneOf(self.into())
    }
}

impl<F: Fn(u16) -> bool + 'static> ExpectedStatus for F {
    fn into_rule(self) -> StatusRule {
        StatusRule::Accepts(Rc::new(self))
    }
}
