//! What load tests this binary has: each `#[load_test]` leaves a [`Registration`], found without a list.
//!
//! [`definitions`] turns all of them into what the subcommand is told, and says what is wrong with those
//! that can't be. Nothing here runs a test.

use std::any::TypeId;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use loadtest_core::options::Options;
use loadtest_core::results::Definition;

use crate::lifecycle::Scenario;

/// One load test, as the attribute registers it.
#[derive(Debug)]
pub struct Registration {
    /// The path of the entry test, crate name included, between [`MARKER`](loadtest_core::wire::MARKER) and
    /// [`MARKER_END`](loadtest_core::wire::MARKER_END): bytes that can be found in the executable.
    pub marker: &'static str,
    /// `module_path!()` at the function: crate name, then modules.
    pub module_path: &'static str,
    /// The function's name, without `r#`.
    pub function: &'static str,
    /// `CARGO_PKG_NAME` of the crate.
    pub package: &'static str,
    /// Source file, as the compiler names it.
    pub file: &'static str,
    /// Line of the function, from one.
    pub line: u32,
    /// The key `test`.
    pub test: Option<&'static str>,
    /// The key `name`.
    pub name: Option<&'static str>,
    /// The key `binaries`.
    pub binaries: &'static [&'static str],
    /// The options that the attribute gives; an error if a constant does not parse.
    pub options: fn() -> Result<Options, loadtest_core::Error>,
    /// The test itself.
    pub scenario: fn() -> Box<dyn Scenario>,
    /// Which function the key `reset` names: [`id_of`](crate::lifecycle::id_of).
    pub reset_id: fn() -> Option<TypeId>,
    /// Which function the key `setup` names. Scenarios of one test with the same one share its call and value.
    pub setup_id: fn() -> Option<TypeId>,
    /// Which function the key `teardown` names.
    pub teardown_id: fn() -> Option<TypeId>,
    /// Hash of the attribute's tokens, hexadecimal.
    pub attribute_hash: &'static str,
    /// Hash of the function's tokens, hexadecimal.
    pub body_hash: &'static str,
}

inventory::collect!(Registration);

impl Registration {
    /// The name of the test within its binary: the key `test`, or the function with its modules, without the
    /// crate. Registrations with the same one, in whatever modules, are scenarios of one test.
    pub fn test_name(&self) -> String {
        match (self.test, self.module_path.split_once("::")) {
            (Some(test), _) => test.to_owned(),
            (None, Some((_, modules))) => format!("{modules}::{}", self.function),
            (None, None) => self.function.to_owned(),
        }
    }

    /// The name of the scenario: the key `name` or the function.
    pub fn scenario_name(&self) -> &'static str {
        self.name.unwrap_or(self.function)
    }

    fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// By test, then scenario, then place, so that every run of a binary lists them alike: the order of
    /// registration is the linker's.
    fn order(&self, other: &Self) -> Ordering {
        let key = |r: &Self| (r.test_name(), r.scenario_name(), r.file, r.line);
        key(self).cmp(&key(other))
    }

    fn definition(&self) -> Result<Definition, String> {
        let options = (self.options)();
        let resolved = options.and_then(|options| Ok((options.resolve()?, options)));
        let (workload, options) = resolved
            .map_err(|error| format!("the load test `{}` at {}: {error}", self.test_name(), self.place()))?;
        Ok(Definition {
            test: self.test_name(),
            scenario: self.scenario_name().to_owned(),
            package: self.package.to_owned(),
            file: self.file.to_owned(),
            line: self.line,
            options,
            workload,
            binaries: self.binaries.iter().map(|&name| name.to_owned()).collect(),
            attribute_hash: self.attribute_hash.to_owned(),
            body_hash: self.body_hash.to_owned(),
        })
    }
}

/// Every load test of this binary by test and scenario, and what is wrong with those that are left out.
pub fn definitions() -> (Vec<Definition>, Vec<String>) {
    define(all())
}

/// The scenarios of one test, by its name within this binary.
pub fn find(test: &str) -> Vec<&'static Registration> {
    all().into_iter().filter(|registration| registration.test_name() == test).collect()
}

/// How libtest calls the entry of this load test: the path of the hidden test, without the crate.
pub fn entry_name(registration: &Registration) -> &'static str {
    // Without naming the marker's bytes: a copy of them here could look like an entry without a name.
    let path = registration.marker.rsplit(char::is_control).find(|part| !part.is_empty()).unwrap_or_default();
    path.split_once("::").map_or(path, |(_, entry)| entry)
}

