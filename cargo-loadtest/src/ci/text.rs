//! Text from outside made fit for one line of any format, before the format's own escaping.
//!
//! The main functions are [`line`] and [`clip`].

/// Text without line breaks, control characters and marks that change how others are laid out.
pub(super) fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for part in text.split(['\n', '\r', '\t']).map(str::trim).filter(|part| !part.is_empty()) {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.extend(part.chars().filter(|c| !c.is_control() && !reorders(*c)));
    }
    clean
}

/// Its beginning: at most so many bytes, with `…` if something is missing.
pub(super) fn clip(text: &str, bytes: usize) -> String {
    const MORE: &str = "…";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes.saturating_sub(MORE.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MORE}", &text[..end])
}

/// Invisible characters that turn the direction of a text or hide in it. Joiners stay: emoji and Indic scripts are
/// made of them.
fn reorders(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_and_has_nothing_that_acts() {
        assert_eq!(line("a\u{1b}[31m\r\n  b\0\tc\u{202e}d\n"), "a[31m b cd");
        assert_eq!(line("좌석 👩‍👩‍👧"), "좌석 👩‍👩‍👧");
    }

    #[test]
    fn what_is_cut_stays_text_and_below_the_limit() {
        assert_eq!(clip("short", 5), "short");
        for bytes in 3..30 {
            let clipped = clip("가나다라마바사아자차", bytes);
            assert!(clipped.len() <= bytes && clipped.ends_with('…'), "{bytes}: {clipped}");
        }
    }
}
