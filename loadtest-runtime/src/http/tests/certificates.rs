//! https: versions, client certificates and the key log, against a rustls server.

use std::path::PathBuf;
use std::sync::Arc;

use loadtest_core::metric::Builtin;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
#[cfg(feature = "websocket")]
use crate::http::Address;
use crate::http::RootCertificates;
use crate::http::options::{ClientCertificate, TlsVersion, TlsVersions};
use crate::protocols::tcp::TcpBuilder;
use crate::protocols::{OwnTags, RecordSamples};

/// An authority, and a server's settings.
pub(super) struct Authority {
    pub(super) issuer: CertifiedIssuer<'static, KeyPair>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) alpn: Vec<Vec<u8>>,
    /// Whether clients need a certificate.
    pub(super) asks_clients: bool,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let versions = vec![&rustls::version::TLS12, &rustls::version::TLS13];
        Self { issuer, versions, alpn: Vec::new(), asks_clients: false }
    }

    /// What trusts this authority.
    pub(super) fn trusting(&self) -> HttpOptions {
        let root_certificates = RootCertificates::Pem(self.issuer.pem().into_bytes());
        HttpOptions { root_certificates, key_log: None, ..HttpOptions::default() }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = if self.asks_clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols.clone_from(&self.alpn);
        TlsAcceptor::from(Arc::new(config))
    }

    /// Starts a server that tells what it knows of each connection: the version of TLS, and how many
    /// certificates the client has shown.
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = self.acceptor();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::task::spawn_local(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let session = stream.get_ref().1;
                    let shown = session.peer_certificates().map_or(0, <[_]>::len);
                    let text = format!("{:?} {shown}", session.protocol_version().unwrap());
                    while stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {
                        let length = text.len();
                        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}");
                        stream.write_all(response.as_bytes()).await.unwrap();
                        stream.flush().await.unwrap();
                    }
                });
            }
        });
        format!("https://localhost:{port}/")
    }

    /// Writes a certificate of a client and its key.
    fn client(&self, directory: &tempfile::TempDir, domains: &[&str]) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let name = domains.join("-").replace('*', "any");
        let certificate = directory.path().join(format!("{name}.pem"));
        let key_file = directory.path().join(format!("{name}.key"));
        std::fs::write(&certificate, pem).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let domains = domains.iter().map(|domain| domain.parse().unwrap()).collect();
        ClientCertificate { certificate, key: key_file, domains }
    }
}

#[test]
fn a_client_shows_the_certificate_that_is_for_the_host() {
    run(async {
        let authority = Authority { asks_clients: true, ..Authority::new() };
        let url = authority.serve().await;
        let directory = tempfile::tempdir().unwrap();
        let own = authority.client(&directory, &["*.example.org", "localhost"]);
        let mut other = authority.client(&directory, &["other.test"]);
        // Not even looked at: its files are missing.
        other.certificate = directory.path().join("missing.pem");
        let client_certificates = vec![other, own];
        let (http, _) = user_with(HttpOptions { client_certificates, ..authority.trusting() });
        assert_eq!(http.get(&url).send().await.unwrap().text().unwrap(), "TLSv1_3 1");
        // For another host, there is none.
        let other_host = url.replace("localhost", "127.0.0.1");
        let error = http.get(&other_host).send().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Tls, 1300), "{error}");
        assert!(error.to_string().contains("tls_auth"), "{error}");
    });
}

#[test]
fn a_client_certificate_that_is_none() {
    run(async {
        let authority = Authority { asks_clients: true, ..Authority::new() };
        let url = authority.serve().await;
        let directory = tempfile::tempdir().unwrap();
        let good = authority.client(&directory, &[]);
        let swapped =
            ClientCertificate { certificate: good.key.clone(), key: good.key.clone(), domains: vec![] };
        let missing = ClientCertificate { key: PathBuf::from("/nowhere/client.key"), ..good.clone() };
        let stranger = authority.client(&directory, &["stranger"]);
        let mixed = ClientCertificate { key: stranger.key, ..good };
        for (certificate, part) in
            [(swapped, "no certificate in PEM form"), (missing, "/nowhere/client.key"), (mixed, "not usable")]
        {
            let client_certificates = vec![certificate];
            let (http, recorder) = user_with(HttpOptions { client_certificates, ..authority.trusting() });
            let error = http.get(&url).send().await.unwrap_err();
            assert_failed(&recorder.only(), &error, ErrorKind::Tls, 1300);
            assert!(error.to_string().contains(part), "{error}");
        }
    });
}

