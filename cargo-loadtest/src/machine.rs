//! The machine while a test runs on it: its cores and who may use them, the processes that a test started,
//! and what came between.
//!
//! The main types are [`CoreSplit`], [`RunningExecutable`] and [`Watch`]. What a system does not tell is
//! `None` or an error that says so, never a guess: most of this is known on Linux alone. Which machine it
//! is, is the fingerprint's business; nothing here judges a result.

mod cores;
mod disturbance;
mod processes;

pub use cores::{CoreSplit, allowed_cores, cores_text, move_tree, split};
pub use disturbance::{Disturbance, Watch};
pub use processes::{RunningExecutable, is_descendant, running_executable, sha256_of};

pub(crate) use cores::confine_this_thread;
pub(crate) use processes::group_members;
