//! The parts of the help that are not about one option: examples, how tests look, exit codes.

use crate::verdict::exit_code_table;

/// What `-h` ends with.
pub(super) const SHORT: &str = "`--help` says more about each option, with examples and the exit codes.";

const EXAMPLES: &str = "\
Examples:
  cargo loadtest                              every load test of this package
  cargo loadtest --workspace --list           what there is
  cargo loadtest buy                          tests whose id contains `buy`
  cargo loadtest -p shop --duration 5m        one package, each test for five minutes
  cargo loadtest --stage 10s:50 --stage 1m:50 --stage 10s:0
                                              ramp to 50 virtual users, hold, ramp down
  cargo loadtest -e BASE_URL=http://10.0.0.7:8080
                                              hand a value to `vu.env(\"BASE_URL\")`
  cargo loadtest --threshold 'http_req_failed: rate<1%'
                                              one limit more
  cargo loadtest --save-baseline main         on the old code, then on the new code:
  cargo loadtest --baseline main              compare
  cargo loadtest --format json > run.json     results for a program
  cargo loadtest new                          write a first test
  cargo loadtest plan --stage 10s:50 --stage 1m:50
                                              a load before it happens; `plan buy` that of a test
  cargo loadtest show-config buy              each option of a test, and where it comes from
  cargo loadtest --control 127.0.0.1:6565     and in another terminal:
  cargo loadtest status                       what it is doing; also pause, resume, scale N, stop

A load test:
  #[cfg(test)]
  mod tests {
      use loadtest_runtime::prelude::*;

      #[load_test(vus = 10, duration = \"30s\", thresholds = [\"http_req_failed: rate<1%\"])]
      async fn front_page(vu: &mut Vu) -> Result<()> {
          let res = vu.http().get(\"http://127.0.0.1:8080/\").send().await?;
          vu.check(\"is there\", res.status() == 200);
          Ok(())
      }
  }

Units:
  Times are written 500ms, 30s, 1m30s, 2h; sizes 64kB; shares 1% or 0.01.

Where options come from, the later over the earlier:
  defaults                the executor's own; in CI `allow = [\"loopback\"]`, see `--allow`
  #[load_test(..)]        the attribute
  loadtest.toml           at the workspace's root: [options], [tests.\"ID\"] with `*` in ids,
                          [tests.\"ID\".scenarios.NAME]; the same within [profile.NAME], which may
                          say `inherits = \"OTHER\"` and is chosen by --load-profile
  LOADTEST_*              LOADTEST_VUS, LOADTEST_STAGES=\"1m:10, 30s:0\", LOADTEST_THRESHOLDS with `;`
                          between them (so LOADTEST_TLS_AUTH), LOADTEST_TAGS=\"k=v,k2=v2\": one for each option
  the command line
  A place that describes another load, say stages, replaces all that those below it say about the
  load; one that changes a number of it, say --duration, changes only that. Limits, tags and values
  add up.

Environment:
  CI                      set, and not `false`: progress in lines, and requests to loopback alone
                          unless a place says `allow`
  LOADTEST_PROFILE        the profile of loadtest.toml, if there is no --load-profile
  LOADTEST_STORE          directory of runs and baselines; `store` in loadtest.toml, else .loadtest
                          at the workspace's root
  CARGO_TARGET_<T>_RUNNER the program that starts a test binary, as `cargo test` uses it; that of
                          the configuration files is honoured too
  NO_COLOR                no colours

Ctrl-C winds a test down: teardown, summary and report still come. A second one ends it at once.
";

/// What `--help` ends with.
pub(super) fn long() -> String {
    format!("{EXAMPLES}\nExit codes, the most severe of all tests:\n{}", exit_code_table("  "))
}
