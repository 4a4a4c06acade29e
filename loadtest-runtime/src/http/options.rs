//! [`HttpOptions`]: what all requests of a run have in common.
//!
//! Plain values; parsing them from the attribute, the configuration or the command line is core's. They come
//! together in this order, the later over the earlier: the defaults below, what the test's `setup` sets by
//! [`crate::Setup::set_http_options`], and the settings that the user says in the attribute, in `loadtest.toml`, in
//! the environment or on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ::http::HeaderValue;
pub use loadtest_core::options::http::{
    ClientCertificate, CookiePolicy, Dns, DnsPolicy, DnsSelect, HostAddress, HostPattern, HttpDebug,
    HttpSettings, HttpVersion, IpRange, Target as AllowedTarget, TargetHost, TlsVersion, TlsVersions,
};

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
    /// The most bytes that a body may have which is kept, decoded if it is compressed. 256 MiB by default.
    pub max_body: u64,
    /// Each request has a connection of its own. False by default.
    pub no_connection_reuse: bool,
    /// A virtual user closes its connections at the end of each iteration. False by default.
    pub no_vu_connection_reuse: bool,
    /// Which version of HTTP is spoken. By default HTTP/2 where TLS negotiates it, else HTTP/1.1.
    pub http_version: HttpVersion,
    /// Which versions of TLS are spoken. 1.2 and 1.3 by default.
    pub tls_versions: TlsVersions,
    /// Client certificates, the first whose domains match. None by default.
    pub client_certificates: Vec<ClientCertificate>,
    /// Where the secrets of TLS sessions are written, for Wireshark. `SSLKEYLOGFILE` by default.
    pub key_log: Option<PathBuf>,
    /// Addresses of names, before any resolver is asked.
    pub hosts: BTreeMap<String, HostAddress>,
    /// How names are resolved.
    pub dns: Dns,
    /// The local addresses that connections go out from, in turn by virtual user; empty for the system's choice.
    pub local_ips: Vec<IpRange>,
    /// Networks that nothing is sent to.
    pub block_ips: Vec<IpRange>,
    /// Names that nothing is sent to.
    pub block_hostnames: Vec<HostPattern>,
    /// If not empty: what requests may go to, and nothing else. A host is judged by its name before it is looked
    /// up and by its addresses after that, and so is each host that a redirect leads to. What a client of the
    /// user's own sends (`Vu::http_with`) is not covered.
    pub allow: Vec<AllowedTarget>,
    /// Requests of one batch that are under way at once. 20 by default, as in k6.
    pub batch: usize,
    /// Requests of one batch that are under way at once to one host; 0 for no limit of its own. 6 by default, as
    /// in k6.
    pub batch_per_host: usize,
    /// Whose cookies they are, and how long they are kept.
    pub cookies: CookiePolicy,
    /// What of each request and response is shown. Nothing by default.
    pub debug: Option<HttpDebug>,
    /// The cookies that all virtual users share, if they do.
    pub(super) jar: super::cookies::SharedJar,
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
            max_body: 256 * 1024 * 1024,
            no_connection_reuse: false,
            no_vu_connection_reuse: false,
            http_version: HttpVersion::default(),
            tls_versions: TlsVersions { min: TlsVersion::Tls12, max: TlsVersion::Tls13 },
            client_certificates: Vec::new(),
            key_log: std::env::var_os("SSLKEYLOGFILE").map(PathBuf::from),
            hosts: BTreeMap::new(),
            dns: Dns::default(),
            local_ips: Vec::new(),
            block_ips: Vec::new(),
            block_hostnames: Vec::new(),
            allow: Vec::new(),
            batch: 20,
            batch_per_host: 6,
            cookies: CookiePolicy::default(),
            debug: None,
            jar: super::cookies::SharedJar::default(),
            #[cfg(feature = "tls")]
            tls: super::tls::SharedConfig::default(),
        }
    }
}

impl HttpOptions {
    /// Whether these options can be used here and now, so that a wrong one ends the test before its load and not
    /// each of its requests: the files of client certificates, and what this crate was built for.
    ///
    /// # Errors
    /// Names the file or the setting, and what is wrong with it.
    pub fn validate(&self) -> Result<(), loadtest_core::Error> {
        if self.http_version == HttpVersion::Http2 && cfg!(not(feature = "http2")) {
            return Err(loadtest_core::Error::new(
                "`http_version` is 2, and loadtest-runtime was built without HTTP/2",
            )
            .hint("enable its feature `http2`"));
        }
        self.client_certificates.iter().try_for_each(usable)
    }

    /// These options with what the settings say laid over them.
    ///
    /// # Errors
    /// If a value that was well-formed can't be used, such as a user agent that no header can hold.
    pub fn with(mut self, settings: &HttpSettings) -> Result<Self, loadtest_core::Error> {
        macro_rules! lay {
            ($($field:ident = $setting:ident),*) => {
                $( if let Some(value) = settings.$setting { self.$field = value; } )*
            };
        }
        macro_rules! lay_many {
            ($($field:ident = $setting:ident),*) => {
                $( if !settings.$setting.is_empty() { self.$field.clone_from(&settings.$setting); } )*
            };
        }
        lay!(
            discard_response_bodies = discard_response_bodies,
            insecure_skip_tls_verify = insecure_skip_tls_verify,
            no_connection_reuse = no_connection_reuse,
            no_vu_connection_reuse = no_vu_connection_reuse,
            http_version = http_version,
            tls_versions = tls_version,
            dns = dns,
            cookies = cookies
        );
        lay_many!(
            client_certificates = tls_auth,
            hosts = hosts,
            local_ips = local_ips,
            block_ips = block_ips,
            block_hostnames = block_hostnames,
            allow = allow
        );
        if let Some(text) = &settings.user_agent {
            self.user_agent = HeaderValue::from_str(text).map_err(|_| {
                loadtest_core::Error::new(format!(
                    "the user agent {text:?} has characters that no header can hold"
                ))
                .hint("write visible ASCII characters")
            })?;
        }
        self.max_redirects = settings.max_redirects.map_or(self.max_redirects, |limit| limit as usize);
        self.batch = settings.batch.map_or(self.batch, |limit| limit as usize);
        self.batch_per_host = settings.batch_per_host.map_or(self.batch_per_host, |limit| limit as usize);
        self.debug = settings.http_debug.or(self.debug);
        Ok(self)
    }
}

