//! A dev-dependency on the runtime changes nothing about the crypto provider of a user's crate.
//!
//! rustls refuses to choose between two providers: a service whose own tree has one would panic in its tests
//! if the dev-dependency brought another. So each fixture is a crate of its own, with a tree of its own.

use loadtest_tests::{fixture, run};

#[test]
fn a_service_with_ring_works_and_is_loaded_over_https() {
    works("tls-ring", "aws-lc-rs");
}

#[test]
fn a_service_with_aws_lc_rs_works_and_is_loaded_over_https() {
    works("tls-aws-lc", "ring");
}

fn works(name: &str, other_provider: &str) {
    let fixture = fixture(name);
    // The service's own call of rustls, with the runtime in the tree.
    let tests = run(&mut fixture.cargo(["test", "--lib"])).succeeded();
    assert!(tests.stdout.contains("test result: ok. 1 passed; 0 failed; 1 ignored"), "{}", tests.stdout);
    let tree = run(&mut fixture.cargo(["tree", "--prefix", "none", "--format", "{p}"])).succeeded();
    let brought = tree.stdout.lines().any(|line| line.split(' ').next() == Some(other_provider));
    assert!(!brought, "{other_provider} is in the tree:\n{}", tree.stdout);

    // The load test checks every response, and has thresholds on the checks and on the handshakes.
    let load = run(&mut fixture.loadtest(["over_https"])).succeeded();
    assert!(load.stdout.contains("http_req_tls_handshaking"), "{}", load.stdout);
}

#[test]
fn https_without_a_provider_is_an_error_that_names_the_features() {
    let fixture = fixture("tls-none");
    // Its checks, with a threshold of 100 %, are about the error's kind and text.
    let looked = run(&mut fixture.loadtest(["looks_at_the_error"])).succeeded();
    assert!(looked.stdout.contains("names the features"), "{}", looked.stdout);

    // No iteration succeeded. The test process neither panicked nor died of it.
    let failed = run(&mut fixture.loadtest(["passes_the_error_on"]));
    assert_eq!(failed.code, Some(99), "{}\n{}", failed.stdout, failed.stderr);
    for named in ["TLS needs a rustls crypto provider", "`ring`", "`aws-lc-rs`"] {
        assert!(failed.stdout.contains(named), "{named}:\n{}\n{}", failed.stdout, failed.stderr);
    }
    assert!(!failed.stderr.contains("panicked"), "{}", failed.stderr);
}
