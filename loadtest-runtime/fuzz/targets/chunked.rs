//! Bodies in chunks: nothing panics, and how the bytes are cut changes nothing.
//!
//! The first byte of an input says how many bytes follow that say how it is cut (the three lowest bits). The rest is
//! the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadtest_runtime::http::fuzzing;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let (cuts, body) = rest.split_at(usize::from(first & 7).min(rest.len()));
    let whole = fuzzing::chunked([body]);
    assert_eq!(fuzzing::chunked(fuzzing::cut(body, cuts)), whole);
    assert_eq!(fuzzing::chunked(body.chunks(1)), whole);
    if let Ok((data, excess)) = whole {
        // What is read is one of the forms that this data can have.
        assert!(data.len() + excess + 5 <= body.len());
    }
});
