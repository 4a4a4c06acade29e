//! Where options come from besides the attribute: `loadtest.toml`, the environment and the command line.
//!
//! The main type is [`Tiers`]: it lays them over each other, the later over the earlier, and knows of each
//! value where it was said. [`Config`] is the file, [`Variables`] the environment. What is not known is an
//! error in every place.

mod environment;
mod file;
mod service;
mod show;
mod tiers;
mod value;
mod wording;

pub use environment::{ENV_PROFILE, Variables};
pub use file::{Config, FILE, Layer, Profile, TestSection};
pub use service::{DEFAULT_READY_TIMEOUT, ServiceSection};
pub use show::show;
pub use tiers::{Explained, Origin, Tiers};
pub(crate) use tiers::{executor_on_the_line, on_the_line};
pub(crate) use value::{bounded_vus, set};
