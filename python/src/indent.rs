//! The layout of `json.dumps(…, indent=…)`, made of what the same call without white space gives. Python lays text out
//! slowly: its fast encoder knows one line only.

/// Lays out compact JSON text: each member and element on a line of its own, `unit` once for each level in front.
///
/// The text must be what `json.dumps(…, separators=(",", ":"))` gives; other text comes out in some layout.
pub fn indent(compact: &[u8], unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    let mut depth = 0usize;
    let mut rest = compact;
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        for _ in 0..depth {
            out.extend_from_slice(unit);
        }
    };
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'"' => {
                let end = string_end(tail);
                out.push(b'"');
                out.extend_from_slice(&tail[..end]);
                rest = &tail[end..];
            }
            b'{' | b'[' => {
                out.push(*byte);
                // What is empty stays on its line.
                match tail {
                    [close @ (b'}' | b']'), tail @ ..] => {
                        out.push(*close);
                        rest = tail;
                    }
                    _ => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(*byte);
            }
            b',' => {
                out.push(b',');
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(*byte),
        }
    }
    out
}

/// How long a string is behind its opening quote, the closing one included.
fn string_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}
