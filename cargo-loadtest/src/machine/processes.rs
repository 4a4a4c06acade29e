//! Other processes, as `/proc` shows them: who started whom, their threads, and which executable runs.
//!
//! The main type is [`RunningExecutable`]. Where there is no `/proc` there are no processes to be seen.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// An executable while it runs: what proves that a service is the binary of its own source tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningExecutable {
    /// The service's name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// The file, links resolved. If it was replaced since, the system has appended ` (deleted)`.
    pub path: PathBuf,
    /// Of the content that runs, also if the file was replaced: 64 hexadecimal digits.
    pub sha256: String,
}

/// What runs as this process.
///
/// # Errors
/// If there is no such process, it is another user's, or the system does not tell (Linux does).
pub fn running_executable(name: &str, pid: u32) -> anyhow::Result<RunningExecutable> {
    let link = PathBuf::from(format!("/proc/{pid}/exe"));
    let path = fs::read_link(&link).with_context(|| format!("can't tell what runs as process {pid}"))?;
    // Through the link: the path may lead to another file by now.
    Ok(RunningExecutable { name: name.to_owned(), pid, sha256: sha256_of(&link)?, path })
}

/// SHA-256 of a file's content, 64 hexadecimal digits.
///
/// # Errors
/// If it can't be read.
pub fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("can't read {}", path.display());
    let mut file = File::open(path).with_context(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).with_context(failed)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// Whether a process was started by `ancestor`, or by one that it started; `false` where it can't be told.
pub fn is_descendant(pid: u32, ancestor: u32) -> bool {
    let mut at = pid;
    // A chain of parents is short; one that changes while it is followed must not be followed for ever.
    for _ in 0..256 {
        match fs::read_to_string(format!("/proc/{at}/stat")).ok().as_deref().and_then(parse) {
            Some(stat) if stat.parent == ancestor => return true,
            Some(stat) if stat.parent > 1 => at = stat.parent,
            _ => return false,
        }
    }
    false
}

