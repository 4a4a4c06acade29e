//! The `#[load_test]` attribute, as its users meet it.

/// Every mistake that the macro finds, with the text that the compiler shows.
#[test]
fn mistakes_are_shown_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
