//! Text made safe: for a JSON string, and for a terminal.

/// Appends `text` as a canonical JSON string, quotes included (RFC 8785, section 3.2.2.2).
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends one character of the inside of a JSON string as a person may see it on a terminal.
pub(super) fn push_string_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        c => push_visible(out, c),
    }
}

/// Appends one character, or its `\u` escape where it could move the cursor, start an escape
/// sequence, break the line or reorder what stands beside it.
pub(super) fn push_visible(out: &mut String, c: char) {
    if is_unsafe(c) {
        // All of them are in the Basic Multilingual Plane: four digits do.
        out.push_str(&format!("\\u{:04x}", u32::from(c)));
    } else {
        out.push(c);
    }
}

/// C0, DEL and C1 controls; line and paragraph separator; every bidirectional control of Unicode
/// (UAX #9: embeddings, overrides, isolates and marks).
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_spelled_as_rfc_8785_does() {
        let mut out = Vec::new();
        write_string(&mut out, "€$\u{f}\nA'B\"\\\\\"/\u{1b}\u{7f}");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\\u001b\u{7f}\""
        );
    }

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let mut out = String::new();
        for c in ('\0'..='\u{ffff}').filter(|&c| is_unsafe(c)) {
            push_visible(&mut out, c);
        }
        assert!(out.is_ascii());
        assert!(out.contains("\\u001b") && out.contains("\\u009b"));
        assert!(out.contains("\\u202e") && out.contains("\\u2066") && out.contains("\\u007f"));
        let mut kept = String::new();
        "aé漢👩‍🚀 ".chars().for_each(|c| push_visible(&mut kept, c));
        assert_eq!(kept, "aé漢👩‍🚀 ");
    }
}
