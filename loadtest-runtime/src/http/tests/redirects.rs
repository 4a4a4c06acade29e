//! Redirects, each an exchange of its own, and cookies.

use super::server::{Server, Step, ok, reply};
use super::*;
use crate::http::HeaderMap;
use crate::http::target::Target;

fn moved(status: u16, to: &str) -> Step {
    reply(&format!("{status} Moved"), &format!("location: {to}\r\n"), "moved")
}

#[test]
fn each_hop_is_an_exchange() {
    run(async {
        let server = Server::start([moved(302, "/b/2?x=1"), moved(301, "c"), ok("there")]).await;
        let (http, recorder) = user();
        let response = http.get(server.url("/a/1")).expected_status(200).send().await.unwrap();
        assert_eq!((response.url(), &*response.text().unwrap()), (&*server.url("/b/c"), "there"));
        let all = recorder.all();
        assert_eq!(recorder.statuses(), [302, 301, 200]);
        let names: Vec<&str> = all.iter().map(|exchange| &*exchange.name).collect();
        assert_eq!(names, ["/a/{id}", "/b/{id}", "/b/c"]);
        assert!(all.iter().all(|exchange| exchange.expected), "a redirect that is followed is expected");
        assert_eq!(all.iter().map(|exchange| exchange.bytes_received).sum::<u64>(), server.sent());
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn methods_change_as_in_browsers() {
    for (status, method, expected, keeps_body) in [
        (301, "POST", "GET", false),
        (302, "POST", "GET", false),
        (303, "PUT", "GET", false),
        (303, "HEAD", "HEAD", false),
        (307, "POST", "POST", true),
        (308, "PUT", "PUT", true),
    ] {
        run(async {
            let first = if method == "HEAD" {
                Step::Reply(b"HTTP/1.1 303 See Other\r\nlocation: /b\r\n\r\n".to_vec())
            } else {
                moved(status, "/b")
            };
            let server = Server::start([first, ok("")]).await;
            let (http, _) = user();
            let request = http.request(method.parse().unwrap(), server.url("/a")).header("x-kept", "1");
            let request = if method == "HEAD" { request } else { request.json(&[1, 2]) };
            request.send().await.unwrap();
            let second = server.requests()[1].clone();
            assert!(second.starts_with(&format!("{expected} /b HTTP/1.1\r\n")), "{status}: {second}");
            assert_eq!(second.ends_with("[1,2]"), keeps_body, "{status}: {second}");
            assert_eq!(second.contains("content-type"), keeps_body, "{status}: {second}");
            assert!(second.contains("x-kept: 1\r\n"));
        });
    }
}

#[test]
fn too_many_redirects_name_the_last_url() {
    run(async {
        let server = Server::start((1..9).map(|i| moved(302, &format!("/hop/{i}")))).await;
        let (http, recorder) = user();
        let error = http.get(server.url("/")).redirects(3).send().await.unwrap_err();
        assert_eq!(error.url(), server.url("/hop/3"));
        let all = recorder.all();
        assert_failed(&all[3], &error, ErrorKind::TooManyRedirects, 1000);
        // As many exchanges as the server saw requests; the last is the failed one.
        assert_eq!((all.len(), server.requests().len()), (4, 4));
        assert!(all[..3].iter().all(|exchange| exchange.expected && exchange.error.is_none()));
    });
}

#[test]
fn no_redirects_and_no_location_are_responses() {
    run(async {
        let server = Server::start([moved(302, "/b"), reply("302 Found", "", "")]).await;
        let (http, recorder) = user();
        let response = http.get(server.url("/a")).redirects(0).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &*response.text().unwrap()), (302, "moved"));
        assert_eq!(http.get(server.url("/a")).send().await.unwrap().status(), 302);
        assert!(recorder.all().iter().all(|exchange| exchange.expected));
    });
}

#[test]
fn a_location_that_leads_nowhere_is_an_error() {
    for location in ["mailto:a@example.org", "http://", "\u{fffd}://"] {
        run(async {
            let server = Server::start([moved(302, location), ok("fine")]).await;
            let (http, recorder) = user();
            let error = http.get(server.url("/a")).send().await;
            if location.starts_with('\u{fffd}') {
                // A relative path, however odd.
                assert!(error.is_ok());
                return;
            }
            let error = error.unwrap_err();
            assert_failed(&recorder.only(), &error, ErrorKind::InvalidUrl, 1020);
            assert!(error.to_string().contains("redirect location"), "{error}");
        });
    }
}

#[test]
fn secrets_stay_with_their_origin() {
    run(async {
        let other = Server::start([ok("other")]).await;
        let server = Server::start([moved(307, "/same"), moved(307, &other.url("/elsewhere"))]).await;
        let (http, _) = user();
        let url = server.url("/a").replace("http://", "http://al:pw@");
        http.post(url).header("Cookie", "own=1").header("x-kept", "1").body("x").send().await.unwrap();
        let requests = server.requests();
        assert!(requests[0].contains("authorization: Basic YWw6cHc=\r\n"), "{}", requests[0]);
        assert!(requests[1].contains("authorization: Basic YWw6cHc=\r\n"), "{}", requests[1]);
        assert!(requests[1].contains("cookie: own=1\r\n"));
        let elsewhere = &other.requests()[0];
        assert!(!elsewhere.contains("authorization") && !elsewhere.contains("cookie"), "{elsewhere}");
        assert!(elsewhere.contains("x-kept: 1\r\n") && elsewhere.ends_with("x"));
        assert!(elsewhere.contains(&format!("host: {}\r\n", other.url("").trim_start_matches("http://"))));
    });
}

#[test]
fn cookies_go_round() {
    run(async {
        let headers = "set-cookie: sid=s1; Path=/; HttpOnly\r\nset-cookie: area=a1; Path=/area\r\n\
                       set-cookie: gone=x; Max-Age=0\r\n\
                       set-cookie: foreign=x; Domain=example.org\r\nset-cookie: =;;broken\r\n";
        let login = reply("302 Found", &format!("location: /home\r\n{headers}"), "");
        let forget = reply("200 OK", "set-cookie: sid=; Max-Age=0\r\n", "");
        let server = Server::start([login, ok(""), ok(""), forget, ok(""), ok("")]).await;
        let (http, _) = user();
        let cookies = |index: usize| -> Option<String> {
            let request = server.requests()[index].clone();
            request.lines().find_map(|line| line.strip_prefix("cookie: ").map(str::to_owned))
        };
        http.get(server.url("/login")).send().await.unwrap();
        assert_eq!(cookies(0), None);
        assert_eq!(cookies(1).as_deref(), Some("sid=s1"), "set by a redirect, sent to its target");
        http.get(server.url("/area/x")).cookie("lang", "ko").cookie("sid", "mine").send().await.unwrap();
        assert_eq!(cookies(2).as_deref(), Some("area=a1; lang=ko; sid=mine"));
        http.get(server.url("/logout")).send().await.unwrap();
        assert_eq!(cookies(3).as_deref(), Some("sid=s1"), "a cookie of one request stays with it");
        http.get(server.url("/area")).send().await.unwrap();
        assert_eq!(cookies(4).as_deref(), Some("area=a1"));
        http.client.reset_cookies();
        http.get(server.url("/area")).send().await.unwrap();
        assert_eq!(cookies(5), None);
    });
}

#[test]
fn cookies_that_were_kept_come_back() {
    let (http, _) = user();
    let target = Target::get("http://127.0.0.1/").unwrap();
    let store = |cookie: &'static str| {
        let headers = HeaderMap::from_iter([(
            crate::http::header::SET_COOKIE,
            crate::http::HeaderValue::from_static(cookie),
        )]);
        http.client.store_cookies(&target, &headers);
    };
    let sent = || http.client.cookie_header(&target, &[]);
    store("sid=s1");
    http.client.keep_cookies();
    for _ in 0..2 {
        store("cart=5");
        store("sid=s2");
        http.client.reset_cookies();
        assert_eq!(sent().as_deref(), Some("sid=s1"));
        http.client.reset_cookies();
        assert_eq!(sent().as_deref(), Some("sid=s1"));
    }
    store("sid=; Max-Age=0");
    assert_eq!(sent(), None);
    http.client.reset_cookies();
    assert_eq!(sent().as_deref(), Some("sid=s1"));
}

