//! Strings: reading escapes, writing the canonical ones, and the UTF-16 code units of a name.
//!
//! The canonical spelling is that of ECMAScript's `JSON.stringify` (RFC 8785, section 3.2.2.2): `\b \t \n \f \r \" \\`,
//! other characters below U+0020 as `\u00xx` in lower-case hexadecimal, everything else raw UTF-8.

use super::error::CanonErrorKind;
use super::scan::byte;

/// An escape sequence as read.
pub(super) struct Escape {
    pub(super) value: char,
    /// Position behind the sequence.
    pub(super) end: usize,
}

/// Reads the escape sequence whose backslash is at `at`; both halves of a surrogate pair are one sequence.
/// The error names the kind and the offset to report.
pub(super) fn escape(input: &[u8], at: usize) -> Result<Escape, (CanonErrorKind, usize)> {
    let value = match byte(input, at + 1) {
        quoted @ (b'"' | b'\\' | b'/') => quoted as char,
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(input, at),
        _ if at + 1 >= input.len() => return Err((CanonErrorKind::UnexpectedEnd, input.len())),
        _ => return Err((CanonErrorKind::BadEscape, at)),
    };
    Ok(Escape { value, end: at + 2 })
}

fn unicode_escape(input: &[u8], at: usize) -> Result<Escape, (CanonErrorKind, usize)> {
    let unit = hex4(input, at + 2)?.ok_or((CanonErrorKind::BadEscape, at))?;
    if let Some(value) = char::from_u32(unit) {
        return Ok(Escape { value, end: at + 6 });
    }
    let lone = (CanonErrorKind::LoneSurrogate, at);
    if unit >= 0xdc00 || byte(input, at + 6) != b'\\' || byte(input, at + 7) != b'u' {
        return Err(lone);
    }
    let low = hex4(input, at + 8)?.ok_or((CanonErrorKind::BadEscape, at + 6))?;
    if !(0xdc00..0xe000).contains(&low) {
        return Err(lone);
    }
    let value = char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)).ok_or(lone)?;
    Ok(Escape {
        value,
        end: at + 12,
    })
}

/// Four hexadecimal digits at `at`; `None` where they are something else, an error where the input ends in them.
fn hex4(input: &[u8], at: usize) -> Result<Option<u32>, (CanonErrorKind, usize)> {
    let mut unit = 0;
    for position in at..at + 4 {
        let Some(&digit) = input.get(position) else {
            return Err((CanonErrorKind::UnexpectedEnd, input.len()));
        };
        match (digit as char).to_digit(16) {
            Some(digit) => unit = unit << 4 | digit,
            None => return Ok(None),
        }
    }
    Ok(Some(unit))
}

/// Appends `value` in its canonical spelling.
pub(super) fn write_char(value: char, out: &mut Vec<u8>) {
    let short = match value {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        '\0'..='\u{1f}' => {
            let hex = |digit: u32| char::from_digit(digit & 15, 16).unwrap_or('0') as u8;
            let code = value as u32;
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(code >> 4), hex(code)]);
            return;
        }
        _ => {
            out.extend_from_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// The characters of the inside of a string that the parser has accepted.
///
/// On anything else it ends early or yields U+FFFD; it never panics.
#[derive(Clone)]
pub(super) struct Chars<'a> {
    text: &'a [u8],
    at: usize,
}

pub(super) fn chars(text: &[u8]) -> Chars<'_> {
    Chars { text, at: 0 }
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let &lead = self.text.get(self.at)?;
        if lead == b'\\' {
            let escape = escape(self.text, self.at).ok()?;
            self.at = escape.end;
            return Some(escape.value);
        }
        let length = match lead {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        let end = self.text.len().min(self.at + length);
        let encoded = self.text.get(self.at..end)?;
        self.at = end;
        let decoded = std::str::from_utf8(encoded)
            .ok()
            .and_then(|c| c.chars().next());
        Some(decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_unescaped() {
        let text: String = chars(r#"a\u00e9é\uD83D\uDE00😀\n\/\"\u0000"#.as_bytes()).collect();
        assert_eq!(text, "aéé😀😀\n/\"\0");
    }

    #[test]
    fn every_character_below_u0100_is_written_as_ecmascript_does() {
        for code in 0..0x100u32 {
            let c = char::from_u32(code).unwrap();
            let mut out = Vec::new();
            write_char(c, &mut out);
            let expected = serde_json::to_string(&c).unwrap();
            assert_eq!(
                out,
                &expected.as_bytes()[1..expected.len() - 1],
                "U+{code:04X}"
            );
        }
    }
}
