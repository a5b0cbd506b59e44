//! Canonical bytes as text: as they are, or laid out for people; tags back to bare `NaN` and infinities.

use super::MAX_DEPTH;
use super::parse::TAGS;
use super::scan::{byte, plain_text_end};

/// A layout of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The canonical bytes themselves: no white space, no final newline.
    Compact,
    /// Two spaces a level, `"key": value`, empty containers as `[]` and `{}`, one final newline: the layout of
    /// Python's `json.dump(value, file, indent=2, ensure_ascii=False)` and a newline.
    Pretty,
}

/// Appends `canonical`, laid out as `form`, to `out`.
///
/// With `untag` every object `{"$number":"NaN"}`, `{"$number":"Infinity"}` and `{"$number":"-Infinity"}` becomes the
/// bare literal again. That is right for documents whose [`Outcome`](super::Outcome) was `tagged`, and for no others.
///
/// `canonical` has to be what [`canonicalize`](super::canonicalize) gives. Anything else makes no sense and no panic.
pub fn render(canonical: &[u8], form: Form, untag: bool, out: &mut Vec<u8>) {
    out.reserve(canonical.len());
    lay_out(canonical, form, untag, &mut |text| {
        out.extend_from_slice(text);
        true
    });
}

/// True where [`render`] of `canonical` gives `source`, byte for byte. Builds nothing and ends at the first difference.
pub fn renders_to(canonical: &[u8], form: Form, untag: bool, source: &[u8]) -> bool {
    if form == Form::Compact && !untag {
        return canonical == source;
    }
    let mut rest = source;
    let complete = lay_out(
        canonical,
        form,
        untag,
        &mut |text| match rest.strip_prefix(text) {
            Some(behind) => {
                rest = behind;
                true
            }
            None => false,
        },
    );
    complete && rest.is_empty()
}

/// Hands the rendering to `put` piece by piece, until `put` returns false; returns whether it never did.
fn lay_out(canonical: &[u8], form: Form, untag: bool, put: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let pretty = form == Form::Pretty;
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&b) = canonical.get(at) {
        let rest = canonical.get(at..).unwrap_or_default();
        let mut end = at + 1;
        if b == b'{'
            && untag
            && let Some((literal, tag)) = tag_at(rest)
        {
            if !put(literal.as_bytes()) {
                return false;
            }
            at += tag.len();
            continue;
        }
        let go_on = match b {
            b'"' => {
                end = string_end(canonical, end);
                put(canonical.get(at..end).unwrap_or_default())
            }
            _ if !pretty => put(&[b]),
            b'{' | b'[' => {
                // In ASCII the closing bracket comes two behind the opening one.
                if byte(canonical, end) == b + 2 {
                    end += 1;
                    put(&[b, b + 2])
                } else {
                    depth += 1;
                    put(&[b]) && new_line(depth, put)
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(depth, put) && put(&[b])
            }
            b',' => put(b",") && new_line(depth, put),
            b':' => put(b": "),
            _ => {
                let length = rest
                    .iter()
                    .position(|b| matches!(b, b',' | b']' | b'}'))
                    .unwrap_or(rest.len());
                end = at + length.max(1);
                put(canonical.get(at..end).unwrap_or_default())
            }
        };
        if !go_on {
            return false;
        }
        at = end;
    }
    !pretty || put(b"\n")
}

/// The literal and the tag that `rest` starts with, if it does with one.
fn tag_at(rest: &[u8]) -> Option<(&'static str, &'static str)> {
    TAGS.into_iter()
        .find(|(_, tag)| rest.starts_with(tag.as_bytes()))
}

/// Position behind the string whose inside starts at `at`.
fn string_end(text: &[u8], mut at: usize) -> usize {
    loop {
        at = plain_text_end(text, at);
        match byte(text, at) {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ if at >= text.len() => return text.len(),
            _ => at += 1,
        }
    }
}

fn new_line(depth: usize, put: &mut impl FnMut(&[u8]) -> bool) -> bool {
    const SPACES: &[u8] = &[b' '; 64];
    let mut width = depth.min(MAX_DEPTH) * 2;
    if !put(b"\n") {
        return false;
    }
    while width > 0 {
        let part = SPACES.get(..width).unwrap_or(SPACES);
        if !put(part) {
            return false;
        }
        width -= part.len();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(canonical: &str, form: Form, untag: bool) -> String {
        let mut out = Vec::new();
        render(canonical.as_bytes(), form, untag, &mut out);
        assert!(renders_to(canonical.as_bytes(), form, untag, &out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pretty_is_the_layout_of_python() {
        // The output of json.dumps(..., indent=2, ensure_ascii=False) in Python 3.
        let canonical = r#"{"":[],"a":[1,[],{},[2.5,"é,]\"\\"],{"x":null}],"b":{"c":true},"d":{}}"#;
        let expected = r#"{
  "": [],
  "a": [
    1,
    [],
    {},
    [
      2.5,
      "é,]\"\\"
    ],
    {
      "x": null
    }
  ],
  "b": {
    "c": true
  },
  "d": {}
}
"#;
        assert_eq!(rendered(canonical, Form::Pretty, false), expected);
        assert_eq!(rendered("-1e+21", Form::Pretty, false), "-1e+21\n");
        assert_eq!(rendered(canonical, Form::Compact, false), canonical);
    }

    #[test]
    fn tags_become_literals_only_when_asked() {
        let canonical = r#"{"a":{"$number":"NaN"},"b":[{"$number":"Infinity"},{"$number":"-Infinity"},{"$number":"1"},"{\"$number\":\"NaN\"}"]}"#;
        let untagged =
            r#"{"a":NaN,"b":[Infinity,-Infinity,{"$number":"1"},"{\"$number\":\"NaN\"}"]}"#;
        assert_eq!(rendered(canonical, Form::Compact, true), untagged);
        assert_eq!(rendered(canonical, Form::Compact, false), canonical);
        assert!(
            rendered(canonical, Form::Pretty, true)
                .starts_with("{\n  \"a\": NaN,\n  \"b\": [\n    Infinity,")
        );
        assert!(
            rendered(canonical, Form::Pretty, false)
                .starts_with("{\n  \"a\": {\n    \"$number\": \"NaN\"\n  },")
        );
    }

    #[test]
    fn deep_documents_are_indented_in_full() {
        let depth = MAX_DEPTH;
        let text = rendered(
            &format!("{}0{}", "[".repeat(depth), "]".repeat(depth)),
            Form::Pretty,
            false,
        );
        assert_eq!(text.lines().nth(depth).unwrap().len(), 2 * depth + 1);
        assert_eq!(text.lines().count(), 2 * depth + 1);
    }
}
