//! Looking into an executable, without running it, for the mark that a load test leaves there.
//!
//! The main function is [`entry`]. The file is read in pieces; a mark is believed only if a path of Rust
//! follows it, because this program's own strings contain the mark as well.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use loadtest_core::wire::{MARKER, MARKER_END};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// The longest name of an entry that is believed.
const MAX_NAME: usize = 4 << 10;

/// The name by which the test harness knows one of the executable's entries: the path within the crate.
/// `None` if there is no load test in it.
///
/// # Errors
/// If the file can't be read.
pub(super) fn entry(executable: &Path) -> anyhow::Result<Option<String>> {
    let file = File::open(executable).with_context(|| format!("can't open {}", executable.display()))?;
    let name = scan(file).with_context(|| format!("can't read {}", executable.display()))?;
    Ok(name.and_then(|path| path.split_once("::").map(|(_krate, name)| name.to_owned())))
}

/// The first path after a mark, crate included.
fn scan(mut from: impl Read) -> std::io::Result<Option<String>> {
    // What a mark at the end of a piece may still need: itself, the name, the end.
    let keep = MARKER.len() + MAX_NAME + MARKER_END.len();
    let mut window: Vec<u8> = Vec::with_capacity(CHUNK + keep);
    loop {
        let before = window.len();
        from.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        if let Some(name) = find(&window) {
            return Ok(Some(name));
        }
        if window.len() == before {
            return Ok(None);
        }
        let done = window.len().saturating_sub(keep);
        window.drain(..done);
    }
}

fn find(window: &[u8]) -> Option<String> {
    let (first, marker) = (MARKER.as_bytes()[0], MARKER.as_bytes());
    let mut at = 0;
    while let Some(next) = window[at..].iter().position(|byte| *byte == first) {
        at += next;
        if let Some(rest) = window[at..].strip_prefix(marker)
            && let Some(name) = name(rest)
        {
            return Some(name);
        }
        at += 1;
    }
    None
}

fn name(rest: &[u8]) -> Option<String> {
    let rest = &rest[..rest.len().min(MAX_NAME + MARKER_END.len())];
    let end = rest.windows(MARKER_END.len()).position(|bytes| bytes == MARKER_END.as_bytes())?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    let segments: Vec<&str> = name.split("::").collect();
    let is_path = segments.len() > 1 && segments.iter().all(|segment| is_identifier(segment));
    is_path.then(|| name.to_owned())
}

fn is_identifier(segment: &str) -> bool {
    let segment = segment.strip_prefix("r#").unwrap_or(segment);
    let starts = segment.chars().next().is_some_and(|c| c == '_' || c.is_alphabetic());
    starts && segment.chars().all(|c| c == '_' || c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time, so that marks lie across every border.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(to.len()).min(7);
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn marked(name: &str) -> Vec<u8> {
        format!("{MARKER}{name}{MARKER_END}").into_bytes()
    }

    fn scanned(bytes: &[u8]) -> Option<String> {
        scan(Dribble(bytes)).expect("reads")
    }

    #[test]
    fn a_mark_is_found_wherever_it_lies() {
        let name = "shop::tests::__load_test_buy::load_test";
        for before in [0, 1, CHUNK - 10, CHUNK, 2 * CHUNK - 60] {
            let mut bytes = vec![b'\x02'; before];
            bytes.extend(marked(name));
            bytes.extend([0; 100]);
            assert_eq!(scanned(&bytes).as_deref(), Some(name), "after {before} bytes");
        }
    }

    #[test]
    fn strings_that_only_contain_the_mark_are_passed_over() {
        assert_eq!(scanned(b""), None);
        assert_eq!(scanned(MARKER.as_bytes()), None);
        for no_path in ["", "shop", "shop::", "a b::c", "::a", "a::1b", &"a::".repeat(5000)] {
            assert_eq!(scanned(&marked(no_path)), None, "{no_path}");
        }
        let mut bytes = MARKER.as_bytes().to_vec();
        bytes.extend(marked("r#try::한글::load_test"));
        assert_eq!(scanned(&bytes).as_deref(), Some("r#try::한글::load_test"));
    }

    #[test]
    fn the_harness_knows_the_entry_without_its_crate() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), marked("api::__load_test_x::load_test")).expect("writes");
        assert_eq!(entry(file.path()).expect("reads").as_deref(), Some("__load_test_x::load_test"));
    }
}