/// Whether the files of a client certificate hold what they should.
#[cfg(feature = "tls")]
fn usable(certificate: &ClientCertificate) -> Result<(), loadtest_core::Error> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let wrong = |path: &std::path::Path, why: &dyn std::fmt::Display| {
        loadtest_core::Error::new(format!("`tls_auth`: {} {why}", path.display()))
    };
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| {
            let here = std::env::current_dir().unwrap_or_default();
            wrong(path, &format!("can't be read: {error}"))
                .hint(format!("relative paths begin at the package of the test, {}", here.display()))
        })
    };
    let pem = read(&certificate.certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => {}
        Ok(_) => {
            return Err(wrong(&certificate.certificate, &"has no certificate in PEM form")
                .hint("a certificate stands between `-----BEGIN CERTIFICATE-----` and its `END`"));
        }
        Err(error) => {
            return Err(wrong(&certificate.certificate, &format!("is not in PEM form: {error}"))
                .hint("a certificate stands between `-----BEGIN CERTIFICATE-----` and its `END`"));
        }
    }
    PrivateKeyDer::from_pem_slice(&read(&certificate.key)?).map(drop).map_err(|error| {
        wrong(&certificate.key, &format!("has no private key in PEM form: {error}"))
            .hint("a key stands between `-----BEGIN PRIVATE KEY-----` and its `END`, and is not encrypted")
    })
}

/// Nothing can be done with a client certificate.
#[cfg(not(feature = "tls"))]
fn usable(_: &ClientCertificate) -> Result<(), loadtest_core::Error> {
    Err(loadtest_core::Error::new("`tls_auth` is set, and loadtest-runtime was built without https")
        .hint("enable its feature `tls`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> HttpSettings {
        let mut options = loadtest_core::options::Options::default();
        for (name, text) in pairs {
            options.set(name, text).expect("valid");
        }
        options.http
    }

    #[test]
    fn every_setting_takes_effect_over_what_was_there() {
        let pairs = [
            ("user_agent", "shop/1"),
            ("max_redirects", "3"),
            ("discard_response_bodies", "true"),
            ("insecure_skip_tls_verify", "true"),
            ("no_connection_reuse", "true"),
            ("no_vu_connection_reuse", "true"),
            ("http_version", "1.1"),
            ("tls_version", "1.3"),
            ("tls_auth", "a.pem:a.key"),
            ("hosts", "a.example=127.0.0.1"),
            ("dns", "ttl=0"),
            ("local_ips", "127.0.0.1"),
            ("block_ips", "10.0.0.0/8"),
            ("block_hostnames", "b.example"),
            ("allow", "loopback"),
            ("batch", "4"),
            ("batch_per_host", "2"),
            ("cookies", "off"),
            ("http_debug", "full"),
        ];
        let before = format!("{:?}", HttpOptions::default());
        for pair in pairs {
            let laid = HttpOptions::default().with(&settings(&[pair])).expect("usable");
            assert_ne!(format!("{laid:?}"), before, "{}", pair.0);
        }
        let known = loadtest_core::options::OPTIONS.iter();
        let known = known.filter(|option| option.scope == loadtest_core::options::Scope::Http);
        assert_eq!(known.map(|option| option.name).collect::<Vec<_>>(), pairs.map(|(name, _)| name));
        // What is not said stays as it was.
        let set = HttpOptions { max_redirects: 1, batch: 9, ..HttpOptions::default() };
        let laid = set.with(&settings(&[("batch", "4")])).expect("usable");
        assert_eq!((laid.max_redirects, laid.batch), (1, 4));
        assert_eq!(laid.validate(), Ok(()));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn client_certificates_are_looked_at_before_the_load() {
        let directory = tempfile::tempdir().expect("a directory");
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a certificate");
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("cert.pem"), made.cert.pem()).expect("written");
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).expect("written");
        std::fs::write(path("none.pem"), "nothing").expect("written");
        let validated = |certificate: &str, key: &str| {
            let text = format!("{}:{}", path(certificate).display(), path(key).display());
            HttpOptions::default().with(&settings(&[("tls_auth", &text)])).expect("usable").validate()
        };
        assert_eq!(validated("cert.pem", "key.pem"), Ok(()));
        for (certificate, key, why) in [
            ("missing.pem", "key.pem", "missing.pem can't be read: "),
            ("none.pem", "key.pem", "none.pem has no certificate"),
            ("cert.pem", "missing.pem", "missing.pem can't be read: "),
            ("cert.pem", "none.pem", "none.pem has no private key"),
        ] {
            let error = validated(certificate, key).expect_err(why);
            assert!(error.message().contains(why) && error.hint_text().is_some(), "{error}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_https_there_are_no_client_certificates() {
        let options = HttpOptions::default().with(&settings(&[("tls_auth", "a.pem:a.key")])).expect("usable");
        assert!(options.validate().expect_err("built without").message().contains("without https"));
    }
}
