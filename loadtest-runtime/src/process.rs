//! What the system tells about processes and threads: CPU time, memory, stolen time. Read from `/proc`;
//! elsewhere every answer is "unknown". And the end of the process group, [`kill_own_group`].

use std::fs;
use std::time::Duration;

/// Clock ticks per second in `/proc/*/stat`: fixed to 100 in Linux's interface to programs.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of a process so far, user and system.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; the fields count from behind its last bracket.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// A thread whose CPU time can be read from other threads.
#[derive(Debug, Clone)]
pub(crate) struct ThreadClock(std::path::PathBuf);

impl ThreadClock {
    /// The calling thread.
    pub(crate) fn of_this_thread() -> Option<Self> {
        let link = fs::read_link("/proc/thread-self").ok()?;
        Some(Self(std::path::Path::new("/proc").join(link).join("schedstat")))
    }

    /// Its CPU time so far.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let text = fs::read_to_string(&self.0).ok()?;
        Some(Duration::from_nanos(text.split_ascii_whitespace().next()?.parse().ok()?))
    }
}

/// Ticks of all cores so far: stolen, and in all.
pub(crate) fn stolen_ticks() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> =
        stat.lines().next()?.split_ascii_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // Fields 9 and 10 (guest time) are already in user time.
    Some((*ticks.get(7)?, ticks.iter().take(8).sum()))
}

/// Kills the group of this process, this process included, and with it whatever its services started and left
/// behind: returns only if it is not the group's leader. The subcommand makes each test process the leader of a
/// group; one that was started by hand is in a group with others, who are none of its business.
pub(crate) fn kill_own_group() {
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpgrp, getpid, kill_process_group};
        let group = getpgrp();
        if group == getpid() {
            // It can't fail: the group exists, and a process may signal itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Stdio};

    use super::*;

    /// Set in a process that is to start a grandchild and then to kill its group.
    const VICTIM: &str = "LOADTEST_RUNTIME_TEST_VICTIM";

    /// The test binary again, with this test alone.
    fn victim() -> Command {
        let mut command = Command::new(std::env::current_exe().expect("known"));
        command
            .args([
                "--exact",
                "--nocapture",
                "process::tests::a_group_ends_with_its_leader_and_no_other_does",
            ])
            .env(VICTIM, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    #[test]
    fn a_group_ends_with_its_leader_and_no_other_does() {
        if std::env::var_os(VICTIM).is_some() {
            // The shell ends at once and leaves its child behind, which holds the pipe of the output.
            let leader = rustix::process::getpgrp() == rustix::process::getpid();
            let script = if leader { "sleep 777 & echo left behind" } else { "echo left behind" };
            assert!(Command::new("sh").args(["-c", script]).status().is_ok_and(|status| status.success()));
            kill_own_group();
            return;
        }
        for leader in [true, false] {
            let mut command = victim();
            if leader {
                command.process_group(0);
            }
            let mut child = command.spawn().expect("starts");
            let mut said = String::new();
            // At its end only when everybody who holds the pipe is gone.
            child.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
            assert!(said.contains("left behind"), "{said}");
            let status = child.wait().expect("ends");
            assert_eq!((status.signal(), status.success()), (leader.then_some(9), !leader), "{status}");
        }
    }

    #[test]
    fn this_process_has_memory_and_its_time_grows_with_work() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).is_some_and(|bytes| bytes > 100_000));
        let thread = ThreadClock::of_this_thread().expect("on Linux");
        let before = thread.cpu_time().expect("readable");
        let mut sum = 0u64;
        // Bounded by work, not by time: a slow machine only makes it longer.
        for n in 0..30_000_000u64 {
            sum = sum.wrapping_mul(31).wrapping_add(std::hint::black_box(n));
        }
        std::hint::black_box(sum);
        assert!(thread.cpu_time().expect("readable") > before);
        assert!(cpu_time(pid).is_some() && stolen_ticks().is_some());
    }
}
