//! [`HttpClient`], the state of one virtual user, and [`Http`], the handle that a test works with.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use ::http::header::SET_COOKIE;
use ::http::{HeaderMap, Method};
use cookie_store::CookieStore;

use super::HttpOptions;
use super::hyper_transport::HyperTransport;
use super::record::RecordExchange;
use super::request::RequestBuilder;
use super::target::Target;
use super::throttle::Throttle;
use super::transport::Transport;

/// The HTTP state of one virtual user: its connections and its cookies. It stays on one thread.
pub struct HttpClient {
    pub(super) options: Arc<HttpOptions>,
    pub(super) transport: Box<dyn Transport>,
    pub(super) throttle: Option<Arc<Throttle>>,
    cookies: RefCell<CookieStore>,
    /// What the jar goes back to.
    kept: RefCell<CookieStore>,
    /// Whether the jar may differ from that.
    touched: Cell<bool>,
}

impl HttpClient {
    /// A client without connections and cookies.
    #[must_use]
    pub fn new(options: Arc<HttpOptions>) -> Self {
        let transport = Box::new(HyperTransport::new(Arc::clone(&options)));
        Self {
            options,
            transport,
            throttle: None,
            cookies: RefCell::default(),
            kept: RefCell::default(),
            touched: Cell::new(false),
        }
    }

    /// The same, whose requests wait for their turns.
    pub(crate) fn throttled(mut self, throttle: Option<Arc<Throttle>>) -> Self {
        self.throttle = throttle;
        self
    }

    /// Keeps the cookies that are there now: [`reset_cookies`](Self::reset_cookies) goes back to them.
    pub fn keep_cookies(&self) {
        self.kept.replace(self.cookies.borrow().clone());
        self.touched.set(false);
    }

    /// Forgets all cookies but those that were [kept](Self::keep_cookies).
    pub fn reset_cookies(&self) {
        if self.touched.replace(false) {
            self.cookies.borrow_mut().clone_from(&self.kept.borrow());
        }
    }

    /// Keeps the cookies of a response.
    pub(super) fn store_cookies(&self, target: &Target, headers: &HeaderMap) {
        for value in headers.get_all(SET_COOKIE) {
            self.touched.set(true);
            if let Ok(value) = value.to_str() {
                // A cookie that may not be set here (RFC 6265, section 5.3) is ignored, as browsers do.
                let _ = self.cookies.borrow_mut().parse(value, &target.url);
            }
        }
    }

    /// The `Cookie` header for a target: the jar's cookies and those of the request, which win.
    pub(super) fn cookie_header(&self, target: &Target, own: &[(String, String)]) -> Option<String> {
        let cookies = self.cookies.borrow();
        let kept = cookies.get_request_values(&target.url);
        let kept = kept.filter(|(name, _)| own.iter().all(|(other, _)| other != name));
        let mut header = String::new();
        for (name, value) in kept.chain(own.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
            if !header.is_empty() {
                header.push_str("; ");
            }
            header.push_str(name);
            header.push('=');
            header.push_str(value);
        }
        (!header.is_empty()).then_some(header)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// A handle to the HTTP client of a virtual user. Cheap to clone, so that requests can run side by side.
#[derive(Clone)]
pub struct Http {
    pub(super) client: Rc<HttpClient>,
    pub(super) recorder: Rc<dyn RecordExchange>,
}

impl Http {
    /// A handle that sends with `client` and hands every exchange to `recorder`.
    #[must_use]
    pub fn new(client: Rc<HttpClient>, recorder: Rc<dyn RecordExchange>) -> Self {
        Self { client, recorder }
    }

    /// A GET request. A URL that cannot be used is reported, and recorded, when the request is sent.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A PATCH request.
    pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// A HEAD request.
    pub fn head(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// An OPTIONS request.
    pub fn options(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::OPTIONS, url)
    }

    /// A request of any method except CONNECT.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder {
        let url = url.as_ref();
        RequestBuilder::new(self.clone(), method, url, Target::get(url))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
