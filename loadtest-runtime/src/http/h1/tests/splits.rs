//! Responses over sockets, cut at each of their bytes.

use ::http::Method;

use super::corpus::{RESPONSES, read};
use super::run;
use super::wire::exchange;

#[test]
fn sockets_and_the_pure_reader_agree_wherever_a_response_is_cut() {
    run(async {
        for (name, response, expected) in RESPONSES {
            let expected = expected.map(|(status, body, _)| (status, body.to_vec()));
            for at in 0..response.len() {
                let pieces = [&response[..at], &response[at..]];
                let got = exchange(&Method::GET, pieces, true).await;
                let got = got.map(|(got, _)| (got.status, got.body)).map_err(|failure| failure.kind);
                assert_eq!(got, expected, "{name} cut at {at}");
            }
            let got = exchange(&Method::GET, response.chunks(1), true).await;
            let got = got.map(|(got, _)| (got.status, got.body)).map_err(|failure| failure.kind);
            assert_eq!(got, expected, "{name} byte by byte");
        }
    });
}

#[test]
fn a_connection_is_kept_if_the_server_keeps_it_and_nothing_else_came() {
    run(async {
        for (name, response, expected) in RESPONSES {
            let Ok((_, body, is_kept)) = *expected else { continue };
            if read([*response, b""]).is_ok() && !response.starts_with(b"HTTP/1.0 404") && is_kept {
                for size in [1, response.len()] {
                    let (got, kept) = exchange(&Method::GET, response.chunks(size), false).await.unwrap();
                    assert_eq!((got.body.as_slice(), kept), (body, true), "{name} {size}");
                    // Another response follows that nobody asked for: at once, or when the first has been read.
                    let more = [*response, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"].concat();
                    for pieces in [vec![more.as_slice()], vec![*response, &more[response.len()..]]] {
                        let (got, kept) = exchange(&Method::GET, pieces, false).await.unwrap();
                        assert_eq!((got.body.as_slice(), kept), (body, false), "{name} and more");
                    }
                    let (_, kept) = exchange(&Method::GET, response.chunks(size), true).await.unwrap();
                    assert!(!kept, "{name}: the server has closed it");
                }
            }
            if !is_kept {
                let (_, kept) = exchange(&Method::GET, [*response], true).await.unwrap();
                assert!(!kept, "{name}");
            }
        }
    });
}

#[test]
fn the_answer_to_head_has_no_body() {
    run(async {
        for headers in ["content-length: 5\r\n", "transfer-encoding: chunked\r\n", ""] {
            let response = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
            for size in [1, response.len()] {
                let (got, kept) =
                    exchange(&Method::HEAD, response.as_bytes().chunks(size), false).await.unwrap();
                assert_eq!((got.status, got.body.len(), kept), (200, 0, true), "{headers}");
            }
            // A server that sends it all the same is not asked again.
            let response = format!("{response}hello");
            let (got, kept) = exchange(&Method::HEAD, [response.as_bytes()], false).await.unwrap();
            assert_eq!((got.body.len(), kept), (0, false), "{headers}");
        }
    });
}

#[test]
fn interim_responses_are_counted_however_they_come() {
    run(async {
        let interim = b"HTTP/1.1 102 Processing\r\n\r\n";
        let last = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        for (count, is_fine) in [(16, true), (17, false), (20, false), (500, false)] {
            let response = [interim.repeat(count).as_slice(), last].concat();
            for size in [1, interim.len(), 100, response.len()] {
                let got = exchange(&Method::GET, response.chunks(size), true).await;
                assert_eq!(got.is_ok(), is_fine, "{count} {size}");
                if let Err(failure) = got {
                    assert!(failure.text.contains("more than 16 interim responses"), "{}", failure.text);
                }
            }
        }
    });
}

#[test]
fn large_bodies_and_heads() {
    run(async {
        let data: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        for (i, size) in [1_000, 65_536, 65_537, 300_000].into_iter().enumerate() {
            let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "y".repeat(60_000 * i));
            let length = [format!("{head}content-length: {}\r\n\r\n", data.len()).as_bytes(), &data].concat();
            let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
            for chunk in data.chunks(size) {
                chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                chunked.extend_from_slice(chunk);
                chunked.extend_from_slice(b"\r\n");
            }
            chunked.extend_from_slice(b"0\r\n\r\n");
            let until_close = [format!("{head}\r\n").as_bytes(), &data].concat();
            for (response, closes) in [(length, false), (chunked, false), (until_close, true)] {
                let (got, kept) = exchange(&Method::GET, response.chunks(size), closes).await.unwrap();
                assert!(got.body == data && kept != closes, "{size}");
            }
        }
    });
}
