//! Cores: which ones this process may use, how they are divided between the load generator and the service,
//! and how processes are kept to them.
//!
//! The main type is [`CoreSplit`]. Affinity is Linux's; elsewhere every function says that it can't be had.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io;

use super::processes;

/// Cores of the load generator and cores of the service, none in both, by the numbers of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreSplit {
    /// Those of the test process, ascending; at least one.
    pub generator: Vec<usize>,
    /// Those of the service, ascending; at least one.
    pub service: Vec<usize>,
}

/// Divides the cores that this process may use: the generator gets half of them, rounded down, the service
/// the rest. Hardware threads of one physical core stay together where there are two physical cores, because
/// they share what they compute with.
///
/// # Errors
/// A sentence, if there are not two cores, or the system does not tell.
pub fn split() -> Result<CoreSplit, String> {
    let cores = allowed_cores().ok_or(
        "--pin needs to know which cores this process may use, and this system does not tell (Linux does)",
    )?;
    divide(&cores, siblings)
}

/// The cores that this thread may use, ascending; `None` where the system does not tell.
pub fn allowed_cores() -> Option<Vec<usize>> {
    affinity::allowed()
}

/// Keeps the calling thread, and whatever it starts from now on, to these cores.
///
/// # Errors
/// If the system refuses, or has no such thing.
pub(crate) fn confine_this_thread(cores: &[usize]) -> io::Result<()> {
    affinity::set(None, cores)
}

/// Moves all threads of a process and of all its descendants to these cores; what they start later stays there.
/// Returns the number of threads.
///
/// # Errors
/// If there is no such process, the system refuses (a process of another user), or has no such thing.
pub fn move_tree(pid: u32, cores: &[usize]) -> io::Result<usize> {
    let mut moved = HashSet::new();
    // One that was not moved yet may have started others since it was looked at. Whoever is started by one
    // that was moved is at the right place, so this comes to an end.
    for _ in 0..20 {
        let before = moved.len();
        for process in processes::tree(pid) {
            for thread in processes::threads(process) {
                if moved.contains(&thread) {
                    continue;
                }
                match affinity::set(Some(thread), cores) {
                    Ok(()) => _ = moved.insert(thread),
                    // It ended meanwhile.
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if moved.len() == before {
            break;
        }
    }
    if moved.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no process {pid} to be seen")));
    }
    Ok(moved.len())
}

/// Cores for people: `0-3,6`.
pub fn cores_text(cores: &[usize]) -> String {
    let mut text = String::new();
    let mut rest = cores;
    while let [first, ..] = rest {
        let run = rest.iter().zip(*first..).take_while(|(core, next)| *core == next).count();
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string does not fail.
        let _ = match run {
            1 => write!(text, "{comma}{first}"),
            _ => write!(text, "{comma}{first}-{}", rest[run - 1]),
        };
        rest = &rest[run..];
    }
    text
}

/// Divides ascending `cores`; `siblings` tells the hardware threads of a core's physical core.
fn divide(cores: &[usize], siblings: impl Fn(usize) -> Vec<usize>) -> Result<CoreSplit, String> {
    if cores.len() < 2 {
        return Err("--pin needs two cores, one for the load generator and one for the service, and this \
                    process may use only one\nhint: leave --pin out, or run on a machine with more cores"
            .to_owned());
    }
    let mut physical: Vec<Vec<usize>> = Vec::new();
    for core in cores {
        if !physical.iter().any(|threads| threads.contains(core)) {
            let together = siblings(*core);
            physical.push(cores.iter().copied().filter(|c| c == core || together.contains(c)).collect());
        }
    }
    let half = cores.len() / 2;
    let mut generator = Vec::new();
    if physical.len() > 1 {
        // The first always, even if it has more threads than half of all: there is another for the service.
        for threads in &physical[..physical.len() - 1] {
            if generator.is_empty() || generator.len() + threads.len() <= half {
                generator.extend(threads);
            }
        }
    } else {
        generator.extend(&cores[..half]);
    }
    generator.sort_unstable();
    let service = cores.iter().copied().filter(|core| !generator.contains(core)).collect();
    Ok(CoreSplit { generator, service })
}

/// The hardware threads of a core's physical core, as Linux tells; empty if it does not.
fn siblings(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    parse_list(&fs::read_to_string(path).unwrap_or_default())
}

/// `0-1,4` as Linux writes lists of cores; what is not understood is left out.
fn parse_list(text: &str) -> Vec<usize> {
    let parts = text.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        // A machine has no more, and a range from elsewhere must not fill the memory.
        (last < 1 << 16).then_some(first..=last)
    });
    parts.flatten().collect()
}

