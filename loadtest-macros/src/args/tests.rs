//! What is read of an attribute, and how many mistakes are found in it.

use quote::{format_ident, quote};

use loadtest_core::options::{OPTIONS, OptionSpec};

use super::*;

fn mistakes(attribute: TokenStream) -> usize {
    let mut problems = Problems::default();
    let args = read(attribute, &mut problems);
    assert!(args.setup.is_none());
    problems.count()
}

/// What an attribute without mistakes says.
fn right(attribute: TokenStream) -> Args {
    let mut problems = Problems::default();
    let args = read(attribute, &mut problems);
    assert_eq!(problems.count(), 0);
    args
}

#[test]
fn every_key_is_read_and_documented() {
    let documentation = include_str!("../lib.rs");
    for key in keys::KEYS {
        let ident = format_ident!("{key}");
        assert_eq!(mistakes(quote!(#ident = '?')), 1, "{key}");
        assert!(documentation.contains(&format!("/// | `{key}` | ")), "{key}");
    }
}

#[test]
fn the_documentation_says_of_an_option_what_core_says() {
    let documentation = include_str!("../lib.rs");
    for option in OPTIONS {
        let row = documentation.lines().find(|line| line.starts_with(&format!("/// | `{}` | ", option.name)));
        let row = row.unwrap_or_else(|| panic!("no row for {}", option.name));
        assert!(row.ends_with(&format!(" | {} |", option.about)), "{row}\n{}", option.about);
        assert!(row.contains(option.example), "{row}\n{}", option.example);
    }
}

#[test]
fn the_example_of_every_option_is_read() {
    let others = ["executor", "stages", "thresholds"];
    let several = |option: &OptionSpec| option.adds || option.list;
    for option in OPTIONS.iter().filter(|option| !others.contains(&option.name) && !several(option)) {
        let (name, value) = (format_ident!("{}", option.name), option.example.parse::<TokenStream>());
        let value = value.expect("tokens");
        let mut problems = Problems::default();
        let args = read(quote!(#name = #value), &mut problems);
        // A key that needs an executor says so; nothing is wrong with its value.
        assert_eq!(problems.count(), usize::from(args.options.executor().is_err()), "{name}");
        assert_eq!(args.calls.to_string(), quote!(.#name).to_string() + " (" + &calls_with(option) + ")");
    }
}

/// A value as the call on `Attribute` has it.
fn calls_with(option: &OptionSpec) -> String {
    match (option.name, option.example.parse::<u64>()) {
        // It may be text as well, and core reads both from text.
        ("runs", Ok(number)) => format!("\"{number}\""),
        (_, Ok(number)) => format!("{number}u64"),
        (_, Err(_)) => option.example.to_owned(),
    }
}

#[test]
fn a_constant_is_checked_for_what_is_known_of_it() {
    assert_eq!(mistakes(quote!(vus = USERS, iterations = 3)), 0);
    assert_eq!(mistakes(quote!(vus = USERS, stages = RAMP)), 1);
    assert_eq!(mistakes(quote!(stages = [("1s", USERS), (RAMP, 3)], graceful_stop = STOP)), 0);
    assert_eq!(mistakes(quote!(rate = RATE, duration = LONG, pre_allocated_vus = USERS)), 1);
    let executor = quote!(executor = "find-capacity", start_rate = LOW, max_rate = HIGH);
    assert_eq!(mistakes(quote!(#executor, pre_allocated_vus = 3, search = SEARCH, step = STEP)), 0);
    assert_eq!(mistakes(quote!(#executor, search = SEARCH)), 1);
}

#[test]
fn a_reset_is_a_function_or_a_command() {
    let command = right(quote!(reset = "make reset"));
    assert_eq!((command.reset.is_some(), command.options.reset.as_deref()), (false, Some("make reset")));
    let function = right(quote!(reset = shop::empty));
    assert_eq!((function.reset.is_some(), function.options.reset), (true, None));
    assert_eq!(mistakes(quote!(reset = "  ")), 1);
    assert_eq!(mistakes(quote!(reset = empty())), 1);
}

#[test]
fn mistakes_do_not_hide_each_other() {
    assert_eq!(mistakes(quote!(a = , vus = -1 +, 3, stages = [("1", "2")], duration = )), 6);
    assert_eq!(mistakes(quote!(rate = -1, search = "bianry", preflight = "health", rps = 1.5)), 4);
}

#[test]
fn lists_are_read_one_by_one_and_handed_over_as_a_whole() {
    let args = right(quote!(
        allow = ["loopback", STAGING],
        block_ips = "10.0.0.0/8",
        tls_auth = ["a:b for c.d,e.f"]
    ));
    let expected =
        quote!(.allow(&["loopback", STAGING,]).block_ips(&["10.0.0.0/8",]).tls_auth(&["a:b for c.d,e.f",]));
    assert_eq!(args.calls.to_string(), expected.to_string());
    assert_eq!(args.constants.len(), 1);
    for option in OPTIONS.iter().filter(|option| option.list || option.name == "tls_auth") {
        let (name, example) = (format_ident!("{}", option.name), option.example.parse::<TokenStream>());
        let example = example.expect("tokens");
        assert_eq!(mistakes(quote!(#name = #example)), 0, "{name}");
        assert_eq!(mistakes(quote!(#name = [])), 1, "{name}");
        assert_eq!(mistakes(quote!(#name = ["?!", 3, ""])), 3, "{name}");
    }
}

#[test]
fn http_settings_are_checked_where_they_stand() {
    let args = right(quote!(
        insecure_skip_tls_verify = true,
        no_connection_reuse = REUSE,
        batch = 5,
        cookies = "vu"
    ));
    let expected =
        quote!(.insecure_skip_tls_verify(true).no_connection_reuse(REUSE).batch(5u64).cookies("vu"));
    assert_eq!(args.calls.to_string(), expected.to_string());
    let hosts = right(quote!(hosts = [("a.example", "127.0.0.1:80"), ("*.example", ADDRESS)]));
    assert_eq!(
        hosts.calls.to_string(),
        quote!(.host("a.example", "127.0.0.1:80").host("*.example", ADDRESS)).to_string()
    );
    assert_eq!(mistakes(quote!(hosts = [("a..b", "localhost"), ("", "::1")])), 3);
    for value in [quote!("true"), quote!(1), quote!(-1), quote!('t')] {
        assert_eq!(mistakes(quote!(insecure_skip_tls_verify = #value)), 1, "{value}");
    }
    assert_eq!(mistakes(quote!(tls_version = "1.1", dns = "ttl=5", http_version = 2, max_redirects = -1)), 4);
    assert_eq!(mistakes(quote!(vus = 1, batch = 0)), 1);
    assert_eq!(mistakes(quote!(vus = 1, batch = BATCH)), 0);
}

#[test]
fn how_a_test_is_compared_is_text_or_a_number() {
    let args = right(quote!(
        runs = 8u32,
        min_effect = 0.03,
        equivalence = "12%",
        alpha = ALPHA,
        gate = ["p95", MORE]
    ));
    let expected =
        quote!(.runs("8").min_effect("0.03").equivalence("12%").alpha(ALPHA).gate(&["p95", MORE,]));
    assert_eq!(args.calls.to_string(), expected.to_string());
    assert_eq!(args.constants.len(), 2);
    assert_eq!(args.options.compare.min_effect, Some(0.03));
    assert_eq!(
        mistakes(quote!(
            runs = 0,
            min_effect = 5,
            alpha = -0.1,
            gate = ["p96", "q"],
            compare_duration = "0s"
        )),
        6
    );
}
