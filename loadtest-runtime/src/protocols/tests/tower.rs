//! Layers, around services that answer with what they were made with.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use http_body::{Body, Frame};
use tower_layer::Layer;
use tower_service::Service;

use super::super::tower::{LoadTestLayer, MeasureLayer, RecordedBody, SentBody};
use super::*;

/// A body of these frames.
#[derive(Default)]
struct Frames(VecDeque<Result<Frame<Bytes>, String>>);

impl Frames {
    fn new<const N: usize>(data: [Vec<u8>; N], status: Option<&str>) -> Self {
        let mut frames: VecDeque<_> = data.into_iter().map(|data| Ok(Frame::data(data.into()))).collect();
        if let Some(status) = status {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            trailers.insert("grpc-message", "no%20such seat".parse().unwrap());
            frames.push_back(Ok(Frame::trailers(trailers)));
        }
        Self(frames)
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        Poll::Ready(self.0.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the request, then answers.
struct Answers<RB>(Option<Result<Response<RB>, String>>);

impl<B, RB> Service<Request<B>> for Answers<RB>
where
    B: Body + Unpin + 'static,
    RB: 'static,
{
    type Response = Response<RB>;
    type Error = String;
    type Future = Pin<Box<dyn Future<Output = Result<Response<RB>, String>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.0.take();
        Box::pin(async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = next(&mut body).await {}
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

async fn next<B: Body + Unpin>(body: &mut B) -> Option<Result<Frame<B::Data>, B::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

fn message(length: usize) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend((length as u32).to_be_bytes());
    bytes.resize(5 + length, 7);
    bytes
}

fn grpc(body: Frames) -> Request<Frames> {
    let request = Request::post("http://127.0.0.1/hall.v1.Seats/Take");
    request.header("content-type", "application/grpc+proto").body(body).unwrap()
}

fn seen() -> (Rc<Seen>, Rc<dyn RecordSamples>) {
    let seen = Rc::<Seen>::default();
    (Rc::clone(&seen), seen)
}

/// Sends a gRPC request with one message and gives the answer.
async fn ask(
    seen: &Rc<Seen>,
    answer: Result<Response<Frames>, String>,
) -> Result<Response<RecordedBody<Frames>>, String> {
    let samples = Rc::clone(seen) as Rc<dyn RecordSamples>;
    let mut service = LoadTestLayer::new(samples).layer(Answers(Some(answer)));
    service.call(grpc(Frames::new([message(3)], None))).await
}

#[test]
fn a_unary_call_lasts_until_its_trailers() {
    run(async {
        let (seen, samples) = seen();
        let answer =
            Response::new(Frames::new([message(9)[..4].to_vec(), message(9)[4..].to_vec()], Some("0")));
        let mut service = LoadTestLayer::new(samples)
            .tag("plan", "free")
            .count_sent(|body: SentBody<Frames>| body)
            .layer(Answers(Some(Ok(answer))));
        let mut body = service.call(grpc(Frames::new([message(3)], None))).await.unwrap().into_body();
        while let Some(frame) = next(&mut body).await {
            frame.unwrap();
        }
        assert_eq!(
            seen.tags(Builtin::GrpcReqDuration),
            "expected_response=true method=Take name=hall.v1.Seats/Take plan=free rpc_type=unary \
             service=hall.v1.Seats status=0"
        );
        assert_eq!(seen.sum(Builtin::DataSent).1, 8.0);
        assert_eq!(seen.sum(Builtin::DataReceived).1, 14.0);
        assert_eq!(seen.sum(Builtin::GrpcStreams).0, 0);
        assert!(seen.failed.borrow().is_empty());
    });
}

#[test]
fn a_status_other_than_ok_is_a_failure_wherever_it_is() {
    run(async {
        // In the trailers; in the head, the body not even looked at; none at all; instead of HTTP's 200.
        let head = Response::builder().header("grpc-status", "5").header("grpc-message", "no such seat");
        for (answer, status, text) in [
            (Response::new(Frames::new([], Some("5"))), "5", "NOT_FOUND (5): no such seat"),
            (head.body(Frames::default()).unwrap(), "5", "NOT_FOUND (5): no such seat"),
            (Response::new(Frames::default()), "2", "UNKNOWN (2): the response had no status"),
            (
                Response::builder().status(503).body(Frames::default()).unwrap(),
                "14",
                "UNAVAILABLE (14): HTTP status",
            ),
        ] {
            let (seen, _) = seen();
            let mut body = ask(&seen, Ok(answer)).await.unwrap().into_body();
            let _ = next(&mut body).await;
            drop(body);
            let tags = seen.tags(Builtin::GrpcReqDuration);
            assert!(tags.contains("expected_response=false"), "{tags}");
            assert!(tags.ends_with(&format!("status={status}")), "{tags}");
            let (protocol, told) = seen.failure();
            assert_eq!(protocol, Protocol::Grpc);
            assert!(told.starts_with(&format!("hall.v1.Seats/Take: {text}")), "{told}");
        }
    });
}

#[test]
fn a_call_without_an_answer_is_a_failure() {
    run(async {
        let (seen, _) = seen();
        assert_eq!(ask(&seen, Err("refused".to_owned())).await.unwrap_err(), "refused");
        assert!(seen.tags(Builtin::GrpcReqDuration).ends_with("status=14"));
        assert_eq!(seen.failure().1, "hall.v1.Seats/Take: UNAVAILABLE (14): refused");

        let (seen, samples) = tower::seen();
        let mut service = LoadTestLayer::new(samples).layer(Answers::<Frames>(None));
        let call = service.call(grpc(Frames::default()));
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
        assert!(seen.tags(Builtin::GrpcReqDuration).ends_with("status=1"));

        let (seen, _) = tower::seen();
        let broken = Frames(VecDeque::from([Ok(Frame::data(message(1).into())), Err("reset".to_owned())]));
        let mut body = ask(&seen, Ok(Response::new(broken))).await.unwrap().into_body();
        while let Some(Ok(_)) = next(&mut body).await {}
        drop(body);
        assert!(seen.failure().1.ends_with("UNKNOWN (2): reset"), "{:?}", seen.failure());
    });
}

#[test]
fn a_stream_is_counted_once_with_all_its_messages() {
    run(async {
        let (seen, samples) = seen();
        let two = [message(1), message(2)].concat();
        let answer = Response::new(Frames::new([two, message(0)], Some("0")));
        let mut service = LoadTestLayer::new(samples)
            .count_sent(|body: SentBody<Frames>| body)
            .layer(Answers(Some(Ok(answer))));
        let sent = Frames::new([message(3), message(4)], None);
        let mut body = service.call(grpc(sent)).await.unwrap().into_body();
        next(&mut body).await.unwrap().unwrap();
        assert_eq!(seen.sum(Builtin::GrpcStreamsMsgsReceived).1, 2.0, "while it goes on");
        while let Some(frame) = next(&mut body).await {
            frame.unwrap();
        }
        drop(body);
        assert_eq!(
            seen.tags(Builtin::GrpcStreams),
            "method=Take name=hall.v1.Seats/Take rpc_type=streaming service=hall.v1.Seats"
        );
        assert_eq!(seen.sum(Builtin::GrpcStreamsMsgsReceived).1, 3.0);
        assert_eq!(seen.sum(Builtin::GrpcStreamsMsgsSent).1, 2.0);
        assert_eq!(seen.sum(Builtin::GrpcReqDuration).0, 0);

        // One of which the test has seen enough.
        let (seen, _) = tower::seen();
        let endless = Response::new(Frames::new([message(1), message(1), message(1)], None));
        let mut body = ask(&seen, Ok(endless)).await.unwrap().into_body();
        next(&mut body).await.unwrap().unwrap();
        drop(body);
        assert_eq!(seen.sum(Builtin::GrpcStreams).1, 1.0);
        assert_eq!(seen.sum(Builtin::GrpcStreamsMsgsReceived).1, 1.0);
        assert!(seen.failed.borrow().is_empty());
    });
}

#[test]
fn what_ends_on_another_thread_is_recorded_when_the_client_is_dropped() {
    run(async {
        let (seen, samples) = seen();
        let answer = Response::new(Frames::new([message(1)], Some("0")));
        let mut service = LoadTestLayer::new(samples).layer(Answers(Some(Ok(answer))));
        let mut body = service.call(grpc(Frames::default())).await.unwrap().into_body();
        let read = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async { while next(&mut body).await.is_some() {} });
        };
        std::thread::spawn(read).join().unwrap();
        assert_eq!(seen.sum(Builtin::GrpcReqDuration).0, 0);
        drop(service);
        assert_eq!(seen.sum(Builtin::GrpcReqDuration).0, 1);
        // The thread's end of it is gone as well.
        assert_eq!(Rc::strong_count(&seen), 1);
    });
}

#[test]
fn other_requests_are_operations_named_by_method_and_route() {
    run(async {
        for (answer, failed) in [
            (Ok(Response::new(Frames::default())), false),
            (Ok(Response::builder().status(404).body(Frames::default()).unwrap()), true),
            (Err("refused".to_owned()), true),
        ] {
            let (seen, samples) = seen();
            let mut service = LoadTestLayer::new(samples).layer(Answers(Some(answer)));
            let request = Request::get("http://127.0.0.1/seats/17").body(Frames::default()).unwrap();
            if let Ok(response) = service.call(request).await {
                drop(response);
            }
            assert_eq!(*seen.measured.borrow(), [("GET /seats/{id}".to_owned(), failed)]);
            assert_eq!(seen.failed.borrow().len(), usize::from(failed), "{:?}", seen.failed);
        }
    });
}

#[test]
fn a_call_of_any_service_that_the_test_gives_up_has_failed() {
    struct Never;
    impl Service<u32> for Never {
        type Response = ();
        type Error = String;
        type Future = std::future::Pending<Result<(), String>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: u32) -> Self::Future {
            std::future::pending()
        }
    }
    run(async {
        let (seen, samples) = seen();
        let mut service = MeasureLayer::new(samples, "ask".to_owned()).layer(Never);
        assert!(tokio::time::timeout(Duration::from_millis(5), service.call(8)).await.is_err());
        assert_eq!(*seen.measured.borrow(), [("ask".to_owned(), true)]);
        assert_eq!(
            seen.failure(),
            (Protocol::Measure, "ask: dropped by the test before it ended".to_owned())
        );
    });
}

#[test]
fn the_calls_of_any_service_are_measured() {
    struct Halve;
    impl Service<u32> for Halve {
        type Response = u32;
        type Error = String;
        type Future = std::future::Ready<Result<u32, String>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, number: u32) -> Self::Future {
            std::future::ready(if number.is_multiple_of(2) { Ok(number / 2) } else { Err("odd".to_owned()) })
        }
    }
    run(async {
        let (seen, samples) = seen();
        let mut service = MeasureLayer::new(samples, "halve".to_owned()).layer(Halve);
        assert_eq!(service.call(8).await, Ok(4));
        assert_eq!(service.call(7).await, Err("odd".to_owned()));
        assert_eq!(*seen.measured.borrow(), [("halve".to_owned(), false), ("halve".to_owned(), true)]);
        assert_eq!(seen.failure(), (Protocol::Measure, "halve: odd".to_owned()));
    });
}
