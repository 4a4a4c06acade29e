//! Text from outside made fit to be shown: control characters made visible, lengths bounded, columns
//! measured as a terminal shows them.
//!
//! The main functions are [`line`] and [`block`]. Nothing here escapes HTML: the templates do.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Makes text fit for one line: no control character survives, a line break becomes `⏎`.
pub(super) fn line(text: &str) -> String {
    visible(text, false)
}

/// Makes text fit for several lines: line breaks stay.
pub(super) fn block(text: &str) -> String {
    visible(text, true)
}

fn visible(text: &str, keep_lines: bool) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.trim_end().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' if keep_lines => clean.push('\n'),
            '\n' => clean.push_str(" ⏎ "),
            '\t' => clean.push_str("    "),
            // Neither a terminal nor a browser shall obey what was only to be shown: escape sequences,
            // and marks that turn the direction of the text around them.
            c if c.is_control() || reorders(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    clean
}

/// Invisible characters that change how others are laid out. Joiners stay: emoji and Indic scripts are
/// made of them.
fn reorders(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Columns that the text takes on a terminal: wide characters take two.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text with spaces after it, `columns` wide at least.
pub(super) fn pad(text: &str, columns: usize) -> String {
    pad_with(text, columns, ' ')
}

/// The text with `fill` after it, `columns` wide at least.
pub(super) fn pad_with(text: &str, columns: usize, fill: char) -> String {
    let mut padded = text.to_owned();
    padded.extend(std::iter::repeat_n(fill, columns.saturating_sub(width(text))));
    padded
}

/// The text with spaces before it, `columns` wide at least.
pub(super) fn pad_start(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The beginning of the text that fits into `columns`, with `…` if something is missing.
pub(super) fn clip(text: &str, columns: usize) -> String {
    // The sum over characters is never less than the width of the whole, which knows of emoji that are
    // made of several characters: what is kept always fits.
    let mut used = 0;
    let mut end = 0;
    for (index, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns {
            let mut clipped = clip_at(text, end);
            clipped.push('…');
            return clipped;
        }
        // One column stays free for the ellipsis.
        if used < columns {
            end = index + c.len_utf8();
        }
    }
    text.to_owned()
}

/// The text in lines of at most `columns`, broken between words; a longer word has a line of its own.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn clip_at(text: &str, end: usize) -> String {
    text[..end].trim_end().trim_end_matches('\u{200d}').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_terminal_nor_browser_obeys_the_text() {
        assert_eq!(line("a\u{1b}[31mb\r\nc\u{7}"), "a\\u{1b}[31mb ⏎ c\\u{7}");
        assert_eq!(line("user\u{202e}txt.exe"), "user\\u{202e}txt.exe");
        assert_eq!(block("one\ntwo\u{9b}"), "one\ntwo\\u{9b}");
        assert_eq!(line("👩‍👩‍👧 한국어 עברית"), "👩‍👩‍👧 한국어 עברית");
    }

    #[test]
    fn wide_text_is_measured_as_it_is_shown() {
        assert_eq!(width("예약"), 4);
        assert_eq!(pad("예약", 6), "예약  ");
        assert_eq!(clip("좌석 예약 확인", 8), "좌석 예…");
        assert_eq!(clip("좌석 예약 확인", 6), "좌석…");
        assert_eq!(clip("short", 5), "short");
        assert_eq!(clip("longer", 5), "long…");
        assert_eq!(wrap("one  two three", 7), ["one two", "three"]);
        assert_eq!(wrap("좌석 예약 a-word-of-its-own", 9), ["좌석 예약", "a-word-of-its-own"]);
        for columns in 1..20 {
            assert!(width(&clip("a좌b석👩‍👩‍👧c예약", columns)) <= columns.max(1));
        }
    }
}
