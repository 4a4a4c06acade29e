//! Against hyper's server: bodies of many sizes in both directions, on connections that are kept.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use ::http::{Method, Request, Response};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use tokio::net::TcpListener;

use super::super::super::request::Body;
use super::oracle::Io;
use super::{run, user};

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;

/// A body in chunks, whose length is not known.
struct Chunks(VecDeque<Bytes>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// The bytes of a body of this length.
fn content(length: usize) -> Bytes {
    (0..length).map(|i| (i % 251) as u8).collect()
}

async fn handle(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let path = request.uri().path().to_owned();
    let (what, size) = path[1..].split_once('/').unwrap_or((&path[1..], "0"));
    let size: usize = size.parse().unwrap();
    let full = |bytes: Bytes| Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync();
    Ok(match what {
        "bytes" => Response::new(full(content(size))),
        "chunked" => {
            let chunks = content(size).chunks(size / 7 + 1).map(Bytes::copy_from_slice).collect();
            Response::new(Chunks(chunks).boxed_unsync())
        }
        // Answers at once, and while it reads.
        "echo" => Response::new(request.into_body().boxed_unsync()),
        "whole" => Response::new(full(request.into_body().collect().await?.to_bytes())),
        "empty" => {
            let status: u16 = u16::try_from(size).unwrap();
            Response::builder().status(status).body(full(Bytes::new())).unwrap()
        }
        "close" => Response::builder().header("connection", "close").body(full(content(size))).unwrap(),
        other => panic!("{other}"),
    })
}

/// Starts a server; its URL, and how many connections it has had.
async fn start() -> (String, Rc<Cell<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Rc::new(Cell::new(0));
    let count = Rc::clone(&connections);
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.set(count.get() + 1);
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(Io(stream), hyper::service::service_fn(handle));
            tokio::task::spawn_local(serving);
        }
    });
    (url, connections)
}

/// From nothing to more than a read takes and the kernel keeps.
const SIZES: &[usize] = &[0, 1, 100, 10 * 1024, 65_535, 65_536, 65_537, 1 << 20, 5_000_001];

#[test]
fn bodies_of_responses() {
    run(async {
        let (url, connections) = start().await;
        let (http, recorder) = user();
        for size in SIZES {
            for what in ["bytes", "chunked"] {
                let url = format!("{url}/{what}/{size}");
                let response = http.get(&url).send().await.unwrap();
                assert!(*response.bytes() == content(*size), "{what} {size}");
                assert!(http.head(&url).send().await.unwrap().bytes().is_empty());
                http.get(&url).discard_body().send().await.unwrap();
                let mut stream = http.get(&url).send_streaming().await.unwrap();
                let mut length = 0;
                while let Some(chunk) = stream.chunk().await.unwrap() {
                    length += chunk.len();
                }
                assert_eq!(length, *size);
            }
        }
        for status in [200, 201, 204, 304, 404, 500] {
            let response = http.get(format!("{url}/empty/{status}")).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.bytes().len()), (status, 0));
        }
        assert_eq!(connections.get(), 1);
        for expected in [1, 2, 3] {
            http.get(format!("{url}/close/10")).send().await.unwrap();
            assert_eq!(connections.get(), expected);
        }
        assert!(recorder.all().iter().all(|(_, error)| error.is_none()));
    });
}

#[test]
fn bodies_of_requests() {
    run(async {
        let (url, connections) = start().await;
        let (http, recorder) = user();
        for size in SIZES {
            let reader = |length: Option<u64>| {
                let content = content(*size);
                Body::from_reader(length, move || {
                    let content = content.clone();
                    async move { Ok(std::io::Cursor::new(content)) }
                })
            };
            // `echo` answers before it has read anything, and reads only as fast as its answer is read.
            for what in ["whole", "echo"] {
                for method in [Method::POST, Method::PUT, Method::GET] {
                    for body in [content(*size).into(), reader(Some(*size as u64)), reader(None)] {
                        let request = http.request(method.clone(), format!("{url}/{what}")).body(body);
                        let response =
                            request.send().await.unwrap_or_else(|error| panic!("{what} {size}: {error}"));
                        assert!(*response.bytes() == content(*size), "{what} {method} {size}");
                    }
                }
            }
        }
        assert!(recorder.all().iter().all(|recorded| *recorded == (200, None)));
        assert_eq!(
            connections.get(),
            1,
            "requests that were sent to their end leave their connections usable"
        );
    });
}

#[test]
fn requests_side_by_side() {
    run(async {
        let (url, connections) = start().await;
        let (http, recorder) = user();
        for _ in 0..3 {
            let requests = (0..20).map(|i| {
                let request = http.get(format!("{url}/bytes/{}", i * 5_000));
                tokio::task::spawn_local(async move { request.send().await.unwrap().bytes().len() })
            });
            let requests: Vec<_> = requests.collect();
            for (i, request) in requests.into_iter().enumerate() {
                assert_eq!(request.await.unwrap(), i * 5_000);
            }
        }
        assert_eq!((recorder.all().len(), connections.get()), (60, 20));
    });
}
