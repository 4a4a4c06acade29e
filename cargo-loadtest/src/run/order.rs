//! The order in which tests run: `--test-order`.
//!
//! The main function is [`arrange`].

use std::collections::HashMap;
use std::path::Path;

use loadtest_core::{Error, suggest};

use crate::discover::LoadTest;

/// Puts the chosen tests in order: by `name`, that is id; by `file` and line of the first scenario; or as the
/// text file at that path lists ids, one a line, with the others after them by name. In it, `#` begins a
/// comment. `found` are all tests, also those that are not chosen, which the file may name too.
///
/// # Errors
/// If the file can't be read, or names a test that was not found or a test twice.
pub(super) fn arrange(tests: &mut [&LoadTest], found: &[LoadTest], order: &str) -> Result<(), Error> {
    tests.sort_by(|a, b| a.id.cmp(&b.id));
    match order {
        "name" => {}
        // A stable sort: ids decide where two tests are in one place.
        "file" => tests.sort_by(|a, b| place(a).cmp(&place(b))),
        path => {
            let text = std::fs::read_to_string(Path::new(path)).map_err(|error| {
                let hint = match suggest::nearest(path, ["name", "file"]) {
                    Some(near) => {
                        format!("did you mean `{near}`? Else give the path of a file that is there")
                    }
                    None => {
                        "write `name`, `file`, or the path of a file with a test id on each line".to_owned()
                    }
                };
                Error::new(format!("--test-order: can't read the file {path}: {error}")).hint(hint)
            })?;
            let places =
                listed(&text, found).map_err(|error| error.context(format_args!("--test-order {path}")))?;
            tests.sort_by_key(|test| places.get(test.id.as_str()).copied().unwrap_or(usize::MAX));
        }
    }
    Ok(())
}

fn place(test: &LoadTest) -> Option<(&str, &str, u32)> {
    let first = test.definitions.iter().min_by_key(|definition| (&definition.file, definition.line))?;
    Some((&test.binary.package, &first.file, first.line))
}

/// The line of each id.
fn listed<'t>(text: &'t str, found: &[LoadTest]) -> Result<HashMap<&'t str, usize>, Error> {
    let mut places = HashMap::new();
    for (n, line) in text.lines().enumerate() {
        // Ids have no `#`.
        let id = line.split('#').next().unwrap_or_default().trim();
        if id.is_empty() {
            continue;
        }
        if !found.iter().any(|test| test.id == id) {
            let near = suggest::nearest(id, found.iter().map(|test| test.id.as_str()));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`cargo loadtest --list` shows the ids".to_owned(),
            };
            return Err(Error::new(format!("line {}: there is no load test `{id}`", n + 1)).hint(hint));
        }
        if places.insert(id, n).is_some() {
            return Err(Error::new(format!("line {}: `{id}` stands there twice", n + 1)));
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::super::tests::load_test;
    use super::*;

    fn ids(tests: &[&LoadTest]) -> Vec<String> {
        tests.iter().map(|test| test.name.clone()).collect()
    }

    #[test]
    fn by_name_by_place_or_as_a_file_says() {
        let mut found = vec![load_test("c"), load_test("a"), load_test("b")];
        found[1].definitions[0].line = 90;
        let arranged = |order: &str| {
            let mut tests: Vec<&LoadTest> = found.iter().collect();
            arrange(&mut tests, &found, order).map(|()| ids(&tests))
        };
        assert_eq!(arranged("name"), Ok(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(arranged("file"), Ok(vec!["b".into(), "c".into(), "a".into()]));
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("order.txt");
        let as_listed = |text: &str| {
            std::fs::write(&file, text).expect("writes");
            arranged(&file.to_string_lossy())
        };
        assert_eq!(
            as_listed("# slow ones last\n\nshop/lib/c # first\r\n"),
            Ok(vec!["c".into(), "a".into(), "b".into()])
        );
        let unknown = as_listed("shop/lib/c\nshop/lib/d").expect_err("unknown").to_string();
        assert!(
            unknown.contains("line 2: there is no load test `shop/lib/d`\nhint: did you mean"),
            "{unknown}"
        );
        assert!(as_listed("shop/lib/c\nshop/lib/c").expect_err("twice").to_string().contains("twice"));
        assert!(arranged("files").expect_err("none").to_string().contains("hint: did you mean `file`?"));
        assert!(arranged("/no/such/file").expect_err("none").to_string().contains("`name`, `file`"));
    }

    #[test]
    fn a_listed_test_that_is_not_chosen_is_no_mistake() {
        let found = vec![load_test("a"), load_test("b")];
        assert_eq!(listed("shop/lib/b", &found).map(|places| places.len()), Ok(1));
        let mut chosen = vec![&found[0]];
        assert_eq!(arrange(&mut chosen, &found, "name").map(|()| ids(&chosen)), Ok(vec!["a".into()]));
    }
}
