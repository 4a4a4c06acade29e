//! Items from JSON: one array, or one document after the other.
//!
//! Which of both is told by the first character, so the file is read once and never whole.

use std::io::{BufRead, BufReader, Cursor, Read};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Deserializer;
use serde_json::de::IoRead;
use serde_json::error::Category;

use super::source::Source;

/// Reads all items; the error is for people.
pub(super) fn read<T: DeserializeOwned>(source: &Source<'_>) -> Result<Vec<T>, String> {
    let mut input = BufReader::with_capacity(64 * 1024, source.open()?);
    let (before, first) = first_character(&mut input).map_err(|error| source.unreadable(&error))?;
    let input = BufReader::with_capacity(64 * 1024, Cursor::new(before).chain(input));
    let mut json = Deserializer::from_reader(input);
    let items = match first {
        None => return Err(source.empty("it is empty")),
        Some(b'[') => array(&mut json),
        Some(_) => json.into_iter().collect(),
    };
    match items {
        Ok(items) if items.is_empty() => Err(source.empty("its array is empty")),
        Ok(items) => Ok(items),
        Err(error) => Err(describe(source, first == Some(b'['), &error)),
    }
}

/// An array and nothing behind it.
fn array<T: DeserializeOwned, R: Read>(json: &mut Deserializer<IoRead<R>>) -> serde_json::Result<Vec<T>> {
    let items = Vec::deserialize(&mut *json)?;
    json.end()?;
    Ok(items)
}

/// What comes before the first character that is no space, without a byte order mark, and that character.
fn first_character(input: &mut impl BufRead) -> std::io::Result<(Vec<u8>, Option<u8>)> {
    let mut before = Vec::new();
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok((before, None));
        }
        if before.is_empty() && buffer.starts_with("\u{feff}".as_bytes()) {
            input.consume(3);
            continue;
        }
        let spaces = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let first = buffer.get(spaces).copied();
        before.extend_from_slice(&buffer[..spaces]);
        input.consume(spaces);
        if first.is_some() {
            return Ok((before, first));
        }
    }
}

fn describe(source: &Source<'_>, is_array: bool, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (line, column) = (error.line(), error.column());
    // The place is told once, in front.
    let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    if error.classify() == Category::Io {
        return format!("the feed from {source} can't be read: {what}");
    }
    let hint = match (error.classify(), is_array) {
        (Category::Data, true) => "each element of the array has to be an item of the feed's type",
        (Category::Data, false) => {
            "each document has to be an item of the feed's type, or the file one array"
        }
        (_, true) => "a file that begins with `[` is one array of items, and ends with it",
        (_, false) => "a feed is one array of items, or one JSON document per line",
    };
    format!("the feed from {source} can't be read: line {line}, column {column}: {what}\nhint: {hint}")
}
