//! The route template of a path: `/seats/17?fresh=1` becomes `/seats/{id}`.
//!
//! The template is the default `name` tag of a request. Without it each URL with an identifier in it would be
//! a series of its own, and percentiles over a route could not be had. It holds the path alone, no host: a
//! test that calls two services tells them apart with `.name(..)`. Only what is surely an identifier is
//! folded; a word is never taken for one.
//!
//! What is shown or stored of a URL is cut here too: its query and its credentials may be secrets.

use std::borrow::Cow;

/// The most bytes that a template of something that is not a URL may have.
const LONGEST_RAW: usize = 100;

/// The route template of an absolute path.
pub(super) fn template(path: &str) -> Box<str> {
    let mut out = String::with_capacity(path.len());
    for (i, segment) in path.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        out.push_str(if is_identifier(segment) { "{id}" } else { segment });
    }
    out.into_boxed_str()
}

/// A name for a text that was meant to be a URL and is none.
pub(super) fn raw_template(text: &str) -> Box<str> {
    let path = shown(text);
    // Credentials and host are no part of a name.
    let path = path.rsplit('@').next().unwrap_or_default();
    let mut end = path.len().min(LONGEST_RAW);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    template(&path[..end])
}

/// A URL, or what was meant to be one, without credentials, query and fragment.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    let (head, rest) = text.find(['?', '#']).map_or((text, ""), |at| text.split_at(at));
    let (scheme, after) = head.find("://").map_or(("", head), |at| head.split_at(at + 3));
    // In a URL credentials end before the path; in a text that is none, a password may hold a slash.
    match after.rsplit_once('@') {
        Some((_, after)) => Cow::Owned(format!("{scheme}{after}")),
        // A password with a question mark in it: what was cut off is only the rest of it.
        None if rest.contains('@') && head.contains(':') && !after.contains('/') => {
            Cow::Owned(format!("{scheme}…"))
        }
        None => Cow::Borrowed(head),
    }
}

/// A number, a UUID, or at least 16 hexadecimal digits (an object id, a hash).
fn is_identifier(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    if bytes.is_empty() {
        return false;
    }
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        return true;
    }
    if bytes.len() >= 16 && bytes.iter().all(u8::is_ascii_hexdigit) {
        return true;
    }
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_fold_and_words_stay() {
        for (path, expected) in [
            ("/", "/"),
            ("/seats", "/seats"),
            ("/seats/", "/seats/"),
            ("/seats/17", "/seats/{id}"),
            ("/seats/17/hold/-3", "/seats/{id}/hold/{id}"),
            ("/v1/seats", "/v1/seats"),
            ("/o/550e8400-e29b-41d4-a716-446655440000", "/o/{id}"),
            ("/o/550e8400-e29b-41d4-a716-44665544000x", "/o/550e8400-e29b-41d4-a716-44665544000x"),
            ("/o/507f1f77bcf86cd799439011", "/o/{id}"),
            ("/facade/decade", "/facade/decade"),
            ("//", "//"),
            ("/-", "/-"),
        ] {
            assert_eq!(&*template(path), expected, "{path}");
        }
    }

    #[test]
    fn a_raw_text_is_cut_at_a_character() {
        let name = raw_template(&"좌".repeat(90));
        assert!(name.len() <= LONGEST_RAW && name.starts_with('좌'));
        assert_eq!(&*raw_template("seats/5?token=secret"), "seats/{id}");
    }

    #[test]
    fn no_secret_of_a_url_is_shown() {
        for (text, expected, name) in [
            ("http://h:1/a?token=secret#secret", "http://h:1/a", "http://h:1/a"),
            ("http://al:secret@h:99999/a/5?x", "http://h:99999/a/5", "h:99999/a/{id}"),
            ("http://al:sec/ret@h/a", "http://h/a", "h/a"),
            ("http://al:sec?ret@h/a", "http://…", "http://…"),
            ("al:sec#ret@h/a", "…", "…"),
            ("al:secret@h/a", "h/a", "h/a"),
            ("seats?mail=a@secret", "seats", "seats"),
            ("", "", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
            let raw = raw_template(text);
            assert!(!raw.contains("secret") && !raw.contains("sec"), "{text}: {raw}");
            if text.contains("@h") && !name.contains('…') {
                assert!(raw.ends_with(name.rsplit('/').next().unwrap_or_default()), "{text}: {raw}");
            }
        }
    }
}
