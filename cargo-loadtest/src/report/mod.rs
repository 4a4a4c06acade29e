//! What a user reads of a run: the end-of-test summary ([`text`]), the results document ([`json`]) and the
//! HTML report ([`html`]).
//!
//! The way is run → `view` → template: a view holds finished texts, so that templates only place them.
//! **Invariant**: nothing here computes a statistic. Sums and quantiles come from [`crate::data`], estimates
//! and verdicts from [`crate::compare`], pass or fail from [`crate::verdict`]. Everything that comes from
//! outside (names, URLs, tags, messages) is hostile until it went through `clean` and, for the page,
//! through the templates' escaping.

mod chart;
mod clean;
pub mod html;
pub mod json;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod schema;
pub mod text;
pub mod trend;
mod view;

pub use text::TextOptions;
pub use view::{MetricRow, TestRows, comparison_rows, first_line};
