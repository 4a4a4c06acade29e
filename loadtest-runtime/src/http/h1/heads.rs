//! [`read`]: heads that repeat are read once.
//!
//! A load test asks the same things again and again, and the heads of the answers are mostly the same to the
//! byte. So the last head of each target is remembered, per thread: comparing it costs a fraction of parsing.
//! What a head means depends on its bytes and the request's method alone, so this changes nothing but the time.

use std::cell::RefCell;
use std::sync::Arc;

use ::http::Method;

use super::super::error::Failure;
use super::super::headers::ResponseHeaders;
use super::super::target::Target;
use super::codec::{self, Head};

/// Heads remembered per thread, a power of two.
const REMEMBERED: usize = 256;
/// Longer heads are not worth remembering.
const MAX_LENGTH: usize = 4 * 1024;

/// A head that was read.
#[derive(Clone)]
struct Known {
    method: Method,
    head: Head,
    headers: ResponseHeaders,
}

thread_local! {
    static KNOWN: RefCell<Box<[Option<Known>]>> = RefCell::new(vec![None; REMEMBERED].into_boxed_slice());
}

/// Reads the head of a response to `method` of `target`; `None` if there is more of it to come.
pub(super) fn read(
    bytes: &[u8],
    method: &Method,
    target: &Arc<Target>,
) -> Result<Option<(Head, ResponseHeaders)>, Failure> {
    // Targets are kept by their thread, and one that is not is just another place: whose head it is does not
    // matter, only that it is the same.
    let place = (Arc::as_ptr(target) as usize >> 5) % REMEMBERED;
    KNOWN.with_borrow_mut(|known| {
        if let Some(Known { method: other, head, headers }) = &known[place]
            && bytes.starts_with(headers.head())
            && other == method
        {
            return Ok(Some((head.clone(), headers.clone())));
        }
        let Some(head) = codec::parse_head(bytes, method)? else { return Ok(None) };
        let headers = ResponseHeaders::of_head(&bytes[..head.length], head.sets_cookies, head.is_encoded);
        if head.length <= MAX_LENGTH {
            known[place] =
                Some(Known { method: method.clone(), head: head.clone(), headers: headers.clone() });
        }
        Ok(Some((head, headers)))
    })
}
