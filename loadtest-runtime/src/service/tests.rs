//! Services as a test sees them: ready or an error that helps, and gone afterwards.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::http::{ErrorKind, HttpOptions};
use crate::setup::{Setup, SetupShared};

fn shell(services: &Services, script: &str) -> ServiceBuilder {
    bare_shell(services).arg("-c").arg(script)
}

fn bare_shell(services: &Services) -> ServiceBuilder {
    // A directory of each test's own: logs are numbered within one.
    let log_dir = std::env::temp_dir().join(format!(
        "loadtest-{}-{:p}",
        std::process::id(),
        Arc::as_ptr(&services.started)
    ));
    std::fs::create_dir_all(&log_dir).expect("a temporary directory");
    ServiceBuilder::new("shell", PathBuf::from("/bin/sh"), &log_dir, services.clone())
}

fn alive(pid: u32) -> bool {
    // A zombie has a directory too, but no memory.
    crate::process::resident_bytes(pid).is_some()
}

#[tokio::test]
async fn a_service_that_ends_early_is_an_error_with_its_last_words() {
    let services = Services::default();
    let error = shell(&services, "echo no database at {port}; exit 3").start().await.expect_err("ended");
    let text = error.to_string();
    assert!(text.contains("ended before it was ready") && text.contains("no database at "), "{text}");
}

#[tokio::test]
async fn a_service_that_is_never_ready_is_killed_and_told() {
    let services = Services::default();
    let builder = shell(&services, "echo still warming up; sleep 600");
    let error = builder.ready_timeout(Duration::from_secs(2)).start().await.expect_err("not ready");
    assert!(error.to_string().contains("still warming up"), "{error}");
    let pid = services.infos()[0].pid.expect("a process");
    assert!(!alive(pid));
}

#[tokio::test]
async fn an_in_process_service_answers_until_it_is_dropped() {
    let services = Services::default();
    let serve = |listener: TcpListener| async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    };
    let service = in_process(&services, &SharedOptions::default(), serve).await.expect("a free port");
    let address = service.base_url().trim_start_matches("http://").to_owned();
    let mut answer = String::new();
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("listens");
    stream.read_to_string(&mut answer).await.expect("answers");
    assert!(answer.starts_with("HTTP/1.1 204"));
    assert_eq!(service.url("/x"), format!("http://{address}/x"));
}

#[tokio::test]
async fn every_process_is_gone_after_kill_all() {
    let services = Services::default();
    // A listener that needs nothing but this test: the child only has to live, the port is held here.
    let script = "exec sleep 600";
    let builder = shell(&services, script);
    let starting = builder.ready_timeout(Duration::from_millis(200)).start();
    let _ = starting.await;
    services.kill_all();
    for info in services.infos() {
        assert!(!alive(info.pid.expect("a process")));
    }
}

/// A service whose port this test listens on in its place, so that it becomes ready: the script only lives.
async fn started(services: &Services, script: &str) -> Service {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let builder = bare_shell(services);
    started_by(builder, &directory.path().join("port"), script).await
}

async fn started_by(builder: ServiceBuilder, port_file: &std::path::Path, script: &str) -> Service {
    let script = format!("echo {{port}} > {0}.new; mv {0}.new {0}; {script}", port_file.display());
    let builder = builder.arg("-c").arg(script).ready_timeout(Duration::from_secs(30));
    let listen = async {
        loop {
            match std::fs::read_to_string(port_file) {
                Ok(port) => {
                    let port: u16 = port.trim().parse().expect("a port");
                    return TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let (service, _listener) = tokio::join!(builder.start(), listen);
    service.expect("becomes ready")
}

#[tokio::test]
async fn dropping_a_service_kills_its_process() {
    let services = Services::default();
    let service = started(&services, "exec sleep 600").await;
    let pid = service.pid().expect("a process");
    assert!(alive(pid));
    assert_eq!(services.running_pid(), Some(pid));
    drop(service);
    assert!(!alive(pid));
    // Nobody wonders why it ended.
    assert_eq!((services.died(), services.running_pid()), (Vec::new(), None));
}

#[tokio::test]
async fn a_service_that_dies_is_told_once() {
    let services = Services::default();
    let (first, second) =
        (started(&services, "echo out of memory; exit 3").await, started(&services, "exec sleep 600").await);
    let mut died = Vec::new();
    while died.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        died = services.died();
    }
    assert_eq!(died.len(), 1);
    assert!(died[0].contains("exit status: 3") && died[0].contains("out of memory"), "{died:?}");
    assert!(services.died().is_empty());
    assert_eq!(services.running_pid(), second.pid());
    drop(first);
    // The death of another one is news again.
    let pid = second.pid().expect("a process").to_string();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().expect("runs").success());
    while died.len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        died.extend(services.died());
    }
    assert!(died[1].contains("signal: 9"), "{died:?}");
}

#[tokio::test]
async fn the_client_of_a_service_obeys_what_setup_sets_later() {
    let services = Services::default();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let setup = Setup::new(std::rc::Rc::new(SetupShared {
        binaries: [("shell".to_owned(), "/bin/sh".to_owned())].into(),
        env: std::collections::BTreeMap::new(),
        log_dir: directory.path().to_owned(),
        services: services.clone(),
        http_options: SharedOptions::default(),
        http_settings: loadtest_core::options::http::HttpSettings::default(),
        seed: 1,
    }));
    let serve = |listener: TcpListener| async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    };
    let task = setup.in_process(serve).await.expect("a free port");
    let port_file = directory.path().join("port");
    let builder = setup.service("shell").expect("a binary");
    let child = started_by(builder, &port_file, "exec sleep 600").await;
    assert_eq!(task.http().get(task.url("/")).send().await.expect("allowed").status(), 204);
    // Documentation's address (RFC 5737): nothing else may be reached.
    let allow = vec!["192.0.2.1".parse().expect("an address")];
    let mut options = HttpOptions::default();
    options.allow = allow;
    setup.set_http_options(options);
    for service in [&task, &child] {
        let error = service.http().get(service.url("/")).send().await.expect_err("not allowed");
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{error}");
    }
}