#[cfg(target_os = "linux")]
mod affinity {
    use std::io;

    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) fn allowed() -> Option<Vec<usize>> {
        let set = sched_getaffinity(None).ok()?;
        Some((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
    }

    /// `None` is the calling thread.
    pub(super) fn set(thread: Option<u32>, cores: &[usize]) -> io::Result<()> {
        let thread = match thread {
            None => None,
            Some(id) => {
                // 0 would be the calling thread.
                let id = i32::try_from(id).ok().and_then(Pid::from_raw);
                Some(id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "impossible thread id"))?)
            }
        };
        let mut set = CpuSet::new();
        for core in cores {
            if *core >= CpuSet::MAX_CPU {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no core {core}")));
            }
            set.set(*core);
        }
        Ok(sched_setaffinity(thread, &set)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    use std::io;

    pub(super) fn allowed() -> Option<Vec<usize>> {
        None
    }

    pub(super) fn set(_: Option<u32>, _: &[usize]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "processes can be kept to cores on Linux only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(cores: &[usize], siblings: impl Fn(usize) -> Vec<usize>) -> (Vec<usize>, Vec<usize>) {
        let CoreSplit { generator, service } = divide(cores, siblings).expect("enough");
        (generator, service)
    }

    #[test]
    fn each_side_has_cores_of_its_own() {
        let alone = |core| vec![core];
        assert_eq!(divided(&[0, 1], alone), (vec![0], vec![1]));
        assert_eq!(divided(&[3, 5, 9], alone), (vec![3], vec![5, 9]));
        assert_eq!(divided(&[0, 1, 2, 3], alone), (vec![0, 1], vec![2, 3]));
        // Nothing is known of siblings.
        assert_eq!(divided(&[0, 1, 2, 3, 4], |_| Vec::new()), (vec![0, 1], vec![2, 3, 4]));
        let error = divide(&[7], alone).expect_err("one core");
        assert!(error.contains("two cores") && error.contains("hint: leave --pin out"), "{error}");
        assert!(divide(&[], alone).is_err());
    }

    #[test]
    fn hardware_threads_of_one_core_stay_together() {
        // As Linux numbers them: 0 and 4 are one core.
        let far = |core| vec![core % 4, core % 4 + 4];
        assert_eq!(divided(&[0, 1, 2, 3, 4, 5, 6, 7], far), (vec![0, 1, 4, 5], vec![2, 3, 6, 7]));
        // As some hypervisors do.
        let near = |core: usize| vec![core & !1, core | 1];
        assert_eq!(divided(&[0, 1, 2, 3, 4, 5], near), (vec![0, 1], vec![2, 3, 4, 5]));
        // The sibling that this process may not use counts for nothing.
        assert_eq!(divided(&[0, 1, 2], far), (vec![0], vec![1, 2]));
        // One physical core: its threads are all there is.
        assert_eq!(divided(&[0, 1], near), (vec![0], vec![1]));
        assert_eq!(divided(&[0, 1, 2], near), (vec![0, 1], vec![2]));
    }

    #[test]
    fn lists_of_cores_are_read_and_written() {
        assert_eq!(parse_list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(parse_list("0-99999999999,nonsense,3"), [3]);
        assert!(parse_list("").is_empty());
        assert_eq!(cores_text(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!((cores_text(&[4]), cores_text(&[])), ("4".to_owned(), String::new()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_confined_thread_has_the_cores_that_it_was_given_and_others_keep_theirs() {
        let all = allowed_cores().expect("Linux tells");
        let last = *all.last().expect("one");
        let inside = std::thread::spawn(move || {
            confine_this_thread(&[last]).expect("may");
            (allowed_cores(), std::thread::available_parallelism().map_or(0, usize::from))
        });
        // What the runtime takes for the number of its workers follows.
        assert_eq!(inside.join().expect("ends"), (Some(vec![last]), 1));
        assert_eq!(allowed_cores(), Some(all));
        assert!(confine_this_thread(&[1 << 20]).is_err());
        assert!(confine_this_thread(&[]).is_err());
    }
}
