//! The `#[load_test]` attribute.
//!
//! It reads the attribute with the parsers of `loadtest-core`, reports every mistake at the token that
//! makes it, and registers the function under `cfg(test)`. The function itself stays as it was written.
//!
//! Read in this order: `args` (tokens to options), `function` (what may carry the attribute), `expand`.
//! Use it through `loadtest_runtime::load_test`: the expansion names that crate.

use proc_macro::TokenStream;

mod args;
mod expand;
mod function;
mod hash;
mod keys;
mod problems;
mod values;

/// Makes an async function a load test.
///
/// ```text
/// #[load_test(
///     executor = "ramping-vus",
///     stages = [("1s", 100), ("3s", 100), ("1s", 0)],
///     thresholds = ["http_req_duration: p(95)<500ms", "http_req_failed: rate<0.01"],
///     setup = start_service,
/// )]
/// async fn reserve_seat(vu: &mut Vu, service: &Service) -> Result<()> { … }
/// ```
///
/// `cargo loadtest` runs it; `cargo test` lists it as ignored. The function takes nothing, `vu: &mut Vu`, or
/// `vu: &mut Vu, data: &T` where `T` is what `setup` returns. It returns `()` or `Result<(), E>`, with any
/// error that `?` turns into `loadtest_runtime::Error`. It can still be called like any other function.
///
/// Values are literals, checked while compiling, or constants (`vus = USERS`), checked before any load.
/// Without keys, one virtual user runs one iteration.
///
/// | key | value | what for |
/// |---|---|---|
/// | `executor` | `"ramping-vus"` | how load is shaped; inferred from the other keys if left out |
/// | `vus` | `10` | virtual users |
/// | `iterations` | `1000` | iterations: in all, or of each virtual user with `per-vu-iterations` |
/// | `max_duration` | `"10m"` | how long the iteration executors may take |
/// | `duration` | `"30s"` | how long `constant-vus` runs |
/// | `start_vus` | `1` | virtual users at the start of the first stage |
/// | `stages` | `[("1m30s", 100), ("10s", 0)]` or `"1m30s:100, 10s:0"` | ramps, each a duration and a target |
/// | `graceful_stop` | `"30s"` | how long iterations in flight may go on at the end |
/// | `graceful_ramp_down` | `"30s"` | how long a virtual user that is ramped down may go on |
/// | `warm_up` | `"5s"` | how much of the start comparisons leave out |
/// | `thresholds` | `["http_req_failed: rate<0.01"]` | limits that the results must keep |
/// | `tags` | `[("team", "sales")]` | tags of every sample |
/// | `env` | `[("REGION", "eu")]` | values for `vu.env(..)`; `-e` goes before them |
/// | `setup` | `start_service` | an `async fn()` or `async fn(Setup)`, run once before the load |
/// | `teardown` | `check_stock` | an `async fn()` or `async fn(&T)`, run once after it |
/// | `binaries` | `["concert"]` | binaries of the package to build and hand to `setup` |
/// | `test` | `"sale"` | the test's name, instead of the function's |
/// | `name` | `"buyers"` | the scenario's name, instead of the function's |
/// | `crate` | `lt` | the name of `loadtest_runtime` in a crate that renames the dependency |
#[proc_macro_attribute]
pub fn load_test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::load_test(attribute.into(), item.into()).into()
}
