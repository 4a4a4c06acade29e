//! Where connections go, where they come from, and where they may not go.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{Server, ok, reply};
use super::*;
use crate::http::options::{HostAddress, IpRange};

/// The virtual user of this number.
fn vu(options: HttpOptions, number: u64) -> (Http, Rc<Recorder>) {
    let recorder = Rc::new(Recorder::default());
    let client = Rc::new(HttpClient::of_vu(Arc::new(options), number));
    (Http::new(client, Rc::clone(&recorder) as Rc<dyn RecordExchange>), recorder)
}

/// Answers each request of a connection with a text.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: String) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        let before = read.len();
        match stream.read_buf(&mut read).await {
            Ok(count) if count > 0 => {}
            _ => return read,
        }
        if read[before..].ends_with(b"\r\n\r\n") {
            let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    }
}

/// A server on this address that tells each client its address.
async fn mirror(address: &str) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            tokio::task::spawn_local(answer(stream, peer.ip().to_string()));
        }
    });
    address
}

fn hosts(entries: &[(&str, String)]) -> HttpOptions {
    let entries = entries.iter().map(|(name, address)| {
        let address: HostAddress = address.parse().unwrap();
        ((*name).to_owned(), address)
    });
    HttpOptions { hosts: entries.collect(), ..HttpOptions::default() }
}

#[test]
fn hosts_are_overridden() {
    run(async {
        let server = Server::start([ok("a"), ok("b"), ok("c")]).await;
        let port = server.url("").rsplit(':').next().unwrap().to_owned();
        let (http, recorder) = user_with(hosts(&[
            ("api.test", format!("127.0.0.1:{port}")),
            ("*.svc.test:8080", format!("127.0.0.1:{port}")),
            ("seats.test", "127.0.0.1".to_owned()),
        ]));
        for url in [
            "http://api.test/a".to_owned(),
            "http://one.svc.test:8080/b".to_owned(),
            format!("http://seats.test:{port}/c"),
        ] {
            let response = http.get(&url).send().await.unwrap();
            assert_eq!(response.remote_addr().unwrap().to_string(), format!("127.0.0.1:{port}"));
        }
        assert_eq!(recorder.all()[0].timings.looking_up, 0, "no resolver is asked");
        let requests = server.requests();
        assert!(requests[0].contains("host: api.test\r\n"), "{}", requests[0]);
        assert!(requests[1].contains("host: one.svc.test:8080\r\n"), "{}", requests[1]);
    });
}

#[test]
fn a_name_of_this_machine_is_resolved() {
    run(async {
        let server = Server::start([ok("a")]).await;
        let (http, recorder) = user();
        let url = server.url("/").replace("127.0.0.1", "localhost");
        assert_eq!(http.get(url).send().await.unwrap().text().unwrap(), "a");
        assert!(recorder.only().timings.looking_up > 0);
    });
}