fn all() -> Vec<&'static Registration> {
    let mut all: Vec<_> = inventory::iter::<Registration>.into_iter().collect();
    all.sort_by(|a, b| a.order(b));
    all
}

fn define(registrations: Vec<&Registration>) -> (Vec<Definition>, Vec<String>) {
    let mut definitions = Vec::new();
    let mut problems = Vec::new();
    let mut seen: BTreeMap<(String, &str), &Registration> = BTreeMap::new();
    for registration in registrations {
        let (test, scenario) = (registration.test_name(), registration.scenario_name());
        if let Some(first) = seen.get(&(test.clone(), scenario)) {
            problems.push(format!(
                "the load test `{test}` has two scenarios `{scenario}`, at {} and at {}\nhint: give one of them another name with `name = \"…\"`, or with `test = \"…\"` a test of its own",
                first.place(),
                registration.place()
            ));
            continue;
        }
        seen.insert((test, scenario), registration);
        match registration.definition() {
            Ok(definition) => definitions.push(definition),
            Err(problem) => problems.push(problem),
        }
    }
    (definitions, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::Attribute;
    use crate::lifecycle::builder;

    const BASE: Registration = Registration {
        marker: "\u{2}cargo-loadtest-entry-v1\u{2}shop::tests::__load_test_browse::load_test\u{3}",
        module_path: "shop::tests",
        function: "browse",
        package: "shop",
        file: "src/lib.rs",
        line: 7,
        test: None,
        name: None,
        binaries: &["shop"],
        options: || Attribute::new().vus(3).finish(),
        scenario: || {
            builder()
                .setup(async |_| Ok(()))
                .vu_init(async |_, _| Ok(()))
                .iterate(async |_, _, _| Ok(()))
                .teardown(async |_| Ok(()))
        },
        reset_id: || None,
        setup_id: || None,
        teardown_id: || None,
        attribute_hash: "1",
        body_hash: "2",
    };

    #[test]
    fn names_leave_the_crate_out() {
        assert_eq!(BASE.test_name(), "tests::browse");
        assert_eq!(Registration { module_path: "shop", ..BASE }.test_name(), "browse");
        assert_eq!(Registration { test: Some("rush"), ..BASE }.test_name(), "rush");
        assert_eq!(entry_name(&BASE), "tests::__load_test_browse::load_test");
    }

    #[test]
    fn a_definition_says_what_the_options_mean() {
        let (definitions, problems) = define(vec![&BASE]);
        assert_eq!(problems, Vec::<String>::new());
        let definition = &definitions[0];
        assert_eq!((definition.test.as_str(), definition.scenario.as_str()), ("tests::browse", "browse"));
        assert_eq!(definition.workload.shape.max_vus(), 3);
        assert_eq!(definition.binaries, ["shop"]);
    }

    #[test]
    fn equal_names_are_told_with_both_places() {
        let again = Registration { line: 70, ..BASE };
        let (definitions, problems) = define(vec![&BASE, &again]);
        assert_eq!(definitions.len(), 1);
        assert!(
            problems[0].contains("src/lib.rs:7") && problems[0].contains("src/lib.rs:70"),
            "{problems:?}"
        );
    }

    #[test]
    fn functions_with_one_test_name_are_its_scenarios() {
        let rush = Registration { test: Some("rush"), ..BASE };
        let pay = Registration { test: Some("rush"), function: "pay", line: 70, ..BASE };
        let late = Registration { test: Some("rush"), name: Some("late"), ..BASE };
        // In whatever module.
        let elsewhere = Registration { test: Some("rush"), name: Some("top"), module_path: "shop", ..BASE };
        let (definitions, problems) = define(vec![&rush, &pay, &late, &elsewhere]);
        assert_eq!(problems, Vec::<String>::new());
        let names: Vec<_> = definitions.iter().map(|d| (d.test.as_str(), d.scenario.as_str())).collect();
        assert_eq!(names, ["browse", "pay", "late", "top"].map(|scenario| ("rush", scenario)));
    }

    #[test]
    fn a_constant_that_does_not_parse_is_told_with_its_key_and_place() {
        let broken = Registration { options: || Attribute::new().duration("10").finish(), ..BASE };
        let (definitions, problems) = define(vec![&broken]);
        assert!(definitions.is_empty());
        assert!(problems[0].contains("src/lib.rs:7: `duration`: "), "{problems:?}");
    }
}
