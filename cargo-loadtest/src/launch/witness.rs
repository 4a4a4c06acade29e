//! What is seen of the services that a test starts: where they run, and which executables they are.
//!
//! The main type is [`Witness`]. A process id that a test process tells is believed only if `/proc` shows
//! that process to be its descendant: one that lives behind a container's wall has a number that is someone
//! else's here.

use loadtest_core::results::ServiceInfo;

use crate::machine::{self, CoreSplit, RunningExecutable};

/// Where generator and services ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The cores of each.
    pub cores: CoreSplit,
    /// Names of services that had cores of their own.
    pub apart: Vec<String>,
    /// Names of services that had not, each with the reason.
    pub together: Vec<(String, String)>,
}

impl Pinned {
    /// What was done, a sentence without its full stop. A test that started no service is told as that: where
    /// its target runs is not known here.
    pub fn note(&self) -> String {
        let generator = machine::cores_text(&self.cores.generator);
        let mut note = format!("pinned: the load generator to cores {generator}");
        if !self.apart.is_empty() {
            let service = machine::cores_text(&self.cores.service);
            note.push_str(&format!(", {} to cores {service}", self.apart.join(", ")));
        }
        for (name, reason) in &self.together {
            note.push_str(&format!("; {name} not: {reason}"));
        }
        if self.apart.is_empty() && self.together.is_empty() {
            note.push_str("; the test started no service");
        }
        note
    }
}

/// Looks after the services of one test process.
#[derive(Debug)]
pub(super) struct Witness {
    test_process: Option<u32>,
    pin: Option<CoreSplit>,
    seen: Vec<Seen>,
    testified: bool,
}

#[derive(Debug)]
struct Seen {
    name: String,
    pid: Option<u32>,
    /// Why it is not on cores of its own.
    together: Option<String>,
    executable: Option<RunningExecutable>,
}

impl Witness {
    /// Of a test process, with the cores that its services get.
    pub(super) fn new(test_process: Option<u32>, pin: Option<CoreSplit>) -> Self {
        Self { test_process, pin, seen: Vec::new(), testified: false }
    }

    /// A service was started: it goes to its cores at once, so that most of its threads begin there.
    pub(super) fn meet(&mut self, service: &ServiceInfo) {
        let mut seen =
            Seen { name: service.name.clone(), pid: service.pid, together: None, executable: None };
        self.pin(&mut seen);
        if self.testified {
            look(&mut seen, self.test_process);
        }
        self.seen.push(seen);
    }

    /// The load is about to begin: threads that were started meanwhile are moved too, and executables are
    /// looked at.
    pub(super) fn testify(&mut self) {
        self.testified = true;
        let mut services = std::mem::take(&mut self.seen);
        for seen in &mut services {
            self.pin(seen);
            look(seen, self.test_process);
        }
        self.seen = services;
    }

    /// The executables that ran, and where generator and services did.
    pub(super) fn into_findings(self) -> (Vec<RunningExecutable>, Option<Pinned>) {
        let pinned = self.pin.map(|cores| {
            let (mut apart, mut together) = (Vec::new(), Vec::new());
            for seen in &self.seen {
                match &seen.together {
                    None => apart.push(seen.name.clone()),
                    Some(reason) => together.push((seen.name.clone(), reason.clone())),
                }
            }
            Pinned { cores, apart, together }
        });
        (self.seen.into_iter().filter_map(|seen| seen.executable).collect(), pinned)
    }

    fn pin(&self, seen: &mut Seen) {
        let Some(split) = &self.pin else { return };
        seen.together = match seen.pid {
            None => Some("it runs inside the test process".to_owned()),
            Some(pid) if !is_its_own(pid, self.test_process) => {
                Some(format!("process {pid} is not to be seen below the test process"))
            }
            Some(pid) => machine::move_tree(pid, &split.service).err().map(|error| error.to_string()),
        };
    }
}

fn look(seen: &mut Seen, test_process: Option<u32>) {
    let Some(pid) = seen.pid.filter(|pid| is_its_own(*pid, test_process)) else { return };
    // One that ended, or that is not to be looked at, is missing in the list: who needs it says so.
    seen.executable = machine::running_executable(&seen.name, pid).ok();
}

fn is_its_own(pid: u32, test_process: Option<u32>) -> bool {
    test_process.is_some_and(|test_process| machine::is_descendant(pid, test_process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_says_where_everything_ran_and_what_could_not_be_apart() {
        let cores = CoreSplit { generator: vec![0, 1], service: vec![2, 3] };
        let pinned = |apart: &[&str], together: &[(&str, &str)]| Pinned {
            cores: cores.clone(),
            apart: apart.iter().map(|name| (*name).to_owned()).collect(),
            together: together.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        };
        assert_eq!(
            pinned(&["concert", "billing"], &[]).note(),
            "pinned: the load generator to cores 0-1, concert, billing to cores 2-3"
        );
        assert_eq!(
            pinned(&[], &[("in-process", "it runs inside the test process")]).note(),
            "pinned: the load generator to cores 0-1; in-process not: it runs inside the test process"
        );
        assert_eq!(
            pinned(&[], &[]).note(),
            "pinned: the load generator to cores 0-1; the test started no service"
        );
    }
}