#[test]
fn versions_of_tls() {
    run(async {
        let old = Authority { versions: vec![&rustls::version::TLS12], ..Authority::new() };
        let url = old.serve().await;
        let range = |min, max| HttpOptions { tls_versions: TlsVersions { min, max }, ..old.trusting() };
        let (http, _) = user_with(range(TlsVersion::Tls12, TlsVersion::Tls13));
        assert_eq!(http.get(&url).send().await.unwrap().text().unwrap(), "TLSv1_2 0");
        let (http, recorder) = user_with(range(TlsVersion::Tls13, TlsVersion::Tls13));
        let error = http.get(&url).send().await.unwrap_err();
        assert_failed(&recorder.only(), &error, ErrorKind::Tls, 1300);
        assert!(error.to_string().contains("tls_version"), "{error}");
        let (http, _) = user_with(range(TlsVersion::Tls13, TlsVersion::Tls12));
        assert!(http.get(&url).send().await.unwrap_err().to_string().contains("are none"));
        let both = Authority::new();
        let url = both.serve().await;
        let tls_versions = TlsVersions { min: TlsVersion::Tls12, max: TlsVersion::Tls12 };
        let (http, _) = user_with(HttpOptions { tls_versions, ..both.trusting() });
        assert_eq!(http.get(&url).send().await.unwrap().text().unwrap(), "TLSv1_2 0");
    });
}

#[test]
fn the_key_log_has_the_secrets_of_each_session() {
    run(async {
        let authority = Authority::new();
        let url = authority.serve().await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.log");
        std::fs::write(&path, "# kept\n").unwrap();
        let key_log = Some(path.clone());
        let options = HttpOptions { key_log, no_connection_reuse: true, ..authority.trusting() };
        let (http, _) = user_with(options);
        for _ in 0..2 {
            http.get(&url).send().await.unwrap();
        }
        let log = std::fs::read_to_string(&path).unwrap();
        assert!(log.starts_with("# kept\n"), "appended to");
        for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"]
        {
            let lines: Vec<Vec<&str>> = log
                .lines()
                .map(|line| line.split(' ').collect())
                .filter(|words: &Vec<&str>| words[0] == label)
                .collect();
            assert_eq!(lines.len(), 2, "{log}");
            let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(lines.iter().all(|words| words.len() == 3 && words[1].len() == 64 && hex(words[2])));
            assert_ne!(lines[0][1], lines[1][1]);
        }
        let key_log = Some(directory.path().join("no/such/directory"));
        let (http, _) = user_with(HttpOptions { key_log, ..authority.trusting() });
        let error = http.get(&url).send().await.unwrap_err();
        assert!(error.to_string().contains("cannot write the key log"), "{error}");
    });
}

/// Raw TCP is no HTTP, and a server of another protocol would refuse who offers that.
#[test]
fn raw_tcp_offers_no_protocol() {
    run(async {
        let authority = Authority { alpn: vec![b"mqtt".to_vec()], ..Authority::new() };
        let url = authority.serve().await.replace("https://", "tls://");
        let (http, _) = user_with(authority.trusting());
        let address = url.trim_end_matches('/');
        let builder = TcpBuilder::new(http.client.dialer(), Rc::new(Unheard), address);
        let mut tcp = builder.connect().await.unwrap();
        assert_eq!(tcp.request("hello", 8).await.unwrap(), "HTTP/1.1");
        // Such a server it is: requests, and what begins with one, offer HTTP/1.1.
        let error = http.get(url.replace("tls://", "https://")).send().await.unwrap_err();
        assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
        #[cfg(feature = "websocket")]
        {
            let address = Address::parse(address, &[("tls", true)], false).unwrap();
            let undialed = http.client.dialer().dial(&address).await.err().expect("refused");
            assert!(undialed.failure.text.contains("NoApplicationProtocol"), "{}", undialed.failure.text);
        }
    });
}

/// Nobody asks what was recorded.
struct Unheard;

impl RecordSamples for Unheard {
    fn value(&self, _: &OwnTags, _: Builtin, _: f64) {}

    fn measured(&self, _: &OwnTags, _: &str, _: Duration, _: bool) {}

    fn failed(&self, _: crate::protocols::Protocol, _: String) {}
}
