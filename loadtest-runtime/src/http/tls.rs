//! https: which crypto provider, which roots, which certificate of the client's, and the handshake.
//!
//! No feature that is on by default turns on a provider of rustls: a second one in the dependency tree would
//! make the user's own service panic. So the provider is looked for, and passed explicitly, in this order:
//!
//! 1. the default of the process, if the test or its service has installed one;
//! 2. the one of the feature `ring` or `aws-lc-rs` of this crate;
//! 3. the single one that the dependency tree enabled. rustls tells it only by its `ClientConfig::builder()`,
//!    which panics if there is none or more than one, and installs it as the process' default if there is one.
//!    That is the same provider that the user's own code would get from the same call; a service in the test's
//!    own process that installs one by itself should do so in the setup, before the first https request. A
//!    process built with `panic = "abort"` cannot ask this way, and skips the step;
//! 4. none: an error that names the two features.
//!
//! Sessions are not resumed, so each new connection pays for a full handshake, as k6's do: a resumption cache
//! shared by all users would make handshakes cheaper than those of as many real users.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, KeyLog, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::allow::host_text;
use super::error::{ErrorKind, Failure};
use super::io::Counted;
use super::options::{ClientCertificate, HttpOptions, RootCertificates, TlsVersion};
use super::target::Target;

/// The configurations of all connections of a run, each made for the first connection that needs it.
#[derive(Debug, Default)]
pub(super) struct SharedConfig {
    base: OnceLock<Result<Base, Failure>>,
    /// Without a certificate of the client's, then with each of them; by what is offered.
    configs: OnceLock<Box<[PerOffer]>>,
}

type PerOffer = [OnceLock<Result<Arc<ClientConfig>, Failure>>; 4];

/// What configurations have in common.
#[derive(Debug)]
struct Base {
    provider: Arc<CryptoProvider>,
    /// `None` if any certificate will do.
    roots: Option<Arc<RootCertStore>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    key_log: Option<Arc<KeyLogFile>>,
}

/// The protocols that a client offers within the handshake (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// None: what is spoken within has no name that both know.
    None,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2, or HTTP/1.1.
    Either,
    /// HTTP/2 alone.
    Http2,
}

impl Offer {
    fn protocols(self) -> Vec<Vec<u8>> {
        let (http1, http2) = (b"http/1.1".to_vec(), b"h2".to_vec());
        match self {
            Offer::None => Vec::new(),
            Offer::Http1 => vec![http1],
            Offer::Either => vec![http2, http1],
            Offer::Http2 => vec![http2],
        }
    }
}

thread_local! {
    static PROBING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread asks rustls for the provider right now.
pub(super) fn panics_silenced() -> bool {
    PROBING.get()
}

/// Shakes hands with the server of a target. Whether HTTP/2 was agreed on is the second of what comes back.
pub(super) async fn handshake(
    options: &HttpOptions,
    target: &Target,
    offer: Offer,
    stream: Counted,
) -> Result<(TlsStream<Counted>, bool), Failure> {
    let config = config_for(options, target, offer)?;
    let name = match target.host() {
        Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
        Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
        Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| {
            Failure::new(ErrorKind::InvalidUrl, format!("`{name}` is not a name that a certificate can hold"))
        })?,
    };
    let connected = TlsConnector::from(config).connect(name, stream).await;
    let stream = connected.map_err(|error| handshake_failure(&error))?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if offer == Offer::Http2 && !is_http2 {
        let failure = Failure::new(ErrorKind::Http2, "http/2: the server does not negotiate it");
        return Err(failure.with_hint("set `http_version = \"auto\"`, to speak what the server does"));
    }
    Ok((stream, is_http2))
}

/// The configuration for a target.
fn config_for(options: &HttpOptions, target: &Target, offer: Offer) -> Result<Arc<ClientConfig>, Failure> {
    let certificates = &options.client_certificates;
    let host = host_text(target);
    let suits = |certificate: &ClientCertificate| {
        certificate.domains.is_empty() || certificate.domains.iter().any(|pattern| pattern.matches(&host))
    };
    let chosen = certificates.iter().position(suits);
    let configs = options
        .tls
        .configs
        .get_or_init(|| std::iter::repeat_with(PerOffer::default).take(certificates.len() + 1).collect());
    let config = &configs[chosen.map_or(0, |index| index + 1)][offer as usize];
    config
        .get_or_init(|| {
            let base = options.tls.base.get_or_init(|| Base::new(options)).as_ref().map_err(Clone::clone)?;
            base.config(chosen.map(|index| &certificates[index]), offer).map(Arc::new)
        })
        .clone()
}

fn handshake_failure(error: &io::Error) -> Failure {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return tls_failure(tls);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Failure::new(ErrorKind::Tls, "the server closed the connection during the TLS handshake")
        }
        _ => Failure::from_io(error),
    }
}

/// The kind of a TLS error.
pub(super) fn tls_failure(error: &Error) -> Failure {
    let kind = match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => ErrorKind::UnknownAuthority,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => ErrorKind::HostnameMismatch,
        _ => ErrorKind::Tls,
    };
    let failure = Failure::new(kind, format!("tls: {error}"));
    match error {
        // Requests, WebSockets and plain connections come here.
        Error::InvalidMessage(_) => failure.with_hint(
            "does the service speak TLS on this port? If not, write the URL without TLS (http://, ws://, no tls://)",
        ),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            failure.with_hint("the server asks for a client certificate: see `tls_auth`")
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            failure.with_hint("do client and server have a version of TLS in common? See `tls_version`")
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            failure.with_hint("set `http_version = \"auto\"`, to speak what the server does")
        }
        _ => failure,
    }
}

