//! https against a rustls server.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::{Server, Step};
use super::*;
use crate::http::RootCertificates;

/// A server whose certificate is for `name`, and its authority as PEM.
async fn tls_server(name: &str) -> (u16, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, format!("authority of {port}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::task::spawn_local(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {
                    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
                    if stream.write_all(response).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, authority.pem())
}

fn trusting(pem: String) -> HttpOptions {
    HttpOptions { root_certificates: RootCertificates::Pem(pem.into_bytes()), ..HttpOptions::default() }
}

fn trusting_all() -> HttpOptions {
    HttpOptions { insecure_skip_tls_verify: true, ..HttpOptions::default() }
}

#[test]
fn https_is_spoken_and_timed() {
    run(async {
        let (port, pem) = tls_server("localhost").await;
        let (http, recorder) = user_with(trusting(pem));
        let url = format!("https://localhost:{port}/seats");
        for _ in 0..2 {
            assert_eq!(http.get(&url).send().await.unwrap().text().unwrap(), "secret");
        }
        let all = recorder.all();
        assert!(all[0].timings.tls_handshaking > 100_000 && all[0].timings.connecting > 0, "{all:#?}");
        assert_eq!((all[1].timings.tls_handshaking, all[1].timings.connecting), (0, 0));
        assert!(all[0].timings.waiting > 0, "a session ticket is not the first byte of a response");
        // A handshake is worth more than a request.
        assert!(all[0].bytes_received > 2 * all[1].bytes_received && all[0].bytes_sent > all[1].bytes_sent);
        assert!(all[1].bytes_received > 44, "the TLS layer counts");
        assert!(!crate::http::panics_silenced());
    });
}

#[test]
fn an_address_can_have_a_certificate() {
    run(async {
        let (port, pem) = tls_server("127.0.0.1").await;
        let (http, _) = user_with(trusting(pem));
        http.get(format!("https://127.0.0.1:{port}/")).send().await.unwrap();
    });
}

#[test]
fn an_unknown_authority() {
    run(async {
        let (port, _) = tls_server("localhost").await;
        let (_, other_pem) = tls_server("localhost").await;
        let (http, recorder) = user_with(trusting(other_pem));
        let error = http.get(format!("https://localhost:{port}/")).send().await.unwrap_err();
        let recorded = recorder.only();
        assert_failed(&recorded, &error, ErrorKind::UnknownAuthority, 1310);
        assert!(recorded.timings.tls_handshaking > 0 && recorded.bytes_received > 0);
        assert!(error.to_string().contains("insecure_skip_tls_verify"), "{error}");
    });
}

#[test]
fn a_certificate_for_another_host() {
    run(async {
        let (port, pem) = tls_server("other.example").await;
        let (http, recorder) = user_with(trusting(pem));
        let error = http.get(format!("https://localhost:{port}/")).send().await.unwrap_err();
        assert_failed(&recorder.only(), &error, ErrorKind::HostnameMismatch, 1311);
    });
}

#[test]
fn verification_can_be_skipped() {
    run(async {
        let (port, _) = tls_server("other.example").await;
        let (http, _) = user_with(trusting_all());
        http.get(format!("https://localhost:{port}/")).send().await.unwrap();
    });
}

#[test]
fn a_server_that_speaks_something_else() {
    run(async {
        // The server reads a request line that never comes, so its answer is given at once.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
            }
        });
        let (http, recorder) = user_with(trusting_all());
        let error = http.get(format!("https://127.0.0.1:{port}/")).send().await.unwrap_err();
        assert_failed(&recorder.only(), &error, ErrorKind::Tls, 1300);
        assert!(error.to_string().contains("write the URL without TLS (http://"), "{error}");
    });
}

#[test]
fn a_handshake_without_end() {
    run(async {
        let server = Server::start([Step::Stall(Vec::new())]).await;
        let connect_timeout = Duration::from_millis(80);
        let (http, recorder) = user_with(HttpOptions { connect_timeout, ..trusting_all() });
        let url = server.url("/").replace("http://", "https://");
        let error = http.get(&url).send().await.unwrap_err();
        let recorded = recorder.only();
        assert_failed(&recorded, &error, ErrorKind::ConnectTimeout, 1211);
        assert!(recorded.error_text.contains("in the TLS handshake") && recorded.timings.tls_handshaking > 0);
        let error = http.get(&url).timeout(Duration::from_millis(20)).send().await.unwrap_err();
        assert_failed(&recorder.all()[1], &error, ErrorKind::Timeout, 1050);
    });
}

#[test]
fn roots_that_are_none() {
    run(async {
        let (port, _) = tls_server("localhost").await;
        let (http, recorder) = user_with(trusting("no certificate".to_owned()));
        let error = http.get(format!("https://localhost:{port}/")).send().await.unwrap_err();
        assert_failed(&recorder.only(), &error, ErrorKind::Tls, 1300);
        assert!(error.to_string().contains("root certificates given are not usable"), "{error}");
    });
}
