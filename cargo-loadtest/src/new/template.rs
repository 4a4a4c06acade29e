//! The texts of first tests.
//!
//! The main type is [`Template`]. They use what the runtime's prelude has, and the standard library: nothing
//! that a package might lack.

use clap::ValueEnum;

/// The service that stands in for the user's, and the `setup` that starts it, of every template.
const START: &str = concat!(include_str!("start.rs.in"), include_str!("stand_in.rs.in"));

/// First tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Virtual users that send requests to a service.
    Http,
    /// A fixed rate of iteration starts.
    Arrival,
    /// Two functions in parallel in one test.
    Scenario,
}

impl Template {
    /// The name of its file where `load` is taken.
    pub(super) fn file(self) -> &'static str {
        match self {
            Template::Http => "load_http",
            Template::Arrival => "load_arrival",
            Template::Scenario => "load_scenario",
        }
    }

    /// Its text, for a package that calls the runtime by this name.
    pub(super) fn text(self, runtime: &str) -> String {
        let text = match self {
            Template::Http => include_str!("http.rs.in"),
            Template::Arrival => include_str!("arrival.rs.in"),
            Template::Scenario => include_str!("scenario.rs.in"),
        };
        let text = format!("{text}{START}");
        match runtime.replace('-', "_") {
            same if same == "loadtest_runtime" => text,
            // The macro has to be told, because what it writes names the runtime.
            name => text
                .replace("loadtest_runtime::", &format!("{name}::"))
                .replace("#[load_test(\n", &format!("#[load_test(\n    crate = {name},\n")),
        }
    }
}
