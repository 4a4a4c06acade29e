//! [`Multipart`]: a form with files, `multipart/form-data` (RFC 7578), read from disk while it is sent.
//!
//! Names and file names are quoted as browsers do (the WHATWG's encoding): `"`, carriage return and line feed are
//! percent-encoded, everything else is UTF-8 as it is. It refuses to hold a file in memory, and to look into one:
//! content types are guessed from extensions.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use ::http::HeaderValue;
use bytes::{Bytes, BytesMut};

use super::error::{ErrorKind, Failure};
use super::request::Body;
use super::transport::Payload;
use super::upload::Upload;

/// A form of named parts: texts, bytes and files. It can be cloned and sent again; files are read anew each time.
///
/// ```
/// use loadtest_runtime::http::{Multipart, Part};
///
/// let form = Multipart::new()
///     .text("event", "summer")
///     .part("map", Part::bytes("<svg/>").file_name("map.svg"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Multipart {
    parts: Vec<(Cow<'static, str>, Part)>,
    failure: Option<Failure>,
}

impl Multipart {
    /// A form without parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.part(name, Part::text(value))
    }

    /// Adds a file, under its own name and the content type that its extension stands for. It is read while the
    /// form is sent. That there is none is an error of the request.
    #[must_use]
    pub fn file(mut self, name: impl Into<Cow<'static, str>>, path: impl AsRef<Path>) -> Self {
        match Part::file(path) {
            Ok(part) => self.part(name, part),
            Err(failure) => {
                self.failure.get_or_insert(failure);
                self
            }
        }
    }

    /// Adds a part.
    #[must_use]
    pub fn part(mut self, name: impl Into<Cow<'static, str>>, part: Part) -> Self {
        self.parts.push((name.into(), part));
        self
    }

    /// The body, and its content type.
    pub(super) fn encode(self) -> Result<(Payload, HeaderValue), Failure> {
        self.encode_with(&boundary())
    }

    fn encode_with(self, boundary: &str) -> Result<(Payload, HeaderValue), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut pieces = Vec::with_capacity(2 * self.parts.len() + 1);
        // What goes between the bodies, collected as far as nothing comes from elsewhere.
        let mut text = BytesMut::new();
        for (name, part) in self.parts {
            part.write_head(boundary, &name, &mut text)?;
            match part.body {
                Payload::Bytes(bytes) => text.extend_from_slice(&bytes),
                upload @ Payload::Upload(_) => {
                    pieces.push(Payload::Bytes(text.split().freeze()));
                    pieces.push(upload);
                }
            }
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let last = Payload::Bytes(text.freeze());
        let payload = if pieces.is_empty() {
            last
        } else {
            pieces.push(last);
            Payload::Upload(Upload::concat(pieces))
        };
        let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"))
            .map_err(|error| Failure::new(ErrorKind::InvalidRequest, error.to_string()))?;
        Ok((payload, content_type))
    }
}

/// One part of a [`Multipart`] form.
#[derive(Debug, Clone)]
pub struct Part {
    body: Payload,
    file_name: Option<Cow<'static, str>>,
    content_type: Option<Cow<'static, str>>,
}

impl Part {
    /// A text.
    #[must_use]
    pub fn text(value: impl Into<String>) -> Self {
        Self::new(Body::from(value.into()))
    }

