//! On packages that cargo really reads.

use tempfile::TempDir;

use super::*;

/// A package with a library, and what else its manifest says.
fn package(name: &str, more: &str) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    write_package(directory.path(), name, more);
    directory
}

fn write_package(directory: &Path, name: &str, more: &str) {
    fs::create_dir_all(directory.join("src")).expect("a directory");
    fs::write(directory.join("src/lib.rs"), "").expect("written");
    let edition = if more.contains("edition") { "" } else { "edition = \"2021\"\n" };
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n{edition}{more}\n");
    fs::write(directory.join("Cargo.toml"), manifest).expect("written");
}

fn args(directory: &Path, template: Template) -> NewArgs {
    NewArgs { package: None, manifest_path: Some(directory.join("Cargo.toml")), template }
}

fn read(directory: &Path, path: &str) -> String {
    fs::read_to_string(directory.join(path)).expect("is there")
}

fn refused(args: &NewArgs) -> String {
    let failure = write(args, None).expect_err("refused");
    assert_eq!(failure.code, ExitCode::Usage);
    format!("{:#}", failure.error)
}

#[test]
fn a_test_is_written_and_the_way_on_is_said() {
    let shop = package("shop", "");
    let manifest = read(shop.path(), "Cargo.toml");
    let said = write(&args(shop.path(), Template::Http), None).expect("written");
    assert!(read(shop.path(), "tests/load.rs").contains("async fn browse("));
    assert_eq!(read(shop.path(), "Cargo.toml"), manifest, "without a path, the manifest is the user's");
    assert!(said.contains("cargo add -p shop --dev --path"), "{said}");
    assert!(said.trim_end().ends_with(" -p shop test:load/"), "{said}");
}

#[test]
fn nothing_is_overwritten() {
    let shop = package("shop", "");
    fs::create_dir(shop.path().join("tests")).expect("a directory");
    fs::write(shop.path().join("tests/load.rs"), "// mine").expect("written");
    let said = write(&args(shop.path(), Template::Arrival), None).expect("written");
    assert!(said.contains("test:load_arrival/"), "{said}");
    assert!(read(shop.path(), "tests/load_arrival.rs").contains("constant-arrival-rate"));
    let again = refused(&args(shop.path(), Template::Arrival));
    assert!(again.contains("tests/load_arrival.rs exist already") && again.contains("hint: "), "{again}");
    assert!(again.contains("--template http|scenario`"), "{again}");
    for kind in [Template::Http, Template::Scenario] {
        write(&args(shop.path(), kind), None).expect("written");
    }
    let none = refused(&args(shop.path(), Template::Arrival));
    assert!(none.trim_end().ends_with("hint: rename one of them"), "{none}");
    assert_eq!(read(shop.path(), "tests/load.rs"), "// mine");
}

#[test]
fn a_target_of_that_name_elsewhere_counts_as_taken() {
    let shop = package("shop", "[[test]]\nname = \"load\"\npath = \"other/load.rs\"");
    let said = write(&args(shop.path(), Template::Scenario), None).expect("written");
    assert!(said.contains("tests/load_scenario.rs"), "{said}");
}

#[test]
fn a_package_that_does_not_look_for_tests_is_told_what_to_add() {
    let shop = package("shop", "autotests = false");
    let said = write(&args(shop.path(), Template::Http), None).expect("written");
    assert!(said.contains("[[test]]\n    name = \"load\""), "{said}");
}

#[test]
fn the_runtime_is_added_by_cargo_once() {
    let shop = package("shop", "# a comment that stays\n[dev-dependencies]");
    let runtime = own_runtime().expect("the tests run in a checkout");
    let said = write(&args(shop.path(), Template::Http), Some(&runtime)).expect("written");
    assert!(said.contains("added     the dev-dependency loadtest-runtime"), "{said}");
    let manifest = read(shop.path(), "Cargo.toml");
    assert!(
        manifest.contains("# a comment that stays") && manifest.contains("loadtest-runtime"),
        "{manifest}"
    );
    let said = write(&args(shop.path(), Template::Arrival), Some(&runtime)).expect("written");
    assert!(!said.contains("added"), "{said}");
    assert_eq!(read(shop.path(), "Cargo.toml"), manifest);
}

#[test]
fn a_renamed_runtime_is_called_by_its_name() {
    let shop = package(
        "shop",
        "[dev-dependencies]\nmy-load = { package = \"loadtest-runtime\", version = \"0.1\" }",
    );
    let said = write(&args(shop.path(), Template::Scenario), None).expect("written");
    assert!(!said.contains("cargo add"), "{said}");
    let text = read(shop.path(), "tests/load.rs");
    assert!(text.contains("use my_load::prelude::*;") && !text.contains("loadtest_runtime"), "{text}");
    assert_eq!(text.matches("    crate = my_load,\n").count(), 2, "{text}");
}

#[test]
fn a_package_that_is_not_there_is_told_with_what_is_near() {
    let root = tempfile::tempdir().expect("a directory");
    fs::write(
        root.path().join("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"shop\", \"bank\"]\n",
    )
    .expect("written");
    for name in ["shop", "bank"] {
        write_package(&root.path().join(name), name, "");
    }
    let mut args = args(root.path(), Template::Http);
    assert!(
        refused(&args).contains("`--package P`, where P is one of `bank`, `shop`")
            || refused(&args).contains("`--package P`, where P is one of `shop`, `bank`")
    );
    args.package = Some("shopp".to_owned());
    assert!(refused(&args).contains("did you mean `shop`?"));
    args.package = Some("bank".to_owned());
    write(&args, None).expect("written");
    assert!(root.path().join("bank/tests/load.rs").is_file());
}

#[test]
fn no_package_and_an_old_one_are_told_what_to_do() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let said = refused(&args(nowhere.path(), Template::Http));
    assert!(said.contains("there is no package") && said.contains("cargo new --lib"), "{said}");
    let old = package("old", "edition = \"2015\"");
    assert!(refused(&args(old.path(), Template::Http)).contains("no async functions"));
}
