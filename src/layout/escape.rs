//! The spelling of strings: from the canonical one to that of another writer, and back.

use super::spec::{Escapes, Spelling};

/// The escapes of a layout as a table.
#[derive(Clone)]
pub(super) struct Table {
    /// Every string is written as the canonical form does.
    pub(super) canonical: bool,
    upper: bool,
    ascii: [Spelling; 128],
    /// Bytes at which a run to be copied ends.
    special: [bool; 256],
    ranges: Vec<(u32, u32)>,
}

impl Table {
    pub(super) fn new(escapes: &Escapes) -> Table {
        let mut table = Table {
            canonical: escapes.ascii.is_empty() && escapes.ranges.is_empty(),
            upper: escapes.upper,
            ascii: [Spelling::Canonical; 128],
            special: [false; 256],
            ranges: escapes.ranges.clone(),
        };
        for &(c, spelling) in &escapes.ascii {
            table.ascii[c as usize & 127] = spelling;
            table.special[c as usize & 127] = true;
        }
        // An escape of the canonical form is one unit, whatever its characters are.
        table.special[b'\\' as usize] = true;
        // The lead bytes of what the ranges hold: any other text is copied.
        for (lead, special) in table.special.iter_mut().enumerate().skip(0xc0) {
            let (low, high) = match lead {
                0xc0..0xe0 => ((lead & 0x1f) << 6, 0x3f),
                0xe0..0xf0 => ((lead & 0x0f) << 12, 0xfff),
                _ => ((lead & 0x07) << 18, 0x3_ffff),
            };
            let (low, high) = (low as u32, (low | high) as u32);
            *special = escapes.ranges.iter().any(|&(a, b)| a <= high && low <= b);
        }
        table
    }

    fn spelling(&self, c: char) -> Spelling {
        match u8::try_from(c) {
            Ok(ascii @ 0..128) => self.ascii[ascii as usize],
            _ => {
                let code = c as u32;
                let index = self.ranges.partition_point(|&(_, last)| last < code);
                match self.ranges.get(index) {
                    Some(&(first, _)) if first <= code => Spelling::Unicode,
                    _ => Spelling::Canonical,
                }
            }
        }
    }

    /// Position of the first byte from `at` on that ends a run; the length of `text` if there is none.
    #[inline(always)]
    pub(super) fn run_end(&self, text: &[u8], at: usize) -> usize {
        text.get(at..)
            .unwrap_or_default()
            .iter()
            .position(|&b| self.special[b as usize])
            .map_or(text.len(), |length| at + length)
    }

    /// Appends the spelling of the character at `at`, where a run has ended; returns the position behind it.
    pub(super) fn write(&self, text: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
        let (c, end) = character(text, at);
        match self.spelling(c) {
            Spelling::Canonical => out.extend_from_slice(text.get(at..end).unwrap_or_default()),
            Spelling::Backslash => out.extend_from_slice(&[b'\\', c as u8]),
            Spelling::Unicode => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(&unicode(*unit, self.upper));
                }
            }
        }
        end
    }

    /// Appends the spelling of `text`, the inside of a string in canonical spelling.
    pub(super) fn write_all(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        loop {
            let end = self.run_end(text, at);
            out.extend_from_slice(text.get(at..end).unwrap_or_default());
            if end >= text.len() {
                return;
            }
            at = self.write(text, end, out);
        }
    }
}

