//! The `#[load_test]` attribute.
//!
//! It reads the attribute with the parsers of `loadtest-core`, reports every mistake at the token that
//! makes it, and registers the function under `cfg(test)`. The function itself stays as it was written.
//!
//! Read in this order: `args` (tokens to options), `function` (what may carry the attribute), `siblings`
//! (several attributes on one function), `expand`.
//! Use it through `loadtest_runtime::load_test`: the expansion names that crate.

use proc_macro::TokenStream;

mod args;
mod expand;
mod function;
mod hash;
mod keys;
mod problems;
mod siblings;
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
/// `cargo loadtest` runs it; `cargo test` lists it as ignored. The function can still be called like any other.
/// It returns `()` or `Result<(), E>`, with any error that `?` turns into `loadtest_runtime::Error`.
///
/// It takes nothing, or `vu: &mut Vu`, and after it what it needs of the lifecycle:
///
/// * `data: &T`, what `setup` returned: one value, shared by all virtual users.
/// * `state: &mut S`, what `vu_init` returned: a value of each virtual user's own, kept from one iteration to
///   the next.
///
/// ```text
/// #[load_test(vus = 10, duration = "30s", setup = start_service, vu_init = log_in)]
/// async fn pay(vu: &mut Vu, service: &Service, session: &mut Session) -> Result<()> { … }
///
/// async fn log_in(vu: &mut Vu, service: &Service) -> Result<Session> { … }
/// ```
///
/// Values are literals, checked while compiling, or constants (`vus = USERS`), checked before any load.
/// Without keys, one virtual user runs one iteration.
///
/// # Scenarios
///
/// Functions of one module with the same `test` are scenarios of one test and run side by side, each with its own
/// load, `start_time`, `tags` and `env`. Those that name the same `setup` share one call of it and its value. One
/// function can be several scenarios: give it several attributes, each with a `name` of its own.
///
/// ```text
/// #[load_test(test = "sale", name = "rush", vus = 100, duration = "1m")]
/// #[load_test(test = "sale", name = "late", vus = 10, duration = "1m", start_time = "1m")]
/// async fn buy(vu: &mut Vu) -> Result<()> { … }
/// ```
///
/// # Keys
///
/// | key | value | what for |
/// |---|---|---|
/// | `executor` | `"ramping-vus"` | how load is shaped; inferred from the other keys if left out |
/// | `vus` | `10` | virtual users |
/// | `iterations` | `1000` | iterations: in all, or of each virtual user with `per-vu-iterations` |
/// | `max_duration` | `"10m"` | how long the iteration executors may take |
/// | `duration` | `"30s"` | how long it runs |
/// | `start_vus` | `1` | virtual users at the start of the first stage |
/// | `stages` | `[("1m30s", 100), ("10s", 0)]` or `"1m30s:100, 10s:0"` | ramps, each a duration and a target: virtual users, or starts per `time_unit` |
/// | `graceful_ramp_down` | `"30s"` | how long a virtual user that is ramped down may go on |
/// | `rate` | `100` | iteration starts per `time_unit` |
/// | `start_rate` | `50` | iteration starts per `time_unit` at the beginning |
/// | `max_rate` | `1000` | the highest rate that is tried |
/// | `time_unit` | `"1s"` | what rates are counted in |
/// | `pre_allocated_vus` | `50` | virtual users that exist before the first start |
/// | `max_vus` | `200` | virtual users at most; those above `pre_allocated_vus` are made when they are missed |
/// | `search` | `"binary"` | how the next rate is chosen: `binary` or `step` |
/// | `step` | `10` | the distance of rates: of neighbours with `step`, of the final interval with `binary` |
/// | `probe_duration` | `"10s"` | how long each rate is held |
/// | `start_time` | `"10s"` | when the scenario starts, from the start of the test |
/// | `graceful_stop` | `"30s"` | how long iterations in flight may go on at the end |
/// | `min_iteration_duration` | `"1s"` | how long an iteration takes at least; the padding is not measured |
/// | `warm_up` | `"5s"` | how much of the start comparisons leave out |
/// | `rps` | `100` | HTTP requests of the whole test per second at most |
/// | `preflight` | `"/health"` | what must answer with a 2xx before any load: a URL, or a path of the service that `setup` starts |
/// | `thresholds` | `["http_req_failed: rate<0.01"]` | limits that the results must keep |
/// | `tags` | `[("team", "sales")]` | tags of every sample |
/// | `env` | `[("REGION", "eu")]` | values for `vu.env(..)`; `-e` goes before them |
/// | `user_agent` | `"shop-tests/1.0"` | the `User-Agent` of requests that have none of their own |
/// | `max_redirects` | `10` | how many redirects are followed |
/// | `discard_response_bodies` | `true` | whether bodies are read and thrown away |
/// | `insecure_skip_tls_verify` | `true` | whether any certificate of a server will do |
/// | `no_connection_reuse` | `true` | whether each request has a connection of its own |
/// | `no_vu_connection_reuse` | `true` | whether virtual users close their connections after each iteration |
/// | `http_version` | `"1.1"` | which HTTP is spoken: `auto`, `1.1` or `2` |
/// | `tls_version` | `"1.3"` | which TLS is spoken: `1.2`, `1.3` or `1.2-1.3` |
/// | `tls_auth` | `["client.pem:client.key for *.example.org"]` | client certificates, CERTIFICATE:KEY in PEM files, then perhaps ` for ` and the hosts they are for |
/// | `hosts` | `[("example.org", "127.0.0.1:8080")]` | where names lead, before any resolver is asked; `*.example.org` is each name below it |
/// | `dns` | `"ttl=5m,select=random,policy=preferIPv4"` | how names are resolved: `ttl`, `select` (`first`, `random`, `roundRobin`) and `policy` (`preferIPv4`, `preferIPv6`, `onlyIPv4`, `onlyIPv6`, `any`) |
/// | `local_ips` | `["10.0.0.1-10.0.0.9"]` | the local addresses that connections go out from, in turn by virtual user |
/// | `block_ips` | `["10.0.0.0/8"]` | addresses that nothing is sent to |
/// | `block_hostnames` | `["*.example.org"]` | names that nothing is sent to |
/// | `allow` | `["loopback", "staging.example.org:443"]` | what requests may go to, and nothing else: `loopback`, addresses, names, each perhaps with a port; `*` for anything |
/// | `batch` | `20` | requests of one batch that are under way at once |
/// | `batch_per_host` | `6` | requests of one batch that are under way at once to one host; 0 for no limit of its own |
/// | `cookies` | `"vu"` | how long cookies are kept: `iteration`, `vu`, `test` (one jar for all) or `off` |
/// | `http_debug` | `"headers"` | what is shown of each request and response: `headers` or `full` |
/// | `compare_duration` | `"10s"` | how long the load of each run takes in a duet, in place of the test's own |
/// | `runs` | `8` or `"auto"` | how many pairs of runs a duet makes, or how many runs a side has: `auto` or a number |
/// | `min_effect` | `"5%"` or `0.05` | the smallest change that matters |
/// | `equivalence` | `"10%"` or `0.1` | how far a metric may have moved and still be called unchanged |
/// | `alpha` | `"5%"` or `0.05` | the share of false alarms that is accepted |
/// | `gate` | `["p95", "errors"]` | the metrics that decide: `errors`, `failed_iterations`, `p50`, `p95`, `p99`, `mean`, `endpoint_p95`, `throughput`, `dropped` |
/// | `reset` | `"make reset-database"`, or `empty_database`: an `async fn()` or `async fn(Setup)` | a shell command, run before each run of the test |
/// | `setup` | `start_service` | an `async fn()` or `async fn(Setup)`, run once before the load |
/// | `vu_init` | `log_in` | an `async fn(&mut Vu)` or `async fn(&mut Vu, &T)`, run once by each virtual user before its first iteration |
/// | `teardown` | `check_stock` | an `async fn()` or `async fn(&T)`, run once after the load |
/// | `binaries` | `["concert"]` | binaries of the package to build and hand to `setup` |
/// | `test` | `"sale"` | the test's name, instead of the function's; functions of one binary with the same one are its scenarios |
/// | `name` | `"buyers"` | the scenario's name, instead of the function's |
/// | `crate` | `lt` | the name of `loadtest_runtime` in a crate that renames the dependency |
#[proc_macro_attribute]
pub fn load_test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::load_test(attribute.into(), item.into()).into()
}
