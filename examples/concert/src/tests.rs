//! The service as a client sees it, without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::payment::START_BALANCE;
use crate::{Concert, Settings, router, seats};

/// A client of a service of its own.
#[derive(Clone)]
struct Client {
    router: Router,
}

impl Client {
    fn new(settings: &Settings) -> Self {
        Self { router: router(Arc::new(Concert::new(settings))) }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("Token", token);
        }
        let body = match body {
            Some(json) => {
                request = request.header("content-type", "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, token, None).await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, token, Some(body)).await
    }

    async fn token(&self, user: u32) -> String {
        let (status, ticket) = self.post("/queue", "", json!({"user": user})).await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(ticket["admitted"], true);
        ticket["token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_user_gets_from_the_queue_to_a_ticket() {
    let client = Client::new(&Settings::default());
    let token = client.token(7).await;
    let (status, ticket) = client.get(&format!("/queue/{token}"), "").await;
    assert_eq!((status, &ticket["user"], &ticket["position"]), (StatusCode::OK, &json!(7), &json!(0)));

    let (status, schedules) = client.get("/schedules", &token).await;
    assert_eq!((status, schedules.as_array().unwrap().len()), (StatusCode::OK, 24));
    let id = &schedules[0]["id"];

    let (status, map) = client.get(&format!("/schedules/{id}/seats"), &token).await;
    assert_eq!((status, map["seats"].as_array().unwrap().len()), (StatusCode::OK, seats::SEATS as usize));
    let seat = &map["seats"][119];
    assert_eq!(seat["available"], true);

    let wanted = json!({"schedule": id, "seat": seat["seat"]});
    let (status, reservation) = client.post("/reservations", &token, wanted.clone()).await;
    assert_eq!((status, &reservation["price"]), (StatusCode::CREATED, &seat["price"]));
    assert_eq!(client.post("/reservations", &token, wanted).await.0, StatusCode::CONFLICT);

    let payment = json!({"reservation": reservation["reservation"]});
    let (status, receipt) = client.post("/payments", &token, payment).await;
    assert_eq!((status, &receipt["amount"]), (StatusCode::OK, &seat["price"]));

    let (_, map) = client.get(&format!("/schedules/{id}/seats"), &token).await;
    assert_eq!((&map["seats"][119]["available"], &map["available"]), (&json!(false), &json!(599)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_gets_the_seat() {
    let client = Client::new(&Settings::default());
    let (_, batch) = client.post("/tokens/batch", "", json!({"users": 32})).await;
    let tasks: Vec<_> = (0..32)
        .map(|index| {
            let (client, token) =
                (client.clone(), batch["tokens"][index]["token"].as_str().unwrap().to_owned());
            tokio::spawn(async move {
                client.post("/reservations", &token, json!({"schedule": 1, "seat": 1})).await.0
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.unwrap());
    }
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::CONFLICT)), (1, 31));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reservation_is_charged_once_however_often_it_is_paid() {
    let client = Client::new(&Settings::default());
    let token = client.token(1).await;
    let (_, reservation) = client.post("/reservations", &token, json!({"schedule": 2, "seat": 600})).await;
    let payment = json!({"reservation": reservation["reservation"]});
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (client, token, payment) = (client.clone(), token.clone(), payment.clone());
            tokio::spawn(async move { client.post("/payments", &token, payment).await })
        })
        .collect();
    for task in tasks {
        let (status, receipt) = task.await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(receipt["balance"], START_BALANCE - seats::price(600));
    }
    let stranger = client.token(2).await;
    assert_eq!(client.post("/payments", &stranger, payment).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_sale_is_closed_to_those_who_still_wait() {
    let client = Client::new(&Settings { admit_per_second: 1, ..Settings::default() });
    // One is admitted per second, and thirty do not take thirty seconds to join.
    for user in 1..30 {
        client.post("/queue", "", json!({"user": user})).await;
    }
    let (status, last) = client.post("/queue", "", json!({"user": 30})).await;
    assert_eq!((status, &last["admitted"]), (StatusCode::CREATED, &json!(false)));
    let (status, refusal) = client.get("/schedules", last["token"].as_str().unwrap()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(refusal["error"].as_str().unwrap().contains("in the queue"), "{refusal}");
}

#[tokio::test]
async fn hostile_requests_are_refused_with_a_hint() {
    let client = Client::new(&Settings::default());
    let token = client.token(1).await;
    for (method, path, token, body, wanted) in [
        (Method::GET, "/schedules", "", None, 401),
        (Method::GET, "/schedules", "0-1-00000000000000000000000000000000", None, 401),
        (Method::GET, "/queue/%FF", "", None, 400),
        (Method::GET, "/schedules/0/seats", &*token, None, 404),
        (Method::GET, "/schedules/99999999999/seats", &token, None, 400),
        (Method::POST, "/queue", "", Some(json!({"user": 0})), 422),
        (Method::POST, "/queue", "", Some(json!({"user": 1, "vip": true})), 422),
        (Method::POST, "/queue", "", None, 415),
        (Method::POST, "/tokens/batch", "", Some(json!({"users": 4_000_000_000_u32})), 422),
        (Method::POST, "/reservations", &token, Some(json!({"schedule": 1, "seat": 601})), 404),
        (Method::POST, "/payments", &token, Some(json!({"reservation": "1-1-77"})), 410),
        (Method::POST, "/payments", &token, Some(json!({"reservation": "'; drop table"})), 404),
        (Method::DELETE, "/payments", &token, None, 405),
        (Method::GET, "/nowhere", "", None, 404),
    ] {
        let (status, refusal) = client.send(method, path, token, body).await;
        assert_eq!(status.as_u16(), wanted, "{path}: {refusal}");
        assert!(refusal["hint"].is_string(), "{path}: {refusal}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_refused_and_counted() {
    let client = Client::new(&Settings::default());
    let endless = json!("x".repeat(crate::body::LIMIT));
    let (status, refusal) = client.post("/queue", "", endless).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refusal["hint"].is_string());
    assert_eq!(client.get("/stats", "").await.1["requests"]["/queue"], 1);
}

#[tokio::test]
async fn a_refusal_that_needs_no_body_keeps_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = router(Arc::new(Concert::new(&Settings::default())));
    let server = tokio::spawn(async move { axum::serve(listener, service).await });

    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = "POST /reservations HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // Connections are accepted in order, on this one thread: after a whole request on a later one, the
    // service has seen the head of the first without its body.
    let last = "GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut later = TcpStream::connect(addr).await.unwrap();
    later.write_all(last.as_bytes()).await.unwrap();
    later.read_to_end(&mut Vec::new()).await.unwrap();

    stream.write_all(b"{}").await.unwrap();
    stream.write_all(last.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 401") && answers.contains("HTTP/1.1 200"), "{answers}");
    server.abort();
}

#[tokio::test]
async fn every_request_is_counted_once_under_its_template() {
    let client = Client::new(&Settings::default());
    let token = client.token(1).await;
    for _ in 0..3 {
        client.get(&format!("/queue/{token}"), "").await;
    }
    client.get("/schedules/1/seats", &token).await;
    client.get("/schedules/2/seats", "").await;
    client.send(Method::DELETE, "/payments", "", None).await;
    client.get("/nowhere", "").await;
    assert_eq!(client.get("/health", "").await.0, StatusCode::OK);
    client.get("/stats", "").await;

    let (_, stats) = client.get("/stats", "").await;
    assert_eq!(
        stats,
        json!({"total": 8, "injected_failures": 0, "requests": {
            "/queue": 1, "/queue/{token}": 3, "/tokens/batch": 0, "/schedules": 0, "/schedules/{id}/seats": 2,
            "/reservations": 0, "/payments": 1, "unmatched": 1,
        }})
    );
}

#[tokio::test]
async fn injected_failures_are_counted_and_spare_what_watches() {
    let settings = Settings { fail_rate: "100%".parse().unwrap(), ..Settings::default() };
    let client = Client::new(&settings);
    for _ in 0..5 {
        let (status, refusal) = client.post("/queue", "", json!({"user": 1})).await;
        assert_eq!(
            (status, &refusal["error"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &json!("injected failure"))
        );
    }
    assert_eq!(client.get("/health", "").await.0, StatusCode::OK);
    let (status, stats) = client.get("/stats", "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&stats["total"], &stats["injected_failures"]), (&json!(5), &json!(5)));
    assert_eq!(stats["requests"]["/queue"], 5);
}
