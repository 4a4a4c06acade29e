//! What `--http-debug` shows, and what it does not.

use super::handler::{Handler, response};
use super::*;
use crate::http::{HttpDebug, HttpOptions, Multipart};

/// Numbers of requests, and texts.
type Shown = Rc<RefCell<Vec<(u64, String)>>>;

/// A virtual user's client, and what it showed: the number of the request and its text.
fn shown_by(debug: HttpDebug) -> (Http, Shown) {
    let shown = Rc::new(RefCell::new(Vec::new()));
    let to = Rc::clone(&shown);
    let options = HttpOptions { debug: Some(debug), ..HttpOptions::default() };
    let client = HttpClient::new(Arc::new(options));
    let client = client.debugging(move |number, text| to.borrow_mut().push((number, text.to_owned())));
    (Http::new(Rc::new(client), Rc::new(Recorder::default())), shown)
}

async fn server() -> Handler {
    Handler::start(async |request| match request.uri.as_str() {
        "/moved" => response("302 Found", "location: /a?token=s3cret\r\n", "gone"),
        _ => response(
            "200 OK",
            "set-cookie: sid=s3cret; Path=/\r\nx-api-key: s3cret\r\ncontent-type: application/json\r\n",
            r#"{"seat":"A1","access_token":"s3cret"}"#,
        ),
    })
    .await
}

#[test]
fn heads_are_shown_without_their_secrets() {
    run(async {
        let server = server().await;
        let (http, shown) = shown_by(HttpDebug::Headers);
        let request = http.post(server.url("/a?password=s3cret&row=B")).bearer_auth("s3cret");
        let request = request.cookie("own", "s3cret").json(&[("password", "s3cret")]);
        request.send().await.unwrap();
        let shown = shown.borrow();
        assert_eq!(shown.len(), 2, "one for the request, one for the response");
        assert!(shown.iter().all(|(number, text)| *number == 1 && !text.contains("s3cret")), "{shown:?}");
        let lines: Vec<&str> = shown[0].1.lines().collect();
        assert_eq!(lines[0], "> POST /a?password=***&row=B HTTP/1.1");
        for line in [
            "> authorization: Bearer ***",
            "> cookie: own=***",
            "> content-type: application/json",
            "> content-length: 23",
            &format!("> host: {}", server.url("").trim_start_matches("http://")),
        ] {
            assert!(lines.contains(&line), "{line} in {lines:?}");
        }
        let lines: Vec<&str> = shown[1].1.lines().collect();
        assert_eq!(lines[0], "< HTTP/1.1 200 OK");
        assert!(lines.contains(&"< set-cookie: sid=***; Path=/") && lines.contains(&"< x-api-key: ***"));
        assert!(!shown[1].1.contains("seat") && !shown[0].1.contains('['), "no bodies");
    });
}

#[test]
fn bodies_are_shown_when_all_is() {
    run(async {
        let server = server().await;
        let (http, shown) = shown_by(HttpDebug::Full);
        http.post(server.url("/a")).form(&[("user", "al"), ("password", "s3cret")]).send().await.unwrap();
        http.post(server.url("/moved")).body(vec![0, 1, 2]).send().await.unwrap();
        let form = Multipart::new().text("password", "s3cret");
        http.post(server.url("/a")).multipart(form).discard_body().send().await.unwrap();
        http.post(server.url("/a?user_pin=s3cret")).body("seat=A1&pwd=s3cret").send().await.unwrap();
        let shown = shown.borrow();
        assert!(shown.iter().all(|(_, text)| !text.contains("s3cret")), "{shown:?}");
        let numbers: Vec<u64> = shown.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5], "a redirect that is followed is one more");
        assert!(shown[0].1.ends_with("\n> \n> user=al&password=***"), "{}", shown[0].1);
        assert!(shown[1].1.ends_with("\n< \n< {\"seat\":\"A1\",\"access_token\":\"***\"}"), "{}", shown[1].1);
        assert!(shown[2].1.ends_with("\n> \n> <3 bytes>"), "{}", shown[2].1);
        assert!(shown[3].1.contains("location: /a?token=***"), "{}", shown[3].1);
        assert!(shown[4].1.starts_with("> GET /a?token=*** HTTP/1.1"), "{}", shown[4].1);
        assert!(shown[6].1.contains("content-type: multipart/form-data") && shown[6].1.ends_with(" bytes>"));
        assert!(!shown[7].1.contains("seat"), "what was not kept is not shown");
        assert!(shown[8].1.ends_with("\n> \n> seat=A1&pwd=***"), "{}", shown[8].1);
    });
}

#[test]
fn failures_and_streams_are_shown_too() {
    run(async {
        let server = server().await;
        let (http, shown) = shown_by(HttpDebug::Full);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/never", listener.local_addr().unwrap());
        let request = http.get(&url).timeout(Duration::from_millis(20));
        request.send().await.unwrap_err();
        let mut stream = http.get(server.url("/a")).send_streaming().await.unwrap();
        while stream.chunk().await.unwrap().is_some() {}
        drop(stream);
        let shown = shown.borrow();
        assert_eq!(shown.len(), 4, "{shown:?}");
        assert!(shown[0].1.starts_with("> GET /never HTTP/1.1\n"));
        assert!(shown[1].1.starts_with("< failed: timed out after 20ms"), "{}", shown[1].1);
        assert!(shown[3].1.starts_with("< HTTP/1.1 200 OK\n") && shown[3].0 == 2);
    });
}

#[test]
fn nothing_is_shown_by_default() {
    assert!(HttpOptions::default().debug.is_none());
    assert!(user().0.client.debugger.is_none());
}
