//! TCP and WebSockets within TLS.

use loadtest_core::options::http::HttpSettings;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::tcp::TcpBuilder;
use super::*;
use crate::http::ErrorKind;

/// Serves one connection within TLS. Its certificate is signed by nobody.
async fn server<F: Future<Output = ()> + 'static>(
    serve: impl FnOnce(TlsStream<tokio::net::TcpStream>) -> F + 'static,
) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            serve(stream).await;
        }
    });
    port
}

fn trusting() -> (Dialer, Rc<Seen>) {
    let settings = HttpSettings { insecure_skip_tls_verify: Some(true), ..HttpSettings::default() };
    user_with(HttpOptions::default().with(&settings).unwrap())
}

#[test]
fn tcp_within_tls_counts_the_bytes_of_the_wire() {
    run(async {
        let port = server(|mut stream| async move {
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(&request).await.unwrap();
            stream.flush().await.unwrap();
        })
        .await;
        let (dialer, seen) = trusting();
        let samples = Rc::clone(&seen) as Rc<dyn RecordSamples>;
        let mut tcp =
            TcpBuilder::new(dialer, samples, &format!("tls://localhost:{port}")).connect().await.unwrap();
        assert_eq!(tcp.request("ping", 4).await.unwrap(), "ping");
        drop(tcp);
        assert!(seen.sum(Builtin::DataSent).1 > 100.0 && seen.sum(Builtin::DataReceived).1 > 100.0);
    });
}

#[test]
fn a_certificate_is_looked_at() {
    run(async {
        let port = server(|_| async {}).await;
        let (dialer, seen) = user();
        let samples = Rc::clone(&seen) as Rc<dyn RecordSamples>;
        let error =
            TcpBuilder::new(dialer, samples, &format!("tls://localhost:{port}")).connect().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::UnknownAuthority, 1310), "{error}");
        assert!(seen.sum(Builtin::DataSent).1 > 0.0);
    });
}

#[test]
fn a_port_that_speaks_no_tls_is_told_for_every_scheme() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 ready\r\n").await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        });
        let (dialer, seen) = trusting();
        let error = TcpBuilder::new(dialer, seen, &format!("tls://{address}")).connect().await.unwrap_err();
        assert!(error.to_string().contains("(http://, ws://, no tls://)"), "{error}");
    });
}

#[cfg(feature = "websocket")]
#[test]
fn a_session_within_tls() {
    use futures_util::{SinkExt as _, StreamExt as _};
    run(async {
        let port = server(|stream| async {
            let mut session = tokio_tungstenite::accept_async(stream).await.unwrap();
            let message = session.next().await.unwrap().unwrap();
            session.send(message).await.unwrap();
            while let Some(Ok(_)) = session.next().await {}
        })
        .await;
        let user = trusting();
        let mut session =
            websocket::builder(&user, &format!("wss://localhost:{port}/")).connect().await.unwrap();
        session.send_text("hello").await.unwrap();
        assert_eq!(session.next().await.unwrap().unwrap().as_text(), Some("hello"));
        session.close().await.unwrap();
        assert!(user.1.tags(Builtin::WsSessions).contains("url=wss://localhost:"));
    });
}
