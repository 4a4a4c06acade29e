//! Samples of other protocols: under which tags, and for which iteration.

use loadtest_core::metric::Builtin;

use super::*;
use crate::protocols::{OwnTags, Protocol as Failed, RecordSamples};

#[test]
fn a_sample_has_the_tags_in_force_and_its_own() {
    let mut bench = Bench::new(1);
    let vu = &mut bench.vu;
    vu.begin_iteration();
    let samples = vu.samples();
    let tags = OwnTags::new(&[("room".to_owned(), "a".to_owned())]).with(tag::NAME, "/chat");
    samples.value(&tags, Builtin::WsMsgsSent, 1.0);
    vu.tag("plan", "free");
    samples.value(&tags, Builtin::WsMsgsSent, 2.0);
    samples.value(&tags, Builtin::WsMsgsSent, 4.0);
    samples.measured(&tags, "GET /", Duration::from_millis(2), true);
    let (sums, _) = bench.finish();
    let sum = |metric: &str, tags: &str| sums[&(metric.to_owned(), tags.to_owned())].sum;
    assert_eq!(sum("ws_msgs_sent", "name=/chat room=a"), 1.0);
    assert_eq!(sum("ws_msgs_sent", "name=/chat plan=free room=a"), 6.0);
    assert_eq!(sum("measure_failed", "name=GET / plan=free room=a"), 1.0);
}

#[test]
fn a_connection_that_outlives_its_iteration_is_not_recorded_any_more() {
    let bench = Bench::new(2);
    let kept: RefCell<Option<Rc<dyn RecordSamples>>> = RefCell::default();
    let core = Rc::clone(&bench.vu.core);
    let rest = bench.live(async |vu: &mut Vu| {
        let own = vu.samples();
        if let Some(stale) = kept.replace(Some(Rc::clone(&own))) {
            stale.value(&OwnTags::default(), Builtin::WsPing, 1.0);
            stale.failed(Failed::WebSocket, "stale".to_owned());
        }
        own.value(&OwnTags::default(), Builtin::WsPing, 2.0);
        own.failed(Failed::WebSocket, "own".to_owned());
        Ok(())
    });
    kept.take().expect("kept").value(&OwnTags::default(), Builtin::WsPing, 1.0);
    let (sums, errors) = rest.finish(&core);
    let ping = &sums[&("ws_ping".to_owned(), String::new())];
    assert_eq!((ping.count, ping.sum), (2, 4.0));
    let [error] = &errors[..] else { panic!("one kind: {errors:?}") };
    assert_eq!((error.source, error.count), (errors::Source::WebSocket, 2));
}

#[cfg(feature = "websocket")]
#[test]
fn a_session_sends_the_virtual_users_cookies_unless_the_test_says_others() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = std::thread::spawn(move || {
        let heads = (0..2).map(|_| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a head");
                head.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").expect("written");
            String::from_utf8(head).expect("text").to_ascii_lowercase()
        });
        heads.collect::<Vec<_>>()
    });
    let bench = Bench::new(1);
    bench.live(async |vu: &mut Vu| {
        let jar = vu.http().cookies();
        jar.set(format!("http://{address}/"), "lang", "ko")?;
        jar.set(format!("http://{address}/"), "seat", "a1")?;
        jar.store(format!("http://{address}/"), "admin=1; Path=/admin")?;
        let url = format!("WS://{address}/chat");
        vu.websocket(&url).connect().await.expect_err("refused");
        vu.websocket(&url).header("cookie", "own=1").connect().await.expect_err("refused");
        Ok(())
    });
    let heads = server.join().expect("it ends");
    let cookies = |head: &str| -> Vec<String> {
        let lines = head.lines().filter_map(|line| line.strip_prefix("cookie: "));
        let mut cookies: Vec<_> = lines.flat_map(|line| line.split("; ")).map(str::to_owned).collect();
        cookies.sort_unstable();
        cookies
    };
    assert_eq!(cookies(&heads[0]), ["lang=ko", "seat=a1"]);
    assert_eq!(cookies(&heads[1]), ["own=1"]);
}

#[test]
fn a_connection_of_a_virtual_user_is_recorded_as_its_own() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let bench = Bench::new(1);
    let core = Rc::clone(&bench.vu.core);
    let rest = bench.live(async |vu: &mut Vu| {
        vu.tag("plan", "free");
        // Accepted by the kernel.
        let mut tcp = vu.tcp(&address).name("store").connect().await?;
        tcp.write_all("hello").await?;
        Ok(())
    });
    let (sums, errors) = rest.finish(&core);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(sums[&("tcp_sessions".to_owned(), "name=store plan=free".to_owned())].sum, 1.0);
    assert_eq!(sums[&("data_sent".to_owned(), "plan=free".to_owned())].sum, 5.0);
}