#[test]
fn cookies_keep_to_their_domain_and_to_https() {
    let (http, _) = user();
    let target = |url| Target::get(url).unwrap();
    let mut headers = HeaderMap::new();
    for cookie in
        ["wide=1; Domain=shop.example", "narrow=1", "safe=1; Secure", "other=1; Domain=bank.example"]
    {
        headers.append("set-cookie", cookie.parse().unwrap());
    }
    http.client.store_cookies(&target("https://shop.example/"), &headers);
    for (url, expected) in [
        ("https://shop.example/x", "narrow=1; safe=1; wide=1"),
        ("http://shop.example/x", "narrow=1; wide=1"),
        ("https://seats.shop.example/", "wide=1"),
        ("https://bank.example/", ""),
        ("https://notshop.example/", ""),
    ] {
        let header = http.client.cookie_header(&target(url), &[]).unwrap_or_default();
        let mut cookies: Vec<&str> = header.split("; ").collect();
        cookies.sort_unstable();
        assert_eq!(cookies.join("; "), expected, "{url}");
    }
}

#[test]
fn users_do_not_share_cookies() {
    run(async {
        let server = Server::start([reply("200 OK", "set-cookie: sid=1\r\n", ""), ok("")]).await;
        user().0.get(server.url("/")).send().await.unwrap();
        user().0.get(server.url("/")).send().await.unwrap();
        assert!(!server.requests()[1].contains("cookie"));
    });
}