impl Base {
    fn new(options: &HttpOptions) -> Result<Self, Failure> {
        let provider = provider().ok_or_else(|| {
            Failure::new(
                ErrorKind::NoTlsProvider,
                "TLS needs a rustls crypto provider, and the process has none",
            )
        })?;
        let wanted = options.tls_versions.min..=options.tls_versions.max;
        let known =
            [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
        let versions: Vec<_> = known
            .into_iter()
            .filter(|(version, _)| wanted.contains(version))
            .map(|(_, known)| known)
            .collect();
        if versions.is_empty() {
            let failure = Failure::new(ErrorKind::Tls, "tls: the versions asked for are none");
            return Err(failure.with_hint("write the older version first: `tls_version = \"1.2-1.3\"`"));
        }
        let roots = match options.insecure_skip_tls_verify {
            true => None,
            false => Some(Arc::new(roots(&options.root_certificates)?)),
        };
        let key_log = options.key_log.as_deref().filter(|path| !path.as_os_str().is_empty());
        let key_log = key_log.map(KeyLogFile::open).transpose()?.map(Arc::new);
        Ok(Self { provider, roots, versions, key_log })
    }

    fn config(&self, certificate: Option<&ClientCertificate>, offer: Offer) -> Result<ClientConfig, Failure> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.versions)
            .map_err(|error| tls_failure(&error))?;
        let builder = match &self.roots {
            None => {
                let verifier = Arc::new(AcceptAny(Arc::clone(&self.provider)));
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
            Some(roots) => builder.with_root_certificates(Arc::clone(roots)),
        };
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let (chain, key) = read_certificate(certificate)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable(&certificate.certificate, &error))?
            }
        };
        config.alpn_protocols = offer.protocols();
        config.resumption = Resumption::disabled();
        if let Some(key_log) = &self.key_log {
            config.key_log = Arc::clone(key_log) as Arc<dyn KeyLog>;
        }
        Ok(config)
    }
}

type Chain = Vec<CertificateDer<'static>>;

/// The chain and the key that the files hold.
fn read_certificate(certificate: &ClientCertificate) -> Result<(Chain, PrivateKeyDer<'static>), Failure> {
    let path = &certificate.certificate;
    let pem = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Chain, _>>();
    let chain = chain.map_err(|error| unusable(path, &error))?;
    if chain.is_empty() {
        return Err(unusable(path, &"it has no certificate in PEM form"));
    }
    let path = &certificate.key;
    let pem = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(path, &error))?;
    Ok((chain, key))
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    let text = format!("tls: the client certificate or key `{}` is not usable: {why}", path.display());
    Failure::new(ErrorKind::Tls, text).with_hint("see `tls_auth`: PEM files of the chain and of its key")
}

/// Appends the secrets of sessions to a file, in the format that NSS began and Wireshark reads
/// (draft-ietf-tls-keylogfile).
#[derive(Debug)]
struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    fn open(path: &Path) -> Result<Self, Failure> {
        let mut options = File::options();
        options.append(true).create(true);
        // Who reads it reads the traffic.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| {
            let text = format!("tls: cannot write the key log `{}`: {error}", path.display());
            Failure::new(ErrorKind::Tls, text).with_hint("unset SSLKEYLOGFILE, or name another file")
        })?;
        Ok(Self(Mutex::new(file)))
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        if let Ok(mut file) = self.0.lock() {
            // In one piece, as other processes may write to it too. A full disk must not end the test.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

fn roots(wanted: &RootCertificates) -> Result<RootCertStore, Failure> {
    static SYSTEM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    let mut store = RootCertStore::empty();
    match wanted {
        RootCertificates::System => {
            let certificates = SYSTEM.get_or_init(|| rustls_native_certs::load_native_certs().certs);
            store.add_parsable_certificates(certificates.iter().cloned());
            if store.is_empty() {
                let failure = Failure::new(ErrorKind::Tls, "tls: this system has no root certificates");
                return Err(
                    failure.with_hint("install the package ca-certificates, or give root certificates")
                );
            }
        }
        RootCertificates::Pem(pem) => {
            let invalid = |what: &dyn std::fmt::Display| {
                Failure::new(
                    ErrorKind::Tls,
                    format!("tls: the root certificates given are not usable: {what}"),
                )
            };
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| invalid(&error))?;
                store.add(certificate).map_err(|error| invalid(&error))?;
            }
            if store.is_empty() {
                return Err(invalid(&"no certificate in PEM form among them"));
            }
        }
    }
    Ok(store)
}

/// The provider, in the order that the module's documentation gives.
fn provider() -> Option<Arc<CryptoProvider>> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Some(Arc::clone(provider));
    }
    #[cfg(feature = "aws-lc-rs")]
    return Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    return provider_of_the_tree();
}

/// The single provider that the dependency tree enabled.
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn provider_of_the_tree() -> Option<Arc<CryptoProvider>> {
    if cfg!(panic = "abort") {
        return None;
    }
    PROBING.set(true);
    let probe = std::panic::catch_unwind(|| Arc::clone(ClientConfig::builder().crypto_provider()));
    PROBING.set(false);
    probe.ok()
}

/// Accepts any certificate, but insists that the server holds its key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