#[test]
fn what_is_blocked_is_not_connected_to() {
    run(async {
        let server = Server::start([ok("a")]).await;
        let block_hostnames = vec!["*.blocked.test".parse().unwrap()];
        let block_ips: Vec<IpRange> = vec!["127.0.0.0/8".parse().unwrap()];
        let options = HttpOptions { block_hostnames, block_ips, ..HttpOptions::default() };
        let (http, recorder) = user_with(options);
        let error = http.get("http://a.blocked.test/").send().await.unwrap_err();
        assert_failed(&recorder.all()[0], &error, ErrorKind::BlockedHostname, 1111);
        for url in [
            server.url("/"),
            server.url("/").replace("127.0.0.1", "localhost"),
            server.url("/").replace("127.0.0.1", "[::ffff:127.0.0.1]"),
            server.url("/").replace("127.0.0.1", "0.0.0.0"),
        ] {
            let error = http.get(&url).send().await.unwrap_err();
            // Where `localhost` has an address of IPv6 too, nothing listens there.
            if error.kind() != ErrorKind::ConnectionRefused {
                assert_failed(recorder.all().last().unwrap(), &error, ErrorKind::BlockedIp, 1110);
            }
        }
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn the_allow_list_holds_after_redirects() {
    run(async {
        let foreign = mirror("127.0.0.2:0").await;
        let elsewhere = format!("location: http://{foreign}/\r\n");
        let server = Server::start([reply("302 Found", &elsewhere, ""), ok("after")]).await;
        let allow = vec!["127.0.0.1".parse().unwrap()];
        let (http, recorder) = user_with(HttpOptions { allow, ..HttpOptions::default() });
        let error = http.get(server.url("/")).send().await.unwrap_err();
        let all = recorder.all();
        assert_eq!((all[0].status, all[0].error), (302, None));
        assert_failed(&all[1], &error, ErrorKind::NotAllowed, 1000);
        assert_eq!(all[1].bytes_sent, 0);
        let text = error.to_string();
        assert!(text.contains("add `127.0.0.2` to `allow`") && text.contains("--allow 127.0.0.2"), "{text}");
        // A name that leads to an address that is not allowed.
        let allow = vec!["127.0.0.1".parse().unwrap()];
        let options = HttpOptions { allow, ..hosts(&[("friend.test", foreign.to_string())]) };
        let error = user_with(options).0.get("http://friend.test/").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{error}");
        assert!(error.to_string().contains("which is 127.0.0.2"), "{error}");
        assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "after");
        // That address does answer who may ask it.
        let answer = user().0.get(format!("http://{foreign}/")).send().await.unwrap();
        assert_eq!(answer.text().unwrap(), "127.0.0.1");
    });
}

#[cfg(unix)]
#[test]
fn a_redirect_does_not_lead_into_the_file_system() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let socket = format!("http+unix://{}/containers", path.to_str().unwrap().replace('/', "%2F"));
        let location = format!("location: {socket}\r\n");
        let server = Server::start([reply("302 Found", &location, ""), ok("after")]).await;
        let (http, recorder) = user();
        let error = http.get(server.url("/")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{error}");
        assert!(error.to_string().contains("may not lead to a socket of the file system"), "{error}");
        assert_eq!(recorder.all().len(), 1, "nothing was sent there");
        let accepted = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        assert!(accepted.is_err(), "somebody has connected");
        assert_eq!(http.get(server.url("/")).send().await.unwrap().text().unwrap(), "after");
        // Nor does one from another socket; within the one that was asked, redirects are followed.
        let asked = directory.path().join("app.sock");
        let served = tokio::net::UnixListener::bind(&asked).unwrap();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = served.accept().await.unwrap();
            for location in ["/next", &socket] {
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                let head = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        });
        let url = format!("http+unix://{}/", asked.to_str().unwrap().replace('/', "%2F"));
        let (http, recorder) = user();
        assert_eq!(http.get(&url).send().await.unwrap_err().kind(), ErrorKind::InvalidUrl);
        let names: Vec<_> = recorder.all().into_iter().map(|exchange| exchange.name).collect();
        assert_eq!(names, ["/", "/next"]);
        let accepted = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        assert!(accepted.is_err(), "somebody has connected");
    });
}

#[test]
fn idle_connections_are_bounded_over_all_origins() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, accepted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (still_open, counted) = (Rc::clone(&open), Rc::clone(&accepted));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.set(counted.get() + 1);
                still_open.set(still_open.get() + 1);
                let open = Rc::clone(&still_open);
                tokio::task::spawn_local(async move {
                    answer(stream, "here".to_owned()).await;
                    open.set(open.get() - 1);
                });
            }
        });
        let (http, _) = user_with(hosts(&[("*.svc.test", address.to_string())]));
        let get = async |number: usize| {
            let response = http.get(format!("http://user{number}.svc.test/")).send().await.unwrap();
            assert_eq!(response.text().unwrap(), "here");
        };
        for number in 0..100 {
            get(number).await;
        }
        // The server hears of the others' end in its own time.
        while open.get() > 64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((open.get(), accepted.get()), (64, 100));
        // Those used last were kept: the hundredth back to the 37th.
        for number in (36..100).rev() {
            get(number).await;
        }
        assert_eq!(accepted.get(), 100);
        // Now the hundredth is the one used longest ago.
        get(0).await;
        get(98).await;
        assert_eq!(accepted.get(), 101);
        get(99).await;
        assert_eq!(accepted.get(), 102);
    });
}

