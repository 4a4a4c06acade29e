//! Whose cookies they are, and how long they are kept.

use super::handler::{Handler, response};
use super::*;
use crate::http::{CookiePolicy, HttpOptions};

/// A server that sets a cookie where it is told to, and says which it got.
async fn echo() -> Handler {
    Handler::start(async |request| {
        let headers = match request.uri.strip_prefix("/set?") {
            Some(cookie) => format!("set-cookie: {cookie}; Path=/\r\n"),
            None => String::new(),
        };
        response("200 OK", &headers, request.header("cookie").unwrap_or("none"))
    })
    .await
}

async fn get(http: &Http, url: String) -> String {
    http.get(url).send().await.unwrap().text().unwrap()
}

fn with(cookies: CookiePolicy) -> Arc<HttpOptions> {
    Arc::new(HttpOptions { cookies, ..HttpOptions::default() })
}

fn client(options: &Arc<HttpOptions>) -> Http {
    Http::new(Rc::new(HttpClient::new(Arc::clone(options))), Rc::new(Recorder::default()))
}

#[test]
fn each_policy_keeps_cookies_as_long_as_it_says() {
    run(async {
        for (policy, same_iteration, next_iteration, other_user) in [
            (CookiePolicy::Iteration, "a=1", "none", "none"),
            (CookiePolicy::Vu, "a=1", "a=1", "none"),
            (CookiePolicy::Test, "a=1", "a=1", "a=1"),
            (CookiePolicy::Off, "none", "none", "none"),
        ] {
            let server = echo().await;
            let options = with(policy);
            let (http, other) = (client(&options), client(&options));
            http.client.keep_cookies();
            assert_eq!(get(&http, server.url("/set?a=1")).await, "none");
            assert_eq!(get(&http, server.url("/")).await, same_iteration, "{policy:?}");
            assert_eq!(get(&other, server.url("/")).await, other_user, "{policy:?}");
            http.client.reset_cookies();
            assert_eq!(get(&http, server.url("/")).await, next_iteration, "{policy:?}");
            let own = http.get(server.url("/")).cookie("own", "2").send().await.unwrap().text().unwrap();
            assert!(own.ends_with("own=2"), "{policy:?}: {own}");
            // Another test has another jar.
            assert_eq!(get(&client(&with(policy)), server.url("/")).await, "none");
        }
    });
}

#[test]
fn virtual_users_on_other_threads_share_the_jar_of_the_test() {
    run(async {
        let server = echo().await;
        let options = with(CookiePolicy::Test);
        let (there, url) = (Arc::clone(&options), server.url("/"));
        let set = std::thread::spawn(move || client(&there).cookies().set(url, "sid", "9"));
        set.join().unwrap().unwrap();
        assert_eq!(get(&client(&options), server.url("/")).await, "sid=9");
    });
}

#[test]
fn the_jar_can_be_read_and_changed() {
    run(async {
        let server = echo().await;
        let http = client(&with(CookiePolicy::Iteration));
        let jar = http.cookies();
        get(&http, server.url("/set?a=1")).await;
        jar.set(server.url("/"), "b", "two words").unwrap();
        jar.store(server.url("/"), "c=3; Path=/deep; HttpOnly").unwrap();
        jar.store(server.url("/"), "d=4; Max-Age=0").unwrap();
        let at = |path: &str| {
            let mut cookies = jar.for_url(server.url(path)).unwrap();
            cookies.sort();
            cookies.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((at("/"), at("/deep/er")), ("a=1 b=two words".into(), "a=1 b=two words c=3".into()));
        assert_eq!(jar.for_url("http://127.0.0.2/").unwrap(), []);
        assert!(get(&http, server.url("/deep")).await.contains("c=3"));
        jar.set(server.url("/"), "a", "new").unwrap();
        assert!(jar.delete(server.url("/"), "b").unwrap() && !jar.delete(server.url("/"), "b").unwrap());
        assert_eq!(at("/deep"), "a=new c=3");
        jar.clear(server.url("/")).unwrap();
        assert_eq!(at("/deep"), "c=3", "what would not be sent there stays");
        // What the test puts in is the iteration's too.
        http.client.reset_cookies();
        assert_eq!(at("/deep"), "");
    });
}

#[cfg(unix)]
#[test]
fn the_jar_knows_sockets_of_the_file_system() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let served = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let count = stream.read(&mut head).await.unwrap();
            let response = b"HTTP/1.1 204 No Content\r\nset-cookie: b=2; Path=/\r\n\r\n";
            stream.write_all(response).await.unwrap();
            String::from_utf8(head[..count].to_vec()).unwrap()
        });
        let url = format!("http+unix://{}/", path.to_str().unwrap().replace('/', "%2F"));
        let http = client(&with(CookiePolicy::Vu));
        let jar = http.cookies();
        jar.set(&url, "a", "1").unwrap();
        http.get(&url).send().await.unwrap();
        let request = served.await.unwrap();
        assert!(request.contains("cookie: a=1\r\n"), "{request}");
        let mut cookies = jar.for_url(&url).unwrap();
        cookies.sort();
        assert_eq!(cookies, [("a", "1"), ("b", "2")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(jar.for_url("http+unix://%2Frun%2Fother.sock/").unwrap(), []);
        assert!(jar.delete(&url, "b").unwrap());
        jar.clear(&url).unwrap();
        assert_eq!(jar.for_url(&url).unwrap(), []);
    });
}

#[test]
fn what_is_no_cookie_is_refused() {
    let http = client(&with(CookiePolicy::Vu));
    let jar = http.cookies();
    let url = "http://127.0.0.1/";
    for (name, value) in [("", "1"), ("a=b", "1"), ("a;b", "1"), ("a", "1; Domain=x"), ("a", "1\r\nx: y")] {
        let error = jar.set(url, name, value).unwrap_err().to_string();
        assert!(error.contains("cookie") && !error.contains('\r'), "{error}");
    }
    assert!(jar.store(url, "a=1; Domain=bank.example").unwrap_err().to_string().contains("\"a\""));
    assert!(jar.for_url("seats").unwrap_err().to_string().contains("http://127.0.0.1:8080/"));
    assert_eq!(jar.for_url(url).unwrap(), []);
    let off = client(&with(CookiePolicy::Off));
    assert!(off.cookies().set(url, "a", "1").unwrap_err().to_string().contains("off"));
}
