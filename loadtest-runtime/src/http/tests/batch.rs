//! Several requests at once: batches, `tokio::join!` and tasks of the iteration.

use std::cell::Cell;

use super::handler::{Handler, response};
use super::*;
use crate::http::HttpOptions;

/// Holds requests back until so many are there, and knows the most that were.
struct Gate {
    needed: usize,
    waiting: Cell<usize>,
    now: Cell<usize>,
    most: Cell<usize>,
    total: Cell<usize>,
    opened: tokio::sync::Notify,
}

impl Gate {
    fn new(needed: usize) -> Rc<Self> {
        let zero = || Cell::new(0);
        let opened = tokio::sync::Notify::new();
        Rc::new(Self { needed, waiting: zero(), now: zero(), most: zero(), total: zero(), opened })
    }

    async fn pass(&self) {
        self.total.set(self.total.get() + 1);
        self.now.set(self.now.get() + 1);
        self.most.set(self.most.get().max(self.now.get()));
        self.waiting.set(self.waiting.get() + 1);
        if self.waiting.get() == self.needed {
            // Whoever is too many has time to come.
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.waiting.set(0);
            self.opened.notify_waiters();
        } else {
            self.opened.notified().await;
        }
        self.now.set(self.now.get() - 1);
    }

    async fn server(self: &Rc<Self>) -> Handler {
        let gate = Rc::clone(self);
        Handler::start(async move |request| {
            gate.pass().await;
            response("200 OK", "", request.uri)
        })
        .await
    }
}

fn limited(batch: usize, batch_per_host: usize) -> HttpOptions {
    HttpOptions { batch, batch_per_host, ..HttpOptions::default() }
}

#[test]
fn as_many_at_once_as_allowed_and_answers_in_order() {
    run(async {
        for (batch, per_host, at_once) in [(4, 0, 4), (20, 6, 6), (0, 3, 3), (0, 0, 12), (1, 0, 1)] {
            let gate = Gate::new(at_once);
            let server = gate.server().await;
            let (http, recorder) = user_with(limited(batch, per_host));
            let responses = http.batch((0..12).map(|i| http.get(server.url(&format!("/{i}"))))).await;
            let bodies: Vec<_> =
                responses.into_iter().map(|response| response.unwrap().text().unwrap()).collect();
            assert_eq!(bodies, (0..12).map(|i| format!("/{i}")).collect::<Vec<_>>());
            assert_eq!((gate.most.get(), gate.total.get()), (at_once, 12), "{batch} {per_host}");
            assert_eq!(server.connections(), at_once, "connections are used again");
            assert_eq!(recorder.statuses(), [200; 12]);
        }
    });
}

#[test]
fn hosts_have_limits_of_their_own() {
    run(async {
        let gates = [Gate::new(2), Gate::new(2), Gate::new(2)];
        let mut servers = Vec::new();
        for gate in &gates {
            servers.push(gate.server().await);
        }
        let (http, recorder) = user_with(limited(6, 2));
        // Those of the first host come first, and must not keep the others waiting: its gate opens for pairs only.
        let requests = servers.iter().flat_map(|server| (0..4).map(|_| http.get(server.url("/"))));
        let responses = http.batch(requests.collect::<Vec<_>>()).await;
        assert!(responses.iter().all(|response| response.as_ref().unwrap().status() == 200));
        assert!(gates.iter().all(|gate| gate.most.get() == 2 && gate.total.get() == 4));
        assert_eq!(recorder.all().len(), 12);
    });
}

#[test]
fn each_request_has_its_own_outcome() {
    run(async {
        let server = Handler::start(async |request| match request.uri.as_str() {
            "/missing" => response("404 Not Found", "", ""),
            "/moved" => response("302 Found", "location: /there\r\n", ""),
            _ => response("200 OK", "", request.body),
        })
        .await;
        let (http, recorder) = user();
        let outcomes = http
            .batch([
                http.get("nonsense"),
                http.get(server.url("/missing")),
                http.post(server.url("/echo")).body("body").tag("part", "echo"),
                http.get(server.url("/moved")),
                http.get(server.url("/other")).expected_status(201).name("odd"),
            ])
            .await;
        assert_eq!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::InvalidUrl);
        assert_eq!(outcomes[1].as_ref().unwrap().status(), 404);
        assert_eq!(outcomes[2].as_ref().unwrap().text().unwrap(), "body");
        assert_eq!(outcomes[3].as_ref().unwrap().url(), server.url("/there"));
        assert!(outcomes[4].is_ok());
        let all = recorder.all();
        assert_eq!(all.len(), 6, "a redirect that is followed is one more");
        let find = |name: &str| all.iter().find(|exchange| exchange.name == name).unwrap();
        assert_eq!(find("/echo").tags, [("part".to_owned(), "echo".to_owned())]);
        assert!(!find("odd").expected && !find("/missing").expected && find("/moved").expected);
        assert!(http.batch([]).await.is_empty());
    });
}

#[test]
fn a_batch_that_is_dropped_gives_up_what_had_begun() {
    run(async {
        let gate = Gate::new(3);
        let server = gate.server().await;
        let (http, recorder) = user_with(limited(2, 0));
        let batch = http.batch((0..5).map(|_| http.get(server.url("/"))));
        let both_there = async {
            while gate.total.get() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = batch => panic!("nobody answered"),
            () = both_there => {}
        }
        let all = recorder.all();
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|exchange| exchange.error == Some(ErrorKind::Timeout)), "{all:#?}");
        assert_eq!(gate.total.get(), 2);
    });
}

#[test]
fn handles_can_be_used_side_by_side_and_in_tasks() {
    run(async {
        let gate = Gate::new(3);
        let server = gate.server().await;
        let (http, recorder) = user();
        let task = tokio::task::spawn_local(http.get(server.url("/task")).send());
        let own = http.clone();
        let (first, second) =
            tokio::join!(http.get(server.url("/a")).send(), own.post(server.url("/b")).body("x").send());
        assert_eq!(first.unwrap().text().unwrap(), "/a");
        assert_eq!(second.unwrap().text().unwrap(), "/b");
        assert_eq!(task.await.unwrap().unwrap().text().unwrap(), "/task");
        assert_eq!((recorder.all().len(), server.connections()), (3, 3));
    });
}
