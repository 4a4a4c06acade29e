//! Forms with files, and bodies that are read while they are sent.

use std::io::{Seek, Write};

use super::handler::{Handler, Request, response};
use super::*;
use crate::http::{Body, Multipart, Part};

/// The parts of a form, each its head and its body: what a server's parser sees.
fn parts(request: &Request) -> Vec<(String, Vec<u8>)> {
    let content_type = request.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let delimiter = format!("\r\n--{boundary}");
    let body = [b"\r\n", &request.body[..]].concat();
    let find = |from: usize, what: &str| {
        let found = body[from..].windows(what.len()).position(|window| window == what.as_bytes());
        from + found.unwrap_or_else(|| panic!("{what:?} is not there"))
    };
    let (mut at, mut parts) = (find(0, &delimiter) + delimiter.len(), Vec::new());
    while !body[at..].starts_with(b"--") {
        let (end_of_head, end) = (find(at, "\r\n\r\n"), find(at, &delimiter));
        let head = String::from_utf8(body[at + 2..end_of_head].to_vec()).unwrap();
        parts.push((head, body[end_of_head + 4..end].to_vec()));
        at = end + delimiter.len();
    }
    assert_eq!(&body[at..], b"--\r\n");
    parts
}

async fn recorder() -> (Handler, Rc<RefCell<Vec<Request>>>) {
    let requests = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&requests);
    let server = Handler::start(async move |request: Request| {
        let moved = request.uri == "/moved";
        seen.borrow_mut().push(request);
        if moved {
            response("307 Temporary Redirect", "location: /here\r\n", "")
        } else {
            response("200 OK", "", "")
        }
    })
    .await;
    (server, requests)
}

#[test]
fn a_form_arrives_part_by_part() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("좌석 \"A\".csv");
        let content: Vec<u8> = (0..300_000u32).map(|i| (i % 253) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let (server, requests) = recorder().await;
        let (http, exchanges) = user();
        let form = Multipart::new()
            .text("event", "여름")
            .file("seats", &path)
            .part("meta", Part::text("{}").content_type("application/json"))
            .part("photo", Part::bytes(vec![0, 255, 13, 10]).file_name("a.png"))
            .part("again", Part::new(Body::from_file(&path).unwrap()).file_name("x"));
        // The second is sent anew after a redirect that keeps the method.
        for path in ["/plain", "/moved"] {
            assert_eq!(
                http.post(server.url(path)).multipart(form.clone()).send().await.unwrap().status(),
                200
            );
        }
        let requests = requests.borrow();
        assert_eq!(requests.len(), 3);
        for request in &*requests {
            assert_eq!(request.header("content-length").unwrap().parse(), Ok(request.body.len()));
            let parts = parts(request);
            let heads: Vec<&str> = parts.iter().map(|(head, _)| head.as_str()).collect();
            assert_eq!(
                heads,
                [
                    "Content-Disposition: form-data; name=\"event\"",
                    "Content-Disposition: form-data; name=\"seats\"; filename=\"좌석 %22A%22.csv\"\r\n\
                     Content-Type: text/csv",
                    "Content-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json",
                    "Content-Disposition: form-data; name=\"photo\"; filename=\"a.png\"\r\nContent-Type: image/png",
                    "Content-Disposition: form-data; name=\"again\"; filename=\"x\"\r\n\
                     Content-Type: application/octet-stream",
                ]
            );
            assert!(parts[1].1 == content && parts[4].1 == content);
            assert_eq!((&*parts[0].1, &*parts[3].1), ("여름".as_bytes(), &[0, 255, 13, 10][..]));
        }
        assert_ne!(
            requests[0].header("content-type"),
            requests[1].header("content-type"),
            "boundaries are random"
        );
        assert!(exchanges.all().iter().all(|exchange| exchange.expected && exchange.bytes_sent > 600_000));
    });
}

