//! Server-sent events.

use loadtest_core::metric::Builtin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::super::sse::{Event, EventSource};
use super::*;
use crate::http::{ErrorKind, ExchangeRecord, Http, RecordExchange};

struct Recorder {
    seen: Rc<Seen>,
    exchanges: RefCell<Vec<(String, u16, bool)>>,
}

impl RecordExchange for Recorder {
    fn record(&self, exchange: &ExchangeRecord<'_>) {
        let exchange = (exchange.name.to_owned(), exchange.status, exchange.error.is_some());
        self.exchanges.borrow_mut().push(exchange);
    }

    fn samples(&self) -> Option<Rc<dyn RecordSamples>> {
        Some(Rc::clone(&self.seen) as Rc<dyn RecordSamples>)
    }
}

fn http() -> (Http, Rc<Recorder>) {
    let recorder = Rc::new(Recorder { seen: Rc::default(), exchanges: RefCell::default() });
    let client = Rc::new(HttpClient::new(Arc::default()));
    (Http::new(client, Rc::clone(&recorder) as Rc<dyn RecordExchange>), recorder)
}

/// Sends a head, then what comes through the channel, as it comes. Yields the request.
async fn server(
    head: &'static str,
) -> (String, mpsc::UnboundedSender<&'static str>, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prices/7?key=secret", listener.local_addr().unwrap());
    let (send, mut pieces) = mpsc::unbounded_channel::<&str>();
    let (told, requests) = mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        told.send(String::from_utf8_lossy(&request[..length]).to_ascii_lowercase()).unwrap();
        stream.write_all(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        while let Some(piece) = pieces.recv().await {
            if stream.write_all(piece.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    (url, send, requests)
}

const EVENTS: &str = "200 OK\r\ncontent-type: text/event-stream; charset=utf-8";

#[test]
fn events_come_as_they_are_sent() {
    run(async {
        let (url, send, mut requests) = server(EVENTS).await;
        let (http, recorder) = http();
        let mut events = http.get(&url).tag("plan", "free").send_events().await.unwrap();
        assert!(requests.recv().await.unwrap().contains("accept: text/event-stream"));
        send.send("event: price\nda").unwrap();
        send.send("ta: 3\nid: 1\n\ndata: 4\n\n: ping\n").unwrap();
        let first = events.next().await.unwrap().unwrap();
        assert_eq!(first, Event { event: "price".into(), data: "3".into(), id: "1".into(), retry: None });
        assert_eq!(events.next().await.unwrap().unwrap().data, "4");
        assert_eq!(events.last_event_id(), "1");
        // An event that its stream does not end is none.
        send.send("data: cut").unwrap();
        drop(send);
        assert_eq!(events.next().await.unwrap(), None);
        let seen = &recorder.seen;
        assert_eq!(seen.sum(Builtin::SseEvent).1, 2.0);
        assert_eq!(seen.tags(Builtin::SseTimeToFirstEvent), "name=/prices/{id} plan=free");
        assert_eq!(*recorder.exchanges.borrow(), [("/prices/{id}".to_owned(), 200, false)]);
        assert!(seen.failed.borrow().is_empty());
    });
}

#[test]
fn what_is_no_stream_of_events_is_refused_and_recorded() {
    for (head, kind, code, part) in [
        ("503 Service Unavailable\r\ncontent-length: 0", ErrorKind::Status, 1503, "answered 503"),
        ("200 OK\r\ncontent-type: text/html", ErrorKind::InvalidResponse, 1000, "\"text/html\""),
    ] {
        run(async {
            let (url, _send, _requests) = server(head).await;
            let (http, recorder) = http();
            let error = http.get(&url).send_events().await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
            assert!(error.to_string().contains(part) && !error.to_string().contains("secret"), "{error}");
            assert_eq!(recorder.seen.failure().0, Protocol::Sse);
            assert_eq!(recorder.exchanges.borrow().len(), 1);
        });
    }
}

#[test]
fn any_response_can_be_read_as_events_and_one_has_a_limit() {
    run(async {
        let (url, send, _requests) = server("200 OK\r\ncontent-type: text/plain").await;
        let (http, recorder) = http();
        let response = http.get(&url).send_streaming().await.unwrap();
        let mut events = EventSource::new(response).max_event(20);
        send.send("data: short\n\ndata: 12345678901234567890\n\n").unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().data, "short");
        let error = loop {
            match events.next().await {
                Ok(event) => assert!(event.is_some()),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains(".max_event("), "{error}");
        assert_eq!(recorder.seen.sum(Builtin::SseEvent).1, 1.0);
    });
}
