//! Bodies in chunks.

use proptest::prelude::*;

use super::super::chunked::{Chunked, Step};
use super::super::fuzzing;
use crate::http::ErrorKind;

/// The data of a body that arrives in one piece and is complete, and how many bytes follow it.
fn data(body: &[u8]) -> (Vec<u8>, usize) {
    fuzzing::chunked([body]).unwrap_or_else(|kind| panic!("{}: {kind}", body.escape_ascii()))
}

/// Known bodies: as they are sent, and their data.
pub(super) const BODIES: &[(&[u8], &[u8])] = &[
    (b"0\r\n\r\n", b""),
    (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    (b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", b"abcdefg"),
    (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
    (b"000003\r\nabc\r\n0000\r\n\r\n", b"abc"),
    // Data may look like chunks.
    (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
    // Extensions (RFC 9112, section 7.1.1), quoted strings with what would mean something elsewhere.
    (b"3;a\r\nabc\r\n0;b\r\n\r\n", b"abc"),
    (b"3;a=b;c=\"d;e 0\\\"\"\r\nabc\r\n0;last=\"\"\r\n\r\n", b"abc"),
    (b"3 ; a = b\r\nabc\r\n0\t \r\n\r\n", b"abc"),
    (b"3 \r\nabc\r\n0\r\n\r\n", b"abc"),
    // Trailers.
    (b"3\r\nabc\r\n0\r\nx: y\r\n\r\n", b"abc"),
    (b"0\r\nx: y\r\nExpires:\r\nz:  a b \t\r\n\r\n", b""),
];

#[test]
fn known_bodies() {
    for (body, expected) in BODIES {
        assert_eq!(data(body), (expected.to_vec(), 0), "{}", body.escape_ascii());
        let more = [*body, b"HTTP/1.1"].concat();
        assert_eq!(data(&more), (expected.to_vec(), 8), "{}", body.escape_ascii());
    }
}

#[test]
fn a_body_is_the_same_wherever_it_is_cut() {
    for (body, expected) in BODIES {
        let expected = Ok((expected.to_vec(), 0));
        for first in 0..=body.len() {
            for second in first..=body.len() {
                let pieces = [&body[..first], &body[first..second], &body[second..]];
                assert_eq!(fuzzing::chunked(pieces), expected, "{} {first} {second}", body.escape_ascii());
            }
        }
        assert_eq!(fuzzing::chunked(body.chunks(1)), expected);
    }
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    for (body, _) in BODIES {
        for end in 0..body.len() {
            let cut_off = fuzzing::chunked([&body[..end]]);
            assert_eq!(cut_off, Err(ErrorKind::ConnectionClosed), "{} {end}", body.escape_ascii());
        }
    }
}

#[test]
fn hostile_bodies_are_refused() {
    let hostile: &[(&[u8], &str)] = &[
        (b"\r\n", "no size"),
        (b"\n", "no size"),
        (b";a\r\nabc\r\n", "an extension of nothing"),
        (b" 3\r\nabc\r\n", "white space before the size"),
        (b"\t3\r\nabc\r\n", "white space before the size"),
        (b"-3\r\nabc\r\n", "a negative size"),
        (b"+3\r\nabc\r\n", "a sign"),
        (b"0x3\r\nabc\r\n", "a prefix"),
        (b"3h\r\nabc\r\n", "a suffix"),
        (b"3_0\r\nabc\r\n", "a separator"),
        (b"g\r\n", "not a digit"),
        (b"\xd9\xa3\r\nabc\r\n", "a digit of another script"),
        (b"3 4\r\nabc\r\n", "two sizes"),
        (b"3 abc\r\n", "something that is no extension"),
        (b"3\nabc\n0\n\n", "line feeds alone"),
        (b"3\r\nabc\n0\r\n\r\n", "a line feed alone after the data"),
        (b"3;a\nabc\r\n", "a line feed alone in an extension"),
        (b"3;a=\"\n\"\r\nabc\r\n", "a line feed in a quoted string"),
        (b"3;a=\"\r\"\r\nabc\r\n", "a carriage return in a quoted string"),
        (b"3;a\rb\r\nabc\r\n", "a carriage return in an extension"),
        (b"3\rabc", "a carriage return alone"),
        (b"3\r\rabc", "two carriage returns"),
        (b"3 \nabc", "a line feed alone after white space"),
        (b"2\r\nabc\r\n0\r\n\r\n", "more data than its size"),
        (b"3\r\nab\r\n0\r\n\r\n", "less data than its size"),
        (b"3\r\nabc0\r\n\r\n", "no line end after the data"),
        (b"3\r\nabc\r0\r\n\r\n", "half a line end after the data"),
        (b"3\r\nabc\r\n\r\n", "no size after a chunk"),
        (b"10000000000000000\r\n", "a size of 65 bits"),
        (b"ffffffffffffffff0\r\n", "a size of 68 bits"),
        (b"00000000000000000\r\n", "more digits than a size can have"),
        (b"0\r\n\n", "an end with a line feed alone"),
        (b"0\r\n\rx", "half an end"),
        (b"0\r\nx: y\n\r\n", "a trailer with a line feed alone"),
        (b"0\r\nx: y\rz\r\n\r\n", "a carriage return in a trailer"),
        (b"0\r\nx: a\0b\r\n\r\n", "a NUL in a trailer"),
        (b"0\r\nx: \x7f\r\n\r\n", "a delete in a trailer"),
        (b"0\r\nx y: z\r\n\r\n", "a name with a space"),
        (b"0\r\nx : y\r\n\r\n", "a space before the colon"),
        (b"0\r\n: y\r\n\r\n", "a trailer without a name"),
        (b"0\r\n x: folded\r\n\r\n", "a trailer that begins with a space"),
        (b"0\r\nx: y\r\n z\r\n\r\n", "a folded trailer"),
        (b"0\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "the next response instead of the end"),
        (b"0\r\nnonsense\r\n\r\n", "a trailer without a colon"),
    ];
    for (body, what) in hostile {
        // However it arrives, and before the connection ends.
        for pieces in [body.chunks(body.len()), body.chunks(1), body.chunks(2), body.chunks(3)] {
            let refused = fuzzing::chunked(pieces);
            assert_eq!(refused, Err(ErrorKind::InvalidResponse), "{what}: {}", body.escape_ascii());
        }
    }
}

#[test]
fn a_size_may_have_64_bits() {
    let mut decoder = Chunked::new();
    let line = b"ffffffffffffffff\r\n";
    assert_eq!(decoder.next(line).unwrap(), (line.len(), Step::More));
    for _ in 0..3 {
        assert_eq!(decoder.next(b"abc").unwrap(), (0, Step::Data(3)));
    }
}

#[test]
fn what_is_thrown_away_is_bounded() {
    let extension = |length: usize| format!("1;{}\r\nx\r\n", "e".repeat(length));
    let end = "0\r\n\r\n";
    let read = |body: String| fuzzing::chunked([body.as_bytes()]).map(|(data, _)| data.len());
    // 4 KiB in a line, 64 KiB in all.
    assert_eq!(read(extension(4096) + end), Ok(1));
    assert_eq!(read(extension(4097) + end), Err(ErrorKind::InvalidResponse));
    assert_eq!(read(extension(4096).repeat(16) + end), Ok(16));
    assert_eq!(read(extension(4096).repeat(17) + end), Err(ErrorKind::InvalidResponse));
    assert_eq!(read(format!("1{}\r\nx\r\n0\r\n\r\n", " ".repeat(70_000))), Err(ErrorKind::InvalidResponse));
    assert_eq!(read(format!("0\r\nx: {}\r\n\r\n", "y".repeat(60_000))), Ok(0));
    assert_eq!(read(format!("0\r\nx: {}\r\n\r\n", "y".repeat(70_000))), Err(ErrorKind::InvalidResponse));
    assert_eq!(read(format!("0\r\n{}", "y".repeat(70_000))), Err(ErrorKind::InvalidResponse));
    assert_eq!(read(format!("0\r\n{}\r\n", "x: y\r\n".repeat(30_000))), Err(ErrorKind::InvalidResponse));
    // Empty trailers that cost the reader something each.
    assert_eq!(read(format!("0\r\n{}\r\n", "x:\r\n".repeat(100_000))), Err(ErrorKind::InvalidResponse));
}

/// A body in chunks: its bytes and its data.
pub(super) fn bodies() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let data = prop::collection::vec(any::<u8>(), 1..40);
    let size = prop::sample::select(vec!["", "0", "000"]);
    let extension = prop::sample::select(vec!["", ";a", ";a=b;c=\"d\"", " ;x", "\t"]);
    let chunks = prop::collection::vec((data, size, extension, any::<bool>()), 0..6);
    let trailers = prop::sample::select(vec!["", "x: y\r\n", "a:\r\nb: c d\r\n"]);
    (chunks, trailers).prop_map(|(chunks, trailers)| {
        let (mut body, mut whole) = (Vec::new(), Vec::new());
        for (data, zeros, extension, upper) in chunks {
            let digits = if upper { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
            body.extend_from_slice(format!("{zeros}{digits}{extension}\r\n").as_bytes());
            body.extend_from_slice(&data);
            body.extend_from_slice(b"\r\n");
            whole.extend_from_slice(&data);
        }
        body.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        (body, whole)
    })
}

proptest! {
    #[test]
    fn what_was_put_in_chunks_comes_out((body, whole) in bodies(), cuts in prop::collection::vec(1u8.., 1..8)) {
        prop_assert_eq!(fuzzing::chunked(fuzzing::cut(&body, &cuts)), Ok((whole, 0)));
    }

    #[test]
    fn any_bytes_mean_the_same_in_any_pieces(
        bytes in prop::collection::vec(
            prop::sample::select(b"0123456789abcdefABCDEF;=\"\r\n\r\n\r\n\r\n: \txyz\0\xff-".to_vec()),
            0..60,
        ),
        cuts in prop::collection::vec(1u8..10, 1..8),
    ) {
        prop_assert_eq!(fuzzing::chunked(fuzzing::cut(&bytes, &cuts)), fuzzing::chunked([&bytes[..]]));
    }
}
