//! Requests at the same time, and beside the iteration that asked for them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers each request; those of `/late` only when it is told to.
async fn server(go: Rc<tokio::sync::Notify>, answered: Rc<Cell<u32>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (go, answered) = (Rc::clone(&go), Rc::clone(&answered));
            tokio::task::spawn_local(async move {
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.is_ok_and(|count| count > 0) {
                    if !request.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    if request.starts_with(b"GET /late") {
                        go.notified().await;
                    }
                    request.clear();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    answered.set(answered.get() + 1);
                }
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn what_a_task_measures_after_its_iteration_is_discarded() {
    let bench = Bench::new(2);
    let core = Rc::clone(&bench.vu.core);
    let go = Rc::new(tokio::sync::Notify::new());
    let answered = Rc::new(Cell::new(0));
    let (url, late) = (RefCell::new(None), RefCell::new(None));
    let rest = bench.live(async |vu| {
        if vu.iteration() == 0 {
            let base = server(Rc::clone(&go), Rc::clone(&answered)).await;
            let http = vu.http();
            let (own, slow) = (http.clone(), http.get(format!("{base}/late")));
            // In time, beside the iteration and at the same time as another request of it.
            let task = tokio::task::spawn_local(own.get(format!("{base}/task")).send());
            let (first, second) =
                tokio::join!(http.get(format!("{base}/a")).send(), http.get(format!("{base}/b")).send());
            assert!(first.is_ok() && second.is_ok() && task.await.expect("no panic").is_ok());
            *late.borrow_mut() = Some(tokio::task::spawn_local(slow.send()));
            *url.borrow_mut() = Some(base);
            return Ok(());
        }
        // The iteration that asked for it is over: the task goes on, and is answered.
        let task = late.borrow_mut().take().expect("spawned");
        go.notify_one();
        assert_eq!(task.await.expect("no panic")?.status(), 200);
        let base = url.borrow_mut().take().expect("started");
        vu.http().get(format!("{base}/last")).send().await?;
        Ok(())
    });
    let (sums, errors) = rest.finish(&core);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(answered.get(), 5);
    let mut names: Vec<&str> = Vec::new();
    for ((metric, tags), totals) in &sums {
        if metric == "http_reqs" {
            assert_eq!(totals.sum, 1.0);
            names.extend(tags.split(' ').filter_map(|tag| tag.strip_prefix("name=")));
        }
    }
    names.sort_unstable();
    assert_eq!(names, ["/a", "/b", "/last", "/task"]);
}