    /// Bytes, as those of a file that the test has made up.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(Body::from(bytes.into()))
    }

    /// Whatever a request can carry.
    #[must_use]
    pub fn new(body: impl Into<Body>) -> Self {
        Self { body: body.into().0, file_name: None, content_type: None }
    }

    /// A file, under its own name.
    fn file(path: impl AsRef<Path>) -> Result<Self, Failure> {
        let path = path.as_ref();
        let upload = Upload::from_file(path).map_err(|error| unreadable(&error))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned().into());
        Ok(Self { body: Payload::Upload(upload), file_name: name, content_type: None })
    }

    /// The name of the file that it is said to be.
    #[must_use]
    pub fn file_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Its content type. By default the one that the extension of the file name stands for, else
    /// `application/octet-stream`; a part without a file name has none.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    fn write_head(&self, boundary: &str, name: &str, out: &mut BytesMut) -> Result<(), Failure> {
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"");
        push_quoted(&mut head, name);
        head.push('"');
        if let Some(file_name) = &self.file_name {
            head.push_str("; filename=\"");
            push_quoted(&mut head, file_name);
            head.push('"');
        }
        head.push_str("\r\n");
        let guessed = self.file_name.as_deref().map(guess);
        if let Some(content_type) = self.content_type.as_deref().or(guessed) {
            if let Err(error) = HeaderValue::from_str(content_type) {
                let text = format!("invalid content type {content_type:?} of the part `{name}`: {error}");
                return Err(Failure::new(ErrorKind::InvalidRequest, text));
            }
            head.push_str("Content-Type: ");
            head.push_str(content_type);
            head.push_str("\r\n");
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// The failure of a file that can't be sent.
pub(super) fn unreadable(error: &std::io::Error) -> Failure {
    let text = format!("the file to be sent cannot be read: {error}");
    Failure::new(ErrorKind::InvalidRequest, text).with_hint(
        "give a path that is there where the load is made; relative ones start at the package's root",
    )
}

/// A boundary that no body holds by chance.
fn boundary() -> String {
    // Keyed with what the operating system draws once per thread: 128 bits that nobody can know.
    let random = || RandomState::new().build_hasher().finish();
    format!("----loadtest-{:016x}{:016x}", random(), random())
}

/// A name in double quotes, by the WHATWG's "multipart/form-data encoding algorithm".
fn push_quoted(out: &mut String, name: &str) {
    for char in name.chars() {
        match char {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            _ => out.push(char),
        }
    }
}

/// The content type that an extension stands for.
fn guess(file_name: &str) -> &'static str {
    let extension = Path::new(file_name).extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("txt" | "log") => "text/plain",
        Some("csv") => "text/csv",
        Some("html" | "htm") => "text/html",
        Some("css") => "text/css",
        Some("xml") => "application/xml",
        Some("js" | "mjs") => "text/javascript",
        Some("json") => "application/json",
        Some("pdf") => "application/pdf",
        Some("zip") => "application/zip",
        Some("gz") => "application/gzip",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("svg") => "image/svg+xml",
        Some("mp3") => "audio/mpeg",
        Some("mp4") => "video/mp4",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(payload: &Payload) -> String {
        let Payload::Bytes(bytes) = payload else { panic!("{payload:?}") };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn parts_are_written_as_browsers_do() {
        let form = Multipart::new()
            .text("event", "summer\nnight")
            .text("a\"b\r\nc", "é")
            .part("f", Part::bytes("{}").file_name("좌석 \"1\".JSON"))
            .part("g", Part::text("x").file_name("x").content_type("text/x; charset=utf-8"))
            .part("h", Part::bytes(""));
        let (payload, content_type) = form.encode_with("BB").unwrap();
        assert_eq!(content_type, "multipart/form-data; boundary=BB");
        let expected = "--BB\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\nsummer\nnight\r\n\
                        --BB\r\nContent-Disposition: form-data; name=\"a%22b%0D%0Ac\"\r\n\r\né\r\n\
                        --BB\r\nContent-Disposition: form-data; name=\"f\"; filename=\"좌석 %221%22.JSON\"\r\n\
                        Content-Type: application/json\r\n\r\n{}\r\n\
                        --BB\r\nContent-Disposition: form-data; name=\"g\"; filename=\"x\"\r\n\
                        Content-Type: text/x; charset=utf-8\r\n\r\nx\r\n\
                        --BB\r\nContent-Disposition: form-data; name=\"h\"\r\n\r\n\r\n--BB--\r\n";
        assert_eq!(bytes(&payload), expected);
    }

    #[test]
    fn mistakes_are_told_when_the_form_is_sent() {
        let failure = Multipart::new().file("f", "/no/such/ticket.pdf").text("a", "b").encode().unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidRequest);
        assert!(failure.text.contains("/no/such/ticket.pdf"), "{failure:?}");
        let part = Part::text("x").content_type("text/plain\r\nx-evil: 1");
        let failure = Multipart::new().part("f", part).encode().unwrap_err();
        assert!(failure.text.contains("content type"), "{failure:?}");
    }

    #[test]
    fn boundaries_differ_and_an_empty_form_is_one() {
        let boundaries = [boundary(), boundary(), boundary()];
        assert!(boundaries.iter().all(|text| text.len() <= 70 && !text.contains(' ')));
        assert!(boundaries[0] != boundaries[1] && boundaries[1] != boundaries[2]);
        let (payload, _) = Multipart::new().encode_with("BB").unwrap();
        assert_eq!(bytes(&payload), "--BB--\r\n");
    }

    #[test]
    fn a_file_keeps_its_place_and_the_length_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seats.csv");
        std::fs::write(&path, "row,number\n").unwrap();
        let form = Multipart::new().text("a", "1").file("f", &path);
        let (payload, _) = form.encode_with("BB").unwrap();
        let Payload::Upload(upload) = payload else { panic!("in memory") };
        let expected = "--BB\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
                        --BB\r\nContent-Disposition: form-data; name=\"f\"; filename=\"seats.csv\"\r\n\
                        Content-Type: text/csv\r\n\r\nrow,number\n\r\n--BB--\r\n";
        assert_eq!(upload.length, Some(expected.len() as u64));
    }
}