#[test]
fn no_resolver_is_asked_for_what_cannot_be_allowed() {
    run(async {
        let allow = vec!["api.test".parse().unwrap()];
        let (http, recorder) = user_with(HttpOptions { allow, ..HttpOptions::default() });
        let error = http.get("http://other.test/").send().await.unwrap_err();
        let recorded = recorder.only();
        assert_failed(&recorded, &error, ErrorKind::NotAllowed, 1000);
        assert_eq!(recorded.timings.looking_up, 0);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn connections_go_out_from_local_addresses() {
    run(async {
        let server = mirror("127.0.0.1:0").await;
        for (number, address) in [(1, "127.0.0.6"), (2, "127.0.0.7"), (3, "127.0.0.5"), (4, "127.0.0.6")] {
            let local_ips = vec!["127.0.0.5-127.0.0.7".parse().unwrap()];
            let (http, _) = vu(HttpOptions { local_ips, ..HttpOptions::default() }, number);
            let response = http.get(format!("http://{server}/")).send().await.unwrap();
            assert_eq!(response.text().unwrap(), address);
        }
        // An address of documentation (RFC 5737), which no machine has.
        let local_ips = vec!["203.0.113.9".parse().unwrap()];
        let (http, recorder) = vu(HttpOptions { local_ips, ..HttpOptions::default() }, 1);
        let error = http.get(format!("http://{server}/")).send().await.unwrap_err();
        assert_failed(&recorder.only(), &error, ErrorKind::ConnectFailed, 1210);
        assert!(error.to_string().contains("from 203.0.113.9") && error.to_string().contains("local_ips"));
        let local_ips = vec!["::1".parse().unwrap()];
        let (http, _) = vu(HttpOptions { local_ips, ..HttpOptions::default() }, 1);
        let error = http.get(format!("http://{server}/")).send().await.unwrap_err();
        assert!(error.to_string().contains("no address of its family"), "{error}");
    });
}

#[cfg(unix)]
#[test]
fn a_socket_of_the_file_system() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("the app.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let served = tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.unwrap();
            answer(stream, "through a file".to_owned()).await
        });
        let host = path.to_str().unwrap().replace('/', "%2F").replace(' ', "%20");
        let allow = vec!["loopback".parse().unwrap()];
        let (http, recorder) = user_with(HttpOptions { allow, ..HttpOptions::default() });
        for _ in 0..2 {
            let response = http.get(format!("http+unix://{host}/seats/9?q=1")).send().await.unwrap();
            assert_eq!(response.text().unwrap(), "through a file");
            assert_eq!(response.remote_addr(), None);
        }
        let all = recorder.all();
        assert_eq!(all[0].name, "/seats/{id}");
        assert_eq!(all[0].url, format!("http+unix://{host}/seats/9"));
        assert!(all[0].timings.connecting > 0 && all[1].timings.connecting == 0, "{all:#?}");
        assert!(all[0].bytes_sent > 0 && all[0].bytes_received > 0);
        drop(http);
        let requests = String::from_utf8(served.await.unwrap()).unwrap();
        assert!(requests.starts_with("GET /seats/9?q=1 HTTP/1.1\r\n"), "{requests}");
        assert!(requests.contains("host: localhost\r\n"), "{requests}");
        let (http, recorder) = user();
        let missing = format!("http+unix://{host}.missing/");
        let error = http.get(&missing).send().await.unwrap_err();
        assert_failed(&recorder.only(), &error, ErrorKind::ConnectFailed, 1210);
        assert!(error.to_string().contains("path of its socket"), "{error}");
        let allow = vec!["example.org".parse().unwrap()];
        let (http, _) = user_with(HttpOptions { allow, ..HttpOptions::default() });
        assert_eq!(http.get(&missing).send().await.unwrap_err().kind(), ErrorKind::NotAllowed);
    });
}

#[cfg(not(feature = "http2"))]
#[test]
fn http2_needs_its_feature() {
    run(async {
        let http_version = crate::http::options::HttpVersion::Http2;
        let (http, recorder) = user_with(HttpOptions { http_version, ..HttpOptions::default() });
        let error = http.get("http://127.0.0.1:9/").send().await.unwrap_err();
        assert_failed(&recorder.only(), &error, ErrorKind::Http2, 1600);
        assert!(error.to_string().contains("feature `http2`"), "{error}");
    });
}
