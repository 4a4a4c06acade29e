//! The cookies of virtual users: [`Cookies`], which a client has, and [`CookieJar`], the test's view of them.
//!
//! Whose cookies they are is the [`CookiePolicy`]'s. A jar that is shared by all virtual users of a test costs
//! requests nothing until somebody puts a cookie in; then each request takes its lock. Which cookies are sent where
//! is RFC 6265's; a cookie that a server may not set is ignored, as browsers do.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::HeaderMap;
use ::http::header::SET_COOKIE;
use cookie_store::CookieStore;
use url::Url;

use super::client::HttpClient;
use super::options::{CookiePolicy, HttpOptions};
use super::target::Target;
use crate::error::{Error, Result};

/// The jar of all virtual users of a test.
#[derive(Default)]
pub(super) struct SharedJar {
    /// Whether there has ever been a cookie in it.
    filled: AtomicBool,
    store: Mutex<CookieStore>,
}

impl SharedJar {
    fn lock(&self) -> MutexGuard<'_, CookieStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedJar").finish_non_exhaustive()
    }
}

/// The cookies that one client sends.
pub(super) struct Cookies {
    options: Arc<HttpOptions>,
    own: RefCell<CookieStore>,
    /// What the jar goes back to.
    kept: RefCell<CookieStore>,
    /// Whether the jar may differ from that.
    touched: Cell<bool>,
}

impl Cookies {
    pub(super) fn new(options: Arc<HttpOptions>) -> Self {
        Self { options, own: RefCell::default(), kept: RefCell::default(), touched: Cell::new(false) }
    }

    /// Keeps what is there now: [`reset`](Self::reset) goes back to it.
    pub(super) fn keep(&self) {
        self.kept.replace(self.own.borrow().clone());
        self.touched.set(false);
    }

    /// Forgets all but what was kept, where each iteration is a new visitor.
    pub(super) fn reset(&self) {
        if self.options.cookies == CookiePolicy::Iteration && self.touched.replace(false) {
            self.own.borrow_mut().clone_from(&self.kept.borrow());
        }
    }

    /// Keeps the cookies of a response.
    pub(super) fn store(&self, target: &Target, headers: &HeaderMap) {
        if self.options.cookies == CookiePolicy::Off {
            return;
        }
        for value in headers.get_all(SET_COOKIE) {
            if let Ok(value) = value.to_str() {
                // A cookie that may not be set here (RFC 6265, section 5.3) is ignored, as browsers do.
                self.change(|store| _ = store.parse(value, target.cookie_url()));
            }
        }
    }

    /// The `Cookie` header for a target: the jar's cookies and those of the request, which win.
    pub(super) fn header(&self, target: &Target, own: &[(String, String)]) -> Option<String> {
        match self.options.cookies {
            CookiePolicy::Off => header_of(None, target, own),
            CookiePolicy::Test if self.options.jar.filled.load(Ordering::Acquire) => {
                header_of(Some(&self.options.jar.lock()), target, own)
            }
            CookiePolicy::Test => header_of(None, target, own),
            CookiePolicy::Iteration | CookiePolicy::Vu => header_of(Some(&self.own.borrow()), target, own),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut CookieStore) -> T) -> T {
        if self.options.cookies == CookiePolicy::Test {
            let changed = change(&mut self.options.jar.lock());
            self.options.jar.filled.store(true, Ordering::Release);
            changed
        } else {
            self.touched.set(true);
            change(&mut self.own.borrow_mut())
        }
    }

    fn look<T>(&self, look: impl FnOnce(&CookieStore) -> T) -> T {
        match self.options.cookies {
            CookiePolicy::Test => look(&self.options.jar.lock()),
            _ => look(&self.own.borrow()),
        }
    }
}

fn header_of(store: Option<&CookieStore>, target: &Target, own: &[(String, String)]) -> Option<String> {
    let store = store.filter(|store| store.iter_any().next().is_some());
    if own.is_empty() && store.is_none() {
        return None;
    }
    let mut header = String::new();
    let mut push = |name: &str, value: &str| {
        if !header.is_empty() {
            header.push_str("; ");
        }
        header.push_str(name);
        header.push('=');
        header.push_str(value);
    };
    for (name, value) in store.into_iter().flat_map(|store| store.get_request_values(target.cookie_url())) {
        if own.iter().all(|(other, _)| other != name) {
            push(name, value);
        }
    }
    for (name, value) in own {
        push(name, value);
    }
    (!header.is_empty()).then_some(header)
}

