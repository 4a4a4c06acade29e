//! Ctrl-C and SIGTERM: the first one asks for an orderly end, the second one ends everything at once. And
//! SIGUSR1, which asks what is being done.
//!
//! The main type is [`Signals`]. Test processes live in process groups of their own, so the terminal's
//! Ctrl-C reaches this process alone; the groups that are alive are kept here, because the second signal
//! must kill them from whatever thread notices it. Nothing here talks to a test process.

use std::io::{self, Write as _};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals as Incoming;

/// What a run that a signal ended exits with.
const EXIT_INTERRUPTED: i32 = 105;

/// Signals that come this close together are one wish: `timeout` signals its child and then the group.
const SAME_WISH: Duration = Duration::from_millis(200);

/// The answer to SIGUSR1 outside of a test.
const NOTHING_RUNNING: &str = "no test is running right now";

/// Process groups to kill if this process has to leave at once.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The state that the handler of this process writes; there is one handler per process.
static INSTALLED: OnceLock<Arc<State>> = OnceLock::new();

#[derive(Debug, Default)]
struct State {
    interrupted: AtomicBool,
    first: Mutex<Option<Instant>>,
    /// Whether SIGUSR1 came and was not answered yet.
    status_wanted: AtomicBool,
    /// Tests that answer SIGUSR1.
    watching: AtomicUsize,
}

impl State {
    /// Takes note of SIGUSR1; `true` if there is nobody who knows more than that nothing runs.
    fn note_status(&self) -> bool {
        if self.watching.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.status_wanted.store(true, Ordering::SeqCst);
        false
    }

    /// Takes note of a signal; `true` if it is the second wish.
    fn note(&self, now: Instant) -> bool {
        self.interrupted.store(true, Ordering::SeqCst);
        let mut first = locked(&self.first);
        match *first {
            None => {
                *first = Some(now);
                false
            }
            Some(at) => now.duration_since(at) > SAME_WISH,
        }
    }
}

/// Whether the user wants to stop. Cheap to clone; all clones see the same signals.
#[derive(Debug, Clone)]
pub struct Signals {
    state: Arc<State>,
}

impl Signals {
    /// Takes SIGINT, SIGTERM and SIGUSR1 over. From here on the first is only noted, see [`Signals::interrupted`];
    /// the second kills every test process with its group and exits with code 105. SIGUSR1 is answered on
    /// standard error, by the running test if there is one.
    ///
    /// Calling it again gives the same signals.
    ///
    /// # Errors
    /// If the operating system refuses the handler or the thread that waits for signals.
    pub fn install() -> anyhow::Result<Signals> {
        if let Some(state) = INSTALLED.get() {
            return Ok(Signals { state: Arc::clone(state) });
        }
        let mut incoming = Incoming::new([SIGINT, SIGTERM, SIGUSR1])
            .context("can't take over SIGINT, SIGTERM and SIGUSR1")?;
        let state = Arc::clone(INSTALLED.get_or_init(Arc::default));
        let seen = Arc::clone(&state);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in incoming.forever() {
                    if signal == SIGUSR1 {
                        if seen.note_status() {
                            // A terminal that is gone is no reason to end.
                            let _ = writeln!(io::stderr(), "{NOTHING_RUNNING}");
                        }
                        continue;
                    }
                    if seen.note(Instant::now()) {
                        kill_all();
                        process::exit(EXIT_INTERRUPTED);
                    }
                }
            })
            .context("can't start the thread that waits for signals")?;
        Ok(Signals { state })
    }

    /// Whether a signal came.
    pub fn interrupted(&self) -> bool {
        self.state.interrupted.load(Ordering::SeqCst)
    }

    /// From here on SIGUSR1 is for the holder of what is returned, who asks [`Watch::status_wanted`].
    pub(super) fn watch(&self) -> Watch {
        self.state.watching.fetch_add(1, Ordering::SeqCst);
        Watch { state: Arc::clone(&self.state) }
    }
}

/// Somebody who can say what is being done. When it is dropped, nothing runs.
#[derive(Debug)]
pub(super) struct Watch {
    state: Arc<State>,
}

impl Watch {
    /// Whether SIGUSR1 came since the last call.
    pub(super) fn status_wanted(&self) -> bool {
        self.state.status_wanted.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.watching.fetch_sub(1, Ordering::SeqCst);
        self.state.status_wanted.store(false, Ordering::SeqCst);
    }
}

/// Whether a signal came, for code that was not handed the [`Signals`]; `false` without a handler.
pub(crate) fn interrupted() -> bool {
    INSTALLED.get().is_some_and(|state| state.interrupted.load(Ordering::SeqCst))
}

/// Remembers a group that must not survive this process.
pub(super) fn register(group: Pid) {
    locked(&GROUPS).push(group);
}

/// Forgets a group. To be called before its leader is reaped: afterwards its number may be another's.
pub(super) fn unregister(group: Pid) {
    locked(&GROUPS).retain(|known| *known != group);
}

fn kill_all() {
    for group in locked(&GROUPS).iter() {
        // A group that is gone is what was wanted.
        let _ = kill_process_group(*group, Signal::KILL);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Signals {
    /// Signals that come from the test itself.
    pub(super) fn detached() -> Signals {
        Signals { state: Arc::default() }
    }

    /// As if Ctrl-C had been pressed.
    pub(super) fn raise(&self) {
        self.state.note(Instant::now());
    }

    /// As if SIGUSR1 had come.
    pub(super) fn ask_for_status(&self) {
        self.state.note_status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_signal_means_at_once_but_an_echo_of_the_first_does_not() {
        let state = State::default();
        let start = Instant::now();
        assert!(!state.note(start));
        assert!(!state.note(start + Duration::from_millis(20)), "`timeout` sends it twice");
        assert!(state.note(start + Duration::from_millis(500)));
    }

    #[test]
    fn a_first_signal_is_seen_by_every_clone() {
        let signals = Signals::detached();
        let clone = signals.clone();
        assert!(!clone.interrupted());
        signals.raise();
        assert!(clone.interrupted());
    }

    #[test]
    fn the_real_signal_arrives_and_kills_nothing() {
        let signals = Signals::install().expect("installs");
        let watch = signals.watch();
        rustix::process::kill_process(rustix::process::getpid(), Signal::USR1).expect("signals itself");
        let until = Instant::now() + Duration::from_secs(10);
        while !watch.status_wanted() {
            assert!(Instant::now() < until, "it was not seen");
            thread::yield_now();
        }
        assert!(!signals.interrupted());
    }

    #[test]
    fn the_question_for_the_state_is_the_running_test_s_and_no_wish_to_end() {
        let state = Arc::<State>::default();
        let signals = Signals { state: Arc::clone(&state) };
        assert!(state.note_status(), "nobody else would answer");
        let watch = signals.watch();
        assert!(!watch.status_wanted(), "it was answered");
        assert!(!state.note_status());
        assert!(watch.status_wanted());
        assert!(!watch.status_wanted(), "once");
        state.note_status();
        drop(watch);
        assert!(!signals.watch().status_wanted(), "it was for another test");
        assert!(!signals.interrupted());
    }
}
