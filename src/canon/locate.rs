//! Line, column and JSON Pointer of an offset, for errors only: nothing of it costs the pass anything.

use super::string::chars;

/// Line and column of `offset`, both from 1; the column counts characters. A line ends with LF, or CR LF.
pub(super) fn line_and_column(input: &[u8], offset: usize) -> (usize, usize) {
    let before = input.get(..offset).unwrap_or(input);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
    let characters = before
        .get(start..)
        .unwrap_or_default()
        .iter()
        .filter(|&&b| !is_continuation(b))
        .count();
    (line, characters + 1)
}

fn is_continuation(b: u8) -> bool {
    b & 0xc0 == 0x80
}

enum Level {
    Array {
        index: usize,
    },
    /// The name of the member at hand, as the input spells it; `None` before the name is complete.
    Object {
        name: Option<(usize, usize)>,
    },
}

/// The JSON Pointer (RFC 6901) of the innermost value that holds `offset`: the member or element itself, or, where
/// the offset is in a name or in front of one, the object.
///
/// Before the offset the input is what the pass has accepted, except with invalid UTF-8, which is looked for first;
/// there the answer is as good as the text before it.
pub(super) fn pointer(input: &[u8], offset: usize) -> String {
    let mut levels = Vec::new();
    let mut at = 0;
    while at < offset {
        match input.get(at) {
            Some(b'[') => levels.push(Level::Array { index: 0 }),
            Some(b'{') => levels.push(Level::Object { name: None }),
            Some(b']' | b'}') => {
                levels.pop();
            }
            Some(b',') => match levels.last_mut() {
                Some(Level::Array { index }) => *index += 1,
                Some(Level::Object { name }) => *name = None,
                None => {}
            },
            Some(b'"') => {
                let end = string_end(input, at + 1);
                if end >= offset {
                    break;
                }
                if let Some(Level::Object { name: name @ None }) = levels.last_mut() {
                    *name = Some((at + 1, end));
                }
                at = end;
            }
            Some(_) => {}
            None => break,
        }
        at += 1;
    }
    let mut pointer = String::new();
    for level in levels {
        match level {
            Level::Array { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Level::Object {
                name: Some((start, end)),
            } => {
                pointer.push('/');
                for c in chars(input.get(start..end).unwrap_or_default()) {
                    match c {
                        '~' => pointer.push_str("~0"),
                        '/' => pointer.push_str("~1"),
                        c => pointer.push(c),
                    }
                }
            }
            Level::Object { name: None } => {}
        }
    }
    pointer
}

/// Position of the quote that ends the string whose inside starts at `at`, or the input's length.
fn string_end(input: &[u8], mut at: usize) -> usize {
    loop {
        match input.get(at) {
            Some(b'"') => return at,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return input.len(),
        }
    }
}
