//! Against nginx, if it is installed: without it, the test says so and passes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::super::request::Body;
use super::{ErrorKind, run, user};

/// A server of its own, with its files in a directory of its own.
struct Nginx {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(port: u16, root: &Path) -> String {
    let root = root.display();
    format!(
        "daemon off; master_process off; pid {root}/pid; error_log stderr warn;
         events {{ worker_connections 256; }}
         http {{
           access_log off; default_type text/plain; keepalive_requests 3;
           client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
           uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
           server {{
             listen 127.0.0.1:{port}; root {root}; client_max_body_size 64k;
             location /gzip/ {{ alias {root}/; gzip on; gzip_types *; gzip_min_length 1; }}
             location /ssi/ {{ alias {root}/; ssi on; ssi_types *; }}
             location /204 {{ return 204; }}
             location /close {{ keepalive_timeout 0; return 200 bye; }}
             location /444 {{ return 444; }}
             location /upload {{ proxy_pass http://127.0.0.1:{port}/sink; }}
             location /sink {{ return 200 taken; }}
           }}
         }}"
    )
}

/// `None` if there is no nginx here.
async fn start() -> Option<Nginx> {
    let found = ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| {
        Command::new(program).arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    });
    let Some(program) = found else {
        eprintln!("skipped: nginx is not installed");
        return None;
    };
    // It cannot choose a free port by itself, and the one that was free may be taken meanwhile.
    for _ in 0..5 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::write(root.join("ten"), "0123456789".repeat(1024)).unwrap();
        std::fs::write(root.join("page"), "a <!--# echo var=\"uri\" --> b").unwrap();
        std::fs::write(root.join("nginx.conf"), config(port, root)).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(root).arg("-c").arg(root.join("nginx.conf")).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut nginx = Nginx { child, port, _directory: directory };
        for _ in 0..200 {
            if nginx.child.try_wait().unwrap().is_some() {
                break;
            }
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(nginx);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    panic!("nginx does not start");
}

#[test]
fn nginx() {
    run(async {
        let Some(server) = start().await else { return };
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
        let (http, recorder) = user();
        let ten = "0123456789".repeat(1024);

        // The server closes each connection after three requests, and says so: no request fails of it.
        for i in 0..50 {
            let request = if i % 2 == 0 { http.get(url("/ten")) } else { http.post(url("/sink")).body("x") };
            let response = request.send().await.unwrap();
            let closes = response.headers().get("connection").is_some_and(|value| value == "close");
            assert_eq!(closes, i % 3 == 2, "{i}");
        }

        let response = http.get(url("/ten")).send().await.unwrap();
        assert_eq!(response.text().unwrap(), ten);
        let head = http.head(url("/ten")).send().await.unwrap();
        assert_eq!((head.headers()["content-length"].as_bytes(), head.bytes().len()), (&b"10240"[..], 0));
        let etag = response.headers()["etag"].clone();
        let same = http.get(url("/ten")).header("if-none-match", etag).send().await.unwrap();
        assert_eq!((same.status().as_u16(), same.bytes().len()), (304, 0));
        let part = http.get(url("/ten")).header("range", "bytes=5-14").send().await.unwrap();
        assert_eq!((part.status().as_u16(), part.text().unwrap().as_str()), (206, "5678901234"));
        assert_eq!(http.get(url("/204")).send().await.unwrap().status(), 204);
        assert_eq!(http.get(url("/missing")).send().await.unwrap().status(), 404);
        assert_eq!(http.get(url("/close")).send().await.unwrap().text().unwrap(), "bye");

        // Chunked, by what changes the length on the way.
        let page = http.get(url("/ssi/page")).send().await.unwrap();
        assert_eq!(page.text().unwrap(), "a /ssi/page b");
        assert_eq!(page.headers()["transfer-encoding"], "chunked");
        let packed = http.get(url("/gzip/ten")).header("accept-encoding", "gzip").send().await.unwrap();
        if cfg!(feature = "compression") {
            assert_eq!(packed.text().unwrap(), ten);
        }
        assert_eq!(packed.headers()["transfer-encoding"], "chunked");

        // Uploads, with a length and without; more than the server takes is answered before it is read.
        let reader = |length: u64, announced: bool| {
            let reader =
                move || async move { Ok(tokio::io::AsyncReadExt::take(tokio::io::repeat(b'x'), length)) };
            Body::from_reader(announced.then_some(length), reader)
        };
        for announced in [true, false] {
            for length in [0, 1, 10_000, 65_536] {
                let response =
                    http.post(url("/upload")).body(reader(length, announced)).send().await.unwrap();
                assert_eq!(response.text().unwrap(), "taken", "{length}");
            }
            for length in [65_537, 1 << 20, 20 << 20] {
                let response =
                    http.post(url("/upload")).body(reader(length, announced)).send().await.unwrap();
                assert_eq!(response.status(), 413, "{length} {announced}");
            }
        }
        assert!(recorder.all().iter().all(|(_, error)| error.is_none()), "{:?}", recorder.all());

        let count = recorder.all().len();
        let error = http.get(url("/444")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        assert_eq!(recorder.all()[count..], [(0, Some(ErrorKind::ConnectionClosed))]);
    });
}
