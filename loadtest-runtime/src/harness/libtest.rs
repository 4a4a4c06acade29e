//! What libtest would answer, for a target with `harness = false`: `cargo test` and nextest ask every test
//! binary alike. All tests here count as ignored, and none is ever run this way.

/// Options that take a value as an argument of its own.
const WITH_VALUE: [&str; 7] =
    ["--format", "--color", "--skip", "--test-threads", "--logfile", "--shuffle-seed", "-Z"];

/// The answer to a command line, which names tests by filters as libtest's does.
pub(super) fn answer(arguments: impl IntoIterator<Item = String>, mut names: Vec<&str>) -> String {
    let mut arguments = arguments.into_iter();
    let (mut list, mut terse, mut exact) = (false, false, false);
    let (mut filters, mut skipped) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
            _ if WITH_VALUE.contains(&argument.as_str()) => (argument, arguments.next()),
            _ => (argument, None),
        };
        match (option.as_str(), value) {
            ("--list", _) => list = true,
            ("--exact", _) => exact = true,
            ("-q" | "--quiet", _) => terse = true,
            ("--format", value) => terse = value.as_deref() == Some("terse"),
            ("--skip", Some(value)) => skipped.push(value),
            (option, None) if !option.starts_with('-') => filters.push(option.to_owned()),
            _ => {}
        }
    }
    let fits =
        |name: &str, filter: &String| if exact { name == filter } else { name.contains(filter.as_str()) };
    names.retain(|name| {
        (filters.is_empty() || filters.iter().any(|filter| fits(name, filter)))
            && !skipped.iter().any(|filter| fits(name, filter))
    });
    names.sort_unstable();
    let mut answer: String =
        names.iter().map(|name| if list { format!("{name}: test\n") } else { String::new() }).collect();
    if list && !terse {
        answer.push_str(&format!("\n{} tests, 0 benchmarks\n", names.len()));
    } else if !list {
        answer.push_str(&format!("load tests ignored: {} (run with cargo loadtest)\n", names.len()));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> String {
        let names = vec!["shop::__load_test_buy::load_test", "__load_test_browse::load_test"];
        answer(line.split_ascii_whitespace().map(str::to_owned), names)
    }

    const BOTH: &str = "__load_test_browse::load_test: test\nshop::__load_test_buy::load_test: test\n";

    #[test]
    fn nextest_finds_every_test_and_all_of_them_ignored() {
        assert_eq!(ask("--list --format terse"), BOTH);
        assert_eq!(ask("--list --format terse --ignored"), BOTH);
    }

    #[test]
    fn the_list_is_filtered_as_libtest_does_it() {
        assert_eq!(ask("--list"), format!("{BOTH}\n2 tests, 0 benchmarks\n"));
        assert_eq!(ask("--list --format=terse shop"), "shop::__load_test_buy::load_test: test\n");
        assert_eq!(ask("--list -q --skip shop --test-threads 3"), "__load_test_browse::load_test: test\n");
        assert_eq!(ask("--list -q --exact shop"), "");
    }

    #[test]
    fn a_run_without_the_subcommand_runs_nothing_and_says_what_to_type() {
        let answer = ask("__load_test_browse::load_test --exact --nocapture --ignored");
        assert_eq!(answer, "load tests ignored: 1 (run with cargo loadtest)\n");
        assert_eq!(ask("--nocapture"), "load tests ignored: 2 (run with cargo loadtest)\n");
    }
}
