//! https: which crypto provider, which roots, and the handshake.
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
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::error::{ErrorKind, Failure};
use super::io::Counted;
use super::options::{HttpOptions, RootCertificates};
use super::target::Target;

/// The configuration of all connections of a run, made for the first one.
pub(super) type SharedConfig = OnceLock<Result<Arc<ClientConfig>, Failure>>;

thread_local! {
    static PROBING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread asks rustls for the provider right now.
pub(super) fn panics_silenced() -> bool {
    PROBING.get()
}

/// Shakes hands with the server of a target.
pub(super) async fn handshake(
    options: &HttpOptions,
    target: &Target,
    stream: Counted,
) -> Result<TlsStream<Counted>, Failure> {
    let config = options.tls.get_or_init(|| client_config(options).map(Arc::new)).clone()?;
    let name = match target.host() {
        Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
        Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
        Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| {
            Failure::new(ErrorKind::InvalidUrl, format!("`{name}` is not a name that a certificate can hold"))
        })?,
    };
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| handshake_failure(&error))
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
    if matches!(error, Error::InvalidMessage(_)) {
        failure
            .with_hint("does the service speak TLS on this port? If not, write http:// instead of https://")
    } else {
        failure
    }
}

fn client_config(options: &HttpOptions) -> Result<ClientConfig, Failure> {
    let provider = provider().ok_or_else(|| {
        Failure::new(
            ErrorKind::NoTlsProvider,
            "https needs a rustls crypto provider, and the process has none",
        )
    })?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_failure(&error))?;
    let mut config = if options.insecure_skip_tls_verify {
        let verifier = Arc::new(AcceptAny(provider));
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(&options.root_certificates)?).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
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