/// `\uXXXX`.
fn unicode(unit: u16, upper: bool) -> [u8; 6] {
    let digits: &[u8; 16] = if upper {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    let digit = |shift: u16| digits[(unit >> shift) as usize & 15];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}

/// The character at `at` of the inside of a string, in any spelling, and the position behind it.
///
/// Text that is none of a string gives U+FFFD; the position is always behind `at` and never behind the text's end
/// where `at` is before it.
pub(super) fn character(text: &[u8], at: usize) -> (char, usize) {
    let rest = text.get(at..).unwrap_or_default();
    let short = |c: char| (c, at + 2);
    match rest {
        [b'\\', b'u', ..] => {
            let unit = |from: usize| {
                let digits = rest.get(from..from + 4)?;
                digits.iter().try_fold(0u16, |value, &b| {
                    Some(value << 4 | (b as char).to_digit(16)? as u16)
                })
            };
            let high = unit(2);
            let units = match high {
                Some(0xd800..0xdc00) if rest.get(6..8) == Some(b"\\u") => [high, unit(8)],
                _ => [high, None],
            };
            let length = if units[1].is_some() { 12 } else { 6 };
            let c = char::decode_utf16(units.into_iter().flatten()).next();
            match c {
                Some(Ok(c)) => (c, at + length),
                _ => (char::REPLACEMENT_CHARACTER, at + 1),
            }
        }
        [b'\\', b'b', ..] => short('\u{8}'),
        [b'\\', b'f', ..] => short('\u{c}'),
        [b'\\', b'n', ..] => short('\n'),
        [b'\\', b'r', ..] => short('\r'),
        [b'\\', b't', ..] => short('\t'),
        [b'\\', c @ (b'"' | b'\\' | b'/'), ..] => short(*c as char),
        [lead, ..] => {
            let length = match lead {
                0..0x80 => return (*lead as char, at + 1),
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            let decoded = rest
                .get(..length)
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .and_then(|text| text.chars().next());
            match decoded {
                Some(c) => (c, at + length),
                None => (char::REPLACEMENT_CHARACTER, at + 1),
            }
        }
        [] => (char::REPLACEMENT_CHARACTER, at + 1),
    }
}

/// Appends `c` as the canonical form spells it.
pub(super) fn write_canonical(c: char, out: &mut Vec<u8>) {
    let short = match c {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        '\0'..='\u{1f}' => {
            out.extend_from_slice(&unicode(c as u16, false));
            return;
        }
        _ => {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_spelled_by_the_table() {
        let table = |upper, ascii: &[(u8, Spelling)], ranges: &[(u32, u32)]| {
            Table::new(&Escapes {
                upper,
                ascii: ascii.to_vec(),
                ranges: ranges.to_vec(),
            })
        };
        let python = table(false, &[], &[(0x80, 0x10_ffff)]);
        let spelled = |table: &Table, text: &str| {
            let mut out = Vec::new();
            table.write_all(text.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            spelled(&python, r#"aé😀\n\\u\""#),
            r#"a\u00e9\ud83d\ude00\n\\u\""#
        );
        assert_eq!(spelled(&python, ""), "");
        let dotnet = table(
            true,
            &[
                (b'"', Spelling::Unicode),
                (b'+', Spelling::Unicode),
                (b'<', Spelling::Unicode),
            ],
            &[(0x80, 0x10_ffff)],
        );
        assert_eq!(spelled(&dotnet, r#"<\"+é"#), r"\u003C\u0022\u002B\u00E9");
        let php = table(false, &[(b'/', Spelling::Backslash)], &[]);
        assert_eq!(spelled(&php, r"/é\\/"), r"\/é\\\/");
        let lines = table(false, &[], &[(0x2028, 0x2029)]);
        assert_eq!(
            spelled(&lines, "\u{2027}\u{2028}é\u{2029}"),
            "\u{2027}\\u2028é\\u2029"
        );
        let control = table(false, &[(8, Spelling::Unicode)], &[]);
        assert_eq!(spelled(&control, r"\b\f\u0001"), r"\u0008\f\u0001");
    }

    #[test]
    fn characters_are_read_in_any_spelling() {
        for (text, c) in [
            (r"\ud83d\ude00", '😀'),
            (r"\uD83D\uDE00", '😀'),
            (r"\/", '/'),
            ("é", 'é'),
            (r"\u0008", '\u{8}'),
        ] {
            assert_eq!(character(text.as_bytes(), 0), (c, text.len()));
        }
        for broken in [
            &b"\\ud83d"[..],
            b"\\u12",
            b"\xff\xff",
            b"\xc3",
            b"\\",
            b"\\x",
        ] {
            let (_, end) = character(broken, 0);
            assert!(end >= 1);
        }
    }
}
