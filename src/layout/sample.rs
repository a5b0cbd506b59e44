//! The layout of a large source, inferred from its beginning.
//!
//! Inferring takes about five times the memory of the source and a fifteenth of a second for each of its megabytes.
//! Who writes a large file writes all of it the same way, so its first mebibyte, closed like the whole, tells enough.

use super::{Layout, infer};
use crate::canon::{self, NanMode};

/// Sources from this many bytes on are inferred from a part.
pub(super) const LARGE: usize = 32 << 20;
/// How much of the source the part has.
const SAMPLE: usize = 1 << 20;
/// Laying out a document takes this many bytes for each of its tokens.
const TOKEN: usize = 16;

/// As [`infer`](super::infer::infer), from a part of `source`. `None` too where the check of the whole, the source and
/// the canonical form would take more memory than 2.9 times the source.
pub(super) fn infer_large(
    previous: Option<&Layout>,
    source: &[u8],
    canonical: &[u8],
    nan: bool,
) -> Option<Layout> {
    if !is_affordable(source, canonical) {
        return None;
    }
    let part = part(source)?;
    let mode = if nan { NanMode::Tag } else { NanMode::Reject };
    let (form, outcome) = canon::canonicalize_with(&part, mode).ok()?;
    let layout = match previous {
        Some(previous) => infer::infer_from(previous, &part, &form, outcome.tagged),
        None => infer::infer(None, &part, &form, outcome.tagged),
    }?;
    layout.renders_to(canonical, nan, source).then_some(layout)
}

/// May a large source be compared with what a layout makes of its canonical form? Each token of that has one of these
/// characters in front of it; those inside strings count too.
pub(super) fn is_affordable(source: &[u8], canonical: &[u8]) -> bool {
    let count = |a, b| memchr::memchr2_iter(a, b, canonical).count();
    let tokens = count(b',', b':').saturating_add(count(b'[', b'{'));
    let all = source.len() + canonical.len() + tokens.saturating_mul(TOKEN);
    all <= source.len() / 10 * 29
}

/// The beginning of a JSON text, cut behind a whole value and closed as the whole is. `None` where the whole does not
/// end in the same brackets.
fn part(source: &[u8]) -> Option<Vec<u8>> {
    // The closing brackets that are due, and behind each the last comma of its container.
    let mut open: Vec<(u8, Option<usize>)> = Vec::new();
    let mut at = 0;
    let end = source.len().min(SAMPLE);
    while at < end {
        match source[at] {
            b'"' => {
                at += 1;
                while at < end && source[at] != b'"' {
                    at += if source[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'[' => open.push((b']', None)),
            b'{' => open.push((b'}', None)),
            b']' | b'}' => {
                open.pop();
            }
            b',' => open.last_mut()?.1 = Some(at),
            _ => {}
        }
        at += 1;
    }
    // The outermost container that has gone on for long has the most alike in it.
    let depth = open
        .iter()
        .position(|(_, comma)| comma.is_some_and(|comma| comma >= end / 2))?;
    let cut = open[depth].1?;
    let mut tail = source.len();
    let skip = |mut tail: usize| {
        while tail > 0 && source[tail - 1].is_ascii_whitespace() {
            tail -= 1;
        }
        tail
    };
    for (bracket, _) in &open[..=depth] {
        tail = skip(tail).checked_sub(1)?;
        if source[tail] != *bracket {
            return None;
        }
    }
    let tail = skip(tail);
    Some([&source[..cut], &source[tail..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, between: &str) -> String {
        let rows: Vec<String> = (0..count)
            .map(|n| {
                format!(
                    "{{\"n\":          {n}.0, \"text\":          \"a [b] \\\"{n}\\\" {:30}\"}}",
                    ""
                )
            })
            .collect();
        rows.join(between)
    }

    #[test]
    fn the_part_is_a_document_of_the_same_layout() {
        for (front, back) in [("[\n  ", "\n]\n"), ("{\"rows\": [\n  ", "\n]}\n")] {
            let text = format!("{front}{}{back}", rows(40_000, ",\n  "));
            let part = part(text.as_bytes()).unwrap();
            assert!(part.len() < text.len() && part.len() > SAMPLE / 2);
            assert!(canon::canonicalize(&part).is_ok());
            let canonical = canon::canonicalize(text.as_bytes()).unwrap();
            let layout = infer_large(None, text.as_bytes(), &canonical, false).unwrap();
            assert!(layout.renders_to(&canonical, false, text.as_bytes()));
        }
    }

    #[test]
    fn what_cannot_be_cut_has_no_part() {
        let long = format!("[\"{}\"]", "x".repeat(2 * SAMPLE));
        let behind = format!("{{\"rows\": [{}], \"end\": {{}}}}", rows(40_000, ", "));
        for text in ["7", "[1]", "[1,", &long, &behind, "]]]", "\"\\"] {
            assert_eq!(part(text.as_bytes()), None, "{:.40}", text);
        }
    }

    #[test]
    fn many_short_tokens_are_not_affordable() {
        let canonical = format!("[{}1]", "1,".repeat(1000));
        assert!(!is_affordable(canonical.as_bytes(), canonical.as_bytes()));
        let spaced = canonical.replace(',', &format!(",\n{}", " ".repeat(16)));
        assert!(is_affordable(spaced.as_bytes(), canonical.as_bytes()));
    }
}