/// The cookies of a virtual user, by URL: k6's cookie jar. From [`Http::cookies`](super::Http::cookies).
///
/// Whose they are, and how long they are kept, is the test's `cookies` option: by default the virtual user's, and
/// each iteration begins with those that `vu_init` left.
///
/// ```
/// # use loadtest_runtime::{Vu, Result};
/// # async fn login(vu: &mut Vu) -> Result<()> {
/// let http = vu.http();
/// http.cookies().set("http://127.0.0.1:8080/", "lang", "ko")?;
/// let sent = http.cookies().for_url("http://127.0.0.1:8080/seats")?;
/// assert_eq!(sent, [("lang".to_owned(), "ko".to_owned())]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CookieJar {
    client: Rc<HttpClient>,
}

impl CookieJar {
    pub(super) fn new(client: Rc<HttpClient>) -> Self {
        Self { client }
    }

    /// The cookies that a request to `url` would carry, as name and value.
    ///
    /// # Errors
    /// If that is no absolute http, https or http+unix URL.
    pub fn for_url(&self, url: impl AsRef<str>) -> Result<Vec<(String, String)>> {
        let url = parse(url.as_ref())?;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(self.client.cookies().look(|store| store.get_request_values(&url).map(owned).collect()))
    }

    /// Puts a cookie in, as if a response from `url` had set it, with no attributes: it is sent to that host, to
    /// paths in the directory of the URL's path. Use [`store`](Self::store) for others.
    ///
    /// # Errors
    /// If that is no absolute http, https or http+unix URL, the name or value can't be those of a cookie, or the test keeps no
    /// cookies.
    pub fn set(&self, url: impl AsRef<str>, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<()> {
        let (name, value) = (name.as_ref(), value.as_ref());
        if name.is_empty() || name.contains(['=', ';']) || value.contains(';') {
            return Err(Error::msg(format!(
                "{name:?} with this value is no cookie: a name has neither `=` nor `;`, and a value no `;`\n\
                 hint: for attributes use .store(url, \"{name}=value; Path=/\")"
            )));
        }
        self.store(url, format!("{name}={value}"))
    }

    /// Puts a cookie in, written as in a `Set-Cookie` header of a response from `url`: `sid=1; Path=/; Max-Age=60`.
    ///
    /// # Errors
    /// If that is no absolute http, https or http+unix URL, the text is no cookie or none that this host may set, or the test
    /// keeps no cookies.
    pub fn store(&self, url: impl AsRef<str>, cookie: impl AsRef<str>) -> Result<()> {
        let url = parse(url.as_ref())?;
        let cookie = cookie.as_ref();
        if self.client.options.cookies == CookiePolicy::Off {
            return Err(Error::msg("this test keeps no cookies\nhint: its option `cookies` is \"off\""));
        }
        let name = cookie.split(['=', ';']).next().unwrap_or_default().trim();
        if cookie.chars().any(char::is_control) {
            return Err(Error::msg(format!("the cookie {name:?} has control characters")));
        }
        match self.client.cookies().change(|store| store.parse(cookie, &url)) {
            // One that is over before it was there: there is nothing to forget.
            Ok(_) | Err(cookie_store::CookieError::Expired) => Ok(()),
            Err(error) => Err(Error::msg(format!("the cookie {name:?} cannot be set: {error}"))),
        }
    }

    /// Forgets a cookie that would be sent to `url`; whether there was one.
    ///
    /// # Errors
    /// If that is no absolute http, https or http+unix URL.
    pub fn delete(&self, url: impl AsRef<str>, name: impl AsRef<str>) -> Result<bool> {
        let name = name.as_ref();
        Ok(self.forget(&parse(url.as_ref())?, |other| other == name))
    }

    /// Forgets all cookies that would be sent to `url`.
    ///
    /// # Errors
    /// If that is no absolute http, https or http+unix URL.
    pub fn clear(&self, url: impl AsRef<str>) -> Result<()> {
        self.forget(&parse(url.as_ref())?, |_| true);
        Ok(())
    }

    fn forget(&self, url: &Url, which: impl Fn(&str) -> bool) -> bool {
        self.client.cookies().change(|store| {
            let found = store.matches(url).into_iter().filter(|cookie| which(cookie.name()));
            let found: Vec<_> = found
                .map(|cookie| {
                    (String::from(&cookie.domain), String::from(&cookie.path), cookie.name().to_owned())
                })
                .collect();
            for (domain, path, name) in &found {
                store.remove(domain, path, name);
            }
            !found.is_empty()
        })
    }
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar").finish_non_exhaustive()
    }
}

/// The URL by which the jar knows this one.
fn parse(url: &str) -> Result<Url> {
    match Target::get(url) {
        Ok(target) => Ok(target.cookie_url().clone()),
        Err(failure) => Err(Error::msg(format!(
            "{}\nhint: write an absolute URL, such as http://127.0.0.1:8080/",
            failure.text
        ))),
    }
}
