//! Names of baselines, and the names of their files.
//!
//! A name may be that of a branch, so it may have slashes; its file is one file all the same, and never
//! anywhere else.

use anyhow::bail;

/// The longest name. Its file's name stays below what file systems take.
const LONGEST: usize = 80;

const SLASH: &str = "%2F";
const SUFFIX: &str = ".json";

/// The file name of a baseline.
///
/// # Errors
/// If the name is not one.
pub(super) fn file_of(name: &str) -> anyhow::Result<String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    if name.len() > LONGEST {
        bail!("the name of the baseline has {} bytes\nhint: {LONGEST} are allowed", name.len());
    }
    if !name.chars().all(known) || !name.split('/').all(part) {
        bail!(
            "`{}` can't be the name of a baseline\nhint: letters, digits, `.`, `_`, `-`, and `/` between parts, for \
             example `main` or `feature/seats`",
            name.escape_debug()
        );
    }
    Ok(format!("{}{SUFFIX}", name.replace('/', SLASH)))
}

/// The baseline's name of a file, if it is one.
pub(super) fn name_of(file: &str) -> Option<String> {
    let name = file.strip_suffix(SUFFIX)?.replace(SLASH, "/");
    (file_of(&name).ok()? == file).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_branches_are_one_file_each_and_come_back() {
        for (name, file) in [("main", "main.json"), ("feature/seats-2.0", "feature%2Fseats-2.0.json")] {
            assert_eq!(file_of(name).expect("a name"), file);
            assert_eq!(name_of(file).as_deref(), Some(name));
        }
    }

    #[test]
    fn no_name_leads_elsewhere() {
        for name in
            ["", "..", "../main", "/main", "a//b", "a/./b", "main/", "a b", "a%2Fb", "a\0", "가", "a\\b"]
        {
            assert!(file_of(name).is_err(), "{name:?}");
        }
        assert!(file_of(&"x".repeat(81)).is_err());
        assert_eq!(name_of("..%2Fx.json"), None);
        assert_eq!(name_of(".tmp-1"), None);
    }
}
