//! What to say when there is no test to run: where it was looked for, and what would be found.

use std::net::SocketAddr;

use loadtest_core::suggest;

use crate::discover::select::Selection;
use crate::discover::{Found, Workspace};

/// The shortest test that is found.
const SHORTEST: &str = r"    #[cfg(test)]
    mod load_tests {
        use loadtest_runtime::prelude::*;

        #[load_test]
        async fn first() {}
    }";

/// What to type if the first filter is, or resembles, a command of this program; `control` is where it was to
/// listen.
pub(super) fn command_hint(filters: &[String], control: Option<SocketAddr>) -> Option<String> {
    let (first, rest) = filters.split_first()?;
    let commands = crate::cli::command_names();
    let near = suggest::nearest(first, commands.iter().map(String::as_str))?;
    // Whoever names several tests means no command, except with its operand: `scale 5`.
    if rest.iter().any(|operand| near != "scale" || operand.parse::<u32>().is_err()) {
        return None;
    }
    let mut line = format!("cargo loadtest {near}");
    rest.iter().for_each(|operand| line.extend([" ", operand]));
    // Port 0 is nowhere to be asked at.
    if let Some(address) = control.filter(|address| address.port() != 0) {
        line.push_str(&format!(" --control {address}"));
    }
    Some(match first == near {
        true => format!("commands come first: `{line}`"),
        false => format!("did you mean the command `{near}`? `{line}`"),
    })
}

/// What to type if a filter that matches nothing is the value of an option that takes it behind a `=`.
pub(super) fn value_hint(unmatched: &[String], detached: &[(String, String)]) -> Option<String> {
    let (_, spelled) = detached.iter().find(|(word, _)| unmatched.contains(word))?;
    Some(format!("the value of this option follows `=`: `{spelled}`"))
}

/// The message.
pub(super) fn message(workspace: &Workspace, found: &Found, selection: &Selection<'_>) -> String {
    let dependents: Vec<&str> = workspace.dependents().iter().map(|package| package.name.as_str()).collect();
    compose(&workspace.selected_names(), &dependents, found, selection)
}

fn compose(selected: &[&str], dependents: &[&str], found: &Found, selection: &Selection<'_>) -> String {
    if !found.tests.is_empty() {
        let filters = selection.filters.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(" or ");
        let how = if selection.exact { "is called" } else { "matches" };
        let mut near = selection.near(&found.tests);
        let intro = if near.is_empty() { "there are" } else { "did you mean" };
        if near.is_empty() {
            near = found.tests.iter().map(|test| test.id.as_str()).take(5).collect();
        }
        let all = found.tests.len();
        let more = if near.len() < all { "\nhint: `cargo loadtest --list` shows all" } else { "" };
        return format!(
            "no load test {how} {filters}; {all} looked at\n{intro}:\n    {}{more}",
            near.join("\n    ")
        );
    }
    if dependents.is_empty() {
        return format!(
            "no load test found: {} on loadtest-runtime\n\
             hint: add it to a package, and a test beside its code:\n\n    \
             cargo add --dev --path ../cargo-loadtest/loadtest-runtime\n\n{SHORTEST}\n\n\
             `-p PKG` and `--workspace` look into other packages",
            match selected {
                [] => "there is no package that could depend".to_owned(),
                [one] => format!("the package {one} does not depend"),
                several => format!("none of the packages {} depends", several.join(", ")),
            }
        );
    }
    format!(
        "no load test found in the packages {} (looked into {})\n\
         hint: this is one that would be found, in src/ or in tests/*.rs:\n\n{SHORTEST}",
        dependents.join(", "),
        if found.looked_at.is_empty() {
            "no test target: all have `test = false`".to_owned()
        } else {
            found.looked_at.join(", ")
        }
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests_list::tests::load_test;
    use super::*;

    fn said(selected: &[&str], dependents: &[&str], found: &Found, filters: &[&str]) -> String {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        compose(selected, dependents, found, &Selection { filters: &filters, exact: false })
    }

    #[test]
    fn a_package_without_the_dependency_is_told_how_to_add_it() {
        let text = said(&["shop"], &[], &Found::default(), &[]);
        assert!(text.contains("the package shop does not depend on loadtest-runtime"), "{text}");
        assert!(text.contains("cargo add --dev --path") && text.contains("#[load_test]"), "{text}");
    }

    #[test]
    fn a_command_in_the_wrong_place_or_misspelt_is_recognised() {
        let hint = |filters: &[&str], control: Option<&str>| {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            command_hint(&filters, control.map(|address| address.parse().expect("an address")))
        };
        assert_eq!(
            hint(&["status"], Some("127.0.0.1:7000")).as_deref(),
            Some("commands come first: `cargo loadtest status --control 127.0.0.1:7000`")
        );
        assert_eq!(
            hint(&["stauts"], None).as_deref(),
            Some("did you mean the command `status`? `cargo loadtest status`")
        );
        assert_eq!(
            hint(&["scale", "5"], None).as_deref(),
            Some("commands come first: `cargo loadtest scale 5`")
        );
        assert_eq!((hint(&["buy"], None), hint(&["stop", "buy"], None), hint(&[], None)), (None, None, None));
    }

    #[test]
    fn each_filter_that_matches_nothing_is_told_with_the_option_whose_value_it_is() {
        let tests = vec![load_test("tests::buy_ticket"), load_test("tests::http")];
        let filters = ["full", "http"].map(str::to_owned);
        let unmatched = |filters: &[String], exact| Selection { filters, exact }.unmatched(&tests);
        assert_eq!(unmatched(&filters, false), ["full"]);
        assert_eq!(unmatched(&["tests::http".to_owned(), "buy".to_owned()], true), ["buy"]);
        assert!(unmatched(&[], false).is_empty() && unmatched(&["buy".to_owned()], false).is_empty());
        let detached = [("full".to_owned(), "--http-debug=full".to_owned())];
        assert_eq!(
            value_hint(&unmatched(&filters, false), &detached).as_deref(),
            Some("the value of this option follows `=`: `--http-debug=full`")
        );
        assert_eq!(value_hint(&["banana".to_owned()], &detached), None);
        let found = Found { tests: tests.clone(), looked_at: vec!["shop/lib".to_owned()] };
        let text = said(&["shop"], &["shop"], &found, &["full"]);
        assert!(text.contains("no load test matches `full`; 2 looked at"), "{text}");
    }

    #[test]
    fn a_package_without_tests_is_told_where_it_was_looked() {
        let found =
            Found { tests: Vec::new(), looked_at: vec!["shop/lib".to_owned(), "shop/test:api".to_owned()] };
        let text = said(&["shop"], &["shop"], &found, &["buy"]);
        assert!(text.contains("shop/lib, shop/test:api") && text.contains("#[load_test]"), "{text}");
    }

    #[test]
    fn a_filter_that_matches_nothing_is_told_what_is_near() {
        let tests = vec![load_test("tests::buy_ticket"), load_test("tests::sell")];
        let found = Found { tests, looked_at: vec!["shop/lib".to_owned()] };
        let text = said(&["shop"], &["shop"], &found, &["buy_tiket"]);
        assert!(text.contains("did you mean:\n    shop/lib/tests::buy_ticket\n"), "{text}");
        let text = said(&["shop"], &["shop"], &found, &["banana"]);
        assert!(
            text.contains("there are:\n    shop/lib/tests::buy_ticket\n    shop/lib/tests::sell"),
            "{text}"
        );
    }
}
