//! Requests that wait for their turns.

use super::server::{Server, ok, reply};
use super::*;
use crate::http::Throttle;

const RATE: u32 = 5;

/// A virtual user whose requests wait for their turns.
fn throttled(throttle: &Arc<Throttle>) -> (Http, Rc<Recorder>) {
    let recorder = Rc::new(Recorder::default());
    let client = HttpClient::new(Arc::default()).throttled(Some(Arc::clone(throttle)));
    (Http::new(Rc::new(client), Rc::clone(&recorder) as Rc<dyn RecordExchange>), recorder)
}

#[test]
fn every_exchange_waits_for_its_turn_and_no_other_time_knows() {
    run(async {
        let moved = reply("302 Found", "location: /b\r\n", "");
        let server = Server::start([ok(""), moved, ok("")]).await;
        let (http, recorder) = throttled(&Arc::new(Throttle::new(RATE, 1)));
        let began = std::time::Instant::now();
        // The time limit is shorter than the wait.
        for path in ["/1", "/a"] {
            let request = http.get(server.url(path)).timeout(Duration::from_millis(150));
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
        assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
        let waits = recorder.1.borrow().clone();
        let names: Vec<_> = waits.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, waits[0].1), (vec!["/{id}", "/a", "/b"], Duration::ZERO));
        assert!(waits[1].1 > Duration::from_millis(20), "{waits:?}");
        for exchange in recorder.all() {
            let all = exchange.timings.blocked + exchange.timings.duration_nanos();
            assert!(all < 150_000_000, "{exchange:?}");
        }
    });
}

#[test]
fn a_request_that_is_given_up_before_its_turn_was_none() {
    run(async {
        let server = Server::start([ok("")]).await;
        let (http, recorder) = throttled(&Arc::new(Throttle::new(1, 3_600)));
        http.get(server.url("/1")).send().await.unwrap();
        let limit = Duration::from_millis(5);
        assert!(tokio::time::timeout(limit, http.get(server.url("/2")).send()).await.is_err());
        assert_eq!((recorder.all().len(), recorder.1.borrow().len(), server.requests().len()), (1, 1, 1));
    });
}

#[cfg(feature = "reqwest")]
#[test]
fn a_client_of_the_users_own_waits_as_well() {
    run(async {
        let server = Server::start([ok(""), ok("")]).await;
        let recorder = Rc::new(Recorder::default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let http = crate::http::ReqwestHttp::new(&client, Rc::clone(&recorder) as Rc<dyn RecordExchange>)
            .throttled(Some(Arc::new(Throttle::new(RATE, 1))));
        let began = std::time::Instant::now();
        for _ in 0..2 {
            http.send(client.get(server.url("/a"))).await.unwrap();
        }
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
        assert_eq!(recorder.1.borrow().len(), 2);
        assert!(recorder.all()[1].timings.waiting < 150_000_000);
    });
}