#[test]
fn bodies_from_files_and_readers() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ticket.pdf");
        std::fs::write(&path, "portable").unwrap();
        let (server, requests) = recorder().await;
        let (http, exchanges) = user();
        http.put(server.url("/file")).body_file(&path).send().await.unwrap();
        let known = Body::from_reader(Some(4), || async { Ok(&b"four"[..]) });
        http.put(server.url("/known")).body(known).send().await.unwrap();
        let unknown = Body::from_reader(None, || async { Ok(std::io::Cursor::new(vec![b'x'; 300_000])) });
        http.put(server.url("/unknown")).body(unknown).send().await.unwrap();
        std::fs::write(&path, "").unwrap();
        http.put(server.url("/empty")).body_file(&path).send().await.unwrap();
        let requests = requests.borrow();
        let framing = |index: usize| {
            let request: &Request = &requests[index];
            (
                request.header("content-length").map(str::to_owned),
                request.header("transfer-encoding").is_some(),
            )
        };
        assert_eq!((framing(0), &*requests[0].body), ((Some("8".into()), false), &b"portable"[..]));
        assert_eq!((framing(1), &*requests[1].body), ((Some("4".into()), false), &b"four"[..]));
        assert_eq!((framing(2), requests[2].body.len()), ((None, true), 300_000));
        assert_eq!((framing(3), requests[3].body.len()), ((Some("0".into()), false), 0));
        assert_eq!(exchanges.statuses(), [200; 4]);
    });
}

#[test]
fn what_cannot_be_sent_is_a_failed_request() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone.bin");
        let (server, _) = recorder().await;
        let (http, exchanges) = user();
        for request in [
            http.post(server.url("/")).body_file(&path),
            http.post(server.url("/")).multipart(Multipart::new().file("f", &path)),
        ] {
            let error = request.send().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains("gone.bin"), "{error}");
        }
        assert_eq!(server.connections(), 0);
        std::fs::write(&path, "long enough").unwrap();
        let request = http.post(server.url("/")).body_file(&path);
        std::fs::write(&path, "short").unwrap();
        let error = request.send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains("5 of 11 bytes"), "{error}");
        assert_eq!(exchanges.all().len(), 3);
        assert_eq!(http.get(server.url("/after")).send().await.unwrap().status(), 200);
    });
}

const LARGE: u64 = 64 * 1024 * 1024;
const ALONE: &str = "LOADTEST_TEST_UPLOADS_ALONE";

/// The byte at a place of the large file.
fn expected(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9) >> 13) as u8
}

/// In a process of its own, whose memory is not that of other tests.
#[cfg(target_os = "linux")]
#[test]
fn a_large_file_takes_no_memory() {
    if std::env::var_os(ALONE).is_some() {
        return upload_large_file();
    }
    let name = std::thread::current().name().unwrap().to_owned();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[cfg(target_os = "linux")]
fn upload_large_file() {
    fn most_memory_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for start in (0..LARGE).step_by(1 << 16) {
        let block: Vec<u8> = (start..start + (1 << 16)).map(expected).collect();
        file.write_all(&block).unwrap();
    }
    assert_eq!(file.stream_position().unwrap(), LARGE);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/upload", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Read};
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut block = vec![0; 1 << 16];
        let (mut at, mut wrong) = (0u64, 0u64);
        while at < length {
            let want = (length - at).min(1 << 16) as usize;
            reader.read_exact(&mut block[..want]).unwrap();
            wrong += (at..).zip(&block[..want]).filter(|(at, byte)| expected(*at) != **byte).count() as u64;
            at += want as u64;
        }
        (&stream).write_all(&response("201 Created", "", "")).unwrap();
        (length, wrong)
    });
    let before = most_memory_kib();
    run(async {
        let (http, exchanges) = user();
        let response = http.post(&url).body_file(file.path()).send().await.unwrap();
        assert_eq!(response.status(), 201);
        assert!(exchanges.only().bytes_sent > LARGE);
    });
    let grown = most_memory_kib() - before;
    assert_eq!(server.join().unwrap(), (LARGE, 0));
    assert!(grown < 16 * 1024, "memory grew by {grown} KiB");
}
