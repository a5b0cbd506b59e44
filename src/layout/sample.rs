//! The layout of a large source, inferred from parts of it.
//!
//! Inferring takes about five times the memory of the source and a fifteenth of a second for each of its megabytes.
//! Who writes a large file writes all of it the same way, so its first mebibyte, closed like the whole, tells nearly
//! everything; where the whole shows something else, the mebibyte from there on tells that.

use super::render::Parting;
use super::{Layout, infer};
use crate::canon::{self, NanMode};

/// Sources from this many bytes on are inferred from parts.
pub(crate) const LARGE: usize = 32 << 20;
/// How much of the source a part has.
const SAMPLE: usize = 1 << 20;
/// How many parts are looked at.
const MAX_PARTS: usize = 4;
/// Bytes that a token takes.
const TOKEN: usize = size_of::<super::tape::Token>();

/// As [`infer`](super::infer::infer), from parts of `source`. `None` too where the check of the whole would take too
/// much memory.
pub(super) fn infer_large(
    previous: Option<&Layout>,
    source: &[u8],
    canonical: &[u8],
    nan: bool,
) -> Option<Layout> {
    let mut parts = MAX_PARTS;
    let mut within =
        |outer: &Outer| infer_within(outer, previous, (source, canonical, nan), &mut parts);
    let quick = Outer::of(source, quick_tail);
    let found = quick.as_ref().and_then(&mut within);
    found.or_else(|| {
        let outer = Outer::of(source, tail)?;
        let other = quick.is_none_or(|quick| quick.tail != outer.tail);
        other.then(|| within(&outer))?
    })
}

/// The same, given which container has most of the source in it, and how many parts may still be looked at.
fn infer_within(
    outer: &Outer,
    previous: Option<&Layout>,
    (source, canonical, nan): (&[u8], &[u8], bool),
    parts: &mut usize,
) -> Option<Layout> {
    let most = most_tokens(source, canonical);
    let mut another = || {
        *parts = parts.checked_sub(1)?;
        Some(())
    };
    another()?;
    let mut layout = infer_part(previous, &outer.part(source, 0)?, nan)?;
    let mut known = 0;
    loop {
        match layout.compare(canonical, nan, source, most) {
            Ok(()) => return Some(layout),
            Err(Parting::At(at)) if at > known => known = at,
            Err(_) => return None,
        }
        another()?;
        layout = infer_part(Some(&layout), &outer.part(source, known)?, nan)?;
    }
}

fn infer_part(previous: Option<&Layout>, part: &[u8], nan: bool) -> Option<Layout> {
    let mode = if nan { NanMode::Tag } else { NanMode::Reject };
    let (form, outcome) = canon::canonicalize_with(part, mode).ok()?;
    match previous {
        Some(previous) => infer::infer_from(previous, part, &form, outcome.tagged),
        None => infer::infer(None, part, &form, outcome.tagged),
    }
}

/// How many tokens may be in memory while a large source is compared: with them, the source and the canonical form
/// take 2.5 times the memory of the source.
pub(super) fn most_tokens(source: &[u8], canonical: &[u8]) -> Option<usize> {
    let bytes = (source.len() / 2 * 5).saturating_sub(source.len() + canonical.len());
    (source.len() >= LARGE).then_some(bytes / TOKEN)
}

/// The container in which most of a source is, and those around it.
struct Outer {
    /// Where its first value or member begins.
    first: usize,
    /// Where in the source its closing bracket is, with the white space in front of that.
    tail: usize,
}

/// A container that is open at the end of the first part.
struct Open {
    /// Where its inside begins.
    first: usize,
    closing: u8,
    /// The last comma between its values or members.
    comma: Option<usize>,
}

impl Outer {
    /// The outermost container that goes on for long at the beginning of a source has the most alike in it.
    fn of(source: &[u8], tail: fn(&[u8], &[Open]) -> Option<usize>) -> Option<Outer> {
        let mut walk = Brackets::default();
        let mut open: Vec<Open> = Vec::new();
        let end = source.len().min(SAMPLE);
        while let Some((at, byte)) = walk.next(source, end) {
            match byte {
                b'[' | b'{' => open.push(Open {
                    first: at + 1,
                    closing: byte + 2,
                    comma: None,
                }),
                b']' | b'}' => {
                    open.pop()?;
                }
                _ => open.last_mut()?.comma = Some(at),
            }
        }
        let long = |open: &Open| open.comma.is_some_and(|at| at >= end / 2);
        let depth = open.iter().position(long)?;
        open.truncate(depth + 1);
        Some(Outer {
            first: behind_space(source, open.last()?.first),
            tail: tail(source, &open)?,
        })
    }

    /// About a mebibyte of the source from `at` on: whole values or members of the container, and what is around it.
    fn part(&self, source: &[u8], at: usize) -> Option<Vec<u8>> {
        let mut walk = Brackets {
            at: self.first,
            ..Brackets::default()
        };
        let (head, tail) = (source.get(..self.first)?, source.get(self.tail..)?);
        let most = SAMPLE.saturating_sub(head.len());
        // The value that `at` is in, or the one in front of that, begins here, and as much ends there.
        let (mut from, mut to) = (self.first, None);
        while let Some((comma, byte)) = walk.next(source, self.tail) {
            if byte != b',' || walk.depth != 0 {
                continue;
            }
            if comma < at.min(self.tail) {
                from = behind_space(source, comma + 1);
            } else if comma - from < most || to.is_none() {
                to = Some(comma);
            } else {
                break;
            }
        }
        let to = to.unwrap_or(self.tail);
        let part = [head, source.get(from..to)?, tail];
        // Each byte of it takes many times its memory.
        (part.iter().map(|piece| piece.len()).sum::<usize>() <= SAMPLE / 2 * 3)
            .then(|| part.concat())
    }
}

