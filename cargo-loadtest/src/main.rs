//! The command `cargo loadtest`; everything that it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_loadtest::main(std::env::args_os()).into()
}
