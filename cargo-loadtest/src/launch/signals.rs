//! Ctrl-C and SIGTERM: the first one asks for an orderly end, the second one ends everything at once.
//!
//! The main type is [`Signals`]. Test processes live in process groups of their own, so the terminal's
//! Ctrl-C reaches this process alone; the groups that are alive are kept here, because the second signal
//! must kill them from whatever thread notices it. Nothing here talks to a test process.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;

/// What a run that a signal ended exits with.
const EXIT_INTERRUPTED: i32 = 105;

/// Signals that come this close together are one wish: `timeout` signals its child and then the group.
const SAME_WISH: Duration = Duration::from_millis(200);

/// Process groups to kill if this process has to leave at once.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The state that the handler of this process writes; there is one handler per process.
static INSTALLED: OnceLock<Arc<State>> = OnceLock::new();

#[derive(Debug, Default)]
struct State {
    interrupted: AtomicBool,
    first: Mutex<Option<Instant>>,
}

impl State {
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
    /// Takes SIGINT and SIGTERM over. From here on the first is only noted, see [`Signals::interrupted`];
    /// the second kills every test process with its group and exits with code 105.
    ///
    /// Calling it again gives the same signals.
    ///
    /// # Errors
    /// If the operating system refuses the handler or the thread that waits for signals.
    pub fn install() -> anyhow::Result<Signals> {
        if let Some(state) = INSTALLED.get() {
            return Ok(Signals { state: Arc::clone(state) });
        }
        let mut incoming = Incoming::new([SIGINT, SIGTERM]).context("can't take over SIGINT and SIGTERM")?;
        let state = Arc::clone(INSTALLED.get_or_init(Arc::default));
        let seen = Arc::clone(&state);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for _ in incoming.forever() {
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
}
