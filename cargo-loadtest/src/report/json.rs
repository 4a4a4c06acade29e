//! The results document, as `--format json` prints it: [`RunDocument`](loadtest_core::results::RunDocument)
//! with the comparison in it.
//!
//! The main function is [`document`]. It adds nothing to what the run directory holds.

use anyhow::Context;

use crate::compare::Comparison;
use crate::data::{RunData, WrittenDocument};

/// The run as indented JSON with a line break at its end.
///
/// # Errors
/// If a number in it has no JSON form.
pub fn document(run: &RunData, comparison: Option<&Comparison>) -> anyhow::Result<String> {
    let mut document = run.document.clone();
    if let Some(comparison) = comparison {
        document.comparison = Some(serde_json::to_value(comparison).context("can't write the comparison")?);
    }
    let written = WrittenDocument::new(&document, run.baseline_missing.as_deref());
    let mut text = serde_json::to_string_pretty(&written).context("can't write the results document")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use loadtest_core::results::RunDocument;

    use crate::report::sample;

    #[test]
    fn the_document_parses_back_and_holds_the_comparison() {
        let (run, _, comparison) = sample::concert();
        let text = super::document(&run, Some(&comparison)).expect("writes");
        let parsed: RunDocument = serde_json::from_str(&text).expect("parses");
        assert_eq!(parsed.tests[0].id, run.document.tests[0].id);
        assert_eq!(parsed.tests[0].outcome.errors, run.document.tests[0].outcome.errors);
        assert_eq!(parsed.comparison, Some(serde_json::to_value(&comparison).expect("serialises")));
        assert!(text.ends_with("}\n"));
        assert!(!text.contains("baseline_missing"));
    }

    #[test]
    fn a_baseline_that_was_not_there_is_in_the_document() {
        let (mut run, ..) = sample::concert();
        run.baseline_missing = Some("main".to_owned());
        let text = super::document(&run, None).expect("writes");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["baseline_missing"], "main");
        let parsed: RunDocument = serde_json::from_str(&text).expect("parses");
        assert_eq!(parsed.tests[0].id, run.document.tests[0].id);
    }
}
