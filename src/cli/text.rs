//! Text for people: nothing in it can steer a terminal, and sizes and times are readable.

use std::borrow::Cow;
use std::fmt::Display;

use crate::time::format_utc;

/// Digits of an id that are shown to people.
const SHORT_ID: usize = 8;

/// The text with control characters, and those that turn the direction of text, as escapes.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The first line, and a sign that there were more.
pub(super) fn first_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = visible(lines.next().unwrap_or_default()).into_owned();
    if lines.next().is_some() {
        first + " …"
    } else {
        first
    }
}

/// The first `limit` characters, and a sign that there were more.
pub(super) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The first digits of an id.
pub(super) fn short(id: impl Display) -> String {
    let mut text = id.to_string();
    text.truncate(SHORT_ID);
    text
}

/// A time to the second, in UTC: `2026-11-01 12:00:00Z`.
pub(super) fn clock(microseconds: i64) -> String {
    let text = format_utc(microseconds.saturating_sub(microseconds.rem_euclid(1_000_000)));
    text.replacen('T', " ", 1)
}

/// A size with three digits: `1.24 MB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let digits = if value < 9.995 {
        2
    } else {
        usize::from(value < 99.95)
    };
    format!("{value:.digits$} {unit}")
}

/// `1 file`, `3 files`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// The number with a comma between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The argument as a POSIX shell takes it back.
pub(super) fn quote(argument: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c) || !c.is_ascii();
    if !argument.is_empty() && argument.chars().all(plain) {
        Cow::Borrowed(argument)
    } else {
        Cow::Owned(format!("'{}'", argument.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(visible("a\x1b[31mb\u{202e}"), r"a\u{1b}[31mb\u{202e}");
        assert_eq!(visible("Zürich"), "Zürich");
        assert_eq!(first_line("one\ntwo"), "one …");
    }

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_600, "1.00 MB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn a_shell_takes_it_back() {
        assert_eq!(quote("config/a.json@3"), "config/a.json@3");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
