//! Whole responses: nothing panics, and how the bytes are cut changes nothing.
//!
//! The first byte of an input says for which method it is a response (the highest bit) and how many bytes follow that
//! say how it is cut (the three lowest bits). The rest is the response.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadtest_runtime::http::{Method, fuzzing};

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let (cuts, response) = rest.split_at(usize::from(first & 7).min(rest.len()));
    let method = if first & 0x80 == 0 { Method::GET } else { Method::HEAD };
    let whole = fuzzing::response([response], &method);
    assert_eq!(fuzzing::response(fuzzing::cut(response, cuts), &method), whole);
    assert_eq!(fuzzing::response(response.chunks(1), &method), whole);
    if let Ok(outcome) = whole {
        assert!((100..1000).contains(&outcome.status) && outcome.status != 101);
        assert!(outcome.body.len() + outcome.excess < response.len(), "a response has a head");
        assert!(method != Method::HEAD || outcome.body.is_empty());
    }
});
