//! [`HttpOptions`]: what all requests of a run have in common.
//!
//! Plain values; parsing them from the attribute, the configuration or the command line is done elsewhere.

use std::time::Duration;

use ::http::HeaderValue;

/// What all requests of a run have in common. Shared by every virtual user through an `Arc`, so that root
/// certificates are parsed once.
#[derive(Debug)]
pub struct HttpOptions {
    /// The time that a request may take, redirects and body included. 60 s by default.
    pub timeout: Duration,
    /// The time that establishing a TCP connection and its TLS session may take. 30 s by default.
    pub connect_timeout: Duration,
    /// How many redirects are followed. 10 by default.
    pub max_redirects: usize,
    /// The `User-Agent` header, unless a request has its own. `cargo-loadtest/<version>` by default.
    pub user_agent: HeaderValue,
    /// Accept any certificate. False by default.
    pub insecure_skip_tls_verify: bool,
    /// The authorities that may sign a server's certificate.
    pub root_certificates: RootCertificates,
    /// Read bodies, but keep nothing of them. False by default; a request can say otherwise.
    pub discard_response_bodies: bool,
    /// The most bytes that a compressed body may decode to. 256 MiB by default.
    pub max_decoded_body: u64,
    #[cfg(feature = "tls")]
    pub(super) tls: super::tls::SharedConfig,
}

/// The authorities that may sign a server's certificate.
#[derive(Debug, Clone, Default)]
pub enum RootCertificates {
    /// Those of the system, loaded once per process.
    #[default]
    System,
    /// These and no others: one or more certificates in PEM form.
    Pem(Vec<u8>),
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(30),
            max_redirects: 10,
            user_agent: HeaderValue::from_static(concat!("cargo-loadtest/", env!("CARGO_PKG_VERSION"))),
            insecure_skip_tls_verify: false,
            root_certificates: RootCertificates::default(),
            discard_response_bodies: false,
            max_decoded_body: 256 * 1024 * 1024,
            #[cfg(feature = "tls")]
            tls: super::tls::SharedConfig::default(),
        }
    }
}