/// A process and its descendants; empty if it is not to be seen.
pub(super) fn tree(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut found = Vec::new();
    for stat in all() {
        if stat.pid == pid {
            found.push(pid);
        }
        children.entry(stat.parent).or_default().push(stat.pid);
    }
    let mut next = 0;
    while next < found.len() {
        // Removed, so that numbers that were given anew meanwhile make no circle.
        found.extend(children.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    found
}

/// The threads of a process; empty if it is not to be seen.
pub(super) fn threads(pid: u32) -> Vec<u32> {
    numbers(&format!("/proc/{pid}/task"))
}

/// The living processes of a group; `None` where the system does not tell.
pub(crate) fn group_members(group: u32) -> Option<Vec<u32>> {
    let all = all();
    // This process at least is to be seen where anything is.
    if all.is_empty() {
        return None;
    }
    let members = all.into_iter().filter(|stat| stat.group == group && !matches!(stat.state, 'Z' | 'X'));
    Some(members.map(|stat| stat.pid).collect())
}

/// A line of `/proc/PID/stat`, the part of it that is needed.
#[derive(Debug, PartialEq)]
struct Stat {
    pid: u32,
    state: char,
    parent: u32,
    group: u32,
}

fn all() -> Vec<Stat> {
    let processes = numbers("/proc").into_iter();
    processes.filter_map(|pid| parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// `PID (NAME) STATE PPID PGRP …`; the name may be anything, parentheses and line ends included.
fn parse(stat: &str) -> Option<Stat> {
    let pid = stat.split_once(' ')?.0.parse().ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some(Stat {
        pid,
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

/// The entries of a directory that are numbers.
fn numbers(directory: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_can_be_anything() {
        let stat = "4711 (a) R 1 2 (x)\n) S 12 4700 4700 0 -1 4194560 100";
        assert_eq!(parse(stat), Some(Stat { pid: 4711, state: 'S', parent: 12, group: 4700 }));
        assert_eq!(parse("4711 (a"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_file_s_hash_is_the_one_that_sha256sum_prints() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "abc").expect("writes");
        // FIPS 180-2, appendix B.1.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(file.path()).expect("reads"), known);
        let error = sha256_of(Path::new("/no/such/file")).expect_err("is not there");
        assert!(error.to_string().contains("/no/such/file"));
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use std::io::{BufRead, BufReader};
        use std::process::{Child, Command, Stdio};

        use super::*;
        use crate::machine;

        /// Killed when dropped, as assertions may fail.
        struct Running(Child);

        impl Drop for Running {
            fn drop(&mut self) {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }

        #[test]
        fn what_runs_is_known_by_its_content_also_when_the_file_was_replaced() {
            let directory = tempfile::tempdir().expect("a directory");
            let program = directory.path().join("service");
            fs::copy(fs::canonicalize("/bin/sleep").expect("exists"), &program).expect("copies");
            let hash = sha256_of(&program).expect("reads");
            let child = Running(Command::new(&program).arg("1000").spawn().expect("spawns"));
            let pid = child.0.id();
            let found = running_executable("concert", pid).expect("runs");
            let path = fs::canonicalize(&program).expect("exists");
            let expected = RunningExecutable { name: "concert".to_owned(), pid, path, sha256: hash.clone() };
            assert_eq!(found, expected);
            // A build writes a new file at the same place.
            fs::remove_file(&program).expect("removes");
            fs::write(&program, "another").expect("writes");
            let found = running_executable("concert", pid).expect("runs");
            assert_eq!(found.sha256, hash);
            assert!(found.path.to_string_lossy().ends_with(" (deleted)"), "{found:?}");
        }

        /// The innermost process of the next test, which is this test alone in a process of its own: libtest
        /// gives it two threads at least.
        #[test]
        #[ignore = "the next test starts it"]
        fn tells_that_it_is_there_and_waits() {
            eprintln!("there");
            // To the end of the input, whoever started it.
            let _ = std::io::stdin().read_line(&mut String::new());
        }

        #[test]
        fn descendants_are_found_and_moved_with_all_their_threads() {
            let name = "machine::processes::tests::linux::tells_that_it_is_there_and_waits";
            let arguments = format!("--ignored --exact {name} --nocapture --test-threads=2");
            let mut command = Command::new("sh");
            // Two shells deep, each of which has to wait.
            command.args(["-c", "sh -c '\"$PROGRAM\" $ARGUMENTS 2>&1; true'; true"]);
            command.env("PROGRAM", std::env::current_exe().expect("known")).env("ARGUMENTS", arguments);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = Running(command.spawn().expect("spawns"));
            let lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
            assert!(lines.map_while(Result::ok).any(|line| line == "there"));
            let pid = child.0.id();
            let tree = tree(pid);
            assert_eq!(tree.len(), 3, "{tree:?}");
            assert!(tree[1..].iter().all(|inner| is_descendant(*inner, pid)));
            assert!(tree.iter().all(|inner| is_descendant(*inner, std::process::id())));
            assert!(!is_descendant(std::process::id(), pid));

            let core = *machine::allowed_cores().expect("Linux tells").last().expect("one");
            let moved = machine::move_tree(pid, &[core]).expect("may");
            assert!(moved >= 4, "{moved} threads of two shells and a process with two threads");
            for process in tree {
                for thread in threads(process) {
                    let status = fs::read_to_string(format!("/proc/{process}/task/{thread}/status"));
                    let status = status.expect("reads");
                    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
                    assert_eq!(allowed.map(str::trim), Some(core.to_string().as_str()));
                }
            }
            let error = machine::move_tree(u32::MAX, &[core]).expect_err("there is none");
            assert!(error.to_string().contains("no process"), "{error}");
        }

        #[test]
        fn threads_are_seen_and_groups_have_members() {
            assert!(threads(std::process::id()).contains(&std::process::id()));
            assert!(threads(u32::MAX).is_empty());
            let own = u32::try_from(rustix::process::getpgrp().as_raw_nonzero().get()).expect("positive");
            assert!(group_members(own).expect("Linux tells").contains(&std::process::id()));
            assert_eq!(group_members(u32::MAX), Some(Vec::new()));
        }
    }
}