/// The first place from `at` on that is no white space.
fn behind_space(source: &[u8], at: usize) -> usize {
    let rest = source.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_ascii_start().len()
}

/// Where the innermost of these containers ends, with the white space in front of its bracket: found by going through
/// all of its inside.
fn tail(source: &[u8], open: &[Open]) -> Option<usize> {
    let first = open.last()?.first;
    let mut walk = Brackets {
        at: first,
        ..Brackets::default()
    };
    while let Some((at, _)) = walk.next(source, source.len()) {
        if walk.depth < 0 {
            let inside = source.get(first..at)?;
            return Some(first + inside.trim_ascii_end().len());
        }
    }
    None
}

/// The same where it looks as if nothing else stood behind it than the brackets of those around it.
fn quick_tail(source: &[u8], open: &[Open]) -> Option<usize> {
    let mut rest = source.trim_ascii_end();
    for open in open {
        rest = rest.strip_suffix(&[open.closing])?.trim_ascii_end();
    }
    (rest.len() >= open.last()?.first).then_some(rest.len())
}

/// The brackets and commas of a JSON text, one by one.
#[derive(Default)]
struct Brackets {
    at: usize,
    /// How many were opened and not closed, that of the last bracket included.
    depth: isize,
}

impl Brackets {
    fn next(&mut self, source: &[u8], end: usize) -> Option<(usize, u8)> {
        while self.at < end {
            let (at, byte) = (self.at, *source.get(self.at)?);
            self.at += 1;
            match byte {
                b'"' => loop {
                    let rest = source.get(self.at..end)?;
                    let found = memchr::memchr2(b'"', b'\\', rest)?;
                    self.at += found + 1;
                    if rest[found] == b'"' {
                        break;
                    }
                    self.at += 1;
                },
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' => self.depth -= 1,
                b',' => {}
                _ => continue,
            }
            if byte != b'"' {
                return Some((at, byte));
            }
        }
        None
    }
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

    /// The layout of a source whose parts are looked at, checked on all of it.
    fn inferred(text: &str) -> Option<Layout> {
        let canonical = canon::canonicalize(text.as_bytes()).unwrap();
        let layout = infer_large(None, text.as_bytes(), &canonical, false)?;
        assert!(layout.renders_to(&canonical, false, text.as_bytes()));
        Some(layout)
    }

    #[test]
    fn the_part_is_a_document_of_the_same_layout() {
        for (front, back) in [
            ("[\n  ", "\n]\n"),
            ("{\"rows\": [\n  ", "\n]}\n"),
            ("{\"rows\": [\n  ", "\n], \"last\": [1.0]}\n"),
            ("{\"head\": [1.0], \"rows\": [\n  ", "\n], \"last\": {}}"),
        ] {
            let text = format!("{front}{}{back}", rows(40_000, ",\n  "));
            let outer = Outer::of(text.as_bytes(), tail).unwrap();
            let part = outer.part(text.as_bytes(), 0).unwrap();
            assert!(part.len() < text.len() && part.len() > SAMPLE / 2);
            assert!(canon::canonicalize(&part).is_ok());
            assert!(inferred(&text).is_some(), "{back}");
        }
    }

    #[test]
    fn what_the_first_part_does_not_tell_a_later_one_does() {
        // As Python writes it, and as `%f` does.
        for odd in ["3.9e-05", "0.000039"] {
            let all = rows(40_000, ",\n  ");
            let odd = format!("{{\"n\":          {odd}, \"text\":          \"\"}}");
            let tight = rows(40_000, ", ");
            assert!(inferred(&format!("[{tight}, {odd}, {tight}]")).is_some());
            for at in [0, all.len() / 3, all.len() / 2] {
                let cut = all[at..].find("{\"n\"").unwrap() + at;
                let (front, back) = all.split_at(cut);
                assert!(inferred(&format!("[\n  {front}{odd},\n  {back}\n]\n")).is_some());
            }
            assert!(inferred(&format!("[\n  {all},\n  {odd}\n]\n")).is_some());
        }
    }

    #[test]
    fn who_writes_now_this_and_now_that_has_no_layout() {
        let all = rows(30_000, ",\n  ");
        let text = format!("[\n  {all},\n  {},\n  {all}]", all.replace(".0", ""));
        assert!(inferred(&text).is_none());
    }

    #[test]
    fn what_cannot_be_cut_has_no_part() {
        let long = format!("[\"{}\"]", "x".repeat(2 * SAMPLE));
        for text in ["7", "[1]", "[1,", &long, "]]]", "\"\\", "1,2", ",", "[}"] {
            for tail in [tail, quick_tail] {
                assert!(Outer::of(text.as_bytes(), tail).is_none(), "{:.40}", text);
            }
        }
    }

    #[test]
    fn tokens_of_large_sources_are_limited() {
        assert_eq!(most_tokens(b"[1]", b"[1]"), None);
        let source = vec![b' '; LARGE];
        assert_eq!(most_tokens(&source, &source), Some(LARGE / 2 / TOKEN));
        assert_eq!(TOKEN, 16);
    }
}
